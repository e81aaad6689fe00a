//! Masked copies of JSON text: what does not change is copied as it stands.

use crate::scan::{Visit, walk};
use crate::{Pattern, find};
use longshore_guest::{Error, Result, json::unescaped};
use std::{borrow::Cow, ops::Range};

/// What is masked, and by what.
pub(crate) struct Mask {
    /// Each field as the names from its end.
    fields: Vec<Vec<String>>,
    emails: bool,
    cards: bool,
    /// Without quotes.
    plain: String,
    /// The same as a JSON string.
    quoted: String,
}

impl Mask {
    /// What stands in place of a field's value, if fields alone are masked.
    pub(crate) fn of_fields(&self) -> Option<&[u8]> {
        (!self.emails && !self.cards).then_some(self.quoted.as_bytes())
    }
    pub(crate) fn new(fields: &[String], patterns: &[Pattern], replacement: &str) -> Self {
        let names = |field: &String| field.rsplit('.').map(str::to_owned).collect();
        Self {
            fields: fields.iter().map(names).collect(),
            emails: patterns.contains(&Pattern::Email),
            cards: patterns.contains(&Pattern::Card),
            plain: replacement.to_owned(),
            quoted: quoted(replacement),
        }
    }
    /// The masked text; `None` = there is nothing to mask. Errors of kind data: it is no JSON.
    pub(crate) fn masked(&self, text: &str) -> Result<Option<String>> {
        let mut masking = Masking {
            mask: self,
            text,
            path: Vec::new(),
            out: String::new(),
            copied: 0,
            failed: None,
        };
        walk(text.as_bytes(), &mut masking).map_err(|_| {
            Error::data(
                "the value is no JSON, or deeper than 128 levels: use a converter that makes JSON",
            )
        })?;
        masking.finish()
    }
    /// The same for a value that is text alone, as converters of text make it. Fields are masked where the text is an object or an array.
    /// Errors of kind data: it begins like objects do, but is no JSON, so nobody knows where the fields are.
    fn whole_text(&self, text: &str) -> Result<Option<String>> {
        let blank = |letter| matches!(letter, ' ' | '\t' | '\n' | '\r');
        if !self.fields.is_empty() && text.trim_start_matches(blank).starts_with(['{', '[']) {
            let masked = self.masked(text);
            // A text such as `[info] started` is no array, and has no fields.
            let object = text.trim_start_matches(|letter| blank(letter) || letter == '[');
            if masked.is_ok() || object.starts_with('{') {
                return masked.map_err(|_| {
                    Error::data(
                        "the value is a text that begins like a JSON object but is none, or deeper than 128 levels: its fields cannot be masked",
                    )
                });
            }
        }
        Ok(self.text(text))
    }
    /// Text with what its patterns find masked.
    fn text(&self, text: &str) -> Option<String> {
        let mut out = String::new();
        let mut copied = 0;
        let mut email = self.emails.then(|| find::email(text, 0)).flatten();
        let mut card = self.cards.then(|| find::card(text, 0)).flatten();
        while let Some(found) = earlier(&email, &card) {
            out.push_str(&text[copied..found.start]);
            out.push_str(&self.plain);
            copied = found.end;
            // Each is looked for again only once it is behind: the text is walked through once for each pattern.
            if email.as_ref().is_some_and(|email| email.start < copied) {
                email = find::email(text, copied);
            }
            if card.as_ref().is_some_and(|card| card.start < copied) {
                card = find::card(text, copied);
            }
        }
        (copied > 0).then(|| out + &text[copied..])
    }
}

fn earlier(one: &Option<Range<usize>>, two: &Option<Range<usize>>) -> Option<Range<usize>> {
    let mut found: Vec<&Range<usize>> = one.iter().chain(two).collect();
    found.sort_by_key(|place| place.start);
    found.first().map(|place| (*place).clone())
}

struct Masking<'m> {
    mask: &'m Mask,
    text: &'m str,
    /// Names of the members that the scanner stands in, decoded only where fields are masked.
    path: Vec<String>,
    out: String,
    copied: usize,
    /// What cannot be read is an error of the value, never left as it is.
    failed: Option<Error>,
}

impl Masking<'_> {
    fn replace(&mut self, place: Range<usize>, by: &str) {
        self.out.push_str(&self.text[self.copied..place.start]);
        self.out.push_str(by);
        self.copied = place.end;
    }
    fn finish(mut self) -> Result<Option<String>> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        Ok((self.copied > 0).then(|| {
            self.out.push_str(&self.text[self.copied..]);
            self.out
        }))
    }
    /// The text of the JSON string at `place`; where it cannot be read, the value fails.
    fn decoded(&mut self, place: Range<usize>) -> Cow<'_, str> {
        let text = unescaped(&self.text[place.start + 1..place.end - 1]);
        text.unwrap_or_else(|error| {
            self.failed = Some(error);
            Cow::default()
        })
    }
}

