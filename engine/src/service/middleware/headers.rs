//! Fields that middlewares put on requests and responses or take off, the answer to a script that
//! asks whether it may ask, and the hosts that may be asked for.

use super::forward::{Grant, granted_cookies, replaces_cookie};
use super::passing::Passing;
use super::{Step, Verdict, path};
use crate::config::typed::{Cors, HeadersEdit, Security};
use crate::http::fields;
use crate::http::method::Method;

const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";
const ALLOW_CREDENTIALS: &str = "Access-Control-Allow-Credentials";
const EXPOSE_HEADERS: &str = "Access-Control-Expose-Headers";

const SET_COOKIE: &str = "Set-Cookie";

type Fields = Vec<(String, String)>;

/// One `headers` middleware, ready to serve. An empty value deletes.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Headers {
    request: Fields,
    response: Fields,
    /// For clients that speak TLS only.
    response_if_secure: Fields,
    cors: Option<Cors>,
    allowed_hosts: Vec<String>,
    hosts_proxy_headers: Vec<String>,
    ssl_proxy_headers: Fields,
}

/// What its response depends on of a request, and of what was found out about it.
#[derive(Clone, Copy, Default, Debug)]
pub struct Told<'a> {
    /// The value of `Origin`.
    pub origin: Option<&'a [u8]>,
    /// The client speaks TLS.
    pub secure: bool,
    pub grants: &'a [Grant],
}

impl Headers {
    /// Custom fields alone.
    pub fn custom(request: Fields, response: Fields) -> Self {
        Self { request, response, ..Self::default() }
    }

    pub fn new(edit: &HeadersEdit) -> Self {
        let security = &edit.security;
        let decided = |name: &str| edit.response.iter().any(|it| it.0.eq_ignore_ascii_case(name));
        let not_custom = |fields: Fields| fields.into_iter().filter(|(name, _)| !decided(name));
        let guards = !security.is_development;
        let (always, if_secure) = security_fields(security);
        let mut response = edit.response.clone();
        response.extend(not_custom(always));
        Self {
            request: edit.request.clone(),
            response,
            response_if_secure: not_custom(if_secure).collect(),
            cors: Some(&edit.cors).filter(|cors| **cors != Cors::default()).cloned(),
            allowed_hosts: if guards { security.allowed_hosts.clone() } else { Vec::new() },
            hosts_proxy_headers: security.hosts_proxy_headers.clone(),
            ssl_proxy_headers: security.ssl_proxy_headers.clone(),
        }
    }

    /// Whether what it does depends on the request.
    pub(super) fn looks_at_requests(&self) -> bool {
        self.cors.is_some() || !self.allowed_hosts.is_empty() || !self.response_if_secure.is_empty()
    }

    pub(super) fn judge(&self, passing: &Passing<'_>) -> Verdict {
        if self.cors.is_some() && is_preflight(passing) {
            return Verdict::Preflight;
        }
        if self.allows_host(passing) { Verdict::Pass } else { Verdict::Refuse(421) }
    }

