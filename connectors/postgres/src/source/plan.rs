//! Which tables there are to read, and which task reads them.

use super::config::SourceConfig;
use crate::client::{
    Relation, Session, TableName,
    catalogue::{self, Listed},
};
use fancy_regex::Regex;
use longshore_sdk::{Error, Result, Share};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// The key of a share: its tables as JSON, `[["schema","table"],..]`.
pub(super) const TABLES: &str = "longshore.tables";
/// The key of the share that looks for new tables: all tables of the plan in one text.
pub(super) const PLANNED: &str = "longshore.tables.planned";
/// Tables that one connector reads (I6).
const TABLES_MAX: usize = 10_000;
/// The sink's ledger is nobody's data.
const LEDGER: &str = "longshore_offsets";

/// Which tables the settings choose.
pub(super) struct Selection {
    whitelist: Vec<TableName>,
    blacklist: Vec<TableName>,
    include: Vec<Regex>,
    exclude: Vec<Regex>,
    schema: Option<Regex>,
    catalog: Option<Regex>,
    types: Vec<String>,
}

impl Selection {
    /// Errors are of kind Config and name the key.
    pub(super) fn new(config: &SourceConfig) -> Result<Self> {
        let names = |key: &str, texts: &[String]| -> Result<Vec<TableName>> {
            let parse = |text: &String| {
                TableName::parse(text.trim())
                    .map_err(|problem| Error::config("plan", format!("{key}: {problem}")))
            };
            texts.iter().map(parse).collect()
        };
        let expressions = |key: &str, texts: &[String]| -> Result<Vec<Regex>> {
            let compile = |text: &String| {
                Regex::new(&format!("^(?:{})$", text.trim())).map_err(|error| {
                    let problem = format!("{key}: {text} is no regular expression");
                    Error::config("plan", problem).because(error)
                })
            };
            texts.iter().map(compile).collect()
        };
        let like = |text: Option<&String>| -> Result<Option<Regex>> {
            let Some(text) = text.filter(|text| !text.is_empty()) else {
                return Ok(None);
            };
            let expression = like(text);
            let compiled = Regex::new(&expression).map_err(|error| {
                Error::bug("plan", "a pattern of LIKE did not compile").because(error)
            })?;
            Ok(Some(compiled))
        };
        let types: Vec<String> = config
            .table_types
            .iter()
            .map(|name| name.trim().to_uppercase())
            .collect();
        if let Some(unknown) = types.iter().find(|name| relation(name).is_none()) {
            let problem = format!(
                "table.types: {unknown} is unknown; use TABLE, PARTITIONED TABLE, VIEW, MATERIALIZED VIEW, FOREIGN TABLE"
            );
            return Err(Error::config("plan", problem));
        }
        Ok(Self {
            whitelist: names("table.whitelist", &config.whitelist)?,
            blacklist: names("table.blacklist", &config.blacklist)?,
            include: expressions("table.include.list", &config.include)?,
            exclude: expressions("table.exclude.list", &config.exclude)?,
            schema: like(config.schema_pattern.as_ref())?,
            catalog: like(config.catalog_pattern.as_ref())?,
            types,
        })
    }

    /// The chosen tables, and those of the whitelist that are not there. Errors: two of them would share a topic.
    pub(super) fn choose(
        &self,
        listed: &[Listed],
        database: &str,
    ) -> Result<(Vec<TableName>, Vec<TableName>)> {
        let matches = |expression: &Option<Regex>, text: &str| {
            expression
                .as_ref()
                .is_none_or(|expression| expression.is_match(text).unwrap_or(false))
        };
        let mut chosen = Vec::new();
        if matches(&self.catalog, database) {
            for one in listed {
                let schema = one.name.schema.as_deref().unwrap_or_default();
                if matches(&self.schema, schema) && self.chooses(one, database) {
                    chosen.push(one.name.clone());
                }
            }
        }
        if chosen.len() > TABLES_MAX {
            let problem = format!(
                "{} tables are chosen, a connector reads {TABLES_MAX} at most: choose fewer by table.whitelist or schema.pattern",
                chosen.len()
            );
            return Err(Error::config("plan", problem));
        }
        let mut topics: BTreeMap<&str, &TableName> = BTreeMap::new();
        for name in &chosen {
            if let Some(other) = topics.insert(&name.table, name) {
                let problem = format!(
                    "the tables {other} and {name} would share a topic, which has no schema in its name: set schema.pattern, or table.whitelist with schemas"
                );
                return Err(Error::config("plan", problem));
            }
        }
        let missing = self
            .whitelist
            .iter()
            .filter(|wanted| !chosen.iter().any(|name| named(wanted, name, database)));
        let missing = missing.cloned().collect();
        Ok((chosen, missing))
    }

