//! Integers and floats.

use super::{Cell, Fit, Unfit, misfit, numeric};
use longshore_sdk::Decimal;

/// What a number out of its column's range is told.
pub(super) const RANGE: Unfit = Unfit::because("a number is out of the range of its column's type");
const FRACTION: Unfit = Unfit::because("a number with a fraction does not fit an integer column");
const NO_NUMBER: Unfit = Unfit::because("a text is no number");

/// A whole number, exactly.
pub(super) fn integer(cell: &Cell<'_>) -> Fit<i64> {
    match cell {
        Cell::Int(number) => Ok(*number),
        Cell::Number(text) => whole(text),
        Cell::Text(text) => whole(text.trim()),
        Cell::Float(number) => of_double(f64::from(*number)),
        Cell::Double(number) => of_double(*number),
        Cell::Decimal(decimal) => of_decimal(decimal),
        _ => Err(misfit(cell, "integer")),
    }
}

fn whole(text: &str) -> Fit<i64> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let number = numeric::Digits::read(text).ok_or(NO_NUMBER)?;
    let (negative, digits) = number.whole().ok_or(FRACTION)?;
    let sign = if negative { "-" } else { "" };
    format!("{sign}{digits}").parse().map_err(|_| RANGE)
}

fn of_double(number: f64) -> Fit<i64> {
    // 2^63 is a double, 2^63 - 1 is none.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if number.fract() != 0.0 {
        return Err(FRACTION);
    }
    if number.is_finite() && (-LIMIT..LIMIT).contains(&number) {
        #[allow(clippy::cast_possible_truncation)]
        return Ok(number as i64);
    }
    Err(RANGE)
}

fn of_decimal(decimal: &Decimal) -> Fit<i64> {
    let number = numeric::Digits::of_decimal(decimal)?;
    let (negative, digits) = number.whole().ok_or(FRACTION)?;
    let sign = if negative { "-" } else { "" };
    format!("{sign}{digits}").parse().map_err(|_| RANGE)
}

/// A double; the nearest one to an exact number.
#[allow(clippy::cast_precision_loss)]
pub(super) fn double(cell: &Cell<'_>) -> Fit<f64> {
    match cell {
        Cell::Int(number) => Ok(*number as f64),
        Cell::Float(number) => Ok(f64::from(*number)),
        Cell::Double(number) => Ok(*number),
        Cell::Number(text) => finite(text.parse().map_err(|_| NO_NUMBER)?),
        Cell::Text(text) => {
            special_or(text.trim(), |text| text.parse::<f64>().ok(), f64::is_finite)
        }
        Cell::Decimal(decimal) => {
            let text = numeric::Digits::of_decimal(decimal)?.to_text();
            finite(text.parse().map_err(|_| NO_NUMBER)?)
        }
        _ => Err(misfit(cell, "double precision")),
    }
}

/// A float; the nearest one to an exact number. A double that is beyond every float is out of range.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
pub(super) fn single(cell: &Cell<'_>) -> Fit<f32> {
    let fits = |number: f32| number.is_finite().then_some(number).ok_or(RANGE);
    match cell {
        Cell::Int(number) => Ok(*number as f32),
        Cell::Float(number) => Ok(*number),
        Cell::Double(number) if !number.is_finite() => Ok(*number as f32),
        Cell::Double(number) => fits(*number as f32),
        Cell::Number(text) => fits(text.parse().map_err(|_| NO_NUMBER)?),
        Cell::Text(text) => {
            special_or(text.trim(), |text| text.parse::<f32>().ok(), f32::is_finite)
        }
        _ => fits(double(cell)? as f32),
    }
}

fn finite(number: f64) -> Fit<f64> {
    number.is_finite().then_some(number).ok_or(RANGE)
}

/// The words for infinity and NaN are taken as such; digits that overflow into infinity are not.
fn special_or<N: Copy>(
    text: &str,
    parse: impl Fn(&str) -> Option<N>,
    is_finite: impl Fn(N) -> bool,
) -> Fit<N> {
    let number = parse(text).ok_or(NO_NUMBER)?;
    let word = text.trim_start_matches(['-', '+']);
    if is_finite(number) || word.starts_with(|first: char| first.is_ascii_alphabetic()) {
        Ok(number)
    } else {
        Err(RANGE)
    }
}
