//! Postgres both ways: rows under kills, writers that commit late, a frozen worker, a server that is away.

pub mod late_commits;
pub mod outage;
mod place;
mod rig;
pub mod rows;
mod steer;
pub mod zombie;
