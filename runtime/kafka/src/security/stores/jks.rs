//! Java's old key store format, as far as trusted certificates go: they stand in it unencrypted, under a keyed hash.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

pub(super) const MAGIC: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];
const PRIVATE_KEY: u32 = 1;
const CERTIFICATE: u32 = 2;
const HASH_LENGTH: usize = 20;
const ENTRIES_MAX: u32 = 10_000;

/// The trusted certificates of a store, DER. Without a password the hash is not checked, as in Java.
pub(super) fn certificates<'a>(store: &'a [u8], password: &str) -> Result<Vec<&'a [u8]>, String> {
    let damaged = || "names a JKS file that is damaged".to_owned();
    let content_length = store.len().checked_sub(HASH_LENGTH).ok_or_else(damaged)?;
    let (content, hash) = store.split_at(content_length);
    if !password.is_empty() && keyed_hash(content, password).as_ref() != hash {
        return Err("names a JKS file that ssl.truststore.password does not open".to_owned());
    }
    let found = read(content).ok_or_else(damaged)?;
    if found.is_empty() {
        return Err("names a JKS file without a trusted certificate".to_owned());
    }
    Ok(found)
}

fn keyed_hash(content: &[u8], password: &str) -> aws_lc_rs::digest::Digest {
    let mut hash = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    for unit in password.encode_utf16() {
        hash.update(&unit.to_be_bytes());
    }
    // A phrase of the format.
    hash.update(b"Mighty Aphrodite");
    hash.update(content);
    hash.finish()
}

fn read(content: &[u8]) -> Option<Vec<&[u8]>> {
    let mut bytes = Bytes(content);
    bytes.take(MAGIC.len())?;
    let version = bytes.u32()?;
    let entries = bytes.u32()?;
    if !matches!(version, 1 | 2) || entries > ENTRIES_MAX {
        return None;
    }
    let mut found = Vec::new();
    for _ in 0..entries {
        let kind = bytes.u32()?;
        let alias = bytes.u16()?;
        bytes.take(usize::from(alias))?;
        // When it was made.
        bytes.take(8)?;
        match kind {
            CERTIFICATE => found.push(bytes.certificate(version)?),
            PRIVATE_KEY => {
                let key = bytes.u32()?;
                bytes.take(usize::try_from(key).ok()?)?;
                let chain = bytes.u32()?;
                for _ in 0..chain.min(ENTRIES_MAX) {
                    bytes.certificate(version)?;
                }
            }
            _ => return None,
        }
    }
    Some(found)
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }
    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }
    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }
    fn certificate(&mut self, version: u32) -> Option<&'a [u8]> {
        if version == 2 {
            // Its type: X.509.
            let name = self.u16()?;
            self.take(usize::from(name))?;
        }
        let length = self.u32()?;
        self.take(usize::try_from(length).ok()?)
    }
}
