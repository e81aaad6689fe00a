//! Records to columns and back.
//!
//! How data is presented to a guest, by the format that it asks for:
//!
//! | data | `bytes` | `text` | `json` |
//! |---|---|---|---|
//! | undecoded bytes | as they are | if they are UTF-8 | if they are one JSON value |
//! | text, strings | its UTF-8 | as it is | a JSON string |
//! | JSON text | as it is | as it is | as it is |
//! | decoded bytes | as they are | if they are UTF-8 | a base64 string |
//! | other decoded data | its JSON text | its JSON text | its JSON text |
//!
//! JSON text of decoded data is what JsonConverter prints without schemas. What cannot be presented is an error of kind Data, of that record alone.
//! What a guest answers becomes undecoded bytes, text or JSON text: schemaless data that every converter takes.
//!
//! A guest's bytes are checked before they are believed, then they are shared: the rows of a column are slices of one buffer.

mod alike;
mod dictionary;
mod present;
mod rows;
mod take;

use alike::alike;
use dictionary::Dictionary;
use present::Presenter;
pub(crate) use rows::{Row, Rows};
pub(crate) use take::{
    Rejected, Taken, json_object, take_changed, take_column, take_headers, take_topics, take_value,
};

#[cfg(test)]
mod tests;
