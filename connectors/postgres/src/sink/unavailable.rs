//! What Debezium writes for a large column that an update did not touch, in every type that can be large.
//!
//! The log holds no such value unless the table's replica identity is FULL, so `after` has a placeholder in its place: a text in
//! columns of text and JSON, its bytes in `bytea`, and arrays of it as the elements' type has it (`int[]`: one number per byte).

use super::encode::Cell;
use longshore_sdk::{Value, json::items};

const TEXT: &str = "__debezium_unavailable_value";
/// The same in the base64 of JSON without schemas.
const BASE64: &str = "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==";
/// The uuid that is named by the text's MD5, for `uuid[]`.
const UUID: &str = "b68a35a7-17ad-35b3-af2a-ae46edb4545a";

/// Whether a value of an envelope stands for one that is not known.
pub(super) fn unavailable(cell: &Cell<'_>) -> bool {
    match cell {
        Cell::Text(text) | Cell::JsonText(text) => text == TEXT || text == BASE64,
        Cell::Bytes(bytes) => *bytes == TEXT.as_bytes(),
        Cell::Json(text) => text.starts_with(b"[") && array(text),
        Cell::Nested(Value::Array(elements), _) => elements_of(elements),
        _ => false,
    }
}

fn array(text: &[u8]) -> bool {
    let elements = || items(text).into_iter().flatten().map_while(Result::ok);
    let mut few = elements().take(2);
    if let (Some(span), None) = (few.next(), few.next())
        && let Some(one) = text[span].strip_prefix(b"\"")
        && let Some(one) = one.strip_suffix(b"\"")
    {
        return [TEXT, BASE64, UUID]
            .iter()
            .any(|known| one == known.as_bytes());
    }
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.trim().parse::<u8>().ok();
    elements()
        .map(|span| number(&text[span]))
        .eq(TEXT.bytes().map(Some))
}

fn elements_of(elements: &[Value]) -> bool {
    match elements {
        [Value::String(text)] => text == TEXT || text == UUID,
        [Value::Bytes(bytes)] => **bytes == *TEXT.as_bytes(),
        _ => elements
            .iter()
            .map(|element| match element {
                Value::Int16(number) => u8::try_from(*number).ok(),
                Value::Int32(number) => u8::try_from(*number).ok(),
                Value::Int64(number) => u8::try_from(*number).ok(),
                _ => None,
            })
            .eq(TEXT.bytes().map(Some)),
    }
}
