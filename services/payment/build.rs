//! Builds again when the schema changes: the migrations and the checked queries are compiled in.
fn main() {
    println!("cargo:rerun-if-changed=../../migrations/payment");
    println!("cargo:rerun-if-changed=.sqlx");
}
