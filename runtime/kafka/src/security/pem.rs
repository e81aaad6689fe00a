//! PEM text, as it stands in .properties files: on one line, or with blanks where lines ended.

/// The largest file of certificates or keys that is read.
pub(super) const SIZE_MAX: u64 = 1 << 20;

/// The same blocks with one line per 64 characters, which is what the client library reads; `None` = there is no block of that kind.
/// `wanted` judges a block's label (`CERTIFICATE`, `ENCRYPTED PRIVATE KEY`, ..).
pub(super) fn normalised(text: &str, wanted: impl Fn(&str) -> bool) -> Option<String> {
    let mut out = String::new();
    for (label, body) in blocks(text) {
        if !wanted(label) {
            continue;
        }
        out.push_str(&format!("-----BEGIN {label}-----\n"));
        if body.contains(':') {
            // Headers of the old encrypted form: their lines matter.
            out.push_str(body.trim());
            out.push('\n');
        } else {
            let base64: Vec<char> = body.chars().filter(|c| !c.is_whitespace()).collect();
            for line in base64.chunks(64) {
                out.extend(line);
                out.push('\n');
            }
        }
        out.push_str(&format!("-----END {label}-----\n"));
    }
    (!out.is_empty()).then_some(out)
}

/// Certificates as PEM.
pub(super) fn certificates<'a>(ders: impl Iterator<Item = &'a [u8]>) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let blocks = ders.map(|der| {
        format!(
            "-----BEGIN CERTIFICATE-----{}-----END CERTIFICATE-----",
            STANDARD.encode(der)
        )
    });
    normalised(&blocks.collect::<String>(), |_| true).unwrap_or_default()
}

pub(super) fn is_key(label: &str) -> bool {
    label.ends_with("PRIVATE KEY")
}

pub(super) fn is_certificate(label: &str) -> bool {
    matches!(
        label,
        "CERTIFICATE" | "TRUSTED CERTIFICATE" | "X509 CERTIFICATE"
    )
}

/// Labels and bodies. A block that is not ended is left out.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let Some((label, after)) = after.split_once("-----") else {
            break;
        };
        let Some((body, after)) = after.split_once(&format!("-----END {label}-----")) else {
            rest = after;
            continue;
        };
        found.push((label, body));
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_becomes_lines() {
        let body = "QUJD".repeat(20);
        let one = format!("-----BEGIN CERTIFICATE----- {body} -----END CERTIFICATE-----");
        let expected = format!(
            "-----BEGIN CERTIFICATE-----\n{}\n{}\n-----END CERTIFICATE-----\n",
            &body[..64],
            &body[64..]
        );
        assert_eq!(
            normalised(&one, is_certificate).as_deref(),
            Some(&*expected)
        );
        assert_eq!(normalised(&expected, is_certificate), Some(expected));
        assert_eq!(normalised(&one, is_key), None);
        assert_eq!(
            normalised("-----BEGIN CERTIFICATE----- QUJD", is_certificate),
            None
        );
    }
}
