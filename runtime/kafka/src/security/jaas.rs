//! `sasl.jaas.config`: one login module and its options. No class is ever loaded (CVE-2023-25194): the modules below are all there are.

/// The login module of OAUTHBEARER.
pub(super) const OAUTHBEARER: &str =
    "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule";
const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";
const SCRAM: &str = "org.apache.kafka.common.security.scram.ScramLoginModule";

/// The module that belongs to a mechanism with a password.
pub(super) fn module_of(mechanism: &str) -> &'static str {
    if mechanism == "PLAIN" { PLAIN } else { SCRAM }
}

/// What a login module is told. No Debug: it holds secrets (I8).
pub(super) enum Module {
    /// PLAIN and SCRAM.
    Password { username: String, password: String },
    /// OAUTHBEARER, with its options.
    Token(Vec<(String, String)>),
}

/// Reads `<module> required key="value" ..;`. Err: what is wrong, to stand after the key's name; it never quotes a value (I8).
pub(super) fn read(text: &str) -> Result<Module, String> {
    let mut words = Words { rest: text };
    let module = words.word()?.unwrap_or_default();
    if ![PLAIN, SCRAM, OAUTHBEARER].contains(&module.as_str()) {
        return Err(foreign(&module));
    }
    let control = words.word()?.unwrap_or_default().to_ascii_lowercase();
    if !["required", "requisite", "sufficient", "optional"].contains(&control.as_str()) {
        return Err("must say `required` after the login module".to_owned());
    }
    let mut options = Vec::new();
    while let Some(name) = words.word()? {
        if !words.take('=') {
            return Err("must hold options of the form key=\"value\" after `required`".to_owned());
        }
        let value = words
            .word()?
            .ok_or("has an option without a value: write key=\"value\"")?;
        options.push((name, value));
    }
    // Java insists on it.
    if !words.take(';') {
        return Err("must end with a semicolon".to_owned());
    }
    if !words.rest.trim().is_empty() {
        return Err("must hold one login module only".to_owned());
    }
    if module == OAUTHBEARER {
        return Ok(Module::Token(options));
    }
    password(options)
}

fn password(options: Vec<(String, String)>) -> Result<Module, String> {
    let (mut username, mut password) = (None, None);
    for (name, value) in options {
        match name.as_str() {
            "username" => username = Some(value),
            "password" => password = Some(value),
            "tokenauth" if value.eq_ignore_ascii_case("true") => {
                return Err("asks for tokenauth: delegation tokens are not supported".to_owned());
            }
            _ => {}
        }
    }
    match (username, password) {
        (Some(username), Some(password)) => Ok(Module::Password { username, password }),
        _ => Err("must hold username=\"..\" and password=\"..\"".to_owned()),
    }
}

/// The name is shown only where it looks like one: a text that does not begin with a module may begin with a secret.
fn foreign(module: &str) -> String {
    let is_name = module.contains('.')
        && module.ends_with("Module")
        && module.len() <= 200
        && module
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '$'));
    let known = "PlainLoginModule, ScramLoginModule and OAuthBearerLoginModule of Apache Kafka";
    if is_name {
        format!(
            "names {module}, which is not supported: there are {known}, and no class is ever loaded"
        )
    } else {
        format!("must begin with a login module: there are {known}")
    }
}

struct Words<'a> {
    rest: &'a str,
}

impl Words<'_> {
    /// The next word, quoted or not; `None` before `=`, `;` and the end.
    fn word(&mut self) -> Result<Option<String>, String> {
        self.rest = self.rest.trim_start();
        let Some(first) = self.rest.chars().next() else {
            return Ok(None);
        };
        if matches!(first, '"' | '\'') {
            return self.quoted(first).map(Some);
        }
        let ends = |c: char| c.is_whitespace() || matches!(c, '=' | ';' | '"' | '\'');
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let word = self.rest[..end].to_owned();
        self.rest = &self.rest[end..];
        Ok((!word.is_empty()).then_some(word))
    }
    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let mut value = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => value.extend(chars.next().map(|(_, escaped)| match escaped {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                })),
                c if c == quote => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(value);
                }
                c => value.push(c),
            }
        }
        Err("has a value whose quote is not closed".to_owned())
    }
    fn take(&mut self, char: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(char) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        read(text).err().expect("refused")
    }

    #[test]
    fn a_login_is_read_as_java_reads_it() {
        let text = r#"org.apache.kafka.common.security.scram.ScramLoginModule required
            username="al ice" password='p="w\'' ;"#;
        match read(text).expect("valid") {
            Module::Password { username, password } => {
                assert_eq!((username.as_str(), password.as_str()), ("al ice", "p=\"w'"));
            }
            Module::Token(_) => panic!("a password"),
        }
        let text = format!("{OAUTHBEARER} required clientId=me scope='a b' extension_x=\"1\";");
        match read(&text).expect("valid") {
            Module::Token(options) => {
                assert_eq!(options[1], ("scope".to_owned(), "a b".to_owned()));
                assert_eq!(options.len(), 3);
            }
            Module::Password { .. } => panic!("a token"),
        }
    }

    #[test]
    fn other_modules_are_refused_by_name_and_values_never_shown() {
        for module in [
            "com.sun.security.auth.module.JndiLoginModule",
            "com.sun.security.auth.module.LdapLoginModule",
            "com.sun.security.auth.module.Krb5LoginModule",
            "software.amazon.msk.auth.iam.IAMLoginModule",
        ] {
            let problem = refused(&format!("{module} required password=\"s3cret\";"));
            assert!(
                problem.contains(module) && !problem.contains("s3cret"),
                "{problem}"
            );
        }
        for text in [
            "s3cret",
            "s3cret required;",
            &format!("{PLAIN} required username=\"a\" password=\"s3cret\"; {PLAIN} required;"),
            &format!("{PLAIN} required username=\"a\" password=\"s3cret\""),
            &format!("{PLAIN} required username=\"a\" password=\"s3cret;"),
            &format!("{PLAIN} required password=\"s3cret\";"),
            &format!("{PLAIN} username=\"a\" password=\"s3cret\";"),
            &format!("{SCRAM} required username=\"a\" password=\"s3cret\" tokenauth=\"true\";"),
        ] {
            let problem = refused(text);
            assert!(!problem.contains("s3cret"), "I8: {problem}");
        }
    }
}
