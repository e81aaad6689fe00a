//! The behaviour suite: what every source and every sink must do, whatever its system.
//!
//! An author writes a rig of about 40 lines and calls [`source::run`] or [`sink::run`]. Which cases run follows from the plugin's
//! declared capabilities. A case that a connector cannot pass is a [`Waiver`], a named line with a reason; a waiver whose case
//! passes fails the suite, so that the list only shrinks.

mod driver;
mod random;
mod report;
mod settings;
pub mod sink;
mod sink_cases;
mod sink_crash;
pub mod source;
mod source_cases;
mod source_progress;
mod source_transactions;

pub use report::Waiver;

/// Something to break in the system behind a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Reads or writes fail until [`Fault::Healed`].
    Unavailable,
    /// The next write is carried out, but its answer is lost.
    AnswerLost,
    /// Nothing is broken any more.
    Healed,
}
