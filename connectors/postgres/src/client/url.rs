//! The forms in which people say where a server is.

use longshore_sdk::{Secret, config::trimmed};

/// Hosts in one URL.
const HOSTS_MAX: usize = 16;

/// What a URL says; nothing is judged but its form.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Hosts and ports in the order of the URL.
    pub(super) hosts: Vec<(String, Option<u16>)>,
    /// The database.
    pub(super) database: Option<String>,
    /// The parameters by their names, user and password among them. All are kept as secrets: one of them is.
    pub(super) parameters: Vec<(String, Secret)>,
}

/// Reads a URL. Errors say what is wrong with its form, and show nothing of it but the name of a foreign database.
pub(super) fn read(url: &str) -> Result<Said, String> {
    let url = trimmed(url);
    if let Some(rest) = url.strip_prefix("jdbc:") {
        let Some(rest) = rest.strip_prefix("postgresql:") else {
            return Err(foreign(rest));
        };
        // Java reads parameters as forms are written: a plus is a blank.
        return match rest.strip_prefix("//") {
            Some(rest) => of_url(rest, true),
            None => of_url(&format!("/{}", rest.trim_start_matches('/')), true),
        };
    }
    match url.split_once("://") {
        Some(("postgresql" | "postgres", rest)) => of_url(rest, false),
        Some((scheme, _)) if !scheme.contains(['=', ' ', '/']) => Err(foreign(scheme)),
        _ if url.contains('=') => of_keys(url),
        _ => Err(EXPECTED.to_owned()),
    }
}

const EXPECTED: &str = "expected jdbc:postgresql://host:port/database, postgresql://host:port/database or host=.. port=.. dbname=..";

fn foreign(rest: &str) -> String {
    let name: String = rest
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .take(20)
        .collect();
    format!(
        "is the URL of another database ({name}): this connector speaks to Postgres only; {EXPECTED}"
    )
}

/// `user:password@host:port,host:port/database?name=value&..`.
fn of_url(text: &str, form: bool) -> Result<Said, String> {
    let (address, query) = text.split_once('?').unwrap_or((text, ""));
    let (authority, database) = address.split_once('/').unwrap_or((address, ""));
    let mut said = Said::default();
    let hosts = match authority.rsplit_once('@') {
        Some((login, hosts)) => {
            let (user, password) = match login.split_once(':') {
                Some((user, password)) => (user, Some(password)),
                None => (login, None),
            };
            if !user.is_empty() {
                said.parameter("user", decoded(user, false)?);
            }
            if let Some(password) = password {
                said.parameter("password", decoded(password, false)?);
            }
            hosts
        }
        None => authority,
    };
    for host in hosts.split(',').filter(|host| !host.is_empty()) {
        said.hosts.push(host_and_port(host)?);
    }
    if said.hosts.len() > HOSTS_MAX {
        return Err(format!("names more than {HOSTS_MAX} hosts"));
    }
    if !database.is_empty() {
        said.database = Some(decoded(database, form)?);
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        // pgjdbc: a name alone is switched on, `?ssl`.
        let (name, value) = pair.split_once('=').unwrap_or((pair, "true"));
        let name = decoded(name, form)?;
        said.parameter(&name, decoded(value, form)?);
    }
    Ok(said)
}

fn host_and_port(text: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest
            .split_once(']')
            .ok_or("has an address of version 6 without its closing bracket")?;
        (host, rest.strip_prefix(':'))
    } else {
        match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let port = match port.filter(|port| !port.is_empty()) {
        Some(port) => Some(
            port.parse::<u16>()
                .ok()
                .filter(|port| *port > 0)
                .ok_or("has a port that is no number from 1 to 65535")?,
        ),
        None => None,
    };
    Ok((decoded(host, false)?, port))
}

/// `host=.. port=.. 'quoted value'`, as libpq has it.
fn of_keys(text: &str) -> Result<Said, String> {
    let mut said = Said::default();
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest
            .split_once('=')
            .ok_or("has a word without a value: expected name=value")?;
        let (value, after) = key_value(after.trim_start())?;
        rest = after.trim_start();
        let list = || value.split(',').map(str::to_owned).collect::<Vec<_>>();
        match name.trim_end() {
            "host" | "hostaddr" => hosts = list(),
            "port" => ports = list(),
            "dbname" => said.database = Some(value),
            name => said.parameter(name, value),
        }
    }
    if hosts.len() > HOSTS_MAX {
        return Err(format!("names more than {HOSTS_MAX} hosts"));
    }
    for (index, host) in hosts.into_iter().enumerate() {
        // One port stands for all hosts.
        let port = ports
            .get(index)
            .or_else(|| ports.first().filter(|_| ports.len() == 1));
        let port = match port.filter(|port| !port.is_empty()) {
            Some(port) => Some(
                port.parse()
                    .map_err(|_| "has a port that is no number from 1 to 65535")?,
            ),
            None => None,
        };
        said.hosts.push((host, port));
    }
    Ok(said)
}

