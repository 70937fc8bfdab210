//! Replacing what an expression matches, with Go's templates: `$1`, `${1}`, `${name}`, `$$`.

use super::pattern::{Captures, Pattern};

/// A template, taken apart for one expression.
#[derive(Clone, PartialEq, Debug)]
pub struct Replacement {
    source: String,
    parts: Vec<Part>,
    unknown: Vec<String>,
}

#[derive(Clone, PartialEq, Debug)]
enum Part {
    Text(String),
    Group(usize),
}

impl Replacement {
    /// A group that `pattern` does not have stands for nothing, as in Go; see
    /// [`Replacement::unknown`].
    pub fn new(source: &str, pattern: &Pattern) -> Self {
        let mut made = Self { source: source.to_owned(), parts: Vec::new(), unknown: Vec::new() };
        let mut rest = source;
        while let Some((before, after)) = rest.split_once('$') {
            made.text(before);
            rest = if let Some(after) = after.strip_prefix('$') {
                made.text("$");
                after
            } else if let Some((name, after)) = group(after) {
                match pattern.group(name) {
                    Some(at) => made.parts.push(Part::Group(at)),
                    None => made.unknown.push(name.to_owned()),
                }
                after
            } else {
                made.text("$");
                after
            };
        }
        made.text(rest);
        made
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// Groups that the template names and the expression does not have.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// What stands for itself.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Group(_) => None,
        })
    }

    fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        match self.parts.last_mut() {
            Some(Part::Text(last)) => last.push_str(text),
            Some(Part::Group(_)) | None => self.parts.push(Part::Text(text.to_owned())),
        }
    }

    /// Writes `text` to `out` with every match of `pattern` replaced; false, and nothing written,
    /// if none matches.
    pub fn apply(
        &self,
        pattern: &Pattern,
        text: &str,
        captures: &mut Captures,
        out: &mut String,
    ) -> bool {
        let (mut copied, mut from, mut found) = (0, 0, false);
        while from <= text.len() {
            let Some(groups) = pattern.captures_from(text, from, captures) else { break };
            let whole = groups.get(0).expect("a match has its whole");
            found = true;
            out.push_str(text.get(copied..whole.start).unwrap_or_default());
            // An empty match right behind another one is none.
            if whole.end > copied || whole.start == 0 {
                for part in &self.parts {
                    match part {
                        Part::Text(text) => out.push_str(text),
                        Part::Group(at) => {
                            let range = groups.get(*at).unwrap_or(0..0);
                            out.push_str(text.get(range).unwrap_or_default());
                        }
                    }
                }
            }
            copied = whole.end;
            from = if whole.end > from { whole.end } else { next_letter(text, from) };
        }
        if found {
            out.push_str(text.get(copied..).unwrap_or_default());
        }
        found
    }
}

fn next_letter(text: &str, from: usize) -> usize {
    (from + 1..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len() + 1)
}

/// The name of a group after its `$`, and what follows it: the longest run of letters, digits and
/// underscores, so that `$1x` is the group `1x`.
fn group(after: &str) -> Option<(&str, &str)> {
    let braced = after.strip_prefix('{');
    let text = braced.unwrap_or(after);
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let rest = if braced.is_some() { rest.strip_prefix('}')? } else { rest };
    (!name.is_empty()).then_some((name, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, template: &str, text: &str, expected: Option<&str>) {
        let compiled = Pattern::new(pattern).expect("the pattern compiles");
        let replacement = Replacement::new(template, &compiled);
        let (mut out, mut captures) = (String::new(), Captures::default());
        // The second time the memory of the first is used.
        for _ in 0..2 {
            out.clear();
            let found = replacement.apply(&compiled, text, &mut captures, &mut out);
            let shown = found.then_some(out.as_str());
            assert_eq!(shown, expected, "/{pattern}/ by {template} on {text}");
        }
    }

    #[test]
    fn templates_mean_what_they_mean_in_go() {
        check("^/api/(.*)", "/$1", "/api/users", Some("/users"));
        check("^/(.*)/(.*)", "/${2}x/${1}", "/a/b", Some("/bx/a"));
        check("^/(.*)", "/$1x", "/a", Some("/"));
        check("^/(?P<who>.*)", "/${who}/$who", "/a", Some("/a/a"));
        check("a", "$$1", "a", Some("$1"));
        check("a", "$", "a", Some("$"));
        check("a", "${1", "a", Some("${1"));
        check("a", "${}", "a", Some("${}"));
        check("a", "$-", "a", Some("$-"));
        check("a", "$0$0", "a", Some("aa"));
        check("a", "$01", "a", Some(""));
        check("a(b)?", "<$1>", "aab", Some("<><b>"));
        check("b", "x", "a", None);
    }

    #[test]
    fn every_match_is_replaced_and_an_empty_one_behind_another_is_not() {
        check("b*", "-", "abc", Some("-a-c-"));
        check("", "-", "ab", Some("-a-b-"));
        check("x*", "-", "é", Some("-é-"));
        check("a", "b", "banana", Some("bbnbnb"));
        check("^", "/x", "/a", Some("/x/a"));
        check("$", "/", "/a", Some("/a/"));
    }

    #[test]
    fn groups_that_are_not_there_are_told() {
        let pattern = Pattern::new("^/(.*)").expect("the pattern compiles");
        let unknown = |template| Replacement::new(template, &pattern).unknown().join(" ");
        assert_eq!(unknown("/$1/$0"), "");
        assert_eq!(unknown("/$1x/$2/${who}"), "1x 2 who");
    }
}
