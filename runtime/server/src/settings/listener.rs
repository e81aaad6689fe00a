//! Addresses of the REST API.

use longshore_sdk::config::Finding;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where the REST API listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    /// A name or an address, without brackets.
    pub(crate) host: String,
    /// The port; 0 is any free one.
    pub(crate) port: u16,
}

impl Listener {
    /// Reads `http://host:port`; no host is every address, as in Kafka Connect.
    ///
    /// The API has no authentication, and who reaches it can read and write whatever the connectors can: without `insecure` only the
    /// loopback is allowed.
    pub(crate) fn parse(text: &str, insecure: bool) -> Result<Self, Finding> {
        let wrong = |problem: String| Finding::new("listeners", problem);
        let shape = || wrong(format!("expected http://host:port, got {text}"));
        let (scheme, rest) = text.split_once("://").ok_or_else(shape)?;
        if scheme.eq_ignore_ascii_case("https") {
            let problem = format!("https is not supported yet: {text}");
            return Err(
                wrong(problem).suggest("listen on the loopback, behind a proxy that does TLS")
            );
        }
        if !scheme.eq_ignore_ascii_case("http") {
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
        let listener = Self {
            host: host.to_owned(),
            port,
        };
        if listener.is_loopback() || insecure {
            Ok(listener)
        } else {
            let problem = format!(
                "{text} can be reached from other machines, and the REST API has no authentication"
            );
            Err(wrong(problem).suggest(
                "listen on 127.0.0.1, or set longshore.rest.insecure=true where the network keeps others out",
            ))
        }
    }
    /// The host that clients can connect to: an address of every interface is none.
    pub(super) fn reachable_host(&self) -> String {
        match self.host.parse() {
            Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => "127.0.0.1".to_owned(),
            Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => "::1".to_owned(),
            _ => self.host.clone(),
        }
    }
    fn is_loopback(&self) -> bool {
        let by_name = self.host.eq_ignore_ascii_case("localhost");
        by_name || self.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::Listener;

    #[test]
    fn only_the_loopback_is_open_unless_asked_for() {
        for (text, host, loopback) in [
            ("http://127.0.0.1:8083", "127.0.0.1", true),
            ("HTTP://localhost:0", "localhost", true),
            ("http://[::1]:8083/", "::1", true),
            ("http://:8083", "0.0.0.0", false),
            ("http://0.0.0.0:8083", "0.0.0.0", false),
            ("http://[::]:8083", "::", false),
            ("http://connect.example:8083", "connect.example", false),
            ("http://127.0.0.1.example:8083", "127.0.0.1.example", false),
        ] {
            let open = Listener::parse(text, true).expect(text);
            assert_eq!(open.host, host);
            let closed = Listener::parse(text, false);
            assert_eq!(closed.is_ok(), loopback, "{text}");
            if let Err(finding) = closed {
                assert!(
                    finding.to_string().contains("longshore.rest.insecure=true"),
                    "{finding}"
                );
            }
        }
    }

    #[test]
    fn other_shapes_are_refused() {
        for text in [
            "8083",
            "127.0.0.1:8083",
            "http://127.0.0.1",
            "http://127.0.0.1:99999",
            "https://127.0.0.1:8443",
            "ftp://127.0.0.1:1",
            "http://user@127.0.0.1:1",
            "",
        ] {
            Listener::parse(text, true).expect_err(text);
        }
    }
}
