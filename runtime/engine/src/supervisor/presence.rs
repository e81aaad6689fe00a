//! Whether this worker is in its group. One that is not, or cannot know, moves nothing: others may have taken over.

use super::Supervisor;
use crate::{mutant::mutant, ports::View, task::Pace, worker::Context};
use longshore_sdk::{Error, Result};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long reading what was missed may take before it is begun anew (I6).
const READ_MAX: Duration = Duration::from_secs(60);
/// How long after a failed reading it is begun anew.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// Where this worker is between its group and nowhere.
#[derive(Default)]
pub(super) struct Presence {
    away: bool,
    reading: bool,
    /// It went away while it was reading.
    stale: bool,
    /// Not before this time.
    again: Option<Instant>,
}

impl Supervisor {
    /// Some = this worker is out of its group, perhaps for a moment: its tasks pause and nothing is closed before it is known. It is back once the
    /// group lists it again and it has read, to the end, what was decided without it. The time is when to look again.
    pub(super) fn absent(&mut self, view: &View, now: Instant) -> Option<Option<Instant>> {
        let agreed = self.agrees();
        if !view.members.contains(&view.me) || !agreed {
            if !self.presence.away {
                tracing::warn!(
                    agreed,
                    "out of the group: tasks pause until this worker is listed again"
                );
            }
            self.presence.away = true;
            self.presence.stale = true;
            self.tasks
                .keys()
                .for_each(|id| self.crew.pace(id, Pace::Pause));
            return Some(None);
        }
        if !self.presence.away {
            return None;
        }
        if mutant!("resume-without-reread") {
            self.presence.away = false;
            return None;
        }
        if self.presence.reading {
            return Some(None);
        }
        if let Some(again) = self.presence.again.filter(|again| *again > now) {
            return Some(Some(again));
        }
        self.presence.reading = true;
        self.presence.stale = false;
        self.crew.read(read(Arc::clone(&self.cx)));
        Some(None)
    }

    /// Whether this worker's internal topics are those of its group, if that has any yet.
    pub(super) fn agrees(&self) -> bool {
        let topics = &self.cx.settings.topics;
        self.cx.assignments.read(|now| {
            let mut group = now.topics().into_iter();
            group.all(|group| topics.same_as(group).is_ok())
        })
    }

    /// What was missed has been read, or not.
    pub(super) fn returned(&mut self, read: Result<()>) {
        self.presence.reading = false;
        self.presence.again = None;
        match read {
            Ok(()) if self.presence.stale => {}
            Ok(()) => {
                tracing::info!("back in the group");
                self.presence.away = false;
            }
            Err(error) => {
                tracing::warn!(%error, "what was missed could not be read");
                self.presence.again = Some(Instant::now() + READ_AGAIN);
            }
        }
    }
}

async fn read(cx: Arc<Context>) -> Result<()> {
    let late = |_| Error::transient("read", "the internal topics could not be read in time");
    let read = tokio::time::timeout(READ_MAX, cx.read_to_end()).await;
    read.map_err(late)?
}
