//! Files of bounded size.

use std::{fs::File, io, io::Read, path::Path};

/// A file's bytes; an error when there are more than `max`. No more than that is read (I6).
pub(crate) fn read_at_most(file: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Not its length: it may grow while it is read.
    File::open(file)?.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::other(format!("it is larger than {max} bytes")));
    }
    Ok(bytes)
}
