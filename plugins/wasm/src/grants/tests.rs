//! Grants as settings have them.

use super::{Ceilings, Grants, Target};
use longshore_sdk::config::{Finding, Flat};
use reqwest::Url;
use std::time::Duration;

fn settings(entries: &[(&str, &str)]) -> Flat {
    let entries = entries.iter();
    entries
        .map(|(key, value)| (format!("longshore.wasm.grants.{key}"), (*value).to_owned()))
        .collect()
}

fn read(entries: &[(&str, &str)]) -> Ceilings {
    let (ceilings, findings) = Ceilings::read(&settings(entries));
    assert_eq!(findings, []);
    ceilings
}

fn findings(key: &str, value: &str) -> Vec<Finding> {
    let (ceilings, findings) = Ceilings::read(&settings(&[(key, value)]));
    assert_eq!(
        ceilings,
        Ceilings::default(),
        "what cannot be read grants nothing"
    );
    findings
}

fn allows(grants: &Grants, url: &str) -> bool {
    let url = Url::parse(url).expect("a URL");
    grants.check(&Target::of(&url).expect("http")).is_ok()
}

fn net(list: &str) -> Grants {
    read(&[("p.net", list)]).of("p")
}

#[test]
fn entries_cover_what_they_say() {
    for (entry, yes, no) in [
        (
            "api.example.com",
            "https://API.example.com:8443/x",
            "https://example.com/",
        ),
        (
            "api.example.com.",
            "https://api.example.com./",
            "https://xapi.example.com/",
        ),
        (
            "api.example.com:8443",
            "http://api.example.com:8443/",
            "https://api.example.com/",
        ),
        (
            "https://api.example.com",
            "https://api.example.com/",
            "http://api.example.com:443/",
        ),
        (
            "https://api.example.com",
            "https://api.example.com/",
            "https://api.example.com:8443/",
        ),
        (
            "https://api.example.com:*",
            "https://api.example.com:8443/",
            "http://api.example.com/",
        ),
        (
            "*.example.com",
            "https://a.b.example.com/",
            "https://example.com/",
        ),
        (
            "*.example.com",
            "https://a.example.com/",
            "https://badexample.com/",
        ),
        ("*", "https://anything.example/", "http://127.0.0.1/"),
        ("*", "https://1.1.1.1/", "http://[::1]/"),
        ("1.1.1.1", "https://1.1.1.1/", "https://one.one.one.one/"),
        ("1.1.0.0/16:443", "https://1.1.9.9/", "http://1.1.9.9/"),
        ("10.1.0.0/16", "http://10.1.2.3:9/", "http://10.2.0.1/"),
        ("0.0.0.0/0", "http://8.8.8.8/", "http://10.1.2.3/"),
        ("10.0.0.0/7", "http://11.0.0.1/", "http://10.0.0.1/"),
        (
            "127.0.0.1:8080",
            "http://127.0.0.1:8080/",
            "http://127.0.0.1/",
        ),
        ("[::1]:8080", "http://[::1]:8080/", "http://[::1]/"),
        ("::1", "http://[::1]:99/", "http://127.0.0.1:99/"),
        (
            "[fd00:1::/32]:80",
            "http://[fd00:1::5]/",
            "http://[fd00:2::5]/",
        ),
        ("::ffff:127.0.0.1", "http://127.0.0.1/", "http://127.0.0.2/"),
        (
            "169.254.0.0/16",
            "http://nowhere.invalid/",
            "http://169.254.1.1/",
        ),
        (
            "b\u{fc}cher.example",
            "http://xn--bcher-kva.example/",
            "http://bucher.example/",
        ),
    ] {
        let grants = net(entry);
        assert_eq!(
            allows(&grants, yes),
            entry != "169.254.0.0/16",
            "{entry} and {yes}"
        );
        assert!(!allows(&grants, no), "{entry} and {no}");
    }
}

#[test]
fn nothing_is_granted_without_settings() {
    let grants = read(&[]).of("p");
    assert_eq!(grants, Grants::none("p"));
    assert!(!allows(&grants, "https://example.com/"));
    assert!(!grants.reveals_secrets());
    let other = read(&[("p.net", "*"), ("p.secrets", "reveal")]).of("q");
    assert_eq!(other, Grants::none("q"));
}

#[test]
fn a_plugins_own_key_takes_the_place_of_that_for_all() {
    let ceilings = read(&[
        ("*.net", "all.example"),
        ("*.memory.max.bytes", "2097152"),
        ("*.secrets", "reveal"),
        ("own.net", "own.example"),
        ("own.secrets", "use"),
        ("none.net", ""),
    ]);
    let own = ceilings.of("own");
    assert!(allows(&own, "http://own.example/") && !allows(&own, "http://all.example/"));
    assert!(!own.reveals_secrets());
    assert_eq!(own.memory(), Some(2_097_152));
    assert!(!allows(&ceilings.of("none"), "http://all.example/"));
    assert!(ceilings.of("else").reveals_secrets());
    assert_eq!(ceilings.plugins().collect::<Vec<_>>(), ["none", "own"]);
}

#[test]
fn numbers_and_shares_are_read() {
    let grants = read(&[
        ("p.call.timeout.ms", "1500"),
        ("p.cpu", "25%"),
        ("p.http.concurrency", " 4 "),
    ])
    .of("p");
    assert_eq!(grants.call_timeout(), Some(Duration::from_millis(1500)));
    assert_eq!(grants.concurrency(), Some(4));
    let share = grants.cpu().expect("a share");
    let rest = share.rest_after(Duration::from_millis(10));
    assert_eq!(rest, Duration::from_millis(30), "a quarter of the time");
    let whole = read(&[("p.cpu", "1")]).of("p").cpu().expect("a share");
    assert_eq!(whole.rest_after(Duration::from_secs(1)), Duration::ZERO);
}

