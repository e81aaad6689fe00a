//! Worker keys about who may use the REST API, and over what.

use crate::settings::listener::{Listener, is_loopback};
use longshore_sdk::{
    Secret,
    config::{Definition, Finding, Flat, read},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What Kafka Connect puts before the `ssl.` keys of its https listeners.
const HTTPS: &str = "listeners.https.";

/// `longshore.rest.auth` and its keys.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct RestKeys {
    /// How callers of the REST API prove who they are: none, basic (name and password) or bearer (a JWT).
    #[serde(rename = "longshore.rest.auth", default)]
    pub(crate) auth: AuthMethod,
    /// The file of basic's users: a line `name:hash:role` each, as `longshore auth hash` prints it.
    #[serde(rename = "longshore.rest.auth.credentials.file")]
    pub(crate) credentials_file: Option<PathBuf>,
    /// Where bearer's signing keys are fetched: https, or http on the loopback.
    #[serde(rename = "longshore.rest.auth.jwks.url")]
    pub(crate) jwks_url: Option<String>,
    /// A file with bearer's signing keys, instead of the URL.
    #[serde(rename = "longshore.rest.auth.jwks.file")]
    pub(crate) jwks_file: Option<PathBuf>,
    /// PEM certificates that the server of the signing keys is trusted by; the system's unless given.
    #[serde(rename = "longshore.rest.auth.jwks.ca.file")]
    pub(crate) jwks_ca_file: Option<PathBuf>,
    /// How often the signing keys are fetched again; an unknown key is looked for at once.
    #[serde(
        rename = "longshore.rest.auth.jwks.refresh.ms",
        default = "jwks_refresh_ms"
    )]
    #[schemars(range(min = 10_000, max = 86_400_000))]
    pub(crate) jwks_refresh_ms: u64,
    /// The `iss` that a token must have.
    #[serde(rename = "longshore.rest.auth.issuer")]
    pub(crate) issuer: Option<String>,
    /// The `aud` that a token must have, one of these.
    #[serde(rename = "longshore.rest.auth.audience", default)]
    pub(crate) audience: Vec<String>,
    /// Algorithms that a token may be signed with.
    #[serde(rename = "longshore.rest.auth.algorithms", default = "algorithms")]
    pub(crate) algorithms: Vec<TokenAlgorithm>,
    /// How far clocks may be apart when a token's times are checked.
    #[serde(
        rename = "longshore.rest.auth.clock.skew.seconds",
        default = "clock_skew_seconds"
    )]
    #[schemars(range(min = 0, max = 600))]
    pub(crate) clock_skew_seconds: u64,
    /// The claim that names the user.
    #[serde(rename = "longshore.rest.auth.user.claim", default = "user_claim")]
    #[schemars(length(min = 1))]
    pub(crate) user_claim: String,
    /// The claim that lists a user's roles; dots lead into nested claims.
    #[serde(rename = "longshore.rest.auth.roles.claim", default = "roles_claim")]
    #[schemars(length(min = 1))]
    pub(crate) roles_claim: String,
    /// Values of the roles claim that give the role read.
    #[serde(rename = "longshore.rest.auth.roles.read", default = "roles_read")]
    pub(crate) roles_read: Vec<String>,
    /// Values of the roles claim that give the role operate.
    #[serde(
        rename = "longshore.rest.auth.roles.operate",
        default = "roles_operate"
    )]
    pub(crate) roles_operate: Vec<String>,
    /// Values of the roles claim that give the role admin.
    #[serde(rename = "longshore.rest.auth.roles.admin", default = "roles_admin")]
    pub(crate) roles_admin: Vec<String>,
    /// The PEM certificate chain of https listeners, where it is not in the keystore file.
    #[serde(rename = "longshore.rest.ssl.certificate.file")]
    pub(crate) certificate_file: Option<PathBuf>,
    /// The PEM private key of https listeners, where it is not in the keystore file.
    #[serde(rename = "longshore.rest.ssl.key.file")]
    pub(crate) key_file: Option<PathBuf>,
    /// Lets the REST API listen on other addresses than the loopback without authentication.
    #[serde(rename = "longshore.rest.insecure", default)]
    pub(crate) insecure: bool,
}

impl Default for RestKeys {
    fn default() -> Self {
        read(&Flat::new())
            .unwrap_or_else(|found| unreachable!("every key has a default: {found:?}"))
    }
}

/// `longshore.rest.auth`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AuthMethod {
    #[default]
    None,
    Basic,
    Bearer,
}

/// Signatures that tokens may have: those of public keys only, so that what verifies a token can never make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum TokenAlgorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

