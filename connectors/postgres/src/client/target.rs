//! Where to connect, with which limits: the settings of a connection, judged.

use super::{
    connection::{ConnectionConfig, SslMode},
    params, url,
};
use longshore_sdk::{Secret, config::Finding};
use std::{fmt, time::Duration};
use tokio_postgres::config::{ChannelBinding, TargetSessionAttrs};

/// A server, a database and a way in. Debug shows no secret (I8).
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(super) hosts: Vec<(String, u16)>,
    pub(super) database: Option<String>,
    pub(super) user: String,
    pub(super) password: Option<Secret>,
    pub(super) tls: TlsChoice,
    pub(super) channel_binding: ChannelBinding,
    pub(super) application_name: Option<String>,
    pub(super) options: Option<String>,
    pub(super) search_path: Option<String>,
    pub(super) session: TargetSessionAttrs,
    pub(super) shuffle_hosts: bool,
    pub(super) connect_timeout: Duration,
    pub(super) statement_timeout: Option<Duration>,
    pub(super) keepalives: bool,
    pub(super) keepalives_idle: Duration,
    pub(super) keepalives_interval: Duration,
    pub(super) keepalives_retries: u32,
    pub(super) tcp_user_timeout: Option<Duration>,
    pub(super) attempts: u32,
    pub(super) backoff: Duration,
}

/// How the connection is encrypted: files are paths, or PEM itself.
#[derive(Clone, Debug, Default)]
pub(super) struct TlsChoice {
    pub(super) mode: Option<SslMode>,
    pub(super) root_cert: Option<String>,
    pub(super) cert: Option<String>,
    pub(super) key: Option<Secret>,
    /// TLS from the first byte, as newer servers take it.
    pub(super) direct: bool,
}

impl TlsChoice {
    /// The mode; where a root is named, `require` checks against it, as libpq does.
    pub(super) fn mode(&self) -> SslMode {
        match self.mode {
            Some(SslMode::Require) if self.root_cert.is_some() => SslMode::VerifyCa,
            Some(mode) => mode,
            None => SslMode::Prefer,
        }
    }
}

impl Target {
    pub(super) fn of(config: &ConnectionConfig) -> Result<Self, Vec<Finding>> {
        let mut findings = Vec::new();
        let said = url::read(config.url.expose()).unwrap_or_else(|problem| {
            findings.push(Finding::new("connection.url", problem));
            url::Said::default()
        });
        let mut target = Self::bare(config);
        for (host, port) in said.hosts {
            target.hosts.push((host, port.unwrap_or(5432)));
        }
        if target.hosts.is_empty() {
            target.hosts.push(("localhost".to_owned(), 5432));
        }
        target.database = said.database;
        for (name, value) in &said.parameters {
            if let Err(problem) = params::apply(&mut target, name, value) {
                findings.push(Finding::new("connection.url", problem));
            }
        }
        for (name, value) in &config.parameters {
            if let Err(problem) = params::apply(&mut target, name, value) {
                findings.push(Finding::new(format!("connection.{name}"), problem));
            }
        }
        target.lay_keys_over(config);
        if target.user.is_empty() {
            findings.push(
                Finding::new("connection.user", "no user is named")
                    .suggest("set connection.user, or name one in connection.url"),
            );
        }
        match (&target.tls.cert, &target.tls.key) {
            (Some(_), None) => findings.push(Finding::new(
                "connection.ssl.key",
                "a client's certificate is given, but not its key",
            )),
            (None, Some(_)) => findings.push(Finding::new(
                "connection.ssl.cert",
                "a client's key is given, but not its certificate",
            )),
            _ => {}
        }
        if findings.is_empty() {
            Ok(target)
        } else {
            Err(findings)
        }
    }

    fn bare(config: &ConnectionConfig) -> Self {
        Self {
            hosts: Vec::new(),
            database: None,
            user: String::new(),
            password: None,
            tls: TlsChoice::default(),
            channel_binding: ChannelBinding::Prefer,
            application_name: None,
            options: None,
            search_path: None,
            session: TargetSessionAttrs::Any,
            shuffle_hosts: false,
            connect_timeout: Duration::from_millis(config.connect_timeout_ms),
            statement_timeout: None,
            keepalives: true,
            keepalives_idle: Duration::from_secs(10),
            keepalives_interval: Duration::from_secs(5),
            keepalives_retries: 3,
            tcp_user_timeout: None,
            attempts: config.attempts,
            backoff: Duration::from_millis(config.backoff_ms),
        }
    }

    /// Keys of their own win over the URL's parameters.
    fn lay_keys_over(&mut self, config: &ConnectionConfig) {
        let named = config.user.as_ref().or(config.username.as_ref());
        if let Some(user) = named.filter(|user| !user.is_empty()) {
            self.user.clone_from(user);
        }
        if let Some(password) = &config.password {
            self.password = Some(password.clone());
        }
        if let Some(limit) = config.statement_timeout_ms {
            self.statement_timeout = Some(Duration::from_millis(limit));
        }
        let tls = &mut self.tls;
        tls.mode = config.ssl_mode.or(tls.mode);
        for (key, over) in [
            (&config.ssl_root_cert, &mut tls.root_cert),
            (&config.ssl_cert, &mut tls.cert),
        ] {
            if let Some(value) = key.as_ref().filter(|value| !value.is_empty()) {
                *over = Some(value.clone());
            }
        }
        if let Some(key) = config
            .ssl_key
            .as_ref()
            .filter(|key| !key.expose().is_empty())
        {
            tls.key = Some(key.clone());
        }
    }

    /// The database that is connected to: the user's name where none is given, as everywhere with Postgres.
    pub(crate) fn database(&self) -> &str {
        self.database.as_deref().unwrap_or(&self.user)
    }
}

/// `host:port,host:port/database`, for messages.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (host, port)) in self.hosts.iter().enumerate() {
            write!(f, "{}{host}:{port}", if index == 0 { "" } else { "," })?;
        }
        write!(f, "/{}", self.database())
    }
}
