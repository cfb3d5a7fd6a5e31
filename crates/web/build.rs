//! Rebuilds the crate, and so checks its queries again, when the table that they use changes.
fn main() {
    println!("cargo:rerun-if-changed=../../migrations/order/0002_idempotency_keys.sql");
    println!("cargo:rerun-if-changed=.sqlx");
}
