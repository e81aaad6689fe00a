//! JSON text that differs from other JSON text in little.

/// Whether `new` is `old`, or `old` with plain letters of one of its strings replaced by others. Then `new` is JSON if `old` is: outside of those
/// letters both are read alike. Both are UTF-8. False says nothing.
pub(super) fn alike(old: &[u8], new: &[u8]) -> bool {
    let before = same_start(old, new);
    let (old_rest, new_rest) = (&old[before..], &new[before..]);
    if old_rest.is_empty() && new_rest.is_empty() {
        return true;
    }
    let behind = same_end(old_rest, new_rest);
    let plain = |letters: &[u8]| {
        let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
        !letters.iter().any(special)
    };
    // Without a backslash, every other quote opens a string.
    let start = &old[..before];
    let quotes = start.iter().filter(|byte| **byte == b'"').count();
    quotes % 2 == 1
        && !start.contains(&b'\\')
        && plain(&old_rest[..old_rest.len() - behind])
        && plain(&new_rest[..new_rest.len() - behind])
}

/// So many bytes are compared at once.
const STEP: usize = 16;

/// How many bytes at the start are the same.
fn same_start(one: &[u8], two: &[u8]) -> usize {
    let chunks = one.as_chunks::<STEP>().0.iter().zip(two.as_chunks().0);
    let same = chunks.take_while(|(one, two)| one == two).count() * STEP;
    let bytes = one[same..].iter().zip(&two[same..]);
    same + bytes.take_while(|(one, two)| one == two).count()
}

/// How many bytes at the end are the same.
fn same_end(one: &[u8], two: &[u8]) -> usize {
    let chunks = one.as_rchunks::<STEP>().1.iter().rev();
    let chunks = chunks.zip(two.as_rchunks().1.iter().rev());
    let same = chunks.take_while(|(one, two)| one == two).count() * STEP;
    let (one, two) = (&one[..one.len() - same], &two[..two.len() - same]);
    let bytes = one.iter().rev().zip(two.iter().rev());
    same + bytes.take_while(|(one, two)| one == two).count()
}

#[cfg(test)]
mod tests {
    use super::{alike, same_end, same_start};
    use longshore_sdk::json::is_value;
    use proptest::prelude::*;

    #[test]
    fn letters_of_one_string_may_differ_and_nothing_else() {
        let old = r#"{"email":"ada@b.org","n":12,"note":"a\\n \"b\" c"}"#;
        let yes = [
            old,
            r#"{"email":"","n":12,"note":"a\\n \"b\" c"}"#,
            r#"{"email":"****","n":12,"note":"a\\n \"b\" c"}"#,
            r#"{"email":"ada@bbb.org","n":12,"note":"a\\n \"b\" c"}"#,
            r#"{"mail":"ada@b.org","n":12,"note":"a\\n \"b\" c"}"#,
        ];
        for new in yes {
            assert!(
                is_value(new) && alike(old.as_bytes(), new.as_bytes()),
                "{new}"
            );
        }
        let no = [
            "",
            r#"{"email":"ada\"@b.org","n":12,"note":"a\\n \"b\" c"}"#,
            r#"{"email":"a\da@b.org","n":12,"note":"a\\n \"b\" c"}"#,
            "{\"email\":\"\n@b.org\",\"n\":12,\"note\":\"a\\n \\\"b\\\" c\"}",
            r#"{"email":"ada@b.org","n":1 2,"note":"a\\n \"b\" c"}"#,
            r#"{"email":"ada@b.org","n":12,"note":"a\\n \"b\" c"#,
            r#"{"email":"ada@b.org,"n":12,"note":"a\\n \"b\" c"}"#,
            r#"{"email":"ada@b.org""n":12,"note":"a\\n \"b\" c"}"#,
        ];
        for new in no {
            assert!(!alike(old.as_bytes(), new.as_bytes()), "{new}");
        }
    }

    proptest! {
        #[test]
        fn what_is_alike_is_json_if_the_other_is(
            start in "[\\[{]",
            old in "[a\"\\\\,:n1 ]{0,40}",
            at in 0..40_usize,
            gone in 0..4_usize,
            new in "[a\"\\\\,:n1\n ]{0,20}",
        ) {
            // Mostly JSON: a list of strings out of what was made up.
            let parts: Vec<String> = old.split(',').map(|part| {
                let part: String = part.chars().filter(|letter| *letter != '"' && *letter != '\\').collect();
                if start == "[" { format!("\"{part}\"") } else { format!("\"{part}\":\"\\\\{part}\"") }
            }).collect();
            let old = format!("{start}{}{}", parts.join(","), if start == "[" { "]" } else { "}" });
            prop_assert!(is_value(&old), "{}", old);
            let at = at.min(old.len());
            let end = (at + gone).min(old.len());
            let new = format!("{}{new}{}", &old[..at], &old[end..]);
            if alike(old.as_bytes(), new.as_bytes()) {
                prop_assert!(is_value(&new), "{} of {}", new, old);
            }
        }
        #[test]
        fn what_is_the_same_is_counted(one in "[ab]{0,50}", two in "[ab]{0,50}", both in "[ab]{0,50}") {
            let (first, second) = (format!("{both}{one}"), format!("{both}{two}"));
            let slowly = first.bytes().zip(second.bytes()).take_while(|(a, b)| a == b).count();
            prop_assert_eq!(same_start(first.as_bytes(), second.as_bytes()), slowly);
            let (first, second) = (format!("{one}{both}"), format!("{two}{both}"));
            let slowly = first.bytes().rev().zip(second.bytes().rev()).take_while(|(a, b)| a == b).count();
            prop_assert_eq!(same_end(first.as_bytes(), second.as_bytes()), slowly);
        }
    }
}
