//! Commands where they are carried out: by the leader, who writes, and by a task's owner.

use super::{
    Control, ControlError, ControlErrorKind, Extra, TargetState,
    command::{Command, Done, Miss},
    read::numbers,
    write::patched,
};
use crate::{
    ports::Version,
    supervisor::Request,
    task::TaskId,
    views::config::{
        Written,
        records::{self, Pair},
    },
};
use bytes::Bytes;
use longshore_sdk::{Error, ErrorKind, config::Flat};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::oneshot;

type Result<T = Done> = std::result::Result<T, Miss>;

impl Control {
    /// Carries a command out on this worker, or says that it may not. Dropped while it waits, it goes on: a transaction that is given up in the
    /// middle would end the leader's term.
    pub(super) async fn here(&self, command: &Arc<Command>, request: &Bytes) -> Result {
        let doing = command.doing();
        let limit = self.cx.settings.request_timeout;
        let seat = tokio::time::timeout(limit, Arc::clone(&self.calls.seats).acquire_owned());
        let Ok(Ok(seat)) = seat.await else {
            return Err(super::command::timed_out(doing).into());
        };
        let (control, command, request) = (self.clone(), Arc::clone(command), request.clone());
        let carried = tokio::spawn(async move {
            let work = Box::pin(control.carry_out(&command, &request));
            let done = tokio::time::timeout(limit, work).await;
            drop(seat);
            done.unwrap_or_else(|_| Err(super::command::timed_out(doing).into()))
        });
        carried.await.unwrap_or_else(|_| {
            let text = format!("The worker failed while it was {doing}");
            Err(ControlError::new(ControlErrorKind::Bug, text).into())
        })
    }

    async fn carry_out(&self, command: &Command, request: &Bytes) -> Result {
        if command.task().is_none() {
            self.must_lead()?;
        }
        match command {
            Command::Create {
                name,
                config,
                initial,
            } => self.do_create(name, config, *initial, request).await,
            Command::Put { name, config } => self.do_put(name, config, request).await,
            Command::Patch { name, changes } => self.do_patch(name, changes, request).await,
            Command::Delete { name } => {
                let unknown = format!("Connector {name} not found");
                self.write_once(name, unknown, records::deletion(name), request)
                    .await
            }
            Command::Stop { name } => {
                let unknown = format!("Unknown connector {name}");
                let entries = vec![
                    records::commit(name, 0),
                    records::target_state(name, TargetState::Stopped),
                ];
                self.write_once(name, unknown, entries, request).await
            }
            Command::RestartAlone { name } => self.do_restart_alone(name).await,
            Command::Restart {
                name,
                include_tasks,
                only_failed,
            } => {
                let unknown = format!("Unknown connector: {name}");
                let entries = vec![records::restart(name, *include_tasks, *only_failed)];
                self.write_once(name, unknown, entries, request).await
            }
            Command::AlterOffsets { name, offsets } => {
                let text = self.do_alter_offsets(name, offsets, request).await?;
                Ok(Done::message(text))
            }
            Command::ResetOffsets { name } => {
                let text = self.do_reset_offsets(name, request).await?;
                Ok(Done::message(text))
            }
            Command::Leave {
                worker,
                incarnation,
            } => self.do_leave(worker, incarnation),
            Command::RestartTask { name, task } => {
                self.do_restart_task(TaskId::new(name.as_str(), *task))
                    .await
            }
        }
    }

    pub(super) fn must_lead(&self) -> Result<()> {
        if self.cx.leading.is_held() {
            return Ok(());
        }
        let mut why = "the worker that is to lead has not taken over yet".to_owned();
        if let Some(hurdle) = self.cx.leading.hurdle() {
            why.push_str(": ");
            why.push_str(&hurdle);
        }
        Err(Miss::Again(why))
    }

    /// What this very request has written at an earlier try. Only whoever leads has read far enough to know that it has written nothing.
    fn earlier(&self, request: &Bytes) -> Result<Option<Written>> {
        self.must_lead()?;
        Ok(self.cx.config.read(|configs| configs.written_for(request)))
    }

