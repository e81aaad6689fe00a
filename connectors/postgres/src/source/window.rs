//! Nothing is lost to transactions that commit late.
//!
//! A cursor over a column passes a row that is not committed yet: id 5 is taken, id 6 is committed and read, then 5 is committed. No lag in
//! time helps, a transaction may be open for an hour. So rows are read only up to a bound that no open transaction can still write below:
//!
//! 1. Look up a bound: the highest id that can be seen, or the latest time (before the server's clock less a margin: what a bad clock dates
//!    into the future must not carry the cursor there).
//! 2. *After* that, take down which transactions are open in this database (`pg_locks`: every transaction holds its own id from its first to
//!    its last moment, prepared ones included). Who might write below the bound took its id, or its `now()`, before the bound was seen,
//!    so it is over and visible, or it is on this list.
//! 3. When all of the list are over, every row below the bound is committed or never will be: read up to it. A transaction gives up
//!    its locks after its rows have become visible.
//!
//! With no transaction open, step 3 follows at once: the price is one look at `pg_locks` in each poll. Rows are read in the cursor's order and
//! once, the stored offset is the cursor alone, indexes are used, and nothing is read twice. The rule of `pg_snapshot_xmin` waits for all
//! transactions of all databases that have written; this one waits for those of this database only, and for those, too, that have taken an id or a
//! time but not locked a table to write yet. These cannot be told from readers, so they are waited for during `longshore.late.commits.idle.ms`
//! from when they were first seen: an analyst's long SELECT delays rows once, and for so long at most.
//!
//! A standby does not see the primary's locks. There, and where `pg_locks` may not be read, `pg_snapshot_xmin` decides: rows up to the bound
//! are read when the oldest open transaction is one that began to write after the bound was seen. Who has taken an id or a time by then, but
//! has not written yet, is not waited for there.
//!
//! What remains: ids that a program takes long before it opens its transaction (a sequence with CACHE, an allocator that takes
//! blocks), and timestamps that a program's own clock sets. `timestamp.delay.interval.ms` is for the latter.

use super::cursor::Upper;
use crate::client::{Outcome, Session};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;
use tokio_postgres::{
    error::SqlState,
    types::{ToSql, Type},
};

/// Sessions of this source never write: they do not wait for each other.
pub(super) const APPLICATION: &str = "longshore-source";

/// Who has an id writes, and who has locked a table as INSERT, UPDATE and DELETE do: a long INSERT .. SELECT has its `now()`, but takes an id with
/// its first row only. VACUUM locks indexes in that mode: they are nobody's rows.
const OPEN: &str = "SELECT l.virtualtransaction, bool_or(l.locktype <> 'virtualxid'), max(l.pid) \
    FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid \
    LEFT JOIN pg_prepared_xacts p ON l.pid IS NULL AND p.transaction = l.transactionid \
    LEFT JOIN pg_class c ON l.locktype = 'relation' AND c.oid = l.relation AND c.oid >= 16384 AND c.relkind IN ('r', 'p', 'v', 'f') \
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
    WHERE l.granted AND (l.locktype IN ('virtualxid', 'transactionid') AND l.mode = 'ExclusiveLock' \
    OR c.oid IS NOT NULL AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock')) \
    AND l.pid IS DISTINCT FROM pg_backend_pid() \
    AND coalesce(a.datname, p.database, current_database()) = current_database() \
    AND coalesce(a.backend_type, '') <> 'autovacuum worker' \
    AND coalesce(a.application_name, '') NOT LIKE $1 || '%' GROUP BY 1";

const HORIZON: &str =
    "SELECT pg_snapshot_xmin(s)::text, pg_snapshot_xmax(s)::text FROM pg_current_snapshot() s";

const CLOCK: &str =
    "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8, pg_is_in_recovery()";

/// How often a bound that waits is mentioned.
const MENTION: Duration = Duration::from_secs(60);

/// A bound, and for whom it waits.
#[derive(Debug)]
pub(super) struct Fence {
    pub(super) upto: Upper,
    waits: Waits,
    since: Instant,
    mentioned: Instant,
}

#[derive(Debug, PartialEq)]
enum Waits {
    /// For these transactions.
    Open(HashSet<Arc<str>>),
    /// Until no transaction before this one is open.
    Horizon(u64),
}

/// The transactions that are open, as one look at the server found them.
#[derive(Debug)]
pub(super) enum Sight {
    /// By their virtual ids.
    Open(HashMap<Arc<str>, Writer>),
    /// The oldest that has written and is open, and the next to come.
    Horizon { oldest: u64, next: u64 },
}

/// What is known of an open transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer {
    /// Whether it has written something, or has locked a table to write, whatever table.
    writes: bool,
    /// Its process; 0 for a prepared one.
    pid: i32,
    first_seen: Instant,
}

