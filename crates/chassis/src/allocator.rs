//! The allocator of the services in the containers' images (feature `jemalloc`): jemalloc, whose background thread returns
//! memory to the system within two seconds (`JEMALLOC_SYS_WITH_MALLOC_CONF` in `.cargo/config.toml`). The C library's
//! allocator keeps most memory after a flood.
//!
//! Resident MB of a server (`web::Server` with its usual bounds, one JSON route, 2 cores, x86-64, glibc 2.36, 2026-11-28): at
//! the start, then for each of three floods the peak and the rest four seconds later. The floods: 400 half-sent bodies of
//! 60 KB, 1,500 such bodies, 300 clients with 400 KB of headers.
//!
//! | | start | 400 bodies | 1,500 bodies | 300 heads |
//! |---|---|---|---|---|
//! | glibc | 4 | 27, 19 | 37, 31 | 34, 31 |
//! | glibc, `MALLOC_ARENA_MAX=2` | 4 | 28, 23 | 34, 28 | 28, 28 |
//! | glibc, one arena, `MALLOC_TRIM_THRESHOLD_=131072` | 5 | 27, 21 | 33, 25 | 25, 25 |
//! | mimalloc 2 | 11 | 40, 29 | 41, 30 | 30, 24 |
//! | mimalloc 3 | 11 | 43, 23 | 45, 31 | 41, 38 |
//! | jemalloc 5.3, its defaults | 7 | 35, 24 | 43, 41 | 41, 20 |
//! | **jemalloc 5.3, background thread, `dirty_decay_ms:1000,muzzy_decay_ms:0`** | 7 | 33, **10** | 43, **10** | 25, **10** |

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
