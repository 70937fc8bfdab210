//! Mirrored requests.

use crate::pair::{Dial, Pair, few_pages};
use crate::plan::Plan;
use engine::base::limits::Limits;
use engine::base::mark::Mark;
use engine::base::time::Span;
use engine::view::stats::MirrorSkip;
use engine::view::{MirrorNode, MirroringNode, NodeKind};
use std::sync::Arc;

const GET: &str = "GET /x HTTP/1.1\r\nHost: s\r\n\r\n";
const POST: &str = "POST /x HTTP/1.1\r\nHost: s\r\nContent-Length: 4\r\n\r\nabcd";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

fn plan(percents: &[u8], mirror_body: bool, body_bytes_max: Option<u64>) -> Plan {
    let mut plan = Plan::bare();
    let main = plan.origin();
    let mirrors = percents
        .iter()
        .map(|percent| MirrorNode { service: plan.origin(), percent: *percent })
        .collect();
    let ticket = Arc::default();
    let node = MirroringNode { main, mirrors, mirror_body, body_bytes_max, ticket };
    let service = plan.service(NodeKind::Mirroring(node));
    plan.route("PathPrefix(`/`)", service, &[]);
    plan
}

fn skipped(pair: &Pair, why: MirrorSkip) -> u64 {
    pair.stats().workers[0].mirrors_skipped[why as usize].get()
}

