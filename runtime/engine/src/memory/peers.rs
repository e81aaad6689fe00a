//! Calls to other workers of the same process.

use crate::{
    control::{Answered, Control},
    ports::{Member, Peers},
};
use bytes::Bytes;
use longshore_sdk::{Error, Result, erased::Boxed};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

/// How calls get through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Line {
    #[default]
    Whole,
    /// Nothing gets through.
    Cut,
    /// The call gets through, the answer does not.
    AnswersLost,
    /// Who is called does not know what it is asked.
    Foreign,
}

/// The workers of a process, by their URLs. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct MemoryPeers(Arc<Mutex<Workers>>);

#[derive(Default)]
struct Workers {
    controls: BTreeMap<String, Control>,
    /// They take calls, and never answer.
    silent: BTreeSet<String>,
    line: Line,
    bodies: Vec<Bytes>,
}

impl MemoryPeers {
    /// A worker answers at its URL.
    pub(crate) fn join(&self, member: &Member, control: Control) {
        let mut workers = self.0.lock().expect("no panic");
        workers.controls.insert(member.url(), control);
    }
    /// Nobody answers at its URL any more.
    pub(crate) fn leave(&self, worker_id: &str) {
        let mut workers = self.0.lock().expect("no panic");
        workers.controls.remove(&format!("http://{worker_id}"));
    }
    /// A worker takes calls and does not answer, or does again.
    pub(crate) fn silence(&self, worker_id: &str, silent: bool) {
        let mut workers = self.0.lock().expect("no panic");
        let url = format!("http://{worker_id}");
        match silent {
            true => drop(workers.silent.insert(url)),
            false => drop(workers.silent.remove(&url)),
        }
    }
    fn is_silent(&self, to: &Member) -> bool {
        let workers = self.0.lock().expect("no panic");
        workers.silent.contains(&to.url())
    }
    /// How calls get through from now on.
    pub(crate) fn set(&self, line: Line) {
        self.0.lock().expect("no panic").line = line;
    }
    /// What was sent so far.
    pub(crate) fn bodies(&self) -> Vec<Bytes> {
        self.0.lock().expect("no panic").bodies.clone()
    }
    fn look(&self, to: &Member, body: &Bytes) -> (Option<Control>, Line) {
        let mut workers = self.0.lock().expect("no panic");
        workers.bodies.push(body.clone());
        (workers.controls.get(&to.url()).cloned(), workers.line)
    }
}

impl Peers for MemoryPeers {
    fn ask<'a>(&'a self, to: &'a Member, key: &'a [u8], body: Bytes) -> Boxed<'a, Result<Bytes>> {
        Box::pin(async move {
            let away = || Error::transient("ask", format!("nobody answers at {}", to.url()));
            let (control, line) = self.look(to, &body);
            if self.is_silent(to) {
                std::future::pending::<()>().await;
            }
            let control = control.filter(|_| line != Line::Cut).ok_or_else(away)?;
            let refused = |why: &str| Err(Error::new(longshore_sdk::ErrorKind::Auth, "ask", why));
            if line == Line::Foreign {
                return refused("it cannot be read");
            }
            let keys = control.session_keys();
            if !keys.iter().any(|known| known.expose() == key) {
                return refused("the signature is refused");
            }
            let answered = control.answer(&body).await;
            match answered {
                _ if line == Line::AnswersLost => Err(away()),
                Answered::Reply(reply, _) => Ok(reply),
                Answered::Refused(why) => refused(why),
            }
        })
    }
}