#[test]
fn settings_that_cannot_be_read_are_named() {
    for (key, value, says) in [
        ("p.nett", "x", "did you mean longshore.wasm.grants.p.net?"),
        ("p", "x", "names no plugin and grant"),
        ("P.net", "x", "names no plugin"),
        (".net", "x", "names no plugin"),
        ("p.secrets", "show", "neither use nor reveal"),
        ("p.memory.max.bytes", "lots", "no whole number"),
        ("p.memory.max.bytes", "10", "no whole number"),
        ("p.cpu", "2", "no share of a core"),
        ("p.cpu", "NaN", "no share of a core"),
        ("p.cpu", "0", "no share of a core"),
        ("p.http.concurrency", "0", "no whole number"),
        ("p.call.timeout.ms", "-1", "no whole number"),
        ("p.net", "ok.example, ftp://x", "scheme"),
        ("p.net", "a.example:0", "port"),
        ("p.net", "a.example:99999", "port"),
        ("p.net", "a.example:+1", "port"),
        ("p.net", "a.example/path", "a path is not granted"),
        ("p.net", "10.0.0.0/33", "block"),
        ("p.net", "a.*.example", "no host name"),
        ("p.net", "**", "no host name"),
        ("p.net", "user@a.example", "no host name"),
        ("p.net", "127.1", "odd spelling"),
        ("p.net", "0x7f000001", "odd spelling"),
        ("p.net", "[::1", "not closed"),
        ("p.net", "169.254.169.254", "no plugin ever reaches it"),
        ("p.net", "fe80::1", "no plugin ever reaches it"),
    ] {
        let findings = findings(key, value);
        let text: String = findings.iter().map(ToString::to_string).collect();
        assert_eq!(findings.len(), 1, "{key}={value}: {text}");
        assert!(text.contains(says), "{key}={value}: {text}");
        assert!(
            findings[0].key.starts_with("longshore.wasm.grants."),
            "{text}"
        );
    }
    let (ceilings, findings) = Ceilings::read(&settings(&[("p.net", "a.example"), ("p.cpu", "x")]));
    assert_eq!(findings.len(), 1);
    assert!(
        allows(&ceilings.of("p"), "http://a.example/"),
        "the rest stands"
    );
}

#[test]
fn what_a_connector_asks_for_in_vain_is_named() {
    let grants = net("api.example.com:443, *.other.example, 10.0.0.0/8, https://tls.example:*");
    let asked = "api.example.com:443, a.other.example, 10.1.0.0/16:80, https://tls.example";
    let narrowed = grants.narrowed(asked).expect("entries");
    assert_eq!(narrowed.ungranted(), []);
    assert!(allows(&narrowed, "http://10.1.2.3/") && !allows(&narrowed, "http://10.2.2.3/"));
    for vain in [
        "api.example.com",
        "other.example",
        "*",
        "10.0.0.0/7",
        "tls.example",
        "*.example",
        "127.0.0.1",
    ] {
        let narrowed = grants.narrowed(vain).expect("entries");
        let findings = narrowed.ungranted();
        assert_eq!(findings.len(), 1, "{vain}");
        assert_eq!(findings[0].key, "longshore.wasm.net");
    }
    let wrong = grants.narrowed("a b, ok.example").expect_err("no entry");
    assert_eq!(wrong.len(), 1);
    let nothing = grants.narrowed("").expect("no entries");
    assert!(
        !allows(&nothing, "https://api.example.com/"),
        "an empty list asks for nothing"
    );
}

#[test]
fn grants_are_shown() {
    let shown = read(&[
        ("p.net", "a.example , 10.0.0.0/8:80"),
        ("p.cpu", "50%"),
        ("p.call.timeout.ms", "100"),
    ]);
    let shown = shown
        .of("p")
        .narrowed("a.example")
        .expect("entries")
        .describe();
    let expected = serde_json::json!({
        "net": "a.example,10.0.0.0/8:80",
        "secrets": "use",
        "call.timeout.ms": 100,
        "cpu": 0.5,
        "longshore.wasm.net": "a.example",
    });
    assert_eq!(shown, expected);
}

#[test]
fn what_a_name_stands_for_is_for_the_log_alone() {
    let grants = net("*");
    let url = Url::parse("http://api.example/").expect("a URL");
    let target = Target::of(&url).expect("http");
    for address in ["10.1.2.3", "169.254.169.254", "fd00::1"] {
        let denial = grants.check_resolved(&target, address.parse().expect("an address"));
        let denial = denial.expect_err("it is not granted");
        assert!(denial.to_string().contains(address), "{denial}");
        assert!(!denial.told().contains(address), "{}", denial.told());
        assert_eq!(denial.told_grant(), None);
    }
    let denial = Grants::none("p").check(&target).expect_err("nothing is");
    assert_eq!(denial.told(), denial.to_string());
    assert_eq!(denial.told_grant(), denial.grant());
}

#[test]
fn a_denial_has_a_limit() {
    let long = format!("{}.example", "a.".repeat(5_000));
    let list = [long.as_str(); 9].join(",");
    let url = Url::parse("http://elsewhere.test/").expect("a URL");
    let target = Target::of(&url).expect("http");
    let denial = net(&list).check(&target).expect_err("it is not granted");
    assert!(denial.to_string().len() < 4_000, "{denial}");
}
