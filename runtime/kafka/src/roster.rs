//! A group's members as the broker lists them.

use crate::native::Group;
use longshore_engine::ports::{Member, View};
use longshore_sdk::{Error, ErrorKind, Result};

/// Marks the client ids of workers; the second one those that are reached by https.
const PREFIXES: [(&str, bool); 2] = [("longshore@", false), ("longshore+https@", true)];

/// `longshore@<worker_id>#<incarnation>`, or `longshore+https@..`.
pub(crate) fn client_id(me: &Member) -> String {
    let [(http, _), (https, _)] = PREFIXES;
    let prefix = if me.https { https } else { http };
    format!("{prefix}{}#{}", me.worker_id, me.incarnation)
}

fn parse(client_id: &str) -> Option<Member> {
    let (named, https) = PREFIXES
        .iter()
        .find_map(|(prefix, https)| Some((client_id.strip_prefix(prefix)?, *https)))?;
    let (worker_id, incarnation) = named.rsplit_once('#')?;
    Some(Member {
        https,
        worker_id: worker_id.to_owned(),
        incarnation: incarnation.to_owned(),
    })
}

/// Who is in the group, at one moment.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    protocol_type: String,
    /// Nobody is joining: only then does the broker tell who owns what.
    stable: bool,
    workers: Vec<Member>,
    /// The owner of the coordination topic's partition.
    owner: Option<Member>,
    /// Client ids of members that are no workers.
    foreign: Vec<String>,
}

impl Roster {
    pub(crate) fn of(group: Group) -> Self {
        let mut roster = Self {
            protocol_type: group.protocol_type,
            stable: group.state == "Stable",
            ..Self::default()
        };
        for (client_id, assignment) in group.members {
            match parse(&client_id) {
                None => roster.foreign.push(client_id),
                Some(worker) => {
                    if owns_any(&assignment) {
                        roster.owner = Some(worker.clone());
                    }
                    roster.workers.push(worker);
                }
            }
        }
        roster.workers.sort();
        // Kicked out and back again it may be listed twice for a while.
        roster.workers.dedup();
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
                "group {group} is used by other consumers ({}): stop them, or take another group.id",
                self.foreign.join(", ")
            ),
        ))
    }
    pub(crate) fn lists(&self, me: &Member) -> bool {
        self.workers.contains(me)
    }
    pub(crate) fn stable(&self) -> bool {
        self.stable
    }
    /// Other incarnations of this worker's URL.
    pub(crate) fn namesakes<'a>(&'a self, me: &'a Member) -> impl Iterator<Item = &'a Member> {
        let workers = self.workers.iter();
        workers.filter(move |w| w.worker_id == me.worker_id && w.incarnation != me.incarnation)
    }
    /// What this worker sees after `before`. Incarnations in `dead` do not count, however long they stay listed. Of another worker both
    /// incarnations count until the broker drops the dead one: only that worker itself can tell them apart.
    pub(crate) fn view(&self, before: &View, dead: &[String]) -> View {
        let me = &before.me;
        let living = |w: &&Member| w.worker_id != me.worker_id || !dead.contains(&w.incarnation);
        let members: Vec<Member> = self.workers.iter().filter(living).cloned().collect();
        let owner = self.owner.as_ref().filter(living);
        let leader = match owner {
            Some(owner) => Some(owner.clone()),
            // Nobody else could: the broker will move the partition here once it drops the dead one.
            None if members.iter().all(|w| w == me) => Some(me.clone()),
            // Somebody joins or leaves. The owner keeps the partition through that, without a revocation, for as long as he is there.
            None if !self.stable => before.leader.clone().filter(|w| members.contains(w)),
            None => None,
        };
        View {
            me: me.clone(),
            leader,
            members,
            generation: before.generation,
        }
    }
}

fn connect(group: &str) -> Error {
    Error::config(
        "join",
        format!("group {group} is used by a Kafka Connect cluster: stop it first"),
    )
}

