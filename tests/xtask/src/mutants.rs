//! `cargo xtask mutants`: plants known bugs, one at a time, and asks whether the suites notice.
//!
//! A planted bug is a `mutant!("name")` in a source file; the feature `mutants` of its crate makes LONGSHORE_MUTANT=name switch it on.
//! A suite that stays green over one proves nothing.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::simulate;
use crate::source;
use crate::test::{Suite, build, stream};

/// A suite that a planted bug brings to a standstill has noticed it, too.
const SILENCE_MAX: Duration = Duration::from_secs(300);

/// The packages whose tests judge besides the simulation, with the tests of theirs that do: those of the rest need more and see no more.
const JUDGES: [(&str, &[&str]); 2] = [
    ("longshore-engine", &[]),
    ("longshore-postgres", &["--test", "sink"]),
];
/// How many seeds of each world of the simulation judge.
const SEEDS: &str = "3000";
/// Fewer planted bugs than this means that somebody took one out.
const PLANTED_MIN: usize = 6;

pub(crate) fn mutants(only: Option<&str>) -> Result<()> {
    let planted = planted()?;
    if planted.len() < PLANTED_MIN {
        bail!(
            "{} bugs are planted ({}), {PLANTED_MIN} at least are required",
            planted.len(),
            planted.join(", ")
        );
    }
    crate::system::ready()?;
    let mut suites = Vec::new();
    for (package, tests) in JUDGES {
        let mut args = vec!["test", "--no-run", "--features", "mutants"];
        args.extend(["--package", package]);
        args.extend(tests);
        suites.extend(build(&args)?);
    }
    suites.extend(simulate::suites(&["--features", "mutants"])?);
    // The quick ones first: the first that fails ends a round.
    suites.sort_by_key(|suite| suite.title().contains("postgres"));
    if let Some(judge) = caught_by(&suites, None)? {
        bail!("{judge} fails without a planted bug; nothing is proved until it passes");
    }
    println!("no bug planted: all {} suites pass", suites.len());
    let mut survivors = Vec::new();
    let chosen: Vec<&String> = planted
        .iter()
        .filter(|name| only.is_none_or(|text| name.contains(text)))
        .collect();
    for name in &chosen {
        match caught_by(&suites, Some(name))? {
            Some(judge) => println!("caught    {name:<32} by {judge}"),
            None => {
                println!("SURVIVED  {name}");
                survivors.push(name.as_str());
            }
        }
    }
    if !survivors.is_empty() {
        bail!("the suites stay green over: {}", survivors.join(", "));
    }
    println!("mutants: {} of {} caught", chosen.len(), chosen.len());
    Ok(())
}

/// The first suite that fails with the bug planted.
fn caught_by(suites: &[Suite], mutant: Option<&str>) -> Result<Option<String>> {
    for suite in suites {
        let mut run = Command::new(&suite.executable);
        run.current_dir(&suite.folder)
            .env("CARGO_MANIFEST_DIR", &suite.folder)
            .env("LONGSHORE_SEEDS", SEEDS)
            // What a planted bug makes fail is nothing to remember.
            .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1")
            .env_remove("KAFKA_BOOTSTRAP");
        if let Some(name) = mutant {
            run.env("LONGSHORE_MUTANT", name);
        }
        // A caught mutant prints pages of panics, and nobody reads them: the verdict is how it ends.
        let mut said = Vec::new();
        let status = stream(run, SILENCE_MAX, |line| {
            if mutant.is_none() {
                said.extend_from_slice(line);
            }
            Ok(())
        })?;
        match status {
            Some(status) if status.success() => {}
            Some(_) => {
                print!("{}", String::from_utf8_lossy(&said));
                return Ok(Some(suite.title()));
            }
            None => return Ok(Some(format!("{} (it hangs)", suite.title()))),
        }
    }
    Ok(None)
}

/// The names of all planted bugs, sorted.
fn planted() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for path in source::files()? {
        let shipped = !path.starts_with("tests")
            && path.extension().is_some_and(|extension| extension == "rs");
        if shipped && path != Path::new("runtime/sdk/src/mutant.rs") {
            names.extend(names_in(&std::fs::read_to_string(&path)?));
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

fn names_in(text: &str) -> Vec<String> {
    let calls = text.split("mutant!(\"").skip(1);
    calls
        .filter_map(|rest| rest.split_once('"'))
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn planted_names_are_found() {
        assert_eq!(
            super::names_in("if mutant!(\"a-b\") || mutant!(\"c\") {"),
            ["a-b", "c"]
        );
    }
}
