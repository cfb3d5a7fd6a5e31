//! Checks the queries again when the table that they are written for changes.
fn main() {
    println!("cargo:rerun-if-changed=../../migrations/order/0002_idempotency_keys.sql");
    println!("cargo:rerun-if-changed=.sqlx");
}
