//! What the settings say about the token endpoint.

use crate::security::{CaStore, Special};
use longshore_sdk::Result;
use reqwest::Url;
use std::time::Duration;

pub(crate) const TOKEN_URL: &str = "sasl.oauthbearer.token.endpoint.url";
const CLIENT_ID: &str = "sasl.oauthbearer.client.credentials.client.id";
const CLIENT_SECRET: &str = "sasl.oauthbearer.client.credentials.client.secret";
const SCOPE: &str = "sasl.oauthbearer.scope";
const JAAS: &str = "sasl.jaas.config";
const CALLBACK: &str = "sasl.login.callback.handler.class";
const RETRIEVER: &str = "sasl.oauthbearer.jwt.retriever.class";
const VALIDATOR: &str = "sasl.oauthbearer.jwt.validator.class";

/// Names that are recognised; no class is ever loaded.
const CALLBACKS: [&str; 3] = [
    "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler",
    "org.apache.kafka.common.security.oauthbearer.secured.OAuthBearerLoginCallbackHandler",
    "io.strimzi.kafka.oauth.client.JaasClientOauthLoginCallbackHandler",
];
const RETRIEVERS: [&str; 2] = [
    "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever",
    "org.apache.kafka.common.security.oauthbearer.ClientCredentialsJwtRetriever",
];
const VALIDATORS: [&str; 2] = [
    "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator",
    "org.apache.kafka.common.security.oauthbearer.ClientJwtValidator",
];

/// A login at a token endpoint. Equal logins share their tokens. No Debug: it holds a secret (I8).
#[derive(PartialEq, Eq)]
pub(crate) struct Login {
    pub(super) url: Url,
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) scope: Option<String>,
    /// Client id and secret are encoded before they go into the header, as RFC 6749 has it and Kafka by default has not.
    pub(super) urlencode: bool,
    /// SASL extensions for the broker.
    pub(super) extensions: Vec<(String, String)>,
    pub(super) subject_claim: String,
    pub(super) trust: Trust,
    pub(super) connect_timeout: Duration,
    pub(super) read_timeout: Duration,
    pub(super) backoff: Duration,
    pub(super) backoff_max: Duration,
}

/// Whom the client trusts to be the token endpoint.
#[derive(PartialEq, Eq)]
pub(super) enum Trust {
    /// Certificates of the login module's own ssl.truststore options.
    Only(CaStore),
    /// The system's certificates, and those that the brokers are trusted by.
    SystemAnd(Option<CaStore>),
}

impl Login {
    /// Reads it from the client's keys and the login module's options. Of a thing that both name the key wins, as in Kafka 4.1.
    pub(crate) fn read(special: &Special, options: Vec<(String, String)>) -> Result<Self> {
        let mut module = Special::default();
        let mut extensions = Vec::new();
        for (name, value) in options {
            let full = format!("sasl.jaas.config (option {name})");
            match name.strip_prefix("extension_") {
                Some(extension) => extensions.push((extension.to_owned(), value)),
                // Strimzi's names for the same.
                None => module.insert(name.strip_prefix("oauth.").unwrap_or(&name), full, value),
            }
        }
        check_extensions(special, &extensions)?;
        let either = |key: &str, options: &[&str]| {
            let option = || options.iter().find_map(|option| module.get(option));
            special.get(key).or_else(option).map(str::to_owned)
        };
        let missing = |key: &str, option: &str| {
            special.bad(key, format!("is missing: sasl.mechanism=OAUTHBEARER needs it (or the option {option} in {JAAS})"))
        };
        let url = either(TOKEN_URL, &["token.endpoint.uri"]).ok_or_else(|| {
            special.bad(TOKEN_URL, "is missing: sasl.mechanism=OAUTHBEARER needs the address that gives out tokens (unsecured tokens are not supported)")
        })?;
        let trust = match CaStore::read(&module)? {
            Some(own) => Trust::Only(own),
            None => Trust::SystemAnd(CaStore::read(special)?),
        };
        let millis = |key: &str, default: u64| match special.get(key) {
            None => Ok(Duration::from_millis(default)),
            Some(text) => match text.parse::<u64>() {
                Ok(ms @ 1..=3_600_000) => Ok(Duration::from_millis(ms)),
                _ => Err(special.bad(key, "must be a number of milliseconds, 1 to 3600000")),
            },
        };
        Ok(Self {
            url: address(special, &url)?,
            client_id: either(CLIENT_ID, &["clientId", "client.id"])
                .ok_or_else(|| missing(CLIENT_ID, "clientId"))?,
            client_secret: either(CLIENT_SECRET, &["clientSecret", "client.secret"])
                .ok_or_else(|| missing(CLIENT_SECRET, "clientSecret"))?,
            scope: either(SCOPE, &["scope"]),
            urlencode: match special.get("sasl.oauthbearer.header.urlencode") {
                None | Some("false") => false,
                Some("true") => true,
                Some(_) => {
                    return Err(
                        special.bad("sasl.oauthbearer.header.urlencode", "must be true or false")
                    );
                }
            },
            extensions,
            subject_claim: special
                .get("sasl.oauthbearer.sub.claim.name")
                .unwrap_or("sub")
                .to_owned(),
            trust,
            connect_timeout: millis("sasl.login.connect.timeout.ms", 10_000)?,
            read_timeout: millis("sasl.login.read.timeout.ms", 10_000)?,
            backoff: millis("sasl.login.retry.backoff.ms", 100)?,
            backoff_max: millis("sasl.login.retry.backoff.max.ms", 10_000)?,
        })
    }
    /// Where tokens come from, for messages: without what may be secret in it.
    pub(super) fn place(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        let port = self
            .url
            .port()
            .map_or_else(String::new, |port| format!(":{port}"));
        format!("{}://{host}{port}{}", self.url.scheme(), self.url.path())
    }
}

/// Of the keys that name classes those are taken whose meaning is known.
pub(crate) fn known_classes(special: &Special) -> Result<()> {
    for (key, known) in [
        (CALLBACK, &CALLBACKS[..]),
        (RETRIEVER, &RETRIEVERS[..]),
        (VALIDATOR, &VALIDATORS[..]),
    ] {
        match special.get(key) {
            Some(name) if !known.contains(&name) => {
                return Err(special.bad(
                    key,
                    format!("names a class, and no class is ever loaded: {} is what there is (client credentials)", known[0]),
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn address(special: &Special, text: &str) -> Result<Url> {
    let url =
        Url::parse(text).map_err(|error| special.bad(TOKEN_URL, format!("is no URL: {error}")))?;
    match url.scheme() {
        // Files would let a connector's settings read what it may not (CVE-2025-27817).
        "http" | "https" if url.has_host() => Ok(url),
        scheme => Err(special.bad(
            TOKEN_URL,
            format!("must begin with https:// or http://, not {scheme}:"),
        )),
    }
}

/// Letters and printable text, as RFC 7628 has it; `auth` is the token's own place.
fn check_extensions(special: &Special, extensions: &[(String, String)]) -> Result<()> {
    for (name, value) in extensions {
        let good = !name.is_empty()
            && name != "auth"
            && name.bytes().all(|b| b.is_ascii_alphabetic())
            && value.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t'));
        if !good {
            return Err(special.bad(
                JAAS,
                "has an extension_NAME whose name is not made of letters, or whose value holds control characters",
            ));
        }
    }
    Ok(())
}
