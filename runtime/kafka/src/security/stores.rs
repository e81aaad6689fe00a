//! Stores of certificates and keys. What a file is, its first bytes say: Java writes PKCS12 into files named .jks, and reads either.

mod jks;
mod pkcs12;

use super::{Special, pem};
use crate::client::Properties;
use longshore_sdk::Result;
use std::io::Read as _;

const TRUST_TYPE: &str = "ssl.truststore.type";
const TRUST_FILE: &str = "ssl.truststore.location";
const TRUST_PASSWORD: &str = "ssl.truststore.password";
const TRUST_TEXT: &str = "ssl.truststore.certificates";
const KEY_TYPE: &str = "ssl.keystore.type";
const KEY_FILE: &str = "ssl.keystore.location";
const KEY_PASSWORD: &str = "ssl.keystore.password";
const KEY_TEXT: &str = "ssl.keystore.key";
const CHAIN_TEXT: &str = "ssl.keystore.certificate.chain";

/// What a file holds.
enum Content {
    Pem(String),
    Jks(Vec<u8>),
    Pkcs12(Vec<u8>),
}

/// The certificates that a client trusts, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct CaStore(pub(crate) String);

impl CaStore {
    /// What the ssl.truststore keys name; `None` = nothing, which means the system's.
    pub(crate) fn read(special: &Special) -> Result<Option<Self>> {
        let text = special.get(TRUST_TEXT);
        let Some(location) = special.get(TRUST_FILE) else {
            let Some(text) = text else {
                return Ok(None);
            };
            let pem = pem::normalised(text, pem::is_certificate);
            let pem = pem.ok_or_else(|| {
                special.bad(TRUST_TEXT, "holds no certificate: it must be PEM text")
            })?;
            return Ok(Some(Self(pem)));
        };
        if text.is_some() {
            return Err(special.bad(
                TRUST_FILE,
                "and ssl.truststore.certificates exclude each other",
            ));
        }
        let password = || special.get(TRUST_PASSWORD).unwrap_or_default();
        let pem = match content(special, TRUST_FILE, TRUST_TYPE, location)? {
            Content::Pem(text) => pem::normalised(&text, pem::is_certificate)
                .ok_or_else(|| special.bad(TRUST_FILE, "names a file without a certificate"))?,
            Content::Jks(bytes) => {
                let found = jks::certificates(&bytes, password());
                let found = found.map_err(|problem| special.bad(TRUST_FILE, problem))?;
                pem::certificates(found.into_iter())
            }
            Content::Pkcs12(bytes) => {
                let found = pkcs12::certificates(&bytes, password());
                let found = found.map_err(|problem| special.bad(TRUST_FILE, problem))?;
                pem::certificates(found.iter().map(Vec::as_slice))
            }
        };
        Ok(Some(Self(pem)))
    }
}

pub(super) fn truststore(special: &Special, native: &mut Properties) -> Result<()> {
    if let Some(CaStore(pem)) = CaStore::read(special)? {
        native.insert("ssl.ca.pem".to_owned(), pem);
    }
    Ok(())
}

pub(super) fn keystore(special: &Special, native: &mut Properties) -> Result<()> {
    let mut set = |key: &str, value: &str| native.insert(key.to_owned(), value.to_owned());
    let texts = (special.get(KEY_TEXT), special.get(CHAIN_TEXT));
    let Some(location) = special.get(KEY_FILE) else {
        match texts {
            (None, None) => {}
            (Some(key), Some(chain)) => {
                let key = pem::normalised(key, pem::is_key);
                let key = key.ok_or_else(|| {
                    special.bad(KEY_TEXT, "holds no private key: it must be PEM text")
                })?;
                let chain = pem::normalised(chain, pem::is_certificate);
                let chain = chain.ok_or_else(|| {
                    special.bad(CHAIN_TEXT, "holds no certificate: it must be PEM text")
                })?;
                set("ssl.key.pem", &key);
                set("ssl.certificate.pem", &chain);
            }
            (None, Some(_)) => {
                return Err(special.bad(
                    KEY_TEXT,
                    "is missing: ssl.keystore.certificate.chain needs its key",
                ));
            }
            (Some(_), None) => {
                return Err(special.bad(
                    CHAIN_TEXT,
                    "is missing: ssl.keystore.key needs its certificate",
                ));
            }
        }
        return Ok(());
    };
    if texts != (None, None) {
        return Err(special.bad(KEY_FILE, "and ssl.keystore.key exclude each other"));
    }
    match content(special, KEY_FILE, KEY_TYPE, location)? {
        Content::Pem(text) => {
            let key = pem::normalised(&text, pem::is_key);
            let chain = pem::normalised(&text, pem::is_certificate);
            let (Some(key), Some(chain)) = (key, chain) else {
                return Err(special.bad(
                    KEY_FILE,
                    "must name a PEM file that holds a private key and its certificate",
                ));
            };
            set("ssl.key.pem", &key);
            set("ssl.certificate.pem", &chain);
        }
        Content::Pkcs12(_) => {
            set("ssl.keystore.location", location);
            if let Some(password) = special.get(KEY_PASSWORD) {
                set("ssl.keystore.password", password);
            }
        }
        Content::Jks(_) => {
            return Err(special.bad(
                KEY_FILE,
                "names a JKS file, whose private key cannot be read: convert it with keytool -importkeystore -srckeystore FILE -destkeystore FILE.p12 -deststoretype PKCS12",
            ));
        }
    }
    Ok(())
}

fn content(special: &Special, key: &str, type_key: &str, location: &str) -> Result<Content> {
    let declared = special.get(type_key).unwrap_or("JKS");
    if !["JKS", "PKCS12", "PEM"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(declared))
    {
        return Err(special.bad(type_key, "must be PEM, PKCS12 or JKS"));
    }
    let mut bytes = Vec::new();
    let read = std::fs::File::open(location)
        .and_then(|file| file.take(pem::SIZE_MAX + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        return Err(special.bad(key, format!("cannot be read: {location}: {error}")));
    }
    if bytes.len() as u64 > pem::SIZE_MAX {
        return Err(special.bad(key, format!("names a file larger than 1 MiB: {location}")));
    }
    if bytes.starts_with(&jks::MAGIC) {
        return Ok(Content::Jks(bytes));
    }
    match String::from_utf8(bytes) {
        Ok(text) if text.contains("-----BEGIN ") => Ok(Content::Pem(text)),
        Err(error) if error.as_bytes().first() == Some(&0x30) => {
            Ok(Content::Pkcs12(error.into_bytes()))
        }
        _ => Err(special.bad(
            key,
            format!("names a file that is no PEM, PKCS12 or JKS store: {location}"),
        )),
    }
}