/// The looks at the server, and what has to be remembered between them.
#[derive(Debug)]
pub(super) struct Transactions {
    idle_max: Duration,
    by_horizon: bool,
    known: HashMap<Arc<str>, Writer>,
    /// Transactions without a process that the last look was the first to see.
    newly_prepared: Vec<Arc<str>>,
}

impl Transactions {
    pub(super) fn new(idle_max: Duration) -> Self {
        Self {
            idle_max,
            by_horizon: false,
            known: HashMap::new(),
            newly_prepared: Vec::new(),
        }
    }

    /// The server's clock in microseconds since the Unix epoch. Learns whether the server is a standby: each session begins with it.
    pub(super) async fn clock(&mut self, session: &Session) -> Outcome<i64> {
        let client = session.client();
        let asked = client.query_typed(CLOCK, &[]);
        let rows = session.bounded("poll", asked).await?;
        let Some(row) = rows.first() else {
            return Ok(0);
        };
        // A standby that becomes a primary has new sessions: only the way there matters.
        self.by_horizon |= row.get::<_, bool>(1);
        Ok(row.get(0))
    }

    /// Looks which transactions are open.
    pub(super) async fn look(&mut self, session: &Session) -> Outcome<Sight> {
        let client = session.client();
        if !self.by_horizon {
            let application: [(&(dyn ToSql + Sync), Type); 1] = [(&APPLICATION, Type::TEXT)];
            let asked = client.query_typed(OPEN, &application);
            match session.bounded("poll", asked).await {
                Ok(rows) => {
                    let open = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2)));
                    return Ok(Sight::Open(self.seen(open.collect(), Instant::now())));
                }
                Err(failure) if failure.is(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                    tracing::warn!(error = %failure.error(), "pg_locks cannot be read: pg_snapshot_xmin decides up to where rows are read");
                    self.by_horizon = true;
                }
                Err(failure) => return Err(failure),
            }
        }
        let rows = session
            .bounded("poll", client.query_typed(HORIZON, &[]))
            .await?;
        let number = |at: usize| {
            let text: Option<&str> = rows.first().and_then(|row| row.get(at));
            text.and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        Ok(Sight::Horizon {
            oldest: number(0),
            next: number(1),
        })
    }

    /// Remembers when each open transaction was first seen, and forgets those that are over.
    fn seen(
        &mut self,
        open: Vec<(String, bool, Option<i32>)>,
        now: Instant,
    ) -> HashMap<Arc<str>, Writer> {
        let former = std::mem::take(&mut self.known);
        self.newly_prepared.clear();
        for (id, writes, pid) in open {
            let id: Arc<str> = id.into();
            let first_seen = former.get(&id).map_or(now, |writer| writer.first_seen);
            if pid.is_none() && !former.contains_key(&id) {
                self.newly_prepared.push(id.clone());
            }
            let pid = pid.unwrap_or(0);
            let writer = Writer {
                writes,
                pid,
                first_seen,
            };
            self.known.insert(id, writer);
        }
        self.known.clone()
    }

    /// A bound that was looked up before `sight`.
    pub(super) fn fence(&self, upto: Upper, sight: &Sight) -> Fence {
        let now = Instant::now();
        let waits = match sight {
            Sight::Horizon { next, .. } => Waits::Horizon(*next),
            Sight::Open(open) => {
                let waited = open.iter().filter(|(_, writer)| self.counts(writer, now));
                Waits::Open(waited.map(|(id, _)| id.clone()).collect())
            }
        };
        Fence {
            upto,
            waits,
            since: now,
            mentioned: now,
        }
    }

    /// Whether it is waited for.
    fn counts(&self, writer: &Writer, now: Instant) -> bool {
        writer.writes || now.duration_since(writer.first_seen) < self.idle_max
    }

    /// Whether the fence's bound may be read up to, by a look that came after it.
    pub(super) fn is_open(&self, fence: &mut Fence, sight: &Sight, table: &str) -> bool {
        let now = Instant::now();
        let open = match (&mut fence.waits, sight) {
            (Waits::Horizon(next), Sight::Horizon { oldest, .. }) => *oldest >= *next,
            (Waits::Open(waited), Sight::Open(open)) => {
                let before = waited.len();
                waited.retain(|id| open.get(id).is_some_and(|writer| self.counts(writer, now)));
                if waited.len() < before {
                    // PREPARE TRANSACTION goes on under another id: who went may be who came.
                    waited.extend(self.newly_prepared.iter().cloned());
                }
                waited.is_empty()
            }
            // The way of looking has changed: the next fence knows it.
            (waits, Sight::Horizon { next, .. }) => {
                *waits = Waits::Horizon(*next);
                false
            }
            (waits, Sight::Open(open)) => {
                *waits = Waits::Open(open.keys().cloned().collect());
                false
            }
        };
        if !open && now.duration_since(fence.mentioned) >= MENTION {
            fence.mentioned = now;
            let pids = fence.waits.pids(sight);
            let seconds = now.duration_since(fence.since).as_secs();
            tracing::warn!(
                table,
                seconds,
                ?pids,
                "new rows wait for transactions that may still write rows before them"
            );
        }
        open
    }
}

