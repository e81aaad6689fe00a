//! Parameters of a URL: libpq's and pgjdbc's names, and what they mean here.

use super::{connection::SslMode, target::Target};
use longshore_sdk::{Secret, config::nearest};
use std::time::Duration;

/// Names that another client acts on and that change nothing here: statements are prepared, batches written at once, bytes binary anyway.
const HARMLESS: [&str; 37] = [
    "adaptiveFetch",
    "adaptiveFetchMaximum",
    "adaptiveFetchMinimum",
    "allowEncodingChanges",
    "assumeMinServerVersion",
    "autosave",
    "binaryTransfer",
    "binaryTransferDisable",
    "binaryTransferEnable",
    "cancelSignalTimeout",
    "cleanupSavepoints",
    "databaseMetadataCacheFields",
    "databaseMetadataCacheFieldsMiB",
    "defaultRowFetchSize",
    "disableColumnSanitiser",
    "escapeSyntaxCallMode",
    "fallback_application_name",
    "gsslib",
    "hostRecheckSeconds",
    "krbsrvname",
    "logServerErrorDetail",
    "logUnclosedConnections",
    "loggerFile",
    "loggerLevel",
    "maxResultBuffer",
    "maxSendBufferSize",
    "preferQueryMode",
    "prepareThreshold",
    "preparedStatementCacheQueries",
    "preparedStatementCacheSizeMiB",
    "quoteReturningIdentifiers",
    "reWriteBatchedInserts",
    "receiveBufferSize",
    "sendBufferSize",
    "stringtype",
    "tcpNoDelay",
    "unknownLength",
];

/// Names with a meaning here.
const KNOWN: [&str; 34] = [
    "user",
    "password",
    "sslmode",
    "ssl",
    "sslfactory",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslnegotiation",
    "channel_binding",
    "channelBinding",
    "ApplicationName",
    "application_name",
    "currentSchema",
    "options",
    "connectTimeout",
    "connect_timeout",
    "loginTimeout",
    "socketTimeout",
    "queryTimeout",
    "tcpKeepAlive",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "targetServerType",
    "target_session_attrs",
    "loadBalanceHosts",
    "load_balance_hosts",
    "gssEncMode",
    "gssencmode",
    "client_encoding",
];

/// Applies one parameter. Errors say what is wrong, with its name, never with its value.
pub(super) fn apply(target: &mut Target, name: &str, value: &Secret) -> Result<(), String> {
    let value = value.expose();
    general(target, Parameter { name, value })
}

#[derive(Clone, Copy)]
struct Parameter<'a> {
    name: &'a str,
    value: &'a str,
}

impl Parameter<'_> {
    fn wrong(self, expected: &str) -> String {
        format!(
            "the parameter {} has another value than expected: {expected}",
            self.name
        )
    }
    fn seconds(self) -> Result<Duration, String> {
        let seconds = whole(self.value).map(Duration::from_secs);
        seconds.ok_or_else(|| self.wrong("seconds"))
    }
    fn switch(self) -> Result<bool, String> {
        on(self.value).ok_or_else(|| self.wrong("true or false"))
    }
}

fn general(target: &mut Target, parameter: Parameter<'_>) -> Result<(), String> {
    let Parameter { name, value } = parameter;
    match name {
        "user" => target.user = value.to_owned(),
        "password" => target.password = Some(Secret::new(value)),
        "channel_binding" | "channelBinding" => {
            target.channel_binding = match value {
                "disable" => tokio_postgres::config::ChannelBinding::Disable,
                "prefer" => tokio_postgres::config::ChannelBinding::Prefer,
                "require" => tokio_postgres::config::ChannelBinding::Require,
                _ => return Err(parameter.wrong("disable, prefer or require")),
            }
        }
        "ApplicationName" | "application_name" => target.application_name = Some(value.to_owned()),
        "currentSchema" => target.search_path = Some(value.to_owned()),
        "options" => target.options = Some(value.to_owned()),
        "connectTimeout" | "connect_timeout" | "loginTimeout" => {
            let limit = parameter.seconds()?;
            if !limit.is_zero() {
                target.connect_timeout = limit;
            }
        }
        "socketTimeout" | "queryTimeout" => {
            target.statement_timeout = Some(parameter.seconds()?)
                .filter(|limit| !limit.is_zero())
                .or(target.statement_timeout);
        }
        "tcpKeepAlive" | "keepalives" => target.keepalives = parameter.switch()?,
        "keepalives_idle" => target.keepalives_idle = parameter.seconds()?,
        "keepalives_interval" => target.keepalives_interval = parameter.seconds()?,
        "keepalives_count" => {
            let count = whole(value).and_then(|count| u32::try_from(count).ok());
            target.keepalives_retries = count.ok_or_else(|| parameter.wrong("a count"))?;
        }
        "tcp_user_timeout" => {
            let limit = whole(value).ok_or_else(|| parameter.wrong("milliseconds"))?;
            target.tcp_user_timeout =
                Some(Duration::from_millis(limit)).filter(|limit| !limit.is_zero());
        }
        "targetServerType" | "target_session_attrs" => {
            target.session = session(value).ok_or_else(|| {
                parameter.wrong("any, primary (read-write) or secondary (read-only)")
            })?;
        }
        "loadBalanceHosts" | "load_balance_hosts" => {
            target.shuffle_hosts = match value {
                "random" => true,
                "disable" => false,
                _ => parameter.switch()?,
            }
        }
        "gssEncMode" | "gssencmode" if matches!(value, "disable" | "allow" | "prefer") => {}
        "gssEncMode" | "gssencmode" => {
            return Err(parameter.wrong("disable: GSSAPI is not supported"));
        }
        "client_encoding"
            if ["utf8", "utf-8", "unicode", "auto"].contains(&value.to_lowercase().as_str()) => {}
        "client_encoding" => return Err(parameter.wrong("UTF8")),
        _ if HARMLESS.contains(&name) => {}
        _ => return tls(target, parameter),
    }
    Ok(())
}

