//! Which worker leads, as the broker knows it.

use std::time::Duration;

use anyhow::{Context, Result};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::Fleet;

/// The worker that owns the partition of the coordination topic in the workers' `group`. Errors: nobody does at the moment.
pub fn leader(fleet: &Fleet, group: &str) -> Result<usize> {
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", fleet.home().bootstrap())
        .create()?;
    let list = client.fetch_group_list(Some(group), Duration::from_secs(10))?;
    let mut members = list.groups().iter().flat_map(|group| group.members());
    let owner = members
        .find(|member| member.assignment().is_some_and(owns_a_partition))
        .context("nobody leads")?;
    (0..fleet.len())
        .find(|number| owner.client_id().contains(&fleet.home().worker_id(*number)))
        .with_context(|| format!("no worker is called {}", owner.client_id()))
}

/// Whether an assignment of the classic protocol holds any partition: version (2 bytes), number of topics (4), the first one's name (2, and
/// its bytes), its number of partitions (4), ..
fn owns_a_partition(assignment: &[u8]) -> bool {
    let number = |at: usize| {
        let bytes = assignment.get(at..at + 4)?;
        bytes.try_into().ok().map(i32::from_be_bytes)
    };
    let name = assignment
        .get(6..8)
        .map(|bytes| usize::from(u16::from_be_bytes([bytes[0], bytes[1]])));
    number(2).is_some_and(|topics| topics > 0)
        && name
            .and_then(|length| number(8 + length))
            .is_some_and(|partitions| partitions > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_holds_a_partition_or_none() {
        let owner = b"\0\x01\0\0\0\x01\0\x03abc\0\0\0\x01\0\0\0\0\0\0\0\0";
        assert!(owns_a_partition(owner));
        assert!(!owns_a_partition(b"\0\x01\0\0\0\0\0\0\0\0"));
        assert!(!owns_a_partition(b"\0\x01\0\0\0\x01\0\x03abc\0\0\0\0"));
        assert!(!owns_a_partition(b""));
    }
}
