//! Addresses of the REST API.

use longshore_sdk::config::Finding;
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Where the REST API listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    /// Whether it speaks TLS.
    pub(crate) https: bool,
    /// A name or an address, without brackets.
    pub(crate) host: String,
    /// The port; 0 is any free one.
    pub(crate) port: u16,
}

impl Listener {
    /// Reads `http://host:port` or `https://host:port`; no host is every address, as in Kafka Connect.
    pub(crate) fn parse(text: &str) -> Result<Self, Finding> {
        let shape = || {
            let problem = format!("expected http://host:port or https://host:port, got {text}");
            Finding::new("listeners", problem)
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(shape)?;
        let https = scheme.eq_ignore_ascii_case("https");
        if !https && !scheme.eq_ignore_ascii_case("http") {
            return Err(shape());
        }
        let (host, port) = rest
            .trim_end_matches('/')
            .rsplit_once(':')
            .ok_or_else(shape)?;
        let host = host
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
            .unwrap_or(host);
        let port = port.parse().map_err(|_| shape())?;
        let host = if host.is_empty() { "0.0.0.0" } else { host };
        if host.contains(['/', '[', ']', ' ', '@']) {
            return Err(shape());
        }
        Ok(Self {
            https,
            host: host.to_owned(),
            port,
        })
    }
    /// http or https.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }
    /// The host that clients can connect to: an address of every interface is none.
    pub(super) fn reachable_host(&self) -> String {
        match self.host.parse() {
            Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => "127.0.0.1".to_owned(),
            Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => "::1".to_owned(),
            _ => self.host.clone(),
        }
    }
    /// Whether only this machine reaches it.
    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

/// Whether a host is this machine by its loopback: `localhost`, or an address, with or without brackets.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = (self.scheme(), &self.host, self.port);
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Listener;

    #[test]
    fn only_some_hosts_are_this_machine() {
        for (text, host, https, loopback) in [
            ("http://127.0.0.1:8083", "127.0.0.1", false, true),
            ("HTTP://localhost:0", "localhost", false, true),
            ("http://[::1]:8083/", "::1", false, true),
            ("https://127.0.0.1:8443", "127.0.0.1", true, true),
            ("http://:8083", "0.0.0.0", false, false),
            ("http://0.0.0.0:8083", "0.0.0.0", false, false),
            ("https://[::]:8083", "::", true, false),
            (
                "http://connect.example:8083",
                "connect.example",
                false,
                false,
            ),
            (
                "http://127.0.0.1.example:8083",
                "127.0.0.1.example",
                false,
                false,
            ),
        ] {
            let listener = Listener::parse(text).expect(text);
            assert_eq!((listener.host.as_str(), listener.https), (host, https));
            assert_eq!(listener.is_loopback(), loopback, "{text}");
        }
    }

    #[test]
    fn other_shapes_are_refused() {
        for text in [
            "8083",
            "127.0.0.1:8083",
            "http://127.0.0.1",
            "http://127.0.0.1:99999",
            "ftp://127.0.0.1:1",
            "http://user@127.0.0.1:1",
            "",
        ] {
            Listener::parse(text).expect_err(text);
        }
    }
}
