//! Live validation.

use super::{
    config::SourceConfig,
    lane::{Subject, cursor, knows_nulls, query_columns},
    plan,
};
use crate::client::{Session, check};
use longshore_sdk::{Error, config::Finding};
use tokio_postgres::types::{ToSql, Type};

/// Tables that are looked into: validation takes seconds.
const TABLES_MAX: usize = 50;

/// What is wrong with the settings, and with what they name.
pub(super) async fn check(config: &SourceConfig) -> Vec<Finding> {
    let mut findings = config.findings();
    if let Err(error) = plan::Selection::new(config) {
        findings.push(about("table.whitelist", &error));
    }
    if !findings.is_empty() {
        return findings;
    }
    match Box::pin(check::open(&config.connection)).await {
        Ok(session) => Box::pin(look(&session, config)).await,
        Err(findings) => findings,
    }
}

/// An error as a finding; it names its key itself, in its context or before a colon.
fn about(key: &str, error: &Error) -> Finding {
    let named = error.context().iter().find(|(name, _)| *name == "key");
    let message = error.message();
    if let Some((_, key)) = named {
        let text = message.strip_prefix(&format!("{key}: ")).unwrap_or(message);
        return Finding::new(key, text);
    }
    for key in [
        "table.whitelist",
        "table.blacklist",
        "table.include.list",
        "table.exclude.list",
        "table.types",
    ] {
        if let Some(text) = message.strip_prefix(&format!("{key}: ")) {
            return Finding::new(key, text);
        }
    }
    Finding::new(key, message)
}

async fn look(session: &Session, config: &SourceConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    let zone: [(&(dyn ToSql + Sync), Type); 1] = [(&config.timezone, Type::TEXT)];
    let asked = session
        .client()
        .query_typed("SELECT now() AT TIME ZONE $1", &zone);
    if let Err(failure) = session.bounded("check", asked).await {
        findings.push(check::about("db.timezone", &failure));
    }
    if let Some(query) = config.query() {
        findings.extend(look_at_query(session, config, query).await);
        return findings;
    }
    let (tables, missing) = match plan::chosen(session, config).await {
        Ok(chosen) => chosen,
        Err(error) => {
            findings.push(about("table.whitelist", &error));
            return findings;
        }
    };
    const KEY: &str = "table.whitelist";
    for name in &missing {
        match check::table(session, KEY, name).await {
            Err(finding) => findings.push(finding),
            // It is there, but another setting keeps it out.
            Ok(_) => findings.push(
                Finding::new(KEY, format!("the table {name} is not chosen"))
                    .suggest("check schema.pattern and catalog.pattern"),
            ),
        }
    }
    for name in tables.iter().take(TABLES_MAX) {
        let table = match check::table(session, KEY, name).await {
            Ok(table) => table,
            Err(finding) => {
                findings.push(finding);
                continue;
            }
        };
        findings.extend(check::rights(session, KEY, &table, &["SELECT"]));
        let shown = Subject::Table(name.clone()).shown();
        let nulls = knows_nulls(table.relation);
        if let Err(error) = cursor(&shown, &table.columns, nulls, config) {
            findings.push(about("mode", &error));
        }
    }
    findings
}

async fn look_at_query(session: &Session, config: &SourceConfig, query: &str) -> Vec<Finding> {
    let subject = Subject::Query(query.to_owned());
    let columns = match query_columns(session, &subject.from()).await {
        Ok(columns) => columns,
        Err(error) => return vec![about("query", &error)],
    };
    match cursor(&subject.shown(), &columns, false, config) {
        Ok(_) => Vec::new(),
        Err(error) => vec![about("query", &error)],
    }
}
