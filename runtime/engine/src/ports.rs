//! What the engine needs of a broker. The kafka crate implements these ports over a client library, tests over memory.

pub mod bus;
pub mod leadership;
pub mod log;
pub mod membership;
pub mod peers;
pub mod receipt;

pub use bus::{
    Bus, Consumer, ConsumerSpec, Lag, Polled, Producer, ProducerSpec, Subscription, TopicSpec,
};
pub use leadership::{Leadership, Term, TermEntry, TermLog};
pub use log::{Entry, KeyedLog, LogReader, Tail, Version};
pub use membership::{Member, Membership, View};
pub use peers::{NoPeers, Peers};
pub use receipt::{Answer, Inbox, Receipt, Ticket};
