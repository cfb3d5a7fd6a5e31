//! Compiles again when a migration of the broker changes: the queries are checked against them.

fn main() {
    println!("cargo:rerun-if-changed=../broker/migrations");
}
