//! A connection with limits: every statement ends in time, and a session that did not is not used again.

use super::{
    connection::SslMode,
    failure::{Failure, Outcome},
    name::quote_literal,
    target::Target,
    tls,
};
use longshore_sdk::{Error, ErrorKind, Result};
use std::{
    future::Future,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout};
use tokio_postgres::{Client, Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long a cancel request may take; the server answers nothing to it.
const CANCEL_MAX: Duration = Duration::from_secs(5);
/// How long all attempts to connect may take together, pauses included.
const ATTEMPTS_MAX: Duration = Duration::from_secs(60);
/// A server keeps a dead writer's transaction, and so the ledger's rows, no longer than this.
const LEDGER_IDLE: Duration = Duration::from_secs(5);

/// What a session is for.
#[derive(Clone, Debug)]
pub(crate) struct Purpose {
    /// What `pg_stat_activity` shows, unless the URL names one.
    pub(crate) application_name: String,
    /// Longest statement, unless the settings say otherwise.
    pub(crate) limit: Duration,
    /// Whether an open transaction holds the ledger: then the server ends it after 5 s without a statement, and a connection whose other
    /// end is silent after 5 s.
    pub(crate) ledger: bool,
    /// Refuse to write, whatever a query says.
    pub(crate) read_only: bool,
}

impl Purpose {
    /// A sink's task.
    pub(crate) fn write(connector: &str, task: u32, ledger: bool) -> Self {
        Self {
            application_name: format!("longshore {connector}-{task}"),
            limit: Duration::from_secs(60),
            ledger,
            read_only: false,
        }
    }
    /// A source's task.
    pub(crate) fn read(connector: &str, task: u32) -> Self {
        Self {
            application_name: format!("longshore {connector}-{task}"),
            limit: Duration::from_secs(300),
            ledger: false,
            read_only: true,
        }
    }
    /// Live validation and planning: seconds.
    pub(crate) fn check() -> Self {
        Self {
            application_name: "longshore check".to_owned(),
            limit: Duration::from_secs(10),
            ledger: false,
            read_only: true,
        }
    }
}

/// A connection and the task that drives it; dropped, both end and the server rolls back.
pub(crate) struct Session {
    client: Client,
    driver: tokio::task::JoinHandle<()>,
    /// Why the connection ended, once it has.
    ended: Arc<OnceLock<String>>,
    /// A statement overran: what the server does now is unknown.
    overrun: AtomicBool,
    cancel_by: Option<MakeRustlsConnect>,
    limit: Duration,
    pid: i32,
    server_version: u32,
    database: String,
    user: String,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("pid", &self.pid)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Session {
    /// Connects, with as many attempts as the settings say; only time heals a second attempt, so other errors come at once.
    pub(crate) async fn open(target: &Target, purpose: &Purpose) -> Outcome<Self> {
        let start = Instant::now();
        let mut attempt = 1;
        loop {
            // Boxed: the futures of a handshake are large.
            let failure = match Box::pin(Self::attempt(target, purpose)).await {
                Ok(session) => {
                    tracing::debug!(server = %target, pid = session.pid(), "connected to Postgres");
                    return Ok(session);
                }
                Err(failure) => failure.with("server", target),
            };
            let again = failure.kind() == ErrorKind::Transient
                && attempt < target.attempts
                && start.elapsed() + target.backoff < ATTEMPTS_MAX;
            if !again {
                return Err(failure);
            }
            tracing::warn!(attempt, error = %failure.error(), "no connection to Postgres");
            tokio::time::sleep(target.backoff).await;
            attempt += 1;
        }
    }

    async fn attempt(target: &Target, purpose: &Purpose) -> Outcome<Self> {
        let connector = connector(target).await.map_err(Failure::own)?;
        let config = config(target, purpose);
        let ended = Arc::new(OnceLock::new());
        let limit = target.connect_timeout;
        let late = || {
            let text = format!(
                "no connection within {} ms: the server, or what stands before it, does not answer",
                limit.as_millis()
            );
            Failure::own(Error::transient("connect", text))
        };
        let start = Instant::now();
        let (client, driver) = if let Some(connector) = connector.clone() {
            let connecting = timeout(limit, config.connect(connector)).await;
            let (client, connection) = connected(connecting.map_err(|_| late())?)?;
            (client, drive(connection, ended.clone()))
        } else {
            let connecting = timeout(limit, config.connect(tokio_postgres::NoTls)).await;
            let (client, connection) = connected(connecting.map_err(|_| late())?)?;
            (client, drive(connection, ended.clone()))
        };
        let mut session = Self {
            client,
            driver,
            ended,
            overrun: AtomicBool::new(false),
            cancel_by: connector,
            limit: target.statement_timeout.unwrap_or(purpose.limit),
            pid: 0,
            server_version: 0,
            database: String::new(),
            user: String::new(),
        };
        let left = limit.saturating_sub(start.elapsed());
        timeout(left, session.prepare_session(target, purpose))
            .await
            .map_err(|_| late())??;
        Ok(session)
    }

    /// Sets what every session of ours relies on, and learns who it is. One round trip.
    async fn prepare_session(&mut self, target: &Target, purpose: &Purpose) -> Outcome<()> {
        // Behind our own limit: the server's is for the time when nobody is there to cancel.
        let statement = (self.limit + CANCEL_MAX).as_millis();
        let mut sql = format!(
            "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET bytea_output = 'hex'; \
             SET extra_float_digits = 1; SET xmloption = 'content'; SET statement_timeout = {statement}; "
        );
        if purpose.ledger {
            let idle = LEDGER_IDLE.as_millis();
            sql.push_str(&format!(
                "SET idle_in_transaction_session_timeout = {idle}; SET tcp_user_timeout = {idle}; "
            ));
        }
        if purpose.read_only {
            sql.push_str("SET default_transaction_read_only = on; ");
        }
        if let Some(path) = &target.search_path {
            sql.push_str(&format!("SET search_path = {}; ", search_path(path)));
        }
        // Since version 14: a server that computes looks whether anybody still listens.
        sql.push_str(
            "SELECT set_config(name, '5s', false) FROM pg_settings WHERE name = 'client_connection_check_interval'; \
             SELECT pg_backend_pid(), current_setting('server_version_num'), current_database(), current_user",
        );
        let answer = self.client.simple_query(&sql).await;
        let answer = answer.map_err(|error| Failure::of("connect", &error))?;
        let last = answer.iter().rev().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let text = |index: usize| last.and_then(|row| row.get(index)).unwrap_or_default();
        self.pid = text(0).parse().unwrap_or(0);
        self.server_version = text(1).parse().unwrap_or(0);
        (self.database, self.user) = (text(2).to_owned(), text(3).to_owned());
        if self.pid == 0 {
            return Err(Failure::own(Error::config(
                "connect",
                "the server does not answer as Postgres does: pg_backend_pid gives nothing",
            )));
        }
        Ok(())
    }

    /// The client, for calls inside [`Session::bounded`].
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }
    /// The process that serves this session, as `pg_stat_activity` has it.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }
    /// `server_version_num`: 150012 is version 15.12.
    pub(crate) fn server_version(&self) -> u32 {
        self.server_version
    }
    /// `current_database()`.
    pub(crate) fn database(&self) -> &str {
        &self.database
    }
    /// `current_user`.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }
    /// Whether it can be used: connected, and no statement overran.
    pub(crate) fn alive(&self) -> bool {
        !self.client.is_closed() && !self.overrun.load(Ordering::Relaxed)
    }

    /// Runs one call, or a few, of the client within the session's limit (I6). One that overruns is cancelled, and the session is dead then:
    /// what became of the statement is known to the server only, and a transaction that was open must be given up.
    pub(crate) async fn bounded<T>(
        &self,
        op: &'static str,
        call: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Outcome<T> {
        self.within(self.limit, op, call).await
    }

    /// The same within a limit of its own.
    pub(crate) async fn within<T>(
        &self,
        limit: Duration,
        op: &'static str,
        call: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Outcome<T> {
        if self.overrun.load(Ordering::Relaxed) {
            return Err(Failure::own(Error::transient(
                op,
                "a statement of this connection overran: it is not used any more",
            )));
        }
        match timeout(limit, call).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.failed(op, &error)),
            Err(_) => {
                self.overrun.store(true, Ordering::Relaxed);
                self.cancel().await;
                let text = format!(
                    "Postgres did not finish within {} ms, the statement is cancelled: a lock, or connection.statement.timeout.ms is too short",
                    limit.as_millis()
                );
                Err(Failure::own(Error::transient(op, text)))
            }
        }
    }

    /// Judges an error, with the reason for which the server ended the connection where it did.
    fn failed(&self, op: &'static str, error: &tokio_postgres::Error) -> Failure {
        let failure = Failure::of(op, error);
        match self.ended.get() {
            Some(reason) if error.is_closed() => failure.with("reason", reason),
            _ => failure,
        }
    }

    /// Asks the server to end what this session runs; it may be too late for that, and nothing tells.
    pub(crate) async fn cancel(&self) {
        let token = self.client.cancel_token();
        let asked = async {
            match &self.cancel_by {
                Some(connector) => token.cancel_query(connector.clone()).await,
                None => token.cancel_query(tokio_postgres::NoTls).await,
            }
        };
        match timeout(CANCEL_MAX, Box::pin(asked)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a statement could not be cancelled"),
            Err(_) => tracing::debug!("a statement could not be cancelled in time"),
        }
    }
}

/// `None` for connections in the clear. Certificates are files: they are read off the runtime's threads.
async fn connector(target: &Target) -> Result<Option<MakeRustlsConnect>> {
    if target.tls.mode() == SslMode::Disable {
        return Ok(None);
    }
    let choice = target.tls.clone();
    let made = tokio::task::spawn_blocking(move || tls::connector(&choice)).await;
    let made =
        made.map_err(|error| Error::bug("connect", format!("reading certificates: {error}")))?;
    made.map(Some)
}

fn config(target: &Target, purpose: &Purpose) -> Config {
    let mut config = Config::new();
    for (host, port) in &target.hosts {
        config.host(host).port(*port);
    }
    config
        .user(&target.user)
        .dbname(target.database())
        .application_name(
            target
                .application_name
                .as_deref()
                .unwrap_or(&purpose.application_name),
        )
        .ssl_mode(match target.tls.mode() {
            SslMode::Disable => tokio_postgres::config::SslMode::Disable,
            SslMode::Prefer => tokio_postgres::config::SslMode::Prefer,
            _ => tokio_postgres::config::SslMode::Require,
        })
        .channel_binding(target.channel_binding)
        .target_session_attrs(target.session)
        .connect_timeout(target.connect_timeout)
        .keepalives(target.keepalives)
        .keepalives_idle(target.keepalives_idle)
        .keepalives_interval(target.keepalives_interval)
        .keepalives_retries(target.keepalives_retries);
    if target.tls.direct {
        config.ssl_negotiation(tokio_postgres::config::SslNegotiation::Direct);
    }
    if target.shuffle_hosts {
        config.load_balance_hosts(tokio_postgres::config::LoadBalanceHosts::Random);
    }
    if let Some(password) = &target.password {
        config.password(password.expose());
    }
    if let Some(options) = &target.options {
        config.options(options);
    }
    // Bytes that nobody acknowledges: ours, since the server's setting covers its own side only.
    let silent = target
        .tcp_user_timeout
        .or(purpose.ledger.then_some(LEDGER_IDLE));
    if let Some(silent) = silent {
        config.tcp_user_timeout(silent);
    }
    config
}

fn connected<T>(connecting: Result<T, tokio_postgres::Error>) -> Outcome<T> {
    connecting.map_err(|error| Failure::of("connect", &error))
}

fn drive(
    connection: impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
    ended: Arc<OnceLock<String>>,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            let failure = Failure::of("connection", &error);
            drop(ended.set(failure.error().message().to_owned()));
        }
    })
}

/// A list of schemas as a setting: names between commas, each quoted unless it is so already.
fn search_path(text: &str) -> String {
    let schemas = text.split(',').map(|schema| {
        let schema = schema.trim();
        match schema
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
        {
            Some(inner) => quote_literal(&inner.replace("\"\"", "\"")),
            None => quote_literal(schema),
        }
    });
    schemas.collect::<Vec<_>>().join(", ")
}
