//! Rules about the text of files: length, names, cited invariants, paths.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Findings;
use crate::source::{comment, lines_without_tests, words};

const LINES_WARN: usize = 400;
const LINES_MAX: usize = 600;
/// A module with such a name collects what belongs to no idea.
const BUCKETS: [&str; 7] = [
    "types", "utils", "util", "common", "helpers", "helper", "misc",
];
const EMPTY_WORDS: [&str; 6] = ["Manager", "Handler", "Helper", "Util", "Service", "Impl"];
const INVARIANTS: std::ops::RangeInclusive<u32> = 1..=8;

pub(super) fn check(files: &[PathBuf], findings: &mut Findings) -> Result<()> {
    let mut cited = Cited::default();
    for path in files {
        // A file that is no text has no lines to check.
        let Ok(text) = std::fs::read_to_string(path) else {
            continue;
        };
        machine_paths(path, &text, findings);
        if path.extension().is_some_and(|extension| extension == "rs") {
            length(path, &text, findings);
            names(path, &text, findings);
            // This command's own files speak about the rules instead of keeping them.
            if !path.starts_with("tests/xtask") {
                invariants(path, &text, &mut cited, findings);
            }
        }
    }
    for number in INVARIANTS {
        let place = format!("invariant I{number}");
        if !cited.enforced.contains(&number) {
            findings.warn(
                &place,
                "no line of runtime/, connectors/ or plugins/ cites it",
            );
        }
        if !cited.tested.contains(&number) {
            findings.warn(&place, "no test cites it");
        }
    }
    Ok(())
}

fn length(path: &Path, text: &str, findings: &mut Findings) {
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    if !parts.contains(&"src")
        || parts
            .iter()
            .any(|part| *part == "tests.rs" || (*part == "tests" && parts[0] != "tests"))
    {
        return;
    }
    let lines = lines_without_tests(text);
    if lines > LINES_MAX {
        findings.error(
            path.display(),
            format_args!(
                "{lines} lines without tests; {LINES_MAX} is the limit, {LINES_WARN} the aim"
            ),
        );
    } else if lines > LINES_WARN {
        findings.warn(
            path.display(),
            format_args!("{lines} lines without tests; the aim is {LINES_WARN}"),
        );
    }
}

fn names(path: &Path, text: &str, findings: &mut Findings) {
    let bucket = |name: &str| BUCKETS.contains(&name);
    let modules = path.components().map(|part| {
        Path::new(part.as_os_str())
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default()
    });
    if let Some(name) = modules.into_iter().find(|name| bucket(name)) {
        findings.error(
            path.display(),
            format_args!("`{name}` names no idea; name the module after what it holds"),
        );
    }
    for (number, line) in text.lines().enumerate() {
        let code = &line[..line.len() - comment(line).len()];
        let mut before = "";
        for word in words(code) {
            if before == "mod" && bucket(word) {
                findings.error(
                    place(path, number),
                    format_args!("module `{word}` names no idea"),
                );
            }
            let declared = matches!(before, "struct" | "enum" | "trait" | "type");
            if declared && let Some(empty) = EMPTY_WORDS.iter().find(|empty| word.ends_with(*empty))
            {
                findings.error(
                    place(path, number),
                    format_args!("`{word}` ends in `{empty}`, which says nothing"),
                );
            }
            before = word;
        }
    }
}

#[derive(Default)]
struct Cited {
    enforced: Vec<u32>,
    tested: Vec<u32>,
}

fn invariants(path: &Path, text: &str, cited: &mut Cited, findings: &mut Findings) {
    let mut in_tests =
        path.starts_with("tests") || path.components().any(|part| part.as_os_str() == "tests");
    for (number, line) in text.lines().enumerate() {
        in_tests |= line == "#[cfg(test)]";
        for word in words(comment(line)) {
            let Some(invariant) = word
                .strip_prefix('I')
                .and_then(|digits| digits.parse().ok())
            else {
                continue;
            };
            if !INVARIANTS.contains(&invariant) {
                findings.error(
                    place(path, number),
                    format_args!("{word} is no invariant; they are I1 to I8"),
                );
            } else if in_tests {
                cited.tested.push(invariant);
            } else {
                cited.enforced.push(invariant);
            }
        }
    }
}

/// A path of one machine works on no other.
fn machine_paths(path: &Path, text: &str, findings: &mut Findings) {
    for (number, line) in text.lines().enumerate() {
        for home in ["work", "root", "home"] {
            let pattern = format!("/{home}/");
            let found = line.match_indices(&pattern).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                !before.is_some_and(|c| {
                    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '}' | '>' | '*')
                })
            });
            if found {
                findings.error(
                    place(path, number),
                    format_args!("an absolute path below /{home}: it exists on one machine only"),
                );
            }
        }
    }
}

fn place(path: &Path, index: usize) -> String {
    format!("{}:{}", path.display(), index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(check: impl FnOnce(&mut Findings)) -> Vec<String> {
        let mut findings = Findings::default();
        check(&mut findings);
        findings.errors
    }

    #[test]
    fn long_files_fail_and_tests_do_not_count() {
        let long = "x\n".repeat(601);
        assert_eq!(
            errors(|f| length(Path::new("a/src/b.rs"), &long, f)).len(),
            1
        );
        let tested = format!("x\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
        assert!(errors(|f| length(Path::new("a/src/b.rs"), &tested, f)).is_empty());
    }

    #[test]
    fn empty_names_fail() {
        // In two parts, so that this file does not break the rule.
        let bad = ["struct Task", "Manager;"].concat();
        assert_eq!(
            errors(|f| names(Path::new("a/src/utils.rs"), "", f)).len(),
            1
        );
        assert_eq!(
            errors(|f| names(Path::new("a/src/b.rs"), &format!("pub {}", bad), f)).len(),
            1
        );
        assert!(errors(|f| names(Path::new("a/src/b.rs"), "use x::TaskManager;", f)).is_empty());
    }

    #[test]
    fn unknown_invariants_fail() {
        let mut cited = Cited::default();
        let text = format!("// holds I1\n// holds I{}\nlet I9 = 9;\n", 9);
        let found = errors(|f| invariants(Path::new("runtime/a/src/b.rs"), &text, &mut cited, f));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(cited.enforced, [1]);
    }

    #[test]
    fn machine_paths_fail_and_url_paths_do_not() {
        let bad = format!("see /{}/x", "work");
        assert_eq!(errors(|f| machine_paths(Path::new("a"), &bad, f)).len(), 1);
        assert!(
            errors(|f| machine_paths(Path::new("a"), "GET /admin/loggers/root/level", f))
                .is_empty()
        );
    }
}
