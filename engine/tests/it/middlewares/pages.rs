//! Bad answers that are replaced by pages of a service.

use super::{ENTRY, OK, Site};
use crate::pair::{Dial, End, Pair};
use engine::base::limits::Limits;
use engine::base::mark::Mark;

const GET: &str = "GET /a?b=c HTTP/1.1\r\nHost: s\r\nX-A: 1\r\nIf-None-Match: \"x\"\r\n\r\n";
const DOWN: &str = "HTTP/1.1 503 No\r\nX-Secret: 1\r\nContent-Length: 4\r\n\r\ndown";
const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nsorry";
const SETTINGS: &str = "status: ['500-599', 403], service: pages, query: '/{status}.html?u={url}'";

fn site(settings: &str, before: &str) -> String {
    let list = if before.is_empty() { "e" } else { "e, x" };
    let more = if before.is_empty() { String::new() } else { format!("    x: {{{before}}}\n") };
    format!(
        "http:\n  routers:\n    r: {{rule: 'PathPrefix(`/`)', service: s, middlewares: [{list}]}}\n  \
         services:\n    s: {{loadBalancer: {{servers: [{{url: 'http://10.0.0.1:80'}}]}}}}\n    \
         pages: {{loadBalancer: {{servers: [{{url: 'http://10.0.0.9:80'}}]}}}}\n  \
         middlewares:\n    e: {{errors: {{{settings}}}}}\n{more}"
    )
}

fn with(settings: &str, before: &str) -> Pair {
    Pair::of(Site::new(ENTRY).view_of(&site(settings, before)), Limits::default())
}

#[track_caller]
fn page(pair: &mut Pair) -> (End, String) {
    let server = pair.dialed();
    assert_eq!(pair.address(server).to_string(), "10.0.0.9:80");
    let asked = pair.got(server);
    (server, asked)
}

