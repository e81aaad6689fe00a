//! Postgres both ways: rows under kills, writers that commit late, a frozen worker, a server that is away.

pub mod late_commits;
pub mod outage;
pub(crate) mod place;
pub(crate) mod rig;
pub mod rows;
pub(crate) mod steer;
pub mod zombie;

pub(crate) use rig::create_topic;
