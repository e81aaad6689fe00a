//! Keeping secrets out of texts (I8). Plugins promise not to quote them; this is for the other side's words, which promise nothing.

use crate::mutant::mutant;
use longshore_sdk::{
    Error,
    config::{Flat, info::HIDDEN, looks_secret},
};
use percent_encoding::percent_decode_str;
use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::BTreeSet,
    sync::{LazyLock, PoisonError, RwLock},
};

/// Shorter values are not looked for: they stand in any text.
const HIDDEN_MIN: usize = 4;
/// Shorter values are not looked for in texts that are about something else.
const EVERYWHERE_MIN: usize = 8;
/// So many are looked for everywhere; beyond them the oldest is forgotten (I6).
const KNOWN_MAX: usize = 10_000;
/// So many lines, or items of a comma list, of one value are looked for alone (I6).
const PARTS_MAX: usize = 200;
/// Findings quote that many characters of a long value.
const QUOTED: usize = 60;

/// Values that no text may show. Never printed.
#[derive(Clone, Default)]
pub struct Secrets {
    /// In every form in which a text may quote them; the longest first, so that none is left in half.
    values: BTreeSet<(Reverse<usize>, String)>,
}

impl Secrets {
    /// Adds a value.
    pub fn add(&mut self, value: &str) {
        let debug = value.escape_debug().to_string();
        let json = serde_json::Value::from(value).to_string();
        let start: String = value.trim().chars().take(QUOTED).collect();
        let whole = [value, value.trim(), &debug, json.trim_matches('"'), &start];
        let parts = value.split([',', '\n']).map(str::trim).take(PARTS_MAX);
        for form in whole.into_iter().chain(parts) {
            if form.len() >= HIDDEN_MIN {
                self.values.insert((Reverse(form.len()), form.to_owned()));
            }
        }
    }
    /// Adds what a config holds: values of keys that `is_secret` names, and passwords inside of others, such as of a URL.
    pub fn add_config(&mut self, config: &Flat, is_secret: impl Fn(&str) -> bool) {
        for (key, value) in config {
            if is_secret(key) {
                self.add(value);
            }
            for part in inside(value) {
                self.add(&part);
            }
        }
    }
    /// Makes [`scrub`] look for them, too.
    pub fn remember(&self) {
        let long = self.values.iter().map(|(_, value)| value.as_str());
        let long: Vec<&str> = long.filter(|value| value.len() >= EVERYWHERE_MIN).collect();
        if long.is_empty() {
            return;
        }
        let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
        long.into_iter().for_each(|value| known.add(value));
    }
    /// A text without them.
    pub fn hide_text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        if mutant!("secrets-are-shown") {
            return text;
        }
        for (_, value) in &self.values {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), HIDDEN);
            }
        }
        text
    }
    /// The same error without them, for statuses, logs and answers: it may quote a value that cannot be read.
    pub fn hide(&self, error: Error) -> Error {
        if self.values.is_empty() {
            return error;
        }
        let message = self.hide_text(error.message());
        let clean = Error::new(error.kind(), error.op(), message).after(error.taken());
        let context = error.context().iter();
        let clean = context.fold(clean, |clean, (name, value)| {
            clean.with(name, self.hide_text(value))
        });
        if std::error::Error::source(&error).is_none() {
            return clean;
        }
        let trace = error.trace();
        let causes = trace.split_once("\ncaused by: ");
        clean.because(self.hide_text(causes.map_or("", |(_, causes)| causes)))
    }
}

/// Every secret of this process: a panic, a client library's own thread or another connector's log line may quote one far from whoever knows it.
/// Therefore there is one such list in a process and not one in each worker.
#[derive(Default)]
struct Known {
    /// The longest first, each with when it was added last.
    values: Vec<(u64, String)>,
    added: u64,
}

static KNOWN: LazyLock<RwLock<Known>> = LazyLock::new(RwLock::default);

impl Known {
    fn add(&mut self, value: &str) {
        self.added += 1;
        let known = self.values.iter_mut().find(|(_, known)| known == value);
        if let Some((added, _)) = known {
            // It is in use: what nobody has named for longest is forgotten, and not this.
            *added = self.added;
            return;
        }
        if self.values.len() >= KNOWN_MAX {
            let oldest = self
                .values
                .iter()
                .enumerate()
                .min_by_key(|(_, (added, _))| *added);
            if let Some((oldest, _)) = oldest {
                self.values.remove(oldest);
            }
        }
        let at = self
            .values
            .partition_point(|(_, known)| known.len() >= value.len());
        self.values.insert(at, (self.added, value.to_owned()));
    }
}

/// A text without any secret of this process that is long enough to be one: the last line of defence, for logs and statuses.
pub fn scrub(text: &str) -> Cow<'_, str> {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    let mut text = Cow::Borrowed(text);
    if mutant!("secrets-are-shown") {
        return text;
    }
    for (_, value) in &known.values {
        if text.contains(value.as_str()) {
            text = Cow::Owned(text.replace(value.as_str(), HIDDEN));
        }
    }
    text
}

/// A config's value without the passwords that stand in it, as in a URL.
pub fn hide_inside(value: &str) -> String {
    let mut secrets = Secrets::default();
    inside(value).iter().for_each(|part| secrets.add(part));
    secrets.hide_text(value)
}

/// A config's entry for people: nothing of a value whose key looks secret, the others without the passwords inside.
pub fn shown(key: &str, value: &str) -> String {
    if looks_secret(key) {
        HIDDEN.to_owned()
    } else {
        hide_inside(value)
    }
}

/// `scheme://user:THIS@host` and `password=THIS`, as URLs, DSNs and JAAS configs hold them.
static INSIDE: LazyLock<Option<fancy_regex::Regex>> = LazyLock::new(|| {
    let url = r"://[^:/?#@\s]*:([^@/?#\s]+)@";
    let name = r"(?i:password|passwd|passphrase|secret|token)";
    let pair = format!(r#"{name}["']?\s*[=:]\s*(?:"([^"]+)"|'([^']+)'|([^\s"'&;,]+))"#);
    fancy_regex::Regex::new(&format!("{url}|{pair}")).ok()
});

fn inside(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    // Only such values hold something; most do not, and need no look by pattern.
    if !value.contains(['=', ':']) {
        return found;
    }
    let Some(pattern) = INSIDE.as_ref() else {
        return found;
    };
    for captures in pattern.captures_iter(value).flatten() {
        for part in captures.iter().skip(1).flatten() {
            let part = part.as_str();
            found.push(percent_decode_str(part).decode_utf8_lossy().into_owned());
            found.push(part.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{KNOWN_MAX, Known};

    #[test]
    fn i6_i8_a_secret_in_use_outlives_those_that_were_used_once() {
        let mut known = Known::default();
        known.add("secret in use");
        for number in 0..KNOWN_MAX {
            if number == KNOWN_MAX / 2 {
                known.add("secret in use");
            }
            known.add(&format!("tried once {number}"));
        }
        assert_eq!(known.values.len(), KNOWN_MAX);
        assert!(
            known
                .values
                .iter()
                .any(|(_, value)| value == "secret in use")
        );
    }
}
