//! `longshore auth`: lines of the credentials file.

use super::{AuthAction, RoleName, screen};
use crate::rest::{self, Role};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, IsTerminal, Read};

/// The shortest password that is taken, in characters.
const PASSWORD_CHARS_MIN: usize = 8;
const PASSWORD_BYTES_MAX: u64 = 1024;

/// Carries out one action.
pub(crate) fn run(action: AuthAction) -> Result<()> {
    let AuthAction::Hash { name, role } = action;
    if name.is_empty() || name.contains(':') || name.chars().any(char::is_control) {
        bail!("a name has no colon and no control characters, and is not empty");
    }
    let password = password(&name)?;
    if password.chars().count() < PASSWORD_CHARS_MIN {
        bail!("the password is too short: at least {PASSWORD_CHARS_MIN} characters");
    }
    let role = match role {
        RoleName::Read => Role::Read,
        RoleName::Operate => Role::Operate,
        RoleName::Admin => Role::Admin,
    };
    screen::line(&format!(
        "{name}:{}:{}",
        rest::hash(&password)?,
        role.name()
    ));
    Ok(())
}

/// Twice on a terminal, the first line of standard input elsewhere. Never a flag: other users of a machine see those.
fn password(name: &str) -> Result<String> {
    if std::io::stdin().is_terminal() {
        let ask = |what: &str| {
            let answer = rpassword::prompt_password(what);
            answer.context("the password could not be read")
        };
        let password = ask(&format!("Password of {name}: "))?;
        if ask("The same again: ")? != password {
            bail!("the two passwords differ");
        }
        return Ok(password);
    }
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .take(PASSWORD_BYTES_MAX)
        .read_line(&mut line)
        .context("standard input could not be read")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
