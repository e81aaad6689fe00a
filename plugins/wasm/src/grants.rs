//! What a plugin may: nothing, unless the worker's settings grant it.
//!
//! `longshore.wasm.grants.<plugin>.<what>`; `*` as plugin stands for all, and a plugin's own key takes the place of its:
//!
//! | what | value |
//! |---|---|
//! | `net` | hosts that it may reach by HTTP, separated by commas |
//! | `secrets` | `use` (default): the host puts them into requests; `reveal`: the plugin may read them |
//! | `memory.max.bytes` | memory of one task |
//! | `call.timeout.ms` | time of one call |
//! | `cpu` | share of one core that a task may use: `0.5` or `50%` |
//! | `http.concurrency` | requests in flight of one task |
//!
//! An entry of `net` is `[scheme://]host[:port]`. The host is a name (`api.example.com`), all names below one (`*.example.com`), an address,
//! a block of addresses (`10.1.0.0/16`), or `*`. Without a port it means every port, with a scheme and no port that scheme's own.
//! A name, `*` and a block that holds public addresses reach public addresses alone. Loopback, private and other special addresses are reached
//! only by a grant of an address or of a block that lies within theirs (`127.0.0.1:8080`), on top of the name's if they are reached by name.
//! A grant of `https://api.example.com` keeps secrets from going there in the clear.
//! Link-local addresses and metadata services of clouds are never reached.
//!
//! A connector may narrow what its plugin reaches with `longshore.wasm.net` in its own config; it cannot widen it.

mod address;
mod ceilings;
mod denial;
mod reach;
#[cfg(test)]
mod tests;

pub use ceilings::Ceilings;
pub use denial::Denial;

pub(crate) use reach::{Host, Scheme, Target};

use address::Class;
use longshore_sdk::config::Finding;
use reach::Reach;
use serde_json::{Value, json};
use std::{net::IpAddr, sync::Arc, time::Duration};

/// Where grants stand in the worker's settings.
pub const PREFIX: &str = "longshore.wasm.grants.";
/// The connector's own key that narrows `net`.
pub const NET: &str = "longshore.wasm.net";

/// Entries of one list.
const NET_MAX: usize = 1_000;

/// What one plugin may.
#[derive(Clone, Debug, PartialEq)]
pub struct Grants {
    plugin: Arc<str>,
    net: Vec<Reach>,
    /// What the connector left of it.
    asked: Option<Vec<Reach>>,
    reveal: bool,
    memory: Option<u64>,
    call_timeout: Option<Duration>,
    cpu: Option<CpuShare>,
    concurrency: Option<usize>,
}

/// A part of one core's time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CpuShare(f64);

impl CpuShare {
    /// How long a task rests after it ran for `ran`, so that its share holds.
    pub fn rest_after(self, ran: Duration) -> Duration {
        ran.mul_f64((1.0 - self.0) / self.0)
    }
}

