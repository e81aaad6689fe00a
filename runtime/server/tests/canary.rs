//! I8: distinctive secrets planted wherever a person may write one, real failures of every kind, and a look at everything that leaves the
//! process: log lines, crash texts, answers, metrics and topics.

mod support;

#[path = "canary/connectors.rs"]
mod connectors;
#[path = "canary/evidence.rs"]
mod evidence;
#[path = "canary/recorded.rs"]
mod recorded;
#[path = "canary/workers.rs"]
mod workers;
