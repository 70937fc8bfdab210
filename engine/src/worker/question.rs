//! What another server is asked about a request: its head, as the steps before have left it.

use super::Worker;
use super::fields::{Managed, put_element, put_field, put_ip};
use crate::base::text::number;
use crate::http::fields::{self, Known};
use crate::service::middleware::forward::{Forward, granted};
use crate::service::middleware::passing::Passing;
use crate::service::middleware::{decides_request, path, request_fields};

impl Worker {
    /// Writes the question's head into the scratch. `body` is the length of the request's body, if
    /// that goes along.
    pub(super) fn write_question(
        &mut self,
        forward: &Forward,
        passing: &Passing<'_>,
        host: &str,
        body: Option<u64>,
    ) {
        let mut noted = Vec::new();
        let mut target = String::new();
        super::pass::write_target(&mut target, passing.target);
        let note = |name: &'static str, value: &str| put_field(&mut noted, name, value.as_bytes());
        // A path that is not clean was refused on the way here.
        let _ = path::rewrite(passing.passed, &mut target, &mut self.scratch.memory, note);
        let mut out = std::mem::take(&mut self.scratch.head);
        out.clear();
        write_question_line(&mut out, forward, passing, host);
        write_fields(&mut out, forward, passing, &noted);
        write_whence(&mut out, forward, passing);
        if let Some(body) = body {
            out.extend_from_slice(b"Content-Length: ");
            number(body, &mut out);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        self.scratch.head = out;
    }
}

fn write_question_line(out: &mut Vec<u8>, forward: &Forward, passing: &Passing<'_>, host: &str) {
    let method = if forward.auth.preserve_method { passing.head.method.as_str() } else { "GET" };
    let (slash, question) = forward.question();
    for part in [method, " ", slash, question, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    put_field(out, "Host", host.as_bytes());
}

/// The fields of the request that are handed on.
fn write_fields(out: &mut Vec<u8>, forward: &Forward, passing: &Passing<'_>, noted: &[u8]) {
    for field in passing.head.end_to_end() {
        let passes = match Managed::of(field.name) {
            Some(Managed::Passed) => passing.trusted && !is_ours(field.name),
            Some(_) => false,
            None => Known::of(field.name).is_none(),
        };
        let decided = decides_request(passing.passed, field.name.as_bytes());
        if passes && !decided && forward.hands_on(field.name) {
            put_field(out, field.name, field.value);
        }
    }
    let set = request_fields(passing.passed).map(|(name, value)| (name, value.as_bytes()));
    let users = passing.passed.iter().filter_map(|step| step.user_field());
    let users = users.map(|name| (name, passing.user.as_bytes()));
    let given = granted(passing.passed, passing.grants);
    for (name, value) in set.chain(users).chain(given) {
        let own = Managed::of(name).is_some_and(|it| it != Managed::Passed) || is_ours(name);
        if !own && !value.is_empty() && fields::is_value(value) && forward.hands_on(name) {
            put_field(out, name, value);
        }
    }
    for line in noted.split_inclusive(|b| *b == b'\n') {
        let name = line.split(|b| *b == b':').next().and_then(|it| std::str::from_utf8(it).ok());
        if name.is_some_and(|name| forward.hands_on(name)) {
            out.extend_from_slice(line);
        }
    }
}

const METHOD: &str = "X-Forwarded-Method";
const URI: &str = "X-Forwarded-Uri";

/// Fields that every question has.
fn is_ours(name: &str) -> bool {
    name.eq_ignore_ascii_case(METHOD) || name.eq_ignore_ascii_case(URI)
}

/// Where the request comes from and what it wants. A trusted peer is repeated where the step says
/// so.
fn write_whence(out: &mut Vec<u8>, forward: &Forward, passing: &Passing<'_>) {
    let told = |name: &str| {
        let believed = forward.auth.trust_forwarded && passing.trusted;
        passing.field(name).filter(|value| believed && !value.is_empty())
    };
    let proto: &[u8] = if passing.secure { b"https" } else { b"http" };
    let usual = if passing.secure { "443" } else { "80" };
    let authority = passing.authority();
    let port = super::fields::port_of(authority, usual);
    let method = passing.head.method.as_str();
    let uri = [path::missing_slash(passing.path), passing.path].concat();
    for (name, own) in [
        (METHOD, method.as_bytes()),
        ("X-Forwarded-Proto", proto),
        ("X-Forwarded-Port", port.as_bytes()),
        ("X-Forwarded-Host", authority.as_bytes()),
        (URI, uri.as_bytes()),
    ] {
        put_field(out, name, told(name).unwrap_or(own));
    }
    out.extend_from_slice(b"X-Forwarded-For: ");
    let values = out.len();
    if told("X-Forwarded-For").is_some() {
        for value in fields::all(passing.head.fields, "x-forwarded-for") {
            put_element(out, values, value);
        }
    }
    if out.len() > values {
        out.extend_from_slice(b", ");
    }
    put_ip(out, passing.peer);
    out.extend_from_slice(b"\r\n");
}
