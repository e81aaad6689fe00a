//! The right to write a file goes with partitions: it is taken with the first that comes to a task, and let go with the last. So two tasks of one connector
//! may be open at a time, as while it moves to another worker, and their consumer group decides which of them writes. Calls block.

use crate::{
    ledger::{Ledger, LedgerFile, Lock},
    target::{Target, appendable, folder},
};
use longshore_sdk::{Error, Result};
use std::path::PathBuf;

/// A task's claim on its file.
#[derive(Debug)]
pub(crate) struct Claim {
    path: PathBuf,
    connector: String,
    group: String,
    /// There while partitions are owned.
    target: Option<Target>,
}

impl Claim {
    /// Looks whether the file could be written; it is not taken yet. Err (Fenced): a task of another connector has it.
    pub(crate) fn new(path: PathBuf, connector: &str, group: &str) -> Result<Self> {
        let claim = Self {
            path,
            connector: connector.to_owned(),
            group: group.to_owned(),
            target: None,
        };
        folder("open", &claim.path)?;
        match LedgerFile::lock("open", &claim.path)? {
            Lock::Taken(mut ledger) => {
                appendable("open", &claim.path)?;
                ledger.read("open")?;
            }
            Lock::Held(holder) => claim.check("open", holder.as_ref())?,
        }
        Ok(claim)
    }
    /// Takes the file, if it is not taken already; `None` = another task of this connector has it. Err (Fenced): a task of another connector.
    pub(crate) fn take(&mut self) -> Result<Option<&mut Target>> {
        if self.target.is_none() {
            folder("assigned", &self.path)?;
            match LedgerFile::lock("assigned", &self.path)? {
                Lock::Taken(ledger) => {
                    let opened =
                        Target::open(self.path.clone(), ledger, &self.connector, &self.group)?;
                    self.target = Some(opened);
                }
                Lock::Held(holder) => self.check("assigned", holder.as_ref())?,
            }
        }
        Ok(self.target.as_mut())
    }
    /// The file while it is taken.
    pub(crate) fn target(&mut self, op: &'static str) -> Result<&mut Target> {
        let missing = || Error::bug(op, "a call came for partitions that the task does not own");
        self.target.as_mut().ok_or_else(missing)
    }
    /// Leaves the file as of the last flush, to whoever takes it.
    pub(crate) fn let_go(&mut self) {
        if let Some(target) = self.target.take() {
            target.close();
        }
    }
    /// The error of a file that somebody else has.
    pub(crate) fn held(&self, op: &'static str) -> Error {
        Error::fenced(
            op,
            "file: another task writes it: give every connector a file of its own",
        )
        .with("file", self.path.display())
    }
    fn check(&self, op: &'static str, holder: Option<&Ledger>) -> Result<()> {
        let other = |holder: &&Ledger| !holder.is_of(&self.connector, &self.group);
        match holder.filter(other) {
            None => Ok(()),
            Some(holder) => Err(self.held(op).with("connector", &holder.connector)),
        }
    }
}