    async fn do_create(
        &self,
        name: &str,
        config: &Flat,
        initial: TargetState,
        request: &Bytes,
    ) -> Result {
        if let Some(written) = self.earlier(request)? {
            return Ok(self.stored_before(name, config, written));
        }
        let x = self.judge(config).await?;
        let _writing = self.cx.writing.lock().await;
        if let Some(written) = self.earlier(request)? {
            return Ok(self.stored_before(name, config, written));
        }
        if self.cx.config.read(|configs| configs.contains(name)) {
            let text = format!("Connector {name} already exists");
            return Err(ControlError::new(ControlErrorKind::Conflict, text).into());
        }
        self.store(name, config, initial, x, request).await
    }

    async fn do_put(&self, name: &str, config: &Flat, request: &Bytes) -> Result {
        if let Some(written) = self.earlier(request)? {
            return Ok(self.stored_before(name, config, written));
        }
        if let Some(done) = self.unchanged(name, config).await? {
            return Ok(done);
        }
        let x = self.judge(config).await?;
        let _writing = self.cx.writing.lock().await;
        if let Some(written) = self.earlier(request)? {
            return Ok(self.stored_before(name, config, written));
        }
        let initial = TargetState::default();
        self.store(name, config, initial, x, request).await
    }

    async fn do_patch(
        &self,
        name: &str,
        changes: &BTreeMap<String, Option<String>>,
        request: &Bytes,
    ) -> Result {
        let unknown = || format!("Connector {name} not found");
        let mut judged: Option<(Flat, Option<Extra>)> = None;
        loop {
            if let Some(written) = self.earlier(request)? {
                let now = self.find(name, unknown)?;
                return Ok(self.stored_before(name, &now.config, written));
            }
            let config = patched(name, &self.find(name, unknown)?.config, changes)?;
            let x = match judged.take() {
                Some((same, x)) if same == config => x,
                _ => self.judge(&config).await?,
            };
            let _writing = self.cx.writing.lock().await;
            // Somebody may have written since: the patch is laid over what is there now, and that is judged anew.
            let now = self.find(name, unknown)?;
            if patched(name, &now.config, changes)? == config && self.earlier(request)?.is_none() {
                let initial = TargetState::default();
                return self.store(name, &config, initial, x, request).await;
            }
            judged = Some((config, x));
        }
    }

    /// Writes about a connector that exists, once for a request; `unknown` is said where it does not.
    async fn write_once(
        &self,
        name: &str,
        unknown: String,
        entries: Vec<Pair>,
        request: &Bytes,
    ) -> Result {
        let _writing = self.cx.writing.lock().await;
        if let Some(written) = self.earlier(request)? {
            return Ok(Done::at(vec![written.version]));
        }
        self.find(name, || unknown)?;
        Ok(Done::at(self.write(entries, request).await?))
    }

    /// Without flags the outcome is waited for.
    async fn do_restart_alone(&self, name: &str) -> Result {
        let unknown = || format!("Unknown connector: {name}");
        self.find(name, unknown)?;
        let (answer, outcome) = oneshot::channel();
        let mut leading = self.cx.leading.changes();
        let request = Request::RestartConnector(Arc::from(name), answer);
        self.cx
            .requests
            .ask(request)
            .await
            .map_err(|()| shut_down())?;
        let outcome = tokio::select! {
            outcome = outcome => outcome,
            // Who does not lead plans nothing.
            _ = leading.wait_for(Option::is_none) => {
                return Err(Miss::Again("the leader lost its part while it was asked".to_owned()));
            }
        };
        match outcome {
            Ok(Ok(())) => Ok(Done::at(Vec::new())),
            Ok(Err(_)) => {
                let text = format!("Failed to start connector: {name}");
                let error = ControlError::new(ControlErrorKind::Bug, text);
                Err(error.suggest("its status shows why").into())
            }
            // It was deleted meanwhile, or the worker shuts down.
            Err(_) => Err(ControlError::not_found(unknown()).into()),
        }
    }

