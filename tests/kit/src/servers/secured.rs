//! One Apache Kafka with a listener for each way to log in.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::certificates::Authority;
use super::kafka::{Kafka, KafkaOptions, Listener};
use super::oidc::TokenServer;

const SECURITY: &str = "org.apache.kafka.common.security";

/// A broker with these listeners, all on 127.0.0.1:
///
/// | name | protocol | who gets in |
/// |---|---|---|
/// | `TLS` | SSL | everybody who trusts [`SecuredKafka::ca`] |
/// | `MTLS` | SSL | clients with a certificate of that authority |
/// | `PASSWORDS` | SASL_SSL | PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 |
/// | `CLEAR` | SASL_PLAINTEXT | the same |
/// | `TOKENS` | SASL_SSL | OAUTHBEARER with a token of [`SecuredKafka::tokens`]; an expired one is shut out |
/// | `ELSEWHERE` | SSL | everybody, but the certificate is another host's |
///
/// `alice` may do everything, `mallory` logs in and may do nothing; so do the token client `connect` and the certificate `CN=client`
/// everything, and any other certificate nothing.
pub struct SecuredKafka {
    kafka: Kafka,
    tokens: TokenServer,
    short_tokens: TokenServer,
    ca: Authority,
    files: TempDir,
}

impl SecuredKafka {
    /// The user who may do everything, for PLAIN and SCRAM.
    pub const USER: &str = "alice";
    /// Her password: a planted secret that may turn up nowhere.
    pub const PASSWORD: &str = "canary-alice-p4ss";
    /// The user without rights.
    pub const POWERLESS: &str = "mallory";
    /// His password.
    pub const POWERLESS_PASSWORD: &str = "canary-mallory-p4ss";
    /// The token endpoint's client.
    pub const CLIENT: &str = "connect";
    /// Its secret.
    pub const SECRET: &str = "canary-client-s3cret";

    /// Starts it. Errors: as [`Kafka::start_with`].
    pub fn start() -> Result<Self> {
        let ca = Authority::new("longshore test authority")?;
        let files = tempfile::Builder::new()
            .prefix("longshore-secured-")
            .tempdir()?;
        let dir = files.path();
        let local = ["localhost", "127.0.0.1"];
        let broker = ca.identity("broker", &local)?.write(dir, "broker.pem")?;
        let elsewhere = ca.identity("elsewhere", &["kafka.example"])?;
        let elsewhere = elsewhere.write(dir, "elsewhere.pem")?;
        ca.identity("client", &["client.example"])?
            .write(dir, "client.pem")?;
        ca.identity("stranger", &["stranger.example"])?
            .write(dir, "stranger.pem")?;
        std::fs::write(dir.join("ca.pem"), ca.pem())?;
        let other = Authority::new("another authority")?;
        std::fs::write(dir.join("other-ca.pem"), other.pem())?;
        let endpoint = ca.identity("token endpoint", &local)?;
        let tokens = TokenServer::start(Self::CLIENT, Self::SECRET, Some(&endpoint))?;
        let short_tokens = TokenServer::start(Self::CLIENT, Self::SECRET, Some(&endpoint))?;
        let jwks = dir.join("jwks.json");
        std::fs::write(&jwks, TokenServer::jwks(&[&tokens, &short_tokens]))?;
        let listeners = vec![
            listener("TLS", "SSL", tls(dir, &broker, "none")),
            listener("MTLS", "SSL", tls(dir, &broker, "required")),
            listener(
                "PASSWORDS",
                "SASL_SSL",
                [tls(dir, &broker, "none"), passwords()].concat(),
            ),
            listener("CLEAR", "SASL_PLAINTEXT", passwords()),
            listener(
                "TOKENS",
                "SASL_SSL",
                [tls(dir, &broker, "none"), oauthbearer()].concat(),
            ),
            listener("ELSEWHERE", "SSL", tls(dir, &elsewhere, "none")),
        ];
        let jwks_url = format!("file://{}", jwks.display());
        let options = KafkaOptions {
            listeners,
            scram: [
                (Self::USER, Self::PASSWORD),
                (Self::POWERLESS, Self::POWERLESS_PASSWORD),
            ]
            .map(|(name, password)| (name.to_owned(), password.to_owned()))
            .into(),
            settings: owned(&[
                ("sasl.oauthbearer.jwks.endpoint.url", &jwks_url),
                // Kafka 4.1.0's default looks at no signature, and no listener's own setting changes it.
                (
                    "sasl.oauthbearer.jwt.validator.class",
                    &format!("{SECURITY}.oauthbearer.BrokerJwtValidator"),
                ),
                ("sasl.oauthbearer.expected.audience", "kafka"),
                ("sasl.oauthbearer.clock.skew.seconds", "1"),
                (
                    "authorizer.class.name",
                    "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                ),
                (
                    "super.users",
                    "User:ANONYMOUS;User:alice;User:connect;User:CN=client",
                ),
            ]),
            system: owned(&[
                ("org.apache.kafka.sasl.oauthbearer.allowed.urls", &jwks_url),
                (
                    "org.apache.kafka.sasl.oauthbearer.allowed.files",
                    &jwks.display().to_string(),
                ),
            ]),
            ..KafkaOptions::default()
        };
        Ok(Self {
            kafka: Kafka::start_with(&options)?,
            tokens,
            short_tokens,
            ca,
            files,
        })
    }

    /// One for all tests of a binary, started by the first that asks. It ends with the process, and what it wrote is deleted then.
    /// Panics: it does not start; the text says why.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Result<(SecuredKafka, Child), String>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| {
            let start = || {
                let server = Self::start()?;
                let sweeper = sweeper(&[server.kafka.dir(), server.files.path()])?;
                anyhow::Ok((server, sweeper))
            };
            start().map_err(|error| format!("{error:#}"))
        });
        match shared {
            Ok((server, _)) => server,
            Err(error) => panic!("no secured Apache Kafka for this test: {error}"),
        }
    }

    /// The broker.
    pub fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    /// The token endpoint, https with a certificate of [`SecuredKafka::ca`].
    pub fn tokens(&self) -> &TokenServer {
        &self.tokens
    }

    /// Another endpoint whose tokens the broker takes: for a test that changes its answers.
    pub fn short_tokens(&self) -> &TokenServer {
        &self.short_tokens
    }

    /// Who signed the certificates of all servers here.
    pub fn ca(&self) -> &Authority {
        &self.ca
    }

    /// The path of a PEM file: `ca.pem`, `other-ca.pem` (an authority that signed nothing here), `client.pem`, `stranger.pem` (key stores).
    pub fn file(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    /// The authority's certificate in a Java store, made by keytool (`JKS` or `PKCS12`), with the password `canary-store-p4ss`; its path.
    pub fn java_truststore(&self, kind: &str) -> Result<String> {
        let path: PathBuf = self
            .files
            .path()
            .join(format!("trust.{}", kind.to_lowercase()));
        if path.exists() {
            return Ok(path.display().to_string());
        }
        let keytool = Command::new("keytool")
            .args([
                "-importcert",
                "-noprompt",
                "-alias",
                "ca",
                "-storetype",
                kind,
            ])
            .args([
                "-storepass",
                "canary-store-p4ss",
                "-file",
                &self.file("ca.pem"),
            ])
            .arg("-keystore")
            .arg(&path)
            .output()
            .context(
                "keytool is missing: install a JDK (Debian: apt-get install default-jdk-headless)",
            )?;
        ensure!(
            keytool.status.success(),
            "keytool fails: {}",
            String::from_utf8_lossy(&keytool.stdout)
        );
        Ok(path.display().to_string())
    }
}

