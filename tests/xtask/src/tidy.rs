//! `cargo xtask tidy`: rules that no compiler holds.

mod crates;
mod text;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::source;

/// What is wrong, and what merely should be better.
#[derive(Default)]
struct Findings {
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl Findings {
    fn error(&mut self, place: impl std::fmt::Display, problem: impl std::fmt::Display) {
        self.errors.push(format!("{place}: {problem}"));
    }

    fn warn(&mut self, place: impl std::fmt::Display, problem: impl std::fmt::Display) {
        self.warnings.push(format!("{place}: {problem}"));
    }
}

/// Checks everything and prints every finding; fails when one is an error.
pub(crate) fn tidy() -> Result<()> {
    println!("== tidy");
    let files = source::files()?;
    let mut findings = Findings::default();
    text::check(&files, &mut findings)?;
    connectors(&files, &mut findings);
    crates::check(&mut findings)?;
    for warning in &findings.warnings {
        println!("warning: {warning}");
    }
    for error in &findings.errors {
        println!("error: {error}");
    }
    println!(
        "tidy: {} files, {} errors, {} warnings",
        files.len(),
        findings.errors.len(),
        findings.warnings.len()
    );
    if !findings.errors.is_empty() {
        bail!("tidy found {} errors", findings.errors.len());
    }
    Ok(())
}

/// Crates under connectors/ that several connectors share and that hold none.
const SHARED_CLIENTS: [&str; 2] = ["blob", "embedding"];

/// Whoever knows one connector finds their way in every other: the same files in each.
fn connectors(files: &[PathBuf], findings: &mut Findings) {
    const FIXED: [&str; 3] = ["src/lib.rs", "src/config.rs", "README.md"];
    for manifest in files.iter().filter(|path| {
        path.starts_with("connectors")
            && path.ends_with("Cargo.toml")
            && path.components().count() == 3
    }) {
        let folder = manifest.parent().unwrap_or(Path::new(""));
        if SHARED_CLIENTS.iter().any(|shared| folder.ends_with(shared)) {
            continue;
        }
        for fixed in FIXED {
            if !files.contains(&folder.join(fixed)) {
                findings.error(
                    folder.display(),
                    format_args!("{fixed} is missing; every connector has it"),
                );
            }
        }
        // One for each direction, where there are two.
        let behaviour = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            path.starts_with(folder.join("tests")) && name.ends_with("behaviour.rs")
        };
        if !files.iter().any(behaviour) {
            findings.error(
                folder.display(),
                "no tests/**/*behaviour.rs runs the behaviour suite; every connector does",
            );
        }
    }
}
