//! Whether a config may be stored: 400 with every finding, in Kafka Connect's words.

use super::{Control, ControlError, ControlErrorKind, ControlResult, Extra};
use crate::{
    connector_config::get,
    providers::{Resolved, shown},
    registry::PluginKind,
    validate,
};
use longshore_sdk::config::{Finding, Flat};
use std::time::Duration;
use tokio::time::Instant;

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
        let report = self.looked_at(config).await;
        for warning in &report.warnings {
            tracing::warn!(
                connector = get(config, "name"),
                key = warning.key,
                problem = warning.problem,
                suggestion = warning.suggestion,
                "odd key"
            );
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

    /// What is wrong and odd about a config, as it is written and without a look at the system.
    pub(super) fn report(&self, config: &Flat) -> validate::Report {
        let mut report = self.judged(config);
        let undeclared = self.cx.settings.placeholders.undeclared(config);
        report.warnings.extend(undeclared);
        report
    }

    /// The same, and where nothing is wrong so far what is wrong with what its placeholders stand for, and what the connector finds when it
    /// looks at the system.
    pub(super) async fn looked_at(&self, config: &Flat) -> validate::Report {
        let mut report = self.report(config);
        if !report.is_ok() {
            return report;
        }
        let resolved = match self.cx.resolve(config).await {
            Ok(resolved) => resolved,
            Err(error) => {
                let key = error.context().iter().find(|(name, _)| *name == "key");
                let key = key.map_or("", |(_, key)| key.as_str());
                report.findings.push(Finding::new(key, error.message()));
                return report;
            }
        };
        report.warnings.extend(resolved.missing.iter().cloned());
        if resolved.config != *config {
            report.add_resolved(config, self.judged(&resolved.config), &resolved);
        }
        if report.is_ok() {
            report.findings = self.live_findings(&resolved).await;
        }
        report
    }

    fn judged(&self, config: &Flat) -> validate::Report {
        let settings = &self.cx.settings;
        let (converters, unknown) = (&settings.converters, settings.unknown_keys);
        validate::check(
            config,
            &self.cx.registry,
            converters,
            unknown,
            &settings.overrides,
            settings.exactly_once_sources,
        )
    }

    /// What the connector finds when it looks at the system, and its transforms.
    async fn live_findings(&self, resolved: &Resolved) -> Vec<Finding> {
        let Some(connector) = self.plugin(&resolved.config) else {
            return Vec::new();
        };
        let until = Instant::now() + CHECK_MAX;
        let config = &resolved.config;
        let (checked, of_transforms) = tokio::join!(
            tokio::time::timeout_at(until, connector.check(config)),
            validate::live(config, &self.cx.registry, until)
        );
        let mut findings = checked.unwrap_or_else(|_| {
            let text = format!(
                "the connector's check of the system took longer than {} s",
                CHECK_MAX.as_secs()
            );
            vec![Finding::new("connector.class", text)]
        });
        findings.extend(of_transforms);
        // I8: a finding may quote the value that a placeholder stands for.
        for finding in &mut findings {
            finding.problem = resolved.secrets.hide_text(&finding.problem);
            finding.suggestion = resolved.secrets.hide_text(&finding.suggestion);
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
        if let Some(skipped) = self.cx.registry.skipped(class) {
            return Err(error.suggest(skipped));
        }
        Err(match near {
            Some(near) => error.suggest(format!("did you mean {near}?")),
            None => error,
        })
    }
}

/// A map as Java prints it; what looks secret is hidden (I8).
fn java_map(config: &Flat) -> String {
    let entries = config
        .iter()
        .map(|(key, value)| format!("{key}={}", shown(key, value)));
    format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
}
