use super::*;

fn format(pattern: &str) -> DateFormat {
    DateFormat::new("format", pattern).expect(pattern)
}

fn printed(pattern: &str, ms: i64) -> String {
    let mut out = String::new();
    format(pattern).print(ms, &mut out);
    out
}

/// Lines of `P pattern ms text` and `R pattern text ms`, as Java 17 printed and read them; `ERR`: it did not.
#[test]
fn dates_come_out_as_java_has_them() {
    let (mut printed_lines, mut read_lines) = (0, 0);
    for line in include_str!("../../tests/data/dates.tsv").lines() {
        let [what, pattern, given, expected] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line:?} has not four columns");
        };
        if what == "P" {
            let ms = given.parse().expect("milliseconds");
            assert_eq!(printed(pattern, ms), expected, "{line}");
            printed_lines += 1;
        } else {
            let ms = format(pattern).read(given);
            let ms = ms.map_or("ERR".to_owned(), |ms| ms.to_string());
            assert_eq!(ms, expected, "{line}");
            read_lines += 1;
        }
    }
    assert!(printed_lines > 100 && read_lines > 100);
}

#[test]
fn two_digit_years_fall_within_eighty_years_before_and_twenty_after() {
    let now = format("yyyy");
    let year = |ms: i64| {
        let mut out = String::new();
        now.print(ms, &mut out);
        out.parse::<i64>().expect("a year")
    };
    let this = year(now.century) + 80;
    for offset in -79..20 {
        let wanted = this + offset;
        let text = format!("{:02}", wanted % 100);
        let ms = format("yy").read(&text).expect("a year");
        assert_eq!(year(ms), wanted, "{text}");
    }
    assert_eq!(year(format("yy").read("0007").expect("a year")), 7);
    assert_eq!(year(format("yyyy").read("07").expect("a year")), 7);
}

#[test]
fn patterns_that_java_refuses_are_refused_by_name() {
    for (pattern, named) in [
        ("bogus{", "letter b"),
        ("yyyy-MM-dd'T", "quote"),
        ("XXXX", "X stands"),
        ("yyyy-MM-ddTHH", "letter T"),
    ] {
        let error = DateFormat::new("format", pattern).expect_err(pattern);
        assert!(error.message().contains(named), "{error}");
        assert!(error.message().starts_with("format: "), "{error}");
    }
    let long = "y".repeat(PATTERN_MAX + 1);
    assert!(DateFormat::new("format", &long).is_err());
}

#[test]
fn iso_texts_take_their_form_from_the_number() {
    for (ms, text) in [
        (0, "00:00:00.000Z"),
        (-1, "23:59:59.999Z"),
        (86_399_999, "23:59:59.999Z"),
        (86_400_000, "1970-01-02"),
        (86_400_001, "1970-01-02T00:00:00.001Z"),
    ] {
        assert_eq!(iso_text(ms), text);
    }
}
