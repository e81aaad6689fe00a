//! Asks the broker again and again, on a thread of its own.

use super::{Trouble, namesake::Former};
use crate::{admin::Admin, handle::Handle};
use longshore_engine::ports::View;
use longshore_sdk::ErrorKind;
use rdkafka::consumer::Consumer;
use std::{
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::watch::Sender;

/// How often the broker is asked for the members.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How often while somebody joins or leaves.
const ASK_SOON: Duration = Duration::from_millis(200);
/// Spent in full while any broker of the cluster is known and down.
const ASK_MAX: Duration = Duration::from_millis(1500);
/// How often the library is woken. It sends heartbeats only when it wakes, which by itself may be after a second: too late for a short session.
const WAKE_EVERY: Duration = Duration::from_millis(100);

/// What a question to the broker brought.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Stable,
    /// Somebody joins or leaves.
    Moving,
    NotListed,
    Unknown,
}

pub(super) struct Watcher {
    pub(super) admin: Admin,
    pub(super) client: Arc<Handle>,
    pub(super) group: String,
    pub(super) session: Duration,
    pub(super) former: Former,
    pub(super) tell: Sender<View>,
    pub(super) trouble: Trouble,
    pub(super) stop: Arc<AtomicBool>,
}

impl Watcher {
    pub(super) fn run(mut self) {
        self.client.events().unpark_me();
        // The broker lists us for a session after it last heard of us: the session is counted from before each question.
        let mut seen = Instant::now();
        let mut asked = Instant::now();
        let mut settled = false;
        let mut missed = 0;
        let mut away = false;
        while !self.stop.load(Ordering::Acquire) {
            let slept = Instant::now();
            std::thread::park_timeout(WAKE_EVERY);
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            // Any question to the library's main thread wakes it; this one asks no broker.
            let _ = self.client.consumer().assignment();
            if seen.elapsed() > self.patience() && !away {
                away = true;
                self.alone();
                // Whoever watches shall see it, however soon we are listed again: a watch keeps only the last view.
                asked = Instant::now();
                settled = false;
            }
            let woken = slept.elapsed() < WAKE_EVERY && !away;
            let every = if settled { ASK_EVERY } else { ASK_SOON };
            if !woken && asked.elapsed() < every {
                continue;
            }
            asked = Instant::now();
            if let Some(error) = self.client.events().trouble() {
                tracing::warn!(error = %error, "membership is in trouble");
            }
            let found = self.ask(seen);
            settled = found == Found::Stable;
            match found {
                Found::Stable | Found::Moving => (seen, missed, away) = (asked, 0, false),
                // Once may be a coordinator that is just moving to another broker.
                Found::NotListed if missed > 0 => {
                    away = true;
                    self.alone();
                }
                Found::NotListed => missed += 1,
                Found::Unknown => {}
            }
        }
    }

    /// After this long without being listed, others may believe that we are gone. A question or two may fail.
    fn patience(&self) -> Duration {
        self.session.max(ASK_EVERY * 2)
    }

    /// Shows what the broker lists, if it lists us.
    fn ask(&mut self, seen: Instant) -> Found {
        let left = self.patience().saturating_sub(seen.elapsed());
        let max = match left.is_zero() {
            true => ASK_MAX,
            false => left.clamp(ASK_SOON, ASK_MAX),
        };
        match self.admin.roster_now(&self.group, max) {
            Ok(roster) if roster.lists(self.former.me()) => {
                self.former.look(&roster);
                self.in_trouble(None);
                self.show(|before| roster.view(before, self.former.dead()));
                match roster.stable() {
                    true => Found::Stable,
                    false => Found::Moving,
                }
            }
            Ok(_) => {
                tracing::debug!("the broker does not list this worker");
                self.in_trouble(Some("its session has ended".to_owned()));
                Found::NotListed
            }
            Err(error) => {
                tracing::debug!(error = %error, "the group cannot be asked for");
                let words = match error.kind() {
                    ErrorKind::Transient => "no broker of bootstrap.servers answers for it",
                    _ => "the brokers do not say who is in it",
                };
                self.in_trouble(Some(format!("{words} ({})", error.message())));
                Found::Unknown
            }
        }
    }

    fn in_trouble(&self, words: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = words;
    }

    /// Nobody leads here, and nobody is there, until we are listed again.
    fn alone(&self) {
        self.show(|before| View {
            leader: None,
            members: Vec::new(),
            ..before.clone()
        });
    }

    fn show(&self, make: impl FnOnce(&View) -> View) {
        self.tell.send_if_modified(|view| {
            let next = make(view);
            if next == *view {
                return false;
            }
            if next.members.is_empty() {
                tracing::warn!("this worker is not in its group: it cannot reach the broker, or its session has ended");
            } else if view.members.is_empty() {
                tracing::info!("this worker is in its group again");
            }
            *view = View {
                generation: view.generation.wrapping_add(1),
                ..next
            };
            true
        });
    }
}
