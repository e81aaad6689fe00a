//! Keys and URLs.

use super::{definition, outer, settings};
use crate::client::connection::SslMode;
use longshore_sdk::config::Finding;
use std::time::Duration;

const URL: &str = "jdbc:postgresql://db:6000/sales";

fn problems(entries: &[(&str, &str)]) -> Vec<String> {
    let findings: Vec<Finding> = match outer(entries) {
        Ok(outer) => outer.connection.target().expect_err("something is wrong"),
        Err(findings) => findings,
    };
    findings.iter().map(ToString::to_string).collect()
}

#[test]
fn keys_and_url_say_where_to_connect() {
    let outer = outer(&[
        ("connection.url", &format!("{URL}?user=url&password=a&currentSchema=x&sslmode=require&socketTimeout=7&reWriteBatchedInserts=true")),
        ("connection.user", "ann"),
        ("connection.password", "b"),
        ("connection.ssl.mode", "verify-full"),
        ("connection.ApplicationName", "app"),
        ("connection.own", "mine"),
        ("batch.size", "7"),
    ])
    .expect("reads");
    assert_eq!((outer.batch_size, outer.own.as_deref()), (7, Some("mine")));
    let target = outer.connection.target().expect("good");
    assert_eq!(target.to_string(), "db:6000/sales");
    assert_eq!((target.user.as_str(), target.database()), ("ann", "sales"));
    assert_eq!(
        target.password.as_ref().map(|secret| secret.expose()),
        Some("b")
    );
    assert_eq!(target.tls.mode(), SslMode::VerifyFull);
    assert_eq!(target.search_path.as_deref(), Some("x"));
    assert_eq!(target.application_name.as_deref(), Some("app"));
    assert_eq!(target.statement_timeout, Some(Duration::from_secs(7)));
    assert_eq!(target.attempts, 1);
    // libpq: a named root is used by `require`, too; and alone, `ssl` means a proof.
    let mode = |more: &str| {
        let url = format!("{URL}?user=u&{more}");
        settings(&[("connection.url", &url)])
            .target()
            .expect(more)
            .tls
            .mode()
    };
    assert_eq!(mode("sslmode=require&sslrootcert=/x"), SslMode::VerifyCa);
    assert_eq!(mode("ssl=true"), SslMode::VerifyFull);
    assert_eq!(mode("ssl=true&sslmode=require"), SslMode::Require);
    assert_eq!(
        mode("ssl=true&sslfactory=org.postgresql.ssl.NonValidatingFactory"),
        SslMode::Require
    );
    assert_eq!(mode("tcpKeepAlive=true"), SslMode::Prefer);
    // The user's name is the database where none is given.
    let bare = settings(&[
        ("connection.url", "postgres://bob@"),
        ("connection.username", ""),
    ]);
    assert_eq!(
        bare.target().expect("good").to_string(),
        "localhost:5432/bob"
    );
}

#[test]
fn i8_no_secret_is_shown() {
    let url = format!("{URL}?user=u&password=hunter2");
    let config = settings(&[
        ("connection.url", &url),
        ("connection.password", "hunter2"),
        ("connection.ssl.key", "hunter2"),
        ("connection.ssl.cert", "x"),
        ("connection.sslpassword", ""),
    ]);
    let target = config.target().expect("good");
    let shown = format!("{config:?} {target:?} {target}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let definition = definition();
    for key in [
        "connection.url",
        "connection.password",
        "connection.ssl.key",
        "connection.sslpassword",
    ] {
        assert!(definition.is_secret(key), "{key}");
    }
    for entries in [
        [
            ("connection.url", "postgresql://u:hunter2@h:x/d"),
            ("batch.size", "1"),
        ],
        [
            ("connection.url", "jdbc:mysql://h/d?password=hunter2"),
            ("batch.size", "1"),
        ],
        // An ampersand that was not escaped: what follows it is a piece of the password.
        [
            ("connection.url", "postgresql://u@h/d?password=a&hunter2!=x"),
            ("batch.size", "1"),
        ],
        [
            ("connection.url", "postgresql://u@h/d"),
            ("connection.sslpassword", "hunter2"),
        ],
        [
            ("connection.url", "postgresql://u@h/d"),
            ("connection.sslmode", "hunter2"),
        ],
    ] {
        let problems = problems(&entries).join("\n");
        assert!(!problems.contains("hunter2"), "{problems}");
    }
}

#[test]
fn what_is_wrong_is_named_by_its_key() {
    let url = |more: &str| format!("{URL}?user=u&{more}");
    for (entries, says) in [
        (
            vec![("connection.url", URL.to_owned())],
            "connection.user: no user is named",
        ),
        (
            vec![("batch.size", "1".to_owned())],
            "connection.url: required",
        ),
        (
            vec![
                ("connection.url", "jdbc:mysql://h/d?user=u".to_owned()),
                ("connection.user", "u".to_owned()),
            ],
            "connection.url: is the URL of another database (mysql)",
        ),
        (
            vec![("connection.url", url("sslMode=require"))],
            "did you mean sslmode?",
        ),
        (
            vec![("connection.url", url("zzzzzz=1"))],
            "not known: zzzzzz",
        ),
        (
            vec![("connection.url", url("sslmode=always"))],
            "connection.url: the parameter sslmode",
        ),
        (
            vec![("connection.url", url("connectTimeout=soon"))],
            "connectTimeout has another value than expected: seconds",
        ),
        (
            vec![("connection.url", url("gssEncMode=require"))],
            "GSSAPI is not supported",
        ),
        (
            vec![("connection.url", url("client_encoding=LATIN1"))],
            "UTF8",
        ),
        (
            vec![
                ("connection.url", url("")),
                ("connection.curentSchema", "x".to_owned()),
            ],
            "connection.curentSchema: has a parameter that is not known: did you mean currentSchema?",
        ),
        (
            vec![("connection.url", url("sslcert=/x"))],
            "connection.ssl.key: a client's certificate is given",
        ),
        (
            vec![
                ("connection.url", url("")),
                ("connection.ssl.key", "/x".to_owned()),
            ],
            "connection.ssl.cert",
        ),
        (
            vec![
                ("connection.url", url("")),
                ("connection.ssl.mode", "always".to_owned()),
            ],
            "connection.ssl.mode: expected one of its names",
        ),
        (
            vec![
                ("connection.url", url("")),
                ("connection.attempts", "0".to_owned()),
            ],
            "connection.attempts: out of range",
        ),
    ] {
        let entries: Vec<(&str, &str)> = entries
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        let problems = problems(&entries).join("\n");
        assert!(problems.contains(says), "{entries:?}: {problems}");
    }
    // All at once.
    assert_eq!(
        problems(&[
            ("connection.url", &url("a1=1&b2=2")),
            ("connection.c3", "3")
        ])
        .len(),
        3
    );
}
