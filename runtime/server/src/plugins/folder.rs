//! The folder of installed plugins: `NAME-VERSION.wasm`, each with its pin, `NAME-VERSION.wasm.sha256`.

use anyhow::{Context, Result, bail};
use aws_lc_rs::digest::SHA256;
use std::{
    fs::{self, File, Permissions},
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tempfile::TempPath;

/// Installed plugins of one worker.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// The folder at a path; it need not be there.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }
    /// Where a plugin stands, or would.
    pub(crate) fn place(&self, name: &str, version: &str) -> PathBuf {
        self.0.join(format!("{name}-{version}.wasm"))
    }
    /// A copy of a file beside its future place, with the hash of what was copied. Nobody takes it for a plugin.
    pub(crate) fn copy(&self, from: &Path, bytes_max: u64) -> Result<(Draft, String)> {
        fs::create_dir_all(&self.0)
            .with_context(|| format!("{} cannot be made", self.0.display()))?;
        let wrong = || {
            format!(
                "{} cannot be copied to {}",
                from.display(),
                self.0.display()
            )
        };
        let mut source = File::open(from)
            .with_context(|| format!("{} cannot be read", from.display()))?
            .take(bytes_max + 1);
        let mut bytes = Vec::new();
        source.read_to_end(&mut bytes).with_context(wrong)?;
        if bytes.len() as u64 > bytes_max {
            bail!(
                "{} has more than {bytes_max} bytes (longshore.wasm.file.max.bytes)",
                from.display()
            );
        }
        let draft = self.draft(".wasm", &bytes).with_context(wrong)?;
        Ok((Draft(draft), hex(&bytes)))
    }
    /// A file beside its future place, under a name that no other process has, in another container neither. What a killed one leaves behind
    /// begins with a dot: nobody takes it for a plugin.
    fn draft(&self, suffix: &str, bytes: &[u8]) -> std::io::Result<TempPath> {
        let mut draft = tempfile::Builder::new()
            .prefix(".installing-")
            .suffix(suffix)
            // As any file's: the umask says who may read it.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(&self.0)?;
        draft.write_all(bytes)?;
        draft.as_file().sync_all()?;
        Ok(draft.into_temp_path())
    }
    /// Puts a copy into its place: its pin first, so that at no time a plugin stands there without one.
    pub(crate) fn place_copy(&self, draft: Draft, to: &Path, sha256: &str) -> Result<()> {
        let pin = pin_of(to);
        let wrong = || format!("{} cannot be written", to.display());
        let line = format!("{sha256}  {}\n", super::file_name(to));
        let new_pin = self.draft(".sha256", line.as_bytes());
        new_pin
            .with_context(wrong)?
            .persist(pin)
            .with_context(wrong)?;
        draft.0.persist(to).with_context(wrong)?;
        // The names, too, are to outlive a crash.
        File::open(&self.0)
            .and_then(|folder| folder.sync_all())
            .with_context(wrong)?;
        Ok(())
    }
    /// Name, version and place of every installed plugin, by the names of the files.
    pub(crate) fn list(&self) -> Vec<(String, String, PathBuf)> {
        let Ok(entries) = fs::read_dir(&self.0) else {
            return Vec::new();
        };
        let named = entries.filter_map(|entry| {
            let path = entry.ok()?.path();
            let stem = super::file_name(&path);
            let (name, version) = split(stem.strip_suffix(".wasm")?)?;
            Some((name.to_owned(), version.to_owned(), path))
        });
        let mut named: Vec<_> = named.collect();
        named.sort();
        named
    }
    /// Takes a plugin away: the file first, since a pin alone is nothing.
    pub(crate) fn remove(path: &Path) -> Result<()> {
        fs::remove_file(path).with_context(|| format!("{} cannot be removed", path.display()))?;
        // A pin that is gone already pins nothing.
        let _ = fs::remove_file(pin_of(path));
        Ok(())
    }
    /// The pin beside a file, if there is one; `needed` = a file without one is refused. Whether the file is what it says is told by who reads
    /// the file.
    pub(super) fn pin(path: &Path, needed: bool) -> Result<Option<Pin>, String> {
        let pin = pin_of(path);
        let file = match File::open(&pin) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !needed => {
                return Ok(None);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err("it has no pin (.sha256): install it with `longshore plugin install`, or name its folder in plugin.path".to_owned());
            }
            Err(error) => return Err(format!("its pin {} cannot be read: {error}", pin.display())),
        };
        let mut text = String::new();
        let read = file.take(PIN_MAX).read_to_string(&mut text);
        read.map_err(|error| format!("its pin {} cannot be read: {error}", pin.display()))?;
        // An empty pin fits no file.
        let sha256 = text
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned();
        Ok(Some(Pin {
            sha256,
            written: super::file_name(&pin),
        }))
    }
}

/// The hash that a file must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) sha256: String,
    /// The name of the file where it stands.
    pub(crate) written: String,
}

/// Longer than any line that names a hash and a file.
const PIN_MAX: u64 = 64 * 1024;

/// A file that is removed unless it was put into its place.
pub(crate) struct Draft(TempPath);

impl Draft {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

fn pin_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sha256");
    name.into()
}

fn hex(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&SHA256, bytes);
    let digits = digest.as_ref().iter();
    digits.map(|byte| format!("{byte:02x}")).collect()
}

/// `pii-mask-1.0.0-rc.1` is version 1.0.0-rc.1 of pii-mask.
fn split(stem: &str) -> Option<(&str, &str)> {
    let hyphens = stem.match_indices('-').map(|(at, _)| at);
    let mut splits = hyphens.map(|at| (&stem[..at], &stem[at + 1..]));
    splits.find(|(name, version)| {
        let core = version.split(['-', '+']).next().unwrap_or_default();
        let mut numbers = core.split('.');
        let number =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        !name.is_empty() && numbers.clone().count() == 3 && numbers.all(number)
    })
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_files_name_tells_name_and_version() {
        for (stem, expected) in [
            ("pii-1.0.0", Some(("pii", "1.0.0"))),
            ("http-json-2-0.10.3", Some(("http-json-2", "0.10.3"))),
            ("pii-1.0.0-rc.1", Some(("pii", "1.0.0-rc.1"))),
            ("pii-1.0.0+b-1.2.3", Some(("pii", "1.0.0+b-1.2.3"))),
            ("pii", None),
            ("pii-1.0", None),
            ("-1.0.0", None),
        ] {
            assert_eq!(split(stem), expected, "{stem}");
        }
    }
}
