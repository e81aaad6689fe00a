//! Secrets of the worker itself.

use crate::{
    evidence::{clean, log_is_clean, talkative},
    support::{BINARY, EMBEDDED, Process, Worker, text},
};
use reqwest::Method;
use std::{fs, path::Path, process::Stdio, time::Duration};

/// What a worker with these settings says until it ends or, if it goes on trying, for a while.
async fn said(folder: &Path, name: &str, settings: &str, format: &str) -> String {
    fs::write(folder.join(name), settings).expect("written");
    let mut command = std::process::Command::new(BINARY);
    command
        .args(["worker", name])
        .env("PLANTED_TOKEN", "canary-env-2")
        .current_dir(folder);
    talkative(&mut command, format);
    let (out, err) = (folder.join("out"), folder.join("err"));
    let file = |path| Stdio::from(fs::File::create(path).expect("a file"));
    command
        .stdin(Stdio::null())
        .stdout(file(&out))
        .stderr(file(&err));
    let mut child = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    // One that goes on trying has said by then what it has to say.
    let _ = tokio::time::timeout(Duration::from_secs(15), child.wait()).await;
    let _ = child.kill().await;
    let printed = |path| text(&fs::read(path).expect("a file"));
    format!("{}{}", printed(&out), printed(&err))
}

#[tokio::test]
async fn i8_no_secret_of_the_worker_is_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("vault")).expect("a folder");
    let vault = "jaas=org.apache.kafka.common.security.scram.ScramLoginModule required username=\"u\" password=\"canary-file-8\";\nnumber=canary-file-9\n";
    fs::write(folder.path().join("vault/s.properties"), vault).expect("written");
    let providers = "config.providers=file,env
config.providers.file.param.allowed.paths=vault
config.providers.env.param.allowlist.pattern=PLANTED_.*
listeners=http://127.0.0.1:0
";
    let client = "bootstrap.servers=127.0.0.1:1,nowhere.invalid:9092
security.protocol=SASL_PLAINTEXT
";
    let resolved = "sasl.mechanism=SCRAM-SHA-512\nsasl.jaas.config=${file:vault/s.properties:jaas}\nproducer.ssl.key.password=${env:PLANTED_TOKEN}\n";
    let literal = "sasl.mechanism=PLAIN\nsasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password=\"canary-literal-6\";\n";
    let bad_jaas = "sasl.mechanism=PLAIN\nsasl.jaas.config=no.such.LoginModule required password=\"canary-literal-7\";\n";
    let bad_key = "security.protocol=SSL\nssl.keystore.type=PEM\nssl.keystore.key=-----BEGIN canary-literal-8\nssl.keystore.certificate.chain=canary-literal-9\n";
    let bad_value = "session.timeout.ms=${file:vault/s.properties:number}\n";
    for (what, settings, format, expected) in [
        (
            "an unreachable broker, by placeholder",
            format!("{client}{resolved}"),
            "text",
            "127.0.0.1:1",
        ),
        (
            "an unreachable broker, by value",
            format!("{client}{literal}"),
            "json",
            "127.0.0.1:1",
        ),
        (
            "a login module that is none",
            format!("{client}{bad_jaas}"),
            "text",
            "sasl.jaas.config",
        ),
        (
            "a key that is none",
            format!("bootstrap.servers=127.0.0.1:1\n{bad_key}"),
            "text",
            "ssl.keystore",
        ),
        (
            "a number that is none",
            bad_value.to_owned(),
            "json",
            "session.timeout.ms",
        ),
    ] {
        let printed = said(
            folder.path(),
            "w.properties",
            &format!("{providers}{settings}"),
            format,
        )
        .await;
        assert!(printed.contains(expected), "{what} is not told:\n{printed}");
        clean(what, &printed);
    }
}

/// `longshore auth hash` of a password, which it reads from standard input.
fn hashed(folder: &Path, password: &str) -> String {
    fs::write(folder.join("typed"), password).expect("written");
    let typed = fs::File::open(folder.join("typed")).expect("a file");
    let output = std::process::Command::new(BINARY)
        .args(["auth", "hash", "alice", "--role", "admin"])
        .stdin(typed)
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// `alice:canary-rest-1`, and with a password that is not hers, as the header has them.
const HERS: &str = "YWxpY2U6Y2FuYXJ5LXJlc3QtMQ==";
const NOT_HERS: &str = "YWxpY2U6Y2FuYXJ5LXJlc3QtMg==";

#[tokio::test]
async fn i8_no_credential_of_a_caller_is_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    let line = hashed(folder.path(), "canary-rest-1\n");
    clean("a hash", &line);
    fs::write(folder.path().join("users"), &line).expect("written");
    let settings = format!(
        "{EMBEDDED}  longshore.rest.auth: basic\n  longshore.rest.auth.credentials.file: users\n"
    );
    fs::write(folder.path().join("worker.yaml"), settings).expect("written");
    let mut command = std::process::Command::new(BINARY);
    command.args(["worker", "worker.yaml"]);
    talkative(&mut command, "text");
    let mut worker = Worker::running(Process::spawn(command, folder.path())).await;
    let (hers, not_hers) = (format!("Basic {HERS}"), format!("Basic {NOT_HERS}"));
    let config =
        br#"{"connector.class":"datagen","topic":"t","count":"1","api.token":"canary-literal-10"}"#;
    for (authorization, status) in [
        (hers.as_str(), 201),
        (not_hers.as_str(), 401),
        ("Bearer canary-rest-3", 401),
        ("canary-rest-4", 401),
    ] {
        let headers = [
            ("authorization", authorization),
            ("content-type", "application/json"),
        ];
        let path = "/connectors/c/config";
        let answer = worker
            .raw(Method::PUT, path, &headers, config.to_vec())
            .await;
        assert_eq!(answer.status, status, "{}", answer.text);
        clean("an answer", &answer.text.replace("canary-literal-10", ""));
    }
    worker.process.terminate().await;
    log_is_clean(&worker.process, "stopped");
    let log = worker.process.log();
    for told in [HERS, NOT_HERS, line.trim()] {
        assert!(!log.contains(told), "I8: the log shows a credential");
    }
}
