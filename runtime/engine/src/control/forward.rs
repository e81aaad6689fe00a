//! A request goes to the worker that may carry it out: to the leader, or to a task's owner. While there is none, it waits.

use super::{
    Control, ControlError, ControlErrorKind, ControlResult,
    command::{ANSWER_IN, Call, Command, Done, Miss, Outcome, Reply},
};
use crate::ports::{Member, View};
use bytes::Bytes;
use serde::Serialize;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::Instant;

/// How long after a try in vain the next one is made, at first and at most, unless the group changes before.
const TRY_AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(400));

/// Where a command is carried out.
enum Place {
    Here,
    At(Member),
}

/// A command while it is tried.
struct Order {
    command: Arc<Command>,
    /// The same at each try: what a try in doubt has written is found by it.
    request: Bytes,
    until: Instant,
}

impl Control {
    /// Has a command carried out, and returns once this worker's config view shows what was written.
    pub(super) async fn order(&self, command: Command) -> ControlResult<Outcome> {
        let order = Order {
            command: Arc::new(command),
            request: Bytes::from(uuid::Uuid::new_v4().to_string()),
            until: Instant::now() + self.cx.settings.request_timeout,
        };
        let mut view = self.cx.membership.view();
        let mut leading = self.cx.leading.changes();
        let mut placed = self.cx.assignments.changes();
        let patience = Instant::now() + self.cx.settings.leader_wait;
        let mut pause = TRY_AGAIN.0;
        loop {
            view.borrow_and_update();
            leading.borrow_and_update();
            placed.borrow_and_update();
            let why = match self.attempt(&order).await {
                Ok(done) => return self.show(&order, done).await,
                Err(Miss::Refused(error)) => return Err(error),
                Err(Miss::Again(why)) => why,
            };
            if Instant::now() >= patience {
                return Err(ControlError::nobody_took_it(&why));
            }
            tracing::debug!(
                command = order.command.name(),
                connector = order.command.connector(),
                why,
                "not carried out yet, it is tried again"
            );
            let for_task = order.command.task().is_some();
            tokio::select! {
                Ok(()) = view.changed() => {}
                Ok(()) = leading.changed() => {}
                Ok(()) = placed.changed(), if for_task => {}
                () = tokio::time::sleep(pause) => pause = TRY_AGAIN.1.min(pause * 2),
            }
        }
    }

    async fn attempt(&self, order: &Order) -> Result<Done, Miss> {
        let view = self.cx.view();
        if let Some(trouble) = self.cx.unwritable() {
            // Nothing that is written there now would be read.
            let error = ControlError::new(ControlErrorKind::Unavailable, trouble.to_string());
            return Err(Miss::Refused(error));
        }
        match self.place(&order.command, &view)? {
            Place::Here => self.here(&order.command, &order.request).await,
            Place::At(member) => self.forward(order, &view.me, &member).await,
        }
    }

    /// Who carries it out, as far as this worker sees.
    fn place(&self, command: &Command, view: &View) -> Result<Place, Miss> {
        let again = |why: &str| Err(Miss::Again(why.to_owned()));
        let member = match command.task() {
            None => view.leader.as_ref(),
            Some(id) => {
                let placement = self
                    .cx
                    .assignments
                    .read(|assigned| assigned.of(&id).cloned());
                let Some(placement) = placement else {
                    return again("the task is not assigned to a worker yet");
                };
                let mut members = view.members.iter();
                let owner = members.find(|member| placement.is_on(member));
                if owner.is_none() {
                    return again("the task's worker has gone, another one is to take it");
                }
                owner
            }
        };
        match member {
            None => again("the group of workers elects a leader"),
            Some(member) if *member == view.me => Ok(Place::Here),
            Some(member) => Ok(Place::At(member.clone())),
        }
    }

    /// Asks another worker. It is not waited for any longer than it has the part for which it is asked.
    async fn forward(&self, order: &Order, me: &Member, to: &Member) -> Result<Done, Miss> {
        let ask = self.call(&*order.command, &order.request, me, to);
        let answer = tokio::select! {
            answer = ask => answer?,
            () = self.moved(order, to) => {
                return Err(Miss::Again(format!("the worker {} lost its part while it was asked", to.worker_id)));
            }
            () = tokio::time::sleep_until(order.until - ANSWER_IN) => {
                let text = format!("The worker {} at {} did not answer in time; the request may still be carried out", to.worker_id, to.url());
                return Err(Miss::Refused(ControlError::new(ControlErrorKind::Unavailable, text)));
            }
        };
        let answer = answer.map_err(|error| {
            tracing::warn!(worker = %to.url(), command = order.command.name(), %error, "another worker could not be asked");
            Miss::Again(error.to_string())
        })?;
        read(&answer, to)
    }

    /// Sends a command or a question to another worker and returns what it answers, for [`read`]. The inner error is of the way there.
    pub(super) async fn call(
        &self,
        command: impl Serialize + Send,
        request: &Bytes,
        me: &Member,
        to: &Member,
    ) -> Result<longshore_sdk::Result<Bytes>, Miss> {
        let key = self
            .cx
            .config
            .read(|configs| configs.session_key().cloned());
        let Some(key) = key else {
            return Err(Miss::Again(
                "the leader has not written a session key yet".to_owned(),
            ));
        };
        let call = Call {
            from: me.worker_id.clone(),
            incarnation: me.incarnation.clone(),
            number: self.calls.next.fetch_add(1, Ordering::Relaxed),
            to: to.incarnation.clone(),
            request: String::from_utf8_lossy(request).into_owned(),
            user: self.user.as_deref().unwrap_or_default().to_owned(),
            command,
        };
        let body = serde_json::to_vec(&call).map_err(|error| {
            let text = format!("The request cannot be written for another worker: {error}");
            ControlError::new(ControlErrorKind::Bug, text)
        })?;
        Ok(self.cx.peers.ask(to, key.expose(), Bytes::from(body)).await)
    }

    /// Returns once `to` is not, any more, whom the command is for.
    async fn moved(&self, order: &Order, to: &Member) {
        let mut view = self.cx.membership.view();
        let task = order.command.task();
        let gone = |view: &View| match &task {
            None => view.leader.as_ref() != Some(to),
            Some(_) => !view.members.contains(to),
        };
        if view.wait_for(gone).await.is_err() {
            // The membership has ended: this worker shuts down, and the answer comes or does not.
            std::future::pending::<()>().await;
        }
    }

    /// Read-your-writes on the worker that was asked: whoever reads here after the answer sees what it says.
    async fn show(&self, order: &Order, done: Done) -> ControlResult<Outcome> {
        let reached =
            tokio::time::timeout_at(order.until, self.cx.config.reach(&done.versions)).await;
        reached.map_err(|_| super::command::timed_out("reading back what was written"))?;
        Ok(done.outcome)
    }
}

/// What another worker answered.
pub(super) fn read(answer: &[u8], from: &Member) -> Result<Done, Miss> {
    let reply: Reply = serde_json::from_slice(answer).map_err(|_| Miss::Again(foreign(from)))?;
    reply.into()
}

/// What is said of an answer that cannot be read.
pub(super) fn foreign(from: &Member) -> String {
    format!(
        "the worker at {} answered something that this version does not know",
        from.url()
    )
}
