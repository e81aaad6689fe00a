//! The connection to the server and the transaction on it.

use crate::client::{Failure, Outcome, Purpose, Session, Target};
use bytes::Bytes;
use futures::SinkExt;
use longshore_sdk::Error;
use std::{
    collections::{HashMap, HashSet},
    pin::pin,
};
use tokio_postgres::{SimpleQueryMessage, Statement};

/// How long a statement waits for somebody else's lock; longer than a dead writer's transaction lives.
const LOCK_TIMEOUT_MS: u32 = 15_000;
/// Statements kept prepared; more than this are thrown away together (I6).
const STATEMENTS_MAX: usize = 200;
/// Bytes that are handed to the connection at a time.
const COPY_PART: usize = 256 * 1024;

/// A connection that is opened when it is needed.
#[derive(Debug)]
pub(super) struct Link {
    target: Target,
    purpose: Purpose,
    session: Option<Session>,
    statements: HashMap<String, Statement>,
    /// A transaction is open.
    open: bool,
    /// Staging tables that this session has.
    stages: HashSet<u32>,
    /// Staging tables that hold rows of this transaction.
    dirty: HashSet<(u32, bool)>,
    /// The column that the server named in its last error, as it put it.
    pub(super) culprit: Option<String>,
}

impl Link {
    pub(super) fn new(target: Target, purpose: Purpose) -> Self {
        Self {
            target,
            purpose,
            session: None,
            statements: HashMap::new(),
            open: false,
            stages: HashSet::new(),
            dirty: HashSet::new(),
            culprit: None,
        }
    }

    /// Whether the connection can be used.
    pub(super) fn alive(&self) -> bool {
        self.session.as_ref().is_some_and(Session::alive)
    }

    /// Whether a transaction is open.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Connects.
    pub(super) async fn connect(&mut self, op: &'static str) -> Outcome<()> {
        self.hang_up();
        let session = Box::pin(Session::open(&self.target, &self.purpose)).await?;
        let sql = format!("SET lock_timeout = {LOCK_TIMEOUT_MS}");
        session
            .bounded(op, session.client().batch_execute(&sql))
            .await?;
        self.session = Some(session);
        Ok(())
    }

    /// Lets go of the connection; what was not committed is rolled back by the server.
    pub(super) fn hang_up(&mut self) {
        self.session = None;
        self.statements.clear();
        self.stages.clear();
        self.dirty.clear();
        self.open = false;
    }

    pub(super) fn session(&self, op: &'static str) -> Outcome<&Session> {
        self.session
            .as_ref()
            .ok_or_else(|| Failure::own(Error::transient(op, "there is no connection to Postgres")))
    }

    /// Runs statements without parameters.
    pub(super) async fn run(&mut self, op: &'static str, sql: &str) -> Outcome<()> {
        self.culprit = None;
        let session = self.session(op)?;
        session
            .bounded(op, session.client().batch_execute(sql))
            .await
    }

    /// Runs statements without parameters; the first value of the last row.
    pub(super) async fn ask(&mut self, op: &'static str, sql: &str) -> Outcome<String> {
        let session = self.session(op)?;
        let answer = session
            .bounded(op, session.client().simple_query(sql))
            .await?;
        let last = answer.iter().rev().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        Ok(last.unwrap_or_default().to_owned())
    }

    /// Opens the transaction, if it is not open.
    pub(super) async fn begin(&mut self, op: &'static str) -> Outcome<()> {
        if !self.open {
            self.run(op, "BEGIN").await?;
            self.open = true;
        }
        Ok(())
    }

    /// Commits. The statement before must have succeeded: a server answers the commit of a failed transaction with a rollback, and no error.
    pub(super) async fn commit(&mut self, op: &'static str) -> Outcome<()> {
        self.dirty.clear();
        self.open = false;
        self.run(op, "COMMIT").await
    }

    /// Rolls back; a connection that cannot do that is given up.
    pub(super) async fn rollback(&mut self, op: &'static str) {
        if !self.open {
            return;
        }
        self.open = false;
        self.dirty.clear();
        // Tables that were made in the transaction are gone: they are made again if they are missing.
        self.stages.clear();
        if let Err(failure) = self.run(op, "ROLLBACK").await {
            tracing::debug!(error = %failure.error(), "a transaction could not be rolled back: the connection is given up");
            self.hang_up();
        }
    }

    /// Makes staging tables unless the session has them.
    pub(super) async fn stage(&mut self, op: &'static str, number: u32, sql: &str) -> Outcome<()> {
        if !self.stages.contains(&number) {
            self.run(op, sql).await?;
            self.stages.insert(number);
        }
        Ok(())
    }

    /// Staging tables may be gone with what was rolled back: they are made again if they are missing.
    pub(super) fn unstage(&mut self) {
        self.stages.clear();
    }

    /// Notes that a staging table is about to hold rows; true if it holds some already.
    pub(super) fn soil(&mut self, number: u32, keys: bool) -> bool {
        !self.dirty.insert((number, keys))
    }

    /// The prepared statement of `sql`.
    async fn prepared(&mut self, op: &'static str, sql: &str) -> Outcome<Statement> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let session = self.session(op)?;
        let statement = session.bounded(op, session.client().prepare(sql)).await?;
        if self.statements.len() >= STATEMENTS_MAX {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Runs one statement; says how many rows it touched.
    pub(super) async fn execute(&mut self, op: &'static str, sql: &str) -> Outcome<u64> {
        self.culprit = None;
        let statement = self.prepared(op, sql).await?;
        let session = self.session(op)?;
        session
            .bounded(op, session.client().execute(&statement, &[]))
            .await
    }

    /// Copies rows in the binary form, header and trailer included.
    pub(super) async fn copy(
        &mut self,
        op: &'static str,
        sql: &str,
        mut rows: Bytes,
    ) -> Outcome<u64> {
        self.culprit = None;
        let statement = self.prepared(op, sql).await?;
        let session = self.session(op)?;
        let (mut culprit, mut begun) = (None, false);
        let call = async {
            let copied = async {
                let mut sink = pin!(session.client().copy_in::<_, Bytes>(&statement).await?);
                begun = true;
                while !rows.is_empty() {
                    let part = rows.split_to(rows.len().min(COPY_PART));
                    sink.send(part).await?;
                }
                sink.finish().await
            };
            let copied = copied.await;
            if let Err(error) = &copied {
                culprit = error
                    .as_db_error()
                    .and_then(|error| error.where_())
                    .and_then(column);
            }
            copied
        };
        let done = session.bounded(op, Box::pin(call)).await;
        if done.is_err() && !begun {
            // The client library counts one answer too few when a copy fails before it begins: every answer behind it would be taken for
            // the one before, a rollback's for a commit's.
            self.hang_up();
        }
        self.culprit = culprit;
        done
    }
}

/// What stands behind the column's name in `COPY t, line 3, column c`.
fn column(place: &str) -> Option<String> {
    let line = place.lines().next()?;
    let (_, column) = line.split_once(", column ")?;
    Some(column.to_owned())
}
