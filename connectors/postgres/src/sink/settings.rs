//! The keys judged together: what the sink is to do.

use super::config::{Evolution, InsertMode, PkMode, Quotes, SinkConfig, one_of};
use crate::client::{NAME_BYTES_MAX, TableName, Target};
use longshore_sdk::config::Finding;

/// Stands for the topic while a format is taken apart; no topic has such a character.
const TOPIC: &str = "\u{1}";

/// What to do.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) target: Target,
    pub(crate) mode: InsertMode,
    pub(crate) pk: PkMode,
    /// Names as configured, or kafka's three defaults.
    pub(crate) pk_fields: Vec<String>,
    pub(crate) delete: bool,
    pub(crate) truncate: bool,
    /// Deletions are not wanted, and are nothing to complain about.
    pub(crate) ignore_tombstones: bool,
    /// Rows to a piece.
    pub(crate) rows_max: usize,
    pub(crate) create: bool,
    pub(crate) evolve: bool,
    /// Names go to lower case.
    pub(crate) fold: bool,
    format: TableName,
    underscores: bool,
    include: Vec<Selected>,
    exclude: Vec<Selected>,
}

/// A field, of one topic or of all.
#[derive(Clone, Debug)]
struct Selected {
    topic: Option<String>,
    field: String,
}

impl Settings {
    /// Judges a config without reaching out. Errors: everything that is wrong.
    pub(crate) fn of(config: &SinkConfig) -> Result<Self, Vec<Finding>> {
        let mut findings = Vec::new();
        let pk = one_of(
            ("pk.mode", config.pk_mode),
            ("primary.key.mode", config.primary_key_mode),
            &mut findings,
        );
        let list = |names: &Vec<String>| (!names.is_empty()).then(|| names.clone());
        let pk_fields = one_of(
            ("pk.fields", list(&config.pk_fields)),
            ("primary.key.fields", list(&config.primary_key_fields)),
            &mut findings,
        );
        let include = one_of(
            ("fields.whitelist", list(&config.fields_whitelist)),
            ("field.include.list", list(&config.field_include_list)),
            &mut findings,
        );
        let quotes = config.quote_identifiers.map(|quoted| {
            if quoted {
                Quotes::Always
            } else {
                Quotes::Never
            }
        });
        let quotes = one_of(
            ("quote.sql.identifiers", config.quote_sql_identifiers),
            ("quote.identifiers", quotes),
            &mut findings,
        );
        let evolution = config
            .schema_evolution
            .map(|level| level == Evolution::Basic);
        let mut switch =
            |key, value| one_of((key, value), ("schema.evolution", evolution), &mut findings);
        let create = switch("auto.create", config.auto_create);
        let evolve = switch("auto.evolve", config.auto_evolve);
        let (format, underscores) = format(config, &mut findings);
        fixed(config, &mut findings);
        let target = match config.connection.target() {
            Ok(target) => Some(target),
            Err(more) => {
                findings.extend(more);
                None
            }
        };
        let mut settings = match (target, format) {
            (Some(target), Some(format)) => Self {
                target,
                mode: config.insert_mode,
                pk: pk.unwrap_or_default(),
                pk_fields: pk_fields.unwrap_or_default(),
                delete: config.delete_enabled,
                truncate: config.truncate_enabled,
                ignore_tombstones: !config.delete_enabled && config.primary_key_mode.is_some(),
                rows_max: config.batch_size as usize,
                create: create.unwrap_or(false),
                evolve: evolve.unwrap_or(false),
                fold: quotes == Some(Quotes::Never),
                format,
                underscores,
                include: selected(&include.unwrap_or_default()),
                exclude: selected(&config.field_exclude_list),
            },
            _ => return Err(findings),
        };
        settings.keys_fit(&mut findings);
        if findings.is_empty() {
            Ok(settings)
        } else {
            Err(findings)
        }
    }

    /// Whether the keys about rows' keys fit each other.
    fn keys_fit(&mut self, findings: &mut Vec<Finding>) {
        let writes = match self.mode {
            InsertMode::Insert => None,
            InsertMode::Upsert => Some("upsert"),
            InsertMode::Update => Some("update"),
        };
        if let (Some(mode), PkMode::None) = (writes, self.pk) {
            let problem = format!("it is none, and insert.mode={mode} finds rows by their key");
            findings.push(
                Finding::new("pk.mode", problem)
                    .suggest("set it to record_key, record_value or kafka"),
            );
        }
        if self.delete && self.pk != PkMode::RecordKey {
            findings.push(
                Finding::new(
                    "delete.enabled",
                    "a tombstone has nothing but its record's key",
                )
                .suggest("set pk.mode=record_key, or delete.enabled=false"),
            );
        }
        if self.pk == PkMode::Kafka {
            if self.pk_fields.is_empty() {
                self.pk_fields = ["topic", "partition", "offset"]
                    .map(|part| format!("__connect_{part}"))
                    .to_vec();
            } else if self.pk_fields.len() != 3 {
                let problem = format!(
                    "{} names, but pk.mode=kafka has three: topic, partition, offset",
                    self.pk_fields.len()
                );
                findings.push(Finding::new("pk.fields", problem));
            }
        }
        if self.pk == PkMode::None && !self.pk_fields.is_empty() {
            findings.push(
                Finding::new(
                    "pk.fields",
                    "pk.mode is none, so that nothing reads these names",
                )
                .suggest("set pk.mode, or take pk.fields out"),
            );
        }
    }

