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
    if !rest::is_user_name(&name) {
        bail!(
            "a name has no colon, no control characters, no blanks around it and no # before it, and is not empty or longer than 256 bytes"
        );
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
        .take(PASSWORD_BYTES_MAX + 1)
        .read_line(&mut line)
        .context("standard input could not be read")?;
    // The hash of a part would let in whoever knows that part, and not who gives the whole.
    if line.len() as u64 > PASSWORD_BYTES_MAX {
        bail!("the password is too long: at most {PASSWORD_BYTES_MAX} bytes");
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
