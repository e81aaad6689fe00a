//! The credentials file: a line `name:hash:role[,role]` per user.

use super::super::access::Role;
use crate::file_bytes::read_at_most;
use anyhow::{Context, Result, anyhow, bail};
use argon2::{
    Algorithm, Argon2, Params,
    password_hash::{
        PasswordHash, PasswordHashString, PasswordHasher, PasswordVerifier, SaltString,
    },
};
use std::{collections::HashMap, path::Path, sync::Arc};

/// How large the file may be.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// How long a name may be.
const NAME_BYTES_MAX: usize = 256;
/// The costliest hash that is taken: a slip in the file must not cost the worker its memory or its time (I6).
const MEMORY_KIB_MAX: u32 = 256 * 1024;
const PASSES_MAX: u32 = 32;
const LANES_MAX: u32 = 16;
const SALT_BYTES: usize = 16;

/// A user of the file.
#[derive(Clone)]
pub(super) struct User {
    pub(super) name: Arc<str>,
    pub(super) role: Role,
    hash: PasswordHashString,
}

impl User {
    /// Whether this is the password. Takes as long as its hash says, on the calling thread; the comparison takes the same time for any outcome.
    pub(super) fn has(&self, password: &[u8]) -> bool {
        let hash = self.hash.password_hash();
        Argon2::default().verify_password(password, &hash).is_ok()
    }
}

/// The users by name.
#[derive(Clone, Default)]
pub(super) struct Users {
    by_name: HashMap<Arc<str>, User>,
    /// Whose hash costs most: unknown names are given that much work, so that the time does not tell which names there are.
    costliest: Option<Arc<str>>,
}

impl Users {
    /// Reads the file. No error holds more of a line than its number.
    pub(super) fn read(file: &Path) -> Result<Self> {
        let at = || format!("{} cannot be used", file.display());
        let bytes = read_at_most(file, FILE_BYTES_MAX).with_context(at)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| anyhow!("it is not UTF-8 text"))
            .with_context(at)?;
        Self::parse(text).with_context(at)
    }
    /// Reads the file's text. Empty lines and lines that start with # say nothing.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut users = Self::default();
        let mut cost_max = 0;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (user, cost) = user(line).with_context(|| format!("line {number}"))?;
            if cost > cost_max {
                (cost_max, users.costliest) = (cost, Some(Arc::clone(&user.name)));
            }
            let name = Arc::clone(&user.name);
            if users.by_name.insert(name, user).is_some() {
                bail!("line {number}: this name was on an earlier line already");
            }
        }
        if users.by_name.is_empty() {
            bail!("it has no users: `longshore auth hash NAME --role admin` makes a line");
        }
        Ok(users)
    }
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }
    pub(super) fn get(&self, name: &str) -> Option<&User> {
        self.by_name.get(name)
    }
    /// Whose hash unknown names are compared with.
    pub(super) fn decoy(&self) -> Option<&User> {
        self.by_name.get(self.costliest.as_ref()?)
    }
}

/// Whether a name can stand in the file and be given with a password: what it looks like there is what callers send.
pub(crate) fn is_user_name(name: &str) -> bool {
    let fits = !name.is_empty() && name.len() <= NAME_BYTES_MAX;
    let odd = |char: char| char == ':' || char.is_control();
    fits && name.trim() == name && !name.starts_with('#') && !name.contains(odd)
}

fn user(line: &str) -> Result<(User, u64)> {
    let parts: Vec<&str> = line.split(':').map(str::trim).collect();
    let [name, hash, roles] = parts[..] else {
        bail!("expected name:hash:role[,role], got {} parts", parts.len());
    };
    if !is_user_name(name) {
        bail!("expected a name of 1 to {NAME_BYTES_MAX} bytes before the first colon");
    }
    let role = roles
        .split(',')
        .map(|role| Role::named(role.trim()))
        .collect::<Option<Vec<_>>>()
        .and_then(|roles| roles.into_iter().max())
        .context("expected roles of read, operate and admin after the second colon")?;
    let wrong =
        "expected a PHC string of argon2id between the colons: `longshore auth hash` makes one";
    let hash = PasswordHashString::new(hash).map_err(|_| anyhow!(wrong))?;
    let cost = cost(&hash.password_hash()).context(wrong)?;
    let name = Arc::from(name);
    Ok((User { name, role, hash }, cost))
}

