use super::{Pattern, Replacement};

#[test]
fn java_patterns_mean_what_they_mean_in_java() {
    let cases: &[(&str, &str, bool)] = &[
        ("\\Qa.b\\E", "a.b", true),
        ("\\Qa.b\\E", "axb", false),
        ("\\Qa[", "a[", true),
        ("\\d+", "٣", false),
        ("\\w+", "é", false),
        ("\\w+", "a_1", true),
        ("[\\w.-]+", "a.b-c_d", true),
        ("[^\\d]+", "ab", true),
        ("[^\\d]+", "a1", false),
        ("[a-z&&[^bc]]+", "ad", true),
        ("[a-z&&[^bc]]+", "ab", false),
        ("[a[xyz]]+", "ax", true),
        ("[+--]+", "+,-", true),
        ("[~~]", "~", true),
        ("\\p{Lower}+", "abc", true),
        ("\\p{Lower}+", "é", false),
        ("\\p{IsAlphabetic}+", "é", true),
        ("\\P{Digit}", "a", true),
        ("\\pL+", "é", true),
        ("\\p{Punct}+", "!-/:@[`{~", true),
        ("[\\p{Alnum}_]+", "a_9", true),
        ("(?i)ABC", "abc", true),
        ("(?iu)ABC", "abc", true),
        ("(?u)abc", "abc", true),
        ("(?d:a)b", "ab", true),
        ("a(?-i)b", "ab", true),
        ("\\u0061\\x62\\x{63}\\0144", "abcd", true),
        ("\\cA", "\u{1}", true),
        ("a*+a", "aaa", false),
        ("(a)\\1", "aa", true),
        ("(?<n>a)\\k<n>", "aa", true),
        ("a(?=b).", "ab", true),
        ("a(?!b).", "ab", false),
        ("(?<!x)a", "a", true),
        ("(?>a*)b", "aab", true),
        ("a\\/b\\-c\\_d", "a/b-c_d", true),
        ("a{2,3}", "aa", true),
        ("\\h\\v\\R?", " \n", true),
        ("ab\\Z", "ab", true),
        ("a|ab", "ab", true),
        ("", "", true),
    ];
    for (java, text, expected) in cases {
        let pattern = Pattern::new("regex", java).expect(java);
        assert_eq!(
            pattern.matches(text).expect(java),
            *expected,
            "{java} on {text}"
        );
    }
}

#[test]
fn what_cannot_be_translated_names_key_and_place() {
    let cases = [
        ("ab(", "position 2"),
        ("a)", "position 1"),
        ("[a", "position 0"),
        ("a\\", "position 1"),
        ("a\\G", "position 1"),
        ("\\p{InGreek}", "position 0"),
        ("\\p{L", "position 0"),
        ("(?U)a", "position 2"),
        ("\\x{110000}", "position 0"),
        ("\\ud83d", "position 0"),
        ("\\y", "position 0"),
        ("*", "regex"),
        ("\\p{Nonsense}", "regex"),
    ];
    for (java, place) in cases {
        let error = Pattern::new("regex", java).expect_err(java);
        assert!(error.message().starts_with("regex: "), "{error}");
        assert!(error.message().contains(place), "{java}: {error}");
    }
}

#[test]
fn replacements_are_read_as_java_reads_them() {
    let cases: &[(&str, &str, Option<&str>)] = &[
        ("(a)(b)", "$2$1", Some("ba")),
        ("(a)(b)", "$21", Some("b1")),
        ("(a)(b)", "$11", Some("a1")),
        ("(a)(b)", "${0}", None),
        ("(?<one>a)b", "<${one}>", Some("<a>")),
        ("(?<one>a)b", "${two}", None),
        ("(?<one>a)b", "${one", None),
        ("ab", "\\$0\\\\", Some("$0\\")),
        ("ab", "x\\", None),
        ("ab", "$", None),
        ("ab", "$1", None),
        ("a(x)?b", "[$1]", Some("[]")),
        // The whole must match, but only the first match is replaced.
        ("a|ab", "X", Some("Xb")),
    ];
    for (java, replacement, expected) in cases {
        let pattern = Pattern::new("regex", java).expect(java);
        let replaced = pattern.replaced("ab", &Replacement::new(replacement)).ok();
        assert_eq!(
            replaced.map(|new| new.expect("a match")),
            expected.map(str::to_owned),
            "{java} {replacement}"
        );
    }
    let pattern = Pattern::new("regex", "b").expect("a pattern");
    assert_eq!(
        pattern
            .replaced("ab", &Replacement::new("$9"))
            .expect("unused"),
        None
    );
}

#[test]
fn hopeless_backtracking_ends() {
    let pattern = Pattern::new("regex", "(?:a|a(?=a)|aa)*\\1?(b)c").expect("a pattern");
    assert!(matches!(
        pattern.matches(&"a".repeat(60)),
        Ok(false) | Err(_)
    ));
}
