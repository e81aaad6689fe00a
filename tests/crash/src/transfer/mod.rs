//! What moves while workers are killed, frozen and cut off: numbers into a topic, or out of one into a table or to a server, fed without a pause.

mod feed;
mod follower;
mod into_table;
mod into_topic;
mod into_web;
mod line_by_line;
mod web;

use anyhow::Result;
pub(crate) use into_table::{IntoTable, Wish};
pub(crate) use into_topic::IntoTopic;
pub(crate) use into_web::IntoWeb;
pub(crate) use line_by_line::{Delays, LineByLine};
pub(crate) use web::Web;
pub use web::plugins;

use crate::Fleet;

/// A connector under test, its feed, and what has arrived.
pub(crate) trait Transfer {
    /// The connector's name.
    fn connector(&self) -> &str;

    /// How many tasks it has.
    fn tasks(&self) -> u64;

    /// How many numbers its feed has given so far.
    fn fed(&self) -> u64;

    /// How far it has come, by partition: counts that only grow. Errors: the far end cannot be asked.
    fn marks(&mut self) -> Result<Vec<u64>>;

    /// Ends the feed, waits until everything has arrived and the connector is at rest, and checks all of it, printing what was counted.
    /// Errors: any breach.
    fn finish(&mut self, fleet: &mut Fleet) -> Result<Tally>;
}

/// What was counted at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Numbers that were fed; all of them arrived.
    pub(crate) fed: u64,
    /// Arrivals beyond the first.
    pub(crate) duplicates: u64,
}

/// What is promised, and so what is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// Once each, in order.
    ExactlyOnce,
    /// None lost.
    AtLeastOnce,
}

/// True once every partition has come further than `before`.
pub(crate) fn all_moved(before: &[u64], now: &[u64]) -> bool {
    before.len() == now.len() && before.iter().zip(now).all(|(before, now)| now > before)
}
