//! `cargo xtask test`: every suite, first on the embedded broker, then those that talk to a broker on a real Apache Kafka.

mod kafka;
mod report;
mod sdks;
mod stream;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::simulate::{self, PACKAGE};
use crate::{cargo, guests, projects, system};
use report::Report;
pub(crate) use sdks::node_tests;
pub(crate) use stream::stream;

/// A suite that takes KAFKA_BOOTSTRAP: the package, and the test target (`None` = every integration test of the package).
const ON_KAFKA: [(&str, Option<&str>); 12] = [
    ("longshore-broker", Some("conformance")),
    ("longshore-kafka", None),
    ("longshore-mirror", None),
    ("longshore-crash-tests", Some("quickstart")),
    ("longshore-crash-tests", Some("points")),
    ("longshore-crash-tests", Some("files")),
    ("longshore-crash-tests", Some("postgres")),
    ("longshore-crash-tests", Some("exactly_once")),
    ("longshore-crash-tests", Some("zombies")),
    ("longshore-crash-tests", Some("cluster")),
    ("longshore-crash-tests", Some("internal_topics")),
    ("longshore-crash-tests", Some("departures")),
];
/// Suites that start the Apache Kafka that they need: running them on another changes nothing.
const OWN_KAFKA: [(&str, &str); 1] = [("longshore-kafka", "secured")];

/// One executable of `cargo test`.
pub(crate) struct Suite {
    package: String,
    target: String,
    /// An integration test, not the unit tests of a library or binary.
    integration: bool,
    pub(crate) executable: PathBuf,
    pub(crate) folder: PathBuf,
}

impl Suite {
    /// How summaries call it.
    pub(crate) fn title(&self) -> String {
        if self.integration {
            format!("{} {}", self.package, self.target)
        } else {
            format!("{} unit", self.package)
        }
    }
}

pub(crate) fn test() -> Result<()> {
    let start = Instant::now();
    system::ready()?;
    let guests = guests::built()?;
    let mut suites = build(&["test", "--workspace", "--exclude", PACKAGE, "--no-run"])?;
    let simulation = simulate::suites(&[])?;
    let crash_binary = crash_binary()?;
    let mut report = Report::default();

    println!("== cargo test --workspace (embedded broker)");
    let mut all = cargo([
        "test",
        "--workspace",
        "--exclude",
        PACKAGE,
        "--no-fail-fast",
    ]);
    all.env_remove("KAFKA_BOOTSTRAP")
        .env("LONGSHORE_BIN", &crash_binary)
        .env("LONGSHORE_GUESTS", &guests);
    report.run("embedded broker", all, &suites)?;

    for (manifest, suite) in guest_suites() {
        println!("== cargo test --manifest-path {manifest}");
        report.run_one("none", guests::native("test", manifest)?, &suite)?;
    }
    for error in sdks::run(|title, passed, failed| report.book(title, passed, failed)) {
        report.breach(format!("{error:#}"));
    }
    if let Err(error) = projects::projects(&[]) {
        report.breach(format!("{error:#}"));
    }

    println!("== simulation");
    for suite in &simulation {
        let mut run = Command::new(&suite.executable);
        run.current_dir(&suite.folder);
        report.run_one("memory", run, suite)?;
    }
    suites.extend(simulation);

    println!("== Apache Kafka");
    let kafka = kafka::Running::start()?;
    println!("Apache Kafka 4.1.0 answers at {}", kafka.bootstrap);
    for suite in suites.iter().filter(|suite| on_kafka(suite)) {
        println!(
            "     Running {} {} on Apache Kafka",
            suite.package, suite.target
        );
        let mut run = Command::new(&suite.executable);
        run.current_dir(&suite.folder)
            .env("CARGO_MANIFEST_DIR", &suite.folder);
        run.env("KAFKA_BOOTSTRAP", &kafka.bootstrap)
            .env("LONGSHORE_BIN", &crash_binary)
            .env("LONGSHORE_GUESTS", &guests);
        report.run_one("Apache Kafka", run, suite)?;
    }
    for (package, target) in ON_KAFKA {
        if !suites.iter().any(|suite| is(suite, package, target)) {
            report.breach(format!(
                "{package} {} does not run on Apache Kafka",
                target.unwrap_or_default()
            ));
        }
    }
    drop(kafka);
    report.close(start.elapsed())
}

/// Crates outside of the workspace, since they are built for WASM; their unit tests run natively.
fn guest_suites() -> [(&'static str, Suite); 2] {
    let suite = |name: &str| Suite {
        package: name.to_owned(),
        target: name.to_owned(),
        integration: false,
        executable: PathBuf::new(),
        folder: PathBuf::new(),
    };
    [
        ("plugins/guest/Cargo.toml", suite("longshore-guest")),
        ("plugins/examples/Cargo.toml", suite("plugins/examples")),
    ]
}

fn on_kafka(suite: &Suite) -> bool {
    let own = |(package, target): &(&str, &str)| is(suite, package, Some(target));
    !OWN_KAFKA.iter().any(own)
        && ON_KAFKA
            .iter()
            .any(|(package, target)| is(suite, package, *target))
}

fn is(suite: &Suite, package: &str, target: Option<&str>) -> bool {
    suite.integration
        && suite.package == package
        && target.is_none_or(|target| suite.target == target)
}

/// Builds tests and says where cargo put them.
pub(crate) fn build(args: &[&str]) -> Result<Vec<Suite>> {
    println!("== cargo {}", args.join(" "));
    let mut build = cargo(args.iter().copied());
    build.args(["--message-format", "json-render-diagnostics"]);
    let mut child = build
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo")?;
    let messages = child.stdout.take().context("cargo has no output")?;
    let mut suites = Vec::new();
    for line in BufReader::new(messages).lines() {
        if let Ok(message) = serde_json::from_str::<Value>(&line?) {
            suites.extend(suite(&message));
        }
    }
    if !child.wait()?.success() {
        bail!("the tests do not build");
    }
    Ok(suites)
}

fn suite(message: &Value) -> Option<Suite> {
    let executable = message["executable"].as_str()?;
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let manifest = PathBuf::from(message["manifest_path"].as_str()?);
    Some(Suite {
        package: package_name(message["package_id"].as_str()?),
        target: message["target"]["name"].as_str()?.to_owned(),
        integration: message["target"]["kind"][0] == "test",
        executable: executable.into(),
        folder: manifest.parent()?.to_path_buf(),
    })
}

/// `path+file:///x/tests/kit#longshore-kit@0.1.0` -> `longshore-kit`; without a name after the `#` the folder has the package's name.
fn package_name(id: &str) -> String {
    let (path, name) = id.rsplit_once('#').unwrap_or((id, ""));
    match name.rsplit_once('@') {
        Some((name, _)) => name.to_owned(),
        None => path.rsplit('/').next().unwrap_or(path).to_owned(),
    }
}

/// The binary with its named crash points, which the crash suites kill.
fn crash_binary() -> Result<PathBuf> {
    let mut build = cargo([
        "run",
        "--quiet",
        "--package",
        "longshore-crash-tests",
        "--bin",
        "longshore-prove",
        "--",
        "build",
    ]);
    println!("== longshore with crash points");
    let output = build
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("the binary with crash points does not build");
    }
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

#[cfg(test)]
mod tests {
    use super::package_name;

    #[test]
    fn package_ids_in_both_spellings() {
        assert_eq!(
            package_name("path+file:///x/tests/kit#longshore-kit@0.1.0"),
            "longshore-kit"
        );
        assert_eq!(package_name("path+file:///x/tests/xtask#0.1.0"), "xtask");
    }
}
