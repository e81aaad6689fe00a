//! Who may connect, and to whom: certificates and passwords.

use super::{connect, settings};
use crate::client::check;
use longshore_kit::servers::{Postgres, PostgresOptions, PostgresTls};
use longshore_sdk::ErrorKind;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use std::sync::OnceLock;

/// An authority.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "an authority");
        let pem = params.self_signed(&key).expect("signs").pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }
    /// Certificate and key for these hosts; the common name is the user of a client.
    fn issue(&self, hosts: &[&str], user: &str, expired: bool) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("good names");
        params.distinguished_name.push(DnType::CommonName, user);
        if expired {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        }
        let cert = params.signed_by(&key, &self.issuer).expect("signs");
        (cert.pem(), key.serialize_pem())
    }
}

/// Servers that differ in their certificate, and the authorities.
struct Servers {
    good: Postgres,
    other_host: Postgres,
    expired: Postgres,
    authority: Authority,
    stranger: Authority,
}

const HBA: [&str; 5] = [
    "hostssl all secured 127.0.0.1/32 scram-sha-256",
    "hostssl all carded 127.0.0.1/32 cert",
    "host all scrammed 127.0.0.1/32 scram-sha-256",
    "host all hashed 127.0.0.1/32 md5",
    "host all postgres 127.0.0.1/32 trust",
];

fn servers() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(|| {
        let (authority, stranger) = (Authority::new(), Authority::new());
        let start = |hosts: &[&str], expired: bool| {
            let (cert, key) = authority.issue(hosts, "server", expired);
            let options = PostgresOptions {
                fsync: false,
                hba: HBA.map(str::to_owned).to_vec(),
                tls: Some(PostgresTls {
                    cert,
                    key,
                    client_ca: Some(authority.pem.clone()),
                }),
                ..PostgresOptions::default()
            };
            let postgres = Postgres::start_with(&options).expect("Postgres starts");
            let roles = "CREATE ROLE secured LOGIN PASSWORD 'hunter2'; CREATE ROLE carded LOGIN; CREATE ROLE scrammed LOGIN PASSWORD 'hunter2'; \
                SET password_encryption = md5; CREATE ROLE hashed LOGIN PASSWORD 'hunter2'";
            postgres.query("postgres", roles).expect("creates roles");
            postgres
        };
        Servers {
            good: start(&["localhost", "127.0.0.1"], false),
            other_host: start(&["db.example"], false),
            expired: start(&["localhost", "127.0.0.1"], true),
            authority,
            stranger,
        }
    })
}

/// The URL of a user with TLS parameters.
fn url(server: &Postgres, user: &str, more: &str) -> String {
    format!(
        "jdbc:postgresql://127.0.0.1:{}/postgres?user={user}&{more}",
        server.port()
    )
}

