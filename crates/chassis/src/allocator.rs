//! The allocator of the services: jemalloc, whose background thread gives memory back to the system within a second or two
//! (`JEMALLOC_SYS_WITH_MALLOC_CONF` in `.cargo/config.toml`). After a flood the C library's allocator keeps most of what it
//! took.
//!
//! Resident MB of a server of this workspace (`web::Server` with one JSON route, 2 cores, x86-64, glibc 2.36): at the start;
//! then the most during, and what was left four seconds after, each of three floods: 400 half-sent bodies of 60 KB, 1,500 of
//! them, and 300 clients with 400 KB of headers.
//!
//! | | start | 400 bodies | 1,500 bodies | 300 heads |
//! |---|---|---|---|---|
//! | glibc | 4 | 42, 30 | 49, 39 | 40, 39 |
//! | glibc, `MALLOC_ARENA_MAX=2` (measured with larger buffers) | 5 | 58, 29 | 61, 44 | 44, 44 |
//! | glibc, one arena, `MALLOC_TRIM_THRESHOLD_=131072` (likewise) | 4 | 53, 34 | 70, 43 | 43, 43 |
//! | mimalloc 2 | 11 | 52, 35 | 64, 47 | 27, 31 |
//! | mimalloc 3 | 11 | 59, 41 | 62, 44 | 50, 39 |
//! | jemalloc 5.3, its defaults (likewise) | 7 | 81, 46 | 83, 52 | 53, 25 |
//! | **jemalloc 5.3, background thread, `dirty_decay_ms:1000,muzzy_decay_ms:0`** | 7 | 55, **11** | 60, **11** | 26, **9** |

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
