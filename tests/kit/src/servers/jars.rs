//! Jars of Apache Kafka and of Debezium: fetched by Maven once, kept in the build cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// What is fetched. The name of the cache folder carries the version that stands in the POM.
struct Jars {
    name: &'static str,
    pom: &'static str,
    without: &'static str,
}

const KAFKA: Jars = Jars {
    name: "kafka-4.1.0",
    pom: include_str!("../../pom.xml"),
    without: "",
};

/// Without what a Connect worker brings itself: a second Jackson on the plugin path breaks both the converters and this sink.
const DEBEZIUM_JDBC: Jars = Jars {
    name: "plugins-debezium-jdbc-3.3.0.Final/debezium-jdbc",
    pom: include_str!("../../debezium-jdbc.xml"),
    without: "jackson-core,jackson-databind,jackson-annotations,slf4j-api,connect-api,kafka-clients",
};

/// The folder with the jars of Apache Kafka and Kafka Connect; the first call fetches them from Maven Central (about 100 jars, 100 MB).
/// Safe to call from several processes: a complete folder appears at once, by a rename.
/// Errors: Java or Maven is missing (says what to install), the repository cannot be reached.
pub fn kafka_jars() -> Result<PathBuf> {
    fetched(&KAFKA)
}

/// A folder for `plugin.path` of a Connect worker, with Debezium's JDBC sink 3.3.0.Final in it; fetched and kept like [`kafka_jars`].
pub fn debezium_jdbc_plugins() -> Result<PathBuf> {
    let jars = fetched(&DEBEZIUM_JDBC)?;
    Ok(jars
        .parent()
        .context("the jars have no folder")?
        .to_path_buf())
}

fn fetched(what: &Jars) -> Result<PathBuf> {
    needs_java()?;
    let cache = cache()?.join("servers");
    let jars = cache.join(what.name);
    if jars.is_dir() {
        return Ok(jars);
    }
    let parent = jars.parent().unwrap_or(&cache);
    std::fs::create_dir_all(parent)
        .with_context(|| format!("cannot create the build cache {}", parent.display()))?;
    let work = tempfile::Builder::new()
        .prefix("fetch-")
        .tempdir_in(&cache)?;
    std::fs::write(work.path().join("pom.xml"), what.pom)?;
    let fresh = work.path().join("jars");
    // A second try: a registry drops a connection now and then, and Maven keeps what it has already.
    if let Err(first) = fetch(what, work.path(), &fresh) {
        fetch(what, work.path(), &fresh).with_context(|| format!("second try after: {first:#}"))?;
    }
    match std::fs::rename(&fresh, &jars) {
        Ok(()) => Ok(jars),
        Err(_) if jars.is_dir() => Ok(jars),
        Err(error) => {
            Err(error).with_context(|| format!("cannot put the jars into {}", jars.display()))
        }
    }
}

fn fetch(what: &Jars, work: &Path, into: &Path) -> Result<()> {
    let run = Command::new("mvn")
        .args(["-q", "-B", "dependency:copy-dependencies"])
        .arg(format!("-DoutputDirectory={}", into.display()))
        .args((!what.without.is_empty()).then(|| format!("-DexcludeArtifactIds={}", what.without)))
        .current_dir(work)
        .output();
    let output = run.context("Maven is missing: install it (Debian: apt-get install maven)")?;
    if !output.status.success() {
        bail!(
            "Maven could not fetch the jars of {}:\n{}{}",
            what.name,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    if !into.is_dir() || std::fs::read_dir(into)?.next().is_none() {
        bail!("Maven fetched no jar");
    }
    Ok(())
}

fn needs_java() -> Result<()> {
    let output = Command::new("java").arg("-version").output().context("Java is missing: install a JDK, 17 or later (Debian: apt-get install default-jdk-headless)")?;
    if !output.status.success() {
        bail!(
            "java -version fails: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

/// CARGO_TARGET_DIR, or the user's cache folder: both survive `cargo clean -p` and a fresh clone.
fn cache() -> Result<PathBuf> {
    if let Some(target) = std::env::var_os("CARGO_TARGET_DIR") {
        return Ok(std::path::absolute(PathBuf::from(target))?);
    }
    let base = match (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")) {
        (Some(cache), _) if !cache.is_empty() => PathBuf::from(cache),
        (_, Some(home)) => PathBuf::from(home).join(".cache"),
        _ => bail!("no cache folder: set CARGO_TARGET_DIR or HOME"),
    };
    Ok(base.join("longshore"))
}
