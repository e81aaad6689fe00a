//! Replays a case of a converter.

use crate::{
    corpus::Case,
    now,
    tree::{Foreign, datum, same},
};
use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use longshore_sdk::{Datum, Header, Record, Value, converter::Part, json::parse};
use serde_json::Value as Json;

/// Ok: as recorded.
pub(crate) fn convert(case: &Case) -> Result<()> {
    let plugin = longshore_converters::all()
        .into_iter()
        .find(|plugin| {
            let mut classes = plugin.plugin.aliases.iter();
            classes.any(|alias| alias.rsplit('.').next() == Some(&*case.class))
        })
        .with_context(|| format!("there is no converter {}", case.class))?;
    let (direction, output) = (
        case.line["dir"].as_str().context("no dir")?,
        &case.line["output"],
    );
    let part = match (direction.ends_with("Header"), &case.line["isKey"]) {
        (true, _) => Part::Headers,
        (false, Json::Bool(true)) => Part::Key,
        (false, _) => Part::Value,
    };
    let mut converter = match (plugin.build)(&case.config()?, part) {
        Err(_) if case.fails_at_start() => return Ok(()),
        Err(error) => bail!("{error}"),
        Ok(_) if case.fails_at_start() => bail!("the settings are taken, want {output}"),
        Ok(_) if output == "ok" => return Ok(()),
        Ok(converter) => converter,
    };
    let mut record = Record::new("t".into());
    let input = match side(&case.line["input"]) {
        Err(error) if error.is::<Foreign>() && case.fails() => return Ok(()),
        input => input?,
    };
    match part {
        Part::Headers => record.headers.push(Header {
            key: "h".into(),
            value: input,
        }),
        Part::Key => record.key = input,
        Part::Value => record.value = input,
    }
    let mut batch = [record];
    let decodes = direction.starts_with("to");
    let failed = if decodes {
        now(converter.decode(part, &mut batch))?
    } else {
        now(converter.encode(part, &mut batch))?
    };
    let [mut record] = batch;
    let got = match part {
        Part::Headers => record.headers.remove(0).value,
        Part::Key => record.key,
        Part::Value => record.value,
    };
    match failed.first() {
        Some(_) if case.fails() => return Ok(()),
        Some(failed) => bail!("{}, want {output}", failed.error),
        None => ensure!(!case.fails(), "got {got:?}, want {output}"),
    }
    let want = side(output)?;
    let got = if decodes { data(got, &want) } else { got };
    ensure!(same(&got, &want), "\n  got  {got:?}\n  want {want:?}");
    Ok(())
}

/// Bytes (null allowed), or data with its schema; `java_null` is neither.
fn side(json: &Json) -> Result<Datum> {
    if json.get("schema").is_some() {
        return datum(&json["schema"], &json["value"]);
    }
    if json.get("java_null").is_some() {
        return Ok(Datum::Null);
    }
    match json.get("b64").context("neither data nor bytes")? {
        Json::Null => Ok(Datum::Null),
        text => {
            let text = text.as_str().context("bytes are no text")?;
            Ok(Datum::Bytes(STANDARD.decode(text)?.into()))
        }
    }
}

/// What decoding gave, as data. Bytes and text are decoded lazily, and nulls and such texts carry no schema: nothing in a worker looks at it.
fn data(got: Datum, want: &Datum) -> Datum {
    let schema = match want {
        Datum::Value(_, schema) => schema.clone(),
        _ => None,
    };
    let text = |text: Bytes| String::from_utf8_lossy(&text).into_owned();
    match got {
        Datum::Json(json) => Datum::Value(parse(&json).unwrap_or(Value::Null), None),
        Datum::Text(bytes) => Datum::Value(Value::String(text(bytes)), schema),
        Datum::Bytes(bytes) => Datum::Value(Value::Bytes(bytes), schema),
        Datum::Null if schema.is_some() => Datum::Value(Value::Null, schema),
        Datum::Value(Value::String(text), None) => Datum::Value(Value::String(text), schema),
        other => other,
    }
}
