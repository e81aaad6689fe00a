//! The one thing the broker reads in a consumer's metadata: which topics it names.

use bytes::Buf;

/// Whether a consumer's subscription (version, count, names, more) names `topic`.
pub(super) fn names_topic(subscription: &[u8], topic: &str) -> bool {
    let mut rest = subscription;
    let (Ok(_), Ok(count)) = (rest.try_get_i16(), rest.try_get_i32()) else {
        return false;
    };
    for _ in 0..count {
        let Ok(length) = rest.try_get_i16() else {
            return false;
        };
        let Some(name) = rest.get(..usize::from(length as u16)) else {
            return false;
        };
        if name == topic.as_bytes() {
            return true;
        }
        rest = &rest[name.len()..];
    }
    false
}