/// The `ssl.` keys of https listeners, by Kafka Connect's names.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct HttpsKeys {
    /// The form of the key store; PEM is the only one.
    #[serde(rename = "ssl.keystore.type")]
    pub(super) keystore_type: Option<String>,
    /// A PEM file with the private key and the certificate chain.
    #[serde(rename = "ssl.keystore.location")]
    pub(crate) keystore_location: Option<PathBuf>,
    /// The PEM certificate chain itself.
    #[serde(rename = "ssl.keystore.certificate.chain")]
    pub(crate) certificate_chain: Option<String>,
    /// The PEM private key itself.
    #[serde(rename = "ssl.keystore.key")]
    pub(crate) key: Option<Secret>,
    /// The password of the private key: PEM keys are read unencrypted only.
    #[serde(rename = "ssl.key.password")]
    pub(super) key_password: Option<Secret>,
    /// The form of the trust store; PEM is the only one.
    #[serde(rename = "ssl.truststore.type")]
    pub(super) truststore_type: Option<String>,
    /// A PEM file with the certificates that clients' certificates are trusted by.
    #[serde(rename = "ssl.truststore.location")]
    pub(crate) truststore_location: Option<PathBuf>,
    /// The PEM certificates themselves.
    #[serde(rename = "ssl.truststore.certificates")]
    pub(crate) truststore_certificates: Option<String>,
    /// Whether clients must show a certificate.
    #[serde(rename = "ssl.client.auth", default)]
    pub(crate) client_auth: ClientAuth,
    /// TLS versions: TLSv1.2, TLSv1.3.
    #[serde(rename = "ssl.enabled.protocols", default)]
    pub(crate) protocols: Vec<String>,
}

/// `ssl.client.auth`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClientAuth {
    #[default]
    None,
    Requested,
    Required,
}

/// The definition of all of these keys.
pub(super) fn definition() -> Definition {
    Definition::of::<RestKeys>().and(Definition::of::<HttpsKeys>().below(HTTPS))
}

/// Reads the keys of https listeners: those below `listeners.https.` if there is any, else the plain `ssl.` ones, as in Kafka Connect. With a
/// certificate file of its own the plain ones are left to the Kafka clients.
pub(super) fn https(config: &Flat, own: bool) -> Result<HttpsKeys, Vec<Finding>> {
    let below: Flat = config
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(HTTPS)?.to_owned(), value.clone())))
        .collect();
    let plain = below.is_empty() && !own;
    let prefix = if plain { "" } else { HTTPS };
    let keys: HttpsKeys =
        read(if plain { config } else { &below }).map_err(|found| at(prefix, found))?;
    let found = keys.findings();
    if found.is_empty() {
        Ok(keys)
    } else {
        Err(at(prefix, found))
    }
}

fn at(prefix: &str, found: Vec<Finding>) -> Vec<Finding> {
    let below = |finding: Finding| finding.below(prefix);
    found.into_iter().map(below).collect()
}

impl HttpsKeys {
    fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for (key, kind) in [
            ("ssl.keystore.type", &self.keystore_type),
            ("ssl.truststore.type", &self.truststore_type),
        ] {
            if let Some(kind) = kind
                .as_ref()
                .filter(|kind| !kind.eq_ignore_ascii_case("PEM"))
            {
                let finding = Finding::new(key, format!("expected PEM, got {kind}"));
                found.push(finding.suggest("openssl pkcs12 -in STORE.p12 -nodes -out STORE.pem makes PEM of PKCS12; keytool -importkeystore makes PKCS12 of JKS"));
            }
        }
        if self.key_password.is_some() {
            let finding = Finding::new("ssl.key.password", "encrypted PEM keys are not read");
            found.push(finding.suggest(
                "decrypt it with openssl pkey -in KEY.pem -out PLAIN.pem, readable by the worker alone",
            ));
        }
        for version in &self.protocols {
            if !matches!(version.as_str(), "TLSv1.2" | "TLSv1.3") {
                let problem = format!("expected TLSv1.2 or TLSv1.3, got {version}");
                found.push(Finding::new("ssl.enabled.protocols", problem));
            }
        }
        let trusts = self.truststore_location.is_some() || self.truststore_certificates.is_some();
        if self.client_auth != ClientAuth::None && !trusts {
            let finding = Finding::new(
                "ssl.client.auth",
                "clients' certificates need ones to trust them by",
            );
            found.push(finding.suggest("set ssl.truststore.location to a PEM file"));
        }
        found
    }
}

