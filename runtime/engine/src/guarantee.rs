//! How often a record may arrive: a function of the config. The connector's own word, lowered by what the worker and the config allow.

use crate::{
    connector_config::{flag, get},
    registry::Connector,
};
use longshore_sdk::{
    Direction, Error, Guarantee, Level, Result,
    config::{Finding, Flat},
};
use serde_json::{Value, json};

/// `exactly.once.source.support`, as far as it decides anything: which source connectors write their records and offsets in transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceSupport {
    /// None: `disabled`, `preparing`, or a .properties file that says nothing.
    #[default]
    Disabled,
    /// Those that can, as long as the brokers let them; otherwise at least once, with the reason in the status. YAML that says nothing.
    Possible,
    /// Those that can; without the rights they fail: `enabled`.
    Enabled,
}

/// How a source stores its offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// After its records.
    Beside,
    /// In the transactions of its records. `insisted` = the user asked for it, so it is never given up.
    Transactions {
        /// `exactly.once.support=required` or `exactly.once.source.support=enabled`.
        insisted: bool,
    },
}

/// What is promised of a connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// How often a record may arrive.
    pub level: Level,
    /// By which means.
    pub method: String,
    /// Why it is not more.
    pub reason: Option<String>,
}

const BESIDE: &str = "offsets are stored once their records are acknowledged";
const GROUP_OFFSETS: &str = "the group's offsets are committed once the target has the records";
const TRANSACTIONS: &str =
    "records and offsets stand in one transaction, for readers with isolation.level=read_committed";
const NO_SUPPORT: &str = "the worker's exactly.once.source.support does not allow more";

impl Promise {
    /// What the config of a connector comes to.
    pub fn of(connector: &Connector, config: &Flat, support: SourceSupport) -> Result<Self> {
        let word = connector.guarantee(config)?;
        if connector.direction() == Direction::Sink {
            return Self::of_sink(word, config);
        }
        let reason = match delivery(connector, config, support)? {
            Delivery::Transactions { .. } => {
                return Ok(Self {
                    level: Level::ExactlyOnce,
                    method: format!("{TRANSACTIONS}; {}", word.method),
                    reason: None,
                });
            }
            Delivery::Beside if word.level < Level::ExactlyOnce => word.method,
            Delivery::Beside => NO_SUPPORT.into(),
        };
        Ok(Self::lowered(reason))
    }
    /// At least once, and why.
    pub fn lowered(reason: impl Into<String>) -> Self {
        Self {
            level: Level::AtLeastOnce,
            method: BESIDE.to_owned(),
            reason: Some(reason.into()),
        }
    }
    fn of_sink(word: Guarantee, config: &Flat) -> Result<Self> {
        let keeps = flag(config, "longshore.exactly.once", true)?;
        let (level, reason) = match word.level {
            Level::ExactlyOnce if !keeps => (
                Level::AtLeastOnce,
                "longshore.exactly.once=false".to_owned(),
            ),
            Level::AtLeastOnce => (Level::AtLeastOnce, word.method.into_owned()),
            level => {
                return Ok(Self {
                    level,
                    method: word.method.into_owned(),
                    reason: None,
                });
            }
        };
        Ok(Self {
            level,
            method: GROUP_OFFSETS.to_owned(),
            reason: Some(reason),
        })
    }
    /// As statuses show it: `{"level": .., "method": .., "reason": ..}`.
    pub fn json(&self) -> Value {
        let mut shown = json!({ "level": self.level.name(), "method": self.method });
        if let Some(reason) = &self.reason {
            shown["reason"] = json!(reason);
        }
        shown
    }
}

/// How a source is to store its offsets. Err (Config): exactly once is required and cannot be.
pub fn delivery(connector: &Connector, config: &Flat, support: SourceSupport) -> Result<Delivery> {
    if let Some(finding) = refused(connector, config, support) {
        return Err(Error::config("config", finding.to_string()).with("key", finding.key));
    }
    let can = connector.direction() == Direction::Source
        && connector.guarantee(config)?.level == Level::ExactlyOnce;
    let required = required(config);
    Ok(match support {
        SourceSupport::Possible | SourceSupport::Enabled if can => Delivery::Transactions {
            insisted: required || support == SourceSupport::Enabled,
        },
        _ => Delivery::Beside,
    })
}

/// What is wrong with insisting on exactly once here; `None` = nothing, or nobody does.
pub(crate) fn refused(
    connector: &Connector,
    config: &Flat,
    support: SourceSupport,
) -> Option<Finding> {
    if connector.direction() == Direction::Sink || !required(config) {
        return None;
    }
    let finding = |problem: String| Finding::new("exactly.once.support", problem);
    if support == SourceSupport::Disabled {
        let problem = "required, but this worker does not have exactly-once source support enabled";
        let advice =
            "set the worker's exactly.once.source.support to enabled, or this to requested";
        return Some(finding(problem.to_owned()).suggest(advice));
    }
    // What cannot be read of the config is told by its own finding.
    let word = connector.guarantee(config).ok()?;
    (word.level < Level::ExactlyOnce).then(|| {
        let problem = format!(
            "required, but the connector cannot give it with this config: {}",
            word.method
        );
        finding(problem).suggest("set it to requested, or change what the reason names")
    })
}

fn required(config: &Flat) -> bool {
    get(config, "exactly.once.support").is_some_and(|value| value.eq_ignore_ascii_case("required"))
}

/// A producer that a user insisted on and the brokers refuse: which rights it needs.
pub(crate) fn insisted(error: Error, id: &str, offsets_topic: &str) -> Error {
    let (prefix, _) = id.rsplit_once('-').unwrap_or((id, ""));
    let text = format!(
        "exactly once is insisted on (exactly.once.support=required or exactly.once.source.support=enabled) and the transactional id {id} cannot be used: {}; \
         the connector's principal needs WRITE and DESCRIBE on transactional ids that begin with {prefix}-, and WRITE on the topic {offsets_topic}",
        error.message()
    );
    Error::new(error.kind(), "open", text).because(error)
}
