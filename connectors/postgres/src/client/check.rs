//! What live validation says: failures as findings about a key.

use super::{
    catalogue::{self, Table},
    connection::ConnectionConfig,
    failure::Failure,
    name::TableName,
    session::{Purpose, Session},
};
use longshore_sdk::{ErrorKind, config::Finding};
use tokio_postgres::error::SqlState;

/// Connects for a check: one attempt, seconds. Errors: what is wrong with the settings, or why there is no way in, by key.
pub(crate) async fn open(config: &ConnectionConfig) -> Result<Session, Vec<Finding>> {
    let mut target = config.target()?;
    target.attempts = 1;
    Session::open(&target, &Purpose::check())
        .await
        .map_err(|failure| vec![not_connected(&failure)])
}

/// A failure to connect, about the key that most likely heals it.
fn not_connected(failure: &Failure) -> Finding {
    let text = failure.error().message();
    let key = match (failure.kind(), failure.code().map(SqlState::code)) {
        (_, Some("28P01")) => "connection.password",
        (_, Some("28000")) => "connection.user",
        (_, _) if text.contains("server's certificate") => "connection.ssl.root.cert",
        (_, _) if text.starts_with("connection.ssl.") => {
            let key = text.split([':', ' ']).next().unwrap_or_default();
            return Finding::new(key, text);
        }
        (_, _) if text.contains("client's certificate") => "connection.ssl.cert",
        (ErrorKind::Config, None) if text.contains("TLS") => "connection.ssl.mode",
        (ErrorKind::Auth, _) => "connection.password",
        _ => "connection.url",
    };
    about(key, failure)
}

/// A failure as a finding about `key`.
pub(crate) fn about(key: &str, failure: &Failure) -> Finding {
    let error = failure.error();
    let mut problem = error.message().to_owned();
    for (name, value) in error.context() {
        problem.push_str(&format!(", {name} = {value}"));
    }
    Finding::new(key, problem)
}

/// A name with a database part must name the one that is connected to: Postgres has no way across.
pub(crate) fn database(session: &Session, key: &str, name: &TableName) -> Option<Finding> {
    let other = name
        .database
        .as_deref()
        .filter(|named| *named != session.database())?;
    let problem = format!(
        "the table {name} is of database {other}, but the connection is to {}",
        session.database()
    );
    Some(
        Finding::new(key, problem)
            .suggest("name the table as schema.table; a name with dots stands in double quotes"),
    )
}

/// Looks a table up. Errors: a finding about `key` where it is missing, of another database, or its schema is closed to the user.
pub(crate) async fn table(
    session: &Session,
    key: &str,
    name: &TableName,
) -> Result<Table, Finding> {
    if let Some(finding) = database(session, key, name) {
        return Err(finding);
    }
    match catalogue::table(session, "check", name).await {
        Ok(Some(table)) => Ok(table),
        Ok(None) => {
            let problem = format!(
                "there is no table {name} in database {} that user {} can see",
                session.database(),
                session.user()
            );
            Err(Finding::new(key, problem).suggest("check its schema and the case of its letters"))
        }
        Err(failure) => Err(about(key, &failure)),
    }
}

/// Rights that are asked for by their SQL names (`SELECT`, `INSERT`, ..) and missing, as one finding with the GRANT that helps.
pub(crate) fn rights(
    session: &Session,
    key: &str,
    table: &Table,
    needed: &[&str],
) -> Option<Finding> {
    let has = |right: &str| match right {
        "SELECT" => table.rights.select,
        "INSERT" => table.rights.insert,
        "UPDATE" => table.rights.update,
        "DELETE" => table.rights.delete,
        "TRUNCATE" => table.rights.truncate,
        "ALTER" => table.rights.alter,
        _ => false,
    };
    let missing: Vec<&str> = needed.iter().copied().filter(|right| !has(right)).collect();
    if missing.is_empty() {
        return None;
    }
    let user = super::name::quote(session.user());
    let problem = format!(
        "user {} lacks {} on table {}",
        session.user(),
        missing.join(", "),
        table.name
    );
    // ALTER is no right that can be granted: it is the owner's.
    let advice = if missing.contains(&"ALTER") {
        format!(
            "make it a member of the table's owner, or ALTER TABLE {} OWNER TO {user}",
            table.name.sql()
        )
    } else {
        format!(
            "GRANT {} ON {} TO {user}",
            missing.join(", "),
            table.name.sql()
        )
    };
    Some(Finding::new(key, problem).suggest(advice))
}
