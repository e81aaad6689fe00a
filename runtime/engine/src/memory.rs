//! Ports over memory, for this crate's tests.

mod bus;
mod group;
mod leadership;
mod log;
mod peers;
mod producer;

use bus::MemoryBus;
pub(crate) use bus::SharedMemoryBus;
pub(crate) use group::{Alone, InGroup, MemoryGroup};
pub(crate) use leadership::{Fault, MemoryLeadership};
pub(crate) use log::MemoryLog;
pub(crate) use peers::{Line, MemoryPeers};