    fn allows_host(&self, passing: &Passing<'_>) -> bool {
        if self.allowed_hosts.is_empty() {
            return true;
        }
        let told = self
            .hosts_proxy_headers
            .iter()
            .find_map(|name| passing.field(name).filter(|host| !host.is_empty()));
        let allows = |host: &[u8]| {
            self.allowed_hosts.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(host))
        };
        match told {
            Some(host) => allows(host),
            None => allows(passing.authority().as_bytes()) || allows(passing.host().as_bytes()),
        }
    }

    /// Whether fields of the request say that its client speaks TLS.
    pub fn is_secure(&self, passing: &Passing<'_>) -> bool {
        self.ssl_proxy_headers
            .iter()
            .any(|(name, value)| passing.field(name) == Some(value.as_bytes()))
    }

    /// The fields that answer a script.
    pub fn preflight<'a>(&'a self, origin: &'a str) -> [(&'a str, &'a str); 5] {
        let Some(cors) = &self.cors else { return [("", ""); 5] };
        let allowed = cors.allowed(origin.as_bytes());
        let allowed = allowed.and_then(|origin| std::str::from_utf8(origin).ok());
        [
            (ALLOW_CREDENTIALS, if cors.credentials { "true" } else { "" }),
            ("Access-Control-Allow-Headers", &cors.headers),
            ("Access-Control-Allow-Methods", &cors.methods),
            (ALLOW_ORIGIN, allowed.unwrap_or_default()),
            ("Access-Control-Max-Age", &cors.max_age),
        ]
    }

    /// Fields of the response, deletions included.
    fn fields<'a>(&'a self, told: Told<'a>) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let secure: &[_] = if told.secure { &self.response_if_secure } else { &[] };
        let fixed = self.response.iter().chain(secure);
        let cors = self.cors.iter().flat_map(move |cors| {
            let origin = told.origin.and_then(|origin| cors.allowed(origin));
            let credentials: &[u8] = if cors.credentials { b"true" } else { b"" };
            [
                (ALLOW_ORIGIN, origin.unwrap_or_default()),
                (ALLOW_CREDENTIALS, credentials),
                (EXPOSE_HEADERS, cors.expose.as_bytes()),
            ]
        });
        let cors = cors.filter(|(_, value)| !value.is_empty());
        cors.chain(fixed.map(|(name, value)| (name.as_str(), value.as_bytes())))
    }

    fn decides(&self, name: &[u8], told: Told<'_>) -> bool {
        let is = |known: &str| known.as_bytes().eq_ignore_ascii_case(name);
        let secure: &[_] = if told.secure { &self.response_if_secure } else { &[] };
        self.response.iter().chain(secure).any(|(known, _)| is(known))
            || self.cors.as_ref().is_some_and(|cors| {
                is(ALLOW_ORIGIN) && told.origin.is_some_and(|it| cors.allowed(it).is_some())
                    || is(ALLOW_CREDENTIALS) && cors.credentials
                    || is(EXPOSE_HEADERS) && !cors.expose.is_empty()
            })
    }
}

impl Cors {
    /// What to answer to this origin, if it is let in.
    fn allowed<'a>(&'a self, origin: &'a [u8]) -> Option<&'a [u8]> {
        let listed = self.origins.iter().find(|it| *it == "*" || it.as_bytes() == origin);
        match listed {
            Some(listed) => Some(listed.as_bytes()),
            None => self.patterns.iter().any(|it| it.is_match(origin)).then_some(origin),
        }
    }
}

/// A script asks whether it may ask (Fetch, CORS-preflight request).
fn is_preflight(passing: &Passing<'_>) -> bool {
    let has = |name| passing.field(name).is_some_and(|value| !value.is_empty());
    passing.head.method == Method::Options && has("Access-Control-Request-Method") && has("Origin")
}

/// What is always sent, and what to clients that speak TLS.
fn security_fields(security: &Security) -> (Fields, Fields) {
    let (mut always, mut if_secure) = (Fields::new(), Fields::new());
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let frame = security.frame_deny.then_some("DENY");
    let frame = Some(&*security.frame_options).filter(|it| !it.is_empty()).or(frame);
    let xss = security.xss_filter.then_some("1; mode=block");
    let xss = Some(&*security.xss_value).filter(|it| !it.is_empty()).or(xss);
    for (name, value) in [
        ("X-Frame-Options", frame.unwrap_or_default()),
        ("X-Content-Type-Options", if security.nosniff { "nosniff" } else { "" }),
        ("X-XSS-Protection", xss.unwrap_or_default()),
        ("Content-Security-Policy", &security.csp),
        ("Content-Security-Policy-Report-Only", &security.csp_report_only),
        ("Referrer-Policy", &security.referrer_policy),
        ("Permissions-Policy", &security.permissions_policy),
    ] {
        if !value.is_empty() {
            always.push(field(name, value));
        }
    }
    if security.is_development {
        return (always, if_secure);
    }
    if security.sts_seconds > 0 {
        let subdomains = if security.sts_subdomains { "; includeSubDomains" } else { "" };
        let preload = if security.sts_preload { "; preload" } else { "" };
        let value = format!("max-age={}{subdomains}{preload}", security.sts_seconds);
        let list = if security.force_sts { &mut always } else { &mut if_secure };
        list.push(("Strict-Transport-Security".to_owned(), value));
    }
    if !security.public_key.is_empty() {
        if_secure.push(field("Public-Key-Pins", &security.public_key));
    }
    (always, if_secure)
}