    fn chooses(&self, one: &Listed, database: &str) -> bool {
        let name = &one.name;
        let in_list = |list: &[TableName]| list.iter().any(|wanted| named(wanted, name, database));
        if !self.whitelist.is_empty() {
            // Who names a table means it, whatever it is.
            return in_list(&self.whitelist);
        }
        let plain = format!(
            "{}.{}",
            name.schema.as_deref().unwrap_or_default(),
            name.table
        );
        let full = format!("{database}.{plain}");
        let any = |expressions: &[Regex]| {
            expressions.iter().any(|expression| {
                [&plain, &full]
                    .iter()
                    .any(|text| expression.is_match(text).unwrap_or(false))
            })
        };
        let partitioned = self.types.iter().any(|name| name == "PARTITIONED TABLE");
        let kind = self
            .types
            .iter()
            .any(|name| relation(name) == Some(one.relation));
        kind && name.table != LEDGER
            && !(one.partition && partitioned)
            && !in_list(&self.blacklist)
            && !any(&self.exclude)
            && (self.include.is_empty() || any(&self.include))
    }
}

fn relation(name: &str) -> Option<Relation> {
    Some(match name {
        "TABLE" => Relation::Table,
        "PARTITIONED TABLE" => Relation::Partitioned,
        "VIEW" => Relation::View,
        "MATERIALIZED VIEW" => Relation::Materialized,
        "FOREIGN TABLE" => Relation::Foreign,
        _ => return None,
    })
}

/// Whether a name of the settings, which may leave out schema and database, is this table's.
fn named(wanted: &TableName, name: &TableName, database: &str) -> bool {
    wanted.table == name.table
        && (wanted.schema.is_none() || wanted.schema == name.schema)
        && wanted
            .database
            .as_deref()
            .is_none_or(|named| named == database)
}

/// A pattern of LIKE as a regular expression.
fn like(pattern: &str) -> String {
    let mut expression = String::from("^(?s:");
    for character in pattern.chars() {
        match character {
            '%' => expression.push_str(".*"),
            '_' => expression.push('.'),
            other => expression.push_str(&fancy_regex::escape(&other.to_string())),
        }
    }
    expression.push_str(")$");
    expression
}

/// All tables of a plan in one text.
pub(super) fn fingerprint(tables: &[TableName]) -> String {
    let names: Vec<String> = tables.iter().map(TableName::to_string).collect();
    names.join(",")
}

/// Deals tables to tasks, in turn. There is always one share: somebody must look for tables that appear.
pub(super) fn deal(tables: &[TableName], tasks_max: u32) -> Result<Vec<Share>> {
    let tasks = (tasks_max as usize).min(tables.len()).max(1);
    let mut shares = Vec::with_capacity(tasks);
    for task in 0..tasks {
        let part: Vec<(&str, &str)> = tables
            .iter()
            .skip(task)
            .step_by(tasks)
            .map(|name| (name.schema.as_deref().unwrap_or_default(), &*name.table))
            .collect();
        let text = serde_json::to_string(&part)
            .map_err(|error| Error::bug("plan", "names of tables are no JSON").because(error))?;
        let mut share = Share::from([(TABLES.to_owned(), text)]);
        if task == 0 {
            share.insert(PLANNED.to_owned(), fingerprint(tables));
        }
        shares.push(share);
    }
    Ok(shares)
}

/// The tables of a share.
pub(super) fn dealt(share: &Share) -> Result<Vec<TableName>> {
    let text = share.get(TABLES).map_or("[]", String::as_str);
    let names: Vec<(String, String)> = serde_json::from_str(text)
        .map_err(|error| Error::bug("open", "the share's tables are no JSON").because(error))?;
    let names = names.iter();
    Ok(names
        .map(|(schema, table)| TableName::new(Some(schema), table))
        .collect())
}

/// Looks for tables that the plan does not know.
pub(super) struct Watch {
    planned: String,
    every: Duration,
    next: Instant,
}

impl Watch {
    pub(super) fn new(share: &Share, config: &SourceConfig) -> Option<Self> {
        let every = Duration::from_millis(config.table_poll_ms);
        share.get(PLANNED).map(|planned| Self {
            planned: planned.clone(),
            every,
            next: Instant::now() + every,
        })
    }
    pub(super) fn due(&self) -> Instant {
        self.next
    }
    /// Whether the plan is out of date.
    pub(super) async fn outdated(&mut self, session: &Session, config: &SourceConfig) -> bool {
        self.next = Instant::now() + self.every;
        match chosen(session, config).await {
            Ok((tables, _)) => fingerprint(&tables) != self.planned,
            Err(error) => {
                tracing::warn!(%error, "tables cannot be listed for now");
                false
            }
        }
    }
}

/// The chosen tables as they are now, and those of the whitelist that are not there.
pub(super) async fn chosen(
    session: &Session,
    config: &SourceConfig,
) -> Result<(Vec<TableName>, Vec<TableName>)> {
    let selection = Selection::new(config)?;
    let listed = catalogue::tables(session, "plan").await?;
    selection.choose(&listed, session.database())
}
