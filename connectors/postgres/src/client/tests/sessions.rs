//! Sessions: what they rely on, and that nothing takes for ever.

use super::{connect, place, settings};
use crate::client::{Purpose, Session};
use longshore_sdk::ErrorKind;
use std::time::Duration;
use tokio::net::TcpListener;

/// Generous: the machine may be busy.
const SOON: Duration = Duration::from_secs(30);

async fn shown(session: &Session, sql: &str) -> String {
    let row = session
        .bounded("test", session.client().query_one(sql, &[]))
        .await;
    row.expect("answers").get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_the_settings_that_we_rely_on() {
    let (_, database, url) = place();
    let url =
        format!("{url}?currentSchema=one,\"Two\"&options=-c%20work_mem%3D7MB&ApplicationName=mine");
    let target = settings(&[("connection.url", &url)])
        .target()
        .expect("good");
    let session = Session::open(&target, &Purpose::write("c", 3, true))
        .await
        .expect("connects");
    for (name, expected) in [
        ("TimeZone", "UTC"),
        ("DateStyle", "ISO, YMD"),
        ("search_path", "one, \"Two\""),
        ("work_mem", "7MB"),
        ("application_name", "mine"),
        ("idle_in_transaction_session_timeout", "5s"),
        ("tcp_user_timeout", "5000"),
        ("statement_timeout", "65s"),
        ("client_connection_check_interval", "5s"),
    ] {
        assert_eq!(
            shown(&session, &format!("SHOW {name}")).await,
            expected,
            "{name}"
        );
    }
    assert_eq!(
        shown(&session, "SELECT pg_backend_pid()::text").await,
        session.pid().to_string()
    );
    assert_eq!(
        (session.database(), session.user()),
        (database.as_str(), "postgres")
    );
    assert!(session.server_version() >= 150_000 && session.alive());
    // A source cannot write, whatever its query says.
    let reader = Session::open(&target, &Purpose::read("c", 0))
        .await
        .expect("connects");
    let written = reader
        .bounded(
            "test",
            reader.client().batch_execute("CREATE TABLE t (a int)"),
        )
        .await;
    let failure = written.expect_err("read-only");
    assert_eq!(failure.code().map(|code| code.code()), Some("25006"));
}

#[tokio::test(flavor = "multi_thread")]
async fn i6_a_statement_that_overruns_is_cancelled_and_ends_the_session() {
    let (postgres, database, url) = place();
    let session = connect(&[
        ("connection.url", &url),
        ("connection.statement.timeout.ms", "300"),
    ])
    .await
    .expect("connects");
    let failure = session
        .bounded(
            "put",
            session.client().batch_execute("SELECT pg_sleep(600)"),
        )
        .await
        .expect_err("overruns");
    let text = failure.error().to_string();
    assert!(
        failure.kind() == ErrorKind::Transient && text.contains("300 ms"),
        "{text}"
    );
    let failure = session
        .bounded("put", session.client().batch_execute("SELECT 1"))
        .await
        .expect_err("dead");
    assert!(
        failure.error().to_string().contains("overran") && !session.alive(),
        "{failure:?}"
    );
    // The server works for nobody any more, before the connection is gone.
    let running = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE pid = {} AND state = 'active'",
        session.pid()
    );
    let idle = tokio::time::timeout(SOON, async {
        while postgres.query(&database, &running).expect("asks") != ["0"] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    idle.await.expect("the statement is cancelled");
    let pid = session.pid();
    drop(session);
    let there = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
    let gone = tokio::time::timeout(SOON, async {
        while postgres.query(&database, &there).expect("asks") != ["0"] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    gone.await.expect("a dropped session leaves no backend");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_the_server_ends_says_why() {
    let (postgres, database, url) = place();
    let session = connect(&[("connection.url", &url)])
        .await
        .expect("connects");
    let sql = format!("SELECT pg_terminate_backend({}, 10000)", session.pid());
    assert_eq!(postgres.query(&database, &sql).expect("terminates"), ["t"]);
    let failed = tokio::time::timeout(SOON, async {
        loop {
            if let Err(failure) = session
                .bounded("put", session.client().batch_execute("SELECT 1"))
                .await
            {
                return failure;
            }
        }
    });
    let failure = failed.await.expect("notices");
    let text = failure.error().to_string();
    assert!(failure.kind() == ErrorKind::Transient, "{text}");
    assert!(
        text.contains("terminating connection due to administrator command"),
        "{text}"
    );
    assert!(!session.alive());
}

#[tokio::test(flavor = "multi_thread")]
async fn i6_nobody_answering_ends_in_time() {
    // It takes connections and says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let port = mute.local_addr().expect("an address").port();
    for mode in ["disable", "prefer"] {
        let url = format!("postgresql://u@127.0.0.1:{port}/d?sslmode={mode}");
        let entries = [
            ("connection.url", url.as_str()),
            ("connection.connect.timeout.ms", "200"),
        ];
        let failed = tokio::time::timeout(SOON, connect(&entries))
            .await
            .expect("ends");
        let text = failed.expect_err("nobody answers").error().to_string();
        assert!(
            text.contains("no connection within 200 ms")
                && text.contains(&format!("127.0.0.1:{port}/d")),
            "{text}"
        );
    }
    // Nobody listens; tried as often as asked for.
    drop(mute);
    let url = format!("postgresql://u@127.0.0.1:{port}/d");
    let entries = [
        ("connection.url", url.as_str()),
        ("connection.attempts", "3"),
        ("connection.backoff.ms", "10"),
    ];
    let failure = tokio::time::timeout(SOON, connect(&entries))
        .await
        .expect("ends")
        .expect_err("nobody listens");
    let text = failure.error().to_string();
    assert!(
        failure.kind() == ErrorKind::Transient && text.contains("refused"),
        "{text}"
    );
    // A second host is tried.
    let (postgres, database, _) = place();
    let url = format!(
        "jdbc:postgresql://127.0.0.1:{port},127.0.0.1:{}/{database}?user=postgres&targetServerType=primary",
        postgres.port()
    );
    assert!(
        connect(&[("connection.url", &url)])
            .await
            .expect("connects")
            .alive()
    );
}
