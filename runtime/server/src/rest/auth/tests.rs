//! Passwords and tokens, right and wrong.

use super::{
    super::{
        Tls,
        access::{Peer, Role},
        tests::{Log, keys},
    },
    Refusal,
    basic::Basic,
    bearer::Bearer,
    credentials::quick_hash,
    jwks::Jwks,
};
use axum::{Json, Router, http::StatusCode, response::Redirect, routing::get};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp, jwk::Jwk};
use rcgen::KeyPair;
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

fn users(file: &Path, passwords: &[(&str, &str, &str)]) {
    let line = |(name, password, role): &(&str, &str, &str)| {
        format!("{name}:{}:{role}\n", quick_hash(password))
    };
    std::fs::write(file, passwords.iter().map(line).collect::<String>()).expect("written");
}

async fn login(basic: &Basic, user: &str, password: &str) -> Result<Role, Refusal> {
    let encoded = STANDARD.encode(format!("{user}:{password}"));
    let identity = basic.identify(&encoded, None).await?;
    Ok(identity.role.expect("a user has a role"))
}

#[tokio::test]
async fn a_changed_file_counts_at_once_and_a_broken_one_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("users");
    users(&file, &[("ann", "one:two", "admin"), ("bob", "b", "read")]);
    let basic = Basic::open(&file).expect("opened");
    assert_eq!(login(&basic, "ann", "one:two").await, Ok(Role::Admin));
    assert_eq!(login(&basic, "bob", "b").await, Ok(Role::Read));
    assert_eq!(basic.count_known(), 2);
    let wrong = login(&basic, "ann", "one").await.expect_err("wrong");
    let unknown = login(&basic, "eve", "one:two").await.expect_err("unknown");
    let why = |refusal: &Refusal| match refusal {
        Refusal::Wrong { why, .. } => *why,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        why(&wrong),
        why(&unknown),
        "the answer does not tell which names there are"
    );
    assert_eq!(basic.count_known(), 2, "only good ones are known");

    // A demotion and a removal hold for those who are known, too.
    users(&file, &[("ann", "one:two", "read")]);
    basic.reload();
    assert_eq!(login(&basic, "ann", "one:two").await, Ok(Role::Read));
    login(&basic, "bob", "b").await.expect_err("gone");

    let log = Log::default();
    let logging = log.start();
    std::fs::write(&file, "ann:planted-secret\n").expect("written");
    basic.reload();
    std::fs::remove_file(&file).expect("removed");
    basic.reload();
    drop(logging);
    assert_eq!(login(&basic, "ann", "one:two").await, Ok(Role::Read));
    let text = log.text();
    assert_eq!(text.matches("ERROR").count(), 2, "{text}");
    assert!(
        text.contains("line 1") && !text.contains("planted-secret"),
        "{text}"
    );
    Basic::open(&file)
        .err()
        .expect("no worker starts without its users");
}

#[tokio::test]
async fn the_file_is_watched() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("users");
    users(&file, &[("ann", "old", "admin")]);
    let basic = Arc::new(Basic::open(&file).expect("opened"));
    let watching = tokio::spawn({
        let basic = Arc::clone(&basic);
        async move { basic.keep_fresh().await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    users(&file, &[("ann", "new", "admin")]);
    let changed = async {
        // Each wrong one counts: few are tried.
        while login(&basic, "ann", "new").await.is_err() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), changed)
        .await
        .expect("the new password");
    login(&basic, "ann", "old").await.expect_err("the old one");
    watching.abort();
}

#[tokio::test]
async fn those_who_are_known_get_in_while_an_address_is_held_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("users");
    users(&file, &[("ann", "a", "admin"), ("bob", "b", "read")]);
    let basic = Basic::open(&file).expect("opened");
    let peer = Peer {
        address: ([10, 0, 0, 1], 1).into(),
        https: false,
        certificate: None,
    };
    let ask = async |text: &str| basic.identify(&STANDARD.encode(text), Some(&peer)).await;
    ask("ann:a").await.expect("right");
    for _ in 0..30 {
        assert!(matches!(ask("ann:x").await, Err(Refusal::Wrong { .. })));
    }
    assert!(matches!(ask("bob:b").await, Err(Refusal::TooMany { .. })));
    ask("ann:a").await.expect("known");
}

