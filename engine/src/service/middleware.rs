//! What a route's middlewares make of a request head and of a response head. Everything works on
//! memory that the caller keeps, so that a steady stream of requests allocates nothing.

pub mod passing;
pub mod path;
mod redirect;

use crate::config::encoded::EncodedRefused;
use crate::config::typed::{AllowList, HeadersEdit, Redirect, Rewrite};
use crate::rule::{Captures, Pattern};
use passing::Passing;
use std::sync::Arc;

/// A middleware in a route's chain.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    StripPrefix(Vec<String>),
    StripPrefixRegex(Vec<Pattern>),
    AddPrefix(String),
    ReplacePath(String),
    ReplacePathRegex(Arc<Rewrite>),
    Redirect(Arc<Redirect>),
    AllowList(Arc<AllowList>),
    Encoded(EncodedRefused),
    Headers(Arc<HeadersEdit>),
}

impl Step {
    /// Whether [`judge`] may do anything but let a request pass.
    pub fn may_answer(&self) -> bool {
        match self {
            Self::Redirect(_) | Self::AllowList(_) | Self::Encoded(_) => true,
            Self::StripPrefix(_)
            | Self::StripPrefixRegex(_)
            | Self::AddPrefix(_)
            | Self::ReplacePath(_)
            | Self::ReplacePathRegex(_)
            | Self::Headers(_) => false,
        }
    }
}

/// What a step makes of a request that comes to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Pass,
    /// Answer with this status and its phrase.
    Refuse(u16),
    /// Answer with this status alone.
    Bare(u16),
    /// Answer with this status and where to go instead: [`Memory::location`].
    Redirect(u16),
}

/// Memory for judging, kept by the caller for the next request.
#[derive(Default, Debug)]
pub struct Memory {
    pub location: String,
    url: String,
    captures: Captures,
}

/// Lets a request pass, or answers it. Paths are not changed here: see [`path::apply`].
pub fn judge(step: &Step, passing: &Passing<'_>, memory: &mut Memory) -> Verdict {
    match step {
        Step::Redirect(_) if passing.authority().is_empty() => Verdict::Refuse(400),
        Step::Redirect(redirect) => {
            let Memory { location, url, captures } = memory;
            redirect::redirected(redirect, passing, captures, url, location)
                .map_or(Verdict::Pass, Verdict::Redirect)
        }
        Step::AllowList(list) => {
            let ip = passing.client_ip(&list.strategy);
            let allowed = ip.is_some_and(|ip| list.ranges.iter().any(|range| range.contains(ip)));
            if allowed { Verdict::Pass } else { Verdict::Refuse(list.status) }
        }
        Step::Encoded(refused) if refused.refuses(path::path_of(passing.path)) => {
            Verdict::Bare(400)
        }
        Step::Encoded(_)
        | Step::StripPrefix(_)
        | Step::StripPrefixRegex(_)
        | Step::AddPrefix(_)
        | Step::ReplacePath(_)
        | Step::ReplacePathRegex(_)
        | Step::Headers(_) => Verdict::Pass,
    }
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
        | Step::ReplacePathRegex(_)
        | Step::Redirect(_)
        | Step::AllowList(_)
        | Step::Encoded(_) => None,
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
