//! The leader's pen over memory: the last who took it writes, as on a broker.

use super::MemoryLog;
use crate::ports::{Leadership, Term, TermEntry, TermLog, Version};
use longshore_sdk::{Error, ErrorKind, Result, erased::Boxed};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

/// What becomes of a put that goes wrong; its term is over either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Written, and the answer is lost.
    AnswerLost,
    /// Not written.
    Lost,
}

/// Who may write the config log, the coordination log, and offsets that people change. Clones are the same.
#[derive(Clone)]
pub(crate) struct MemoryLeadership {
    config: MemoryLog,
    coordination: MemoryLog,
    offset: MemoryLog,
    terms: Arc<AtomicUsize>,
    faults: Arc<Mutex<VecDeque<Fault>>>,
    barred: Arc<AtomicBool>,
}

impl MemoryLeadership {
    /// Nobody may take it any more, as without the right to on a broker.
    pub(crate) fn bar(&self) {
        self.barred.store(true, SeqCst);
    }
    /// The next puts that are made for requests go wrong like this.
    pub(crate) fn plant(&self, faults: &[Fault]) {
        self.faults.lock().expect("no panic").extend(faults);
    }
    fn fault(&self, entries: &[TermEntry]) -> Option<Fault> {
        let asked_for = entries.iter().any(|entry| entry.request.is_some());
        let mut faults = self.faults.lock().expect("no panic");
        asked_for.then(|| faults.pop_front()).flatten()
    }
    pub(crate) fn new(config: MemoryLog, coordination: MemoryLog, offset: MemoryLog) -> Self {
        Self {
            config,
            coordination,
            offset,
            terms: Arc::default(),
            faults: Arc::default(),
            barred: Arc::default(),
        }
    }
}

impl MemoryLeadership {
    /// How often it was taken.
    pub(crate) fn terms(&self) -> usize {
        self.terms.load(SeqCst)
    }
}

impl Leadership for MemoryLeadership {
    fn take(&self) -> Boxed<'_, Result<Arc<dyn Term>>> {
        if self.barred.load(SeqCst) {
            let error = Error::new(ErrorKind::Auth, "lead", "not allowed here");
            return Box::pin(std::future::ready(Err(error)));
        }
        let term = MemoryTerm {
            of: self.clone(),
            number: self.terms.fetch_add(1, SeqCst) + 1,
        };
        Box::pin(std::future::ready(Ok(Arc::new(term) as Arc<dyn Term>)))
    }
}

struct MemoryTerm {
    of: MemoryLeadership,
    number: usize,
}

impl Term for MemoryTerm {
    fn put(&self, entries: Vec<TermEntry>) -> Boxed<'_, Result<Vec<Version>>> {
        Box::pin(async move {
            self.of.config.present().await;
            if self.of.terms.load(SeqCst) != self.number {
                return Err(Error::fenced("put", "another has taken the leadership"));
            }
            let fault = self.of.fault(&entries);
            if fault == Some(Fault::Lost) {
                return Err(Error::transient("put", "planted: not written"));
            }
            let mut versions = Vec::new();
            for entry in entries {
                let log = match entry.log {
                    TermLog::Config => &self.of.config,
                    TermLog::Coordination => &self.of.coordination,
                    TermLog::Offset => &self.of.offset,
                };
                let entry = (entry.key, entry.value, entry.request);
                versions.extend(log.append_for(vec![entry]));
            }
            if fault.is_some() {
                return Err(Error::transient("put", "planted: written, perhaps"));
            }
            Ok(versions)
        })
    }
}
