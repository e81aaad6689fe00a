//! `${provider:path:key}` and `${provider:key}` in a text.

/// One placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placeholder<'a> {
    /// The provider's name.
    pub provider: &'a str,
    /// The path; empty where there is none.
    pub path: &'a str,
    /// The key; it may hold colons.
    pub key: &'a str,
}

impl<'a> Placeholder<'a> {
    /// What stands between `${` and `}`, as Kafka reads it: `\$\{([^}]*?):(([^}]*?):)?([^}]*?)\}`. The first colon ends the provider, the second
    /// one, if there is one, the path.
    fn parse(inside: &'a str) -> Option<Self> {
        let (provider, rest) = inside.split_once(':')?;
        let (path, key) = rest.split_once(':').unwrap_or(("", rest));
        Some(Self {
            provider,
            path,
            key,
        })
    }
}

/// The placeholders of a text, in order.
pub(super) fn all(text: &str) -> Vec<Placeholder<'_>> {
    pieces(text).filter_map(|piece| piece.placeholder).collect()
}

/// The text with each placeholder replaced that `value` answers for. What is put in is not looked at again.
pub(super) fn replace(
    text: &str,
    mut value: impl FnMut(&Placeholder<'_>) -> Option<String>,
) -> String {
    let mut out = String::with_capacity(text.len());
    for piece in pieces(text) {
        out.push_str(piece.before);
        match piece.placeholder.as_ref().and_then(&mut value) {
            Some(value) => out.push_str(&value),
            None => out.push_str(piece.whole),
        }
    }
    out
}

/// Text, and what follows it between `${` and `}`.
struct Piece<'a> {
    before: &'a str,
    whole: &'a str,
    placeholder: Option<Placeholder<'a>>,
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let start = text.find("${");
        let bounds = start.and_then(|start| Some((start, start + text[start..].find('}')? + 1)));
        let Some((start, end)) = bounds else {
            return Some(Piece {
                before: text,
                whole: "",
                placeholder: None,
            });
        };
        rest = Some(&text[end..]);
        let whole = &text[start..end];
        Some(Piece {
            before: &text[..start],
            whole,
            placeholder: Placeholder::parse(&whole[2..whole.len() - 1]),
        })
    })
}
