//! Rebuilds the crate, and so checks its queries again, when a migration changes.
fn main() {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=.sqlx");
}
