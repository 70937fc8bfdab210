//! Requests that are sent away, or elsewhere.

use super::{Site, document, pair, passed};
use crate::pair::Pair;
use engine::base::limits::Limits;
use engine::base::mark::Mark;

const GET: &str = "GET /a?b HTTP/1.1\r\nHost: www.shop\r\n\r\n";

fn bare(status: &str, phrase: &str, fields: &str) -> String {
    format!(
        "HTTP/1.1 {status} {phrase}\r\n{fields}Content-Length: {}\r\n\r\n{phrase}",
        phrase.len()
    )
}

#[test]
fn a_client_is_sent_to_another_scheme() {
    let mut pair = pair("a: {redirectScheme: {scheme: https, permanent: true}}");
    let location = "Location: https://www.shop/a?b\r\n";
    assert_eq!(pair.answer(GET), bare("301", "Moved Permanently", location));
    let post = GET.replace("GET", "POST");
    assert_eq!(pair.answer(&post), bare("308", "Permanent Redirect", location));
    assert_eq!(pair.count(Mark::Redirected), 2);
    let old = pair.answer("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert!(old.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{old}");
    pair.nothing_more();
}

#[test]
fn a_redirection_sees_the_path_as_the_steps_before_left_it() {
    let steps = "a: {stripPrefix: {prefixes: [/old]}}\n\
        b: {redirectRegex: {regex: '^http://www\\.(.*)', replacement: 'https://$1'}}\n\
        c: {addPrefix: {prefix: /inner}}";
    let mut pair = pair(steps);
    let answer = pair.answer("GET /old/a?b HTTP/1.1\r\nHost: www.shop\r\n\r\n");
    assert_eq!(answer, bare("302", "Found", "Location: https://shop/a?b\r\n"));
    let sent = passed(&mut pair, "GET /old/a?b HTTP/1.1\r\nHost: shop\r\n\r\n");
    assert!(sent.starts_with("GET /inner/a?b HTTP/1.1\r\n"), "{sent}");
    pair.nothing_more();
}

#[test]
fn only_steps_outside_of_the_one_that_answers_mark_its_answer() {
    let header = |name: &str| format!("{{headers: {{customResponseHeaders: {{{name}: '1'}}}}}}");
    let steps = format!(
        "a: {}\nb: {{ipAllowList: {{sourceRange: [10.0.0.0/8]}}}}\nc: {}",
        header("X-Outer"),
        header("X-Inner")
    );
    let mut pair = pair(&steps);
    assert_eq!(pair.answer(GET), bare("403", "Forbidden", "X-Outer: 1\r\n"));
    pair.nothing_more();
}

#[test]
fn strangers_are_refused_and_friends_pass() {
    let mut pair = pair("a: {ipAllowList: {sourceRange: [192.0.2.0/24], rejectStatusCode: 404}}");
    passed(&mut pair, GET);
    let client = pair.open_from([10, 0, 0, 1]);
    pair.send(client, GET);
    pair.no_dial();
    assert_eq!(pair.own(client), bare("404", "Not Found", ""));
    assert_eq!(pair.count(Mark::MiddlewareRefused), 1);
    pair.nothing_more();
}

#[test]
fn the_address_of_a_list_counts_only_if_the_peer_is_trusted() {
    let steps = "a: {ipWhiteList: {sourceRange: [10.0.0.1], ipStrategy: {depth: 1}}}";
    let document = document(steps);
    let forwarded = "GET / HTTP/1.1\r\nHost: s\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n";
    for (entry, passes) in [
        ("entryPoints: {web: {address: ':80'}}", false),
        ("entryPoints: {web: {address: ':80', forwardedHeaders: {insecure: true}}}", true),
    ] {
        let mut site = Site::new(entry);
        let view = site.view_with_warnings(&document, 1);
        let mut pair = Pair::of(view, Limits::default());
        if passes {
            passed(&mut pair, forwarded);
        } else {
            assert_eq!(pair.answer(forwarded), bare("403", "Forbidden", ""));
        }
        pair.nothing_more();
    }
}

#[test]
fn encoded_characters_are_refused_where_nobody_allowed_them() {
    let empty = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    let mut pair = pair("a: {encodedCharacters: {allowEncodedSlash: true}}");
    passed(&mut pair, "GET /a%2fb HTTP/1.1\r\nHost: s\r\n\r\n");
    passed(&mut pair, "GET /a?%00 HTTP/1.1\r\nHost: s\r\n\r\n");
    assert_eq!(pair.answer("GET /a%5cb HTTP/1.1\r\nHost: s\r\n\r\n"), empty);
    pair.nothing_more();
}

/// The answers of an entry point, with these lines under `http`, to a request.
#[track_caller]
fn entry_point(http: &str, request: &str) -> Pair {
    let entries = format!(
        "entryPoints:\n  web: {{address: ':80', http: {http}}}\n  safe: {{address: ':8443'}}\n"
    );
    let mut site = Site::new(&entries);
    let mut pair = Pair::of(site.view(""), Limits::default());
    // Entry points are numbered by name.
    let client = pair.open_at(1);
    pair.send(client, request);
    pair
}

#[test]
fn an_entry_point_sends_everything_to_another() {
    for (to, location) in [
        ("to: safe", "https://s:8443/x"),
        ("to: ':443'", "https://s/x"),
        ("to: safe, scheme: http", "http://s:8443/x"),
    ] {
        let http = format!("{{redirections: {{entryPoint: {{{to}}}}}}}");
        let mut pair = entry_point(&http, "GET /x HTTP/1.1\r\nHost: s:80\r\n\r\n");
        let client = pair.last_client();
        let location = format!("Location: {location}\r\n");
        assert_eq!(pair.own(client), bare("301", "Moved Permanently", &location));
        pair.nothing_more();
    }
}

#[test]
fn an_entry_point_refuses_encoded_characters_on_all_its_routes() {
    let http = "{encodedCharacters: {allowEncodedSlash: false}}";
    let mut pair = entry_point(http, "GET /a%2Fb HTTP/1.1\r\nHost: s\r\n\r\n");
    let client = pair.last_client();
    assert_eq!(pair.own(client), "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    pair.nothing_more();
}

#[test]
fn an_entry_point_may_leave_paths_and_semicolons_alone() {
    let http = "{sanitizePath: false, encodeQuerySemicolons: true}";
    let mut pair = entry_point(http, "GET /a//../b?x;y HTTP/1.1\r\nHost: s\r\n\r\n");
    let origin = pair.dialed();
    let sent = pair.got(origin);
    assert!(sent.starts_with("GET /a//../b?x%3By HTTP/1.1\r\n"), "{sent}");
    pair.nothing_more();
}
