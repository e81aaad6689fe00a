//! A group's members as the broker lists them.

use longshore_engine::ports::{Member, View};
use longshore_sdk::{Error, ErrorKind, Result};
use rdkafka::groups::GroupList;

/// Marks the client ids of workers.
const PREFIX: &str = "longshore@";

/// `longshore@<worker_id>#<incarnation>`.
pub(crate) fn client_id(worker_id: &str, incarnation: &str) -> String {
    format!("{PREFIX}{worker_id}#{incarnation}")
}

fn parse(client_id: &str) -> Option<Member> {
    let (worker_id, incarnation) = client_id.strip_prefix(PREFIX)?.rsplit_once('#')?;
    Some(Member {
        worker_id: worker_id.to_owned(),
        incarnation: incarnation.to_owned(),
    })
}

/// Who is in the group, at one moment.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    protocol_type: String,
    workers: Vec<Member>,
    /// The owner of the coordination topic's partition.
    leader: Option<Member>,
    /// Client ids of members that are no workers.
    foreign: Vec<String>,
}

impl Roster {
    pub(crate) fn read(list: &GroupList, group: &str) -> Self {
        let mut roster = Self::default();
        for info in list.groups().iter().filter(|info| info.name() == group) {
            roster.protocol_type = info.protocol_type().to_owned();
            for member in info.members() {
                let Some(worker) = parse(member.client_id()) else {
                    roster.foreign.push(member.client_id().to_owned());
                    continue;
                };
                if member.assignment().is_some_and(owns_any) {
                    roster.leader = Some(worker.clone());
                }
                roster.workers.push(worker);
            }
        }
        roster.workers.sort();
        roster
    }
    /// Err (Config): the group belongs to somebody else.
    pub(crate) fn check_kind(&self, group: &str) -> Result<()> {
        if self.foreign.is_empty() {
            return Ok(());
        }
        if self.protocol_type == "connect" {
            return Err(connect(group));
        }
        Err(Error::config(
            "join",
            format!(
                "group {group} is used by other consumers ({}): take another group.id",
                self.foreign.join(", ")
            ),
        ))
    }
    /// A worker of another URL.
    pub(crate) fn other(&self, worker_id: &str) -> Option<&Member> {
        self.workers.iter().find(|w| w.worker_id != worker_id)
    }
    pub(crate) fn leads(&self, worker: &Member) -> bool {
        self.leader.as_ref() == Some(worker)
    }
    pub(crate) fn lists(&self, worker_id: &str, incarnation: &str) -> bool {
        let mut workers = self.workers.iter();
        workers.any(|w| w.worker_id == worker_id && w.incarnation == incarnation)
    }
    /// Former incarnations of this worker are dead, however long they stay listed.
    pub(crate) fn view(&self, me: &Member, generation: i32) -> View {
        let living = |w: &&Member| *w == me || w.worker_id != me.worker_id;
        let members: Vec<Member> = self.workers.iter().filter(living).cloned().collect();
        let leader = match self.leader.as_ref().filter(living) {
            Some(leader) => Some(leader.clone()),
            None if members.iter().all(|w| w == me) => Some(me.clone()),
            None => None,
        };
        View {
            me: me.clone(),
            leader,
            members,
            generation,
        }
    }
}

fn connect(group: &str) -> Error {
    Error::config(
        "join",
        format!("group {group} is used by a Kafka Connect cluster: stop it first"),
    )
}

/// The broker's own words for a group of another kind, made plain.
pub(crate) fn explain(error: Error, group: &str) -> Error {
    match has_code(&error, "InconsistentGroupProtocol") {
        true => connect(group).because(error),
        false => error,
    }
}

pub(crate) fn session_refused(error: &Error) -> bool {
    error.kind() == ErrorKind::Config && has_code(error, "InvalidSessionTimeout")
}

fn has_code(error: &Error, code: &str) -> bool {
    let mut context = error.context().iter();
    context.any(|(name, value)| *name == "code" && value == code)
}

/// Whether a consumer's assignment (version, then topics with partitions, big endian) holds any partition.
fn owns_any(assignment: &[u8]) -> bool {
    let int = |at: usize| -> Option<i32> {
        let bytes = assignment.get(at..at + 4)?;
        Some(i32::from_be_bytes(bytes.try_into().ok()?))
    };
    let first = || -> Option<bool> {
        if int(2)? <= 0 {
            return Some(false);
        }
        let name = assignment.get(6..8)?;
        let name = usize::from(u16::from_be_bytes(name.try_into().ok()?));
        Some(int(8 + name)? > 0)
    };
    first().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(worker_id: &str, incarnation: &str) -> Member {
        parse(&client_id(worker_id, incarnation)).expect("our own format")
    }

    #[test]
    fn a_dead_incarnation_neither_counts_nor_leads() {
        let me = worker("h:1", "new");
        let mut roster = Roster {
            workers: vec![me.clone(), worker("h:1", "old")],
            leader: Some(worker("h:1", "old")),
            ..Roster::default()
        };
        let view = roster.view(&me, 3);
        assert_eq!(view.members, std::slice::from_ref(&me));
        assert!(view.leading());
        roster.workers.push(worker("h:2", "x"));
        assert_eq!(roster.view(&me, 3).leader, None, "an election");
        assert_eq!(roster.other("h:1"), Some(&worker("h:2", "x")));
    }

    #[test]
    fn the_owner_is_read_from_the_assignment() {
        let mut bytes = vec![0, 0, 0, 0, 0, 1, 0, 2, b'c', b'o', 0, 0, 0, 1, 0, 0, 0, 0];
        assert!(owns_any(&bytes));
        bytes[13] = 0;
        assert!(!owns_any(&bytes));
        assert!(!owns_any(&[0, 0, 0, 0, 0, 0]));
        assert!(!owns_any(&[]));
    }
}
