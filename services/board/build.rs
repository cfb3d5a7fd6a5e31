//! Builds again when the schema changes: the migrations are compiled in.
fn main() {
    println!("cargo:rerun-if-changed=../../migrations/board");
}
