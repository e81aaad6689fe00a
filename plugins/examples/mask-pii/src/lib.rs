//! Masks fields of JSON values, and e-mail addresses and card numbers in their text.

mod find;
mod mask;
mod scan;

use longshore_guest::prelude::*;
use mask::Mask;

/// What a user can set.
#[derive(Deserialize, JsonSchema)]
struct Settings {
    /// Fields whose values are masked, whatever they are: a name (`ssn`, at any depth) or the end of a path (`user.email`).
    #[serde(default)]
    fields: Vec<String>,
    /// What is masked wherever it stands in text: email, card (numbers with a valid check digit).
    #[serde(default = "all_patterns")]
    patterns: Vec<Pattern>,
    /// What stands in place of what was masked.
    #[serde(default = "stars")]
    #[schemars(length(max = 1000))]
    replacement: String,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Pattern {
    /// E-mail addresses.
    Email,
    /// Payment card numbers of 13 to 19 digits, with or without blanks and hyphens.
    Card,
}

fn all_patterns() -> Vec<Pattern> {
    vec![Pattern::Email, Pattern::Card]
}

fn stars() -> String {
    "****".to_owned()
}

struct MaskPii {
    mask: Mask,
}

impl Transform for MaskPii {
    type Config = Settings;
    const INFO: Info = Info::new(
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_DESCRIPTION"),
    )
    .vendor("Longshore")
    .needs(Columns::VALUE)
    .formats(Format::Bytes, Format::Json);

    fn check(settings: &Settings) -> Result<Vec<Problem>> {
        let nothing = settings.fields.is_empty() && settings.patterns.is_empty();
        let empty = settings
            .fields
            .iter()
            .any(|field| field.split('.').any(str::is_empty));
        let mut problems = Vec::new();
        if nothing {
            problems.push(Problem::new(
                "fields",
                "neither fields nor patterns: nothing would be masked",
            ));
        }
        if empty {
            problems
                .push(Problem::new("fields", "a name is empty").suggest("write ssn or user.email"));
        }
        Ok(problems)
    }
    fn start(settings: Settings) -> Result<Self> {
        Ok(Self {
            mask: Mask::new(&settings.fields, &settings.patterns, &settings.replacement),
        })
    }
    fn apply(&mut self, records: &Records<'_>, edit: &mut Edit<'_>) -> Result<()> {
        for record in records {
            let Some(value) = record.value_text() else {
                continue;
            };
            match self.mask.masked(value) {
                // A value without anything to mask does not travel back.
                Ok(None) => {}
                Ok(Some(masked)) => edit.value(&record, Some(masked.as_bytes()))?,
                Err(error) => edit.fail(&record, error),
            }
        }
        Ok(())
    }
}

longshore_guest::export_transform!(MaskPii);

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_guest::testing;

    #[test]
    fn records_with_nothing_to_mask_stay_and_bad_ones_fail() {
        let settings = serde_json::from_str(r#"{"fields":["ssn"]}"#).expect("settings");
        let mut plugin = MaskPii::start(settings).expect("a transform");
        let values = [Some(r#"{"ssn":1}"#), Some("7"), None, Some("{")];
        let batch = testing::incoming("t", 0, 0, &values);
        let (after, failed) = testing::applied(&mut plugin, &batch).expect("applied");
        assert_eq!(after[0].as_deref(), Some(r#"{"ssn":"****"}"#));
        assert_eq!(
            (after[1].as_deref(), after[2].as_deref()),
            (Some("7"), None)
        );
        assert_eq!(failed, [3]);
    }

    #[test]
    fn the_readme_names_every_key() {
        for key in testing::keys::<Settings>() {
            assert!(
                include_str!("../README.md").contains(&format!("| `{key}` |")),
                "{key}"
            );
        }
    }
}
