//! Commands that other workers forward to this one. One hop only: a worker that may not carry it out says so, and the caller looks for another.

use super::{
    Control, ControlErrorKind,
    command::{Call, Command, Miss, Reply},
};
use crate::views::config::SessionKey;
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
};
use tokio::{sync::Semaphore, time::Instant};

/// Commands that this worker carries out at once; further ones wait (I6).
const SEATS: usize = 64;
/// Callers whose calls are remembered, and calls of each, the latest (I6). What is older than those is not taken at all.
const CALLERS_MAX: usize = 1024;
const CALLS_MAX: usize = 1024;
/// The longest name of a user that is written to the audit log, in characters.
const USER_CHARS_MAX: usize = 256;

/// What a call of another worker is answered.
pub enum Answered {
    /// It is not taken: it is no call, or came before. Nothing is said to the caller about why.
    Refused(&'static str),
    /// The body of the answer; what is to stand in the audit log, where somebody asked for it and no worker by itself.
    Reply(Bytes, Option<Forwarded>),
}

/// A forwarded command, for the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// Who asked; empty where that is not known.
    pub user: String,
    /// The worker that was asked.
    pub from: String,
    /// The request's id between workers.
    pub request: String,
    /// What it does: create, put-config, delete, ..
    pub command: &'static str,
    /// The connector.
    pub connector: String,
    /// `Ok` = carried out; else why not. `None` = not now: the caller tries again.
    pub outcome: Result<(), Option<ControlErrorKind>>,
}

/// What this worker sends and takes.
pub(super) struct Calls {
    /// The number of the next call that this worker makes.
    pub(super) next: AtomicU64,
    pub(super) seats: Arc<Semaphore>,
    taken: Mutex<BTreeMap<String, Taken>>,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            next: AtomicU64::new(1),
            seats: Arc::new(Semaphore::new(SEATS)),
            taken: Mutex::default(),
        }
    }
}

/// The calls of one caller that were taken.
struct Taken {
    /// Everything up to here counts as taken.
    floor: u64,
    beyond: BTreeSet<u64>,
    last: Instant,
}

impl Calls {
    /// Notes a call; `false` = it was taken before. It needs no clocks: a caller numbers its calls, and the call names the start of the worker that it is for.
    pub(super) fn take(&self, caller: &str, number: u64) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if !taken.contains_key(caller) && taken.len() >= CALLERS_MAX {
            let longest = taken.iter().min_by_key(|(_, calls)| calls.last);
            if let Some(longest) = longest.map(|(caller, _)| caller.clone()) {
                taken.remove(&longest);
            }
        }
        let fresh = || Taken {
            floor: 0,
            beyond: BTreeSet::new(),
            last: Instant::now(),
        };
        let calls = taken.entry(caller.to_owned()).or_insert_with(fresh);
        calls.last = Instant::now();
        if number <= calls.floor || !calls.beyond.insert(number) {
            return false;
        }
        if calls.beyond.len() > CALLS_MAX {
            calls.floor = calls.beyond.pop_first().unwrap_or(calls.floor);
        }
        true
    }
}

impl Control {
    /// The keys that the signature of a call may be of.
    pub fn session_keys(&self) -> Vec<SessionKey> {
        self.cx
            .config
            .read(crate::views::config::Configs::session_keys)
    }
    /// Carries out what another worker was asked for. `body` comes with a signature that was found to be right.
    pub async fn answer(&self, body: &[u8]) -> Answered {
        let Ok(call) = serde_json::from_slice::<Call<Command>>(body) else {
            return self.tell(body);
        };
        let asked = !call.command.is_own();
        let forwarded = Forwarded {
            user: call.user.chars().take(USER_CHARS_MAX).collect(),
            from: call.from,
            request: call.request,
            command: call.command.name(),
            connector: call.command.connector().to_owned(),
            outcome: Ok(()),
        };
        let result = if call.to != self.cx.view().me.incarnation {
            let why = "the worker at this address was started anew";
            Err(Miss::Again(why.to_owned()))
        } else if !self.calls.take(&call.incarnation, call.number) {
            return Answered::Refused("it was taken before");
        } else {
            let request = Bytes::from(forwarded.request.clone());
            self.here(&Arc::new(call.command), &request).await
        };
        let outcome = match &result {
            Ok(_) => Ok(()),
            Err(Miss::Again(_)) => Err(None),
            Err(Miss::Refused(error)) => Err(Some(error.kind)),
        };
        match serde_json::to_vec(&Reply::from(result)) {
            Ok(reply) => Answered::Reply(
                Bytes::from(reply),
                asked.then_some(Forwarded {
                    outcome,
                    ..forwarded
                }),
            ),
            Err(_) => Answered::Refused("its answer cannot be written"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CALLERS_MAX, CALLS_MAX, Calls};

    #[test]
    fn a_call_is_taken_once_in_whatever_order_they_come() {
        let calls = Calls::default();
        for number in [2, 1, 5, 3] {
            assert!(calls.take("a", number));
        }
        for number in [1, 2, 3, 5, 0] {
            assert!(!calls.take("a", number), "{number}");
        }
        assert!(calls.take("b", 5) && calls.take("a", 4));
    }

    #[test]
    fn i6_what_is_remembered_is_bounded_and_what_is_forgotten_is_refused() {
        let calls = Calls::default();
        let many = u64::try_from(CALLS_MAX).expect("small") + 10;
        assert!((1..=many).all(|number| calls.take("a", number)));
        assert!((1..=many).all(|number| !calls.take("a", number)));
        for caller in 0..2 * CALLERS_MAX {
            calls.take(&caller.to_string(), 1);
        }
        assert_eq!(calls.taken.lock().expect("no panic").len(), CALLERS_MAX);
    }
}
