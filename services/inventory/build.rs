//! Compiles again when a migration changes: they are embedded, and the queries are checked against them.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations/inventory");
}
