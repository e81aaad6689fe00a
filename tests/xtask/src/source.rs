//! The files of the repository, as tidy sees them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// Every file that git tracks or would track, relative to the root; without git, every file outside of build and data folders.
pub(crate) fn files() -> Result<Vec<PathBuf>> {
    // A checkout may belong to another user than the one who runs a CI job.
    let listed = Command::new("git")
        .args([
            "-c",
            "safe.directory=*",
            "ls-files",
            "-z",
            "-co",
            "--exclude-standard",
        ])
        .output();
    if let Ok(output) = listed
        && output.status.success()
    {
        let names = String::from_utf8(output.stdout).context("a file name is no UTF-8")?;
        return Ok(names
            .split('\0')
            .filter(|name| !name.is_empty())
            .map(PathBuf::from)
            .filter(|path| path.is_file())
            .collect());
    }
    let mut found = Vec::new();
    walk(Path::new("."), &mut found)?;
    Ok(found)
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_dir() {
            if !["target", ".git", "longshore-data", "node_modules"]
                .iter()
                .any(|skip| name == *skip)
            {
                walk(&entry.path(), found)?;
            }
        } else {
            found.push(
                entry
                    .path()
                    .strip_prefix("./")
                    .unwrap_or(&entry.path())
                    .to_path_buf(),
            );
        }
    }
    Ok(())
}

/// The lines of a source file without its `#[cfg(test)]` items; leans on rustfmt: a top-level item ends with a brace in the first column.
pub(crate) fn lines_without_tests(text: &str) -> usize {
    let mut count = 0;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line != "#[cfg(test)]" {
            count += 1;
            continue;
        }
        for line in lines.by_ref() {
            let attribute = line.starts_with("#[");
            if line == "}" || (!attribute && line.ends_with(';') && !line.starts_with(' ')) {
                break;
            }
        }
    }
    count
}

/// The comment of a line, empty when there is none. A `//` inside a string counts as a comment; tidy's questions can bear that.
pub(crate) fn comment(line: &str) -> &str {
    line.find("//").map_or("", |at| &line[at..])
}

/// The words of a text: runs of letters, digits and underscores.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_items_do_not_count() {
        let text = "a\n#[cfg(test)]\nmod tests;\nb\n#[cfg(test)]\n#[allow(x)]\nmod more {\n    fn f() {\n    }\n}\nc\n";
        assert_eq!(lines_without_tests(text), 3);
    }

    #[test]
    fn words_split_at_punctuation() {
        assert_eq!(
            words("I1, I12: (I_x)").collect::<Vec<_>>(),
            ["I1", "I12", "I_x"]
        );
    }
}