/// Deletes the folders once this process is gone: nothing is dropped by a static's end.
fn sweeper(folders: &[&Path]) -> Result<Child> {
    let sweeper = Command::new("sh")
        .args(["-c", "read -r _; sleep 2; rm -rf -- \"$@\"", "sweeper"])
        .args(folders)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
    sweeper.context("cannot start sh")
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn listener(name: &str, protocol: &'static str, settings: Vec<(String, String)>) -> Listener {
    Listener {
        name: name.to_owned(),
        protocol,
        settings,
    }
}

fn tls(dir: &Path, store: &Path, clients: &str) -> Vec<(String, String)> {
    owned(&[
        ("ssl.keystore.type", "PEM"),
        ("ssl.keystore.location", &store.display().to_string()),
        ("ssl.truststore.type", "PEM"),
        (
            "ssl.truststore.location",
            &dir.join("ca.pem").display().to_string(),
        ),
        ("ssl.client.auth", clients),
    ])
}

fn passwords() -> Vec<(String, String)> {
    let (user, password) = (SecuredKafka::USER, SecuredKafka::PASSWORD);
    let (other, other_password) = (SecuredKafka::POWERLESS, SecuredKafka::POWERLESS_PASSWORD);
    let scram = format!("{SECURITY}.scram.ScramLoginModule required;");
    owned(&[
        (
            "sasl.enabled.mechanisms",
            "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        ),
        (
            "plain.sasl.jaas.config",
            &format!(
                "{SECURITY}.plain.PlainLoginModule required user_{user}=\"{password}\" user_{other}=\"{other_password}\";"
            ),
        ),
        ("scram-sha-256.sasl.jaas.config", &scram),
        ("scram-sha-512.sasl.jaas.config", &scram),
    ])
}

fn oauthbearer() -> Vec<(String, String)> {
    owned(&[
        ("sasl.enabled.mechanisms", "OAUTHBEARER"),
        (
            "oauthbearer.sasl.jaas.config",
            &format!("{SECURITY}.oauthbearer.OAuthBearerLoginModule required;"),
        ),
        (
            "oauthbearer.sasl.server.callback.handler.class",
            &format!("{SECURITY}.oauthbearer.OAuthBearerValidatorCallbackHandler"),
        ),
        // Without it a connection would outlive its token.
        ("oauthbearer.connections.max.reauth.ms", "3600000"),
    ])
}
