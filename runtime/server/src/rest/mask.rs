//! Configs as those see them who may not change them: without secrets (I8).

use super::access::{Identity, Role};
use longshore_engine::control::{ConnectorInfo, Control, TaskInfo};
use longshore_sdk::config::{Flat, info::HIDDEN, looks_secret};

/// Hides the secrets of configs. An admin sees them: who may write a config must read it as it is, or could not write it back.
pub(crate) struct Mask<'a> {
    control: &'a Control,
    on: bool,
}

impl<'a> Mask<'a> {
    /// The mask for a caller.
    pub(crate) fn of(identity: &Identity, control: &'a Control) -> Self {
        Self {
            control,
            on: identity.role < Some(Role::Admin),
        }
    }
    /// A connector with its config.
    pub(crate) fn info(&self, mut info: ConnectorInfo) -> ConnectorInfo {
        info.config = self.config(info.config);
        info
    }
    /// Tasks with their configs: of the class of their connector.
    pub(crate) fn tasks(&self, connector: &Flat, mut tasks: Vec<TaskInfo>) -> Vec<TaskInfo> {
        for task in &mut tasks {
            let config = std::mem::take(&mut task.config);
            task.config = self.hidden(connector, config);
        }
        tasks
    }
    /// A connector's config.
    pub(crate) fn config(&self, config: Flat) -> Flat {
        let class = config.clone();
        self.hidden(&class, config)
    }

    fn hidden(&self, connector: &Flat, config: Flat) -> Flat {
        if !self.on {
            return config;
        }
        let known = self.control.definition(connector);
        let hide = |(key, value): (String, String)| {
            let is_secret = looks_secret(&key) || known.is_secret(&key);
            let value = if is_secret && !is_placeholder(&value) {
                HIDDEN.to_owned()
            } else {
                without_passwords(&value)
            };
            (key, value)
        };
        config.into_iter().map(hide).collect()
    }
}

/// Whether a value is one placeholder and nothing else: it says where a secret is, not what it is.
fn is_placeholder(value: &str) -> bool {
    let inner = value
        .trim()
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'));
    inner.is_some_and(|inner| !inner.contains(['$', '{', '}']))
}

/// Hides the passwords of URLs: `scheme://user:password@host` and `?password=..`.
fn without_passwords(value: &str) -> String {
    let mut shown = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let end = after
            .find(['/', '?', '#', ',', ' ', '"'])
            .unwrap_or(after.len());
        let (authority, next) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((user, host)) if user.contains(':') => {
                let name = user.split(':').next().unwrap_or_default();
                shown.push_str(&format!("{name}:{HIDDEN}@{host}"));
            }
            _ => shown.push_str(authority),
        }
        rest = next;
    }
    shown.push_str(rest);
    if !value.contains('=') {
        return shown;
    }
    let mut out = String::with_capacity(shown.len());
    for part in shown.split_inclusive(['?', '&', ';', ' ', ',']) {
        let ends = part.ends_with(['?', '&', ';', ' ', ',']);
        let (pair, end) = part.split_at(part.len() - usize::from(ends));
        match pair.split_once('=') {
            Some((key, _)) if is_secret_parameter(key) => {
                out.push_str(&format!("{key}={HIDDEN}{end}"));
            }
            _ => out.push_str(part),
        }
    }
    out
}

fn is_secret_parameter(key: &str) -> bool {
    looks_secret(key) || key.to_ascii_lowercase().ends_with("pwd")
}

#[cfg(test)]
mod tests {
    use super::{is_placeholder, without_passwords};

    #[test]
    fn i8_passwords_inside_of_urls_are_hidden() {
        for (value, shown) in [
            (
                "postgresql://u:p%40ss@h:5/db",
                "postgresql://u:[hidden]@h:5/db",
            ),
            ("http://u:p@ss@h", "http://u:[hidden]@h"),
            (
                "jdbc:postgresql://h/db?user=u&password=abc&ssl=true",
                "jdbc:postgresql://h/db?user=u&password=[hidden]&ssl=true",
            ),
            (
                "host=h password=abc user=u",
                "host=h password=[hidden] user=u",
            ),
            (
                "amqp://a:b@h1/x,amqp://c:d@h2/y",
                "amqp://a:[hidden]@h1/x,amqp://c:[hidden]@h2/y",
            ),
            (
                "https://h/?api_key=abc&x-access-key=d&PWD=e&q=1",
                "https://h/?api_key=[hidden]&x-access-key=[hidden]&PWD=[hidden]&q=1",
            ),
            ("https://h/path?q=1", "https://h/path?q=1"),
            ("plain, text=1", "plain, text=1"),
        ] {
            assert_eq!(without_passwords(value), shown);
        }
    }

    #[test]
    fn only_a_whole_placeholder_is_no_secret() {
        assert!(is_placeholder("${file:/etc/pw:key}") && is_placeholder(" ${env:PW} "));
        for value in [
            "${env:A}secret",
            "${env:A}secret${env:B}",
            "secret",
            "${",
            "${a{b}}",
        ] {
            assert!(!is_placeholder(value), "{value}");
        }
    }
}
