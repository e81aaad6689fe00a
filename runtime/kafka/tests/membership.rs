//! Who is in the group of workers, and who leads.

#[path = "membership/alone.rs"]
mod alone;
#[path = "membership/connect.rs"]
mod connect;
#[path = "membership/foreign.rs"]
mod foreign;
#[path = "membership/many.rs"]
mod many;
#[path = "raw/mod.rs"]
mod raw;
mod rig;
#[path = "membership/stray.rs"]
mod stray;
#[path = "membership/workers.rs"]
mod workers;
