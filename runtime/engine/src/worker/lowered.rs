//! Tasks that deliver less than their config asks for, because the brokers do not allow it. Known to the worker that runs them.

use crate::task::TaskId;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Why, by task. Bounded by the number of this worker's tasks.
#[derive(Default)]
pub(crate) struct Lowered(Mutex<BTreeMap<TaskId, Why>>);

struct Why {
    reason: String,
    /// It is for the next opening, which then does not try again.
    next: bool,
}

impl Lowered {
    /// The task runs without transactions.
    pub(super) fn now(&self, id: &TaskId, reason: String) {
        let next = false;
        self.all().insert(id.clone(), Why { reason, next });
    }
    /// Its transactions have failed in a way that time does not mend: its next life goes without.
    pub(super) fn next(&self, id: &TaskId, reason: String) {
        let next = true;
        self.all().insert(id.clone(), Why { reason, next });
    }
    /// What the last life of the task left to this one. Forgets it: the life after this one tries again.
    pub(super) fn take(&self, id: &TaskId) -> Option<String> {
        let why = self.all().remove(id)?;
        why.next.then_some(why.reason)
    }
    /// Why any of a connector's tasks of this worker runs without transactions.
    pub(crate) fn of(&self, connector: &str) -> Option<String> {
        let all = self.all();
        let why = all.iter().find(|(id, _)| &*id.connector == connector)?.1;
        Some(why.reason.clone())
    }
    /// This worker has the task no more: how another delivers it is not known here.
    pub(crate) fn let_go(&self, id: &TaskId) {
        self.all().remove(id);
    }
    /// A connector is gone.
    pub(crate) fn forget(&self, connector: &str) {
        self.all().retain(|id, _| &*id.connector != connector);
    }
    fn all(&self) -> MutexGuard<'_, BTreeMap<TaskId, Why>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
