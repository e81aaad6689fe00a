//! Searching finds what reading finds, and both find what a parser finds.

use super::*;
use serde_json::Value;

/// The same numbers in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).expect("few sides")
    }
    fn of<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.roll(texts.len())]
    }
    fn blanks(&mut self, out: &mut String) {
        if self.roll(4) == 0 {
            out.push_str(self.of(&[" ", "\n\t", "  \r\n                  "]));
        }
    }
    fn string(&mut self, escapes: bool, out: &mut String) {
        const PLAIN: [&str; 12] = [
            "ssn",
            "email",
            "user",
            "a",
            "",
            ":",
            ",",
            "ssn:",
            "größe",
            "{\u{1f600}}",
            "null",
            "a text that takes more than one step of the search, it is",
        ];
        const ESCAPED: [&str; 6] = [
            r"\u0073sn",
            r#"\"ssn"#,
            r#"\"ssn\":1"#,
            r"\\",
            r"e\u006dail",
            r"\ud83d\ude00",
        ];
        out.push('"');
        if escapes && self.roll(3) == 0 {
            out.push_str(self.of(&ESCAPED));
        } else {
            out.push_str(self.of(&PLAIN));
        }
        out.push('"');
    }
    fn value(&mut self, depth: usize, escapes: bool, out: &mut String) {
        self.blanks(out);
        match self.roll(if depth > 4 { 4 } else { 7 }) {
            0 => out.push_str(self.of(&["0", "-1.50e+7", "12345678901234567890"])),
            1 => out.push_str(self.of(&["true", "false", "null"])),
            2 | 3 => self.string(escapes, out),
            4 => self.list(']', depth, escapes, out),
            _ => self.list('}', depth, escapes, out),
        }
        self.blanks(out);
    }
    fn list(&mut self, end: char, depth: usize, escapes: bool, out: &mut String) {
        out.push(if end == '}' { '{' } else { '[' });
        self.blanks(out);
        for item in 0..self.roll(5) {
            if item > 0 {
                out.push(',');
            }
            if end == '}' {
                self.blanks(out);
                self.string(escapes, out);
                self.blanks(out);
                out.push(':');
            }
            self.value(depth + 1, escapes, out);
        }
        out.push(end);
    }
}

const FIELDS: [&[&str]; 8] = [
    &["ssn"],
    &["user.email"],
    &["email", "ssn"],
    &["a.ssn", "user", "email"],
    &[":"],
    &["größe"],
    &["a", "ssn", "email", "user", "größe"],
    &["\"ssn"],
];

/// What stands at the places, or `None` where the text is refused.
fn found<'t>(fields: &[&str], text: &'t str, search: bool) -> Option<Vec<&'t str>> {
    let mut all = Fields::new(fields);
    if !search {
        all.needles.clear();
    }
    let mut places = Vec::new();
    all.find(text.as_bytes(), &mut places).ok()?;
    Some(places.into_iter().map(|place| &text[place]).collect())
}

/// The same as a parser has it: the parsed values. Of names that stand twice a parser keeps the last alone, so texts have none.
fn parsed(fields: &[&str], value: &Value, path: &mut Vec<String>, all: &mut Vec<Value>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                path.push(name.clone());
                let ends = |field: &&str| {
                    let field: Vec<&str> = field.split('.').collect();
                    path.ends_with(
                        &field
                            .iter()
                            .map(|name| (*name).to_owned())
                            .collect::<Vec<_>>(),
                    )
                };
                if fields.iter().any(ends) {
                    all.push(value.clone());
                } else {
                    parsed(fields, value, path, all);
                }
                path.pop();
            }
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| parsed(fields, item, path, all)),
        _ => {}
    }
}

#[test]
fn searching_finds_what_reading_finds() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut some, mut nothing) = (0, 0);
    for round in 0..10_000 {
        let mut text = String::new();
        let end = if round % 5 == 0 { ']' } else { '}' };
        dice.list(end, 0, round % 3 == 0, &mut text);
        let fields = FIELDS[dice.roll(FIELDS.len())];
        let read = found(fields, &text, false).expect(&text);
        assert_eq!(
            found(fields, &text, true).expect(&text),
            read,
            "{fields:?} in {text}"
        );
        if read.is_empty() {
            nothing += 1;
        } else {
            some += 1;
        }
    }
    assert!(
        some > 1_000 && nothing > 1_000,
        "{some} with, {nothing} without"
    );
}

#[test]
fn reading_finds_what_a_parser_finds() {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut some = 0;
    for round in 0..10_000 {
        let mut text = String::new();
        dice.value(0, round % 2 == 0, &mut text);
        let fields = FIELDS[dice.roll(FIELDS.len())];
        let value: Value = serde_json::from_str(&text).expect(&text);
        // Printed anew, no name stands twice in an object.
        let text = value.to_string();
        let mut expected = Vec::new();
        parsed(fields, &value, &mut Vec::new(), &mut expected);
        let read = |text: &&str| serde_json::from_str::<Value>(text).expect("a value");
        for search in [false, true] {
            let found = found(fields, &text, search).expect(&text);
            let found: Vec<Value> = found.iter().map(read).collect();
            assert_eq!(found, expected, "{fields:?} in {text}");
        }
        some += usize::from(!expected.is_empty());
    }
    assert!(some > 700, "{some} with a field");
}

#[test]
fn what_is_refused_is_what_a_parser_refuses() {
    let mut dice = Dice(0xd134_2543_de82_ef95);
    let (mut good, mut bad) = (0, 0);
    for round in 0..10_000 {
        let mut text = String::new();
        dice.value(2, round % 2 == 0, &mut text);
        // One letter less, or another one, or one twice.
        let mut letters: Vec<char> = text.chars().collect();
        let at = dice.roll(letters.len());
        match dice.roll(4) {
            0 => drop(letters.remove(at)),
            1 => letters.insert(at, letters[at]),
            2 => letters[at] = ['"', '\\', '{', ']', ',', '1', '\u{1}', 'u', ' '][dice.roll(9)],
            _ => letters.truncate(at),
        }
        let text: String = letters.into_iter().collect();
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        assert_eq!(found(&["ssn"], &text, false).is_some(), is_json, "{text}");
        // The search believes the host, and panics at nothing.
        let _ = found(&["ssn", "a"], &text, true);
        good += usize::from(is_json);
        bad += usize::from(!is_json);
    }
    assert!(good > 500 && bad > 2_500, "{good} good, {bad} bad");
}

#[test]
fn fields_are_names_or_ends_of_paths_and_what_was_found_is_not_looked_into() {
    let text = r#"{"ssn" : 1 ,"list":[{"ssn":{"ssn":[1,"}"]}}],"user":{"email":"x","n":"ssn"},"email":"kept","ssn":null}"#;
    let places = found(&["ssn", "user.email"], text, true).expect("JSON");
    assert_eq!(places, ["1", r#"{"ssn":[1,"}"]}"#, r#""x""#, "null"]);
    let places = found(&["ssn"], text, true).expect("JSON");
    assert_eq!(places, ["1", r#"{"ssn":[1,"}"]}"#, "null"]);
    assert!(Fields::new([""; 0]).is_empty());
    assert_eq!(found(&[], text, true).expect("JSON"), [""; 0]);
}

#[test]
fn depth_has_an_end() {
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert!(found(&["\\"], &deep(DEPTH_MAX), true).is_some());
    assert!(found(&["\\"], &deep(DEPTH_MAX + 1), true).is_none());
    assert!(found(&["\\"], &"[".repeat(100_000), true).is_none());
}
