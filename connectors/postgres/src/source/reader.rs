//! A task's one hand: it connects, looks for new rows in turn, and reads them.

use super::{
    config::{Isolation, Mode, SourceConfig},
    lane::{Lane, Subject},
    plan::Watch,
    read::{BATCH_ROWS_MAX, PAGE_ROWS, Page},
    window::{APPLICATION, Transactions},
};
use crate::client::{Purpose, Session, Target};
use longshore_sdk::{Error, ErrorKind, Result, SourceContext, SourceRecord};
use std::time::Duration;
use tokio::time::Instant;

/// How long a bound that waits for transactions is left alone, at most.
const RECHECK: Duration = Duration::from_millis(500);
/// The least distance of a time bound from the server's clock: a transaction takes its `now()` some instants before it can be seen.
const MARGIN_MS: i64 = 500;
/// Statements of version 13: `FETCH FIRST .. WITH TIES`, `pg_current_snapshot`.
const VERSION_MIN: u32 = 130_000;

/// A task's session and lanes.
pub(super) struct Reader {
    config: SourceConfig,
    target: Target,
    purpose: Purpose,
    cx: SourceContext,
    session: Option<Session>,
    pub(super) lanes: Vec<Lane>,
    /// The lane that is read, and its statement.
    page: Option<(usize, Page)>,
    /// The lane that comes next where several have rows.
    turn: usize,
    transactions: Transactions,
    watch: Option<Watch>,
}

impl Reader {
    pub(super) fn new(
        config: SourceConfig,
        target: Target,
        cx: SourceContext,
        watch: Option<Watch>,
    ) -> Self {
        let mut purpose = Purpose::read(&cx.connector, cx.task);
        purpose.application_name = format!("{APPLICATION} {}-{}", cx.connector, cx.task);
        let transactions = Transactions::new(Duration::from_millis(config.late_idle_ms));
        Self {
            config,
            target,
            purpose,
            cx,
            session: None,
            lanes: Vec::new(),
            page: None,
            turn: 0,
            transactions,
            watch,
        }
    }

    /// When there is something to do.
    pub(super) fn due(&self) -> Instant {
        let lanes = self.lanes.iter().map(|lane| match lane.ready {
            Some(_) => Instant::now(),
            None => lane.due,
        });
        let watch = self.watch.as_ref().map(Watch::due);
        let all = lanes.chain(watch).min();
        match (&self.page, all) {
            (None, Some(due)) => due,
            (None, None) => Instant::now() + Duration::from_secs(60),
            (Some(_), _) => Instant::now(),
        }
    }

    /// Does what is due, and answers with records if there are some. After an error the same records come again.
    pub(super) async fn step(&mut self) -> Result<Vec<SourceRecord>> {
        let answer = self.advance().await;
        if answer.is_err() {
            self.give_up();
        }
        answer
    }

    /// Starts over from where the lanes stand.
    fn give_up(&mut self) {
        self.page = None;
        // A bulk's transaction ends with its session.
        let bulk = self.config.mode == Mode::Bulk;
        if bulk || !self.session.as_ref().is_some_and(Session::alive) {
            self.session = None;
        }
    }

    /// Connects, if there is no session that can be used.
    pub(super) async fn connect(&mut self) -> Result<&Session> {
        if !self.session.as_ref().is_some_and(Session::alive) {
            self.page = None;
            self.session = None;
            let session = Box::pin(Session::open(&self.target, &self.purpose)).await?;
            if session.server_version() < VERSION_MIN {
                let problem =
                    "the server is older than Postgres 13: postgres-source cannot read it";
                return Err(Error::config("connect", problem));
            }
            let isolation = match self.config.isolation {
                Isolation::Default => None,
                Isolation::ReadUncommitted => Some("read uncommitted"),
                Isolation::ReadCommitted => Some("read committed"),
                Isolation::RepeatableRead => Some("repeatable read"),
                Isolation::Serializable => Some("serializable"),
            };
            if let Some(level) = isolation {
                let sql = format!("SET default_transaction_isolation = '{level}'");
                let set = session.client().batch_execute(&sql);
                session.bounded("connect", set).await?;
            }
            if self.config.mode != Mode::Bulk {
                // A page is answered for as long as its rows are taken: whoever takes them slowly is no reason to end it, and rows of one
                // time cannot be gone on from. What the server lets wait is bounded at our end.
                let set = session.client().batch_execute("SET statement_timeout = 0");
                session.bounded("connect", set).await?;
            }
            self.transactions.clock(&session).await?;
            self.session = Some(session);
        }
        self.session()
    }

