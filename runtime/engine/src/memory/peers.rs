//! Calls to other workers of the same process.

use crate::{
    control::{Answered, Control},
    ports::{Member, Peers},
};
use bytes::Bytes;
use longshore_sdk::{Error, Result, erased::Boxed};
use std::{
    collections::BTreeMap,
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
}

/// The workers of a process, by their URLs. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct MemoryPeers(Arc<Mutex<Workers>>);

#[derive(Default)]
struct Workers {
    controls: BTreeMap<String, Control>,
    line: Line,
    bodies: Vec<Bytes>,
}

impl MemoryPeers {
    /// A worker answers at its URL.
    pub(crate) fn join(&self, member: &Member, control: Control) {
        let mut workers = self.0.lock().expect("no panic");
        workers.controls.insert(member.url(), control);
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
            let control = control.filter(|_| line != Line::Cut).ok_or_else(away)?;
            let keys = control.session_keys();
            if !keys.iter().any(|known| known.expose() == key) {
                let text = "the signature is refused";
                return Err(Error::new(longshore_sdk::ErrorKind::Auth, "ask", text));
            }
            let answered = control.answer(&body).await;
            match answered {
                _ if line == Line::AnswersLost => Err(away()),
                Answered::Reply(reply, _) => Ok(reply),
                Answered::Refused(why) => {
                    Err(Error::new(longshore_sdk::ErrorKind::Auth, "ask", why))
                }
            }
        })
    }
}
