//! PKCS12, as far as trusted certificates go: the format of Java's key stores since Java 9. Encrypted with PBES2 (PBKDF2 and AES), as Java 16
//! and OpenSSL 3 write it, or not at all; the older RC2 and triple DES are not read.

use aws_lc_rs::{
    cipher::{AES_128, AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey},
    pbkdf2,
};
use std::num::NonZeroU32;

/// DER tags.
const SEQUENCE: u8 = 0x30;
const OID: u8 = 0x06;
const OCTETS: u8 = 0x04;
const INTEGER: u8 = 0x02;
const CONTEXT_0: u8 = 0xa0;
const CONTEXT_0_PRIMITIVE: u8 = 0x80;

/// Object identifiers, DER.
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
const ENCRYPTED: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x06];
const CERT_BAG: &[u8] = &[
    0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x03,
];
const X509: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x16, 0x01];
const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d];
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c];
const HMAC_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x07];
const HMAC_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x09];
const HMAC_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x0b];
const AES_128_CBC: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x02];
const AES_256_CBC: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a];
const ITERATIONS_MAX: u32 = 5_000_000;

const CONVERT: &str = "convert it to PEM: keytool -list -rfc -keystore FILE > ca.pem, and set ssl.truststore.type=PEM";

/// What cannot be read, and why.
enum Problem {
    Damaged,
    Cipher,
    Password,
}

type Read<T> = Result<T, Problem>;

/// All certificates of a store, DER. Its checksum is left to the decryption, which fails on another password.
pub(super) fn certificates(store: &[u8], password: &str) -> Result<Vec<Vec<u8>>, String> {
    let found = contents(store, password).map_err(|problem| match problem {
        Problem::Damaged => format!("names a PKCS12 file that is damaged or of an unknown form: {CONVERT}"),
        Problem::Cipher => format!("names a PKCS12 file with an encryption that is not supported (PBES2 with AES is): {CONVERT}"),
        Problem::Password => {
            "names a PKCS12 file that ssl.truststore.password does not open".to_owned()
        }
    })?;
    if found.is_empty() {
        return Err("names a PKCS12 file without a certificate".to_owned());
    }
    Ok(found)
}

fn contents(store: &[u8], password: &str) -> Read<Vec<Vec<u8>>> {
    let mut pfx = Der(store).enter(SEQUENCE)?;
    pfx.value(INTEGER)?;
    let safes = data(&mut pfx)?;
    let mut safes = Der(safes).enter(SEQUENCE)?;
    let mut found = Vec::new();
    while !safes.is_empty() {
        let mut safe = safes.enter(SEQUENCE)?;
        match safe.value(OID)? {
            DATA => {
                let bags = safe.enter(CONTEXT_0)?.value(OCTETS)?;
                collect(bags, &mut found)?;
            }
            ENCRYPTED => {
                let bags = decrypted(safe.enter(CONTEXT_0)?, password)?;
                // Another password may still end in good padding.
                collect(&bags, &mut found).map_err(|_| Problem::Password)?;
            }
            _ => return Err(Problem::Damaged),
        }
    }
    Ok(found)
}

/// ContentInfo of plain data.
fn data<'a>(from: &mut Der<'a>) -> Read<&'a [u8]> {
    let mut info = from.enter(SEQUENCE)?;
    match info.value(OID)? {
        DATA => info.enter(CONTEXT_0)?.value(OCTETS),
        _ => Err(Problem::Damaged),
    }
}

fn collect(bags: &[u8], found: &mut Vec<Vec<u8>>) -> Read<()> {
    let mut bags = Der(bags).enter(SEQUENCE)?;
    while !bags.is_empty() {
        let mut bag = bags.enter(SEQUENCE)?;
        if bag.value(OID)? != CERT_BAG {
            continue;
        }
        let mut certificate = bag.enter(CONTEXT_0)?.enter(SEQUENCE)?;
        if certificate.value(OID)? == X509 {
            let der = certificate.enter(CONTEXT_0)?.value(OCTETS)?;
            found.push(der.to_vec());
        }
    }
    Ok(())
}

