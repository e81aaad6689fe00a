//! JSON text without a DOM: check it, look into it, read it into a [`Value`](crate::Value), print a value.
//!
//! The rules are those of the JsonConverter that Kafka Connect ships: the first value counts and text after it is ignored, integers wrap
//! beyond 64 bits, `-0.0` reads as `0.0`, of names that occur twice the last one wins.

mod number;
mod print;
mod read;
mod scan;

pub use number::{decimal_from_text, decimal_text, double_text, float_text};
pub use print::{Style, print, print_base64, print_string};
pub use read::{parse, parse_name};
pub use scan::{DEPTH_MAX, Items, Member, Members, first, is_value, items, members};

#[cfg(test)]
mod tests;
