//! The real binary over https, with users and with tokens.

use crate::support::{Answer, BINARY, Process, WAIT_MAX, Worker, eventually, exchange, text};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::{Certificate, Client, Identity, Method};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};
use tokio::io::AsyncWriteExt;

/// Runs a command with its environment and its standard input.
async fn command(folder: &Path, args: &[&str], env: &[(&str, &str)], input: &str) -> Output {
    let mut command = tokio::process::Command::new(BINARY);
    command
        .args(args)
        .current_dir(folder)
        .env_remove("LONGSHORE_URL");
    command.envs(env.iter().copied()).kill_on_drop(true);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input.as_bytes()).await.expect("sent");
    drop(stdin);
    let output = tokio::time::timeout(WAIT_MAX, child.wait_with_output());
    output.await.expect("it ends in time").expect("it runs")
}

/// An authority that signs certificates of this machine.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }
    /// A private key and its certificate, in one PEM text.
    pub(crate) fn store(&self) -> String {
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(names).expect("names");
        let certificate = params.signed_by(&key, &self.0).expect("signed");
        format!("{}{}", key.serialize_pem(), certificate.pem())
    }
    /// A client that trusts it and nothing else.
    pub(crate) fn client(&self, own: Option<&str>) -> Client {
        let trusted = Certificate::from_pem(self.pem().as_bytes()).expect("a certificate");
        let mut client = Client::builder()
            .tls_certs_only([trusted])
            .pool_max_idle_per_host(0);
        if let Some(own) = own {
            client = client.identity(Identity::from_pem(own.as_bytes()).expect("an identity"));
        }
        client.build().expect("a client")
    }
}

pub(crate) fn write(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).expect("written");
    path
}

/// Settings of a worker with a listener on the loopback.
fn settings(scheme: &str, more: &str) -> String {
    format!(
        "worker:\n  listeners: {scheme}://127.0.0.1:0\n  longshore.broker.listen: 127.0.0.1:0\n{more}"
    )
}

async fn start(folder: &Path, settings: &str, client: Client, log: &str) -> Worker {
    write(folder, "worker.yaml", settings);
    let process = Process::start(folder, &["--log", log, "worker", "worker.yaml"]);
    Worker::running_for(process, client).await
}

pub(crate) const AUTH: &str =
    "  longshore.rest.auth: basic\n  longshore.rest.auth.credentials.file: users\n";
pub(crate) const HTTPS: &str = "  listeners.https.ssl.keystore: {type: PEM, location: store.pem}\n";
pub(crate) const ADMIN: &str = "planted-admin-password";
const READER: &str = "planted-reader-password";

/// The users file, made as an operator makes it.
pub(crate) async fn users(folder: &Path) {
    let mut lines = String::new();
    for (name, password, role) in [("ann", ADMIN, "admin"), ("rob", READER, "read")] {
        let input = format!("{password}\n");
        let made = command(folder, &["auth", "hash", name, "--role", role], &[], &input).await;
        assert!(made.status.success(), "{}", text(&made.stderr));
        lines.push_str(&text(&made.stdout));
    }
    assert!(!lines.contains("planted") && lines.contains(":$argon2id$v=19$m=19456,t=2,p=1$"));
    write(folder, "users", &lines);
}