/// What a hash costs, in passes over memory; an error for another algorithm and for what is too costly.
fn cost(hash: &PasswordHash<'_>) -> Result<u64> {
    if hash.algorithm != Algorithm::Argon2id.ident() {
        bail!("{} is not argon2id", hash.algorithm);
    }
    if hash.hash.is_none() || hash.salt.is_none() {
        bail!("the salt or the hash is missing");
    }
    let params = Params::try_from(hash).map_err(|error| anyhow!("{error}"))?;
    let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
    if memory > MEMORY_KIB_MAX || passes > PASSES_MAX || lanes > LANES_MAX {
        bail!("at most m={MEMORY_KIB_MAX}, t={PASSES_MAX} and p={LANES_MAX} are taken");
    }
    Ok(u64::from(memory) * u64::from(passes))
}

/// The hash of a password as a PHC string, with a fresh salt and the costs that OWASP advises (19 MiB, 2 passes).
pub(crate) fn hash(password: &str) -> Result<String> {
    let mut salt = [0; SALT_BYTES];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| anyhow!("there is no randomness"))?;
    let salt = SaltString::encode_b64(&salt).map_err(|error| anyhow!("{error}"))?;
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
    Ok(hash.map_err(|error| anyhow!("{error}"))?.to_string())
}

/// A hash that is quick to make and to check.
#[cfg(test)]
pub(in crate::rest) fn quick_hash(password: &str) -> String {
    let params = Params::new(8, 1, 1, None).expect("the least there is");
    let argon = Argon2::new(Algorithm::Argon2id, argon2::Version::V0x13, params);
    let salt = SaltString::encode_b64(b"a salt of a test").expect("a salt");
    let hash = argon.hash_password(password.as_bytes(), &salt);
    hash.expect("hashed").to_string()
}

#[cfg(test)]
mod tests {
    use super::{Role, Users, hash, is_user_name, quick_hash};

    #[test]
    fn a_line_is_a_user() {
        let text = format!(
            "# people\n\nann:{}:read,admin\r\n bob : {} : operate \n",
            hash("it's \u{e9}asy").expect("hashed"),
            quick_hash("b"),
        );
        let users = Users::parse(&text).expect("good");
        let ann = users.get("ann").expect("ann");
        assert_eq!(ann.role, Role::Admin, "the greatest role counts");
        assert!(ann.has("it's \u{e9}asy".as_bytes()) && !ann.has(b"it's easy"));
        assert_eq!(users.get("bob").expect("bob").role, Role::Operate);
        assert_eq!(users.decoy().expect("one").name.as_ref(), "ann");
        assert!(users.get("Ann").is_none());
    }

    #[test]
    fn a_name_is_read_as_it_was_written() {
        assert!(
            ["ann", "a b", "a#b", "\u{e9}"]
                .into_iter()
                .all(is_user_name)
        );
        let long = "a".repeat(257);
        for name in ["", "#ann", " ann", "ann\t", "a:b", "a\nb", &long] {
            assert!(!is_user_name(name), "{name:?}");
        }
    }

    #[test]
    fn a_line_that_is_none_is_named_by_its_number_alone() {
        let good = quick_hash("x");
        let dear = good.replace("m=8,", "m=999999,");
        let other = good.replace("argon2id", "argon2i");
        for (line, expected) in [
            ("ann:planted-secret".to_owned(), "got 2 parts"),
            (
                format!("ann:{good}:boss"),
                "roles of read, operate and admin",
            ),
            (format!("ann:{good}:"), "roles of read"),
            (format!(":{good}:read"), "expected a name"),
            (
                "ann:planted-secret:read".to_owned(),
                "PHC string of argon2id",
            ),
            ("ann:$2b$12$planted-secret:read".to_owned(), "PHC string"),
            (format!("ann:{other}:read"), "not argon2id"),
            (format!("ann:{dear}:read"), "at most m="),
            (format!("bob:{good}:read"), "an earlier line"),
        ] {
            let text = format!("bob:{good}:read\n{line}\n");
            let error = Users::parse(&text).err().expect(&line);
            let error = format!("{error:#}");
            assert!(
                error.starts_with("line 2") && error.contains(expected),
                "{error}"
            );
            assert!(!error.contains("planted-secret"), "{error}");
        }
        let error = Users::parse("# nobody\n").err().expect("empty").to_string();
        assert!(error.contains("longshore auth hash"), "{error}");
    }
}
