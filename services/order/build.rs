//! Compiles again when a migration changes: the queries are checked against them.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations/order");
}