#[test]
fn mirrors_get_the_whole_request_once_the_client_has_its_answer() {
    let mut pair = Pair::new(&plan(&[100, 100, 0], true, None));
    let client = pair.open();
    pair.send(client, POST);
    let main = pair.dialed();
    let sent = pair.got(main);
    pair.no_dial();
    pair.send(main, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh");
    pair.no_dial();
    pair.send(main, "i");
    assert_eq!(pair.got(client), OK);
    let mirrors = [pair.dialed(), pair.dialed()];
    for mirror in mirrors {
        assert_eq!(pair.got(mirror), sent);
        pair.send(mirror, "HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nbad");
    }
    assert_eq!(pair.got(client), "", "nobody hears of it");
    assert_eq!(pair.count(Mark::MirrorStarted), 2);
    pair.nothing_more();
}

#[test]
fn a_body_that_was_not_wanted_any_more_is_mirrored_whole() {
    let mut pair = Pair::new(&plan(&[100], true, None));
    let client = pair.open();
    let (head, body) = POST.split_at(POST.len() - 3);
    pair.dial = Dial::Refuse;
    pair.send(client, head);
    assert!(pair.got(client).starts_with("HTTP/1.1 502 "));
    pair.dialed();
    pair.dial = Dial::Accept;
    pair.send(client, body);
    let mirror = pair.dialed();
    let sent = pair.got(mirror);
    assert!(sent.contains("Content-Length: 4\r\n") && sent.ends_with("\r\n\r\nabcd"), "{sent}");
    pair.send(mirror, OK);
    pair.nothing_more();
}

#[test]
fn a_body_of_which_only_a_part_was_read_is_not_mirrored() {
    let mut pair = Pair::new(&plan(&[100], true, None));
    let client = pair.open();
    let (head, body) = POST.split_at(POST.len() - 3);
    pair.send(client, head);
    let main = pair.dialed();
    pair.got(main);
    pair.send(main, "HTTP/1.1 401 Who\r\nContent-Length: 0\r\n\r\n");
    pair.reset(main);
    assert!(pair.got(client).starts_with("HTTP/1.1 401 Who\r\n"));
    pair.send(client, body);
    pair.no_dial();
    assert_eq!(skipped(&pair, MirrorSkip::ClientGone), 1);
    pair.nothing_more();
}

#[test]
fn what_nobody_serves_is_mirrored_whole_to_those_who_do() {
    let mut plan = Plan::bare();
    let main = plan.service(NodeKind::Unavailable("nobody".into()));
    let mirrors = [MirrorNode { service: plan.origin(), percent: 100 }].into();
    let ticket = Arc::default();
    let node = MirroringNode { main, mirrors, mirror_body: true, body_bytes_max: None, ticket };
    let service = plan.service(NodeKind::Mirroring(node));
    plan.route("PathPrefix(`/`)", service, &[]);
    let mut pair = Pair::new(&plan);
    let client = pair.open();
    pair.send(client, POST);
    assert!(pair.got(client).starts_with("HTTP/1.1 503 "));
    let mirror = pair.dialed();
    let sent = pair.got(mirror);
    assert!(sent.ends_with("\r\n\r\nabcd"), "{sent}");
    assert_eq!(skipped(&pair, MirrorSkip::NoBudget), 0);
    pair.send(mirror, OK);
    pair.nothing_more();
}

#[test]
fn every_tenth_request_is_mirrored_the_first_included() {
    let mut pair = Pair::new(&plan(&[10], true, None));
    let client = pair.open();
    pair.send(client, GET);
    let main = pair.dialed();
    for _ in 0..19 {
        pair.got(main);
        pair.send(main, OK);
        pair.send(client, GET);
    }
    pair.got(main);
    pair.send(main, OK);
    pair.got(client);
    assert_eq!(pair.count(Mark::MirrorStarted), 2);
}

#[test]
fn a_mirror_without_its_body_is_sent_none() {
    let mut pair = Pair::new(&plan(&[100], false, None));
    let client = pair.open();
    pair.send(client, POST);
    let main = pair.dialed();
    pair.got(main);
    pair.send(main, OK);
    pair.got(client);
    let mirror = pair.dialed();
    let sent = pair.got(mirror);
    assert!(sent.ends_with("\r\n\r\n") && !sent.contains("Content-Length"), "{sent}");
    pair.nothing_more();
}

#[test]
fn a_chunked_body_is_mirrored_with_its_length() {
    let mut pair = Pair::new(&plan(&[100], true, Some(4)));
    let client = pair.open();
    let head = "POST / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n";
    pair.send(client, format!("{head}2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"));
    let main = pair.dialed();
    assert!(pair.got(main).contains("Transfer-Encoding: chunked\r\n"));
    pair.send(main, OK);
    pair.got(client);
    let mirror = pair.dialed();
    let sent = pair.got(mirror);
    assert!(sent.contains("Content-Length: 4\r\n") && sent.ends_with("\r\n\r\nabcd"), "{sent}");
    assert!(!sent.contains("Transfer-Encoding"), "{sent}");
    pair.nothing_more();
}

#[test]
fn a_body_over_its_limit_is_not_mirrored() {
    let mut pair = Pair::new(&plan(&[100], true, Some(3)));
    let client = pair.open();
    pair.send(client, POST);
    let main = pair.dialed();
    assert!(pair.got(main).ends_with("abcd"));
    pair.send(main, OK);
    assert_eq!(pair.got(client), OK);
    pair.no_dial();
    assert_eq!((skipped(&pair, MirrorSkip::BodyTooLarge), pair.count(Mark::KeptOvergrown)), (1, 1));
    pair.nothing_more();
}

#[test]
fn a_body_over_what_may_be_kept_is_not_mirrored() {
    let limits = Limits { kept_bytes: 3, ..Limits::default() };
    let mut pair = Pair::with(&plan(&[100], true, None), limits);
    let client = pair.open();
    pair.send(client, POST);
    let main = pair.dialed();
    pair.got(main);
    pair.send(main, OK);
    assert_eq!(pair.got(client), OK);
    pair.no_dial();
    assert_eq!(pair.count(Mark::MirrorSkipped), 1);
    pair.nothing_more();
}

#[test]
fn a_client_that_leaves_is_not_mirrored() {
    let mut pair = Pair::new(&plan(&[100], true, None));
    let client = pair.open();
    pair.send(client, GET);
    let main = pair.dialed();
    pair.got(main);
    pair.reset(client);
    pair.no_dial();
    assert_eq!(skipped(&pair, MirrorSkip::ClientGone), 1);
    pair.nothing_more();
}

#[test]
fn an_upgrade_is_not_mirrored() {
    let mut pair = Pair::new(&plan(&[100], true, None));
    let client = pair.open();
    pair.send(client, "GET / HTTP/1.1\r\nHost: s\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    let main = pair.dialed();
    pair.got(main);
    pair.send(main, OK);
    pair.got(client);
    pair.no_dial();
    assert_eq!(skipped(&pair, MirrorSkip::Upgrade), 1);
    pair.nothing_more();
}

#[test]
fn mirrors_are_limited_in_number() {
    let limits = Limits { mirrors_max: 1, ..Limits::default() };
    let mut pair = Pair::with(&plan(&[100, 100], true, None), limits);
    let client = pair.open();
    pair.send(client, GET);
    let main = pair.dialed();
    pair.got(main);
    pair.send(main, OK);
    pair.got(client);
    let mirror = pair.dialed();
    pair.got(mirror);
    assert_eq!(skipped(&pair, MirrorSkip::TooMany), 1);
    pair.nothing_more();
}

#[test]
fn a_mirror_that_takes_too_long_is_given_up_and_one_that_refuses_is_forgotten() {
    let mut pair = Pair::new(&plan(&[100], true, None));
    let client = pair.open();
    pair.send(client, GET);
    let main = pair.dialed();
    pair.got(main);
    pair.send(main, OK);
    pair.got(client);
    let mirror = pair.dialed();
    pair.got(mirror);
    pair.pass(Span::secs(30));
    assert_eq!((pair.ended(mirror), pair.count(Mark::MirrorTimedOut)), ("aborted", 1));
    assert_eq!(pair.ended(client), "");
    pair.dial = Dial::Refuse;
    pair.send(client, GET);
    pair.send(main, OK);
    pair.dialed();
    pair.got(main);
    assert_eq!(pair.got(client), OK);
    pair.nothing_more();
}

/// A mirror that finds no page to write its head to is lost with its connection; it was also given
/// up to make room for itself, and missed by who was about to wait for its answer.
#[test]
fn a_mirror_without_a_page_is_not_given_up_for_itself() {
    let mut starved = 0;
    for large_pages_max in 1..9 {
        let few = few_pages(large_pages_max);
        starved += mirror_twice(Limits { clients_max: 1, upstreams_max: 2, streams_max: 0, ..few });
    }
    assert!(starved > 0, "some of these worlds have too few pages");
}

/// A request and its mirror on new connections, and another on kept ones, as far as pages last:
/// its answer takes some while nobody reads it, and its client has asked again, so that it is not
/// idle. How often there was none.
fn mirror_twice(limits: Limits) -> u64 {
    let mut pair = Pair::with(&plan(&[100], true, None), limits);
    let client = pair.open();
    pair.send(client, GET);
    let main = pair.dialed();
    pair.send(main, OK);
    if let Some(mirror) = pair.try_dialed() {
        pair.send(mirror, OK);
    }
    if pair.ended(main).is_empty() && pair.ended(client).is_empty() {
        pair.send(client, GET.repeat(2));
        pair.deafen(client, true);
        let body = "x".repeat(99);
        pair.send(main, format!("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{body}"));
        pair.deafen(client, false);
    }
    pair.pass(Span::secs(1));
    pair.count(Mark::PagesExhausted)
}
