//! The leadership as this worker has it: taken when the group says so, given up when somebody else has taken it.

use super::Supervisor;
use crate::{
    mutant::mutant,
    ports::{Leadership, Term, TermEntry, TermLog, Version, View},
    views::{assignment, config::records::Pair},
    worker::{Context, InternalTopics},
};
use bytes::Bytes;
use longshore_sdk::{Error, ErrorKind, Result};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// How long after a term that was lost, or could not be taken, the next one is taken, at first and at most. Until then the group may say who
/// leads now; two workers that both believe it fence each other once in a while, not all the time.
const TAKE_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// The same after a write whose outcome is unknown: nobody else has taken the leadership, and people wait.
const TAKE_AGAIN_SOON: Duration = Duration::from_millis(100);
/// A term that lasted so long was no quarrel.
const LASTED: Duration = Duration::from_secs(10);
/// How long it is waited for the end of the status topic: nothing is wrong without it.
const STATUS_MAX: Duration = Duration::from_secs(5);
/// How long taking the leadership may take (I6). An open transaction of the former leader is in it.
const TAKE_MAX: Duration = Duration::from_secs(90);

/// The term that this worker writes in, if it leads.
pub(crate) struct Leading {
    port: Arc<dyn Leadership>,
    term: watch::Sender<Option<Arc<dyn Term>>>,
    /// The last term was taken by somebody else.
    fenced: AtomicBool,
    /// Why the leadership could not be taken at the last try.
    hurdle: Mutex<Option<Hurdle>>,
}

type Hurdle = (ErrorKind, Arc<str>);

impl Leading {
    pub(crate) fn new(port: Arc<dyn Leadership>) -> Self {
        Self {
            port,
            term: watch::Sender::new(None),
            fenced: AtomicBool::new(false),
            hurdle: Mutex::default(),
        }
    }
    /// Why this worker could not take the leadership when it last tried, for those who wait.
    pub(crate) fn hurdle(&self) -> Option<Arc<str>> {
        self.last_hurdle().map(|(_, text)| text)
    }
    /// The same where time alone does not mend it.
    pub(crate) fn barred(&self) -> Option<Arc<str>> {
        let lasts = |kind: &ErrorKind| matches!(kind, ErrorKind::Config | ErrorKind::Auth);
        let hurdle = self.last_hurdle().filter(|(kind, _)| lasts(kind));
        hurdle.map(|(_, text)| text)
    }
    fn last_hurdle(&self) -> Option<Hurdle> {
        let hurdle = self.hurdle.lock();
        hurdle.unwrap_or_else(PoisonError::into_inner).clone()
    }
    fn set_hurdle(&self, hurdle: Option<Hurdle>) {
        *self.hurdle.lock().unwrap_or_else(PoisonError::into_inner) = hurdle;
    }
    /// Whether this worker leads: it has fenced its predecessor and read the topics to the end since.
    pub(crate) fn is_held(&self) -> bool {
        self.term.borrow().is_some()
    }
    /// Moves when the leadership is taken or lost.
    pub(crate) fn changes(&self) -> watch::Receiver<Option<Arc<dyn Term>>> {
        self.term.subscribe()
    }
    /// Writes what only the leader may write. Err (Fenced): this worker does not lead, nothing was written by this call. What is written on account
    /// of a view is looked up and written under `cx.writing`: no other term of this worker begins in between.
    pub(crate) async fn put(&self, entries: Vec<TermEntry>) -> Result<Vec<Version>> {
        let term = self.term.borrow().clone();
        let Some(term) = term else {
            return Err(Error::fenced("put", "this worker does not lead the group"));
        };
        let over = Over {
            leading: self,
            term: Some(&term),
        };
        let written = term.put(entries).await;
        over.unless_it_goes_on(&written);
        written
    }
    fn lose(&self, lost: &Arc<dyn Term>, fenced: bool) {
        if mutant!("leader-ignores-fencing") {
            return;
        }
        self.term.send_if_modified(|term| {
            let same = term.as_ref().is_some_and(|term| Arc::ptr_eq(term, lost));
            if same {
                self.fenced.store(fenced, Ordering::Release);
                *term = None;
            }
            same
        });
    }
    pub(super) fn give_up(&self) {
        self.term.send_if_modified(|term| term.take().is_some());
    }
}

/// I4: whatever became of a failed write, or one that nobody waits for any more, nothing is written by this handle again.
struct Over<'a> {
    leading: &'a Leading,
    term: Option<&'a Arc<dyn Term>>,
}

impl Over<'_> {
    fn unless_it_goes_on(mut self, written: &Result<Vec<Version>>) {
        let kind = written.as_ref().err().map(Error::kind);
        match (self.term.take(), kind) {
            (_, None | Some(ErrorKind::Config)) | (None, _) => {}
            (Some(term), Some(kind)) => self.leading.lose(term, kind == ErrorKind::Fenced),
        }
    }
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        if let Some(term) = self.term {
            self.leading.lose(term, false);
        }
    }
}

/// How far this worker is with leading.
#[derive(Default)]
pub(super) struct Lead {
    taking: bool,
    /// It had the leadership when it last looked, since this time.
    held: Option<Instant>,
    /// Not before this time.
    again: Option<Instant>,
    /// How often in a row a term was lost soon, or not taken.
    quarrels: u32,
}

