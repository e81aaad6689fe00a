//! The keys of a connection, shared by both connectors.

use super::target::Target;
use longshore_sdk::{Secret, config::Finding};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Where the server is and how to get in; flattened into a connector's settings.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct ConnectionConfig {
    /// Where the server is: `jdbc:postgresql://host:port/database?name=value`, `postgresql://user@host:port/database?name=value` or
    /// `host=.. port=.. dbname=..`. Several `host:port` between commas are tried in turn. Parameters are those of libpq and pgjdbc
    /// (`sslmode`, `currentSchema`, `ApplicationName`, ..); unknown ones are refused. It is shown nowhere, because it may hold a password.
    #[serde(rename = "connection.url")]
    #[schemars(extend("x-importance" = "HIGH", "x-group" = "Connection", "x-width" = "LONG"))]
    pub(crate) url: Secret,
    /// The user, unless the URL names one.
    #[serde(rename = "connection.user", default)]
    #[schemars(extend("x-importance" = "HIGH", "x-group" = "Connection"))]
    pub(crate) user: Option<String>,
    /// The same as `connection.user`.
    #[serde(rename = "connection.username", default)]
    #[schemars(extend("x-importance" = "LOW", "x-group" = "Connection"))]
    pub(crate) username: Option<String>,
    /// The user's password.
    #[serde(rename = "connection.password", default)]
    #[schemars(extend("x-importance" = "HIGH", "x-group" = "Connection"))]
    pub(crate) password: Option<Secret>,
    /// How often to try to connect before the worker is told; it goes on by itself until `longshore.retry.timeout.ms` is over. All tries
    /// together take a minute at most.
    #[serde(rename = "connection.attempts", default = "attempts")]
    #[schemars(range(min = 1, max = 2_147_483_647), extend("x-importance" = "LOW", "x-group" = "Connection"))]
    pub(crate) attempts: u32,
    /// The pause between two attempts, in milliseconds.
    #[serde(rename = "connection.backoff.ms", default = "backoff")]
    #[schemars(range(min = 1, max = 2_147_483_647), extend("x-importance" = "LOW", "x-group" = "Connection"))]
    pub(crate) backoff_ms: u64,
    /// How long one attempt to connect may take, with TLS and authentication, in milliseconds.
    #[serde(rename = "connection.connect.timeout.ms", default = "connect_timeout")]
    #[schemars(range(min = 100, max = 300_000), extend("x-importance" = "LOW", "x-group" = "Connection"))]
    pub(crate) connect_timeout_ms: u64,
    /// How long one statement may take before it is cancelled and tried again, in milliseconds. Without it a minute for writes and five for reads.
    #[serde(rename = "connection.statement.timeout.ms", default)]
    #[schemars(range(min = 100, max = 3_600_000), extend("x-importance" = "LOW", "x-group" = "Connection"))]
    pub(crate) statement_timeout_ms: Option<u64>,
    /// Whether the connection is encrypted, and whether the server must prove itself: `disable`, `prefer` (if the server can), `require`
    /// (encrypted, no proof asked for), `verify-ca` (a certificate of a known authority) or `verify-full` (that, for this host). `prefer` unless
    /// the URL says otherwise.
    #[serde(rename = "connection.ssl.mode", default)]
    #[schemars(extend("x-group" = "Connection"))]
    pub(crate) ssl_mode: Option<SslMode>,
    /// The authorities that the server's certificate may come from: a PEM file, or PEM itself. Without it those that the machine trusts.
    #[serde(rename = "connection.ssl.root.cert", default)]
    #[schemars(extend("x-group" = "Connection"))]
    pub(crate) ssl_root_cert: Option<String>,
    /// The client's certificate: a PEM file, or PEM itself.
    #[serde(rename = "connection.ssl.cert", default)]
    #[schemars(extend("x-group" = "Connection"))]
    pub(crate) ssl_cert: Option<String>,
    /// The client's private key: a file with PEM or PKCS#8 DER, not encrypted, or PEM itself.
    #[serde(rename = "connection.ssl.key", default)]
    #[schemars(extend("x-group" = "Connection"))]
    pub(crate) ssl_key: Option<Secret>,
    /// Parameters of libpq and pgjdbc as keys of their own (`connection.currentSchema`, `connection.ApplicationName`, ..), as in the URL.
    #[serde(rename = "connection.", default)]
    #[schemars(extend("x-importance" = "LOW"))]
    pub(crate) parameters: BTreeMap<String, Secret>,
}

/// How a connection is encrypted; libpq's names.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SslMode {
    /// In the clear.
    Disable,
    /// Encrypted where the server can.
    Prefer,
    /// Encrypted; the server proves nothing.
    Require,
    /// A certificate of a known authority.
    VerifyCa,
    /// A certificate of a known authority, for this host.
    VerifyFull,
}

fn attempts() -> u32 {
    1
}
fn backoff() -> u64 {
    10_000
}
fn connect_timeout() -> u64 {
    10_000
}

impl ConnectionConfig {
    /// Judges the keys together and says where to connect. Nothing is reached out to; files of certificates are not read yet.
    /// Errors: everything that is wrong, by key; none shows a value of the URL.
    pub(crate) fn target(&self) -> Result<Target, Vec<Finding>> {
        Target::of(self)
    }
}