/// A signing key with its public half in a set.
struct Signer {
    key: EncodingKey,
    raw_public: Vec<u8>,
    algorithm: Algorithm,
    id: &'static str,
}

impl Signer {
    fn new(algorithm: Algorithm, id: &'static str) -> Self {
        let kind = match algorithm {
            Algorithm::ES256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Algorithm::ES384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            Algorithm::EdDSA => &rcgen::PKCS_ED25519,
            _ => &rcgen::PKCS_RSA_SHA256,
        };
        let pair = KeyPair::generate_for(kind).expect("a key");
        let (pem, raw_public) = (pair.serialize_pem(), pair.public_key_raw().to_vec());
        let pem = pem.as_bytes();
        let key = match algorithm {
            Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(pem),
            Algorithm::EdDSA => EncodingKey::from_ed_pem(pem),
            _ => EncodingKey::from_rsa_pem(pem),
        };
        let key = key.expect("a key that signs");
        Self {
            key,
            raw_public,
            algorithm,
            id,
        }
    }
    fn public(&self) -> Value {
        if self.algorithm == Algorithm::EdDSA {
            let x = URL_SAFE_NO_PAD.encode(&self.raw_public);
            return json!({ "kty": "OKP", "crv": "Ed25519", "kid": self.id, "alg": "EdDSA", "x": x });
        }
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).expect("a public key");
        jwk.common.key_id = Some(self.id.to_owned());
        json!(jwk)
    }
    fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.id.to_owned());
        encode(&header, claims, &self.key).expect("signed")
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://idp.example",
        "aud": ["other", "longshore"],
        "sub": "ann",
        "exp": get_current_timestamp() + 300,
        "roles": ["x", "longshore-operate"],
    })
}

fn with(changes: Value) -> Value {
    let mut all = claims();
    for (name, value) in changes.as_object().expect("changes") {
        if value.is_null() {
            all.as_object_mut().expect("claims").shift_remove(name);
        } else {
            all[name] = value.clone();
        }
    }
    all
}

/// A server of a key set that can be changed, and how often it was asked.
struct Provider {
    url: String,
    keys: Arc<Mutex<Value>>,
    asked: Arc<AtomicUsize>,
}

impl Provider {
    async fn start(keys: Value) -> Self {
        Self::start_over(None, keys).await
    }
    async fn start_over(tls: Option<Arc<Tls>>, keys: Value) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (keys, asked) = (Arc::new(Mutex::new(keys)), Arc::new(AtomicUsize::new(0)));
        let (set, count) = (Arc::clone(&keys), Arc::clone(&asked));
        let serve = move || {
            count.fetch_add(1, Ordering::SeqCst);
            let answer = set.lock().expect("not poisoned").clone();
            async move { Json(answer) }
        };
        let (set, count) = (Arc::clone(&keys), Arc::clone(&asked));
        let serve_late = move || {
            count.fetch_add(1, Ordering::SeqCst);
            let answer = set.lock().expect("not poisoned").clone();
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Json(answer)
            }
        };
        let routes = Router::new()
            .route("/keys", get(serve))
            .route("/late", get(serve_late))
            .route("/elsewhere", get(async || Redirect::temporary("/keys")))
            .route("/large", get(async || "x".repeat(1 << 20)))
            .route("/broken", get(async || StatusCode::INTERNAL_SERVER_ERROR));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("bound");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(
            async move { crate::rest::serve(listener, tls, routes, Default::default()).await },
        );
        let url = format!("{scheme}://{address}");
        Self { url, keys, asked }
    }
    fn bearer(&self, path: &str, more: &[(&str, &str)]) -> Bearer {
        self.bearer_after(path, more, Duration::from_secs(600))
    }
    fn bearer_after(&self, path: &str, more: &[(&str, &str)], again: Duration) -> Bearer {
        let url = format!("{}{path}", self.url);
        let mut all = vec![
            ("longshore.rest.auth", "bearer"),
            ("longshore.rest.auth.jwks.url", url.as_str()),
            ("longshore.rest.auth.issuer", "https://idp.example"),
            ("longshore.rest.auth.audience", "longshore"),
            (
                "longshore.rest.auth.algorithms",
                "RS256,PS256,ES256,ES384,EdDSA",
            ),
        ];
        all.extend_from_slice(more);
        let bearer = Bearer::open(&keys(&all)).expect("opened");
        bearer.with_keys(Jwks::of_url(&url, again))
    }
}

