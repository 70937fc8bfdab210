//! The name somebody probably meant.

/// The candidate closest to `word` without regard to case, if it is close enough to be a slip of
/// the keyboard: at most one edit in three letters.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = Folded::of(word)?;
    let near = |candidate: &'c str| {
        let other = Folded::of(candidate)?;
        let longer = word.0.len().max(other.0.len());
        let edits = edits(&word.0, &other.0);
        (edits <= longer / 3).then_some((edits, candidate))
    };
    candidates.into_iter().filter_map(near).min().map(|(_, candidate)| candidate)
}

/// Longer words are not typing slips, and the table grows with the square.
const LETTERS_MAX: usize = 64;

struct Folded(Vec<char>);

impl Folded {
    fn of(word: &str) -> Option<Self> {
        let letters: Vec<char> = word.chars().map(|c| c.to_ascii_lowercase()).collect();
        (!letters.is_empty() && letters.len() <= LETTERS_MAX).then_some(Self(letters))
    }
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn edits(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let differs = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + differs);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(word: &str, expected: Option<&str>) {
        let names = ["entryPoints", "middlewares", "priority", "rule", "service", "tls"];
        assert_eq!(nearest(word, names), expected, "{word}");
    }

    #[test]
    fn a_slip_finds_its_name_and_a_stranger_does_not() {
        check("entrypoint", Some("entryPoints"));
        check("middelwares", Some("middlewares"));
        check("MIDDLEWARE", Some("middlewares"));
        check("priorty", Some("priority"));
        check("rul", Some("rule"));
        check("weight", None);
        check("", None);
        check(&"x".repeat(1000), None);
    }
}
