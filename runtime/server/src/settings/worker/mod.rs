//! The worker's settings: Kafka Connect's worker keys and Longshore's own.

mod effect;
mod keys;
mod memory;
mod other_keys;
mod plugin_keys;
mod providers;
mod resolved;
mod rest_keys;

pub(crate) use effect::{Bootstrap, Store};
pub(crate) use keys::{ExactlyOnceSupport, OverridePolicy, RestartPolicy, WorkerSettings};
pub(crate) use plugin_keys::PluginKeys;
pub(crate) use rest_keys::{AuthMethod, ClientAuth, HttpsKeys, RestKeys, TokenAlgorithm};

use super::{file::Section, listener::Listener, place::Located};
use longshore_sdk::config::{Definition, Finding, Flat, UnknownKeys, read};

impl WorkerSettings {
    /// Reads a worker section whose placeholders are resolved. Notes name keys that are accepted and have no effect, and keys that
    /// nobody knows where those are only warned about.
    pub(crate) fn read(section: &Section) -> Result<(Self, Vec<Located>), Vec<Located>> {
        let located = |finding| section.locate(finding);
        let mut settings = match Self::typed(&section.config) {
            Ok(settings) => settings,
            Err(findings) => {
                let mut problems: Vec<Located> = findings.into_iter().map(located).collect();
                let mistyped = Self::judge_keys(section, UnknownKeys::Refuse);
                problems.extend(mistyped.err().unwrap_or_default());
                return Err(problems);
            }
        };
        settings.syntax = Some(section.syntax);
        let mut problems: Vec<Located> = settings
            .check(&section.config)
            .into_iter()
            .map(located)
            .collect();
        let mut notes: Vec<Located> = settings.idle().into_iter().map(located).collect();
        let idle = settings.rest().idle(&section.config);
        notes.extend(idle.into_iter().map(located));
        match Self::judge_keys(section, settings.unknown_keys()) {
            Ok(noted) => notes.extend(noted),
            Err(found) => problems.extend(found),
        }
        notes.extend(providers::notes(&section.config).into_iter().map(located));
        match providers::providers(&section.config) {
            Ok(placeholders) => settings.placeholders = placeholders,
            Err(found) => problems.extend(found.into_iter().map(located)),
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        settings.client = other_keys::client(&section.config);
        Ok((settings, notes))
    }
    /// All keys that a worker section may have.
    pub(crate) fn definition() -> Definition {
        let own = Definition::of::<Self>();
        own.and(rest_keys::definition())
            .and(plugin_keys::definition())
            .and(other_keys::definition())
    }

    /// All structs of the keys; every finding of each.
    fn typed(config: &Flat) -> Result<Self, Vec<Finding>> {
        let (settings, rest) = (read::<Self>(config), read::<RestKeys>(config));
        match (settings, rest, read::<PluginKeys>(config)) {
            (Ok(mut settings), Ok(rest), Ok(plugins)) => {
                settings.rest = Some(rest);
                settings.plugins = plugins;
                Ok(settings)
            }
            (settings, rest, plugins) => {
                let mut found = settings.err().unwrap_or_default();
                found.extend(rest.err().unwrap_or_default());
                found.extend(plugins.err().unwrap_or_default());
                Err(found)
            }
        }
    }

    /// Findings about keys rather than values: unknown, refused, without effect.
    fn judge_keys(section: &Section, unknown: UnknownKeys) -> Result<Vec<Located>, Vec<Located>> {
        let refused = other_keys::refused(&section.config);
        let mut problems: Vec<Finding> = refused;
        let mut notes = other_keys::without_effect(&section.config);
        let mut mistyped = Self::definition().unknown(&section.config);
        mistyped.retain(|finding| !problems.iter().any(|refused| refused.key == finding.key));
        match unknown {
            UnknownKeys::Refuse => problems.extend(mistyped),
            UnknownKeys::Warn => notes.extend(mistyped),
        }
        let locate = |findings: Vec<Finding>| {
            let located = findings.into_iter().map(|finding| section.locate(finding));
            located.collect()
        };
        if problems.is_empty() {
            Ok(locate(notes))
        } else {
            Err(locate(problems))
        }
    }

    /// One finding for each key that is read and moves nothing.
    fn idle(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.exactly_once == Some(ExactlyOnceSupport::Preparing) {
            let problem = "has no effect beyond disabled: there is nothing to prepare, set it to enabled on all workers";
            findings.push(Finding::new("exactly.once.source.support", problem));
        }
        if self.override_policy != OverridePolicy::Allowlist && !self.override_allowlist.is_empty()
        {
            let problem =
                "has no effect without connector.client.config.override.policy: Allowlist";
            findings.push(Finding::new(
                "connector.client.config.override.allowlist",
                problem,
            ));
        }
        let clear_text = |listener| self.rest().clear_text(listener);
        findings.extend(self.parsed_listeners.iter().filter_map(clear_text));
        findings
    }

    /// What the types cannot say.
    fn check(&mut self, config: &Flat) -> Vec<Finding> {
        let mut findings = self.check_rest(config);
        findings.extend(self.plugins.findings());
        let several = self.bootstrap_servers.len() > 1;
        for server in &self.bootstrap_servers {
            if server.eq_ignore_ascii_case("embedded") {
                if several {
                    let problem = "embedded stands alone: no other broker beside it";
                    findings.push(Finding::new("bootstrap.servers", problem));
                }
            } else if !is_host_and_port(server) {
                let problem = format!("expected host:port or embedded, got {server}");
                findings.push(Finding::new("bootstrap.servers", problem));
            }
        }
        if let Some(listen) = self
            .broker_listen
            .as_ref()
            .filter(|at| !is_host_and_port(at))
        {
            let problem = format!("expected host:port, got {listen}");
            findings.push(Finding::new("longshore.broker.listen", problem));
        }
        for (key, number) in [
            (
                "config.storage.replication.factor",
                self.config_replication.map(i32::from),
            ),
            (
                "offset.storage.replication.factor",
                self.offset_replication.map(i32::from),
            ),
            (
                "status.storage.replication.factor",
                self.status_replication.map(i32::from),
            ),
            ("offset.storage.partitions", Some(self.offset_partitions)),
            ("status.storage.partitions", Some(self.status_partitions)),
        ] {
            if number == Some(0) {
                let problem = "expected at least 1, or -1 for the brokers' default, got 0";
                findings.push(Finding::new(key, problem));
            }
        }
        findings
    }

    /// Listeners, and whether they may be reached as they are.
    fn check_rest(&mut self, config: &Flat) -> Vec<Finding> {
        let mut findings = self.rest().findings();
        if self.listeners.is_empty() {
            let problem = "expected at least 1 address, such as http://127.0.0.1:8083";
            findings.push(Finding::new("listeners", problem));
        }
        for text in &self.listeners {
            match Listener::parse(text) {
                Ok(listener) => self.parsed_listeners.push(listener),
                Err(finding) => findings.push(finding),
            }
        }
        if self.parsed_listeners.iter().any(|listener| listener.https) {
            let own = self.rest().certificate_file.is_some();
            match rest_keys::https(config, own) {
                Ok(keys) => {
                    if !own && keys.keystore_location.is_none() && keys.certificate_chain.is_none()
                    {
                        let finding =
                            Finding::new("listeners", "https needs a certificate and its key");
                        findings.push(finding.suggest("set listeners.https.ssl.keystore.location to a PEM file with both, or longshore.rest.ssl.certificate.file and longshore.rest.ssl.key.file"));
                    }
                    self.https = Some(keys);
                }
                Err(found) => findings.extend(found),
            }
        }
        let https = self.https.clone().unwrap_or_default();
        let judge = |listener| self.rest().judge(listener, &https);
        findings.extend(self.parsed_listeners.iter().filter_map(judge));
        if let Some(name) = &self.advertised_listener {
            let has = |listener: &Listener| listener.scheme().eq_ignore_ascii_case(name);
            if !self.parsed_listeners.iter().any(has) {
                let problem = format!("expected the protocol of one of listeners, got {name}");
                findings.push(Finding::new("rest.advertised.listener", problem));
            }
        }
        findings
    }
}

fn is_host_and_port(text: &str) -> bool {
    // A listener name of the broker may stand before it, as clients allow: PLAINTEXT://host:port.
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains(char::is_whitespace) && port.parse::<u16>().is_ok()
    })
}