fn tls(target: &mut Target, parameter: Parameter<'_>) -> Result<(), String> {
    let Parameter { name, value } = parameter;
    match name {
        "sslmode" => target.tls.mode = Some(mode(value).ok_or_else(|| parameter.wrong(MODES))?),
        // pgjdbc: switched on alone, the server has to prove itself.
        "ssl" => {
            if parameter.switch()? && target.tls.mode.is_none() {
                target.tls.mode = Some(SslMode::VerifyFull);
            }
        }
        "sslfactory" if value.ends_with("NonValidatingFactory") => {
            target.tls.mode = Some(SslMode::Require);
        }
        "sslfactory"
            if value.ends_with("LibPQFactory") || value.ends_with("DefaultJavaSSLFactory") => {}
        "sslfactory" => {
            return Err(parameter.wrong("no Java class of its own: use sslmode and sslrootcert"));
        }
        "sslrootcert" => {
            target.tls.root_cert = Some(value.to_owned()).filter(|value| value != "system")
        }
        "sslcert" => target.tls.cert = Some(value.to_owned()),
        "sslkey" => target.tls.key = Some(Secret::new(value)),
        "sslpassword" if value.is_empty() => {}
        "sslpassword" => {
            return Err(format!(
                "the parameter {name} is not supported: decrypt the key file once (openssl pkcs8 -topk8 -nocrypt)"
            ));
        }
        "sslnegotiation" => {
            target.tls.direct = match value {
                "postgres" => false,
                "direct" => true,
                _ => return Err(parameter.wrong("postgres or direct")),
            }
        }
        _ => return Err(unknown(name)),
    }
    Ok(())
}

const MODES: &str = "disable, allow, prefer, require, verify-ca or verify-full";

/// `allow` would encrypt only where the server insists: prefer gives no less.
fn mode(text: &str) -> Option<SslMode> {
    Some(match text {
        "disable" => SslMode::Disable,
        "allow" | "prefer" => SslMode::Prefer,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        "verify-full" => SslMode::VerifyFull,
        _ => return None,
    })
}

fn session(text: &str) -> Option<tokio_postgres::config::TargetSessionAttrs> {
    use tokio_postgres::config::TargetSessionAttrs as Attrs;
    Some(match text {
        "any" => Attrs::Any,
        "primary" | "master" | "read-write" => Attrs::ReadWrite,
        "secondary" | "slave" | "standby" | "read-only" => Attrs::ReadOnly,
        _ => return None,
    })
}

fn on(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "true" | "1" | "on" | "yes" => Some(true),
        "false" | "0" | "off" | "no" => Some(false),
        _ => None,
    }
}

fn whole(text: &str) -> Option<u64> {
    // A year is for ever; more would overflow clocks.
    text.parse().ok().filter(|number| *number <= 31_536_000)
}

/// A parameter's name is shown, cut: it may be a piece of a password with an ampersand.
fn unknown(name: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
    let near = nearest(name, KNOWN.iter().chain(&HARMLESS).copied());
    match near {
        Some(near) => format!("has a parameter that is not known: did you mean {near}?"),
        None if name.len() <= 40 && name.chars().all(plain) => {
            format!(
                "has a parameter that is not known: {name} (an & inside a value is written %26)"
            )
        }
        None => "has a parameter that is not known (an & inside a value is written %26)".to_owned(),
    }
}