    fn session(&self) -> Result<&Session> {
        let none = || Error::transient("poll", "the connection was given up");
        self.session.as_ref().ok_or_else(none)
    }

    /// The server's clock, less nothing.
    pub(super) async fn clock(&mut self) -> Result<i64> {
        let none = || Error::transient("poll", "the connection was given up");
        let session = self.session.as_ref().ok_or_else(none)?;
        Ok(self.transactions.clock(session).await?)
    }

    async fn advance(&mut self) -> Result<Vec<SourceRecord>> {
        if let Some(error) = self.page.as_mut().and_then(|(_, page)| page.failure()) {
            return Err(error);
        }
        self.connect().await?;
        let rows_max = (self.config.batch_rows as usize).min(BATCH_ROWS_MAX);
        loop {
            if self.page.is_none() {
                self.watch().await;
                if self.lanes.iter().all(|lane| lane.ready.is_none()) {
                    Box::pin(self.look()).await?;
                }
                Box::pin(self.begin()).await?;
            }
            let Some((at, page)) = &mut self.page else {
                return Ok(Vec::new());
            };
            let none = || Error::transient("poll", "the connection was given up");
            let session = self.session.as_ref().ok_or_else(none)?;
            let at = *at;
            let records = page.fill(session, &mut self.lanes[at], rows_max).await?;
            if page.ended {
                let rows = page.rows;
                self.page = None;
                self.ended(at, rows).await?;
            }
            if !records.is_empty() {
                return Ok(records);
            }
        }
    }

    /// Looks for tables that the plan does not know. An error says nothing about rows, so it only delays the next look.
    async fn watch(&mut self) {
        let (Some(watch), Some(session)) = (&mut self.watch, &self.session) else {
            return;
        };
        if watch.due() <= Instant::now() && watch.outdated(session, &self.config).await {
            self.cx.request_replan();
        }
    }

    /// Looks up bounds for the lanes whose time has come, and which of all bounds are open by now.
    async fn look(&mut self) -> Result<()> {
        let now = Instant::now();
        let mode = self.config.mode;
        let due: Vec<usize> = (0..self.lanes.len())
            .filter(|at| self.lanes[*at].due <= now)
            .collect();
        if due.is_empty() {
            return Ok(());
        }
        let clock = if mode.by_time() {
            self.clock().await? - self.config.timestamp_delay_ms.max(MARGIN_MS) * 1000
        } else {
            0
        };
        let none = || Error::transient("poll", "the connection was given up");
        let session = self.session.as_ref().ok_or_else(none)?;
        let mut bounds = Vec::new();
        for at in &due {
            let lane = &mut self.lanes[*at];
            if lane.described.is_none() {
                lane.describe(session, &self.config).await?;
            }
            let looked_up = lane.look_up(session, mode, clock).await;
            let upto = match looked_up {
                Err(error) if error.kind() == ErrorKind::Config => {
                    // A dropped table, an altered column: the description says it more clearly.
                    lane.describe(session, &self.config).await?;
                    return Err(error);
                }
                other => other?,
            };
            match upto {
                Some(upto) if mode == Mode::Bulk => lane.ready = Some(upto),
                Some(upto) if !lane.ignore_late(upto, self.config.late) => bounds.push((*at, upto)),
                _ => {}
            }
        }
        // The look at transactions comes after the bounds: see window.
        if !bounds.is_empty() || self.lanes.iter().any(Lane::waits) {
            let sight = self.transactions.look(session).await?;
            for (at, upto) in bounds {
                self.lanes[at].bounded_by(upto, &self.transactions, &sight);
            }
            for lane in &mut self.lanes {
                if lane.ready.is_none() {
                    lane.pass(&self.transactions, &sight);
                }
            }
        }
        let interval = Duration::from_millis(self.config.poll_interval_ms);
        for at in due {
            let lane = &mut self.lanes[at];
            let pause = if lane.waits() {
                interval.min(RECHECK)
            } else {
                interval
            };
            lane.due = now + pause;
        }
        Ok(())
    }

