use super::*;

fn special(pairs: &[(&str, &str)]) -> Special {
    let mut special = Special::default();
    for (key, value) in pairs {
        special.insert(key, format!("producer.{key}"), (*value).to_owned());
    }
    special
}

/// With SASL_SSL unless the pairs say otherwise, and with a login that works.
fn run(pairs: &[(&str, &str)]) -> Result<Properties> {
    let mut all = vec![("security.protocol", "SASL_SSL")];
    if !pairs
        .iter()
        .any(|(key, _)| key.starts_with("sa") || *key == "security.protocol")
    {
        all.extend([("sasl.mechanism", "PLAIN"), ("sasl.jaas.config", PASSWORD)]);
    }
    all.extend(pairs);
    let mut native = Properties::new();
    translate(&special(&all), &mut native).map(|_| native)
}

/// The error's text; the given secret must not be in it.
fn refused(pairs: &[(&str, &str)], key: &str) -> String {
    let error = run(pairs).expect_err("refused");
    let text = format!("{error:?}");
    assert!(
        text.contains(&format!("producer.{key}")),
        "{key} is not named in {text}"
    );
    assert!(!text.contains("canary"), "I8: {text}");
    text
}

const PASSWORD: &str = "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"canary-u\" password=\"canary-p\";";
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE----- QUJD -----END CERTIFICATE-----";
const KEY: &str = "-----BEGIN PRIVATE KEY----- QUJD -----END PRIVATE KEY-----";

#[test]
fn a_password_login_becomes_the_librarys() {
    let native = run(&[
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        (
            "sasl.jaas.config",
            &PASSWORD.replace("plain.Plain", "scram.Scram"),
        ),
        ("ssl.endpoint.identification.algorithm", ""),
    ])
    .expect("valid");
    for (key, value) in [
        ("security.protocol", "sasl_ssl"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", "canary-u"),
        ("sasl.password", "canary-p"),
        ("ssl.endpoint.identification.algorithm", "none"),
    ] {
        assert_eq!(native.get(key).map(String::as_str), Some(value), "{key}");
    }
}

#[test]
fn what_cannot_work_is_refused_at_once_and_named() {
    let sasl = ("security.protocol", "SASL_PLAINTEXT");
    let jaas = ("sasl.jaas.config", PASSWORD);
    refused(&[("security.protocol", "canary")], "security.protocol");
    // Kafka's default, without a word in the settings.
    assert!(format!("{:?}", run(&[sasl, jaas]).err()).contains("GSSAPI"));
    assert!(
        refused(
            &[sasl, jaas, ("sasl.mechanism", "GSSAPI")],
            "sasl.mechanism"
        )
        .contains("Kerberos")
    );
    refused(
        &[sasl, jaas, ("sasl.mechanism", "canary")],
        "sasl.mechanism",
    );
    assert!(run(&[sasl, ("sasl.mechanism", "PLAIN")]).is_err());
    refused(
        &[sasl, jaas, ("sasl.mechanism", "OAUTHBEARER")],
        "sasl.jaas.config",
    );
    let jndi = "com.sun.security.auth.module.JndiLoginModule required x=\"canary\";";
    let named = refused(
        &[("sasl.mechanism", "PLAIN"), ("sasl.jaas.config", jndi)],
        "sasl.jaas.config",
    );
    assert!(named.contains("JndiLoginModule"), "{named}");
    refused(
        &[("ssl.endpoint.identification.algorithm", "canary")],
        "ssl.endpoint.identification.algorithm",
    );
}

#[test]
fn stores_as_text_become_lines() {
    let native = run(&[
        ("ssl.truststore.certificates", CERTIFICATE),
        ("ssl.keystore.key", KEY),
        ("ssl.keystore.certificate.chain", CERTIFICATE),
    ])
    .expect("valid");
    for key in ["ssl.ca.pem", "ssl.certificate.pem", "ssl.key.pem"] {
        assert!(
            native[key].contains("-----\nQUJD\n-----"),
            "{key}: {}",
            native[key]
        );
    }
    refused(
        &[("ssl.truststore.certificates", "canary")],
        "ssl.truststore.certificates",
    );
    refused(
        &[
            ("ssl.keystore.key", "canary"),
            ("ssl.keystore.certificate.chain", CERTIFICATE),
        ],
        "ssl.keystore.key",
    );
    assert!(run(&[("ssl.keystore.key", KEY)]).is_err());
    assert!(run(&[("ssl.keystore.certificate.chain", CERTIFICATE)]).is_err());
}

#[test]
fn a_store_is_what_its_bytes_say() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path.display().to_string()
    };
    let pem = file("ca.jks", CERTIFICATE.as_bytes());
    assert!(run(&[("ssl.truststore.location", &pem)]).expect("PEM")["ssl.ca.pem"].contains("QUJD"));
    let both = file("both.pem", format!("{KEY}\n{CERTIFICATE}").as_bytes());
    assert!(
        run(&[("ssl.keystore.location", &both)])
            .expect("PEM")
            .contains_key("ssl.key.pem")
    );
    refused(&[("ssl.keystore.location", &pem)], "ssl.keystore.location");
    let jks = file("key.jks", &[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0, 0, 0, 0]);
    let advice = refused(
        &[
            ("ssl.keystore.location", &jks),
            ("ssl.keystore.password", "canary"),
        ],
        "ssl.keystore.location",
    );
    assert!(advice.contains("keytool -importkeystore"), "{advice}");
    let junk = file("junk", b"canary");
    refused(
        &[("ssl.truststore.location", &junk)],
        "ssl.truststore.location",
    );
    refused(
        &[("ssl.truststore.location", "/nowhere/at/all")],
        "ssl.truststore.location",
    );
    refused(
        &[
            ("ssl.truststore.location", &pem),
            ("ssl.truststore.type", "BCFKS"),
        ],
        "ssl.truststore.type",
    );
    let p12 = file("key.p12", &[0x30, 0x82, 0xff]);
    let native = run(&[
        ("ssl.keystore.location", &p12),
        ("ssl.keystore.password", "canary"),
    ])
    .expect("left to the library");
    assert_eq!(native["ssl.keystore.location"], p12);
    refused(
        &[
            ("ssl.truststore.location", &p12),
            ("ssl.truststore.password", "canary"),
        ],
        "ssl.truststore.location",
    );
}

