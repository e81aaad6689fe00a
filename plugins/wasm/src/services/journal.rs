//! Lines that a plugin writes, and lines about what it was denied.
//!
//! They go to tracing's target `plugin` with the fields connector, task and plugin; a plugin's own fields stand in one field, `fields`.

use super::{
    Caller, Scrub, Services,
    metrics::{Dropped, PluginMetrics},
};
use crate::{
    Denial,
    bindings::host::longshore::connector::log::{Host, Level},
    refusal::cut,
};
use longshore_sdk::config::info::HIDDEN;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// Of a message, and of all fields together, in bytes.
const TEXT_MAX: usize = 8 * 1024;
/// What is looked at behind that, so that a secret on the edge is seen whole.
const EDGE: usize = 4 * 1024;
/// Of one line.
const FIELDS_MAX: usize = 32;
/// So many times the lines of a second may come at once.
const BURST: f64 = 10.0;
/// The same about denied calls, which say much the same again and again.
const DENIED_RATE: f64 = 0.2;
const DENIED_BURST: f64 = 10.0;
/// Shorter values are no secrets that could be told from ordinary words; nor are shorter lines of a longer one, such as a key in PEM.
const SECRET_MIN: usize = 4;
const SECRET_LINE_MIN: usize = 8;
/// Lines of one secret that are looked for by themselves.
const SECRET_LINES_MAX: usize = 100;

/// How loud a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loudness {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// Where the lines of one store go: cut, counted and without secrets (I8).
pub struct Journal {
    connector: Arc<str>,
    plugin: Arc<str>,
    task: Option<u32>,
    /// The values of the config's secrets; the longest first, so that none is left in half.
    secrets: Vec<String>,
    scrub: Scrub,
    metrics: PluginMetrics,
    lines: Mutex<Bucket>,
    denials: Mutex<Bucket>,
}

