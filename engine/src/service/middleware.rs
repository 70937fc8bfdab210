//! What a route's middlewares make of a request head and of a response head. Everything works on
//! memory that the caller keeps, so that a steady stream of requests allocates nothing.

use crate::config::typed::HeadersEdit;
use std::sync::Arc;

/// The field that names the prefixes which were taken off.
pub const FORWARDED_PREFIX: &str = "X-Forwarded-Prefix";

/// A middleware in a route's chain.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    StripPrefix(Vec<String>),
    AddPrefix(String),
    Headers(Arc<HeadersEdit>),
}

/// The path that is left after a strip is not a clean absolute path: the request gets 400.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unclean;

/// Rewrites `target`, a path and perhaps a query, and calls `prefix` with each prefix that was
/// taken off, to be sent in [`FORWARDED_PREFIX`].
pub fn rewrite<'a>(
    steps: &'a [Step],
    target: &mut String,
    mut prefix: impl FnMut(&'a str),
) -> Result<(), Unclean> {
    for step in steps {
        match step {
            Step::StripPrefix(prefixes) => {
                if let Some(taken) = strip(prefixes, target)? {
                    prefix(taken);
                }
            }
            Step::AddPrefix(added) => add(added, target),
            Step::Headers(_) => {}
        }
    }
    Ok(())
}

/// Whether the steps decide about a request field, so that the client's is not passed on.
pub fn decides_request(steps: &[Step], name: &[u8]) -> bool {
    request_edits(steps).any(|(edited, _)| edited.as_bytes().eq_ignore_ascii_case(name))
}

/// Fields to put on the request. `Host` is not among them.
pub fn request_fields(steps: &[Step]) -> impl Iterator<Item = (&str, &str)> {
    let last = |at: usize, name: &str| {
        !request_edits(steps).skip(at + 1).any(|(later, _)| later.eq_ignore_ascii_case(name))
    };
    request_edits(steps)
        .enumerate()
        .filter(move |(at, (name, value))| {
            !value.is_empty() && !name.eq_ignore_ascii_case("host") && last(*at, name)
        })
        .map(|(_, field)| field)
}

/// The `Host` that the steps ask for.
pub fn request_host(steps: &[Step]) -> Option<&str> {
    request_edits(steps)
        .filter(|(name, value)| name.eq_ignore_ascii_case("host") && !value.is_empty())
        .last()
        .map(|(_, value)| value)
}

/// Whether the steps decide about a response field, so that the origin's is not passed on.
pub fn decides_response(steps: &[Step], name: &[u8]) -> bool {
    response_edits(steps).any(|(edited, _)| edited.as_bytes().eq_ignore_ascii_case(name))
}

/// Fields to put on the response. The outermost step has the last word.
pub fn response_fields(steps: &[Step]) -> impl Iterator<Item = (&str, &str)> {
    let first = |at: usize, name: &str| {
        !response_edits(steps).take(at).any(|(outer, _)| outer.eq_ignore_ascii_case(name))
    };
    response_edits(steps)
        .enumerate()
        .filter(move |(at, (name, value))| !value.is_empty() && first(*at, name))
        .map(|(_, field)| field)
}

fn request_edits(steps: &[Step]) -> impl Iterator<Item = (&str, &str)> {
    edits(steps).flat_map(|edit| pairs(&edit.request))
}

fn response_edits(steps: &[Step]) -> impl Iterator<Item = (&str, &str)> {
    edits(steps).flat_map(|edit| pairs(&edit.response))
}

fn edits(steps: &[Step]) -> impl Iterator<Item = &HeadersEdit> {
    steps.iter().filter_map(|step| match step {
        Step::Headers(edit) => Some(&**edit),
        Step::StripPrefix(_) | Step::AddPrefix(_) => None,
    })
}

fn pairs(fields: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

/// Takes the first prefix that matches off `target` and returns it.
fn strip<'a>(prefixes: &'a [String], target: &mut String) -> Result<Option<&'a str>, Unclean> {
    let path = path_of(target);
    let found = prefixes.iter().find_map(|prefix| Some((prefix, matched(path, prefix)?)));
    let Some((prefix, bytes)) = found else { return Ok(None) };
    let slash = if path[bytes..].starts_with('/') { "" } else { "/" };
    target.replace_range(..bytes, slash);
    if is_clean(path_of(target)) { Ok(Some(prefix)) } else { Err(Unclean) }
}

fn add(prefix: &str, target: &mut String) {
    target.insert_str(0, prefix);
    if !prefix.starts_with('/') {
        target.insert(0, '/');
    }
}

