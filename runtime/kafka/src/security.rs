//! Security settings: closed sets of protocols and mechanisms, credentials from JAAS text, stores of certificates.
//!
//! Nothing here loads a class or runs a command: what a Java client would look up by name is recognised from a list, or refused by name.

mod ciphers;
mod jaas;
mod pem;
mod stores;

use crate::{
    client::Properties,
    oauth::{self, Login},
};
use jaas::Module;
use longshore_sdk::{Error, Result};
use std::collections::BTreeMap;

pub(crate) use stores::CaStore;

const PROTOCOL: &str = "security.protocol";
const MECHANISM: &str = "sasl.mechanism";
const JAAS: &str = "sasl.jaas.config";
const IDENTIFICATION: &str = "ssl.endpoint.identification.algorithm";

/// The keys that are translated rather than passed on, with the names that users gave them.
#[derive(Default)]
pub(crate) struct Special {
    entries: BTreeMap<String, Entry>,
}

struct Entry {
    value: String,
    /// The key as it was written: with its prefix.
    name: String,
}

impl Special {
    pub(crate) fn insert(&mut self, key: &str, name: String, value: String) {
        self.entries.insert(key.to_owned(), Entry { value, name });
    }
    /// The value of a key; an empty one asks for nothing.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let entry = self.entries.get(key)?;
        (!entry.value.is_empty()).then_some(entry.value.as_str())
    }
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let entries = self.entries.iter();
        entries.map(|(key, entry)| (key.as_str(), entry.value.as_str()))
    }
    /// The key as the user wrote it.
    pub(crate) fn name<'a>(&'a self, key: &'a str) -> &'a str {
        self.entries.get(key).map_or(key, |entry| &entry.name)
    }
    /// Names the key and the rule, never the value (I8).
    pub(crate) fn bad(&self, key: &str, rule: impl AsRef<str>) -> Error {
        let name = self.name(key);
        Error::config("config", format!("{name} {}", rule.as_ref())).with("key", name)
    }
}

/// Turns the security keys of `special` into the client library's; what is left is a login that asks for tokens, if the settings name one.
/// As in a Java client, keys that `security.protocol` has no use for are not looked at: stores may be meant for the REST API alone.
pub(crate) fn translate(special: &Special, native: &mut Properties) -> Result<Option<Login>> {
    let protocol = match special.get(PROTOCOL) {
        None => None,
        Some(value) => Some(Protocol::read(value).ok_or_else(|| {
            special.bad(
                PROTOCOL,
                "must be PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
            )
        })?),
    };
    if let Some(protocol) = protocol {
        native.insert(PROTOCOL.to_owned(), protocol.name().to_owned());
    }
    if protocol.is_some_and(Protocol::is_encrypted) {
        encryption(special, native)?;
    }
    match protocol {
        Some(protocol) if protocol.is_sasl() => login(special, native),
        _ => Ok(None),
    }
}

fn encryption(special: &Special, native: &mut Properties) -> Result<()> {
    if let Some(algorithm) = special.entries.get(IDENTIFICATION) {
        let algorithm = match algorithm.value.to_ascii_lowercase().as_str() {
            "" | "none" => "none",
            "https" => "https",
            _ => {
                return Err(special.bad(IDENTIFICATION, "must be https, or empty for no check"));
            }
        };
        native.insert(IDENTIFICATION.to_owned(), algorithm.to_owned());
    }
    ciphers::translate(special, native);
    stores::truststore(special, native)?;
    stores::keystore(special, native)
}

/// Says which checks a kind of clients goes without; to be called once, at the worker's start.
pub(crate) fn warn(native: &Properties, clients: &str) {
    let set = |key: &str, value: &str| native.get(key).is_some_and(|set| set == value);
    if set(IDENTIFICATION, "none") {
        tracing::warn!(
            clients,
            "ssl.endpoint.identification.algorithm is empty: a broker's certificate is not compared with its host name, so that anybody with a certificate of the same authority can pose as the broker"
        );
    }
    if set("enable.ssl.certificate.verification", "false") {
        tracing::warn!(
            clients,
            "enable.ssl.certificate.verification=false: anybody can pose as the broker"
        );
    }
    if set(PROTOCOL, "sasl_plaintext") && set(MECHANISM, "PLAIN") {
        tracing::warn!(
            clients,
            "security.protocol=SASL_PLAINTEXT with PLAIN: the password crosses the network unencrypted"
        );
    }
}

/// `security.protocol`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl Protocol {
    const ALL: [Self; 4] = [
        Self::Plaintext,
        Self::Ssl,
        Self::SaslPlaintext,
        Self::SaslSsl,
    ];
    fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }
    fn read(text: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|protocol| protocol.name().eq_ignore_ascii_case(text))
    }
    fn is_encrypted(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }
    fn is_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

fn login(special: &Special, native: &mut Properties) -> Result<Option<Login>> {
    oauth::known_classes(special)?;
    let Some(name) = special.get(MECHANISM) else {
        return Err(special.bad(
            MECHANISM,
            "is missing, and its default GSSAPI (Kerberos) is not supported: set PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER",
        ));
    };
    let mut known = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"].into_iter();
    let mechanism = known.find(|known| *known == name);
    let mechanism = mechanism.ok_or_else(|| special.bad(MECHANISM, unknown_mechanism(name)))?;
    native.insert(MECHANISM.to_owned(), mechanism.to_owned());
    let module = match special.get(JAAS) {
        None => None,
        Some(text) => Some(jaas::read(text).map_err(|problem| special.bad(JAAS, problem))?),
    };
    if mechanism == "OAUTHBEARER" {
        return match module {
            None => Login::read(special, Vec::new()).map(Some),
            Some(Module::Token(options)) => Login::read(special, options).map(Some),
            Some(Module::Password { .. }) => Err(special.bad(
                JAAS,
                format!(
                    "names another login module than sasl.mechanism=OAUTHBEARER needs: use {}",
                    jaas::OAUTHBEARER
                ),
            )),
        };
    }
    match module {
        Some(Module::Password { username, password }) => {
            native.insert("sasl.username".to_owned(), username);
            native.insert("sasl.password".to_owned(), password);
            Ok(None)
        }
        Some(Module::Token(_)) => Err(special.bad(
            JAAS,
            "names OAuthBearerLoginModule, which only sasl.mechanism=OAUTHBEARER uses",
        )),
        // The library's own keys do as well.
        None if native.contains_key("sasl.username") && native.contains_key("sasl.password") => {
            Ok(None)
        }
        None => Err(special.bad(
            JAAS,
            format!(
                "is missing: sasl.mechanism={mechanism} needs {} required username=\"..\" password=\"..\";",
                jaas::module_of(mechanism)
            ),
        )),
    }
}

fn unknown_mechanism(name: &str) -> &'static str {
    match name {
        "GSSAPI" => {
            "does not support GSSAPI (Kerberos): use PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"
        }
        "AWS_MSK_IAM" => {
            "does not support AWS_MSK_IAM: use SCRAM-SHA-512 or mutual TLS, which MSK offers too"
        }
        _ => "must be PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER",
    }
}

#[cfg(test)]
mod tests;