impl Visit for Masking<'_> {
    fn member(&mut self, name: Range<usize>) -> bool {
        if self.mask.fields.is_empty() {
            return false;
        }
        let name = self.decoded(name).into_owned();
        self.path.push(name);
        let is = |field: &Vec<String>| {
            field.len() <= self.path.len()
                && field
                    .iter()
                    .zip(self.path.iter().rev())
                    .all(|(one, two)| one == two)
        };
        self.mask.fields.iter().any(is)
    }
    fn replaced(&mut self, value: Range<usize>) {
        // Null tells nothing, and says that there is nothing.
        if &self.text[value.clone()] != "null" {
            let by = &self.mask.quoted;
            self.out.push_str(&self.text[self.copied..value.start]);
            self.out.push_str(by);
            self.copied = value.end;
        }
    }
    fn left(&mut self) {
        self.path.pop();
    }
    fn string(&mut self, place: Range<usize>) {
        // An escape may hide an @ or a digit.
        let mask = self.mask;
        let whole = self.text.trim().len() == place.len();
        let text = self.decoded(place.clone());
        let masked = if whole {
            mask.whole_text(&text)
        } else {
            Ok(mask.text(&text))
        };
        match masked {
            Ok(None) => {}
            Ok(Some(masked)) => self.replace(place, &quoted(&masked)),
            Err(error) => self.failed = Some(error),
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(fields: &[&str]) -> Mask {
        let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        Mask::new(&fields, &[Pattern::Email, Pattern::Card], "***")
    }

    #[test]
    fn fields_are_masked_by_name_or_by_the_end_of_their_path() {
        let mask = mask(&["ssn", "user.email"]);
        let text = r#"{"ssn": 1234 ,"list":[{"ssn":{"deep":[1,"x"]}}],"user":{"email":"no address","name":"Ann"},"email":"kept","n":1.50}"#;
        let masked = mask.masked(text).expect("JSON").expect("masked");
        assert_eq!(
            masked,
            r#"{"ssn": "***" ,"list":[{"ssn":"***"}],"user":{"email":"***","name":"Ann"},"email":"kept","n":1.50}"#
        );
    }

    #[test]
    fn patterns_are_masked_in_all_text_and_never_in_numbers() {
        let mask = mask(&[]);
        let text = r#"["mail a@b.org or c@d.org, card 4111 1111 1111 1111!", 4111111111111111, {"k":"a\u0040b.org \"quoted\""}]"#;
        let masked = mask.masked(text).expect("JSON").expect("masked");
        assert_eq!(
            masked,
            r#"["mail *** or ***, card ***!", 4111111111111111, {"k":"*** \"quoted\""}]"#
        );
    }

    #[test]
    fn escaped_names_are_the_same_names_and_null_stays() {
        let mask = mask(&["ssn"]);
        let masked = mask.masked(r#"{"\u0073sn":"1"}"#).expect("JSON");
        assert_eq!(masked.as_deref(), Some(r#"{"\u0073sn":"***"}"#));
        assert_eq!(mask.masked(r#"{"ssn":null,"x":"y"}"#).expect("JSON"), None);
    }

    #[test]
    fn fields_are_masked_in_text_that_is_json() {
        let mask = mask(&["ssn"]);
        let of = |text: &str| -> Result<Option<String>> {
            let masked = mask.masked(&quoted(text))?;
            Ok(masked.map(|masked| serde_json::from_str(&masked).expect("a string")))
        };
        let masked = |text: &str| of(text).expect("masked");
        assert_eq!(
            masked(r#" {"ssn":"12", "n":1.50} "#).as_deref(),
            Some(r#" {"ssn":"***", "n":1.50} "#)
        );
        assert_eq!(
            masked(r#"[{"ssn":1},{"x":"a@b.org"}]"#).as_deref(),
            Some(r#"[{"ssn":"***"},{"x":"***"}]"#)
        );
        assert_eq!(masked(r#"{"other":1}"#), None);
        assert_eq!(
            masked("[info] a@b.org logged in").as_deref(),
            Some("[info] *** logged in")
        );
        assert_eq!(masked("plain text"), None);
        for broken in [r#"{"ssn":1} {"ssn":2}"#, r#"{"ssn":1"#, r#"[ {"ssn":1}"#] {
            let error = of(broken).expect_err(broken);
            assert_eq!(error.kind(), longshore_guest::ErrorKind::Data);
        }
    }

    #[test]
    fn half_surrogates_hide_nothing_and_unknown_escapes_fail() {
        let mask = mask(&["s\"n"]);
        let masked = |text: &str| mask.masked(text);
        let is = |text: &str, expected: &str| {
            assert_eq!(masked(text).expect("JSON").as_deref(), Some(expected));
        };
        is(r#"["a\ud83d b\u0040c.org \""]"#, "[\"a\u{fffd} *** \\\"\"]");
        is(
            r#"["\ud83d\u0041 \ud83d\ude00 x@y.org \udc00"]"#,
            "[\"\u{fffd}A \u{1f600} *** \u{fffd}\"]",
        );
        is(
            r#"{"s\"n":1,"\ud83ds\"n":2}"#,
            r#"{"s\"n":"***","\ud83ds\"n":2}"#,
        );
        assert_eq!(masked(r#"["\ud83d stays"]"#).expect("JSON"), None);
        for text in [
            r#"["\x"]"#,
            r#"["\u12"]"#,
            r#"["\u+123"]"#,
            r#"{"\ué000":1}"#,
        ] {
            let error = masked(text).expect_err(text);
            assert_eq!(error.kind(), longshore_guest::ErrorKind::Data);
        }
    }

    #[test]
    fn what_is_no_json_is_an_error_and_nothing_panics() {
        let mask = mask(&["a"]);
        for text in [
            "", "{", "[1,]", r#"{"a":"#, r#"{"a""#, "nul}", r#""half"#, r#""\"#, "[1 2]", "{1:2}",
        ] {
            assert!(mask.masked(text).is_err(), "{text}");
        }
        assert!(mask.masked(&"[".repeat(100_000)).is_err());
        let whole = r#"{"a":"x@y.org","b":[true,null,-1.5e3,"é\n"]}"#;
        for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
            assert!(mask.masked(&whole[..end]).is_err(), "{}", &whole[..end]);
        }
    }
}
