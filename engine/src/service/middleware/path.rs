//! What middlewares make of a path. The query stays as it is.

use super::Step;
use crate::base::mutant::{Mutant, planted};
use crate::config::typed::{Rewrite, StripPrefix};
use crate::http::target::{is_escaped, routing_path};
use crate::rule::{Captures, Pattern};

/// The field that names the prefixes which were taken off.
pub const FORWARDED_PREFIX: &str = "X-Forwarded-Prefix";
/// The field that names the path which was replaced.
pub const REPLACED_PATH: &str = "X-Replaced-Path";

/// The path that is left is not one that may be sent on: the request gets 400.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unclean;

/// Memory for rewriting, kept by the caller for the next request.
#[derive(Default, Debug)]
pub struct Memory {
    decoded: String,
    built: String,
    captures: Captures,
}

/// Rewrites `target`, a path and perhaps a query, and calls `note` with each request field that
/// tells the server of it, and its value.
pub fn rewrite(
    steps: &[Step],
    target: &mut String,
    memory: &mut Memory,
    mut note: impl FnMut(&'static str, &str),
) -> Result<(), Unclean> {
    steps.iter().try_for_each(|step| apply(step, target, memory, &mut note))?;
    target.insert_str(0, missing_slash(target));
    Ok(())
}

/// The slash that a path needs on the wire where steps have left none of it.
pub fn missing_slash(target: &str) -> &'static str {
    if target.starts_with('/') { "" } else { "/" }
}

/// Does one step of [`rewrite`]. What [`missing_slash`] says is missing is put there at the end.
pub fn apply(
    step: &Step,
    target: &mut String,
    memory: &mut Memory,
    note: &mut impl FnMut(&'static str, &str),
) -> Result<(), Unclean> {
    match step {
        Step::StripPrefix(it) => {
            if planted(Mutant::PrefixKept) {
                return Ok(());
            }
            if let Some(taken) = strip(it, target)? {
                note(FORWARDED_PREFIX, taken);
            }
            Ok(())
        }
        Step::StripPrefixRegex(patterns) => strip_matched(patterns, target, memory, note),
        Step::AddPrefix(prefix) => {
            add(prefix, target);
            Ok(())
        }
        Step::ReplacePath(path) => {
            note(REPLACED_PATH, path_of(target));
            let end = path_of(target).len();
            target.replace_range(..end, path);
            Ok(())
        }
        Step::ReplacePathRegex(rewrite) => replace(rewrite, target, memory, note),
        Step::Headers(_)
        | Step::Redirect(_)
        | Step::AllowList(_)
        | Step::Encoded(_)
        | Step::RateLimit(_)
        | Step::InFlight(_)
        | Step::BasicAuth(_)
        | Step::DigestAuth(_)
        | Step::ForwardAuth(_)
        | Step::Retry(_)
        | Step::Breaker(_)
        | Step::Buffering(_)
        | Step::Errors(_)
        | Step::Compress(_)
        | Step::ContentType
        | Step::ClientCert(_)
        | Step::GrpcWeb(_) => Ok(()),
    }
}

/// Whether the step notes a field of this name, so that the client's is not passed on.
pub(super) fn notes(step: &Step, name: &[u8]) -> bool {
    matches!(step, Step::ReplacePath(_) | Step::ReplacePathRegex(_))
        && name.eq_ignore_ascii_case(REPLACED_PATH.as_bytes())
}

/// Takes the first prefix that matches off `target` and returns it. An empty path may be left.
fn strip<'a>(it: &'a StripPrefix, target: &mut String) -> Result<Option<&'a str>, Unclean> {
    let path = path_of(target);
    let found = it.prefixes.iter().find_map(|prefix| Some((prefix, matched(path, prefix)?)));
    let Some((prefix, bytes)) = found else { return Ok(None) };
    let left = &path[bytes..];
    let bare = left.starts_with('/') || left.is_empty() && !it.force_slash;
    target.replace_range(..bytes, if bare { "" } else { "/" });
    let path = path_of(target);
    if path.is_empty() || is_clean(path) { Ok(Some(prefix)) } else { Err(Unclean) }
}

fn add(prefix: &str, target: &mut String) {
    target.insert_str(0, prefix);
    if !prefix.starts_with('/') {
        target.insert(0, '/');
    }
}

