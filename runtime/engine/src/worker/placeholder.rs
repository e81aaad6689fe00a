//! `${provider:path:key}` and `${provider:key}`: values that stand elsewhere. They are resolved when a task starts and go nowhere else (I8).

use longshore_sdk::{Error, Result, config::Flat};
use std::{collections::BTreeMap, fmt, fs, path::Path, sync::Arc};

/// A config provider: path (empty if none was given) and key to a value.
pub type Provider = Arc<dyn Fn(&str, &str) -> Result<String> + Send + Sync>;

/// The config providers by name.
#[derive(Clone, Default)]
pub struct Placeholders {
    providers: BTreeMap<String, Provider>,
}

impl fmt::Debug for Placeholders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.providers.keys()).finish()
    }
}

/// The largest file that is read for a value (I6).
const FILE_MAX: u64 = 1 << 20;

impl Placeholders {
    /// None: every text stays as it is.
    pub fn none() -> Self {
        Self::default()
    }
    /// `env`, `file` (a properties file) and `directory` (one file per key).
    pub fn builtin() -> Self {
        let mut all = Self::none();
        all.add("env", Arc::new(|_, key| environment(key)));
        all.add("file", Arc::new(property));
        all.add("directory", Arc::new(whole_file));
        all
    }
    /// Adds a provider.
    pub fn add(&mut self, name: &str, provider: Provider) {
        self.providers.insert(name.to_owned(), provider);
    }
    /// The provider of a name.
    pub fn provider(&self, name: &str) -> Option<Provider> {
        self.providers.get(name).cloned()
    }
    /// Resolves all values. A placeholder of an unknown provider stays as it is, as in Kafka: it may be meant for the connector.
    pub fn resolve(&self, config: &Flat) -> Result<Flat> {
        let entries = config.iter();
        entries
            .map(|(key, value)| {
                let resolved = self.text(value).map_err(|error| error.with("key", key))?;
                Ok((key.clone(), resolved))
            })
            .collect()
    }

    fn text(&self, text: &str) -> Result<String> {
        self.text_with(text, &mut |_| {})
    }

    /// The same error without what the placeholders of `config` stand for, for statuses, logs and answers (I8): it may quote a value that cannot be read.
    pub(crate) fn hide(&self, config: &Flat, error: Error) -> Error {
        let stands_for = self.values(config);
        if stands_for.is_empty() {
            return error;
        }
        let hidden = |text: &str| hidden(text, &stands_for);
        let clean = Error::new(error.kind(), error.op(), hidden(error.message()));
        let context = error.context().iter();
        let clean = context.fold(clean, |clean, (name, value)| {
            clean.with(name, hidden(value))
        });
        match std::error::Error::source(&error) {
            Some(_) => {
                let trace = error.trace();
                let causes = trace
                    .split_once("\ncaused by: ")
                    .map_or("", |(_, causes)| causes);
                clean.because(hidden(causes))
            }
            None => clean,
        }
    }

    /// A text without what the placeholders of `config` stand for (I8).
    pub(crate) fn hide_text(&self, config: &Flat, text: &str) -> String {
        hidden(text, &self.values(config))
    }

    /// What the placeholders of a config stand for, in every form in which a text may quote it; the longest first.
    fn values(&self, config: &Flat) -> Vec<String> {
        let mut all = Vec::new();
        for text in config.values() {
            let mut note = |value: &str| forms(value, &mut all);
            // One that cannot be resolved has no value to show.
            let _ = self.text_with(text, &mut note);
        }
        all.sort_unstable_by_key(|value: &String| std::cmp::Reverse(value.len()));
        all.dedup();
        all
    }

    fn text_with(&self, text: &str, each: &mut dyn FnMut(&str)) -> Result<String> {
        let (mut out, mut rest) = (String::new(), text);
        while let Some(start) = rest.find("${") {
            let Some(length) = rest[start..].find('}') else {
                break;
            };
            out.push_str(&rest[..start]);
            let whole = &rest[start..=start + length];
            let inside = &whole[2..whole.len() - 1];
            let found = inside
                .split_once(':')
                .and_then(|(name, rest)| Some((self.providers.get(name)?, rest)));
            match found {
                Some((provider, rest)) => {
                    let (path, key) = rest.rsplit_once(':').unwrap_or(("", rest));
                    let value = provider(path, key)?;
                    each(&value);
                    out.push_str(&value);
                }
                None => out.push_str(whole),
            }
            rest = &rest[start + length + 1..];
        }
        out.push_str(rest);
        Ok(out)
    }
}

/// Shorter values are not looked for: they stand in any text.
const HIDDEN_MIN: usize = 4;
/// Findings quote that many characters of a long value.
const QUOTED: usize = 60;

fn forms(value: &str, into: &mut Vec<String>) {
    let escaped = value.escape_debug().to_string();
    let start: String = value.trim().chars().take(QUOTED).collect();
    let items = value.split(',').map(str::trim);
    let whole = [value, value.trim(), &escaped, &start];
    let long = whole
        .into_iter()
        .chain(items)
        .filter(|text| text.len() >= HIDDEN_MIN);
    into.extend(long.map(str::to_owned));
}

fn hidden(text: &str, values: &[String]) -> String {
    let shown = text.to_owned();
    values
        .iter()
        .fold(shown, |text, value| text.replace(value, "[hidden]"))
}

fn missing(text: String) -> Error {
    Error::config("config", text)
}

fn environment(key: &str) -> Result<String> {
    std::env::var(key).map_err(|_| {
        missing(format!(
            "the environment variable {key} of a placeholder is not set"
        ))
    })
}