/// A value, quoted or up to the next blank; a backslash takes the next character as it is.
fn key_value(text: &str) -> Result<(String, &str), String> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut chars = text.char_indices().skip(usize::from(quoted));
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => value.extend(chars.next().map(|(_, char)| char)),
            '\'' if quoted => return Ok((value, &text[at + 1..])),
            _ if char.is_whitespace() && !quoted => return Ok((value, &text[at..])),
            _ => value.push(char),
        }
    }
    if quoted {
        return Err("has a quoted value without its closing quote".to_owned());
    }
    Ok((value, ""))
}

/// Text without its percent escapes; a plus is a blank in `form`s.
fn decoded(text: &str, form: bool) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        rest = more;
        match first {
            b'%' => {
                let hex = |byte: u8| {
                    char::from(byte)
                        .to_digit(16)
                        .and_then(|digit| u8::try_from(digit).ok())
                };
                let (Some(high), Some(low)) = (
                    more.first().copied().and_then(hex),
                    more.get(1).copied().and_then(hex),
                ) else {
                    return Err("has a percent sign without two hexadecimal digits: write %25 for a percent sign".to_owned());
                };
                bytes.push(high * 16 + low);
                rest = &more[2..];
            }
            b'+' if form => bytes.push(b' '),
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| "has percent escapes that are no UTF-8".to_owned())
}

impl Said {
    fn parameter(&mut self, name: &str, value: String) {
        self.parameters.push((name.to_owned(), Secret::new(value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parameter(said: &Said, name: &str) -> Option<String> {
        let found = said.parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.expose().to_owned())
    }

    #[test]
    fn every_form_is_read() {
        let said = read("jdbc:postgresql://db.example:6000/sales?user=ann&password=a%26b+c&ssl")
            .expect("reads");
        assert_eq!(said.hosts, [("db.example".to_owned(), Some(6000))]);
        assert_eq!(said.database.as_deref(), Some("sales"));
        assert_eq!(parameter(&said, "password").as_deref(), Some("a&b c"));
        assert_eq!(parameter(&said, "ssl").as_deref(), Some("true"));

        let said = read(" postgresql://ann:p%40ss+word@[::1]:5433,two/db ").expect("reads");
        assert_eq!(
            said.hosts,
            [("::1".to_owned(), Some(5433)), ("two".to_owned(), None)]
        );
        assert_eq!(parameter(&said, "password").as_deref(), Some("p@ss+word"));

        let said = read("jdbc:postgresql:sales").expect("reads");
        assert_eq!(
            (said.hosts.len(), said.database.as_deref()),
            (0, Some("sales"))
        );
        let said = read("jdbc:postgresql:/").expect("reads");
        assert_eq!((said.hosts.len(), said.database), (0, None));

        let said =
            read(r"host=a,b port=1,2 dbname=d user = ann password='it\'s = so' sslmode=require")
                .expect("reads");
        assert_eq!(
            said.hosts,
            [("a".to_owned(), Some(1)), ("b".to_owned(), Some(2))]
        );
        assert_eq!(parameter(&said, "password").as_deref(), Some("it's = so"));
        assert_eq!(parameter(&said, "user").as_deref(), Some("ann"));
    }

    #[test]
    fn i8_wrong_urls_are_named_but_never_shown() {
        for (url, says) in [
            (
                "jdbc:mysql://h/d?password=hunter2",
                "another database (mysql)",
            ),
            ("mysql://u:hunter2@h/d", "another database (mysql)"),
            ("jdbc:oracle:thin:@hunter2", "another database (oracle)"),
            ("hunter2", "expected jdbc:postgresql://"),
            ("", "expected jdbc:postgresql://"),
            ("postgresql://h:hunter2/d", "port"),
            ("postgresql://h:70000/d", "port"),
            ("postgresql://h/d?password=hunter2%2", "percent"),
            ("postgresql://h/d?password=hunter2%ff", "UTF-8"),
            ("postgresql://[::1/hunter2", "bracket"),
            ("password='hunter2", "closing quote"),
            ("host=a hunter2", "without a value"),
        ] {
            let problem = read(url).expect_err(url);
            assert!(problem.contains(says), "{url}: {problem}");
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(
            start in prop::sample::select(vec!["", "jdbc:", "jdbc:postgresql:", "postgres://", "host="]),
            rest in "[a-z%@:/?&=,'\\\\\\[\\] é+0-9]{0,30}",
        ) {
            drop(read(&format!("{start}{rest}")));
        }
    }
}