/// Whether the session is encrypted; the error's kind and message if there is none.
async fn encrypted(entries: &[(&str, &str)]) -> Result<bool, (ErrorKind, String)> {
    let session = connect(entries)
        .await
        .map_err(|failure| (failure.kind(), failure.error().to_string()))?;
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let row = session
        .bounded("test", session.client().query_one(sql, &[]))
        .await;
    Ok(row.expect("answers").get(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_certificate_is_judged_as_the_mode_says() {
    let servers = servers();
    let (root, stranger) = (&servers.authority.pem, &servers.stranger.pem);
    let try_one = async |server: &Postgres, mode: &str, root: Option<&String>| {
        let url = url(server, "postgres", &format!("sslmode={mode}"));
        let mut entries = vec![("connection.url", url.as_str())];
        entries.extend(root.map(|root| ("connection.ssl.root.cert", root.as_str())));
        encrypted(&entries).await
    };
    for (server, mode, root, expected) in [
        (&servers.good, "verify-full", Some(root), true),
        (&servers.good, "verify-ca", Some(root), true),
        (&servers.good, "require", None, true),
        (&servers.good, "prefer", None, true),
        (&servers.good, "disable", None, false),
        (&servers.other_host, "verify-ca", Some(root), true),
        (&servers.other_host, "require", None, true),
        (&servers.expired, "require", None, true),
    ] {
        let seen = try_one(server, mode, root).await;
        assert_eq!(seen, Ok(expected), "{mode} {}", root.is_some());
    }
    for (server, mode, root, says) in [
        (
            &servers.other_host,
            "verify-full",
            Some(root),
            "NotValidForName",
        ),
        (
            &servers.good,
            "verify-full",
            Some(stranger),
            "certificate is refused",
        ),
        (
            &servers.good,
            "verify-ca",
            Some(stranger),
            "certificate is refused",
        ),
        // As in libpq, a named root makes `require` check.
        (
            &servers.good,
            "require",
            Some(stranger),
            "certificate is refused",
        ),
        (&servers.good, "verify-full", None, "certificate is refused"),
        (&servers.expired, "verify-full", Some(root), "Expired"),
        (&servers.expired, "verify-ca", Some(root), "Expired"),
    ] {
        let (kind, text) = try_one(server, mode, root).await.expect_err(says);
        assert_eq!(kind, ErrorKind::Config, "{text}");
        assert!(
            text.contains(says) && text.contains("connection.ssl.root.cert"),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_taken_by_prefer_alone() {
    let postgres = Postgres::shared().expect("Postgres starts");
    let plain = url(postgres, "postgres", "sslmode=prefer");
    assert_eq!(encrypted(&[("connection.url", &plain)]).await, Ok(false));
    let insists = url(postgres, "postgres", "sslmode=require");
    let (kind, text) = encrypted(&[("connection.url", &insists)])
        .await
        .expect_err("no TLS");
    assert_eq!(kind, ErrorKind::Config);
    assert!(
        text.contains("server does not support TLS") && text.contains("connection.ssl.mode"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_shows_its_certificate() {
    let servers = servers();
    let (cert, key) = servers.authority.issue(&[], "carded", false);
    let url = url(&servers.good, "carded", "sslmode=verify-full");
    let base = [
        ("connection.url", url.as_str()),
        ("connection.ssl.root.cert", servers.authority.pem.as_str()),
    ];
    let with = |more: &[(&'static str, String)]| -> Vec<(&'static str, String)> {
        let base = base.iter().map(|(key, value)| (*key, (*value).to_owned()));
        base.chain(more.iter().cloned()).collect()
    };
    let dir = tempfile::tempdir().expect("a folder");
    let file = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).expect("writes");
        path.display().to_string()
    };
    let der = {
        let pair = KeyPair::from_pem(&key).expect("reads");
        file("key.pk8", &pair.serialize_der())
    };
    // As text, as files, and with the key in DER as Java users have it.
    for (cert, key) in [
        (cert.clone(), key.clone()),
        (
            file("cert.pem", cert.as_bytes()),
            file("key.pem", key.as_bytes()),
        ),
        (file("cert.pem", cert.as_bytes()), der),
    ] {
        let entries = with(&[("connection.ssl.cert", cert), ("connection.ssl.key", key)]);
        let entries: Vec<(&str, &str)> = entries
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        assert_eq!(encrypted(&entries).await, Ok(true));
    }
    let (kind, text) = encrypted(&base).await.expect_err("no certificate");
    assert_eq!(kind, ErrorKind::Auth, "{text}");
    let (theirs, key) = servers.stranger.issue(&[], "carded", false);
    let entries = [
        base[0],
        base[1],
        ("connection.ssl.cert", theirs.as_str()),
        ("connection.ssl.key", key.as_str()),
    ];
    let (kind, text) = encrypted(&entries)
        .await
        .expect_err("a stranger's certificate");
    assert_eq!(kind, ErrorKind::Auth, "{text}");
    // Files that cannot be used are named by their keys, and the key's content stays inside.
    for (cert_text, key_text, says) in [
        ("/nowhere/cert", key.as_str(), "connection.ssl.cert"),
        (cert.as_str(), "/nowhere/hunter2", "connection.ssl.key"),
        (
            cert.as_str(),
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nhunter2",
            "decrypt it once",
        ),
        (
            cert.as_str(),
            "-----BEGIN PRIVATE KEY-----\nhunter2",
            "connection.ssl.key",
        ),
        (cert.as_str(), key.as_str(), "do not fit"),
    ] {
        let entries = [
            base[0],
            base[1],
            ("connection.ssl.cert", cert_text),
            ("connection.ssl.key", key_text),
        ];
        let (kind, text) = encrypted(&entries).await.expect_err(says);
        assert_eq!(kind, ErrorKind::Config, "{text}");
        assert!(text.contains(says) && !text.contains("hunter2"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_open_and_wrong_ones_are_the_owners_business() {
    let servers = servers();
    for (user, mode) in [
        ("secured", "require&channelBinding=require"),
        ("scrammed", "disable"),
        ("hashed", "disable"),
        ("hashed", "require"),
    ] {
        let good = url(
            &servers.good,
            user,
            &format!("sslmode={mode}&password=hunter2"),
        );
        let seen = encrypted(&[("connection.url", &good)]).await;
        assert_eq!(seen, Ok(mode != "disable"), "{user}");
        // The key wins over the URL.
        let seen = encrypted(&[
            ("connection.url", &good),
            ("connection.password", "wrong-hunter2"),
        ])
        .await;
        let (kind, text) = seen.expect_err("a wrong password");
        assert_eq!(kind, ErrorKind::Auth, "{text}");
        assert!(
            text.contains("password authentication failed")
                && text.contains("28P01")
                && !text.contains("hunter2"),
            "{text}"
        );
    }
    let none = url(&servers.good, "scrammed", "sslmode=disable");
    let (kind, text) = encrypted(&[("connection.url", &none)])
        .await
        .expect_err("no password");
    assert_eq!(kind, ErrorKind::Auth, "{text}");
    // Channel binding cannot be had in the clear.
    let unbound = url(
        &servers.good,
        "scrammed",
        "sslmode=disable&channelBinding=require&password=hunter2",
    );
    assert!(encrypted(&[("connection.url", &unbound)]).await.is_err());
    // pg_hba.conf lets this user in encrypted only.
    let clear = url(&servers.good, "secured", "sslmode=disable&password=hunter2");
    let (kind, text) = encrypted(&[("connection.url", &clear)])
        .await
        .expect_err("in the clear");
    assert!(
        kind == ErrorKind::Auth && text.contains("pg_hba.conf"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_the_key_that_heals_it() {
    let servers = servers();
    let check = async |url: String, more: &[(&str, &str)]| {
        let mut entries = vec![("connection.url", url.as_str())];
        entries.extend(more);
        let findings = check::open(&settings(&entries))
            .await
            .expect_err("something is wrong");
        assert_eq!(findings.len(), 1, "{findings:?}");
        findings[0].key.clone()
    };
    let good = &servers.good;
    let wrong = url(good, "scrammed", "password=nope");
    assert_eq!(check(wrong, &[]).await, "connection.password");
    assert_eq!(
        check(url(good, "nobody", "sslmode=disable"), &[]).await,
        "connection.user"
    );
    assert_eq!(
        check(url(good, "postgres", "sslmode=verify-full"), &[]).await,
        "connection.ssl.root.cert"
    );
    let nowhere = [("connection.ssl.root.cert", "/nowhere")];
    assert_eq!(
        check(url(good, "postgres", "sslmode=verify-full"), &nowhere).await,
        "connection.ssl.root.cert"
    );
    let plain = Postgres::shared().expect("Postgres starts");
    assert_eq!(
        check(url(plain, "postgres", "sslmode=require"), &[]).await,
        "connection.ssl.mode"
    );
    let missing = format!("postgresql://postgres@127.0.0.1:{}/nowhere", plain.port());
    assert_eq!(check(missing, &[]).await, "connection.url");
}
