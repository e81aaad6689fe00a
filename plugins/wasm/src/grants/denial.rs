//! Why something was not allowed, and what would allow it.

use super::{NET, PREFIX, Target};
use crate::refusal::cut;
use std::{error::Error, fmt};

/// Entries of a grant that a message shows.
const SHOWN_MAX: usize = 5;
/// Of one of them, in bytes.
const ENTRY_MAX: usize = 300;

/// A call of a plugin that its grants do not cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    what: &'static str,
    message: String,
    grant: Option<String>,
    /// What the plugin is told instead of the message.
    told: Option<String>,
}

impl Denial {
    pub(super) fn of_net<'a>(
        plugin: &str,
        target: &Target,
        why: &str,
        entry: &str,
        granted: impl Iterator<Item = &'a str>,
    ) -> Self {
        let granted = granted.map(|entry| cut(entry, ENTRY_MAX));
        let granted: Vec<&str> = granted.take(SHOWN_MAX + 1).collect();
        let now = match granted.len() {
            0 => "nothing is granted".to_owned(),
            1..=SHOWN_MAX => format!("granted is {}", granted.join(", ")),
            _ => format!("granted is {}, ..", granted[..SHOWN_MAX].join(", ")),
        };
        let grant = format!("{PREFIX}{plugin}.net={entry}");
        Self {
            what: "net",
            message: format!(
                "the plugin {plugin} may not reach {target}{why}; {now}; the worker's setting {grant} would allow it"
            ),
            grant: Some(grant),
            told: None,
        }
    }
    pub(super) fn of_connector(plugin: &str, target: &Target) -> Self {
        let grant = format!("{NET}={}:{}", target.host, target.port);
        Self {
            what: "net",
            message: format!(
                "the plugin {plugin} may not reach {target}: the connector's own {NET} leaves it out; {grant} there would allow it"
            ),
            grant: Some(grant),
            told: None,
        }
    }
    /// `why`: half a sentence.
    pub(super) fn for_good(plugin: &str, target: &Target, why: &str) -> Self {
        Self {
            what: "net",
            message: format!(
                "the plugin {plugin} may not reach {target}: {why}; no grant allows it"
            ),
            grant: None,
            told: None,
        }
    }
    pub(super) fn of_secrets(plugin: &str, key: &str) -> Self {
        let key: String = key.chars().take(100).collect();
        let grant = format!("{PREFIX}{plugin}.secrets=reveal");
        Self {
            what: "secrets",
            message: format!(
                "the plugin {plugin} may not read the secret {key:?}; the worker's setting {grant} would allow it; without it http.credential uses secrets unseen"
            ),
            grant: Some(grant),
            told: None,
        }
    }
    /// The same for what a name was resolved to. The plugin learns nothing of the network around the worker.
    pub(super) fn behind_name(mut self, plugin: &str, target: &Target) -> Self {
        self.told = Some(format!(
            "the plugin {plugin} may not reach {target}: what the name stands for is not granted; the worker's log says more"
        ));
        self
    }
    /// What the plugin is told; the whole is for the worker's log.
    pub fn told(&self) -> &str {
        self.told.as_deref().unwrap_or(&self.message)
    }
    /// The setting that the plugin may be told.
    pub(crate) fn told_grant(&self) -> Option<&str> {
        self.grant().filter(|_| self.told.is_none())
    }
    /// The kind of grant: `net` or `secrets`.
    pub fn what(&self) -> &'static str {
        self.what
    }
    /// The setting that would allow it; none = nothing does.
    pub fn grant(&self) -> Option<&str> {
        self.grant.as_deref()
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Denial {}
