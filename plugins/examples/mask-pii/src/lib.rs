//! Masks fields of JSON values, and e-mail addresses and card numbers in their text.

mod find;
mod mask;
mod scan;

use longshore_guest::{Record, json::Fields, prelude::*};
use mask::Mask;
use std::ops::Range;

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
    fields: Fields,
    /// Of one record's values.
    places: Vec<Range<usize>>,
}

impl MaskPii {
    /// Masks fields where they stand. Texts that are objects or arrays themselves, and patterns, are the mask's.
    fn splice(&mut self, record: &Record<'_>, value: &[u8], edit: &mut Edit<'_>) -> Result<bool> {
        let Some(by) = self.mask.of_fields() else {
            return Ok(false);
        };
        if !matches!(value.first(), Some(b'{' | b'[')) {
            return Ok(false);
        }
        match self.fields.find(value, &mut self.places) {
            Ok(()) => {
                for place in &self.places {
                    // Null tells nothing, and says that there is nothing.
                    if &value[place.clone()] != b"null" {
                        edit.splice_value(record, place.clone(), by)?;
                    }
                }
            }
            Err(error) => edit.fail(record, error),
        }
        Ok(true)
    }
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
            fields: Fields::new(&settings.fields),
            places: Vec::new(),
            mask: Mask::new(&settings.fields, &settings.patterns, &settings.replacement),
        })
    }
    fn apply(&mut self, records: &Records<'_>, edit: &mut Edit<'_>) -> Result<()> {
        for record in records {
            let Some(value) = record.value() else {
                continue;
            };
            if self.splice(&record, value, edit)? {
                continue;
            }
            let Ok(value) = std::str::from_utf8(value) else {
                edit.fail(&record, Error::data("the value is no UTF-8 text"));
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

    /// Documents that are put together from these pieces, the same in every run.
    fn document(dice: &mut u64, depth: usize, out: &mut String) {
        const NAMES: [&str; 8] = [
            "ssn",
            "email",
            "user",
            "n",
            r"\u0073sn",
            r#"\"ssn"#,
            "a name of more than sixteen bytes",
            "ß",
        ];
        const SCALARS: [&str; 9] = [
            "null",
            "-1.5e3",
            "true",
            r#""ssn""#,
            r#""ssn:""#,
            r#""""#,
            r#""a text that is long enough for two steps, ssn:1""#,
            r#""{\"ssn\": [1, null], \"user\":{\"email\":\"x\"}}""#,
            r#""\u00e9\n@b.org""#,
        ];
        let mut roll = |sides: usize| {
            *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from((*dice >> 33) % sides as u64).expect("few sides")
        };
        match roll(if depth > 3 { 2 } else { 5 }) {
            0 | 1 => out.push_str(SCALARS[roll(SCALARS.len())]),
            kind => {
                let (length, blank) = (roll(5), ["", " ", "\n  "][roll(3)]);
                let names: Vec<&str> = (0..length).map(|_| NAMES[roll(NAMES.len())]).collect();
                out.push(if kind > 2 { '{' } else { '[' });
                for (at, name) in names.into_iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    if kind > 2 {
                        out.push_str(&format!("{blank}\"{name}\"{blank}:{blank}"));
                    }
                    document(dice, depth + 1, out);
                    out.push_str(blank);
                }
                out.push(if kind > 2 { '}' } else { ']' });
            }
        }
    }

    #[test]
    fn fields_alone_are_masked_as_they_are_beside_patterns() {
        for fields in [
            &["ssn"][..],
            &["user.email"],
            &["email", "ssn"],
            &["ß", "list.n"],
            &["\"ssn"],
        ] {
            let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
            for replacement in [
                "",
                "*",
                "a \"longer\" one that does not fit where a number was",
            ] {
                let settings = Settings {
                    fields: fields.clone(),
                    patterns: Vec::new(),
                    replacement: replacement.to_owned(),
                };
                let mut plugin = MaskPii::start(settings).expect("a transform");
                let slow = Mask::new(&fields, &[], replacement);
                let mut dice = 7;
                let texts: Vec<Option<String>> = (0..1_000)
                    .map(|number| {
                        let mut text = String::new();
                        document(&mut dice, 0, &mut text);
                        // A null, or one that ends too early.
                        if number % 50 == 1 {
                            text.pop();
                        }
                        (number % 50 != 0).then_some(text)
                    })
                    .collect();
                let texts: Vec<Option<&str>> = texts.iter().map(Option::as_deref).collect();
                let batch = testing::incoming("t", 0, 0, &texts);
                let (after, failed) = testing::applied(&mut plugin, &batch).expect("applied");
                let mut expected_to_fail = Vec::new();
                for (row, (text, after)) in texts.iter().zip(after).enumerate() {
                    let expected = text.map(|text| {
                        slow.masked(text)
                            .map(|masked| masked.unwrap_or_else(|| text.to_owned()))
                    });
                    match expected.transpose() {
                        Ok(expected) => assert_eq!(after, expected, "{fields:?} in {text:?}"),
                        Err(_) => expected_to_fail.push(u32::try_from(row).expect("few rows")),
                    }
                }
                assert_eq!(failed, expected_to_fail, "{fields:?}");
                assert!(failed.len() >= 5, "some must fail: {failed:?}");
            }
        }
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
