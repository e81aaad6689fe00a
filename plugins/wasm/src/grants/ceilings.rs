//! The worker's settings about grants.

use super::{CpuShare, Grants, PREFIX, entries};
use longshore_sdk::config::{Finding, Flat, nearest};
use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

const WHAT: [&str; 6] = [
    "net",
    "secrets",
    "memory.max.bytes",
    "call.timeout.ms",
    "cpu",
    "http.concurrency",
];
const ALL: &str = "*";

/// What the settings grant to which plugin.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ceilings {
    /// By plugin, then by what; checked.
    granted: BTreeMap<String, BTreeMap<&'static str, String>>,
}

impl Ceilings {
    /// Reads every key below [`PREFIX`]; other keys are left alone. The findings name keys; what they name is not granted.
    pub fn read(settings: &Flat) -> (Self, Vec<Finding>) {
        let mut ceilings = Self::default();
        let mut findings = Vec::new();
        for (key, value) in settings {
            let Some(rest) = key.strip_prefix(PREFIX) else {
                continue;
            };
            match split(key, rest) {
                Err(finding) => findings.push(finding),
                Ok((plugin, what)) => {
                    let mut probe = Grants::none(plugin);
                    match grant(&mut probe, key, what, value) {
                        Err(wrong) => findings.extend(wrong),
                        Ok(()) => {
                            let granted = ceilings.granted.entry(plugin.to_owned()).or_default();
                            granted.insert(what, value.clone());
                        }
                    }
                }
            }
        }
        (ceilings, findings)
    }
    /// What a plugin may at most.
    pub fn of(&self, plugin: &str) -> Grants {
        let mut grants = Grants::none(plugin);
        for what in WHAT {
            let of = |plugin: &str| self.granted.get(plugin)?.get(what);
            if let Some(value) = of(plugin).or_else(|| of(ALL)) {
                // It was read once without findings.
                let _ = grant(&mut grants, what, what, value);
            }
        }
        grants
    }
    /// The plugins that have grants of their own, without `*`.
    pub fn plugins(&self) -> impl Iterator<Item = &str> {
        let names = self.granted.keys().map(String::as_str);
        names.filter(|name| *name != ALL)
    }
}

/// Plugin and what is granted.
fn split<'a>(key: &str, rest: &'a str) -> Result<(&'a str, &'static str), Finding> {
    let advice = format!("write {PREFIX}<plugin>.<one of {}>", WHAT.join(", "));
    let Some((plugin, what)) = rest.split_once('.') else {
        return Err(Finding::new(key, "names no plugin and grant").suggest(advice));
    };
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if plugin != ALL && (plugin.is_empty() || !plugin.bytes().all(letter)) {
        let problem = "names no plugin: a plugin's name has lower case letters, digits and hyphens, * stands for all";
        return Err(Finding::new(key, problem).suggest(advice));
    }
    if let Some(what) = WHAT.into_iter().find(|known| *known == what) {
        return Ok((plugin, what));
    }
    let advice = match nearest(what, WHAT) {
        Some(near) => format!("did you mean {PREFIX}{plugin}.{near}?"),
        None => advice,
    };
    Err(Finding::new(key, format!("there is no grant {what}")).suggest(advice))
}

fn grant(grants: &mut Grants, key: &str, what: &str, value: &str) -> Result<(), Vec<Finding>> {
    let value = value.trim();
    let number = |range| number(key, value, range);
    match what {
        "net" => grants.net = entries(key, value)?,
        "secrets" => {
            grants.reveal = match value {
                "reveal" => true,
                "use" | "" => false,
                _ => {
                    let problem = format!("{value:?} is neither use nor reveal");
                    return Err(vec![Finding::new(key, problem)]);
                }
            }
        }
        "memory.max.bytes" => grants.memory = number(1 << 20..=4 << 30)?,
        "call.timeout.ms" => {
            grants.call_timeout = number(10..=3_600_000)?.map(Duration::from_millis);
        }
        "cpu" => grants.cpu = share(key, value)?,
        _ => grants.concurrency = number(1..=1_000)?.map(|number| number as usize),
    }
    Ok(())
}

fn number(key: &str, value: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, Vec<Finding>> {
    if value.is_empty() {
        return Ok(None);
    }
    let number = value.parse().ok().filter(|number| range.contains(number));
    let problem = || {
        let (low, high) = range.clone().into_inner();
        vec![Finding::new(
            key,
            format!("{value:?} is no whole number from {low} to {high}"),
        )]
    };
    number.map(Some).ok_or_else(problem)
}

fn share(key: &str, value: &str) -> Result<Option<CpuShare>, Vec<Finding>> {
    if value.is_empty() {
        return Ok(None);
    }
    let read = match value.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => value.parse::<f64>(),
    };
    let share = read.ok().filter(|share| (0.01..=1.0).contains(share));
    let problem = || {
        let problem = format!("{value:?} is no share of a core, from 0.01 to 1 or from 1% to 100%");
        vec![Finding::new(key, problem)]
    };
    share.map(|share| Some(CpuShare(share))).ok_or_else(problem)
}