impl Grants {
    /// Nothing.
    pub fn none(plugin: &str) -> Self {
        Self {
            plugin: plugin.into(),
            net: Vec::new(),
            asked: None,
            reveal: false,
            memory: None,
            call_timeout: None,
            cpu: None,
            concurrency: None,
        }
    }
    /// The plugin.
    pub fn plugin(&self) -> &str {
        &self.plugin
    }
    /// The memory of one task in bytes; none = the worker's limit.
    pub fn memory(&self) -> Option<u64> {
        self.memory
    }
    /// The time of one call; none = the worker's limit.
    pub fn call_timeout(&self) -> Option<Duration> {
        self.call_timeout
    }
    /// The share of a core; none = a whole one.
    pub fn cpu(&self) -> Option<CpuShare> {
        self.cpu
    }
    /// Requests in flight of one task; none = the worker's limit.
    pub fn concurrency(&self) -> Option<usize> {
        self.concurrency
    }
    /// Whether the plugin may read its secrets.
    pub fn reveals_secrets(&self) -> bool {
        self.reveal
    }
    /// The same for a connector that asks for `net` alone ([`NET`] in its config): what both allow. Err: entries that cannot be read.
    pub fn narrowed(&self, net: &str) -> Result<Self, Vec<Finding>> {
        let asked = entries(NET, net)?;
        Ok(Self {
            asked: Some(asked),
            ..self.clone()
        })
    }
    /// One finding for each entry that the connector asks for and the worker does not grant; such an entry is of no use.
    pub fn ungranted(&self) -> Vec<Finding> {
        let asked = self.asked.iter().flatten();
        let beyond = asked.filter(|asked| !self.net.iter().any(|granted| asked.within(granted)));
        let findings = beyond.map(|asked| {
            let text = asked.text();
            Finding::new(
                NET,
                format!("{text} is not granted to the plugin {}", self.plugin),
            )
            .suggest(format!(
                "add {text} to the worker's {PREFIX}{}.net, or take it out here",
                self.plugin
            ))
        });
        findings.collect()
    }
    /// What REST and the CLI show. No secrets stand in it.
    pub fn describe(&self) -> Value {
        let texts = |net: &[Reach]| net.iter().map(Reach::text).collect::<Vec<_>>().join(",");
        let mut shown = json!({
            "net": texts(&self.net),
            "secrets": if self.reveal { "reveal" } else { "use" },
        });
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                shown[key] = value;
            }
        };
        put("memory.max.bytes", self.memory.map(Value::from));
        let timeout = self.call_timeout.map(|timeout| timeout.as_millis() as u64);
        put("call.timeout.ms", timeout.map(Value::from));
        put("cpu", self.cpu.map(|share| share.0.into()));
        put("http.concurrency", self.concurrency.map(Value::from));
        put(NET, self.asked.as_deref().map(|net| texts(net).into()));
        shown
    }
    /// Whether the target may be asked for as the plugin named it.
    pub(crate) fn check(&self, target: &Target) -> Result<(), Denial> {
        match &target.host {
            Host::Name(name) if METADATA_NAMES.contains(&name.as_str()) => {
                return Err(self.never(target, "it is the name of a cloud's metadata service"));
            }
            Host::Address(address) => {
                if let Class::Never(what) = address::classify(*address) {
                    return Err(self.never(target, &format!("it is {what}")));
                }
            }
            Host::Name(_) => {}
        }
        if !self.net.iter().any(|reach| reach.covers(target)) {
            let entry = format!("{}:{}", target.host, target.port);
            let why = match &target.host {
                Host::Address(address) => special(*address),
                Host::Name(_) => String::new(),
            };
            return Err(self.missing(target, &why, &entry));
        }
        let left_out = |asked: &Vec<Reach>| !asked.iter().any(|reach| reach.covers(target));
        if self.asked.as_ref().is_some_and(left_out) {
            return Err(Denial::of_connector(&self.plugin, target));
        }
        Ok(())
    }
    /// Whether an address that the target's name was resolved to may be connected to. [`Grants::check`] has passed.
    pub(crate) fn check_resolved(&self, target: &Target, address: IpAddr) -> Result<(), Denial> {
        let checked = self.check_address(target, address);
        checked.map_err(|denial| denial.behind_name(&self.plugin, target))
    }
    fn check_address(&self, target: &Target, address: IpAddr) -> Result<(), Denial> {
        let address = address::canonical(address);
        match address::classify(address) {
            Class::Public => Ok(()),
            Class::Never(what) => {
                Err(self.never(target, &format!("it stands for {address}, which is {what}")))
            }
            Class::Special(..) => {
                let covered = |reach: &Reach| reach.covers_address(target, address);
                if self.net.iter().any(covered) {
                    return Ok(());
                }
                let why = format!(" (it stands for {address}{})", special(address));
                let entry = format!("{}:{}", Host::Address(address), target.port);
                Err(self.missing(target, &why, &entry))
            }
        }
    }
    pub(crate) fn deny_secrets(&self, key: &str) -> Denial {
        Denial::of_secrets(&self.plugin, key)
    }
    fn missing(&self, target: &Target, why: &str, entry: &str) -> Denial {
        let granted = self.net.iter().map(Reach::text);
        Denial::of_net(&self.plugin, target, why, entry, granted)
    }
    fn never(&self, target: &Target, why: &str) -> Denial {
        Denial::for_good(&self.plugin, target, why)
    }
}

/// They are stopped by their addresses; with a proxy nobody here sees those.
const METADATA_NAMES: &[&str] = &[
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
];

fn special(address: IpAddr) -> String {
    match address::classify(address) {
        Class::Special(_, what) => {
            format!(", which is {what}: only a grant of the address itself reaches it")
        }
        _ => String::new(),
    }
}

/// The entries of a list.
fn entries(key: &str, list: &str) -> Result<Vec<Reach>, Vec<Finding>> {
    let texts = list
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty());
    let (mut net, mut findings) = (Vec::new(), Vec::new());
    for text in texts {
        if net.len() + findings.len() >= NET_MAX {
            findings.push(Finding::new(
                key,
                format!("has more than {NET_MAX} entries"),
            ));
            break;
        }
        match Reach::parse(text) {
            Ok(reach) => net.push(reach),
            Err(wrong) => {
                let shown: String = text.chars().take(100).collect();
                let advice = "write [scheme://]host[:port], such as api.example.com, https://*.example.com or 127.0.0.1:8080";
                findings.push(Finding::new(key, format!("{shown:?}: {wrong}")).suggest(advice));
            }
        }
    }
    if findings.is_empty() {
        Ok(net)
    } else {
        Err(findings)
    }
}