fn path_of(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

/// How many bytes of `path` spell `prefix`, where a triplet stands for its character unless that is
/// reserved: the same reading that rules have.
fn matched(path: &str, prefix: &str) -> Option<usize> {
    let path = path.as_bytes();
    let mut at = 0;
    for &wanted in prefix.as_bytes() {
        if *path.get(at)? == wanted {
            at += 1;
        } else if decoded(&path[at..]) == Some(wanted) {
            at += 3;
        } else {
            return None;
        }
    }
    Some(at)
}

fn decoded(bytes: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = *bytes else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let value = u8::try_from(digit(high)? * 16 + digit(low)?).ok()?;
    (!b":/?#[]@!$&'()*+,;=%".contains(&value)).then_some(value)
}

/// Absolute, without empty, `.` or `..` segments, however these are spelled.
fn is_clean(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let last = rest.split('/').count() - 1;
    rest.split('/').enumerate().all(|(at, segment)| match segment {
        "" => at == last,
        segment => !is_dots(segment),
    })
}

/// One or two dots, plain or as triplets.
fn is_dots(segment: &str) -> bool {
    let mut bytes = segment.as_bytes();
    let mut dots = 0;
    while let [first, ..] = bytes {
        let width = match (first, decoded(bytes)) {
            (b'.', _) => 1,
            (_, Some(b'.')) => 3,
            _ => return false,
        };
        bytes = &bytes[width..];
        dots += 1;
    }
    dots <= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(steps: &[Step], target: &str, expected: Result<(&str, &[&str]), Unclean>) {
        let mut rewritten = target.to_owned();
        let mut prefixes = Vec::new();
        let result = rewrite(steps, &mut rewritten, |prefix| prefixes.push(prefix));
        let result = result.map(|()| (rewritten.as_str(), prefixes.as_slice()));
        assert_eq!(result, expected, "{target}");
    }

    fn strip_step(prefixes: &[&str]) -> Step {
        Step::StripPrefix(prefixes.iter().map(|prefix| (*prefix).to_owned()).collect())
    }

    #[test]
    fn the_first_prefix_that_matches_is_taken_off() {
        let api = [strip_step(&["/api", "/a"])];
        check(&api, "/api/users?x=/api", Ok(("/users?x=/api", &["/api"])));
        check(&api, "/api", Ok(("/", &["/api"])));
        check(&api, "/api?q", Ok(("/?q", &["/api"])));
        check(&api, "/apis", Ok(("/s", &["/api"])));
        check(&api, "/a/b", Ok(("/b", &["/a"])));
        check(&api, "/other?/api", Ok(("/other?/api", &[])));
        check(&[strip_step(&["/api/"])], "/api/users", Ok(("/users", &["/api/"])));
        check(&[strip_step(&["/"])], "/users", Ok(("/users", &["/"])));
    }

    #[test]
    fn triplets_match_their_character_unless_it_is_reserved() {
        check(&[strip_step(&["/foo bar"])], "/foo%20bar/x", Ok(("/x", &["/foo bar"])));
        check(&[strip_step(&["/a/b"])], "/a%2Fb/x", Ok(("/a%2Fb/x", &[])));
        check(&[strip_step(&["/a%2Fb"])], "/a%2Fb/x", Ok(("/x", &["/a%2Fb"])));
        check(&[strip_step(&["/%"])], "/%zz", Ok(("/zz", &["/%"])));
    }

    #[test]
    fn what_is_left_must_be_a_clean_absolute_path() {
        let a = [strip_step(&["/a"])];
        check(&a, "/a../secret", Err(Unclean));
        check(&a, "/a%2e./secret", Err(Unclean));
        check(&a, "/a./x", Err(Unclean));
        check(&a, "/a//x", Err(Unclean));
        check(&a, "/a/x/", Ok(("/x/", &["/a"])));
        check(&a, "/a.../x", Ok(("/.../x", &["/a"])));
        check(&a, "/a?../x", Ok(("/?../x", &["/a"])));
    }

    #[test]
    fn steps_apply_in_order() {
        let steps = [strip_step(&["/v1"]), Step::AddPrefix("/new".into()), strip_step(&["/new/x"])];
        check(&steps, "/v1/x/y", Ok(("/y", &["/v1", "/new/x"])));
        check(&[Step::AddPrefix("p".into())], "/x?y", Ok(("/p/x?y", &[])));
    }

    fn headers(request: &[(&str, &str)], response: &[(&str, &str)]) -> Step {
        let owned = |fields: &[(&str, &str)]| {
            fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
        };
        Step::Headers(Arc::new(HeadersEdit { request: owned(request), response: owned(response) }))
    }

    #[test]
    fn the_innermost_step_has_the_last_word_on_a_request_and_the_outermost_on_a_response() {
        let steps = [
            headers(&[("X-A", "1"), ("Host", "one"), ("X-Gone", "")], &[("X-R", "outer")]),
            headers(&[("x-a", "2"), ("X-B", "3"), ("host", "two")], &[("x-r", "inner")]),
        ];
        let fields: Vec<_> = request_fields(&steps).collect();
        assert_eq!(fields, [("x-a", "2"), ("X-B", "3")]);
        assert_eq!(request_host(&steps), Some("two"));
        assert_eq!(response_fields(&steps).collect::<Vec<_>>(), [("X-R", "outer")]);
        assert!(decides_request(&steps, b"x-gone") && decides_response(&steps, b"X-R"));
        assert!(!decides_request(&steps, b"x-r"));
    }

    #[test]
    fn a_later_deletion_beats_an_earlier_value() {
        let steps = [headers(&[("X-A", "1")], &[]), headers(&[("X-A", "")], &[])];
        assert_eq!(request_fields(&steps).count(), 0);
        assert!(decides_request(&steps, b"X-A"));
    }
}
