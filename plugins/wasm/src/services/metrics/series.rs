//! One series of a plugin's own metrics.

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use std::{collections::BTreeMap, sync::Arc};

/// Of a metric's name, in bytes.
const NAME_MAX: usize = 64;
/// Of one series.
const LABELS_MAX: usize = 8;
/// Of a label's value, in bytes.
const VALUE_MAX: usize = 128;
/// Names of one plugin that are in use.
const FAMILIES_MAX: usize = 200;
/// What the host says itself, and what the format says.
const RESERVED: [&str; 5] = ["connector", "task", "plugin", "le", "quantile"];
/// What a histogram's name is shown with.
const SUFFIXES: [&str; 3] = ["_bucket", "_sum", "_count"];
/// Where observations are counted; made for seconds.
const BUCKETS: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

/// What the plugin did.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Add(u64),
    Set(f64),
    Observe(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Change {
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Add(_) => Kind::Counter,
            Self::Set(_) => Kind::Gauge,
            Self::Observe(_) => Kind::Histogram,
        }
    }
}

/// A series' name and labels, checked; the labels in order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    /// As the plugin has it.
    pub(super) name: String,
    pub(super) labels: Vec<(String, String)>,
}

impl Name {
    /// None: a name or label is not one, or too long, or there are too many.
    pub(super) fn new(name: String, mut labels: Vec<(String, String)>) -> Option<Self> {
        let well = |text: &str| {
            let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            text.len() <= NAME_MAX
                && text.starts_with(|first: char| first.is_ascii_alphabetic())
                && text.bytes().all(letter)
        };
        let label = |(name, value): &(String, String)| {
            well(name) && value.len() <= VALUE_MAX && !RESERVED.contains(&name.as_str())
        };
        if !well(&name) || labels.len() > LABELS_MAX || !labels.iter().all(label) {
            return None;
        }
        labels.sort_unstable();
        if labels.windows(2).any(|two| two[0].0 == two[1].0) {
            return None;
        }
        Some(Self { name, labels })
    }
}

/// The names that are in use, each for as long as there is a series of it.
///
/// A name is shown once, with one type. A plugin that gives another type to a name than another plugin did before it is shown under a name
/// of the type's own instead (`longshore_plugins_gauge_<name>`), so that no plugin takes a name away from another.
#[derive(Default)]
pub(super) struct Families {
    own: BTreeMap<Arc<str>, Names>,
    /// As they are shown, of all plugins.
    shown: Names,
}

/// The families of one side, by name.
type Names = BTreeMap<Arc<str>, Family>;

struct Family {
    kind: Kind,
    shown: Arc<str>,
    /// Series, or plugins.
    users: usize,
}

impl Families {
    /// One more series of the plugin's name: the name that it is shown under. None: the plugin has the name with another type or in a
    /// histogram, or has too many.
    pub(super) fn admit(&mut self, plugin: &Arc<str>, name: &str, kind: Kind) -> Option<Arc<str>> {
        let own = self.own.entry(plugin.clone()).or_default();
        if let Some(known) = own.get_mut(name) {
            if known.kind != kind {
                return None;
            }
            known.users += 1;
            return Some(known.shown.clone());
        }
        if own.len() >= FAMILIES_MAX || clashes(own, name, kind) {
            return None;
        }
        let common: Arc<str> = format!("longshore_plugin_{name}").into();
        let free = match self.shown.get(&common) {
            Some(known) => known.kind == kind,
            None => !clashes(&self.shown, &common, kind),
        };
        // Names of one type do not clash with one another, and no plugin's own begins like this.
        let shown = match free {
            true => common,
            false => format!("longshore_plugins_{}_{name}", kind.word()).into(),
        };
        let family = |users| Family {
            kind,
            shown: shown.clone(),
            users,
        };
        own.insert(name.into(), family(1));
        let all = self.shown.entry(shown.clone());
        all.or_insert_with(|| family(0)).users += 1;
        Some(shown)
    }
    /// One series less; with the last one its name is free again.
    pub(super) fn release(&mut self, plugin: &str, name: &str) {
        let Some(own) = self.own.get_mut(plugin) else {
            return;
        };
        let Some(shown) = leave(own, name) else {
            return;
        };
        if own.is_empty() {
            self.own.remove(plugin);
        }
        leave(&mut self.shown, &shown);
    }
}

