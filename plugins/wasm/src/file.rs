//! A plugin's file: read within limits, and judged before anything runs.

use crate::Kind;
use longshore_sdk::{Error, Result};
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// The first bytes of every WASM binary.
const MAGIC: &[u8; 4] = b"\0asm";
/// Bytes 4 to 7 of a core module, and of a component.
const MODULE: [u8; 4] = [1, 0, 0, 0];
const COMPONENT: [u8; 4] = [13, 0, 1, 0];
/// The package of the ABI.
const PACKAGE: &str = "longshore:connector/";
/// The ABI that this host speaks: releases of one `0.x` understand one another.
const VERSION: (u64, u64) = (0, 1);

/// A file that is to be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where it is.
    pub path: PathBuf,
    /// What it must be; none = whatever it is.
    pub pin: Option<Pin>,
}

/// The hash that a file must have. It is checked on the very bytes that are loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// SHA-256 in hexadecimal digits; another text fits no file.
    pub sha256: String,
    /// Where it is written down, for messages.
    pub written: String,
}

impl From<PathBuf> for Candidate {
    fn from(path: PathBuf) -> Self {
        Self { path, pin: None }
    }
}

/// A file's bytes, with its SHA-256 in hexadecimal digits.
pub(crate) struct Binary {
    pub(crate) bytes: Vec<u8>,
    pub(crate) sha256: String,
}

/// Reads a component once; at most `max` bytes are taken into memory. What is compiled or looked up later is what was hashed here.
pub(crate) fn read(candidate: &Candidate, max: u64) -> Result<Binary> {
    let Candidate { path, pin } = candidate;
    let unreadable =
        |error| Error::config("load", format!("{}: cannot be read", path.display())).because(error);
    let file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let too_large = || {
        Error::config(
            "load",
            format!(
                "{}: {length} bytes, but a plugin may have {max}: raise the limit for plugin files or build it smaller",
                path.display()
            ),
        )
    };
    if length > max {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    // It may have grown since.
    if bytes.len() as u64 > max {
        return Err(too_large());
    }
    let sha256 = hex(&digest(&bytes));
    if let Some(pin) = pin {
        check_pin(path, &sha256, pin)?;
    }
    check_header(path, &bytes)?;
    Ok(Binary { bytes, sha256 })
}

fn check_pin(path: &Path, sha256: &str, pin: &Pin) -> Result<()> {
    if sha256.eq_ignore_ascii_case(&pin.sha256) {
        return Ok(());
    }
    Err(Error::config(
        "load",
        format!(
            "{}: its hash {sha256} is not the one that is pinned in {}: it was changed; install it again if that was meant",
            path.display(),
            pin.written
        ),
    ))
}

fn check_header(path: &Path, bytes: &[u8]) -> Result<()> {
    let problem = if bytes.get(..4) != Some(MAGIC) {
        "no WASM binary: a plugin is a WASM component"
    } else if bytes.get(4..8) == Some(&MODULE) {
        "a core module, not a component: build it for the target wasm32-wasip2, or make a component of it with wasm-tools component new"
    } else if bytes.get(4..8) != Some(&COMPONENT) {
        "a WASM binary of an unknown layer or version: build it with current tools for the target wasm32-wasip2"
    } else {
        return Ok(());
    };
    Err(Error::config(
        "load",
        format!("{}: {problem}", path.display()),
    ))
}

/// SHA-256.
pub(crate) fn digest(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut out = [0; 32];
    out.copy_from_slice(digest.as_ref());
    out
}

/// Hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The kind that a component's exports say; names what does not fit.
pub(crate) fn kind(imports: &[String], exports: &[String]) -> std::result::Result<Kind, String> {
    for (names, direction) in [(imports, "imports"), (exports, "exports")] {
        for name in names.iter().filter(|name| name.starts_with(PACKAGE)) {
            let version = name.split_once('@').map_or("", |(_, version)| version);
            if !speaks(version) {
                let (major, minor) = VERSION;
                return Err(format!(
                    "made for {PACKAGE_NAME}@{version} (it {direction} {name}), but this host speaks {PACKAGE_NAME}@{major}.{minor}: {}",
                    if newer(version) {
                        "use a newer Longshore, or build the plugin for this one"
                    } else {
                        "build the plugin anew"
                    },
                    PACKAGE_NAME = PACKAGE.trim_end_matches('/'),
                ));
            }
        }
    }
    let has = |interface: &str| {
        exports.iter().any(|name| {
            let name = name.strip_prefix(PACKAGE).unwrap_or_default();
            name.split('@').next() == Some(interface)
        })
    };
    let worlds = [
        (
            Kind::Source,
            ["plugin", "planner", "source-task"].as_slice(),
        ),
        (Kind::Sink, ["plugin", "planner", "sink-task"].as_slice()),
        (Kind::Transform, ["plugin", "record-transform"].as_slice()),
    ];
    for (kind, interfaces) in worlds {
        if interfaces.iter().all(|interface| has(interface)) {
            return Ok(kind);
        }
    }
    let listed = if exports.is_empty() {
        "nothing".to_owned()
    } else {
        exports
            .iter()
            .take(8)
            .cloned()
            .collect::<Vec<_>>()
            .join(", ")
    };
    Err(format!(
        "a component of another world: a plugin exports {PACKAGE}plugin with source-task and planner, sink-task and planner, or record-transform, this one exports {listed}"
    ))
}

fn numbers(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn speaks(version: &str) -> bool {
    numbers(version) == Some(VERSION)
}

fn newer(version: &str) -> bool {
    numbers(version).is_some_and(|numbers| numbers > VERSION)
}
