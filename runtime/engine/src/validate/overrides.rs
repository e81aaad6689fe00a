//! Which client settings a connector may override: `producer.override.`, `consumer.override.` and `admin.override.`.

use crate::connector_config::below;
use longshore_sdk::{
    Result,
    config::{Finding, Flat},
};

const PREFIXES: [&str; 3] = [
    "producer.override.",
    "consumer.override.",
    "admin.override.",
];
/// What the policy Principal allows: who the client is.
const PRINCIPAL: [&str; 5] = [
    "sasl.jaas.config",
    "sasl.mechanism",
    "sasl.password",
    "sasl.username",
    "security.protocol",
];

/// Judges client keys, prefix taken off; Err names the first bad one and the nearest known one.
pub type ClientKeys = fn(prefix: &str, keys: &Flat) -> Result<()>;

/// `connector.client.config.override.policy`, and which client keys there are.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The worker's policy.
    pub policy: OverridePolicy,
    /// What the client knows; without it every key passes here and is judged when the task starts.
    pub known: Option<ClientKeys>,
}

/// `connector.client.config.override.policy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OverridePolicy {
    /// Every key that the client knows.
    #[default]
    All,
    /// No key.
    None,
    /// Those that say who the client is.
    Principal,
    /// The listed ones.
    Allowlist(Vec<String>),
}

impl OverridePolicy {
    fn allows(&self, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Principal => PRINCIPAL.contains(&key),
            Self::Allowlist(keys) => keys.iter().any(|allowed| allowed == key),
        }
    }
    fn name(&self) -> &'static str {
        match self {
            Self::All => "All",
            Self::None => "None",
            Self::Principal => "Principal",
            Self::Allowlist(_) => "Allowlist",
        }
    }
}

/// What of a config the policy or the client refuses.
pub(super) fn check(config: &Flat, overrides: &Overrides) -> Vec<Finding> {
    let mut findings = Vec::new();
    for prefix in PREFIXES {
        for (key, value) in below(config, prefix) {
            let whole = format!("{prefix}{key}");
            if !overrides.policy.allows(&key) {
                // The reference's words; they name the key without its prefix.
                let policy = overrides.policy.name();
                let problem = format!(
                    "The '{policy}' policy does not allow '{key}' to be overridden in the connector configuration."
                );
                let advice = format!(
                    "remove {whole}, or change the worker's connector.client.config.override.policy"
                );
                findings.push(Finding::new(whole, problem).suggest(advice));
            } else if let Some(Err(error)) = overrides
                .known
                .map(|known| known(prefix, &Flat::from([(key, value)])))
            {
                // The finding names the key already.
                let text = error.message();
                let text = text
                    .strip_prefix(whole.as_str())
                    .map_or(text, str::trim_start)
                    .to_owned();
                findings.push(Finding::new(whole, text));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_sdk::Error;

    fn refused(policy: OverridePolicy) -> Vec<String> {
        let known: ClientKeys = |prefix, keys| match keys.first_key_value() {
            Some((key, _)) if key == "lingr.ms" => Err(Error::config(
                "client",
                format!("{prefix}{key}: no such key"),
            )),
            _ => Ok(()),
        };
        let keys = [
            "producer.override.linger.ms",
            "consumer.override.sasl.mechanism",
            "admin.override.lingr.ms",
            "topic",
        ];
        let config = keys
            .into_iter()
            .map(|key| (key.to_owned(), "1".to_owned()))
            .collect();
        let found = check(
            &config,
            &Overrides {
                policy,
                known: Some(known),
            },
        );
        found.into_iter().map(|finding| finding.key).collect()
    }

    #[test]
    fn a_policy_allows_what_it_says() {
        let (linger, sasl, odd) = (
            "producer.override.linger.ms",
            "consumer.override.sasl.mechanism",
            "admin.override.lingr.ms",
        );
        assert_eq!(refused(OverridePolicy::All), [odd]);
        assert_eq!(refused(OverridePolicy::None), [linger, sasl, odd]);
        assert_eq!(refused(OverridePolicy::Principal), [linger, odd]);
        assert_eq!(
            refused(OverridePolicy::Allowlist(vec!["linger.ms".into()])),
            [sasl, odd]
        );
    }
}