impl Supervisor {
    /// Takes the leadership, or gives it up, as the group says. Returns when to look again.
    pub(super) fn lead(&mut self, view: &View, now: Instant) -> Option<Instant> {
        let held = self.cx.leading.is_held();
        if !view.leading() || !self.agrees() || self.cx.is_lost() {
            self.cx.leading.give_up();
            self.resign();
            self.lead = Lead {
                taking: self.lead.taking,
                ..Lead::default()
            };
            return None;
        }
        match (held, self.lead.held) {
            (true, None) => {
                self.lead.held = Some(now);
                self.accede();
            }
            (false, Some(since)) => {
                let fenced = self.cx.leading.fenced.load(Ordering::Acquire);
                tracing::warn!(fenced, "the term is over");
                self.resign();
                self.lead.held = None;
                if now - since >= LASTED {
                    self.lead.quarrels = 0;
                }
                let first = self.lead.quarrels == 0;
                let pause = self.lead.pause(self.cx.dice.jitter());
                let wait = if first && !fenced {
                    TAKE_AGAIN_SOON
                } else {
                    pause
                };
                self.lead.again = Some(now + wait);
            }
            _ => {}
        }
        // What is still being written belongs to the former term: the views are read to the end only behind it.
        if held || self.lead.taking || self.placing.is_writing() {
            return None;
        }
        if let Some(again) = self.lead.again.filter(|again| *again > now) {
            return Some(again);
        }
        self.lead.taking = true;
        self.crew.lead(take(Arc::clone(&self.cx)));
        None
    }

    /// The leadership was taken, or could not be.
    pub(super) fn taken(&mut self, taken: Result<()>) {
        self.lead.taking = false;
        let hurdle = taken.as_ref().err();
        let hurdle = hurdle.map(|error| (error.kind(), error.message().into()));
        self.cx.leading.set_hurdle(hurdle);
        match taken {
            Ok(()) => tracing::info!("leading the group"),
            Err(error) => {
                tracing::warn!(%error, "the leadership could not be taken");
                self.lead.again = Some(Instant::now() + self.lead.pause(self.cx.dice.jitter()));
            }
        }
    }
}

impl Lead {
    /// `jitter` is 0..1.
    fn pause(&mut self, jitter: f64) -> Duration {
        let doubled = TAKE_AGAIN.0.saturating_mul(1 << self.quarrels.min(10));
        self.quarrels += 1;
        doubled.min(TAKE_AGAIN.1).mul_f64(1.0 + jitter / 2.0)
    }
}

/// Fences the predecessor, then reads what he wrote to the end. Nobody writes for this worker meanwhile: what was looked up before is not written after.
async fn take(cx: Arc<Context>) -> Result<()> {
    let taking = async {
        let _writing = cx.writing.lock().await;
        let term = cx.leading.port.take().await?;
        cx.read_to_end().await?;
        // So that placements get greater generations than any status has. Owners say again what is not believed.
        let statuses = cx.status.log().refresh();
        if let Ok(Err(error)) = tokio::time::timeout(STATUS_MAX, statuses).await {
            tracing::warn!(%error, "the statuses could not be read to their end");
        }
        match cx.assignments.read(|now| now.topics().cloned()) {
            Some(group) => cx.settings.topics.same_as(&group)?,
            None => {
                let written = term.put(vec![agreement(&cx.settings.topics)]).await?;
                cx.assignments.reach(&written).await;
            }
        }
        // The group may have said otherwise meanwhile.
        if !cx.view().leading() {
            return Err(Error::transient("lead", "another worker leads the group"));
        }
        cx.leading.term.send_replace(Some(term));
        Ok(())
    };
    let late = |_| Error::transient("lead", "taking the leadership took too long");
    tokio::time::timeout(TAKE_MAX, taking).await.map_err(late)?
}

fn agreement(topics: &InternalTopics) -> TermEntry {
    let (key, value) = assignment::topics_record(topics);
    TermEntry {
        log: TermLog::Coordination,
        key,
        value,
        request: None,
    }
}

impl Context {
    /// Writes records of the config topic as the leader, and returns once this worker's view has read them back: where each stands.
    pub(crate) async fn put_config(
        &self,
        entries: Vec<Pair>,
        request: Option<Bytes>,
    ) -> Result<Vec<Version>> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(trouble) = self.unwritable() {
            return Err(Error::transient("put", trouble.to_string()));
        }
        let entries = entries.into_iter().map(|(key, value)| TermEntry {
            log: TermLog::Config,
            key,
            value,
            request: request.clone(),
        });
        let written = self.leading.put(entries.collect()).await?;
        self.config.reach(&written).await;
        Ok(written)
    }
    /// Writes offsets that somebody asked for, as the leader, and returns once this worker's view has read them back.
    pub(crate) async fn put_offsets(&self, entries: Vec<Pair>, request: &Bytes) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        if let Some(trouble) = self.unwritable().or_else(|| self.offsets.trouble()) {
            return Err(Error::transient("put", trouble.to_string()));
        }
        let entries = entries.into_iter().map(|(key, value)| TermEntry {
            log: TermLog::Offset,
            key,
            value,
            request: Some(request.clone()),
        });
        let written = self.leading.put(entries.collect()).await?;
        self.offsets.reach(&written).await;
        Ok(())
    }
}