    /// Sends the statement for the next lane that may be read.
    async fn begin(&mut self) -> Result<()> {
        let count = self.lanes.len();
        let ready = |at: &usize| self.lanes[*at].ready.is_some();
        let next = (0..count)
            .map(|step| (self.turn + step) % count)
            .find(ready);
        let Some(at) = next else {
            return Ok(());
        };
        self.turn = at + 1;
        let none = || Error::transient("poll", "the connection was given up");
        let session = self.session.as_ref().ok_or_else(none)?;
        let lane = &mut self.lanes[at];
        let opened = match open(session, lane, &self.config).await {
            // Altered since it was described: once more by what it is now; where it is gone, the description says so.
            Err(error) if error.kind() == ErrorKind::Config => {
                tracing::debug!(%error, "described anew");
                lane.describe(session, &self.config).await?;
                open(session, lane, &self.config).await?
            }
            other => other?,
        };
        self.page = Some((at, opened));
        Ok(())
    }

    /// A statement was answered to its end.
    async fn ended(&mut self, at: usize, rows: u64) -> Result<()> {
        let interval = Duration::from_millis(self.config.poll_interval_ms);
        let lane = &mut self.lanes[at];
        if self.config.mode == Mode::Bulk {
            if rows == 0 {
                lane.rest(Instant::now() + interval);
                let session = self.session()?;
                let commit = session.client().batch_execute("COMMIT");
                session.bounded("poll", commit).await?;
            } else {
                let none = || Error::transient("poll", "the connection was given up");
                let session = self.session.as_ref().ok_or_else(none)?;
                let page = fetch(session, lane).await?;
                self.page = Some((at, page));
            }
        } else if rows < PAGE_ROWS || self.config.query_suffix.is_some() {
            let pause = if lane.waits() {
                interval.min(RECHECK)
            } else {
                interval
            };
            lane.rest(Instant::now() + pause);
        }
        Ok(())
    }

    /// Lets go of the server: what it still computes is cancelled.
    pub(super) async fn close(&mut self) {
        let busy = self.page.take().is_some();
        if let Some(session) = self.session.take()
            && busy
        {
            session.cancel().await;
        }
    }
}

async fn open(session: &Session, lane: &mut Lane, config: &SourceConfig) -> Result<Page> {
    // Each range begins with the columns as they are then.
    if lane.described.is_none() || !lane.begun {
        lane.describe(session, config).await?;
        lane.begun = true;
    }
    let Some(described) = &lane.described else {
        return Err(Error::bug("poll", "a described table has no description"));
    };
    let select = described.columns.select();
    let from = lane.subject.from();
    let suffix = config
        .query_suffix
        .as_deref()
        .filter(|text| !text.trim().is_empty());
    if config.mode == Mode::Bulk {
        // A cursor of the server: each of its answers is a statement of its own, so that no limit of statements ends a long export.
        let sql = format!(
            "BEGIN READ ONLY; DECLARE longshore_bulk NO SCROLL CURSOR FOR SELECT {select} FROM {from} {}",
            suffix.unwrap_or_default()
        );
        let declared = session.bounded("poll", session.client().batch_execute(&sql));
        if let Err(failure) = declared.await {
            let undo = session.client().batch_execute("ROLLBACK");
            session.bounded("poll", undo).await?;
            return Err(failure.with("read", lane.subject.shown()).into());
        }
        return fetch(session, lane).await;
    }
    let upto = lane.ready.unwrap_or_default();
    let sql = described
        .cursor
        .page((&select, &from), lane.position, upto, (PAGE_ROWS, suffix));
    Page::open(session, lane, config.mode, &sql).await
}

async fn fetch(session: &Session, lane: &Lane) -> Result<Page> {
    let sql = format!("FETCH FORWARD {} FROM longshore_bulk", BATCH_ROWS_MAX);
    Page::open(session, lane, Mode::Bulk, &sql).await
}

impl Subject {
    /// The topic that its rows go to.
    pub(super) fn topic(&self, prefix: &str) -> String {
        match self {
            Self::Table(name) => format!("{prefix}{}", name.table),
            Self::Query(_) => prefix.to_owned(),
        }
    }
}
