//! A file of the cache: native code at its start, so that it can be mapped, and behind it what it was made of and for.
//!
//! `code | what the guest said of itself | SHA-256 of plugin and engine | length of the guest's words (u32, little endian) | SHA-256 of all
//! before | mark`.

use aws_lc_rs::digest::{Context, SHA256};
use std::{
    fs::{File, Permissions},
    io::{Result, Write},
    os::unix::fs::{FileExt, PermissionsExt},
    path::Path,
};

/// Ends every file; another number = another layout.
const MARK: &[u8; 16] = b"longshore-cwasm3";
const DIGEST: u64 = 32;
/// What stands behind the guest's words.
const TAIL: u64 = 32 + 4 + DIGEST + 16;
/// Read at once while the digest is made.
const PIECE: usize = 128 * 1024;
/// The ends of names: of compiled code, and of the mark of what was late.
pub(super) const SUFFIX: &str = "cwasm";
pub(super) const LATE: &str = "late";
/// How names of files begin that are being written.
pub(super) const MAKING: &str = ".making-";

/// A file that is whole, and was made for who asks.
pub(super) struct Entry {
    pub(super) told: Vec<u8>,
    code: u64,
}

impl Entry {
    /// A copy of the code.
    pub(super) fn code(&self, file: &File) -> Result<Vec<u8>> {
        read(file, 0, self.code)
    }
}

/// Reads all of a file and says whether it is what was written, at most `max` bytes of it. It keeps none of the code in memory.
pub(super) fn open(file: &File, owner: &[u8; 32], max: u64) -> Result<Option<Entry>> {
    let length = file.metadata()?.len();
    if length < TAIL || length > max {
        return Ok(None);
    }
    let tail = read(file, length - TAIL, TAIL)?;
    let (of, rest) = tail.split_at(32);
    let (words, rest) = rest.split_at(4);
    let (expected, mark) = rest.split_at(32);
    if mark != MARK || digest_of(file, length - 16 - DIGEST)? != expected {
        return Ok(None);
    }
    let words = words
        .iter()
        .rev()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let code = (length - TAIL).checked_sub(words);
    // What runs under a plugin's grants is that plugin.
    let Some(code) = code.filter(|_| of == owner) else {
        return Ok(None);
    };
    let told = read(file, code, words)?;
    Ok(Some(Entry { told, code }))
}

fn read(file: &File, at: u64, length: u64) -> Result<Vec<u8>> {
    let length = usize::try_from(length).map_err(std::io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}

fn digest_of(file: &File, length: u64) -> Result<[u8; 32]> {
    let mut context = Context::new(&SHA256);
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while at < length {
        let most = usize::try_from(length - at).unwrap_or(PIECE).min(PIECE);
        file.read_exact_at(&mut piece[..most], at)?;
        context.update(&piece[..most]);
        at += most as u64;
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    Ok(out)
}

/// Writes beside and renames: no reader and no crash sees half a file, and who has mapped the one before keeps that. Nobody may write to it
/// afterwards.
pub(super) fn write(path: &Path, owner: &[u8; 32], told: &[u8], code: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let length = u32::try_from(told.len()).map_err(std::io::Error::other)?;
    let mut file = tempfile::Builder::new()
        .prefix(MAKING)
        .tempfile_in(folder)?;
    let mut context = Context::new(&SHA256);
    for part in [code, told, owner, &length.to_le_bytes()] {
        context.update(part);
        file.write_all(part)?;
    }
    file.write_all(context.finish().as_ref())?;
    file.write_all(MARK)?;
    file.as_file()
        .set_permissions(Permissions::from_mode(0o400))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::digest;

    #[test]
    fn only_what_was_written_is_read_and_only_by_its_owner() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("one.cwasm");
        let (own, other) = (digest(b"own"), digest(b"other"));
        write(&path, &own, b"words", b"the code").expect("written");
        let open_it = |path: &Path, owner, max| {
            let file = File::open(path).expect("it is there");
            let entry = open(&file, owner, max).expect("it can be read");
            entry.map(|entry| (entry.told.clone(), entry.code(&file).expect("its code")))
        };
        let whole = std::fs::read(&path).expect("it is there");
        let found = open_it(&path, &own, 1_000);
        assert_eq!(found, Some((b"words".to_vec(), b"the code".to_vec())));
        assert_eq!(open_it(&path, &other, 1_000), None, "it is another's");
        assert_eq!(open_it(&path, &own, whole.len() as u64 - 1), None);
        let spoilt = folder.path().join("spoilt.cwasm");
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&spoilt, &bytes).expect("written");
            assert_eq!(open_it(&spoilt, &own, 1_000), None, "byte {at}");
            std::fs::write(&spoilt, &whole[..at]).expect("written");
            assert_eq!(open_it(&spoilt, &own, 1_000), None, "cut at {at}");
        }
    }
}
