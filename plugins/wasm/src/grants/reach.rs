//! One entry of a `net` grant: `[scheme://]host[:port]`.

use super::address::{self, Block, Class};
use reqwest::Url;
use std::{fmt, net::IpAddr};

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    pub(crate) scheme: Scheme,
    pub(crate) host: Host,
    pub(crate) port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    Http,
    Https,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    /// In lower case and Punycode, without a dot at the end.
    Name(String),
    /// Canonical: no IPv4 address in disguise.
    Address(IpAddr),
}

impl Scheme {
    fn of(url: &Url) -> Option<Self> {
        match url.scheme() {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            _ => None,
        }
    }
    pub(crate) fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl Target {
    /// None: neither http nor https.
    pub(crate) fn of(url: &Url) -> Option<Self> {
        let scheme = Scheme::of(url)?;
        Some(Self {
            scheme,
            host: Host::of(url.host_str()?),
            port: url.port().unwrap_or(scheme.port()),
        })
    }
}

impl Host {
    /// Of a host as a parsed URL has it: odd spellings of addresses (127.1, 0x7f000001) are addresses there already.
    fn of(text: &str) -> Self {
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            Ok(address) => Self::Address(address::canonical(address)),
            Err(_) => Self::Name(bare.trim_end_matches('.').to_ascii_lowercase()),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V6(v6)) => write!(f, "[{v6}]"),
            Self::Address(v4) => write!(f, "{v4}"),
        }
    }
}

/// Without path and query, which may hold anything.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme.name(), self.host, self.port)
    }
}

/// One entry of a `net` grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    scheme: Option<Scheme>,
    hosts: Hosts,
    port: Option<u16>,
    text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    /// `*`: every public one.
    All,
    Name(String),
    /// `*.example.com`: this and a dot before it.
    Below(String),
    Block(Block),
}

impl Reach {
    /// Err: what is wrong with it.
    pub(super) fn parse(entry: &str) -> Result<Self, String> {
        let (scheme, rest) = match entry.split_once("://") {
            Some(("http", rest)) => (Some(Scheme::Http), rest),
            Some(("https", rest)) => (Some(Scheme::Https), rest),
            Some(_) => return Err("its scheme is neither http nor https".into()),
            None => (None, entry),
        };
        let (host, port) = split(rest)?;
        let port = match port {
            None => scheme.map(Scheme::port),
            Some("*") => None,
            Some(digits) => Some(port_of(digits)?),
        };
        Ok(Self {
            scheme,
            hosts: hosts(host)?,
            port,
            text: entry.to_owned(),
        })
    }
    /// As the settings have it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
    fn fits(&self, target: &Target) -> bool {
        self.scheme.is_none_or(|scheme| scheme == target.scheme)
            && self.port.is_none_or(|port| port == target.port)
    }
    /// Whether it grants the target as the plugin named it.
    pub(super) fn covers(&self, target: &Target) -> bool {
        self.fits(target)
            && match (&self.hosts, &target.host) {
                (Hosts::All, Host::Name(_)) => true,
                (Hosts::All, Host::Address(address)) => {
                    address::classify(*address) == Class::Public
                }
                (Hosts::Name(granted), Host::Name(name)) => granted == name,
                (Hosts::Below(granted), Host::Name(name)) => name
                    .strip_suffix(granted)
                    .is_some_and(|below| below.len() > 1 && below.ends_with('.')),
                (Hosts::Block(block), Host::Address(address)) => grants(block, *address),
                _ => false,
            }
    }
    /// Whether it grants by its address what the target's name stands for.
    pub(super) fn covers_address(&self, target: &Target, address: IpAddr) -> bool {
        self.fits(target)
            && match &self.hosts {
                Hosts::Block(block) => grants(block, address::canonical(address)),
                _ => false,
            }
    }
    /// Whether everything that it covers is covered by `other`, too.
    pub(super) fn within(&self, other: &Self) -> bool {
        let scheme = other.scheme.is_none() || other.scheme == self.scheme;
        let port = other.port.is_none() || other.port == self.port;
        scheme
            && port
            && match (&self.hosts, &other.hosts) {
                (Hosts::All | Hosts::Name(_) | Hosts::Below(_), Hosts::All) => true,
                (Hosts::Block(block), Hosts::All) => block
                    .single_address()
                    .is_some_and(|address| address::classify(address) == Class::Public),
                (Hosts::Name(mine), Hosts::Name(theirs)) => mine == theirs,
                (Hosts::Name(mine) | Hosts::Below(mine), Hosts::Below(theirs)) => {
                    mine.strip_suffix(theirs).is_some_and(|rest| {
                        rest.ends_with('.') || (rest.is_empty() && self.hosts == other.hosts)
                    })
                }
                (Hosts::Block(mine), Hosts::Block(theirs)) => mine.within(theirs),
                _ => false,
            }
    }
}

/// A wide block does not mean what lies in it and is not public: 0.0.0.0/0 is the Internet and not this machine.
fn grants(block: &Block, address: IpAddr) -> bool {
    block.holds(address)
        && match address::classify(address) {
            Class::Public => true,
            Class::Special(special, _) => block.within(&special),
            Class::Never(_) => false,
        }
}

/// Host and port. An IPv6 address has brackets where a port follows.
fn split(text: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let Some((host, rest)) = rest.split_once(']') else {
            return Err("its [ is not closed".into());
        };
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err("only a port may follow its ]".into()),
        };
    }
    match text.split_once(':') {
        // Several colons: an IPv6 address without a port.
        Some((_, rest)) if rest.contains(':') => Ok((text, None)),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((text, None)),
    }
}

fn port_of(digits: &str) -> Result<u16, String> {
    let port = digits.parse().ok().filter(|port| *port > 0);
    port.filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .ok_or_else(|| "its port is no number from 1 to 65535".into())
}

fn hosts(host: &str) -> Result<Hosts, String> {
    if host == "*" {
        return Ok(Hosts::All);
    }
    if let Some((address, prefix)) = host.split_once('/') {
        let address: Option<IpAddr> = address.parse().ok();
        let prefix = prefix.parse().ok();
        let block = address
            .zip(prefix)
            .and_then(|(address, prefix)| Block::new(address, prefix));
        let block = block
            .ok_or("it is no block of addresses such as 10.1.0.0/16; a path is not granted")?;
        return reachable(block);
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return reachable(Block::single(address::canonical(address)));
    }
    match host.strip_prefix("*.") {
        Some(below) => Ok(Hosts::Below(name(below)?)),
        None => Ok(Hosts::Name(name(host)?)),
    }
}

fn reachable(block: Block) -> Result<Hosts, String> {
    match (address::classify(block.first()), block.single_address()) {
        (Class::Never(what), Some(_)) => Err(format!("no plugin ever reaches it: it is {what}")),
        _ => Ok(Hosts::Block(block)),
    }
}

/// A host name as URLs have it, so that both compare.
fn name(text: &str) -> Result<String, String> {
    let wrong = "it is no host name, address or block of addresses";
    if text.is_empty() || text.contains(['*', '@', '?', '#', '\\', '/']) {
        return Err(wrong.into());
    }
    let url = Url::parse(&format!("https://{text}/")).map_err(|_| wrong)?;
    match url.host_str().map(Host::of) {
        Some(Host::Name(name)) if !name.is_empty() => Ok(name),
        _ => Err("it is an odd spelling of an address: write 127.0.0.1 as such".into()),
    }
}
