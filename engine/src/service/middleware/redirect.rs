//! Where a request is sent instead of a server.

use super::passing::Passing;
use super::path;
use crate::config::typed::{Aim, Redirect};
use crate::http::method::Method;
use crate::rule::Captures;
use std::fmt::Write as _;

/// Writes where the client is to go into `location` and gives the status that says so. None if the
/// request is where it should be.
pub(super) fn redirected(
    redirect: &Redirect,
    passing: &Passing<'_>,
    captures: &mut Captures,
    url: &mut String,
    location: &mut String,
) -> Option<u16> {
    url.clear();
    location.clear();
    match &redirect.aim {
        Aim::Regex(rewrite) => {
            write_url(url, passing.secure, passing);
            if !rewrite.replacement.apply(&rewrite.pattern, url, captures, location) {
                return None;
            }
        }
        Aim::Scheme { scheme, port } => {
            write_url(url, passing.is_secure(), passing);
            write_other(location, scheme, *port, passing);
        }
    }
    (location != url).then(|| redirect.status(passing.head.method))
}

impl Redirect {
    /// 301 and 302 let a client change its method, so they are for `GET` alone.
    fn status(&self, method: Method<'_>) -> u16 {
        match (self.permanent, method == Method::Get) {
            (true, true) => 301,
            (true, false) => 308,
            (false, true) => 302,
            (false, false) => 307,
        }
    }
}

/// The URL as the client sees it.
fn write_url(out: &mut String, secure: bool, passing: &Passing<'_>) {
    let authority = passing.authority();
    let (scheme, port) = if secure { ("https://", ":443") } else { ("http://", ":80") };
    out.push_str(scheme);
    out.push_str(authority.strip_suffix(port).unwrap_or(authority));
    out.push_str(path::missing_slash(passing.path));
    out.push_str(passing.path);
}

fn write_other(out: &mut String, scheme: &str, port: Option<u16>, passing: &Passing<'_>) {
    let authority = passing.authority();
    let bracket = authority.rfind(']').map_or(0, |at| at + 1);
    let host_end = authority[bracket..].find(':').map_or(authority.len(), |at| bracket + at);
    out.push_str(scheme);
    out.push_str("://");
    out.push_str(&authority[..host_end]);
    let default = if scheme == "https" { 443 } else { 80 };
    if let Some(port) = port.filter(|port| *port != default) {
        write!(out, ":{port}").expect("a text takes every letter");
    }
    out.push_str(path::missing_slash(passing.path));
    out.push_str(passing.path);
}

#[cfg(test)]
mod tests {
    use super::super::passing::tests::passing;
    use super::*;
    use crate::config::typed::Rewrite;
    use crate::rule::{Pattern, Replacement};

    #[track_caller]
    fn check(aim: &Aim, permanent: bool, request: &str, expected: &str) {
        let redirect = Redirect { aim: aim.clone(), permanent };
        let shown = passing(request, &[], |passing| {
            let (mut captures, mut url, mut location) =
                (Captures::default(), String::new(), "before".to_owned());
            redirected(&redirect, &passing, &mut captures, &mut url, &mut location)
                .map(|status| format!("{status} {location}"))
        });
        assert_eq!(shown.unwrap_or_default(), expected, "{request}");
    }

    fn to(scheme: &str, port: Option<u16>) -> Aim {
        Aim::Scheme { scheme: scheme.to_owned(), port }
    }

    fn regex(source: &str, replacement: &str) -> Aim {
        let pattern = Pattern::new(source).expect("the pattern compiles");
        let replacement = Replacement::new(replacement, &pattern);
        Aim::Regex(Rewrite { pattern, replacement })
    }

    #[test]
    fn another_scheme_and_port() {
        let https = to("https", None);
        check(&https, true, "GET /a?b\nHost: s", "301 https://s/a?b");
        check(&https, false, "GET /\nHost: s:80", "302 https://s/");
        check(&https, true, "POST /\nHost: s:8080", "308 https://s/");
        check(&https, false, "HEAD /\nHost: s", "307 https://s/");
        check(&https, true, "GET /\nHost: [::1]:80", "301 https://[::1]/");
        check(&to("https", Some(443)), true, "GET /\nHost: s", "301 https://s/");
        check(&to("https", Some(8443)), true, "GET /\nHost: s:80", "301 https://s:8443/");
        check(&to("http", Some(80)), true, "GET /\nHost: s:80", "");
        check(&to("http", None), true, "GET /\nHost: s", "");
        check(&to("http", Some(81)), true, "GET /\nHost: s", "301 http://s:81/");
    }

    #[test]
    fn whoever_is_in_front_may_have_spoken_tls() {
        let https = to("https", None);
        check(&https, true, "GET /\nHost: s\nX-Forwarded-Proto: https", "");
        check(&https, true, "GET /\nHost: s\nX-Forwarded-Proto: WSS", "");
        check(&https, true, "GET /\nHost: s\nX-Forwarded-Proto: http", "301 https://s/");
        let forged = "GET /\nHost: s\nX-Stranger: 1\nX-Forwarded-Proto: https";
        check(&https, true, forged, "301 https://s/");
    }

    #[test]
    fn another_url_by_expression() {
        let www = regex("^http://www\\.(.*)", "https://$1");
        check(&www, true, "GET /a?b\nHost: www.s", "301 https://s/a?b");
        check(&www, true, "GET /a\nHost: s", "");
        check(&regex("^http://s/(.*)", "http://s/${1}"), false, "GET /a\nHost: s", "");
        let port = regex("^http://(.+):81/(.*)", "http://$1/$2");
        check(&port, false, "PUT /x\nHost: s:81", "307 http://s/x");
    }
}
