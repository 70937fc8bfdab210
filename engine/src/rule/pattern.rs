//! Regular expressions of rules: Go's syntax, linear time, bounded size. The only file that names
//! the `regex` crate.

use super::literal::{self, Ends};
use regex::bytes::{CaptureLocations, Regex, RegexBuilder};
use std::fmt;
use std::ops::Range;

/// Bytes of a compiled expression. A thousand alternatives of a host name fit.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// Expressions whose memory for groups is kept.
const CAPTURES_KEPT: usize = 32;

/// A compiled expression. Two are equal if they were written the same.
#[derive(Clone)]
pub struct Pattern {
    source: String,
    compiled: Regex,
}

impl Pattern {
    /// Compiles `source`; the error is one line of text.
    pub fn new(source: &str) -> Result<Self, String> {
        let translated = translated(source);
        // Go's `\w`, `\d`, `\s` and `\b` are ASCII, which is `unicode(false)` here. Unicode
        // classes and non-ASCII ranges exist only with it on.
        let compiled = compile(&translated, false).or_else(|_| compile(&translated, true))?;
        Ok(Self { source: source.to_owned(), compiled })
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// What every match begins and ends with.
    pub fn ends(&self) -> Ends {
        literal::ends(&self.source)
    }

    /// Whether any part of `text` matches.
    #[inline]
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.compiled.is_match(text)
    }

    /// The first part of `text` that matches.
    pub fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.compiled.find(text.as_bytes()).and_then(|found| text.get(found.range()))
    }

    /// The number of a group that is named by number or by name.
    pub fn group(&self, name: &str) -> Option<usize> {
        let number = || {
            let plain = name.len() == 1 || !name.starts_with('0');
            let digits = plain && name.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| name.parse().ok()).flatten()
        };
        let named = || self.compiled.capture_names().position(|known| known == Some(name));
        number().filter(|at| *at < self.compiled.captures_len()).or_else(named)
    }

    /// The groups of the first match at or after `from`.
    pub(super) fn captures_from<'c>(
        &self,
        text: &str,
        from: usize,
        captures: &'c mut Captures,
    ) -> Option<Groups<'c>> {
        let locations = captures.of(self);
        self.compiled.captures_read_at(locations, text.as_bytes(), from)?;
        Some(Groups(locations))
    }
}

/// Memory for groups, used again and again by one worker.
#[derive(Default, Debug)]
pub struct Captures(Vec<(String, CaptureLocations)>);

impl Captures {
    fn of(&mut self, pattern: &Pattern) -> &mut CaptureLocations {
        let found = self.0.iter().position(|(source, _)| *source == pattern.source);
        let at = found.unwrap_or_else(|| {
            if self.0.len() == CAPTURES_KEPT {
                self.0.remove(0);
            }
            self.0.push((pattern.source.clone(), pattern.compiled.capture_locations()));
            self.0.len() - 1
        });
        &mut self.0[at].1
    }
}

/// Where the groups of one match are.
pub(super) struct Groups<'c>(&'c CaptureLocations);

impl Groups<'_> {
    pub(super) fn get(&self, group: usize) -> Option<Range<usize>> {
        self.0.get(group).map(|(start, end)| start..end)
    }
}

fn compile(source: &str, unicode: bool) -> Result<Regex, String> {
    RegexBuilder::new(source)
        .unicode(unicode)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .build()
        .map_err(|error| one_line(&error))
}

/// The last line of a syntax error says what is wrong; those above draw a picture.
fn one_line(error: &regex::Error) -> String {
    if let regex::Error::CompiledTooBig(limit) = error {
        return format!("it compiles to more than {limit} bytes");
    }
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

/// Go's syntax in the words of the `regex` crate: inside a class `[`, `&`, `~` and `--` mean
/// themselves, a brace that counts nothing is a brace, and `\Q…\E` quotes.
fn translated(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + 8);
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '\\' if rest.starts_with("\\Q") => quote(rest, &mut out),
            '\\' => copy(rest, rest.chars().take(2).map(char::len_utf8).sum(), &mut out),
            '[' => class(rest, &mut out),
            '{' if !counts(rest) => {
                out.push_str("\\{");
                1
            }
            c => copy(rest, c.len_utf8(), &mut out),
        };
        rest = &rest[length..];
    }
    out
}

fn copy(rest: &str, length: usize, out: &mut String) -> usize {
    out.push_str(&rest[..length]);
    length
}

fn quote(rest: &str, out: &mut String) -> usize {
    let inside = &rest[2..];
    let (text, length) =
        inside.find("\\E").map_or((inside, rest.len()), |end| (&inside[..end], end + 4));
    out.push_str(&regex::escape(text));
    length
}

/// Whether `{` opens a repetition such as `{2}`, `{2,}` or `{2,5}`.
fn counts(rest: &str) -> bool {
    let inside = rest[1..].split_once('}').map_or("", |(inside, _)| inside);
    let (from, to) = inside.split_once(',').unwrap_or((inside, "0"));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    !from.is_empty() && digits(from) && digits(to)
}

/// A class from `[` to its `]`.
fn class(rest: &str, out: &mut String) -> usize {
    let mut at = 1;
    out.push('[');
    if rest[at..].starts_with('^') {
        at += copy(&rest[at..], 1, out);
    }
    let first = at;
    while let Some(c) = rest[at..].chars().next() {
        let here = &rest[at..];
        at += match c {
            ']' if at > first => {
                out.push(']');
                return at + 1;
            }
            '\\' => copy(here, here.chars().take(2).map(char::len_utf8).sum(), out),
            '[' if here.starts_with("[:") && here.contains(":]") => {
                copy(here, here.find(":]").map_or(1, |end| end + 2), out)
            }
            '-' if here.starts_with("--") => {
                out.push_str(if at == first { "\\--" } else { "-\\-" });
                2
            }
            ']' | '[' | '&' | '~' => {
                out.push('\\');
                out.push(c);
                1
            }
            c => copy(here, c.len_utf8(), out),
        };
    }
    at
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: bool) {
        let compiled = Pattern::new(pattern).expect("the pattern compiles");
        assert_eq!(compiled.is_match(text.as_bytes()), expected, "/{pattern}/ on {text}");
    }

    #[test]
    fn expressions_mean_what_they_mean_in_go() {
        check(r"^/api/v\d+/", "/api/v2/x", true);
        check(r"^/\w+$", "/é", false);
        check("[a&&b]", "&", true);
        check("[[a]x]", "[x]", true);
        check("[[:alpha:]]", ":", false);
        check("^[]a]$", "]", true);
        check("^[^]a]$", "]", false);
        check("^[!--]$", "+", true);
        check("^[--/]$", ".", true);
        check("/{id}", "/{id}", true);
        check("^a{2,3}$", "aaa", true);
        check("^a{,2}$", "a{,2}", true);
        check(r"^\Qa.b\E$", "axb", false);
        check(r"^\Qa.b", "a.b!", true);
        check("(?i)^ABC$", "abc", true);
        check("[é]", "é", true);
        check("a$", "a\n", false);
    }

    #[test]
    fn what_go_refuses_is_refused_with_a_reason() {
        for (pattern, reason) in [
            ("(", "unclosed group"),
            ("(?=x)", "look-around, including look-ahead and look-behind, is not supported"),
            (r"(a)\1", "backreferences are not supported"),
            ("(((a{999}){999}){999})", "it compiles to more than 1048576 bytes"),
        ] {
            assert_eq!(Pattern::new(pattern).expect_err("it is refused"), reason, "{pattern}");
        }
    }
}
