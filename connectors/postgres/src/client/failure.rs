//! Errors of the server and of the way to it, judged once.

use longshore_sdk::{Error, ErrorKind};
use std::error::Error as StdError;
use tokio_postgres::error::{DbError, SqlState};

/// What a statement gives.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// A failed statement or connection.
///
/// The SDK's error inside names table, column and constraint where the server does, never a row's values: the server's DETAIL is left out,
/// and so is what a message of class 22 quotes.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Option<SqlState>,
    error: Error,
}

impl Failure {
    /// Judges an error of the client library.
    pub(crate) fn of(op: &'static str, error: &tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(server) => Self {
                code: Some(server.code().clone()),
                error: of_server(op, server),
            },
            None => Self {
                code: None,
                error: of_client(op, error),
            },
        }
    }
    /// A failure that the server did not name.
    pub(crate) fn own(error: Error) -> Self {
        Self { code: None, error }
    }
    /// What we found ourselves, and the server would have told by this SQLSTATE.
    pub(crate) fn coded(code: SqlState, error: Error) -> Self {
        Self {
            code: Some(code),
            error,
        }
    }
    /// The server's SQLSTATE; `None` where the way to it failed.
    pub(crate) fn code(&self) -> Option<&SqlState> {
        self.code.as_ref()
    }
    /// Whether the server gave this SQLSTATE.
    pub(crate) fn is(&self, code: &SqlState) -> bool {
        self.code.as_ref() == Some(code)
    }
    /// Who can act.
    pub(crate) fn kind(&self) -> ErrorKind {
        self.error.kind()
    }
    /// Whether a record of the batch is to blame: bisection finds it.
    pub(crate) fn refuses_record(&self) -> bool {
        self.kind() == ErrorKind::Data
    }
    /// The same with a name and a value that help to find the place.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl std::fmt::Display) -> Self {
        self.error = self.error.with(name, value);
        self
    }
    /// The error that the engine reacts to.
    pub(crate) fn error(&self) -> &Error {
        &self.error
    }
}

/// `?` in a task's own calls.
impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// Who can act on a SQLSTATE.
pub(crate) fn kind(code: &SqlState) -> ErrorKind {
    let text = code.code();
    match text {
        // A trigger's RAISE refuses the row that it sees; so do a row too large for an index or a page, and two rows for one key.
        "P0001" | "21000" | "54000" => ErrorKind::Data,
        // The role or the database does not let us in.
        "0LP01" | "0P000" => ErrorKind::Auth,
        // A statement in a transaction that has failed already: our own mistake.
        "25P02" => ErrorKind::Bug,
        _ => match &text[..text.len().min(2)] {
            // Values; constraints.
            "22" | "23" | "44" => ErrorKind::Data,
            "28" => ErrorKind::Auth,
            // Connection; a standby that is read-only until a failover is over, transactions that were ended; serialisation and deadlock;
            // resources (disk full, too many connections, memory); locks and states of objects; shutdown, restart, cancelled and timed
            // out statements; the server's disk; errors inside the server, which come of tables that change under way.
            "08" | "25" | "40" | "53" | "55" | "57" | "58" | "XX" => ErrorKind::Transient,
            _ => ErrorKind::Config,
        },
    }
}

fn of_server(op: &'static str, server: &DbError) -> Error {
    let code = server.code().code();
    let stale = code == "0A000" && server.message().starts_with("cached plan");
    let kind = if stale {
        // The table was altered since the statement was prepared: prepared again, it works.
        ErrorKind::Transient
    } else {
        kind(server.code())
    };
    let mut message = shown(server);
    // Hints of these classes speak of names; those of others may quote values.
    if let Some(hint) = server.hint().filter(|_| {
        ["0A", "28", "3D", "3F", "42", "53", "55", "57"]
            .iter()
            .any(|class| code.starts_with(class))
    }) {
        message.push_str(" (");
        message.push_str(hint);
        message.push(')');
    }
    if let Some(advice) = advice(code) {
        message.push_str(": ");
        message.push_str(advice);
    }
    let mut error = Error::new(kind, op, message).with("sqlstate", code);
    if let Some(table) = server.table() {
        error = match server.schema() {
            Some(schema) => error.with("table", format_args!("{schema}.{table}")),
            None => error.with("table", table),
        };
    }
    for (name, value) in [
        ("column", server.column()),
        ("constraint", server.constraint()),
        ("type", server.datatype()),
    ] {
        if let Some(value) = value {
            error = error.with(name, value);
        }
    }
    error
}

/// The server's own text; what class 22 and 44 quote is a value of the row, which may hold quotes itself: all from the first to the last goes.
fn shown(server: &DbError) -> String {
    let text = server.message();
    let quotes_values = ["22", "44"]
        .iter()
        .any(|class| server.code().code().starts_with(class));
    match (text.find('"'), text.rfind('"')) {
        (Some(first), Some(last)) if quotes_values => {
            format!("{}\"..\"{}", &text[..first], &text[last + 1..])
        }
        _ => text.to_owned(),
    }
}