    /// As the owner of the task.
    async fn do_restart_task(&self, id: TaskId) -> Result {
        let me = self.cx.view().me;
        let placed = self.cx.assignments.read(|assigned| {
            let placement = assigned.of(&id);
            placement.is_some_and(|placement| placement.is_on(&me))
        });
        let connector = self.cx.config.read(|configs| configs.get(&id.connector));
        let wanted =
            connector.is_some_and(|connector| numbers(&connector).any(|number| number == id.task));
        if !placed || !wanted {
            return Err(Miss::Again(format!(
                "the task {id} is not on the worker {} yet, or not any more",
                me.worker_id
            )));
        }
        let (answer, outcome) = oneshot::channel();
        self.cx
            .requests
            .ask(Request::RestartTask(id, answer))
            .await
            .map_err(|()| shut_down())?;
        outcome.await.map_err(|_| shut_down())?;
        Ok(Done::at(Vec::new()))
    }

    /// A PUT of what is there already. Nothing is written for it, so that nothing would tell a leader that it leads no more: it reads to the end
    /// first. Otherwise one that was away could answer "it is there" where its successor has written another config since.
    async fn unchanged(&self, name: &str, config: &Flat) -> Result<Option<Done>> {
        let same = || {
            let now = self.cx.config.read(|configs| configs.get(name));
            now.filter(|now| *now.config == *config)
        };
        if same().is_none() {
            return Ok(None);
        }
        if let Err(error) = self.cx.config.refresh().await {
            return Err(Miss::Again(format!(
                "the config topic could not be read to its end: {error}"
            )));
        }
        Ok(same().map(|before| {
            let mut info = self.info_of(name, &before);
            info.x = Extra::of(&self.report(config).warnings);
            Done::stored(false, info, vec![before.version])
        }))
    }

    /// Writes a config; one that creates its connector begins in the state `initial`.
    async fn store(
        &self,
        name: &str,
        config: &Flat,
        initial: TargetState,
        x: Option<Extra>,
        request: &Bytes,
    ) -> Result {
        let (created, target) = self
            .cx
            .config
            .read(|configs| (!configs.contains(name), configs.target_of(name)));
        // A state that was written while a connector of that name was deleted is not this one's.
        let differs = created && initial != target.unwrap_or_default();
        let target = differs.then(|| records::target_state(name, initial));
        let record = records::connector(name, records::entries(config));
        let entries = target.into_iter().chain([record]).collect();
        let versions = self.write(entries, request).await?;
        let mut info = self.info_with(name, config);
        if created {
            info.tasks.clear();
        }
        info.x = x;
        Ok(Done::stored(created, info, versions))
    }

    /// The answer of a request whose earlier try has written its config.
    fn stored_before(&self, name: &str, config: &Flat, written: Written) -> Done {
        let mut info = self.info_with(name, config);
        if written.created {
            info.tasks.clear();
        }
        info.x = Extra::of(&self.report(config).warnings);
        Done::stored(written.created, info, vec![written.version])
    }

    /// Writes as the leader. What is in doubt is tried again by whoever asked: the next term finds what was written by the request's id.
    async fn write(&self, entries: Vec<Pair>, request: &Bytes) -> Result<Vec<Version>> {
        let written = self.cx.put_config(entries, Some(request.clone())).await;
        written.map_err(|error| unwritten("config", &error))
    }
}

/// Why the leader's write to a topic does not stand, as far as it knows. `topic` is `config` or `offset`.
pub(super) fn unwritten(topic: &str, error: &Error) -> Miss {
    match error.kind() {
        // A right that is missing now is missing at the next try.
        ErrorKind::Config | ErrorKind::Data | ErrorKind::Auth => {
            let text = format!("Failed to write to {topic} topic");
            ControlError::of_log(&text, error).into()
        }
        ErrorKind::Fenced => Miss::Again("another worker has taken over the leadership".to_owned()),
        _ => {
            tracing::warn!(topic, %error, "a write of the leader is in doubt, it is looked for");
            Miss::Again(format!("the write to the {topic} topic failed: {error}"))
        }
    }
}

/// Nothing more is taken here; another worker may.
fn shut_down() -> Miss {
    Miss::Again("the worker shuts down".to_owned())
}
