//! Security settings: closed sets of protocols and mechanisms, credentials from JAAS text, stores of certificates.

use crate::client::Properties;
use longshore_sdk::{Error, Result};

/// Turns the security keys of `special` into the client library's.
pub(crate) fn translate(special: &Properties, native: &mut Properties) -> Result<()> {
    let get = |key: &str| special.get(key).map(String::as_str);
    let mut set = |key: &str, value: &str| native.insert(key.to_owned(), value.to_owned());
    if let Some(value) = get("security.protocol") {
        let protocol = value.to_ascii_lowercase();
        if !["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"].contains(&protocol.as_str()) {
            return Err(bad(
                "security.protocol",
                "must be PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
            ));
        }
        set("security.protocol", &protocol);
    }
    if let Some(mechanism) = get("sasl.mechanism") {
        if !["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"].contains(&mechanism) {
            return Err(bad(
                "sasl.mechanism",
                "must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 (GSSAPI and OAUTHBEARER are not supported)",
            ));
        }
        set("sasl.mechanism", mechanism);
    }
    if let Some(text) = get("sasl.jaas.config").filter(|text| !text.is_empty()) {
        let login = login(text)?;
        set("sasl.username", &login.username);
        set("sasl.password", &login.password);
    }
    if let Some(value) = get("ssl.endpoint.identification.algorithm") {
        let algorithm = if value.is_empty() { "none" } else { value };
        if !["none", "https"].contains(&algorithm) {
            return Err(bad(
                "ssl.endpoint.identification.algorithm",
                "must be https, or empty for no check",
            ));
        }
        set("ssl.endpoint.identification.algorithm", algorithm);
    }
    truststore(special, &mut set)?;
    keystore(special, &mut set)
}

fn truststore(
    special: &Properties,
    set: &mut impl FnMut(&str, &str) -> Option<String>,
) -> Result<()> {
    if let Some(pem) = special.get("ssl.truststore.certificates") {
        set("ssl.ca.pem", pem);
    }
    let Some(location) = special.get("ssl.truststore.location") else {
        return Ok(());
    };
    if store_type(special, "ssl.truststore.type", location) != "PEM" {
        return Err(bad(
            "ssl.truststore.location",
            "must be a PEM file with ssl.truststore.type=PEM: export it with keytool -exportcert -rfc",
        ));
    }
    set("ssl.ca.location", location);
    Ok(())
}

fn keystore(
    special: &Properties,
    set: &mut impl FnMut(&str, &str) -> Option<String>,
) -> Result<()> {
    if let Some(pem) = special.get("ssl.keystore.key") {
        set("ssl.key.pem", pem);
    }
    if let Some(pem) = special.get("ssl.keystore.certificate.chain") {
        set("ssl.certificate.pem", pem);
    }
    let Some(location) = special.get("ssl.keystore.location") else {
        return Ok(());
    };
    match store_type(special, "ssl.keystore.type", location) {
        "PEM" => {
            set("ssl.key.location", location);
            set("ssl.certificate.location", location);
        }
        "PKCS12" => {
            set("ssl.keystore.location", location);
            if let Some(password) = special.get("ssl.keystore.password") {
                set("ssl.keystore.password", password);
            }
        }
        _ => {
            return Err(bad(
                "ssl.keystore.location",
                "must be a PEM or PKCS12 file, with ssl.keystore.type saying which: convert it with keytool -importkeystore -deststoretype PKCS12",
            ));
        }
    }
    Ok(())
}

/// The declared type, else what the file's name says; Java's default is JKS.
fn store_type<'a>(special: &'a Properties, key: &str, location: &str) -> &'a str {
    match special.get(key) {
        Some(declared) => declared.as_str(),
        None if location.ends_with(".pem") || location.ends_with(".crt") => "PEM",
        None if location.ends_with(".p12") || location.ends_with(".pfx") => "PKCS12",
        None => "JKS",
    }
}

struct Login {
    username: String,
    password: String,
}

const MODULES: [&str; 2] = [
    "org.apache.kafka.common.security.plain.PlainLoginModule",
    "org.apache.kafka.common.security.scram.ScramLoginModule",
];

/// Reads `<module> required username="u" password="p";`. No class is ever loaded: other modules are refused.
fn login(text: &str) -> Result<Login> {
    const KEY: &str = "sasl.jaas.config";
    let text = text.trim().trim_end_matches(';');
    let (module, mut rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    if !MODULES.contains(&module) {
        return Err(bad(KEY, "must name PlainLoginModule or ScramLoginModule"));
    }
    let (mut username, mut password) = (None, None);
    while let Some((before, after)) = rest.split_once('=') {
        let name = before.split_whitespace().next_back().unwrap_or("");
        let (value, remaining) = jaas_value(after.trim_start())
            .ok_or_else(|| bad(KEY, "has a value whose quote is not closed"))?;
        match name {
            "username" => username = Some(value),
            "password" => password = Some(value),
            _ => {}
        }
        rest = remaining;
    }
    match (username, password) {
        (Some(username), Some(password)) => Ok(Login { username, password }),
        _ => Err(bad(KEY, "must hold username=\"..\" and password=\"..\"")),
    }
}

fn jaas_value(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''));
    let Some(quote) = quote else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((index, c)) = chars.next() {
        if c == quote {
            return Some((value, &text[index + 1..]));
        }
        if c == '\\' {
            value.push(chars.next()?.1);
        } else {
            value.push(c);
        }
    }
    None
}

/// Names the key and the rule, never the value (I8).
fn bad(key: &'static str, rule: &str) -> Error {
    Error::config("config", format!("{key} {rule}")).with("key", key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jaas_login_is_read_and_never_shown() {
        let text = r#"org.apache.kafka.common.security.scram.ScramLoginModule required
            username="al ice" password='p="w\'' tokenauth=true;"#;
        let login = login(text).expect("valid");
        assert_eq!(login.username, "al ice");
        assert_eq!(login.password, "p=\"w'");
        let error =
            super::login("com.sun.security.auth.module.JndiLoginModule required a=\"s3cret\";")
                .err()
                .expect("another module");
        assert!(!format!("{error:?}").contains("s3cret"));
    }

    #[test]
    fn stores_keep_their_meaning() {
        let map = |pairs: &[(&str, &str)]| -> Properties {
            pairs
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect()
        };
        let run = |pairs: &[(&str, &str)]| {
            let mut native = Properties::new();
            translate(&map(pairs), &mut native).map(|()| native)
        };
        let native = run(&[
            ("ssl.truststore.location", "/c/ca.crt"),
            ("ssl.keystore.location", "/c/user.p12"),
            ("ssl.keystore.password", "x"),
            ("ssl.endpoint.identification.algorithm", ""),
        ])
        .expect("valid");
        assert_eq!(native["ssl.ca.location"], "/c/ca.crt");
        assert_eq!(native["ssl.keystore.location"], "/c/user.p12");
        assert_eq!(native["ssl.endpoint.identification.algorithm"], "none");
        assert!(run(&[("ssl.truststore.location", "/c/trust.jks")]).is_err());
        assert!(run(&[("sasl.mechanism", "OAUTHBEARER")]).is_err());
    }
}