    /// The table of a topic. Errors say what is wrong with the name.
    pub(crate) fn table(&self, topic: &str) -> Result<TableName, String> {
        let topic = if self.underscores {
            topic.replace('.', "_")
        } else {
            topic.to_owned()
        };
        let part = |part: &String| {
            let name = self.name(&part.replace(TOPIC, &topic));
            if name.len() > NAME_BYTES_MAX {
                return Err(format!(
                    "the name {name} has {} bytes, Postgres keeps {NAME_BYTES_MAX}: rename the topic on its way with a RegexRouter",
                    name.len()
                ));
            }
            Ok(name)
        };
        Ok(TableName {
            database: self.format.database.as_ref().map(&part).transpose()?,
            schema: self.format.schema.as_ref().map(&part).transpose()?,
            table: part(&self.format.table)?,
        })
    }

    /// A name as the database has it.
    pub(crate) fn name(&self, name: &str) -> String {
        if self.fold {
            name.to_lowercase()
        } else {
            name.to_owned()
        }
    }

    /// The one table that every topic goes to, if the format names no topic.
    pub(crate) fn fixed_table(&self) -> Option<TableName> {
        let parts = [&self.format.database, &self.format.schema];
        let varies = parts
            .into_iter()
            .flatten()
            .chain([&self.format.table])
            .any(|part| part.contains(TOPIC));
        if varies { None } else { self.table("").ok() }
    }

    /// Whether a field of a topic's values is to be written.
    pub(crate) fn takes(&self, topic: &str, field: &str) -> bool {
        let among = |list: &[Selected]| {
            list.iter().any(|selected| {
                selected.field == field && selected.topic.as_deref().is_none_or(|of| of == topic)
            })
        };
        (self.include.is_empty() || among(&self.include)) && !among(&self.exclude)
    }
}

fn selected(names: &[String]) -> Vec<Selected> {
    let one = |name: &String| match name.rsplit_once(':') {
        Some((topic, field)) => Selected {
            topic: Some(topic.to_owned()),
            field: field.to_owned(),
        },
        None => Selected {
            topic: None,
            field: name.clone(),
        },
    };
    names.iter().map(one).collect()
}

/// The format of table names, and whether dots of topics become underscores.
fn format(config: &SinkConfig, findings: &mut Vec<Finding>) -> (Option<TableName>, bool) {
    let (key, text, underscores) = match (&config.table_name_format, &config.collection_name_format)
    {
        (Some(first), Some(second)) if first != second => {
            findings.push(
                Finding::new(
                    "collection.name.format",
                    "table.name.format says something else, and both mean the same",
                )
                .suggest("keep one of them"),
            );
            return (None, false);
        }
        (Some(text), _) => ("table.name.format", text.as_str(), false),
        (None, Some(text)) => ("collection.name.format", text.as_str(), true),
        (None, None) => ("table.name.format", "${topic}", false),
    };
    let marked = text.replace("${topic}", TOPIC);
    let parsed = if marked.contains("${") {
        Err("only ${topic} can stand in it".to_owned())
    } else {
        TableName::parse(&marked).map_err(|problem| problem.replace(TOPIC, "${topic}"))
    };
    match parsed {
        Ok(name) => (Some(name), underscores),
        Err(problem) => {
            findings.push(Finding::new(key, problem).suggest("for example public.${topic}"));
            (None, underscores)
        }
    }
}

/// Keys that take one value.
fn fixed(config: &SinkConfig, findings: &mut Vec<Finding>) {
    for (key, zone) in [
        ("db.timezone", &config.db_timezone),
        ("use.time.zone", &config.use_time_zone),
    ] {
        if let Some(zone) = zone
            && !["UTC", "Etc/UTC", "GMT", "Z"].contains(&zone.as_str())
        {
            findings.push(
                Finding::new(
                    key,
                    format!("{zone} is not supported: times without a zone are UTC"),
                )
                .suggest("set it to UTC, and use timestamptz columns for other zones"),
            );
        }
    }
    if let Some(dialect) = &config.dialect_name
        && !dialect.is_empty()
        && !dialect.to_ascii_lowercase().starts_with("postgres")
    {
        findings.push(
            Finding::new(
                "dialect.name",
                format!("{dialect} is not supported: this sink writes Postgres"),
            )
            .suggest("take it out, or set PostgreSqlDatabaseDialect"),
        );
    }
}
