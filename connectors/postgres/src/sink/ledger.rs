//! The ledger: where each partition goes on, in a table beside the rows, moved in the rows' own transaction.
//!
//! A row belongs to a partition of a consumer group. Whoever opens a task *claims* its partitions: the epoch goes up, the former
//! holder's connection is ended. A flush compares and sets: only with the epoch of its claim, and only from the offset that it knows,
//! does it move on. So neither a worker that slept through its own replacement, nor a transaction that was thought dead, can write twice.

use super::link::Link;
use crate::client::{Failure, Outcome, Session, TableName, quote};
use longshore_sdk::{Error, TopicOffsets, TopicPartition};
use std::{collections::BTreeMap, sync::Arc};
use tokio_postgres::{
    error::SqlState,
    types::{ToSql, Type},
};

/// The table's name.
pub(crate) const TABLE: &str = "longshore_offsets";

/// A claimed partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    epoch: i64,
    /// The next offset as the ledger has it; `None`: nothing was ever written of this partition.
    pub(super) next: Option<i64>,
}

/// The partitions of one task, as the ledger has them.
#[derive(Debug)]
pub(super) struct Ledger {
    group: Arc<str>,
    /// The table in SQL, once it is known to be there.
    table: Option<String>,
    pub(super) claims: BTreeMap<TopicPartition, Claim>,
}

/// The columns of the statements' lists: topics, partitions, epochs, former offsets, new offsets.
#[derive(Debug, Default)]
struct Lists {
    topics: Vec<String>,
    partitions: Vec<i32>,
    epochs: Vec<i64>,
    former: Vec<Option<i64>>,
    next: Vec<Option<i64>>,
}

impl Lists {
    fn push(&mut self, at: &TopicPartition, claim: Option<&Claim>, next: Option<i64>) {
        self.topics.push(at.topic.to_string());
        self.partitions.push(at.partition);
        self.epochs.push(claim.map_or(0, |claim| claim.epoch));
        self.former.push(claim.and_then(|claim| claim.next));
        self.next.push(next);
    }
}

/// Statements that make the table: shown to those who have to run them themselves.
pub(crate) fn definition(table: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (consumer_group text NOT NULL, topic text NOT NULL, partition integer NOT NULL, \
         next_offset bigint, epoch bigint NOT NULL, pid integer, backend_start timestamptz, updated_at timestamptz NOT NULL DEFAULT now(), \
         PRIMARY KEY (consumer_group, topic, partition))"
    )
}

impl Ledger {
    pub(super) fn new(group: Arc<str>) -> Self {
        Self {
            group,
            table: None,
            claims: BTreeMap::new(),
        }
    }

    /// Finds the table, or makes it.
    async fn table(&mut self, link: &Link, op: &'static str) -> Outcome<String> {
        if let Some(table) = &self.table {
            return Ok(table.clone());
        }
        let session = link.session(op)?;
        let table = match find(session, op).await? {
            Some(table) => table,
            None => {
                // Two tasks may make it at once: whoever comes second finds it.
                let made = session
                    .bounded(op, session.client().batch_execute(&definition(TABLE)))
                    .await;
                match (find(session, op).await?, made) {
                    (Some(table), _) => table,
                    (None, Err(failure)) => return Err(not_made(session, &failure)),
                    (None, Ok(())) => {
                        return Err(Failure::own(Error::config(
                            op,
                            "the ledger's table cannot be seen: no schema of the search path is there; set currentSchema in connection.url",
                        )));
                    }
                }
            }
        };
        Ok(self.table.insert(table).clone())
    }

    /// Claims partitions: from now on nobody else can move their offsets. Says where they go on; a partition that was never written is left out.
    pub(super) async fn claim(
        &mut self,
        link: &Link,
        at: &[TopicPartition],
    ) -> Outcome<TopicOffsets> {
        const OP: &str = "assigned";
        let table = self.table(link, OP).await?;
        let mut sorted: Vec<_> = at.iter().collect();
        // Two tasks that claim the same rows wait for each other in the same order.
        sorted.sort();
        sorted.dedup();
        let mut lists = Lists::default();
        for at in sorted {
            lists.push(at, None, None);
        }
        let session = link.session(OP)?;
        self.end_former(session, &table, &lists).await;
        // A first epoch of its own: a row that was deleted and made again must not look like the old one to a holder of the old one.
        let sql = format!(
            "INSERT INTO {table} AS l (consumer_group, topic, partition, epoch, pid, backend_start) \
             SELECT $1, u.topic, u.partition, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, pg_backend_pid(), \
               (SELECT a.backend_start FROM pg_stat_activity AS a WHERE a.pid = pg_backend_pid()) \
             FROM unnest($2::text[], $3::integer[]) WITH ORDINALITY AS u(topic, partition, turn) ORDER BY u.turn \
             ON CONFLICT (consumer_group, topic, partition) DO UPDATE \
             SET epoch = l.epoch + 1, pid = excluded.pid, backend_start = excluded.backend_start, updated_at = now() \
             RETURNING l.topic, l.partition, l.next_offset, l.epoch"
        );
        let group: &str = &self.group;
        let parameters: [(&(dyn ToSql + Sync), Type); 3] = [
            (&group, Type::TEXT),
            (&lists.topics, Type::TEXT_ARRAY),
            (&lists.partitions, Type::INT4_ARRAY),
        ];
        let call = session.client().query_typed(&sql, &parameters);
        let rows = session
            .bounded(OP, call)
            .await
            .map_err(|failure| self.gone(failure))?;
        let mut start = TopicOffsets::new();
        for row in rows {
            let at = TopicPartition::new(row.get::<_, String>(0), row.get(1));
            let claim = Claim {
                next: row.get(2),
                epoch: row.get(3),
            };
            self.claims.insert(at.clone(), claim);
            if let Some(next) = claim.next {
                start.insert(at, next);
            }
        }
        Ok(start)
    }

