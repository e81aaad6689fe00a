//! `cargo xtask mutants`: plants known bugs, one at a time, and asks whether the suites notice.
//!
//! A planted bug is a `mutant!("name")` in a source file; the feature `mutants` of its crate makes LONGSHORE_MUTANT=name switch it on.
//! A suite that stays green over one proves nothing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::guests;
use crate::simulate;
use crate::source;
use crate::test::{Suite, build, stream};

/// A suite that a planted bug brings to a standstill has noticed it, too.
const SILENCE_MAX: Duration = Duration::from_secs(300);

/// The packages whose tests judge besides the simulation, with the tests of theirs that do: those of the rest need more and see no more.
const JUDGES: [(&str, &[&str]); 3] = [
    ("longshore-engine", &[]),
    ("longshore-postgres", &["--test", "sink"]),
    ("longshore-wasm", &[]),
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
            planted
                .iter()
                .map(|planted| planted.name.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        );
    }
    crate::system::ready()?;
    let guests = guests::built()?;
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
    let judges = Judges { suites, guests };
    if let Some(judge) = judges.caught_by(None)? {
        bail!("{judge} fails without a planted bug; nothing is proved until it passes");
    }
    println!("no bug planted: all {} suites pass", judges.suites.len());
    let mut survivors = Vec::new();
    let chosen: Vec<&Planted> = planted
        .iter()
        .filter(|planted| only.is_none_or(|text| planted.name.contains(text)))
        .collect();
    for planted in &chosen {
        let name = &planted.name;
        match judges.caught_by(Some(planted))? {
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

/// A bug, and the file that it is planted in.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Planted {
    name: String,
    path: PathBuf,
}

/// The suites, and the plugins that some of them load.
struct Judges {
    suites: Vec<Suite>,
    guests: PathBuf,
}

impl Judges {
    /// The first suite that fails with the bug planted. Those of its own crate are asked first.
    fn caught_by(&self, planted: Option<&Planted>) -> Result<Option<String>> {
        let path = planted.map(|planted| std::path::absolute(&planted.path));
        let path = path.transpose()?;
        let own = |suite: &&Suite| {
            path.as_ref()
                .is_some_and(|path| path.starts_with(&suite.folder))
        };
        let (own, others): (Vec<_>, Vec<_>) = self.suites.iter().partition(own);
        for suite in own.into_iter().chain(others) {
            let name = planted.map(|planted| planted.name.as_str());
            if let Some(judge) = self.fails(suite, name)? {
                return Ok(Some(judge));
            }
        }
        Ok(None)
    }

    /// The suite's name, if it fails.
    fn fails(&self, suite: &Suite, mutant: Option<&str>) -> Result<Option<String>> {
        let mut run = Command::new(&suite.executable);
        run.current_dir(&suite.folder)
            .env("CARGO_MANIFEST_DIR", &suite.folder)
            .env("LONGSHORE_GUESTS", &self.guests)
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
        Ok(match status {
            Some(status) if status.success() => None,
            Some(_) => {
                print!("{}", String::from_utf8_lossy(&said));
                Some(suite.title())
            }
            None => Some(format!("{} (it hangs)", suite.title())),
        })
    }
}

/// All planted bugs, sorted by name; one that stands in several files counts once.
fn planted() -> Result<Vec<Planted>> {
    let mut planted = Vec::new();
    for path in source::files()? {
        let shipped = !path.starts_with("tests")
            && path.extension().is_some_and(|extension| extension == "rs");
        if shipped && path != Path::new("runtime/sdk/src/mutant.rs") {
            let names = names_in(&std::fs::read_to_string(&path)?);
            planted.extend(names.into_iter().map(|name| Planted {
                name,
                path: path.clone(),
            }));
        }
    }
    planted.sort();
    planted.dedup_by(|one, other| one.name == other.name);
    Ok(planted)
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