impl RestKeys {
    /// What the types cannot say about the keys alone.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut missing = |key: &str, why: &str| {
            found.push(Finding::new(
                key,
                format!("required with {why}, but missing"),
            ));
        };
        match self.auth {
            AuthMethod::None => {}
            AuthMethod::Basic => {
                if self.credentials_file.is_none() {
                    missing(
                        "longshore.rest.auth.credentials.file",
                        "longshore.rest.auth=basic",
                    );
                }
            }
            AuthMethod::Bearer => {
                let why = "longshore.rest.auth=bearer";
                if self
                    .issuer
                    .as_ref()
                    .is_none_or(|issuer| issuer.trim().is_empty())
                {
                    missing("longshore.rest.auth.issuer", why);
                }
                if self.audience.is_empty() {
                    missing("longshore.rest.auth.audience", why);
                }
                if self.algorithms.is_empty() {
                    missing("longshore.rest.auth.algorithms", why);
                }
                match (&self.jwks_url, &self.jwks_file) {
                    (None, None) => missing("longshore.rest.auth.jwks.url", why),
                    (Some(_), Some(_)) => found.push(Finding::new(
                        "longshore.rest.auth.jwks.file",
                        "the signing keys come from one place: this file or longshore.rest.auth.jwks.url",
                    )),
                    (Some(url), None) => found.extend(judge_url(url)),
                    (None, Some(_)) => {}
                }
            }
        }
        if self.certificate_file.is_some() != self.key_file.is_some() {
            let (given, other) = match self.certificate_file {
                Some(_) => ("certificate", "key"),
                None => ("key", "certificate"),
            };
            let key = format!("longshore.rest.ssl.{given}.file");
            let problem = format!("needs longshore.rest.ssl.{other}.file beside it");
            found.push(Finding::new(key, problem));
        }
        found
    }

    /// Whether these listeners may be reached as they are: from other machines only by callers who prove who they are.
    pub(super) fn judge(&self, listener: &Listener, https: &HttpsKeys) -> Option<Finding> {
        if listener.is_loopback() || self.insecure {
            return None;
        }
        let by_certificate = listener.https && https.client_auth == ClientAuth::Required;
        let wrong = |problem: String| Finding::new("listeners", problem);
        if self.auth == AuthMethod::None && !by_certificate {
            let problem = format!(
                "{listener} can be reached from other machines, and the REST API has no authentication"
            );
            return Some(wrong(problem).suggest(
                "set longshore.rest.auth, listen on 127.0.0.1, or set longshore.rest.insecure=true where the network keeps others out",
            ));
        }
        None
    }

    /// A note about credentials that anybody on the way can read. It may be a mesh or a proxy that does TLS: the operator knows.
    pub(super) fn clear_text(&self, listener: &Listener) -> Option<Finding> {
        if listener.is_loopback() || listener.https || self.insecure {
            return None;
        }
        let problem = format!(
            "{listener} can be reached from other machines, and passwords and tokens cross the network in clear text"
        );
        Some(Finding::new("listeners", problem).suggest(
            "use https://, or set longshore.rest.insecure=true where a mesh or a proxy does TLS",
        ))
    }

    /// One finding for each key of a method that is not the chosen one.
    pub(super) fn idle(&self, config: &Flat) -> Vec<Finding> {
        const BASIC: &[&str] = &["longshore.rest.auth.credentials.file"];
        const BEARER: &[&str] = &[
            "longshore.rest.auth.algorithms",
            "longshore.rest.auth.audience",
            "longshore.rest.auth.clock.skew.seconds",
            "longshore.rest.auth.issuer",
            "longshore.rest.auth.jwks.",
            "longshore.rest.auth.roles.",
            "longshore.rest.auth.user.claim",
        ];
        let of = |key: &String| {
            let among = |names: &[&str]| names.iter().any(|name| key.starts_with(name));
            if among(BASIC) && self.auth != AuthMethod::Basic {
                Some("basic")
            } else if among(BEARER) && self.auth != AuthMethod::Bearer {
                Some("bearer")
            } else {
                None
            }
        };
        config
            .keys()
            .filter_map(|key| {
                let method = of(key)?;
                let problem = format!("has no effect without longshore.rest.auth={method}");
                Some(Finding::new(key, problem))
            })
            .collect()
    }
}

/// Signing keys that anybody on the way could swap would let anybody in.
fn judge_url(url: &str) -> Option<Finding> {
    let wrong = |problem: &str| {
        let finding = Finding::new("longshore.rest.auth.jwks.url", problem);
        Some(finding.suggest("expected https://host/path, or http:// on the loopback"))
    };
    let Ok(parsed) = reqwest::Url::parse(url) else {
        return wrong("this is no URL");
    };
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return wrong("a URL with a name or a password in it is not fetched");
    }
    let loopback = is_loopback(parsed.host_str().unwrap_or_default());
    match parsed.scheme() {
        "https" => None,
        "http" if loopback => None,
        "http" => wrong("plain http to another machine cannot be trusted with signing keys"),
        _ => wrong("only https is fetched"),
    }
}

fn jwks_refresh_ms() -> u64 {
    3_600_000
}
fn clock_skew_seconds() -> u64 {
    30
}
fn algorithms() -> Vec<TokenAlgorithm> {
    use TokenAlgorithm as A;
    vec![A::RS256, A::PS256, A::ES256, A::ES384, A::EdDSA]
}
fn user_claim() -> String {
    "sub".to_owned()
}
fn roles_claim() -> String {
    "roles".to_owned()
}
fn roles_read() -> Vec<String> {
    vec!["longshore-read".to_owned()]
}
fn roles_operate() -> Vec<String> {
    vec!["longshore-operate".to_owned()]
}
fn roles_admin() -> Vec<String> {
    vec!["longshore-admin".to_owned()]
}