    /// Claims again what is claimed, on a new connection. An error of kind Fenced: somebody else has it now.
    pub(super) async fn renew(&mut self, link: &Link, op: &'static str) -> Outcome<()> {
        if self.claims.is_empty() {
            return Ok(());
        }
        let table = self.table(link, op).await?;
        let mut lists = Lists::default();
        for (at, claim) in &self.claims {
            lists.push(at, Some(claim), None);
        }
        let session = link.session(op)?;
        self.end_former(session, &table, &lists).await;
        let sql = format!(
            "UPDATE {table} AS l SET epoch = l.epoch + 1, pid = pg_backend_pid(), updated_at = now(), \
               backend_start = (SELECT a.backend_start FROM pg_stat_activity AS a WHERE a.pid = pg_backend_pid()) \
             FROM unnest($2::text[], $3::integer[], $4::bigint[], $5::bigint[]) AS u(topic, partition, epoch, former) \
             WHERE l.consumer_group = $1 AND l.topic = u.topic AND l.partition = u.partition \
               AND l.epoch = u.epoch AND l.next_offset IS NOT DISTINCT FROM u.former"
        );
        let renewed = self
            .compare_and_set(session, op, &sql, &lists, false)
            .await?;
        if renewed != lists.topics.len() as u64 {
            return Err(fenced(op));
        }
        for claim in self.claims.values_mut() {
            claim.epoch += 1;
        }
        Ok(())
    }

    /// Whether the claims still stand. An error of kind Fenced: they do not.
    pub(super) async fn confirm(&mut self, link: &Link, op: &'static str) -> Outcome<()> {
        let table = self.table(link, op).await?;
        let mut lists = Lists::default();
        for (at, claim) in &self.claims {
            lists.push(at, Some(claim), None);
        }
        let sql = format!(
            "SELECT 1 FROM {table} AS l JOIN unnest($2::text[], $3::integer[], $4::bigint[], $5::bigint[]) AS u(topic, partition, epoch, former) \
             ON l.consumer_group = $1 AND l.topic = u.topic AND l.partition = u.partition AND l.epoch = u.epoch"
        );
        let standing = self
            .compare_and_set(link.session(op)?, op, &sql, &lists, false)
            .await?;
        if standing == lists.topics.len() as u64 {
            Ok(())
        } else {
            Err(fenced(op))
        }
    }

    /// Moves offsets within the open transaction. An error of kind Fenced: somebody else has a partition now, or has moved it.
    pub(super) async fn advance(&mut self, link: &Link, upto: &TopicOffsets) -> Outcome<()> {
        const OP: &str = "flush";
        let table = self.table(link, OP).await?;
        let mut lists = Lists::default();
        for (at, next) in upto {
            let Some(claim) = self.claims.get(at) else {
                let error = Error::bug(OP, "offsets of a partition that was never assigned")
                    .with("partition", at);
                return Err(Failure::own(error));
            };
            lists.push(at, Some(claim), Some(*next));
        }
        let mine = if longshore_sdk::mutant!("ledger-fence-loose") {
            "l.epoch >= u.epoch"
        } else {
            "l.epoch = u.epoch AND l.next_offset IS NOT DISTINCT FROM u.former"
        };
        let sql = format!(
            "UPDATE {table} AS l SET next_offset = u.next, updated_at = now() \
             FROM unnest($2::text[], $3::integer[], $4::bigint[], $5::bigint[], $6::bigint[]) AS u(topic, partition, epoch, former, next) \
             WHERE l.consumer_group = $1 AND l.topic = u.topic AND l.partition = u.partition AND {mine}"
        );
        let session = link.session(OP)?;
        let moved = self
            .compare_and_set(session, OP, &sql, &lists, true)
            .await?;
        // I4: a row that is not as this task left it belongs to somebody else.
        if moved != lists.topics.len() as u64 {
            return Err(fenced(OP));
        }
        Ok(())
    }

    /// The offsets are durable.
    pub(super) fn advanced(&mut self, upto: &TopicOffsets) {
        for (at, next) in upto {
            if let Some(claim) = self.claims.get_mut(at) {
                claim.next = Some(*next);
            }
        }
    }

