//! The setting `spec`.

use crate::unfit;
use longshore_sdk::Result;

/// What a value becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Boolean,
    String,
}

/// What is cast.
#[derive(Debug)]
pub(super) enum Spec {
    /// The key or the value itself.
    Whole(Target),
    /// Fields, each once.
    Fields(Vec<(String, Target)>),
}

impl Spec {
    pub(super) fn new(list: &[String]) -> Result<Self> {
        let mut whole = None;
        let mut fields: Vec<(String, Target)> = Vec::new();
        for entry in list {
            // Java's split leaves out what is empty at the end.
            let parts: Vec<&str> = entry.trim_end_matches(':').split(':').collect();
            match parts[..] {
                [name] => whole = Some(target(name)?),
                [field, name] => {
                    let (field, target) = (field.trim(), target(name)?);
                    match fields.iter_mut().find(|(known, _)| known == field) {
                        Some((_, known)) => *known = target,
                        None => fields.push((field.to_owned(), target)),
                    }
                }
                _ => {
                    let problem = format!("{entry:?} has more than one colon: write field:type");
                    return Err(unfit("spec", &problem));
                }
            }
        }
        match whole {
            Some(_) if list.len() > 1 => Err(unfit(
                "spec",
                "a type without a field casts the data as a whole, and then nothing else may be listed",
            )),
            Some(target) => Ok(Self::Whole(target)),
            None if fields.is_empty() => Err(unfit("spec", "nothing to cast is listed")),
            None => Ok(Self::Fields(fields)),
        }
    }
}

fn target(name: &str) -> Result<Target> {
    Ok(match name.trim().to_ascii_lowercase().as_str() {
        "int8" => Target::Int8,
        "int16" => Target::Int16,
        "int32" => Target::Int32,
        "int64" => Target::Int64,
        "float32" => Target::Float32,
        "float64" => Target::Float64,
        "boolean" => Target::Boolean,
        "string" => Target::String,
        _ => {
            let problem = format!(
                "{:?} is no type to cast to: use int8, int16, int32, int64, float32, float64, boolean or string",
                name.trim()
            );
            return Err(unfit("spec", &problem));
        }
    })
}
