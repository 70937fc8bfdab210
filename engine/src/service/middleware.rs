//! What a route's middlewares make of a request head and of a response head. Everything works on
//! memory that the caller keeps, so that a steady stream of requests allocates nothing.

pub mod path;

use crate::config::typed::{HeadersEdit, Rewrite};
use crate::rule::Pattern;
use std::sync::Arc;

/// A middleware in a route's chain.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    StripPrefix(Vec<String>),
    StripPrefixRegex(Vec<Pattern>),
    AddPrefix(String),
    ReplacePath(String),
    ReplacePathRegex(Arc<Rewrite>),
    Headers(Arc<HeadersEdit>),
}

/// Whether the steps decide about a request field, so that the client's is not passed on.
pub fn decides_request(steps: &[Step], name: &[u8]) -> bool {
    request_edits(steps).any(|(edited, _)| edited.as_bytes().eq_ignore_ascii_case(name))
        || steps.iter().any(|step| path::notes(step, name))
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
        Step::StripPrefix(_)
        | Step::StripPrefixRegex(_)
        | Step::AddPrefix(_)
        | Step::ReplacePath(_)
        | Step::ReplacePathRegex(_) => None,
    })
}

fn pairs(fields: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
