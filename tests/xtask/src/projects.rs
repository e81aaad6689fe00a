//! `cargo xtask projects`: what `longshore plugin new` makes must build, pass `longshore plugin check` and run, in every language.

mod cached;
mod enriched;
mod installed;
mod running;
mod web;
mod worker;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::test::node_tests;
use crate::{cargo, guests, step};

const LANGUAGES: [&str; 3] = ["rust", "python", "js"];
const KINDS: [&str; 3] = ["source", "sink", "transform"];
/// Examples that are no Rust crates: the language and the folder in plugins/examples. They are made of what a project has, and of their own files.
const EXAMPLES: [(&str, &str); 2] = [("python", NORMALIZE), ("js", ENRICH)];
/// Tidies times and measures.
const NORMALIZE: &str = "normalize-json";
/// Asks an HTTP service.
const ENRICH: &str = "enrich-http";
/// The languages whose components take a minute to build.
const SLOW: [&str; 2] = ["python", "js"];

/// Makes, builds and checks a project of each kind in the given languages, none = in all, and the examples in them; then runs them all on one worker.
/// Goes on behind a failure and names all at the end.
pub(crate) fn projects(languages: &[String]) -> Result<()> {
    if let Some(unknown) = languages
        .iter()
        .find(|language| !LANGUAGES.contains(&language.as_str()))
    {
        bail!(
            "`{unknown}` is no language of plugins: {}",
            LANGUAGES.join(", ")
        );
    }
    let wanted =
        |language: &&str| languages.is_empty() || languages.iter().any(|one| one == language);
    let wanted: Vec<&str> = LANGUAGES.into_iter().filter(wanted).collect();
    let longshore = longshore()?;
    let bench = Bench::new(longshore)?;
    cached::limit_compiled(&bench.compiled())?;
    let mut failed = Vec::new();
    let mut components = Vec::new();
    let mut take = |what: String, start: Instant, made: Result<PathBuf>| match made {
        Ok(component) => {
            println!("{what}: {:?}", start.elapsed());
            components.push(component);
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            failed.push(what);
        }
    };
    for language in &wanted {
        for kind in KINDS {
            let start = Instant::now();
            let made = bench.project(language, kind);
            take(format!("a {kind} in {language}"), start, made);
        }
    }
    for (language, name) in EXAMPLES {
        if wanted.contains(&language) {
            let start = Instant::now();
            take(
                format!("the example {name}"),
                start,
                bench.example(language, name),
            );
        }
    }
    if !failed.is_empty() {
        bail!("plugins: {} failed", failed.join(", "));
    }
    let start = Instant::now();
    running::run(&bench.longshore, &bench.compiled(), &wanted, &components)
        .context("what `longshore plugin new` makes does not run")?;
    println!(
        "{} plugins on one worker: {:?}",
        components.len(),
        start.elapsed()
    );
    let enrich = components
        .iter()
        .find(|component| component.file_stem().is_some_and(|name| name == ENRICH));
    if let Some(enrich) = enrich {
        let start = Instant::now();
        enriched::run(&bench.longshore, &bench.compiled(), enrich)
            .with_context(|| format!("{ENRICH} does not do what its README says"))?;
        println!("{ENRICH} and odd services: {:?}", start.elapsed());
    }
    Ok(())
}

/// Where projects are made.
struct Bench {
    /// The binary.
    longshore: PathBuf,
    folder: PathBuf,
}

impl Bench {
    fn new(longshore: PathBuf) -> Result<Self> {
        let folder = guests::target_directory()?.join("guest-projects");
        Ok(Self { longshore, folder })
    }
    /// What the binary compiled, by hash: checks and the worker share it.
    fn compiled(&self) -> PathBuf {
        self.folder.join("data/wasm-cache")
    }
    /// A project as `longshore plugin new` makes it; its component.
    fn project(&self, language: &str, kind: &str) -> Result<PathBuf> {
        let name = format!("{language}-{kind}");
        let parent = self.emptied(language, &name)?;
        let mut new = Command::new(&self.longshore);
        new.args(["plugin", "new", &name, "--lang", language, "--kind", kind])
            .arg("--dir")
            .arg(&parent)
            .stdout(Stdio::null());
        step(&format!("longshore plugin new {name}"), new)?;
        let component = build(&parent, language, &name)?;
        if language != "rust" {
            unit_tests(language, &name, &parent.join(&name))?;
        }
        self.check(&component, kind)?;
        Ok(component)
    }
    /// An example of plugins/examples, in a folder with what a project of `longshore plugin new` has; its component.
    fn example(&self, language: &str, name: &str) -> Result<PathBuf> {
        let parent = self.emptied(language, name)?;
        let project = parent.join(name);
        std::fs::create_dir(&project)?;
        let guest = Path::new("plugins/guest");
        let example = Path::new("plugins/examples").join(name);
        let sdk = guest.join(language);
        for (from, to) in [
            (example.clone(), "."),
            (guest.join("wit"), "wit"),
            (sdk.clone(), "."),
            (sdk.join("longshore"), "longshore"),
        ] {
            copy_files(&from, &project.join(to))?;
        }
        let component = build(&parent, language, name)?;
        // Behind the build: they are no part of what it is made of.
        copy_files(&example.join("tests"), &project.join("tests"))?;
        unit_tests(language, name, &project)?;
        self.check(&component, "transform")?;
        Ok(component)
    }
    /// The folder of a language, without a project of this name.
    fn emptied(&self, language: &str, name: &str) -> Result<PathBuf> {
        let parent = self.folder.join(language);
        let project = parent.join(name);
        std::fs::create_dir_all(&parent)?;
        if project.exists() {
            std::fs::remove_dir_all(&project)
                .with_context(|| format!("cannot remove {}", project.display()))?;
        }
        Ok(parent)
    }
    fn check(&self, component: &Path, kind: &str) -> Result<()> {
        println!(
            "== longshore plugin check {}",
            component.file_name().unwrap_or_default().to_string_lossy()
        );
        let check = Command::new(&self.longshore)
            .args(["plugin", "check"])
            .arg(component)
            .arg("--data-dir")
            .arg(self.folder.join("data"))
            .stderr(Stdio::inherit())
            .output()
            .context("cannot run longshore")?;
        let said = String::from_utf8_lossy(&check.stdout);
        print!("{said}");
        if !check.status.success() || !said.contains(&format!("({kind})")) {
            bail!(
                "{}: longshore plugin check finds something wrong",
                component.display()
            );
        }
        Ok(())
    }
}