fn decrypted(mut from: Der<'_>, password: &str) -> Read<Vec<u8>> {
    let mut encrypted = from.enter(SEQUENCE)?;
    encrypted.value(INTEGER)?;
    let mut content = encrypted.enter(SEQUENCE)?;
    content.value(OID)?;
    let mut algorithm = content.enter(SEQUENCE)?;
    if algorithm.value(OID)? != PBES2 {
        return Err(Problem::Cipher);
    }
    let mut parameters = algorithm.enter(SEQUENCE)?;
    let mut derivation = parameters.enter(SEQUENCE)?;
    let mut scheme = parameters.enter(SEQUENCE)?;
    let cipher = match scheme.value(OID)? {
        AES_128_CBC => &AES_128,
        AES_256_CBC => &AES_256,
        _ => return Err(Problem::Cipher),
    };
    let vector: [u8; 16] = scheme
        .value(OCTETS)?
        .try_into()
        .map_err(|_| Problem::Damaged)?;
    let mut key = [0; 32];
    let key = &mut key[..if std::ptr::eq(cipher, &AES_128) {
        16
    } else {
        32
    }];
    derive(&mut derivation, password, key)?;
    let mut text = content.value(CONTEXT_0_PRIMITIVE)?.to_vec();
    let key = UnboundCipherKey::new(cipher, key).map_err(|_| Problem::Cipher)?;
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).map_err(|_| Problem::Cipher)?;
    let context = DecryptionContext::Iv128((&vector).into());
    let clear = key
        .decrypt(&mut text, context)
        .map_err(|_| Problem::Password)?;
    Ok(clear.to_vec())
}

fn derive(from: &mut Der<'_>, password: &str, key: &mut [u8]) -> Read<()> {
    if from.value(OID)? != PBKDF2 {
        return Err(Problem::Cipher);
    }
    let mut parameters = from.enter(SEQUENCE)?;
    let salt = parameters.value(OCTETS)?;
    let iterations = parameters.value(INTEGER)?;
    let iterations = iterations.iter().try_fold(0_u32, |sum, byte| {
        sum.checked_mul(256).map(|sum| sum + u32::from(*byte))
    });
    let iterations = iterations
        .filter(|count| *count <= ITERATIONS_MAX)
        .and_then(NonZeroU32::new)
        .ok_or(Problem::Damaged)?;
    if parameters.0.first() == Some(&INTEGER) {
        // The key's length, which the cipher says too.
        parameters.value(INTEGER)?;
    }
    let hash = match parameters.is_empty() {
        true => HMAC_SHA1,
        false => parameters.enter(SEQUENCE)?.value(OID)?,
    };
    let hash = match hash {
        HMAC_SHA1 => pbkdf2::PBKDF2_HMAC_SHA1,
        HMAC_SHA256 => pbkdf2::PBKDF2_HMAC_SHA256,
        HMAC_SHA512 => pbkdf2::PBKDF2_HMAC_SHA512,
        _ => return Err(Problem::Cipher),
    };
    pbkdf2::derive(hash, iterations, salt, password.as_bytes(), key);
    Ok(())
}

/// Reads DER, and the few BER forms that are not DER's are damage.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// The value of the next element, which must have this tag.
    fn value(&mut self, tag: u8) -> Read<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(2).ok_or(Problem::Damaged)?;
        if head[0] != tag {
            return Err(Problem::Damaged);
        }
        let (length, rest) = match head[1] {
            short @ 0..=0x7f => (usize::from(short), rest),
            long @ 0x81..=0x84 => {
                let (bytes, rest) = rest
                    .split_at_checked(usize::from(long & 0x7f))
                    .ok_or(Problem::Damaged)?;
                let length = bytes
                    .iter()
                    .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                (length, rest)
            }
            _ => return Err(Problem::Damaged),
        };
        let (value, rest) = rest.split_at_checked(length).ok_or(Problem::Damaged)?;
        self.0 = rest;
        Ok(value)
    }
    /// The inside of the next element.
    fn enter(&mut self, tag: u8) -> Read<Self> {
        self.value(tag).map(Self)
    }
}