impl Journal {
    /// `rate`: lines a second in the long run.
    pub(super) fn new(caller: &Caller, scrub: Scrub, metrics: PluginMetrics, rate: u32) -> Self {
        let rate = f64::from(rate);
        let values = caller.secrets.values().map(|secret| secret.expose());
        let mut secrets: Vec<String> = values.flat_map(forms).collect();
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        Self {
            connector: caller.connector.clone(),
            plugin: caller.plugin.clone(),
            task: caller.task,
            secrets,
            scrub,
            metrics,
            lines: Mutex::new(Bucket::new(rate, rate * BURST)),
            denials: Mutex::new(Bucket::new(DENIED_RATE, DENIED_BURST)),
        }
    }
    /// A line of the plugin's standard output or error.
    pub(crate) fn line(&self, loudness: Loudness, message: &str) {
        self.write(loudness, message, &[]);
    }
    pub(crate) fn write(&self, loudness: Loudness, message: &str, fields: &[(String, String)]) {
        if !enabled(loudness) {
            return;
        }
        let Some(left_out) = lock(&self.lines).take(Instant::now()) else {
            self.metrics.dropped(&self.plugin, Dropped::Line);
            return;
        };
        self.tell_left_out(left_out);
        let message = self.clean(message);
        let fields = self.fields(fields);
        self.emit(loudness, &message, &fields);
    }
    /// A part of what was printed is not looked at: one line that is left out.
    pub(crate) fn leave_out(&self) {
        lock(&self.lines).left_out += 1;
        self.metrics.dropped(&self.plugin, Dropped::Line);
    }
    /// A call that the grants do not cover: counted, and logged now and then.
    pub(crate) fn denied(&self, denial: &Denial) {
        self.metrics.denied(&self.plugin, denial.what());
        let Some(left_out) = lock(&self.denials).take(Instant::now()) else {
            return;
        };
        let (connector, plugin) = (&*self.connector, &*self.plugin);
        let grant = denial.grant().unwrap_or("none");
        tracing::warn!(
            connector,
            task = self.task,
            plugin,
            grant,
            left_out,
            "{}",
            self.clean(&denial.to_string())
        );
    }
    /// A text of the plugin's without secrets and control characters, cut. What is to be cut shorter is cleaned before (I8): whatever the
    /// limit, no half of a secret is left at it.
    pub(crate) fn clean(&self, text: &str) -> String {
        let seen = cut(text, TEXT_MAX + EDGE);
        let mut shown = self.blot(seen);
        if text.len() > seen.len() {
            self.blot_begun(&mut shown);
        }
        shown = (self.scrub)(&shown);
        // What hides behind a shorter word does not bring the edge into sight.
        let unsure = if text.len() > seen.len() { EDGE } else { 0 };
        let sure = shown.len().saturating_sub(unsure);
        let end = cut(&shown, sure.min(TEXT_MAX));
        let mut line = one_line(end);
        if end.len() < shown.len() {
            line.push_str("..");
        }
        line
    }
    /// The end of a longer text without secrets, its lines as they are.
    pub(crate) fn clean_end(&self, text: &str) -> String {
        let shown = self.blot(text);
        let shown = (self.scrub)(&shown);
        // The cut may have left the end of one.
        let ended = |secret: &String| {
            let starts = (1..secret.len()).filter(|start| secret.is_char_boundary(*start));
            let mut ends = starts.map(|start| &secret[start..]);
            let left = ends.find(|end| end.len() >= SECRET_MIN && shown.starts_with(*end));
            left.map(str::len)
        };
        let left = self.secrets.iter().filter_map(ended).max().unwrap_or(0);
        shown[left..].to_owned()
    }
    fn blot(&self, text: &str) -> String {
        let mut shown = text.to_owned();
        for secret in &self.secrets {
            if shown.contains(secret) {
                shown = shown.replace(secret, HIDDEN);
            }
        }
        shown
    }
    /// A cut may have left the beginning of a secret.
    fn blot_begun(&self, shown: &mut String) {
        let begun = |secret: &String| {
            let ends = (SECRET_MIN..secret.len()).filter(|end| secret.is_char_boundary(*end));
            ends.rev().find(|end| shown.ends_with(&secret[..*end]))
        };
        if let Some(begun) = self.secrets.iter().filter_map(begun).max() {
            shown.truncate(shown.len() - begun);
        }
    }
    fn fields(&self, fields: &[(String, String)]) -> String {
        let mut text = String::new();
        for (name, value) in fields.iter().take(FIELDS_MAX) {
            if text.len() >= TEXT_MAX {
                break;
            }
            if !text.is_empty() {
                text.push(' ');
            }
            // Beyond what `clean` looks at.
            text.push_str(cut(name, TEXT_MAX + EDGE));
            text.push('=');
            text.push_str(cut(value, TEXT_MAX + EDGE));
        }
        if text.is_empty() {
            text
        } else {
            self.clean(&text)
        }
    }
    fn tell_left_out(&self, left_out: u64) {
        if left_out > 0 {
            let (connector, plugin) = (&*self.connector, &*self.plugin);
            tracing::warn!(target: "plugin", connector, task = self.task, plugin, left_out, "lines of this plugin were left out: it wrote more than it may (longshore.wasm.log.lines.max)");
        }
    }
    fn emit(&self, loudness: Loudness, message: &str, fields: &str) {
        let (connector, plugin, task) = (&*self.connector, &*self.plugin, self.task);
        let fields = (!fields.is_empty()).then_some(fields);
        macro_rules! line {
            ($level:ident) => {
                tracing::event!(target: "plugin", tracing::Level::$level, connector, task, plugin, fields, "{message}")
            };
        }
        match loudness {
            Loudness::Trace => line!(TRACE),
            Loudness::Debug => line!(DEBUG),
            Loudness::Info => line!(INFO),
            Loudness::Warn => line!(WARN),
            Loudness::Error => line!(ERROR),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let left_out = lock(&self.lines).left_out;
        self.tell_left_out(left_out);
    }
}

fn enabled(loudness: Loudness) -> bool {
    match loudness {
        Loudness::Trace => tracing::enabled!(target: "plugin", tracing::Level::TRACE),
        Loudness::Debug => tracing::enabled!(target: "plugin", tracing::Level::DEBUG),
        Loudness::Info => tracing::enabled!(target: "plugin", tracing::Level::INFO),
        Loudness::Warn => tracing::enabled!(target: "plugin", tracing::Level::WARN),
        Loudness::Error => tracing::enabled!(target: "plugin", tracing::Level::ERROR),
    }
}

/// How a text may quote a secret.
fn forms(value: &str) -> Vec<String> {
    let json = serde_json::Value::from(value).to_string();
    let debug = value.escape_debug().to_string();
    let whole = [value, value.trim(), json.trim_matches('"'), &debug];
    let whole = whole.into_iter().filter(|form| form.len() >= SECRET_MIN);
    let lines = value.lines().map(str::trim).take(SECRET_LINES_MAX);
    let lines = lines.filter(|line| line.len() >= SECRET_LINE_MIN);
    whole.chain(lines).map(str::to_owned).collect()
}

/// Nothing that could pass for another line, or steer a terminal.
fn one_line(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_owned();
    }
    let mut line = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// A bucket of tokens: what is beyond the rate is left out, and counted.
struct Bucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    filled: Instant,
    left_out: u64,
}

impl Bucket {
    fn new(rate: f64, burst: f64) -> Self {
        Self {
            rate,
            burst,
            tokens: burst,
            filled: Instant::now(),
            left_out: 0,
        }
    }
    /// None: left out. Some: how many were since the last.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let since = now.saturating_duration_since(self.filled);
        self.tokens = (self.tokens + since.as_secs_f64() * self.rate).min(self.burst);
        self.filled = now;
        if self.tokens < 1.0 {
            self.left_out += 1;
            return None;
        }
        self.tokens -= 1.0;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl From<Level> for Loudness {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => Self::Trace,
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
        }
    }
}

impl Host for Services {
    async fn enabled(&mut self, level: Level) -> wasmtime::Result<bool> {
        Ok(enabled(level.into()))
    }
    async fn log(
        &mut self,
        level: Level,
        message: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        self.journal.write(level.into(), &message, &fields);
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