#[test]
fn a_bad_answer_becomes_a_page_under_its_status() {
    let mut pair = with(SETTINGS, "");
    let client = pair.open();
    pair.send(client, GET);
    let server = pair.dialed();
    pair.got(server);
    pair.send(server, DOWN);
    assert_eq!(pair.got(client), "");
    let (pages, asked) = page(&mut pair);
    assert!(asked.starts_with("GET /503.html?u=%2Fa%3Fb%3Dc HTTP/1.1\r\nHost: s\r\n"), "{asked}");
    assert!(asked.contains("X-A: 1\r\n") && !asked.contains("If-None-Match"), "{asked}");
    pair.send(pages, PAGE);
    let got = pair.got(client);
    assert!(got.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{got}");
    assert!(got.ends_with("\r\n\r\nsorry") && !got.contains("X-Secret"), "{got}");
    assert_eq!(pair.count(Mark::ErrorPageAsked), 1);
    // Both the client's connection and that of the pages go on.
    pair.send(client, GET);
    let server = pair.dialed();
    pair.send(server, DOWN);
    assert!(pair.got(pages).starts_with("GET /503.html"));
    pair.send(pages, PAGE);
    assert!(pair.got(client).ends_with("sorry"));
    pair.nothing_more();
}

#[test]
fn other_answers_stream_as_ever() {
    let mut pair = with(SETTINGS, "");
    let client = pair.open();
    pair.send(client, GET);
    let server = pair.dialed();
    pair.send(server, "HTTP/1.1 404 No\r\nContent-Length: 4\r\n\r\nno");
    assert!(pair.got(client).ends_with("\r\n\r\nno"));
    pair.send(server, "pe");
    assert_eq!(pair.got(client), "pe");
    pair.nothing_more();
}

#[test]
fn answers_of_our_own_have_pages_if_they_come_from_behind() {
    let mut pair = with(SETTINGS, "");
    pair.refusing = vec!["10.0.0.1:80".parse().expect("an address")];
    let client = pair.open();
    pair.send(client, GET);
    pair.dialed();
    let (pages, asked) = page(&mut pair);
    assert!(asked.starts_with("GET /502.html"));
    pair.send(pages, PAGE);
    assert!(pair.got(client).starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
    pair.nothing_more();
    let mut pair = with(SETTINGS, "ipAllowList: {sourceRange: [10.0.0.1]}");
    let client = pair.open();
    pair.send(client, GET);
    let (pages, asked) = page(&mut pair);
    assert!(asked.starts_with("GET /403.html"));
    pair.send(pages, PAGE);
    assert!(pair.got(client).starts_with("HTTP/1.1 403 Forbidden\r\n"));
    pair.nothing_more();
    let before =
        site(SETTINGS, "ipAllowList: {sourceRange: [10.0.0.1]}").replace("[e, x]", "[x, e]");
    let mut pair = Pair::of(Site::new(ENTRY).view_of(&before), Limits::default());
    assert!(pair.answer(GET).starts_with("HTTP/1.1 403 Forbidden\r\n"));
    pair.nothing_more();
}

#[test]
fn a_status_is_rewritten_and_both_can_be_asked_for() {
    let settings = "status: [503], statusRewrites: {'500-504': 418}, service: pages, \
                    query: 'e/{status}/{originalStatus}'";
    let mut pair = with(settings, "");
    let client = pair.open();
    pair.send(client, GET);
    let server = pair.dialed();
    pair.send(server, DOWN);
    let (pages, asked) = page(&mut pair);
    assert!(asked.starts_with("GET /e/418/503 HTTP/1.1\r\n"), "{asked}");
    pair.send(pages, PAGE);
    assert!(pair.got(client).starts_with("HTTP/1.1 418 "));
    pair.nothing_more();
}

#[test]
fn a_page_that_cannot_be_had_leaves_the_bare_status() {
    for answer in ["", "HTTP/1.1 204 No\r\n\r\n", "garbage\r\n\r\n"] {
        let mut pair = with(SETTINGS, "");
        let client = pair.open();
        pair.send(client, GET);
        let server = pair.dialed();
        if answer.is_empty() {
            pair.dial = Dial::Refuse;
        }
        pair.send(server, DOWN);
        let pages = pair.dialed();
        if !answer.is_empty() {
            pair.send(pages, answer);
        }
        let got = pair.own(client);
        assert!(got.starts_with("HTTP/1.1 503 ") && got.ends_with("\r\n\r\nService Unavailable"));
        pair.nothing_more();
    }
}

#[test]
fn the_page_of_a_post_is_asked_for_without_its_body() {
    let mut pair = with(SETTINGS, "");
    let post = "POST / HTTP/1.1\r\nHost: s\r\nContent-Type: a/b\r\nContent-Length: 4\r\n\r\n";
    for (body, keeps) in [("body", true), ("bo", false)] {
        let client = pair.open();
        pair.send(client, format!("{post}{body}"));
        let server = pair.dialed();
        pair.send(server, DOWN);
        let (pages, asked) = page(&mut pair);
        assert!(asked.starts_with("GET /503.html") && asked.ends_with("\r\n\r\n"), "{asked}");
        assert!(!asked.contains("Content-"), "{asked}");
        pair.send(pages, PAGE.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
        let got = pair.got(client);
        assert!(got.ends_with("sorry"), "{got}");
        assert_eq!(got.contains("Connection: close"), !keeps, "{got}");
    }
    pair.nothing_more();
}

#[test]
fn head_gets_the_head_of_a_page() {
    let mut pair = with(SETTINGS, "");
    let client = pair.open();
    pair.send(client, GET.replace("GET", "HEAD"));
    let server = pair.dialed();
    pair.send(server, "HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\n");
    let (pages, asked) = page(&mut pair);
    assert!(asked.starts_with("HEAD /500.html"));
    pair.send(pages, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    let got = pair.got(client);
    assert!(got.starts_with("HTTP/1.1 500 ") && got.ends_with("\r\n\r\n"), "{got}");
    pair.send(client, GET);
    let server = pair.dialed();
    pair.send(server, OK);
    assert_eq!(pair.got(client), OK);
    pair.nothing_more();
}

#[test]
fn a_client_that_leaves_while_its_page_is_fetched_leaves_nothing_behind() {
    let mut pair = with(SETTINGS, "");
    let client = pair.open();
    pair.send(client, GET);
    let server = pair.dialed();
    pair.send(server, DOWN);
    page(&mut pair);
    pair.reset(client);
    assert_eq!(pair.count(Mark::ClientLeft), 1);
    pair.nothing_more();
}

#[test]
fn a_service_of_pages_that_is_not_there_is_told_of() {
    let document = site("status: [500], service: nobody", "");
    let told = engine::config::check(&[("f.yml", &document)]);
    let told: Vec<String> = told.iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|it| it.contains("there is no service nobody@file")), "{told:?}");
}
