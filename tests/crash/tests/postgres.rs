//! Small versions of `cargo xtask prove postgres`.

#[path = "postgres/late_commits.rs"]
mod late_commits;
#[path = "postgres/outage.rs"]
mod outage;
#[path = "postgres/rows.rs"]
mod rows;
#[path = "postgres/zombie.rs"]
mod zombie;