/// Whether the steps decide about a request field, so that the client's is not passed on.
pub fn decides_request(steps: &[Step], name: &[u8]) -> bool {
    request_edits(steps).any(|(edited, _)| edited.as_bytes().eq_ignore_ascii_case(name))
        || steps.iter().any(|step| path::notes(step, name) || step.owns(name))
}

/// Fields to put on the request. `Host` is not among them.
pub fn request_fields(steps: &[Step]) -> impl Iterator<Item = (&str, &str)> {
    let edits = (0..).zip(steps).flat_map(|(at, step)| {
        let own = edits_of(step);
        (0..).zip(own).map(move |(place, (name, value))| (at, place, name.as_str(), value.as_str()))
    });
    let is = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
    let decided = move |at: usize, place: usize, name: &str| {
        edits_of(&steps[at])[place + 1..].iter().any(|(later, _)| is(later, name))
            || steps[at + 1..].iter().any(|step| {
                edits_of(step).iter().any(|(later, _)| is(later, name))
                    || matches!(step, Step::ForwardAuth(forward) if forward.owns(name.as_bytes()))
            })
    };
    edits
        .filter(move |(at, place, name, value)| {
            !value.is_empty() && !is(name, "host") && !decided(*at, *place, name)
        })
        .map(|(_, _, name, value)| (name, value))
}

/// What a step puts on requests and takes off.
pub(super) fn edits_of(step: &Step) -> &[(String, String)] {
    if let Step::Headers(headers) = step { &headers.request } else { &[] }
}

/// The `Host` that the steps ask for.
pub fn request_host(steps: &[Step]) -> Option<&str> {
    request_edits(steps)
        .filter(|(name, value)| name.eq_ignore_ascii_case("host") && !value.is_empty())
        .last()
        .map(|(_, value)| value)
}

pub(super) fn request_edits(steps: &[Step]) -> impl Iterator<Item = (&str, &str)> {
    let fields = all(steps).flat_map(|headers| &headers.request);
    fields.map(|(name, value)| (name.as_str(), value.as_str()))
}

/// Whether the steps decide about a response field, so that the origin's is not passed on.
pub fn decides_response(steps: &[Step], told: Told<'_>, name: &[u8]) -> bool {
    all(steps).any(|headers| headers.decides(name, told))
}

/// Whether the steps take a line off the response: its field is theirs to decide about, or its
/// cookie was replaced.
pub fn takes_line(steps: &[Step], told: Told<'_>, name: &str, value: &[u8]) -> bool {
    decides_response(steps, told, name.as_bytes())
        || (name.eq_ignore_ascii_case(SET_COOKIE) && replaces_cookie(steps, told.grants, value))
}

/// Whether the steps decide about cookies of the response.
pub(super) fn decides_cookies(steps: &[Step]) -> bool {
    decides_response(steps, Told::default(), SET_COOKIE.as_bytes())
}

/// Calls `put` with each field to put on the response. The outermost step has the last word.
pub fn put_response(steps: &[Step], told: Told<'_>, mut put: impl FnMut(&str, &[u8])) {
    for (at, headers) in all(steps).enumerate() {
        for (name, value) in headers.fields(told) {
            let outer = all(steps).take(at).any(|it| it.decides(name.as_bytes(), told));
            if !value.is_empty() && !outer {
                put(name, value);
            }
        }
    }
    granted_cookies(steps, told.grants).for_each(|cookie| put(SET_COOKIE, cookie));
}

/// Whether the response is to be kept for one origin alone: `Vary` then names it.
pub fn varies(steps: &[Step]) -> bool {
    all(steps).any(|headers| headers.cors.as_ref().is_some_and(|cors| cors.vary))
}

/// Whether a `Vary` field names `Origin` or everything.
pub fn names_origin(vary: &[u8]) -> bool {
    fields::list(vary).any(|it| it == b"*" || it.eq_ignore_ascii_case(b"origin"))
}