#[test]
fn a_token_login_is_read_from_keys_and_options() {
    let jaas = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required clientId=\"me\" clientSecret=\"canary\" scope=\"a\" extension_pool=\"1\";";
    let base = [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "OAUTHBEARER"),
        ("sasl.jaas.config", jaas),
        (
            "sasl.login.callback.handler.class",
            "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler",
        ),
        (
            "sasl.oauthbearer.token.endpoint.url",
            "https://id.example/token",
        ),
    ];
    let mut native = Properties::new();
    let login = translate(&special(&base), &mut native).expect("valid");
    assert!(login.is_some() && native["sasl.mechanism"] == "OAUTHBEARER");
    assert!(
        !native.values().any(|value| value.contains("canary")),
        "the library is not told the secret"
    );
    let with = |key: &'static str, value: &'static str| {
        let mut pairs: Vec<_> = base.into_iter().filter(|(k, _)| *k != key).collect();
        pairs.push((key, value));
        pairs
    };
    for (key, value) in [
        ("sasl.oauthbearer.token.endpoint.url", "file:///etc/passwd"),
        ("sasl.oauthbearer.token.endpoint.url", "canary"),
        ("sasl.login.callback.handler.class", "com.example.Mine"),
        (
            "sasl.oauthbearer.jwt.retriever.class",
            "org.apache.kafka.common.security.oauthbearer.FileJwtRetriever",
        ),
        ("sasl.login.connect.timeout.ms", "canary"),
        ("sasl.oauthbearer.header.urlencode", "canary"),
    ] {
        refused(&with(key, value), key);
    }
    let bare = &base[..4];
    assert!(format!("{:?}", run(bare).err()).contains("sasl.oauthbearer.token.endpoint.url"));
    let keys = [
        base[0],
        base[1],
        base[4],
        ("sasl.oauthbearer.client.credentials.client.id", "me"),
        (
            "sasl.oauthbearer.client.credentials.client.secret",
            "canary",
        ),
    ];
    assert!(run(&keys).is_ok(), "Kafka 4.1's keys need no login module");
    assert!(format!("{:?}", run(&keys[..4]).err()).contains("client.secret"));
}

#[test]
fn what_the_protocol_does_not_use_is_not_looked_at() {
    let stores = ("ssl.keystore.location", "/nowhere/rest.jks");
    let jaas = ("sasl.jaas.config", "com.example.Other required;");
    for protocol in ["PLAINTEXT", "plaintext"] {
        let native = run(&[("security.protocol", protocol), stores, jaas]).expect("valid");
        assert_eq!(native.len(), 1, "{native:?}");
    }
    let mut native = Properties::new();
    assert!(translate(&special(&[stores, jaas]), &mut native).is_ok());
    assert!(run(&[("security.protocol", "SSL"), jaas]).is_ok());
}