/// What to do, where the server's own words do not say it.
fn advice(code: &str) -> Option<&'static str> {
    Some(match code {
        "28P01" => "check connection.user and connection.password",
        "28000" => "check the user, its right to log in, and pg_hba.conf of the server",
        "3D000" => "check the database in connection.url",
        "42501" => "grant the right to the user of connection.user",
        "53100" => "the server's disk is full: free space there; the same records are tried again",
        "53300" => "raise max_connections of the server, or lower tasks.max",
        "26000" => {
            "a pooler between worker and server loses prepared statements: use its session mode"
        }
        "25006" => "the server is read-only: a standby, or a failover is under way",
        _ => return None,
    })
}

fn of_client(op: &'static str, error: &tokio_postgres::Error) -> Error {
    let text = error.to_string();
    let cause = causes(error);
    if let Some(tls) = of_tls(op, error) {
        return tls;
    }
    let (kind, about) = if error.is_closed() {
        (ErrorKind::Transient, "the connection to Postgres is closed")
    } else if text.starts_with("error serializing parameter") {
        (ErrorKind::Data, "a value does not fit its parameter")
    } else if text.starts_with("error deserializing") || text.starts_with("invalid column") {
        (ErrorKind::Bug, "a column of the answer cannot be read")
    } else if text.starts_with("expected ") || text.starts_with("query returned") {
        (ErrorKind::Bug, "the statement does not fit its use")
    } else if text.starts_with("authentication error") || cause == "password missing" {
        (
            ErrorKind::Auth,
            "Postgres does not let us in: check connection.user and connection.password",
        )
    } else if text.starts_with("error performing TLS handshake") {
        (
            ErrorKind::Config,
            "no TLS with Postgres: check connection.ssl.mode and the server's ssl setting",
        )
    } else if text.starts_with("invalid con") {
        (ErrorKind::Config, "the connection's settings do not fit")
    } else if text.starts_with("error connecting") {
        (ErrorKind::Transient, "Postgres cannot be reached")
    } else {
        (ErrorKind::Transient, "the connection to Postgres failed")
    };
    // Serialisation errors are the converters' own words, which may quote a value.
    let message = if kind == ErrorKind::Data || cause.is_empty() {
        format!("{about} ({text})")
    } else {
        format!("{about} ({text}: {cause})")
    };
    Error::new(kind, op, message)
}

/// A certificate that is refused, by us or by the server, needs a person.
fn of_tls(op: &'static str, error: &tokio_postgres::Error) -> Option<Error> {
    use rustls::{AlertDescription, Error as Tls};
    let mut cause = error.source();
    while let Some(error) = cause {
        // An io::Error hides what it carries from `source`.
        let carried = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .and_then(|inner| inner.downcast_ref::<Tls>());
        match carried.or_else(|| error.downcast_ref::<Tls>()) {
            Some(Tls::InvalidCertificate(why)) => {
                let message = format!(
                    "the server's certificate is refused: {why:?}; check the host in connection.url and connection.ssl.root.cert"
                );
                return Some(Error::config(op, message));
            }
            Some(Tls::AlertReceived(
                alert @ (AlertDescription::BadCertificate
                | AlertDescription::CertificateRequired
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateUnknown
                | AlertDescription::DecryptError
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied),
            )) => {
                let message = format!(
                    "the server refuses the client's certificate ({alert:?}): check connection.ssl.cert"
                );
                return Some(Error::new(ErrorKind::Auth, op, message));
            }
            _ => cause = error.source(),
        }
    }
    None
}

/// The causes below an error, in one line.
fn causes(error: &tokio_postgres::Error) -> String {
    let mut texts = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_says_who_can_act() {
        for (code, expected) in [
            ("08006", ErrorKind::Transient),
            ("57P01", ErrorKind::Transient),
            ("57014", ErrorKind::Transient),
            ("53100", ErrorKind::Transient),
            ("40001", ErrorKind::Transient),
            ("40P01", ErrorKind::Transient),
            ("55P03", ErrorKind::Transient),
            ("25006", ErrorKind::Transient),
            ("28P01", ErrorKind::Auth),
            ("28000", ErrorKind::Auth),
            ("42501", ErrorKind::Config),
            ("42P01", ErrorKind::Config),
            ("42703", ErrorKind::Config),
            ("3D000", ErrorKind::Config),
            ("22003", ErrorKind::Data),
            ("22P02", ErrorKind::Data),
            ("23505", ErrorKind::Data),
            ("23502", ErrorKind::Data),
            ("54000", ErrorKind::Data),
            ("P0001", ErrorKind::Data),
            ("25P02", ErrorKind::Bug),
        ] {
            assert_eq!(kind(&SqlState::from_code(code)), expected, "{code}");
        }
    }
}
