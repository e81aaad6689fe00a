//! Apache Kafka's jars: fetched by Maven once, kept in the build cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

const POM: &str = include_str!("../../pom.xml");
/// The name of the cache folder carries the version of pom.xml.
const NAME: &str = "kafka-4.1.0";

/// The folder with the jars of Apache Kafka and Kafka Connect; the first call fetches them from Maven Central (about 100 jars, 100 MB).
/// Safe to call from several processes: a complete folder appears at once, by a rename.
/// Errors: Java or Maven is missing (says what to install), the repository cannot be reached.
pub fn kafka_jars() -> Result<PathBuf> {
    needs_java()?;
    let cache = cache()?.join("servers");
    let jars = cache.join(NAME);
    if jars.is_dir() {
        return Ok(jars);
    }
    std::fs::create_dir_all(&cache)
        .with_context(|| format!("cannot create the build cache {}", cache.display()))?;
    let work = tempfile::Builder::new()
        .prefix("fetch-")
        .tempdir_in(&cache)?;
    std::fs::write(work.path().join("pom.xml"), POM)?;
    let fresh = work.path().join("jars");
    // A second try: a registry drops a connection now and then, and Maven keeps what it has already.
    if let Err(first) = fetch(work.path(), &fresh) {
        fetch(work.path(), &fresh).with_context(|| format!("second try after: {first:#}"))?;
    }
    match std::fs::rename(&fresh, &jars) {
        Ok(()) => Ok(jars),
        Err(_) if jars.is_dir() => Ok(jars),
        Err(error) => {
            Err(error).with_context(|| format!("cannot put the jars into {}", jars.display()))
        }
    }
}

fn fetch(work: &Path, into: &Path) -> Result<()> {
    let run = Command::new("mvn")
        .args(["-q", "-B", "dependency:copy-dependencies"])
        .arg(format!("-DoutputDirectory={}", into.display()))
        .current_dir(work)
        .output();
    let output = run.context("Maven is missing: install it (Debian: apt-get install maven)")?;
    if !output.status.success() {
        bail!(
            "Maven could not fetch the jars of Apache Kafka:\n{}{}",
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