/// The broker's own words for what keeps us out of the group, made plain.
pub(crate) fn explain(error: Error, group: &str) -> Error {
    if has_code(&error, "InconsistentGroupProtocol") {
        return connect(group).because(error);
    }
    if has_code(&error, "GroupAuthorizationFailed") {
        let text = format!(
            "the principal may not join group {group}: grant it Read and Describe on Group {group}"
        );
        return Error::new(ErrorKind::Auth, "join", text).because(error);
    }
    error
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
        let member = Member {
            worker_id: worker_id.to_owned(),
            incarnation: incarnation.to_owned(),
            https: worker_id.len() % 2 == 1,
        };
        let read = parse(&client_id(&member)).expect("our own format");
        assert_eq!(read, member);
        read
    }

    /// Of one partition of the topic `co`.
    const OWNED: [u8; 18] = [0, 0, 0, 0, 0, 1, 0, 2, b'c', b'o', 0, 0, 0, 1, 0, 0, 0, 0];

    fn stable(workers: &[&Member], owner: Option<&Member>) -> Roster {
        let members = workers.iter().map(|w| {
            let owned = if Some(*w) == owner { &OWNED[..] } else { &[] };
            (client_id(w), owned.to_vec())
        });
        Roster::of(Group {
            protocol_type: "consumer".to_owned(),
            state: "Stable".to_owned(),
            members: members.collect(),
        })
    }

    fn nothing(me: &Member) -> View {
        View {
            me: me.clone(),
            leader: None,
            members: Vec::new(),
            generation: 3,
        }
    }

    #[test]
    fn a_dead_incarnation_neither_counts_nor_leads() {
        let (me, old, other) = (
            worker("h:1", "new"),
            worker("h:1", "old"),
            worker("h:2", "x"),
        );
        let dead = ["old".to_owned()];
        let alone = stable(&[&me, &old], Some(&old));
        assert_eq!(alone.namesakes(&me).collect::<Vec<_>>(), [&old]);
        let view = alone.view(&nothing(&me), &dead);
        assert_eq!(view.members, std::slice::from_ref(&me));
        assert!(view.leading());
        let several = stable(&[&me, &old, &other], Some(&old));
        let view = several.view(&nothing(&me), &dead);
        assert_eq!(view.leader, None, "an election");
        assert_eq!(view.members, [me.clone(), other.clone()]);
        // The others cannot know that it is dead.
        let view = several.view(&nothing(&other), &[]);
        assert_eq!(view.leader, Some(old.clone()));
        assert_eq!(view.members.len(), 3);
        // Nor is it if it outlives every session: somebody else has the same URL.
        let view = several.view(&nothing(&me), &[]);
        assert_eq!(view.leader, Some(old));
    }

    #[test]
    fn the_leader_stays_while_others_join_and_goes_with_its_member() {
        let (me, leader, new) = (worker("h:1", "a"), worker("h:2", "b"), worker("h:3", "c"));
        let before = stable(&[&me, &leader], Some(&leader)).view(&nothing(&me), &[]);
        let joining = |workers: &[&Member]| Roster {
            stable: false,
            ..stable(workers, None)
        };
        let view = joining(&[&me, &leader, &new]).view(&before, &[]);
        assert_eq!(view.leader, Some(leader));
        assert_eq!(view.members.len(), 3);
        let view = joining(&[&me, &new]).view(&before, &[]);
        assert_eq!(view.leader, None);
        let nobody = stable(&[&me, &new], None).view(&before, &[]);
        assert_eq!(nobody.leader, None, "nobody owns it");
    }

    #[test]
    fn the_owner_is_read_from_the_assignment() {
        let mut bytes = OWNED;
        assert!(owns_any(&bytes));
        bytes[13] = 0;
        assert!(!owns_any(&bytes));
        assert!(!owns_any(&[0, 0, 0, 0, 0, 0]));
        assert!(!owns_any(&[]));
    }
}