fn why<T: std::fmt::Debug>(result: Result<T, Refusal>) -> &'static str {
    match result {
        Err(Refusal::Wrong { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn tokens_of_every_allowed_algorithm_get_in() {
    let signers = [
        Signer::new(Algorithm::RS256, "rs"),
        Signer::new(Algorithm::PS256, "ps"),
        Signer::new(Algorithm::ES256, "es"),
        Signer::new(Algorithm::ES384, "es3"),
        Signer::new(Algorithm::EdDSA, "ed"),
    ];
    let set = json!({ "keys": signers.iter().map(Signer::public).collect::<Vec<_>>() });
    let provider = Provider::start(set).await;
    let bearer = provider.bearer("/keys", &[]);
    for signer in &signers {
        let identity = bearer.identify(&signer.sign(&claims())).await;
        let identity = identity.unwrap_or_else(|error| panic!("{:?}: {error:?}", signer.algorithm));
        assert_eq!(
            (&*identity.name, identity.role),
            ("ann", Some(Role::Operate))
        );
    }
    assert_eq!(provider.asked.load(Ordering::SeqCst), 1, "the set is kept");
}

#[tokio::test]
async fn callers_who_hang_up_do_not_make_us_ask_again() {
    let signer = Signer::new(Algorithm::ES256, "es");
    let provider = Provider::start(json!({ "keys": [signer.public()] })).await;
    let bearer = provider.bearer("/late", &[]);
    let token = signer.sign(&claims());
    for _ in 0..3 {
        let hasty = tokio::time::timeout(Duration::from_millis(250), bearer.identify(&token));
        assert!(hasty.await.is_err(), "the answer is late");
    }
    bearer.identify(&token).await.expect("the set came");
    assert_eq!(provider.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn tokens_that_are_not_quite_right_do_not() {
    let signer = Signer::new(Algorithm::RS256, "rs");
    let public = signer.public();
    let provider = Provider::start(json!({ "keys": [public.clone()] })).await;
    let bearer = provider.bearer("/keys", &[]);
    let now = get_current_timestamp();
    for (claims, expected) in [
        (with(json!({ "exp": now - 60 })), "the token has expired"),
        (
            with(json!({ "exp": null })),
            "the token lacks exp, iss or aud",
        ),
        (
            with(json!({ "exp": "soon" })),
            "the token lacks exp, iss or aud",
        ),
        (
            with(json!({ "nbf": now + 300 })),
            "the token is not valid yet",
        ),
        (
            with(json!({ "aud": "other" })),
            "the token is for another audience",
        ),
        (
            with(json!({ "aud": null })),
            "the token lacks exp, iss or aud",
        ),
        (
            with(json!({ "iss": "https://evil.example" })),
            "the token is of another issuer",
        ),
        (
            with(json!({ "iss": null })),
            "the token lacks exp, iss or aud",
        ),
        (
            with(json!({ "sub": null })),
            "the token does not name its user",
        ),
    ] {
        let told = why(bearer.identify(&signer.sign(&claims)).await);
        assert!(told.contains(expected), "{claims}: {told}");
    }
    let good = signer.sign(&claims());
    let parts: Vec<&str> = good.split('.').collect();
    let header = |header: Value| URL_SAFE_NO_PAD.encode(header.to_string());
    let none = header(json!({ "alg": "none", "typ": "JWT", "kid": "rs" }));
    let symmetric = {
        // The well-known trick: the public key as the secret of HS256.
        let secret = EncodingKey::from_secret(public.to_string().as_bytes());
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("rs".to_owned());
        encode(&header, &claims(), &secret).expect("signed")
    };
    let other = Signer::new(Algorithm::RS256, "rs").sign(&claims());
    let embedded = {
        // A key that the token brings along is not asked.
        let own = Signer::new(Algorithm::ES256, "own");
        let mut header = Header::new(Algorithm::ES256);
        header.jwk = Some(serde_json::from_value(own.public()).expect("a key"));
        encode(&header, &claims(), &own.key).expect("signed")
    };
    let critical = {
        let mut header = Header::new(Algorithm::RS256);
        (header.kid, header.crit) = (Some("rs".to_owned()), Some(vec!["b64".to_owned()]));
        encode(&header, &claims(), &signer.key).expect("signed")
    };
    for (token, expected) in [
        (format!("{none}.{}.", parts[1]), "algorithm is not allowed"),
        (
            format!("{none}.{}.{}", parts[1], parts[2]),
            "algorithm is not allowed",
        ),
        (symmetric, "algorithm is not allowed"),
        (other, "signature does not fit"),
        (embedded, "no signing key fits"),
        (critical, "critical extensions"),
        (
            format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode("{}"), parts[2]),
            "signature does not fit",
        ),
        (
            format!("{}.{}.", parts[0], parts[1]),
            "signature does not fit",
        ),
        (format!("{}.{}", parts[0], parts[1]), "no JWT"),
        (String::new(), "no JWT"),
    ] {
        let told = why(bearer.identify(&token).await);
        assert!(told.contains(expected), "{token}: {told}");
    }
    bearer.identify(&good).await.expect("the good one is good");
}

#[tokio::test]
async fn roles_come_from_the_claim_that_is_named() {
    let signer = Signer::new(Algorithm::ES256, "es");
    let provider = Provider::start(json!({ "keys": [signer.public()] })).await;
    for (name, claim, expected) in [
        (
            "roles",
            json!({ "roles": ["longshore-read", "longshore-admin"] }),
            Some(Role::Admin),
        ),
        (
            "roles",
            json!({ "roles": "longshore-read other" }),
            Some(Role::Read),
        ),
        ("roles", json!({ "roles": ["admin"] }), None),
        (
            "roles",
            json!({ "roles": { "longshore-admin": true } }),
            None,
        ),
        ("roles", json!({ "roles": null }), None),
        (
            "realm_access.roles",
            json!({ "realm_access": { "roles": ["longshore-read"] } }),
            Some(Role::Read),
        ),
        (
            "https://a.b/roles",
            json!({ "https://a.b/roles": ["longshore-read"] }),
            Some(Role::Read),
        ),
    ] {
        let bearer = provider.bearer("/keys", &[("longshore.rest.auth.roles.claim", name)]);
        let identity = bearer.identify(&signer.sign(&with(claim.clone()))).await;
        assert_eq!(identity.expect("a good token").role, expected, "{claim}");
    }
    let mapped = [("longshore.rest.auth.roles.admin", "sre, owners")];
    let bearer = provider.bearer("/keys", &mapped);
    let token = signer.sign(&with(json!({ "roles": ["owners"] })));
    assert_eq!(
        bearer.identify(&token).await.expect("good").role,
        Some(Role::Admin)
    );
}

#[tokio::test]
async fn a_new_key_is_found_and_made_up_ones_are_not_asked_for_each_time() {
    let (old, new) = (
        Signer::new(Algorithm::ES256, "old"),
        Signer::new(Algorithm::ES256, "new"),
    );
    let provider = Provider::start(json!({ "keys": [old.public()] })).await;
    let patient = provider.bearer("/keys", &[]);
    patient.identify(&old.sign(&claims())).await.expect("known");
    for _ in 0..20 {
        let told = why(patient.identify(&new.sign(&claims())).await);
        assert_eq!(told, "no signing key fits the token");
    }
    assert_eq!(provider.asked.load(Ordering::SeqCst), 1);

    let eager = provider.bearer_after("/keys", &[], Duration::ZERO);
    why(eager.identify(&new.sign(&claims())).await);
    *provider.keys.lock().expect("not poisoned") = json!({ "keys": [new.public()] });
    eager
        .identify(&new.sign(&claims()))
        .await
        .expect("the set was asked for again");
    let told = why(eager.identify(&old.sign(&claims())).await);
    assert_eq!(
        told, "no signing key fits the token",
        "a key that has gone signs nothing"
    );
}

#[tokio::test]
async fn without_keys_nobody_gets_in() {
    let signer = Signer::new(Algorithm::ES256, "es");
    let mut encryption = signer.public();
    encryption["use"] = json!("enc");
    let symmetric = json!({ "kty": "oct", "kid": "es", "k": "c2VjcmV0" });
    let provider = Provider::start(json!({ "keys": [encryption, symmetric] })).await;
    let token = signer.sign(&claims());
    for path in ["/keys", "/elsewhere", "/large", "/broken", "/nowhere"] {
        let refused = provider.bearer(path, &[]).identify(&token).await;
        assert!(
            matches!(refused, Err(Refusal::Unavailable { .. })),
            "{path}: {refused:?}"
        );
    }
    // A set that breaks later does not throw out the keys that are known.
    *provider.keys.lock().expect("not poisoned") = json!({ "keys": [signer.public()] });
    let bearer = provider.bearer_after("/keys", &[], Duration::ZERO);
    bearer.identify(&token).await.expect("known");
    *provider.keys.lock().expect("not poisoned") = json!({ "no": "keys" });
    why(bearer
        .identify(&Signer::new(Algorithm::ES256, "x").sign(&claims()))
        .await);
    bearer.identify(&token).await.expect("still known");
}

#[tokio::test]
async fn keys_come_over_tls_from_whom_is_trusted() {
    let signer = Signer::new(Algorithm::ES256, "es");
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        path.to_str().expect("a path").to_owned()
    };
    let own = |name: &str| {
        let names = vec![name.to_owned()];
        rcgen::generate_simple_self_signed(names).expect("a certificate")
    };
    let (here, elsewhere) = (own("127.0.0.1"), own("idp.example"));
    for (shown, trusted, fine) in [
        (&here, &here, true),
        (&here, &elsewhere, false),
        (&elsewhere, &elsewhere, false),
    ] {
        let certificate = file("shown.pem", &shown.cert.pem());
        let key = file("shown.key", &shown.signing_key.serialize_pem());
        let https = keys(&[
            ("longshore.rest.ssl.certificate.file", certificate.as_str()),
            ("longshore.rest.ssl.key.file", key.as_str()),
        ]);
        let tls = Tls::open(&Default::default(), &https).expect("opened");
        let provider = Provider::start_over(Some(tls), json!({ "keys": [signer.public()] })).await;
        let (url, ca) = (
            format!("{}/keys", provider.url),
            file("ca.pem", &trusted.cert.pem()),
        );
        let settings = keys(&[
            ("longshore.rest.auth.jwks.url", url.as_str()),
            ("longshore.rest.auth.jwks.ca.file", ca.as_str()),
            ("longshore.rest.auth.issuer", "https://idp.example"),
            ("longshore.rest.auth.audience", "longshore"),
        ]);
        let bearer = Bearer::open(&settings).expect("opened");
        let identity = bearer.identify(&signer.sign(&claims())).await;
        assert_eq!(identity.is_ok(), fine, "{identity:?}");
    }
}
