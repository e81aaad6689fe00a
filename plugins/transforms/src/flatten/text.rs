//! Flattening of JSON text, without decoding it.

use crate::splice::Scratch;
use bytes::{BufMut, Bytes, BytesMut};
use longshore_sdk::{
    Result,
    json::{Member, members, parse_name, print_string},
};
use std::ops::Range;

/// A flattener with the memory that records share.
pub(super) struct FlatText {
    /// As it stands between quotes in JSON.
    delimiter: Bytes,
    /// The names of the record at hand, one after another, as they stand between quotes.
    names: Vec<u8>,
    fields: Vec<Found>,
    order: Vec<usize>,
    scratch: Scratch,
}

struct Found {
    /// In `names`.
    name: Range<usize>,
    /// In the record's text.
    value: Range<usize>,
    /// A field of the same name came before.
    repeats: bool,
}

impl FlatText {
    pub(super) fn new(delimiter: &str) -> Self {
        Self {
            delimiter: Bytes::from(unquoted(delimiter)),
            names: Vec::new(),
            fields: Vec::new(),
            order: Vec::new(),
            scratch: Scratch::default(),
        }
    }
    /// The flat object; the text itself where nothing is nested. `None`: it is no object.
    pub(super) fn flat(&mut self, text: &Bytes) -> Result<Option<Bytes>> {
        if members(text).is_none() {
            return Ok(None);
        }
        self.names.clear();
        self.fields.clear();
        if !self.collect(text, 0..text.len(), 0..0)? {
            return Ok(Some(text.clone()));
        }
        self.settle();
        let out = self.scratch.start(text.len() + self.names.len());
        let mut separator = b'{';
        for field in self.fields.iter().filter(|field| !field.repeats) {
            out.put_slice(&[separator, b'"']);
            separator = b',';
            out.put_slice(&self.names[field.name.clone()]);
            out.put_slice(b"\":");
            out.put_slice(&text[field.value.clone()]);
        }
        out.put_slice(if separator == b'{' { b"{}" } else { b"}" });
        Ok(Some(self.scratch.finish()))
    }
    /// Notes the fields of the object at `inside`, whose names start with that at `prefix`. `true`: there are objects inside.
    /// As deep as JSON may nest, which the reader of the text has seen to.
    fn collect(&mut self, text: &[u8], inside: Range<usize>, prefix: Range<usize>) -> Result<bool> {
        let start = inside.start;
        let object = &text[inside];
        let mut nested = false;
        for member in members(object).into_iter().flatten() {
            let member = member?;
            let name = self.name(object, &member, prefix.clone());
            let value = start + member.value.start..start + member.value.end;
            if text[value.start] == b'{' {
                nested = true;
                self.collect(text, value, name)?;
            } else {
                self.fields.push(Found {
                    name,
                    value,
                    repeats: false,
                });
            }
        }
        Ok(nested)
    }
    fn name(&mut self, object: &[u8], member: &Member, prefix: Range<usize>) -> Range<usize> {
        let start = self.names.len();
        if !prefix.is_empty() {
            self.names.extend_from_within(prefix);
            self.names.extend_from_slice(&self.delimiter);
        }
        let raw = &object[member.name.clone()];
        if member.escaped {
            self.names.extend_from_slice(&unquoted(&parse_name(raw)));
        } else {
            self.names.extend_from_slice(raw);
        }
        start..self.names.len()
    }
    /// Of fields with one name the first place and the last value stay.
    fn settle(&mut self) {
        let (names, fields) = (&self.names, &mut self.fields);
        self.order.clear();
        self.order.extend(0..fields.len());
        let name = |fields: &[Found], at: usize| &names[fields[at].name.clone()];
        self.order
            .sort_unstable_by(|a, b| name(fields, *a).cmp(name(fields, *b)).then(a.cmp(b)));
        let mut first = 0;
        for at in 1..self.order.len() {
            let (known, next) = (self.order[first], self.order[at]);
            if name(fields, known) == name(fields, next) {
                fields[known].value = fields[next].value.clone();
                fields[next].repeats = true;
            } else {
                first = at;
            }
        }
    }
}

/// A text as it stands between the quotes of a JSON string.
fn unquoted(text: &str) -> Vec<u8> {
    let mut out = BytesMut::new();
    print_string(text, &mut out);
    out[1..out.len() - 1].to_vec()
}
