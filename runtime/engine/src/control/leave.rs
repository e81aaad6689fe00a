//! A worker that shuts down says so to the leader, so that others take its tasks while it is still there.

use super::{
    Control, ControlError, ControlErrorKind,
    command::{Command, Done, Miss},
    forward::read,
};
use bytes::Bytes;
use longshore_sdk::ErrorKind;
use std::{sync::Arc, time::Duration};

/// How often it is said. Who comes to lead does not know it from its predecessor.
const SAY_AGAIN: Duration = Duration::from_secs(1);
/// How long an answer is waited for: somebody else may lead by then.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// So many refusals in a row are not for a session key that is being replaced: the leader does not know this command.
const REFUSALS_MAX: u32 = 2;

impl Control {
    /// Says to whoever leads that this worker is about to leave, again and again. Returns once that is of no use: nobody stays who could take its tasks,
    /// or the leader is of a version that does not know of it.
    pub(crate) async fn take_leave(&self) {
        let me = self.cx.view().me;
        let command = Arc::new(Command::Leave {
            worker: me.worker_id.clone(),
            incarnation: me.incarnation.clone(),
        });
        let request = Bytes::from(uuid::Uuid::new_v4().to_string());
        let mut view = self.cx.membership.view();
        let mut leading = self.cx.leading.changes();
        let mut refusals = 0;
        loop {
            view.borrow_and_update();
            leading.borrow_and_update();
            let said = self.say_leave(&command, &request, &mut refusals);
            let said = tokio::time::timeout(ANSWER_MAX, said).await;
            let late = |_| Err(Miss::Again("the leader does not answer".to_owned()));
            match said.unwrap_or_else(late) {
                Err(Miss::Refused(error)) => {
                    tracing::info!(reason = %error.message, "tasks are not handed over");
                    return;
                }
                Err(Miss::Again(why)) if refusals >= REFUSALS_MAX => {
                    tracing::info!(reason = why, "tasks are not handed over");
                    return;
                }
                Err(Miss::Again(why)) => tracing::debug!(why, "the leader is told again"),
                Ok(_) => {}
            }
            tokio::select! {
                Ok(()) = view.changed() => {}
                Ok(()) = leading.changed() => {}
                () = tokio::time::sleep(SAY_AGAIN) => {}
            }
        }
    }

    async fn say_leave(
        &self,
        command: &Arc<Command>,
        request: &Bytes,
        refusals: &mut u32,
    ) -> Result<Done, Miss> {
        let view = self.cx.view();
        let Some(leader) = &view.leader else {
            return Err(Miss::Again("there is no leader now".to_owned()));
        };
        if *leader == view.me {
            return self.here(command, request).await;
        }
        match self.call(command, request, &view.me, leader).await? {
            Ok(answer) => {
                *refusals = 0;
                read(&answer, leader)
            }
            Err(error) => {
                let refused = error.kind() == ErrorKind::Auth;
                *refusals = if refused { *refusals + 1 } else { 0 };
                Err(Miss::Again(error.to_string()))
            }
        }
    }

    /// As the leader: its tasks are placed elsewhere from now on.
    pub(super) fn do_leave(&self, worker: &str, incarnation: &str) -> Result<Done, Miss> {
        let others = self
            .cx
            .departures
            .note(worker, incarnation, &self.cx.view());
        self.cx.requests.look_again();
        if others {
            return Ok(Done::at(Vec::new()));
        }
        let text = "no other worker stays in the group";
        Err(ControlError::new(ControlErrorKind::Conflict, text).into())
    }
}