fn all(steps: &[Step]) -> impl Iterator<Item = &Headers> {
    steps.iter().filter_map(
        |step| {
            if let Step::Headers(headers) = step { Some(&**headers) } else { None }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::super::passing::tests::passing;
    use super::*;
    use crate::rule::Pattern;
    use std::sync::Arc;

    fn owned(fields: &[(&str, &str)]) -> Fields {
        fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    fn custom(request: &[(&str, &str)], response: &[(&str, &str)]) -> Step {
        Step::Headers(Arc::new(Headers::custom(owned(request), owned(response))))
    }

    /// What is put on a response.
    fn put(steps: &[Step], told: Told<'_>) -> String {
        let mut lines = Vec::new();
        put_response(steps, told, |name, value| {
            assert!(decides_response(steps, told, name.as_bytes()), "{name} is decided");
            lines.push(format!("{name}: {}", String::from_utf8_lossy(value)));
        });
        lines.join("\n")
    }

    #[test]
    fn the_innermost_step_has_the_last_word_on_a_request_and_the_outermost_on_a_response() {
        let steps = [
            custom(&[("X-A", "1"), ("Host", "one"), ("X-Gone", "")], &[("X-R", "outer")]),
            custom(&[("x-a", "2"), ("X-B", "3"), ("host", "two")], &[("x-r", "inner")]),
        ];
        let fields: Vec<_> = request_fields(&steps).collect();
        assert_eq!(fields, [("x-a", "2"), ("X-B", "3")]);
        assert_eq!(request_host(&steps), Some("two"));
        let told = Told::default();
        assert_eq!(put(&steps, told), "X-R: outer");
        assert!(decides_request(&steps, b"x-gone") && decides_response(&steps, told, b"X-R"));
        assert!(!decides_request(&steps, b"x-r"));
    }

    #[test]
    fn a_later_deletion_beats_an_earlier_value() {
        let steps = [custom(&[("X-A", "1")], &[]), custom(&[("X-A", "")], &[])];
        assert_eq!(request_fields(&steps).count(), 0);
        assert!(decides_request(&steps, b"X-A"));
    }

    fn cors(origins: &[&str], patterns: &[&str], change: impl FnOnce(&mut Cors)) -> Step {
        let mut cors = Cors {
            origins: origins.iter().map(|it| (*it).to_owned()).collect(),
            patterns: patterns.iter().map(|it| Pattern::new(it).expect("fine")).collect(),
            ..Cors::default()
        };
        change(&mut cors);
        Step::Headers(Arc::new(Headers::new(&HeadersEdit { cors, ..HeadersEdit::default() })))
    }

    #[track_caller]
    fn let_in(step: &Step, origin: &str, expected: &str) {
        let told = Told { origin: Some(origin.as_bytes()), secure: false, grants: &[] };
        assert_eq!(put(std::slice::from_ref(step), told), expected, "{origin}");
    }

    #[test]
    fn an_origin_is_let_in_by_list_or_by_expression() {
        let step = cors(&["https://a"], &["^https://[a-z]+\\.b$"], |_| {});
        let_in(&step, "https://a", "Access-Control-Allow-Origin: https://a");
        let_in(&step, "https://x.b", "Access-Control-Allow-Origin: https://x.b");
        let_in(&step, "https://x.b.evil", "");
        let_in(&step, "null", "");
        let all = cors(&["*"], &[], |cors| {
            cors.credentials = true;
            cors.expose = "X-A,X-B".into();
        });
        let_in(
            &all,
            "https://a",
            "Access-Control-Allow-Origin: *\nAccess-Control-Allow-Credentials: true\n\
             Access-Control-Expose-Headers: X-A,X-B",
        );
        assert!(!decides_response(&[step], Told::default(), b"access-control-allow-origin"));
    }

    #[test]
    fn a_preflight_is_known_by_its_method_and_two_fields() {
        let step = cors(&["https://a"], &[], |cors| cors.methods = "GET,PUT".into());
        let Step::Headers(headers) = &step else { panic!("just made") };
        let judge = |request: &str| passing(request, &[], |passing| headers.judge(&passing));
        let whole = "OPTIONS /\nHost: s\nOrigin: https://a\nAccess-Control-Request-Method: PUT";
        assert_eq!(judge(whole), Verdict::Preflight);
        assert_eq!(judge(&whole.replace("OPTIONS", "GET")), Verdict::Pass);
        assert_eq!(judge("OPTIONS /\nHost: s\nOrigin: https://a"), Verdict::Pass);
        let answer = |origin| {
            let fields = headers.preflight(origin);
            let told = fields.into_iter().filter(|(_, value)| !value.is_empty());
            told.map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join("\n")
        };
        let methods = "Access-Control-Allow-Methods: GET,PUT";
        assert_eq!(answer("https://a"), format!("{methods}\n{ALLOW_ORIGIN}: https://a"));
        assert_eq!(answer("https://b"), methods);
    }

    #[track_caller]
    fn guarded(security: Security, secure: bool, expected: &str) {
        let edit = HeadersEdit { security, ..HeadersEdit::default() };
        let step = Step::Headers(Arc::new(Headers::new(&edit)));
        assert_eq!(put(&[step], Told { secure, ..Told::default() }), expected);
    }

    #[test]
    fn strict_transport_is_told_to_clients_that_speak_tls() {
        let sts = Security { sts_seconds: 5, sts_subdomains: true, ..Security::default() };
        let line = "Strict-Transport-Security: max-age=5; includeSubDomains";
        guarded(sts.clone(), true, line);
        guarded(sts.clone(), false, "");
        guarded(Security { force_sts: true, ..sts.clone() }, false, line);
        let preload = Security { sts_preload: true, ..sts.clone() };
        guarded(preload, true, &format!("{line}; preload"));
        guarded(Security { is_development: true, force_sts: true, ..sts }, true, "");
    }

    #[test]
    fn browsers_are_told_what_to_be_careful_about() {
        let all = Security {
            frame_deny: true,
            nosniff: true,
            xss_filter: true,
            csp: "default-src 'self'".into(),
            referrer_policy: "same-origin".into(),
            permissions_policy: "camera=()".into(),
            ..Security::default()
        };
        guarded(
            all,
            false,
            "X-Frame-Options: DENY\nX-Content-Type-Options: nosniff\n\
             X-XSS-Protection: 1; mode=block\nContent-Security-Policy: default-src 'self'\n\
             Referrer-Policy: same-origin\nPermissions-Policy: camera=()",
        );
        let custom = Security {
            frame_deny: true,
            frame_options: "SAMEORIGIN".into(),
            xss_filter: true,
            xss_value: "0".into(),
            ..Security::default()
        };
        guarded(custom, false, "X-Frame-Options: SAMEORIGIN\nX-XSS-Protection: 0");
    }

    #[test]
    fn a_custom_field_beats_one_of_security_and_may_delete_it() {
        let security = Security { frame_deny: true, nosniff: true, ..Security::default() };
        let response = owned(&[("x-frame-options", "SAMEORIGIN"), ("X-Content-Type-Options", "")]);
        let edit = HeadersEdit { response, security, ..HeadersEdit::default() };
        let step = [Step::Headers(Arc::new(Headers::new(&edit)))];
        assert_eq!(put(&step, Told::default()), "x-frame-options: SAMEORIGIN");
        assert!(decides_response(&step, Told::default(), b"x-content-type-options"));
    }

    #[track_caller]
    fn host(allowed: &[&str], development: bool, request: &str, expected: Verdict) {
        let security = Security {
            allowed_hosts: allowed.iter().map(|it| (*it).to_owned()).collect(),
            hosts_proxy_headers: vec!["X-Forwarded-Host".into()],
            is_development: development,
            ..Security::default()
        };
        let headers = Headers::new(&HeadersEdit { security, ..HeadersEdit::default() });
        let verdict = passing(request, &[], |passing| headers.judge(&passing));
        assert_eq!(verdict, expected, "{request}");
    }

    #[test]
    fn only_hosts_of_the_list_may_be_asked_for() {
        let refused = Verdict::Refuse(421);
        host(&["Shop.test"], false, "GET /\nHost: shop.TEST:8080", Verdict::Pass);
        host(&["shop.test:8080"], false, "GET /\nHost: shop.test:8080", Verdict::Pass);
        host(&["shop.test"], false, "GET /\nHost: evil", refused);
        host(&["shop.test"], true, "GET /\nHost: evil", Verdict::Pass);
        host(&[], false, "GET /\nHost: evil", Verdict::Pass);
        let told = "GET /\nHost: inner\nX-Forwarded-Host: shop.test";
        host(&["shop.test"], false, told, Verdict::Pass);
        host(&["shop.test"], false, &format!("{told}\nX-Stranger: 1"), refused);
    }

    #[test]
    fn a_vary_field_may_name_the_origin_already() {
        assert!(names_origin(b"Accept, origin") && names_origin(b"*"));
        assert!(!names_origin(b"Accept") && !names_origin(b"Originator"));
    }
}