pub(crate) fn basic(user: &str, password: &str) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[tokio::test]
async fn i8_users_over_https_and_secrets_in_nothing_that_they_see() {
    let folder = tempfile::tempdir().expect("a folder");
    let (folder, authority) = (folder.path(), Authority::new());
    users(folder).await;
    write(folder, "store.pem", &authority.store());
    write(folder, "ca.pem", &authority.pem());
    let settings = settings("https", &format!("{AUTH}{HTTPS}"));
    let mut worker = start(folder, &settings, authority.client(None), "debug").await;
    assert!(worker.url.starts_with("https://"), "{}", worker.url);

    commands(folder, &worker).await;
    let (ann, rob) = (basic("ann", ADMIN), basic("rob", READER));
    configs(&worker, &ann, &rob).await;
    let bootstrap = worker.bootstrap().await;
    groups(&worker, &bootstrap, &ann, &rob).await;
    let mut seen = String::new();
    for path in [
        "/connectors?expand=info&expand=status",
        "/connectors/gen",
        "/connectors/gen/config",
        "/connectors/gen/tasks",
        "/connectors/gen/status",
        "/connectors/gen/offsets",
        "/connector-plugins/datagen/config",
        "/metrics",
        "/health",
        "/",
    ] {
        let answer = ask(&worker, Method::GET, path, &rob, None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        seen.push_str(&answer.text);
    }
    seen.push_str(&worker.process.log());
    assert!(
        seen.contains("audit user=\"ann\"") && seen.contains("audit user=\"rob\""),
        "{seen}"
    );
    for secret in ["planted-", "argon2id", &ann[6..], &rob[6..], "PRIVATE KEY"] {
        assert!(!seen.contains(secret), "{secret} in\n{seen}");
    }
}

/// Users of the command line: without credentials, with wrong ones, with a weaker role.
async fn commands(folder: &Path, worker: &Worker) {
    let call = async |args: &[&str], more: &[(&str, &str)]| {
        let mut env = vec![
            ("LONGSHORE_URL", worker.url.as_str()),
            ("LONGSHORE_CACERT", "ca.pem"),
        ];
        env.extend_from_slice(more);
        command(folder, args, &env, "").await
    };
    let ann = [("LONGSHORE_PASSWORD", ADMIN)];
    let rob = [("LONGSHORE_PASSWORD", READER)];

    let stranger = call(&["connectors", "list"], &[]).await;
    assert_eq!(stranger.status.code(), Some(1));
    assert!(
        text(&stranger.stderr).contains("401"),
        "{}",
        text(&stranger.stderr)
    );
    let wrong = call(&["status", "--user", "ann"], &rob).await;
    assert!(
        text(&wrong.stderr).contains("not accepted"),
        "{}",
        text(&wrong.stderr)
    );
    write(folder, "other.pem", &Authority::new().pem());
    let mistrusted = call(&["status", "--user", "ann", "--cacert", "other.pem"], &ann).await;
    let told = text(&mistrusted.stderr);
    assert!(told.contains("is not trusted (--cacert"), "{told}");

    let file = "connectors:\n  gen:\n    connector.class: datagen\n    topic: t\n    rate: 10\n    producer.override.sasl.jaas.config: planted-jaas\n    producer.override.ssl.keystore.password: ${env:HOME}\n";
    write(folder, "gen.yaml", file);
    let refused = call(&["apply", "gen.yaml", "--user", "rob"], &rob).await;
    assert!(
        text(&refused.stderr).contains("needs the role admin"),
        "{}",
        text(&refused.stderr)
    );
    let applied = call(&["apply", "gen.yaml", "--user", "ann"], &ann).await;
    assert!(applied.status.success(), "{}", text(&applied.stderr));
    let same = call(&["plan", "gen.yaml", "--user", "rob"], &rob).await;
    assert_eq!(same.status.code(), Some(0), "{}", text(&same.stdout));
    assert!(
        text(&same.stderr).contains("1 values are hidden"),
        "{}",
        text(&same.stderr)
    );
}

pub(crate) async fn ask(
    worker: &Worker,
    method: Method,
    path: &str,
    who: &str,
    body: Option<&Value>,
) -> Answer {
    let headers = [("authorization", who), ("content-type", "application/json")];
    let body = body
        .map(|body| body.to_string().into_bytes())
        .unwrap_or_default();
    worker.raw(method, path, &headers, body).await
}

/// Configs as an admin and as a reader see them.
async fn configs(worker: &Worker, ann: &str, rob: &str) {
    let whole = ask(worker, Method::GET, "/connectors/gen/config", ann, None)
        .await
        .json();
    assert_eq!(whole["producer.override.sasl.jaas.config"], "planted-jaas");
    let again = ask(
        worker,
        Method::PUT,
        "/connectors/gen/config",
        ann,
        Some(&whole),
    )
    .await;
    assert_eq!((again.status, &again.json()["config"]), (200, &whole));
    let masked = ask(worker, Method::GET, "/connectors/gen/config", rob, None)
        .await
        .json();
    assert_eq!(masked["producer.override.sasl.jaas.config"], "[hidden]");
    assert_eq!(
        masked["producer.override.ssl.keystore.password"],
        "${env:HOME}"
    );
    assert_eq!(masked["topic"], "t");
    let refused = ask(
        worker,
        Method::PUT,
        "/connectors/gen/config",
        ann,
        Some(&masked),
    )
    .await;
    assert!(
        refused.status == 400 && refused.message().contains("was not shown"),
        "{}",
        refused.text
    );
    let url = &worker.url;
    let created = json!({ "name": "b", "config": { "connector.class": "datagen", "topic": "t" } });
    let created = ask(worker, Method::POST, "/connectors", ann, Some(&created)).await;
    assert_eq!(created.header("location"), format!("{url}/connectors/b"));
}

/// A group of keys that may hold secrets is hidden as a whole, whatever the keys in it are called.
async fn groups(worker: &Worker, bootstrap: &str, ann: &str, rob: &str) {
    let mirror = json!({ "name": "m", "config": {
        "connector.class": "mirror", "topics": "none-yet",
        "source.cluster.bootstrap.servers": bootstrap, "source.cluster.client.rack": "planted-rack",
    } });
    let created = ask(worker, Method::POST, "/connectors", ann, Some(&mirror)).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let masked = ask(worker, Method::GET, "/connectors/m/config", rob, None)
        .await
        .json();
    assert_eq!(masked["source.cluster.client.rack"], "[hidden]");
    assert_eq!(masked["source.cluster.bootstrap.servers"], bootstrap);
}

#[tokio::test]
async fn certificates_are_read_again_and_clients_show_theirs() {
    let folder = tempfile::tempdir().expect("a folder");
    let (folder, old, new) = (folder.path(), Authority::new(), Authority::new());
    write(folder, "store.pem", &old.store());
    write(folder, "ca.pem", &old.pem());
    let own = old.store();
    write(folder, "own.pem", &own);
    let more = "  listeners.https.ssl:\n    keystore.location: store.pem\n    truststore.location: ca.pem\n    client.auth: required\n";
    let worker = start(
        folder,
        &settings("https", more),
        old.client(Some(&own)),
        "info",
    )
    .await;
    let silent = tokio::task::spawn_blocking({
        let address = worker.url.replace("https://", "");
        move || exchange(&address, b"")
    });
    let get = async |client: &Client| {
        client
            .get(format!("{}/connectors", worker.url))
            .send()
            .await
    };
    get(&old.client(None)).await.expect_err("no certificate");
    let foreign = new.store();
    get(&old.client(Some(&foreign)))
        .await
        .expect_err("a foreign certificate");
    get(&new.client(Some(&own)))
        .await
        .expect_err("the worker's is of the old authority");
    let plain = worker.url.replace("https:", "http:");
    reqwest::get(format!("{plain}/connectors"))
        .await
        .expect_err("no http on an https port");

    let env = [
        ("LONGSHORE_URL", worker.url.as_str()),
        ("LONGSHORE_CACERT", "ca.pem"),
    ];
    let body = r#"{"name":"g","config":{"connector.class":"datagen","topic":"t","rate":1}}"#;
    let args = ["connectors", "create", "-", "--cert", "own.pem"];
    let created = command(folder, &args, &env, body).await;
    assert!(created.status.success(), "{}", text(&created.stderr));
    let log = worker.process.log();
    assert!(
        log.contains("audit user=\"certificate:") && log.contains("connector=\"g\""),
        "{log}"
    );

    // A store that cannot be used changes nothing.
    write(folder, "store.pem", "-----BEGIN CERTIFICATE-----\nbroken\n");
    eventually("the broken store is refused", || async {
        worker
            .process
            .log()
            .contains("the former ones hold")
            .then_some(())
    })
    .await;
    assert_eq!(
        get(&old.client(Some(&own)))
            .await
            .expect("an answer")
            .status(),
        200
    );
    write(folder, "store.pem", &new.store());
    eventually("the new certificate", || async {
        get(&new.client(Some(&own))).await.ok().map(drop)
    })
    .await;
    get(&old.client(Some(&own)))
        .await
        .expect_err("the old certificate is gone");
    // exchange() itself fails if the connection outlives its patience.
    assert_eq!(silent.await.expect("it ends"), "");
}

#[tokio::test]
async fn tokens_of_a_key_set_file_get_in() {
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp, jwk::Jwk};
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let signer = || {
        let pem = KeyPair::generate().expect("a key").serialize_pem();
        EncodingKey::from_ec_pem(pem.as_bytes()).expect("it signs")
    };
    let set = |key: &EncodingKey| {
        let key = Jwk::from_encoding_key(key, Algorithm::ES256).expect("a public key");
        json!({ "keys": [key] }).to_string()
    };
    let token = |key: &EncodingKey, role: &str| {
        let claims = json!({ "iss": "i", "aud": "a", "sub": "svc", "exp": get_current_timestamp() + 600, "roles": [role] });
        encode(&Header::new(Algorithm::ES256), &claims, key).expect("signed")
    };
    let (first, second) = (signer(), signer());
    write(folder, "keys.json", &set(&first));
    let more = "  longshore.rest.auth: bearer\n  longshore.rest.auth.jwks.file: keys.json\n  longshore.rest.auth.issuer: i\n  longshore.rest.auth.audience: a\n";
    // The audit log comes however little else is wanted.
    let quiet = "warn,longshore::node=info";
    let worker = start(folder, &settings("http", more), Client::new(), quiet).await;
    let status = async |token: &str| {
        let headers = [("authorization", format!("Bearer {token}"))];
        let headers = headers
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let answer = worker
            .raw(Method::GET, "/connectors", &headers, Vec::new())
            .await;
        (answer.status, answer.header("www-authenticate").to_owned())
    };
    let other = worker.url.replace("http:", "https:");
    let told = command(folder, &["status", "--url", &other], &[], "").await;
    assert!(
        text(&told.stderr).contains("does not speak TLS"),
        "{}",
        text(&told.stderr)
    );
    assert_eq!(status(&token(&first, "longshore-read")).await.0, 200);
    assert_eq!(status(&token(&first, "other")).await.0, 403);
    let (refused, challenge) = status(&token(&second, "longshore-read")).await;
    assert_eq!((refused, challenge.contains("invalid_token")), (401, true));
    let admin = token(&first, "longshore-admin");
    let env = [
        ("LONGSHORE_URL", worker.url.as_str()),
        ("LONGSHORE_TOKEN", admin.as_str()),
    ];
    let body = r#"{"name":"g","config":{"connector.class":"datagen","topic":"t","rate":1}}"#;
    let created = command(folder, &["connectors", "create", "-"], &env, body).await;
    assert!(created.status.success(), "{}", text(&created.stderr));

    write(folder, "keys.json", &set(&second));
    eventually("the new key", || async {
        (status(&token(&second, "longshore-read")).await.0 == 200).then_some(())
    })
    .await;
    assert_eq!(
        status(&admin).await.0,
        401,
        "what the old key signed is worth nothing"
    );
    let log = worker.process.log();
    assert!(
        log.contains("audit user=\"svc\" role=\"admin\"") && !log.contains(&admin),
        "{log}"
    );
}

#[tokio::test]
async fn a_worker_that_nobody_could_log_in_to_does_not_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    write(folder, "users", "ann:planted-secret:admin\n");
    write(folder, "store.pem", "nothing\n");
    for (scheme, more, expected) in [
        ("http", AUTH.to_owned(), "line 1: expected a PHC string of argon2id"),
        ("http", AUTH.replace("users", "missing"), "longshore.rest.auth.credentials.file"),
        ("https", HTTPS.to_owned(), "store.pem: expected PEM certificates, found none"),
        ("http", "  rest.extension.classes: org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension\n".to_owned(), "longshore.rest.auth=basic"),
    ] {
        write(folder, "worker.yaml", &settings(scheme, &more));
        let ended = command(folder, &["worker", "worker.yaml"], &[], "").await;
        let told = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{told}");
        assert!(told.contains(expected) && !told.contains("planted"), "{told}");
    }
    for (name, password) in [("a:b", "long enough"), ("ann", "short")] {
        let refused = command(
            folder,
            &["auth", "hash", name, "--role", "read"],
            &[],
            password,
        )
        .await;
        assert_eq!(
            (refused.status.code(), text(&refused.stdout).as_str()),
            (Some(1), "")
        );
    }
}
