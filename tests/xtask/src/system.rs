//! What the machine must have before anything builds or runs.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::step;

struct Need {
    what: &'static str,
    /// Exits with 0 when it is there.
    probe: &'static [&'static str],
    /// The Debian package that brings it.
    package: &'static str,
}

/// What building takes.
const BUILD: [Need; 5] = [
    Need {
        what: "a C compiler",
        probe: &["cc", "--version"],
        package: "build-essential",
    },
    Need {
        what: "a C++ compiler",
        probe: &["c++", "--version"],
        package: "build-essential",
    },
    Need {
        what: "make",
        probe: &["make", "--version"],
        package: "build-essential",
    },
    Need {
        what: "pkg-config",
        probe: &["pkg-config", "--version"],
        package: "pkg-config",
    },
    Need {
        what: "OpenSSL's headers",
        probe: &["pkg-config", "--exists", "openssl"],
        package: "libssl-dev",
    },
];

/// What an Apache Kafka and a Postgres beside the tests take. Java before Maven, whose package would bring another one.
const SERVERS: [Need; 3] = [
    Need {
        what: "Java 17 or later",
        probe: &["java", "-version"],
        package: "default-jdk-headless",
    },
    Need {
        what: "Maven",
        probe: &["mvn", "--version"],
        package: "maven",
    },
    Need {
        what: "a Postgres server",
        probe: &[
            "sh",
            "-c",
            "ls ${POSTGRES_BIN:-/usr/lib/postgresql/*/bin}/initdb",
        ],
        package: "postgresql-15",
    },
];

/// What plugins in Python and JavaScript are built by.
const GUESTS: [Need; 3] = [
    Need {
        what: "Python 3.10 or later with venv",
        probe: &[
            "python3",
            "-c",
            "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))",
        ],
        package: "python3-venv",
    },
    Need {
        what: "Node 20 or later",
        probe: &[
            "node",
            "-e",
            "process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)",
        ],
        package: "nodejs",
    },
    Need {
        what: "npm",
        probe: &["npm", "--version"],
        package: "npm",
    },
];

/// Makes the machine ready to build.
pub(crate) fn ready_to_build() -> Result<()> {
    provide(&BUILD.iter().collect::<Vec<_>>())
}

/// Makes the machine ready to build, also plugins, and to run an Apache Kafka and a Postgres.
pub(crate) fn ready() -> Result<()> {
    let needs = BUILD.iter().chain(&SERVERS).chain(&GUESTS);
    provide(&needs.collect::<Vec<_>>())
}

/// Installs what is missing by apt where this runs as root; elsewhere names it and fails.
fn provide(needs: &[&Need]) -> Result<()> {
    let missing = missing(needs);
    if missing.is_empty() {
        return Ok(());
    }
    let whats: Vec<&str> = missing.iter().map(|need| need.what).collect();
    let mut packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    packages.dedup();
    println!("missing on this machine: {}", whats.join(", "));
    if !(is_root() && works(&["apt-get", "--version"])) {
        bail!(
            "install {} (Debian: apt-get install {})",
            whats.join(", "),
            packages.join(" ")
        );
    }
    step("apt-get update", apt(&["update", "-qq"]))?;
    let mut install = vec!["install", "-y", "-qq", "--no-install-recommends"];
    install.extend(&packages);
    step(
        &format!("apt-get install {}", packages.join(" ")),
        apt(&install),
    )?;
    let still: Vec<&str> = self::missing(needs).iter().map(|need| need.what).collect();
    if !still.is_empty() {
        bail!("still missing after the installation: {}", still.join(", "));
    }
    Ok(())
}

fn missing<'a>(needs: &[&'a Need]) -> Vec<&'a Need> {
    needs
        .iter()
        .copied()
        .filter(|need| !works(need.probe))
        .collect()
}

fn works(probe: &[&str]) -> bool {
    let status = Command::new(probe[0])
        .args(&probe[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn apt(args: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null());
    command
}
