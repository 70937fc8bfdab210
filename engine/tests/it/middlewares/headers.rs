//! Fields of requests and responses, and scripts of other origins.

use super::{Site, document, pair};
use crate::pair::Pair;
use engine::base::limits::Limits;
use engine::base::mark::Mark;

/// What the client gets of a response with these lines to a request with those.
fn relayed(pair: &mut Pair, asked: &str, answered: &str) -> String {
    let request = format!("GET / HTTP/1.1\r\nHost: shop\r\n{asked}\r\n");
    let response =
        format!("HTTP/1.1 200 OK\r\n{answered}Content-Length: 0\r\nConnection: close\r\n\r\n");
    let answer = pair.exchange(&request, &response);
    let (_, fields) = answer.split_once("\r\n").expect("a status line");
    fields.replace("Content-Length: 0\r\n", "").replace("\r\n", "\n").trim_end().to_owned()
}

const CORS: &str = "a:\n  headers:\n    accessControlAllowOriginList: ['https://a']\n    \
    accessControlAllowMethods: [GET, PUT]\n    accessControlMaxAge: 60\n    addVaryHeader: true";

#[test]
fn a_script_that_asks_whether_it_may_is_answered_here() {
    let mut pair = pair(CORS);
    let ask = |origin: &str| {
        format!(
            "OPTIONS /x HTTP/1.1\r\nHost: s\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Method: PUT\r\n\r\n"
        )
    };
    let allowed = "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Methods: GET,PUT\r\n\
        Access-Control-Allow-Origin: https://a\r\nAccess-Control-Max-Age: 60\r\n\
        Content-Length: 0\r\n\r\n";
    assert_eq!(pair.answer(&ask("https://a")), allowed);
    let other = pair.answer(&ask("https://b"));
    assert_eq!(other, allowed.replace("Access-Control-Allow-Origin: https://a\r\n", ""));
    assert_eq!(pair.count(Mark::PreflightAnswered), 2);
    pair.nothing_more();
}

#[test]
fn a_response_names_the_origin_that_may_read_it() {
    let mut pair = pair(CORS);
    let from = |origin: &str| format!("Origin: {origin}\r\n");
    assert_eq!(
        relayed(&mut pair, &from("https://a"), "Access-Control-Allow-Origin: *\r\n"),
        "Access-Control-Allow-Origin: https://a\nVary: Origin"
    );
    // The server's own word stands where ours is not asked for.
    assert_eq!(
        relayed(&mut pair, &from("https://b"), "Access-Control-Allow-Origin: https://b\r\n"),
        "Access-Control-Allow-Origin: https://b\nVary: Origin"
    );
    assert_eq!(relayed(&mut pair, "", "Vary: Accept\r\n"), "Vary: Accept\nVary: Origin");
    assert_eq!(relayed(&mut pair, "", "Vary: accept, ORIGIN\r\n"), "Vary: accept, ORIGIN");
    pair.nothing_more();
}

#[test]
fn answers_of_our_own_may_be_read_by_scripts_too() {
    let steps = format!("{CORS}\nb: {{ipAllowList: {{sourceRange: [10.0.0.1]}}}}");
    let mut pair = pair(&steps);
    let answer = pair.answer("GET / HTTP/1.1\r\nHost: s\r\nOrigin: https://a\r\n\r\n");
    assert_eq!(
        answer,
        "HTTP/1.1 403 Forbidden\r\nAccess-Control-Allow-Origin: https://a\r\nVary: Origin\r\n\
         Content-Length: 9\r\n\r\nForbidden"
    );
    pair.nothing_more();
}

#[test]
fn browsers_are_told_what_to_be_careful_about() {
    let mut pair = pair(
        "a: {headers: {frameDeny: true, contentTypeNosniff: true, customResponseHeaders: \
         {Server: ''}}}",
    );
    assert_eq!(
        relayed(&mut pair, "", "X-Frame-Options: ALLOWALL\r\nServer: x\r\n"),
        "X-Frame-Options: DENY\nX-Content-Type-Options: nosniff"
    );
    pair.nothing_more();
}

#[test]
fn strict_transport_is_told_where_tls_was_spoken_in_front_of_us() {
    let steps = "a: {headers: {stsSeconds: 5, sslProxyHeaders: {X-Forwarded-Proto: https}}}";
    let mut site =
        Site::new("entryPoints: {web: {address: ':80', forwardedHeaders: {insecure: true}}}");
    let mut pair = Pair::of(site.view_of(&document(steps)), Limits::default());
    let told = "X-Forwarded-Proto: https\r\n";
    assert_eq!(relayed(&mut pair, told, ""), "Strict-Transport-Security: max-age=5");
    assert_eq!(relayed(&mut pair, "", ""), "");
    pair.nothing_more();
}

#[test]
fn a_host_that_is_not_allowed_is_misdirected() {
    let mut pair = pair("a: {headers: {allowedHosts: [shop.test]}}");
    let answer = pair.answer("GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 421 Misdirected Request\r\n"), "{answer}");
    pair.nothing_more();
}
