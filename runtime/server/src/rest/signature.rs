//! The signature of calls between workers: HMAC-SHA256 with the session key, in Kafka Connect's headers.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, Tag, sign, verify};
use base64::{Engine, engine::general_purpose::STANDARD};

/// The header of a call's signature.
pub(crate) const AUTHORIZATION: &str = "X-Connect-Authorization";
/// The header that names its algorithm.
pub(crate) const ALGORITHM: &str = "X-Connect-Request-Signature-Algorithm";
/// The only algorithm.
pub(crate) const HMAC_SHA_256: &str = "HmacSHA256";
/// The header of an answer's signature: whoever took the worker's address meanwhile has no key.
pub(crate) const ANSWER: &str = "X-Longshore-Answer-Authorization";

/// How long a signature in base64 is: longer ones are not looked at.
const BASE64_BYTES: usize = 44;

/// Signs with one session key. It has no Debug (I8).
pub(crate) struct Signer(Key);

impl Signer {
    /// Signs with this key.
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(Key::new(HMAC_SHA256, key))
    }
    /// The signature of a call's body.
    pub(crate) fn call(&self, body: &[u8]) -> String {
        text(&sign(&self.0, body))
    }
    /// Whether a signature is that of a call's body; takes the same time wherever they differ.
    pub(crate) fn is_call(&self, body: &[u8], signature: &str) -> bool {
        bytes(signature).is_some_and(|tag| verify(&self.0, body, &tag).is_ok())
    }
    /// The signature of the answer to a call: it holds for that call alone.
    pub(crate) fn answer(&self, call: &str, body: &[u8]) -> String {
        text(&sign(&self.0, &joined(call, body)))
    }
    /// Whether a signature is that of the answer to a call.
    pub(crate) fn is_answer(&self, call: &str, body: &[u8], signature: &str) -> bool {
        let whole = joined(call, body);
        bytes(signature).is_some_and(|tag| verify(&self.0, &whole, &tag).is_ok())
    }
}

/// The signature of a call has one length, so that no two pairs are joined to the same. What is signed as a call is JSON: it never starts like this.
fn joined(call: &str, body: &[u8]) -> Vec<u8> {
    [b"answer ", call.as_bytes(), body].concat()
}

fn text(tag: &Tag) -> String {
    STANDARD.encode(tag.as_ref())
}

fn bytes(signature: &str) -> Option<Vec<u8>> {
    let fits = signature.len() == BASE64_BYTES;
    fits.then(|| STANDARD.decode(signature).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::Signer;

    #[test]
    fn a_signature_is_of_one_key_and_one_body() {
        let (key, other) = (Signer::new(&[7; 32]), Signer::new(&[8; 32]));
        let call = key.call(b"{}");
        assert!(key.is_call(b"{}", &call));
        assert!(!other.is_call(b"{}", &call) && !key.is_call(b"{ }", &call));
        for wrong in [
            "",
            "AAAA",
            &call[1..],
            &format!("{call}="),
            &other.call(b"{}"),
        ] {
            assert!(!key.is_call(b"{}", wrong), "{wrong}");
        }
        let answer = key.answer(&call, b"[]");
        assert!(key.is_answer(&call, b"[]", &answer));
        assert!(!key.is_answer(&key.call(b"{1}"), b"[]", &answer));
        assert!(!key.is_answer(&call, b"[1]", &answer) && !key.is_call(b"[]", &answer));
    }

    /// The value that `openssl dgst -sha256 -hmac` gives: other workers compute the same.
    #[test]
    fn the_algorithm_is_plain_hmac_sha256() {
        let key = Signer::new(b"key");
        let body = b"The quick brown fox jumps over the lazy dog";
        assert_eq!(
            key.call(body),
            "97yD9DBThCSxMpjmqm+xQ+9NWaFJRhdZl0edvC0aPNg="
        );
    }
}
