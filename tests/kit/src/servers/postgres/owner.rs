//! The user that a server runs as: Postgres refuses to be root.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// `program` as the user that the server runs as: Postgres refuses to be root.
pub(super) fn owner_command(program: &Path) -> Result<(PathBuf, Vec<String>)> {
    Ok(match owner()? {
        None => (program.to_path_buf(), Vec::new()),
        // setpriv becomes the program: its process id is the program's, which the leash kills.
        Some((user, group)) => (
            "setpriv".into(),
            vec![
                format!("--reuid={user}"),
                format!("--regid={group}"),
                "--clear-groups".into(),
                "--".into(),
                text(program)?,
            ],
        ),
    })
}

pub(super) fn as_owner(program: &Path, args: &[&str]) -> Result<Command> {
    let (program, before) = owner_command(program)?;
    let mut command = Command::new(program);
    command.args(before).args(args).current_dir("/");
    Ok(command)
}

/// Hands a path to the server's user.
pub(super) fn give(path: &Path) -> Result<()> {
    if let Some((user, group)) = owner()? {
        chown(path, Some(user), Some(group))
            .with_context(|| format!("cannot give {} to user postgres", path.display()))?;
    }
    Ok(())
}

/// The user and group ids of `postgres`; `None` where this process is no root, and the server runs as its own user.
fn owner() -> Result<Option<(u32, u32)>> {
    let id = |args: &[&str]| -> Result<u32> {
        let output = Command::new("id")
            .args(args)
            .output()
            .context("cannot run id")?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        text.parse().with_context(|| {
            format!(
                "id {} names no user: apt install postgresql-15 makes it",
                args.join(" ")
            )
        })
    };
    if id(&["-u"])? != 0 {
        return Ok(None);
    }
    Ok(Some((id(&["-u", "postgres"])?, id(&["-g", "postgres"])?)))
}

/// A path as an argument.
pub(super) fn text(path: &Path) -> Result<String> {
    let text = path
        .to_str()
        .context("the temp folder's name is no UTF-8")?;
    Ok(text.to_owned())
}