    /// Gives partitions up, so that their next owner leaves this connection alone.
    pub(super) async fn release(&mut self, link: &Link, at: &[TopicPartition]) {
        const OP: &str = "revoked";
        let mut lists = Lists::default();
        for at in at {
            if let Some(claim) = self.claims.remove(at) {
                lists.push(at, Some(&claim), None);
            }
        }
        let (Some(table), false) = (&self.table, lists.topics.is_empty()) else {
            return;
        };
        let sql = format!(
            "UPDATE {table} AS l SET pid = NULL, backend_start = NULL \
             FROM unnest($2::text[], $3::integer[], $4::bigint[], $5::bigint[]) AS u(topic, partition, epoch, former) \
             WHERE l.consumer_group = $1 AND l.topic = u.topic AND l.partition = u.partition AND l.epoch = u.epoch"
        );
        let released = match link.session(OP) {
            Ok(session) => self
                .compare_and_set(session, OP, &sql, &lists, false)
                .await
                .map(drop),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = released {
            tracing::debug!(error = %failure.error(), "partitions are given up without a note in the ledger");
        }
    }

    async fn compare_and_set(
        &self,
        session: &Session,
        op: &'static str,
        sql: &str,
        lists: &Lists,
        next: bool,
    ) -> Outcome<u64> {
        let group: &str = &self.group;
        let mut parameters: Vec<(&(dyn ToSql + Sync), Type)> = vec![
            (&group, Type::TEXT),
            (&lists.topics, Type::TEXT_ARRAY),
            (&lists.partitions, Type::INT4_ARRAY),
            (&lists.epochs, Type::INT8_ARRAY),
            (&lists.former, Type::INT8_ARRAY),
        ];
        if next {
            parameters.push((&lists.next, Type::INT8_ARRAY));
        }
        let call = session.client().execute_typed(sql, &parameters);
        session
            .bounded(op, call)
            .await
            .map_err(|failure| self.gone(failure))
    }

    /// Ends the connections that hold these rows: what they have not committed is rolled back before the claim is taken. Where the right to
    /// do that is missing, the server's own timeouts end them.
    async fn end_former(&self, session: &Session, table: &str, lists: &Lists) {
        const OP: &str = "assigned";
        let sql = format!(
            "SELECT DISTINCT a.pid, pg_terminate_backend(a.pid) FROM {table} AS l \
             JOIN unnest($2::text[], $3::integer[]) AS u(topic, partition) ON l.topic = u.topic AND l.partition = u.partition \
             JOIN pg_stat_activity AS a ON a.pid = l.pid AND a.backend_start = l.backend_start \
             WHERE l.consumer_group = $1 AND a.pid <> pg_backend_pid()"
        );
        let group: &str = &self.group;
        let parameters: [(&(dyn ToSql + Sync), Type); 3] = [
            (&group, Type::TEXT),
            (&lists.topics, Type::TEXT_ARRAY),
            (&lists.partitions, Type::INT4_ARRAY),
        ];
        let call = session.client().query_typed(&sql, &parameters);
        match session.bounded(OP, call).await {
            Ok(ended) if ended.is_empty() => {}
            Ok(ended) => tracing::info!(
                connections = ended.len(),
                "connections of former owners are ended"
            ),
            Err(failure) => {
                tracing::warn!(error = %failure.error(), "the connection of a former owner cannot be ended: its transaction ends by timeout")
            }
        }
    }

    /// A failure that says that the table is gone: it is looked for, or made, the next time.
    fn gone(&self, failure: Failure) -> Failure {
        if failure.is(&SqlState::UNDEFINED_TABLE) {
            let text = format!(
                "the table {TABLE} was dropped while tasks wrote: the task is opened again, and goes on at the group's committed offsets"
            );
            return Failure::own(Error::transient("flush", text));
        }
        failure
    }
}

fn fenced(op: &'static str) -> Failure {
    Failure::own(Error::fenced(
        op,
        "the ledger is not as this task left it: another task has claimed its partitions",
    ))
}

/// The ledger's table on the search path, in SQL.
pub(super) async fn find(session: &Session, op: &'static str) -> Outcome<Option<String>> {
    let sql = "SELECT n.nspname::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)";
    let name = quote(TABLE);
    let parameters: [(&(dyn ToSql + Sync), Type); 1] = [(&name, Type::TEXT)];
    let call = session.client().query_typed(sql, &parameters);
    let rows = session.bounded(op, call).await?;
    Ok(rows.first().map(|row| {
        let schema: String = row.get(0);
        TableName::new(Some(&schema), TABLE).sql()
    }))
}

/// The table is missing, and this user may not make it.
fn not_made(session: &Session, failure: &Failure) -> Failure {
    let text = format!(
        "the ledger's table {TABLE} is not there and cannot be made by user {} ({}): grant CREATE on the schema, or let somebody run: {}; \
         or set longshore.exactly.once=false",
        session.user(),
        failure.error().message(),
        definition(TABLE)
    );
    Failure::own(Error::new(failure.kind(), "assigned", text))
}