/// The name that a family was shown under, once its last user has left.
fn leave(names: &mut Names, name: &str) -> Option<Arc<str>> {
    let family = names.get_mut(name)?;
    family.users -= 1;
    let last = family.users == 0;
    last.then(|| names.remove(name).map(|family| family.shown))?
}

/// Whether a histogram shows the name, or the name as a histogram shows one of these.
fn clashes(names: &Names, name: &str, kind: Kind) -> bool {
    SUFFIXES.iter().any(|suffix| {
        let base = name.strip_suffix(suffix).and_then(|base| names.get(base));
        base.is_some_and(|base| base.kind == Kind::Histogram)
            || (kind == Kind::Histogram && names.contains_key(&*format!("{name}{suffix}")))
    })
}

/// The value of a series.
#[derive(Clone, Debug)]
pub(super) enum Series {
    Counter(u64),
    Gauge(f64),
    Histogram {
        counts: [u64; BUCKETS.len()],
        count: u64,
        sum: f64,
    },
}

impl Series {
    pub(super) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter(0),
            Kind::Gauge => Self::Gauge(0.0),
            Kind::Histogram => Self::Histogram {
                counts: [0; BUCKETS.len()],
                count: 0,
                sum: 0.0,
            },
        }
    }
    /// None: it is of another type, or the value is no number.
    pub(super) fn change(&mut self, change: Change) -> Option<()> {
        match (self, change) {
            (Self::Counter(total), Change::Add(delta)) => *total = total.saturating_add(delta),
            (Self::Gauge(now), Change::Set(value)) if value.is_finite() => *now = value,
            (Self::Histogram { counts, count, sum }, Change::Observe(value))
                if value.is_finite() =>
            {
                if let Some(at) = BUCKETS.iter().position(|bound| value <= *bound) {
                    counts[at] += 1;
                }
                *count += 1;
                *sum += value;
            }
            _ => return None,
        }
        Some(())
    }
    pub(super) fn family(&self, name: &str) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help("A plugin's own metric.".to_owned());
        family.set_field_type(match self {
            Self::Counter(_) => MetricType::COUNTER,
            Self::Gauge(_) => MetricType::GAUGE,
            Self::Histogram { .. } => MetricType::HISTOGRAM,
        });
        family
    }
    pub(super) fn metric(&self, own: &[(&str, &str)], labels: &[(String, String)]) -> Metric {
        let labels = labels.iter().map(|(name, value)| (&**name, &**value));
        let pairs = own.iter().copied().chain(labels).map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.to_owned());
            pair.set_value(value.to_owned());
            pair
        });
        let mut metric = Metric::default();
        metric.set_label(pairs.collect());
        match self {
            Self::Counter(total) => {
                let mut counter = Counter::default();
                counter.set_value(*total as f64);
                metric.set_counter(counter);
            }
            Self::Gauge(value) => {
                let mut gauge = Gauge::default();
                gauge.set_value(*value);
                metric.set_gauge(gauge);
            }
            Self::Histogram { counts, count, sum } => {
                metric.set_histogram(histogram(counts, *count, *sum));
            }
        }
        metric
    }
}

fn histogram(counts: &[u64], count: u64, sum: f64) -> Histogram {
    let mut below = 0;
    let buckets = BUCKETS.iter().zip(counts).map(|(bound, count)| {
        below += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(below);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(count);
    histogram.set_sample_sum(sum);
    histogram
}
