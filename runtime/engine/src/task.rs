//! One task = one loop that pulls a batch (D1). A task knows nothing of the supervisor: it runs until it is stopped, has finished, or fails.

mod chain;
mod dead_letter;
mod flow;
mod ledger;
mod observer;
mod outcome;
mod progress;
pub mod reaction;
mod retry;
mod settings;
mod sink;
mod source;

pub use chain::{Chain, Step};
pub use ledger::Ledger;
pub use observer::{OffsetStore, TopicObserver, Unobserved};
pub use outcome::{Failure, Outcome, Reaction};
pub use progress::{Call, Progress};
pub use settings::{
    Boundary, DeadLetterSpec, ErrorPolicy, Pace, TaskId, TaskSettings, TransactionSettings,
};
pub use sink::SinkTask;
pub use source::SourceTask;
