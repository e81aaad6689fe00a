//! Whether a config may be stored: 400 with every finding, in Kafka Connect's words.

use super::{Control, ControlError, ControlErrorKind, ControlResult, Extra};
use crate::{connector_config::get, registry::PluginKind, validate};
use longshore_sdk::config::{Finding, Flat, info::HIDDEN, looks_secret};
use std::time::Duration;

/// How long live checks of a connector may take.
const CHECK_MAX: Duration = Duration::from_secs(30);

impl Control {
    /// Refuses a config that could not run: 400 with every finding. What is odd is returned, for the answer.
    pub(super) async fn judge(&self, config: &Flat) -> ControlResult<Option<Extra>> {
        self.known_class(config)?;
        let bytes: usize = config
            .iter()
            .map(|(key, value)| key.len() + value.len() + 6)
            .sum();
        let max = self.cx.settings.config_bytes_max;
        if bytes > max {
            let text = format!(
                "The connector's config has about {bytes} bytes, at most {max} can be stored"
            );
            return Err(ControlError::new(ControlErrorKind::TooLarge, text));
        }
        let mut report = self.report(config);
        for warning in &report.warnings {
            tracing::warn!(
                connector = get(config, "name"),
                key = warning.key,
                problem = warning.problem,
                suggestion = warning.suggestion,
                "odd key"
            );
        }
        if report.is_ok() {
            report.findings = self.live_findings(config).await;
        }
        let Some(first) = report.findings.first() else {
            return Ok(Extra::of(&report.warnings));
        };
        let texts = report.texts(config);
        let mut error = ControlError::invalid(format!(
            "Connector configuration is invalid and contains the following {} error(s):\n{}\n\
             You can also find the above list of errors at the endpoint `/connector-plugins/{{connectorType}}/config/validate`",
            texts.len(),
            texts.join("\n"),
        ));
        error = error.at(&first.key);
        Err(if first.suggestion.is_empty() {
            error
        } else {
            error.suggest(&first.suggestion)
        })
    }

    /// What is wrong and odd about a config, without a look at the system.
    pub(super) fn report(&self, config: &Flat) -> validate::Report {
        let settings = &self.cx.settings;
        let (converters, unknown) = (&settings.converters, settings.unknown_keys);
        validate::check(
            config,
            &self.cx.registry,
            converters,
            unknown,
            &settings.overrides,
        )
    }

    /// What the connector finds when it looks at the system.
    pub(super) async fn live_findings(&self, config: &Flat) -> Vec<Finding> {
        let Some(connector) = self.plugin(config) else {
            return Vec::new();
        };
        let resolved = match self.cx.settings.placeholders.resolve(config) {
            Ok(resolved) => resolved,
            Err(error) => {
                let key = error.context().iter().find(|(name, _)| *name == "key");
                let key = key.map_or("", |(_, key)| key.as_str());
                return vec![Finding::new(key, error.message())];
            }
        };
        let checked = tokio::time::timeout(CHECK_MAX, connector.check(&resolved)).await;
        let mut findings = checked.unwrap_or_else(|_| {
            let text = format!(
                "the connector's check of the system took longer than {} s",
                CHECK_MAX.as_secs()
            );
            vec![Finding::new("connector.class", text)]
        });
        // I8: a finding may quote the value that a placeholder stands for.
        for finding in &mut findings {
            finding.problem = self
                .cx
                .settings
                .placeholders
                .hide_text(config, &finding.problem);
        }
        findings
    }

    /// 400 unless the config names a connector that is there, in Kafka Connect's words.
    pub(super) fn known_class(&self, config: &Flat) -> ControlResult<()> {
        let Some(class) = config.get("connector.class") else {
            let text = format!(
                "Connector config {} contains no connector type",
                java_map(config)
            );
            return Err(ControlError::invalid(text).at("connector.class"));
        };
        if self.cx.registry.connector(class).is_some() {
            return Ok(());
        }
        let all = self
            .cx
            .registry
            .connectors()
            .iter()
            .map(|connector| connector.plugin());
        let listed: Vec<String> = all
            .map(|plugin| {
                format!(
                    "{} (version {})",
                    plugin.aliases.first().unwrap_or(&plugin.name),
                    plugin.version
                )
            })
            .collect();
        let error = ControlError::invalid(format!(
            "Failed to find any class that implements Connector and which name matches {class}, available connectors are: {}",
            listed.join(", ")
        ));
        let near = self.cx.registry.near(PluginKind::Source, class);
        let error = error.at("connector.class");
        Err(match near {
            Some(near) => error.suggest(format!("did you mean {near}?")),
            None => error,
        })
    }
}

/// A map as Java prints it; what looks secret is hidden (I8).
fn java_map(config: &Flat) -> String {
    let entries = config.iter().map(|(key, value)| {
        let value = if looks_secret(key) { HIDDEN } else { value };
        format!("{key}={value}")
    });
    format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
}
