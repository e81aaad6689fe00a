//! Changes to the fields of a JSON object, made in its text.

use bytes::{BufMut, Bytes, BytesMut};
use longshore_sdk::{
    Result,
    json::{members, print_string},
};
use std::sync::Arc;

/// How much room the output is given at a time: records share it, so that most of them cost no allocation.
const ROOM: usize = 16 * 1024;

/// A field's name, and the same as the start of a JSON member. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub(crate) text: Arc<str>,
    /// `"name":`
    pub(crate) json: Bytes,
}

impl Name {
    pub(crate) fn new(text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        let mut json = BytesMut::new();
        print_string(&text, &mut json);
        json.put_u8(b':');
        Self {
            text,
            json: json.freeze(),
        }
    }
}

/// Text that is put together for one record after another.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) out: BytesMut,
    seen: Vec<bool>,
}

impl Scratch {
    /// An empty output with room for about `size` bytes.
    pub(crate) fn start(&mut self, size: usize) -> &mut BytesMut {
        self.out.clear();
        if self.out.capacity() < size + 64 {
            self.out.reserve(ROOM.max(size + 64));
        }
        &mut self.out
    }
    pub(crate) fn finish(&mut self) -> Bytes {
        self.out.split().freeze()
    }
    /// Sets fields of the object `text`: every occurrence of a name, by its decoded form, is replaced by what `write` appends for it (it is
    /// given the old text); a name that does not occur is added at the end (`write` is given `None`). `None` if `text` is no object.
    pub(crate) fn set(
        &mut self,
        text: &Bytes,
        names: &[Name],
        mut write: impl FnMut(usize, Option<&[u8]>, &mut BytesMut) -> Result<()>,
    ) -> Result<Option<Bytes>> {
        let Some(mut members) = members(text) else {
            return Ok(None);
        };
        self.start(text.len());
        self.seen.clear();
        self.seen.resize(names.len(), false);
        let mut copied = 0;
        let mut empty = true;
        for member in members.by_ref() {
            let member = member?;
            empty = false;
            let mut value = None;
            for (at, name) in names.iter().enumerate() {
                if member.is(text, &name.text) {
                    self.seen[at] = true;
                    value = Some(at);
                }
            }
            // Two settings for one name: the later one counts.
            if let Some(at) = value {
                self.out.put_slice(&text[copied..member.value.start]);
                write(at, Some(&text[member.value.clone()]), &mut self.out)?;
                copied = member.value.end;
            }
        }
        self.out.put_slice(&text[copied..members.at()]);
        for (at, name) in names.iter().enumerate() {
            if !self.seen[at] {
                if !empty {
                    self.out.put_u8(b',');
                }
                empty = false;
                self.out.put_slice(&name.json);
                write(at, None, &mut self.out)?;
            }
        }
        // Nothing that might stand behind the object is passed on.
        self.out.put_u8(b'}');
        Ok(Some(self.finish()))
    }
}