/// Copies the files of a folder, without its folders: built in its place, an example has some, and a component beside its files.
fn copy_files(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let made = entry.path().extension().is_some_and(|end| end == "wasm");
        if entry.file_type()?.is_file() && !made {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// A project or an example in Python or JavaScript with the host stood in for: its own tests, or those in its folder of them.
fn unit_tests(language: &str, name: &str, project: &Path) -> Result<()> {
    let tests = project.join("tests");
    let mut test = if language == "python" {
        let mut test = Command::new("python3");
        test.args(["-m", "unittest"]);
        if tests.exists() {
            test.args(["discover", "--quiet", "-s", "tests"]);
        } else {
            test.args(["--quiet", "test_app"]);
        }
        test
    } else {
        let mut test = Command::new("node");
        let folder = if tests.exists() { &tests } else { project };
        test.args(["--test", "--test-reporter=dot"])
            .args(node_tests(&std::path::absolute(folder)?)?);
        test
    };
    test.current_dir(project)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null());
    step(&format!("tests of {name}"), test)
}

/// Runs build.sh of a project, or takes what it made of the same files before; the component.
fn build(parent: &Path, language: &str, name: &str) -> Result<PathBuf> {
    let project = parent.join(name);
    let component = project.join(format!("{name}.wasm"));
    let kept = if SLOW.contains(&language) {
        Some(cached::place(&guests::kept_directory()?, &project, name)?)
    } else {
        None
    };
    if let Some(kept) = kept.as_ref().filter(|kept| kept.is_file()) {
        println!("== {name}.wasm is built already");
        std::fs::copy(kept, &component)?;
        return Ok(component);
    }
    if language == "js" {
        node_modules(parent, &project)?;
    }
    let mut build = Command::new("bash");
    build.arg(project.join("build.sh"));
    with_tools(&mut build, parent)?;
    step(&format!("build.sh of {name}"), build)?;
    if language == "rust" {
        let mut test = cargo(["test", "--quiet"]);
        with_tools(test.current_dir(&project), parent)?;
        step(&format!("cargo test of {name}"), test)?;
    }
    if let Some(kept) = kept {
        cached::keep(&component, &kept, name)?;
    }
    Ok(component)
}

/// What projects of one language share, so that it is fetched and built once.
fn with_tools(command: &mut Command, parent: &Path) -> Result<()> {
    command
        .env("CARGO_TARGET_DIR", guests::build_directory()?)
        .env("LONGSHORE_GUEST_TOOLCHAIN", guests::toolchain_directory()?)
        .env("LONGSHORE_GUEST_VENV", parent.join("venv"))
        .stdin(Stdio::null());
    Ok(())
}

/// Node looks for packages in the folders above, too: the first project's are kept there.
fn node_modules(parent: &Path, project: &Path) -> Result<()> {
    let manifest = parent.join("package.json");
    let wanted = std::fs::read(project.join("package.json"))?;
    // The manifest comes last: it says that the packages are there.
    if std::fs::read(&manifest).is_ok_and(|known| same_packages(&known, &wanted)) {
        return Ok(());
    }
    let mut install = Command::new("npm");
    install
        .args(["install", "--silent", "--no-audit", "--no-fund"])
        .current_dir(project)
        .stdin(Stdio::null());
    step("npm install", install)?;
    let shared = parent.join("node_modules");
    if shared.exists() {
        std::fs::remove_dir_all(&shared)?;
    }
    std::fs::rename(project.join("node_modules"), &shared)?;
    std::fs::write(&manifest, wanted)?;
    Ok(())
}

fn same_packages(one: &[u8], two: &[u8]) -> bool {
    let packages = |text: &[u8]| {
        let manifest: Value = serde_json::from_slice(text).ok()?;
        Some(manifest["devDependencies"].clone())
    };
    packages(one).is_some() && packages(one) == packages(two)
}

/// The binary as the suites use it, built if need be.
fn longshore() -> Result<PathBuf> {
    println!("== cargo build --package longshore");
    let output = cargo([
        "build",
        "--package",
        "longshore",
        "--message-format",
        "json-render-diagnostics",
    ])
    .stderr(Stdio::inherit())
    .output()
    .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("longshore does not build");
    }
    let messages = String::from_utf8(output.stdout)?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "longshore")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo built no longshore")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_the_same_whatever_the_projects_name() {
        let one = br#"{"name":"a","devDependencies":{"x":"1"}}"#;
        assert!(same_packages(
            one,
            br#"{"name":"b","devDependencies":{"x":"1"}}"#
        ));
        assert!(!same_packages(one, br#"{"devDependencies":{"x":"2"}}"#));
        assert!(!same_packages(b"", b""));
    }
}
