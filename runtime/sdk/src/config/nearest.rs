//! What somebody meant who mistyped a name.

/// The candidate that `word` was most likely meant to be: at most three edits away and fewer for short words, ignoring case; `None` if nothing is near.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let limit = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|(edits, _)| *edits <= limit)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Candidates, the most alike first; equals keep their order.
pub(super) fn by_distance(word: &str, candidates: &[String]) -> Vec<String> {
    let word = word.to_lowercase();
    let mut ranked: Vec<&String> = candidates.iter().collect();
    ranked.sort_by_cached_key(|candidate| distance(&word, &candidate.to_lowercase()));
    ranked.into_iter().cloned().collect()
}

/// How much longer than any key a word may be before it is not compared: the table below is quadratic.
const CHARS_MAX: usize = 200;

/// Insertions, deletions, replacements and swaps of neighbours that lead from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len() > CHARS_MAX || b.len() > CHARS_MAX {
        return a.len().max(b.len());
    }
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (a, b, edits) in [
            ("", "", 0),
            ("abc", "", 3),
            ("topic", "topics", 1),
            ("toipc", "topic", 1),
            ("file", "fiel", 1),
            ("kitten", "sitting", 3),
            ("é", "e", 1),
        ] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
            assert_eq!(distance(b, a), edits, "{b} {a}");
        }
    }

    #[test]
    fn only_what_is_near_is_offered() {
        let keys = ["topics", "topics.regex", "file", "tasks.max"];
        assert_eq!(nearest("topic", keys), Some("topics"));
        assert_eq!(nearest("TASK.MAX", keys), Some("tasks.max"));
        assert_eq!(nearest("tasksmax", keys), Some("tasks.max"));
        assert_eq!(nearest("connection.url", keys), None);
        assert_eq!(nearest("AvroConverter", ["JsonConverter"]), None);
        assert_eq!(nearest("", keys), None);
        assert_eq!(nearest(&"x".repeat(100_000), keys), None);
    }
}