impl Waits {
    fn pids(&self, sight: &Sight) -> Vec<i32> {
        let (Self::Open(waited), Sight::Open(open)) = (self, sight) else {
            return Vec::new();
        };
        let pids = waited
            .iter()
            .filter_map(|id| open.get(id))
            .map(|writer| writer.pid);
        pids.take(10).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    fn look(
        transactions: &mut Transactions,
        now: Instant,
        open: &[(&str, bool, Option<i32>)],
    ) -> Sight {
        let open = open
            .iter()
            .map(|(id, writes, pid)| ((*id).to_owned(), *writes, *pid));
        Sight::Open(transactions.seen(open.collect(), now))
    }

    #[test]
    fn a_bound_waits_for_all_that_were_open_and_for_none_that_came_later() {
        let mut transactions = Transactions::new(IDLE);
        let now = Instant::now();
        let sight = look(
            &mut transactions,
            now,
            &[("1/1", true, Some(1)), ("2/1", false, Some(2))],
        );
        let mut fence = transactions.fence(Upper::default(), &sight);
        assert!(!transactions.is_open(&mut fence, &sight, "t"));
        let sight = look(
            &mut transactions,
            now,
            &[("2/1", false, Some(2)), ("3/1", true, Some(3))],
        );
        assert!(!transactions.is_open(&mut fence, &sight, "t"));
        let sight = look(
            &mut transactions,
            now,
            &[("2/2", true, Some(2)), ("3/1", true, Some(3))],
        );
        assert!(transactions.is_open(&mut fence, &sight, "t"));
    }

    #[test]
    fn readers_are_waited_for_once_and_writers_always() {
        let mut transactions = Transactions::new(IDLE);
        let long_ago = Instant::now();
        look(
            &mut transactions,
            long_ago,
            &[("1/1", false, Some(1)), ("2/1", true, Some(2))],
        );
        // A minute later, seen from now.
        transactions.idle_max = Duration::ZERO;
        let open = [("1/1", false, Some(1)), ("2/1", true, Some(2))];
        let sight = look(&mut transactions, long_ago, &open);
        let mut fence = transactions.fence(Upper::default(), &sight);
        assert_eq!(fence.waits, Waits::Open(HashSet::from(["2/1".into()])));
        // One that writes after all, before it was given up.
        transactions.idle_max = IDLE;
        let sight = look(&mut transactions, long_ago, &[("3/1", false, Some(3))]);
        fence.waits = transactions.fence(Upper::default(), &sight).waits;
        let sight = look(&mut transactions, long_ago, &[("3/1", true, Some(3))]);
        transactions.idle_max = Duration::ZERO;
        assert!(!transactions.is_open(&mut fence, &sight, "t"));
    }

    #[test]
    fn a_prepared_transaction_is_the_one_that_went() {
        let mut transactions = Transactions::new(IDLE);
        let now = Instant::now();
        let sight = look(
            &mut transactions,
            now,
            &[("1/1", false, Some(1)), ("-1/5", true, None)],
        );
        let mut fence = transactions.fence(Upper::default(), &sight);
        let sight = look(&mut transactions, now, &[("-1/9", true, None)]);
        assert!(!transactions.is_open(&mut fence, &sight, "t"));
        assert_eq!(fence.waits, Waits::Open(HashSet::from(["-1/9".into()])));
        let sight = look(&mut transactions, now, &[]);
        assert!(transactions.is_open(&mut fence, &sight, "t"));
    }

    #[test]
    fn without_locks_the_horizon_decides() {
        let transactions = Transactions::new(IDLE);
        let sight = |oldest, next| Sight::Horizon { oldest, next };
        let mut fence = transactions.fence(Upper::default(), &sight(5, 9));
        assert!(!transactions.is_open(&mut fence, &sight(8, 20), "t"));
        assert!(transactions.is_open(&mut fence, &sight(9, 20), "t"));
    }
}