fn read(path: &Path) -> Result<String> {
    let unreadable = |error| {
        missing(format!(
            "the file {} of a placeholder cannot be read",
            path.display()
        ))
        .because(error)
    };
    if fs::metadata(path).map_err(unreadable)?.len() > FILE_MAX {
        return Err(missing(format!(
            "the file {} of a placeholder is larger than {FILE_MAX} bytes",
            path.display()
        )));
    }
    fs::read_to_string(path).map_err(unreadable)
}

fn whole_file(folder: &str, key: &str) -> Result<String> {
    if key.contains(['/', '\\']) || key == ".." {
        return Err(missing(format!(
            "{key:?} in a placeholder is not a file's name"
        )));
    }
    read(&Path::new(folder).join(key))
}

fn property(path: &str, key: &str) -> Result<String> {
    let text = read(Path::new(path))?;
    let found = properties(&text).into_iter().rev();
    found
        .into_iter()
        .find(|(name, _)| name == key)
        .map(|(_, value)| value)
        .ok_or_else(|| missing(format!("the file {path} of a placeholder has no key {key}")))
}

/// A properties file: `key=value`, `key: value` or `key value`, `\` escapes and goes on in the next line, `#` and `!` are comments.
fn properties(text: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut lines = text.lines().map(str::trim_start);
    while let Some(first) = lines.next() {
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = first.to_owned();
        while continues(&logical) {
            logical.pop();
            logical.push_str(lines.next().unwrap_or_default());
        }
        all.push(pair(&logical));
    }
    all
}

fn continues(line: &str) -> bool {
    line.chars().rev().take_while(|char| *char == '\\').count() % 2 == 1
}

fn pair(line: &str) -> (String, String) {
    let (mut escaped, mut end) = (false, line.len());
    for (at, char) in line.char_indices() {
        if !escaped && (matches!(char, '=' | ':') || char.is_whitespace()) {
            end = at;
            break;
        }
        escaped = !escaped && char == '\\';
    }
    let value = line[end..].trim_start();
    let value = value.strip_prefix(['=', ':']).unwrap_or(value).trim_start();
    (unescaped(&line[..end]), unescaped(value))
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            out.push(char);
            continue;
        }
        match chars.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let hex: String = chars.by_ref().take(4).collect();
                let code = u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32);
                out.push(code.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake() -> Placeholders {
        let mut all = Placeholders::none();
        all.add("fake", Arc::new(|path, key| Ok(format!("<{path}|{key}>"))));
        all
    }

    #[test]
    fn placeholders_are_found_in_texts() {
        for (text, wanted) in [
            ("plain", "plain"),
            ("${fake:k}", "<|k>"),
            ("a${fake:/p:k}b${fake:k}c", "a</p|k>b<|k>c"),
            ("${fake:c:/p:k}", "<c:/p|k>"),
            ("${topic}-${timestamp}", "${topic}-${timestamp}"),
            ("${other:k}", "${other:k}"),
            ("${fake:k", "${fake:k"),
            ("$", "$"),
        ] {
            assert_eq!(fake().text(text).expect("resolves"), wanted, "{text}");
        }
    }

    #[test]
    fn what_a_placeholder_stands_for_is_taken_out_of_errors() {
        let secret = format!("s3cret\n{}", "x".repeat(80));
        let mut all = Placeholders::none();
        let value = secret.clone();
        all.add("fake", Arc::new(move |_, _| Ok(value.clone())));
        let config = Flat::from([("port".to_owned(), "a-${fake:k}".to_owned())]);
        let start: String = secret.chars().take(60).collect();
        let error = Error::config("open", format!("port: expected an integer, got {start}.."))
            .with("value", &secret)
            .because(format!("invalid value: {secret:?}"));
        let hidden = all.hide(&config, error);
        let shown = hidden.trace();
        assert!(
            !shown.contains("s3cret") && !shown.contains("xxxx"),
            "I8: {shown}"
        );
        assert_eq!(
            (hidden.kind(), hidden.op()),
            (longshore_sdk::ErrorKind::Config, "open")
        );
        assert!(
            shown.starts_with("config error at open: port: expected an integer, got [hidden]"),
            "{shown}"
        );
        assert!(
            shown.contains("caused by: invalid value: \"[hidden]\""),
            "{shown}"
        );
    }

    #[test]
    fn files_are_read() {
        let folder =
            std::env::temp_dir().join(format!("longshore-placeholder-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("secrets.properties");
        fs::write(&file, "# c\n a = 1\nb: x\\\n  y\nc\\:d=\\u00e9\\=\n").expect("a file");
        let path = file.display();
        let all = Placeholders::builtin();
        assert_eq!(all.text(&format!("${{file:{path}:a}}")).expect("a"), "1");
        assert_eq!(all.text(&format!("${{file:{path}:b}}")).expect("b"), "xy");
        assert_eq!(
            properties("c\\:d=\\u00e9\\=").remove(0),
            ("c:d".into(), "é=".into())
        );
        let error = all
            .text(&format!("${{file:{path}:z}}"))
            .expect_err("no key");
        assert!(error.message().ends_with("has no key z"), "{error}");
        let folder_text = folder.display();
        let whole = all.text(&format!("${{directory:{folder_text}:secrets.properties}}"));
        assert!(whole.expect("a file").starts_with("# c"));
        assert!(
            all.text(&format!("${{directory:{folder_text}:../x}}"))
                .is_err()
        );
        assert!(all.text("${env:LONGSHORE_SURELY_NOT_SET}").is_err());
        fs::remove_dir_all(&folder).expect("removed");
    }
}
