//! The tasks that this worker has: it alone says how they are, under the assignment that it has them by.

use super::{
    Pending, StatusView,
    records::{Key, State, Status},
};
use crate::task::TaskId;
use std::{
    collections::BTreeMap,
    sync::{MutexGuard, PoisonError},
};

/// A task of this worker.
#[derive(Default)]
pub(super) struct Own {
    generation: i32,
    /// It has moved: the new owner speaks.
    silent: bool,
    said: Option<Status>,
}

impl StatusView {
    /// This worker has a task, under an assignment generation. What it says of it carries that number.
    pub fn own(&self, id: &TaskId, generation: i32) {
        let mut all = self.owned();
        let own = all.entry(id.clone()).or_default();
        own.silent = false;
        own.generation = generation;
    }
    /// What the task says from now on is not heard: it is on its way out.
    pub fn silence(&self, id: &TaskId) {
        if let Some(own) = self.owned().get_mut(id) {
            own.silent = true;
        }
    }
    /// This worker has the task no more.
    pub fn disown(&self, id: &TaskId) {
        self.owned().remove(id);
    }
    /// This worker has let go of a task that is another's now. It is not said over what that one says, nor over a failure.
    pub fn let_go(&self, id: &TaskId, mut status: Status) {
        if let Some(own) = self.owned().remove(id) {
            status.generation = own.generation;
        }
        status.state = State::Unassigned;
        self.tell(id, status);
    }
    /// Says how a task is. The same again is not written again.
    pub fn set_task(&self, id: &TaskId, mut status: Status) {
        if let Some(own) = self.owned().get_mut(id) {
            if own.silent {
                return;
            }
            status.generation = own.generation;
            own.said = Some(status.clone());
        }
        self.tell(id, status);
    }
    /// Whether nothing was said of a task since this worker has it.
    pub fn is_unsaid(&self, id: &TaskId) -> bool {
        self.owned().get(id).is_none_or(|own| own.said.is_none())
    }
    /// Says again what was said of this worker's tasks where the topic shows somebody else's word, or an older one.
    pub fn say_again(&self) {
        let said: Vec<(TaskId, Status)> = {
            let mut all = self.owned();
            let own = all.iter_mut().filter(|(_, own)| !own.silent);
            own.filter_map(|(id, own)| {
                let said = own.said.as_mut()?;
                said.generation = own.generation;
                Some((id.clone(), said.clone()))
            })
            .collect()
        };
        for (id, status) in said {
            self.tell(&id, status);
        }
    }
    /// Whether the status topic has everything that was said of a task.
    pub fn is_written(&self, id: &TaskId) -> bool {
        let key = Key::Task(id.connector.to_string(), id.task);
        !self.pending().contains_key(&key)
    }
    /// A task's status.
    pub fn task(&self, id: &TaskId) -> Option<Status> {
        let key = Key::Task(id.connector.to_string(), id.task);
        match self.pending().get(&key) {
            Some((_, Pending::Status(status))) => Some(status.clone()),
            Some(_) => None,
            None => self.log.read(|statuses| {
                let told = statuses.tasks.get(&*id.connector)?.get(&id.task)?;
                Some(told.status.clone())
            }),
        }
    }

    fn tell(&self, id: &TaskId, status: Status) {
        let told = self.task(id);
        let news = told.is_none_or(|told| {
            let moved = told.worker_id == status.worker_id && told.generation < status.generation;
            status.replaces(&told) || moved || (told == status && self.is_overruled(id))
        });
        if news {
            let key = Key::Task(id.connector.to_string(), id.task);
            self.say(key, Pending::Status(status));
        }
    }
    fn is_overruled(&self, id: &TaskId) -> bool {
        if !self.is_written(id) {
            // It is being said already.
            return false;
        }
        self.log.read(|statuses| {
            let told = statuses.tasks.get(&*id.connector);
            told.and_then(|tasks| tasks.get(&id.task))
                .is_some_and(|told| told.overruled)
        })
    }
    fn owned(&self) -> MutexGuard<'_, BTreeMap<TaskId, Own>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