pub(super) fn path_of(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

/// Takes what the first expression matches off `target`, if the path begins with it.
fn strip_matched(
    patterns: &[Pattern],
    target: &mut String,
    memory: &mut Memory,
    note: &mut impl FnMut(&'static str, &str),
) -> Result<(), Unclean> {
    let path = path_of(target);
    let decoded = routing_path(path, &mut memory.decoded);
    let found = patterns.iter().find_map(|pattern| {
        let prefix = pattern.find(decoded).filter(|found| !found.is_empty())?;
        Some((prefix, matched(path, prefix)?))
    });
    let Some((prefix, bytes)) = found else { return Ok(()) };
    let plain = prefix.bytes().all(|b| matches!(b, b' '..=b'~'));
    note(FORWARDED_PREFIX, if plain { prefix } else { &path[..bytes] });
    let slash = if path[bytes..].starts_with('/') { "" } else { "/" };
    target.replace_range(..bytes, slash);
    if is_clean(path_of(target)) { Ok(()) } else { Err(Unclean) }
}

/// Replaces what the expression matches in the path as it is written, escapes included.
fn replace(
    rewrite: &Rewrite,
    target: &mut String,
    memory: &mut Memory,
    note: &mut impl FnMut(&'static str, &str),
) -> Result<(), Unclean> {
    let path = path_of(target);
    let built = &mut memory.built;
    built.clear();
    if !rewrite.replacement.apply(&rewrite.pattern, path, &mut memory.captures, built) {
        return Ok(());
    }
    note(REPLACED_PATH, path);
    if !built.starts_with('/') {
        built.insert(0, '/');
    }
    if !is_escaped(built) || built.split('/').any(|segment| !segment.is_empty() && is_dots(segment))
    {
        return Err(Unclean);
    }
    let end = path.len();
    target.replace_range(..end, built);
    Ok(())
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
    use crate::rule::Replacement;
    use std::sync::Arc;

    /// The values of the fields that tell the server, in order.
    #[track_caller]
    fn check(steps: &[Step], target: &str, expected: Result<(&str, &[&str]), Unclean>) {
        let mut rewritten = target.to_owned();
        let (mut told, mut memory) = (Vec::new(), Memory::default());
        let note = |_: &'static str, value: &str| told.push(value.to_owned());
        let result = rewrite(steps, &mut rewritten, &mut memory, note);
        let told: Vec<&str> = told.iter().map(String::as_str).collect();
        let result = result.map(|()| (rewritten.as_str(), told.as_slice()));
        assert_eq!(result, expected, "{target}");
    }

    fn strip_step(prefixes: &[&str]) -> Step {
        let prefixes = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
        Step::StripPrefix(Arc::new(StripPrefix { prefixes, force_slash: false }))
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
    fn what_stands_behind_sees_a_forced_slash() {
        let then_add = |force_slash| {
            let strip = StripPrefix { prefixes: vec!["/api".to_owned()], force_slash };
            [Step::StripPrefix(Arc::new(strip)), Step::AddPrefix("/v1".into())]
        };
        check(&then_add(false), "/api", Ok(("/v1", &["/api"])));
        check(&then_add(true), "/api", Ok(("/v1/", &["/api"])));
        check(&then_add(false), "/api?q", Ok(("/v1?q", &["/api"])));
        check(&then_add(false), "/api/", Ok(("/v1/", &["/api"])));
        for forced in [false, true] {
            check(&then_add(forced), "/api/x", Ok(("/v1/x", &["/api"])));
            check(&then_add(forced)[..1], "/api", Ok(("/", &["/api"])));
            check(&then_add(forced), "/api//x", Err(Unclean));
        }
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

    fn pattern(source: &str) -> Pattern {
        Pattern::new(source).expect("the pattern compiles")
    }

    fn regex_step(source: &str, replacement: &str) -> Step {
        let pattern = pattern(source);
        let replacement = Replacement::new(replacement, &pattern);
        Step::ReplacePathRegex(Arc::new(Rewrite { pattern, replacement }))
    }

    #[test]
    fn an_expression_takes_off_what_it_matches_at_the_start() {
        let steps = [Step::StripPrefixRegex(vec![pattern("^/v[0-9]+"), pattern("/[a-z]{2}/")])];
        check(&steps, "/v12/x?/v1", Ok(("/x?/v1", &["/v12"])));
        check(&steps, "/v1", Ok(("/", &["/v1"])));
        check(&steps, "/de/shop", Ok(("/shop", &["/de/"])));
        check(&steps, "/x/de/shop", Ok(("/x/de/shop", &[])));
        check(&steps, "/v1../x", Err(Unclean));
        let empty = [Step::StripPrefixRegex(vec![pattern("x*")])];
        check(&empty, "/a", Ok(("/a", &[])));
        let decoded = [Step::StripPrefixRegex(vec![pattern("^/[^/]+")])];
        check(&decoded, "/a%20b/c", Ok(("/c", &["/a b"])));
        check(&decoded, "/a%2Fb/c", Ok(("/c", &["/a%2Fb"])));
        check(&decoded, "/%C3%A9/c", Ok(("/c", &["/%C3%A9"])));
    }

    #[test]
    fn a_replaced_path_is_told_and_the_query_stays() {
        let steps = [Step::ReplacePath("/new".into())];
        check(&steps, "/old/x?y=/old", Ok(("/new?y=/old", &["/old/x"])));
        check(&steps, "/a%20b", Ok(("/new", &["/a%20b"])));
    }

    #[test]
    fn an_expression_replaces_in_the_path_as_it_is_written() {
        let api = [regex_step("^/api/(.*)", "/$1")];
        check(&api, "/api/users?q=/api/", Ok(("/users?q=/api/", &["/api/users"])));
        check(&api, "/other", Ok(("/other", &[])));
        check(&[regex_step("^/(.*)$", "$1/x")], "/a", Ok(("/a/x", &["/a"])));
        check(&[regex_step("^/a(.*)", "/b/$1")], "/a/c", Ok(("/b//c", &["/a/c"])));
        check(&[regex_step("%20", "-")], "/a%20b", Ok(("/a-b", &["/a%20b"])));
        check(&[regex_step("^/(.).*", "/$1")], "/%20", Err(Unclean));
        check(&[regex_step("^/x/?", "/../")], "/x/y", Err(Unclean));
    }

    #[test]
    fn a_client_cannot_say_that_its_path_was_replaced() {
        assert!(notes(&Step::ReplacePath("/".into()), b"x-replaced-path"));
        assert!(!notes(&Step::AddPrefix("/".into()), b"x-replaced-path"));
    }
}
