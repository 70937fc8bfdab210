//! Paths on their way to the server.

use super::{pair, passed};
use engine::base::mark::Mark;

#[track_caller]
fn check(middlewares: &str, target: &str, line: &str, field: &str) {
    let mut pair = pair(middlewares);
    let request = format!("GET {target} HTTP/1.1\r\nHost: s\r\nX-Replaced-Path: /forged\r\n\r\n");
    let sent = passed(&mut pair, &request);
    assert!(sent.starts_with(&format!("GET {line} HTTP/1.1\r\n")), "{middlewares}: {sent}");
    let told = sent.lines().find(|line| {
        line.starts_with("X-Replaced-Path: ") || line.starts_with("X-Forwarded-Prefix: ")
    });
    assert_eq!(told.unwrap_or_default(), field, "{middlewares}: {sent}");
    pair.nothing_more();
}

#[test]
fn paths_are_replaced_and_the_server_is_told() {
    check("a: {replacePath: {path: /new}}", "/old?x=1", "/new?x=1", "X-Replaced-Path: /old");
    let regex = "a: {replacePathRegex: {regex: '^/api/(.*)', replacement: '/$1'}}";
    check(regex, "/api/users?q", "/users?q", "X-Replaced-Path: /api/users");
    let strip = "a: {stripPrefixRegex: {regex: ['^/v[0-9]+']}}\nb: {addPrefix: {prefix: /x}}";
    let client = "X-Replaced-Path: /forged";
    check(strip, "/v1/users", "/x/users", client);
}

#[test]
fn a_replacement_that_leaves_no_proper_path_is_refused() {
    let mut pair = pair("a: {replacePathRegex: {regex: '^/x/', replacement: '/../'}}");
    let answer = pair.answer("GET /x/etc HTTP/1.1\r\nHost: s\r\n\r\n");
    assert_eq!(answer, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(pair.count(Mark::UncleanPath), 1);
    pair.nothing_more();
}
