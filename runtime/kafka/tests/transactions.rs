//! Transactions: those of tasks, and the leader's.

#[path = "transactions/leaders.rs"]
mod leaders;
#[path = "transactions/producers.rs"]
mod producers;
mod rig;
