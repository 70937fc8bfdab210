//! Requests that Redis counts.

use super::{ENTRY, OK, Site, document, pair};
use crate::pair::{Dial, End, Pair};
use crate::secure::{self, Ca, Pem, Talker, quoted};
use crate::secure_servers::door;
use engine::base::limits::Limits;
use engine::base::mark::Mark;
use engine::base::prng::Prng;
use engine::base::time::Span;
use engine::boundary::{LedgerFault, Report};
use engine::tls::Refusal;

const GET: &str = "GET / HTTP/1.1\r\nHost: s\r\n\r\n";
const NAME: &str = "0123456789012345678901234567890123456789";
const AWAY: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 21\r\n\r\n\
                    Internal Server Error";

fn limit(more: &str) -> String {
    format!(
        "a: {{rateLimit: {{average: 10, burst: 2, redis: {{endpoints: ['10.0.0.2:6379']{more}}}}}}}"
    )
}

/// Commands, each as its words.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some(after) = rest.strip_prefix('*') {
        let (count, mut more) = after.split_once("\r\n").expect("a line");
        let mut command = Vec::new();
        for _ in 0..count.parse::<usize>().expect("a number") {
            let (bytes, from) = more[1..].split_once("\r\n").expect("a line");
            let bytes: usize = bytes.parse().expect("a number");
            command.push(from[..bytes].to_owned());
            more = &from[bytes + 2..];
        }
        all.push(command);
        rest = more;
    }
    assert_eq!(rest, "", "whole commands");
    all
}

fn name_of(script: &str) -> String {
    format!("$40\r\n{script}\r\n")
}

fn text(pair: &mut Pair, end: End) -> String {
    String::from_utf8(pair.got_bytes(end)).expect("text")
}

/// A client whose request waits for Redis, which was greeted.
fn asked(pair: &mut Pair) -> (End, End) {
    let client = pair.open();
    pair.send(client, GET);
    let redis = pair.dialed();
    let greeting = commands(&text(pair, redis));
    assert_eq!(greeting[0][..2], ["SCRIPT", "LOAD"]);
    pair.no_dial();
    pair.send(redis, name_of(NAME));
    (client, redis)
}

/// Plays the server behind the middleware.
fn served(pair: &mut Pair, client: End) {
    let origin = pair.dialed();
    pair.send(origin, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!(pair.got(client), OK);
}

#[test]
fn redis_is_asked_for_a_token_and_its_answer_decides() {
    let mut pair = pair(&limit(""));
    let (client, redis) = asked(&mut pair);
    assert_eq!(
        commands(&text(&mut pair, redis)),
        [["EVALSHA", NAME, "1", "tieline:rate:a@file:192.0.2.7", "100000", "100000", "50000"]]
    );
    pair.no_dial();
    pair.send(redis, "*2\r\n:1\r\n:0\r\n");
    served(&mut pair, client);
    pair.send(client, GET);
    pair.send(redis, "*2\r\n:0\r\n:2500000\r\n");
    assert_eq!(
        pair.own(client),
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\nX-Retry-In: 2.5s\r\n\
         Content-Length: 17\r\n\r\nToo Many Requests"
    );
    pair.send(client, GET);
    pair.send(redis, "*2\r\n:1\r\n:40000\r\n");
    pair.pass(Span::millis(39));
    pair.no_dial();
    pair.pass(Span::millis(1));
    served(&mut pair, client);
    assert_eq!(pair.count(Mark::Counted), 3);
    assert_eq!(pair.reports, []);
    pair.nothing_more();
}

#[test]
fn many_requests_are_asked_about_on_one_connection_and_answered_in_order() {
    let mut pair = pair(&limit(""));
    let clients: Vec<End> = (1..=3_u8)
        .map(|at| {
            let client = pair.open_from([10, 1, 0, at]);
            pair.send(client, GET);
            client
        })
        .collect();
    let redis = pair.dialed();
    pair.no_dial();
    assert_eq!(commands(&text(&mut pair, redis)).len(), 1);
    pair.send(redis, name_of(NAME));
    let asked = commands(&text(&mut pair, redis));
    let sources: Vec<&str> = asked.iter().filter_map(|it| it[3].rsplit(':').next()).collect();
    assert_eq!(sources, ["10.1.0.1", "10.1.0.2", "10.1.0.3"]);
    pair.reset(clients[1]);
    for byte in "*2\r\n:1\r\n:0\r\n*2\r\n:1\r\n:0\r\n*2\r\n:0\r\n:1000000\r\n".bytes() {
        pair.send(redis, [byte]);
    }
    served(&mut pair, clients[0]);
    assert!(pair.own(clients[2]).starts_with("HTTP/1.1 429 "));
    pair.nothing_more();
}

#[test]
fn a_connection_begins_with_who_we_are_and_which_database_is_meant() {
    let mut pair = pair(&limit(", username: me, password: pw, db: 3"));
    let client = pair.open();
    pair.send(client, GET);
    let redis = pair.dialed();
    let greeting = commands(&text(&mut pair, redis));
    assert_eq!(greeting[..2], [vec!["AUTH", "me", "pw"], vec!["SELECT", "3"]]);
    pair.send(redis, "+OK\r\n+OK\r\n");
    assert_eq!(text(&mut pair, redis), "");
    pair.send(redis, name_of(NAME));
    assert_eq!(commands(&text(&mut pair, redis)).len(), 1);
    pair.send(redis, "*2\r\n:1\r\n:0\r\n");
    served(&mut pair, client);
    pair.nothing_more();
}

/// A request that one authority's Redis shall count, and who shows this certificate in its place.
fn asked_over_tls(ca: &Ca, shown: &Pem) -> (Pair, End, Talker) {
    let limit = limit(&format!(", tls: {{ca: {}}}", quoted(&ca.pem())));
    let mut pair = secure::pair(secure::view(None, &document(&limit)));
    let client = pair.open();
    pair.send(client, GET);
    let redis = Talker::server(&mut pair, &door(shown, ""));
    (pair, client, redis)
}

#[test]
fn redis_is_asked_over_tls_if_it_is_who_it_should_be() {
    let ca = Ca::new("ca");
    let (mut pair, client, mut redis) = asked_over_tls(&ca, &ca.named("10.0.0.2"));
    assert_eq!(commands(&redis.heard())[0][..2], ["SCRIPT", "LOAD"]);
    redis.say(&mut pair, &name_of(NAME));
    assert_eq!(commands(&redis.heard())[0][..2], ["EVALSHA", NAME]);
    redis.say(&mut pair, "*2\r\n:1\r\n:0\r\n");
    let origin = pair.dialed();
    pair.send(origin, OK);
    assert!(pair.got(client).starts_with("HTTP/1.1 200 OK\r\n"));
    pair.nothing_more_of(&[redis.end, origin]);
}

#[test]
fn a_redis_that_shows_a_wrong_certificate_counts_nothing() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let wrong =
        [(ca.named("10.0.0.3"), Refusal::WrongName), (other.named("10.0.0.2"), Refusal::UnknownCa)];
    for (shown, expected) in wrong {
        let (mut pair, client, mut redis) = asked_over_tls(&ca, &shown);
        assert_eq!(redis.heard(), "", "nothing was asked");
        assert!(pair.got(client).starts_with("HTTP/1.1 500 "));
        let [Report::Refused { refusal, .. }, Report::Ledger { fault: Some(_), .. }] =
            pair.reports[..]
        else {
            panic!("{:?}", pair.reports)
        };
        assert_eq!(refusal, expected);
    }
}

#[test]
fn a_forgotten_script_is_sent_whole() {
    let mut pair = pair(&limit(""));
    let (client, redis) = asked(&mut pair);
    text(&mut pair, redis);
    pair.send(redis, "-NOSCRIPT No matching script.\r\n");
    let whole = commands(&text(&mut pair, redis));
    assert_eq!(whole[0][0], "EVAL");
    assert!(whole[0][1].starts_with("local now"));
    pair.send(redis, "*2\r\n:1\r\n:0\r\n");
    served(&mut pair, client);
    assert_eq!(pair.count(Mark::ScriptForgotten), 1);
    pair.nothing_more();
}

#[test]
fn nobody_passes_while_redis_is_away_and_it_is_not_asked_all_the_time() {
    let mut pair = pair(&limit(""));
    pair.dial = Dial::Refuse;
    let client = pair.open();
    pair.send(client, GET);
    pair.dialed();
    assert_eq!(pair.own(client), AWAY);
    // Nobody is dialed for a second.
    pair.send(client, GET);
    pair.no_dial();
    assert_eq!(pair.own(client), AWAY);
    let [Report::Ledger { target, fault: Some(LedgerFault::Unreached) }] = pair.reports[..] else {
        panic!("{:?}", pair.reports)
    };
    pair.pass(Span::secs(1));
    pair.dial = Dial::Accept;
    let (back, redis) = asked(&mut pair);
    pair.send(redis, "*2\r\n:1\r\n:0\r\n");
    served(&mut pair, back);
    assert_eq!(pair.reports[1..], [Report::Ledger { target, fault: None }]);
    assert_eq!(pair.count(Mark::CountFailed), 2);
    assert_eq!(pair.stats().workers[0].uncounted.get(), 2);
    pair.nothing_more();
}

#[test]
fn a_redis_that_is_silent_is_waited_for_as_long_as_its_timeouts_say() {
    let more = ", dialTimeout: 2s, readTimeout: 1s";
    let mut pair = pair(&limit(more));
    pair.dial = Dial::Hang;
    let client = pair.open();
    pair.send(client, GET);
    let redis = pair.dialed();
    pair.pass(Span::millis(1_999));
    assert_eq!(pair.got(client), "");
    pair.pass(Span::millis(1));
    assert_eq!(pair.own(client), AWAY);
    assert_eq!(pair.ended(redis), "aborted");
    pair.pass(Span::secs(1));
    pair.dial = Dial::Accept;
    let (client, redis) = asked(&mut pair);
    pair.pass(Span::millis(999));
    assert_eq!(pair.got(client), "");
    pair.pass(Span::millis(1));
    assert_eq!(pair.own(client), AWAY);
    assert_eq!(pair.ended(redis), "aborted");
    pair.nothing_more();
}

#[test]
fn a_lost_connection_is_replaced_and_its_questions_asked_once_more() {
    let mut pair = pair(&limit(""));
    let (client, redis) = asked(&mut pair);
    pair.send(redis, "*2\r\n:1\r\n:0\r\n");
    served(&mut pair, client);
    pair.send(client, GET);
    pair.reset(redis);
    let second = pair.dialed();
    pair.send(second, name_of(NAME));
    pair.send(second, "*2\r\n:1\r\n:0\r\n");
    served(&mut pair, client);
    assert_eq!(pair.count(Mark::CountedAgain), 1);
    // Not more than once, and not on a connection that has never answered.
    pair.send(client, GET);
    pair.reset(second);
    let third = pair.dialed();
    pair.send(third, name_of(NAME));
    pair.reset(third);
    assert_eq!(pair.own(client), AWAY);
    pair.no_dial();
    pair.nothing_more();
}

#[test]
fn a_connection_that_ends_while_nobody_asks_is_no_fault() {
    let mut pair = pair(&limit(""));
    let (client, redis) = asked(&mut pair);
    pair.send(redis, "*2\r\n:1\r\n:0\r\n");
    served(&mut pair, client);
    pair.fin(redis);
    assert_eq!(pair.reports, []);
    pair.send(client, GET);
    let again = pair.dialed();
    pair.send(again, name_of(NAME));
    pair.send(again, "*2\r\n:1\r\n:0\r\n");
    served(&mut pair, client);
    pair.pass(Span::secs(90));
    assert_eq!(pair.ended(again), "closed");
    pair.nothing_more();
}

#[test]
fn what_is_wrong_with_redis_is_told_apart() {
    for (answer, expected) in [
        ("-NOAUTH Authentication required.\r\n", LedgerFault::Denied),
        ("-MOVED 1 10.0.0.9:6379\r\n", LedgerFault::Cluster),
        ("-READONLY You can't write\r\n", LedgerFault::Replica),
        ("-OOM command not allowed\r\n", LedgerFault::Refused),
        ("HTTP/1.1 400 Bad Request\r\n", LedgerFault::Garbled),
        ("*2\r\n:7\r\n:0\r\n", LedgerFault::Garbled),
        (":1\r\n", LedgerFault::Garbled),
    ] {
        let mut pair = pair(&limit(""));
        let (client, redis) = asked(&mut pair);
        pair.send(redis, answer);
        assert_eq!(pair.own(client), AWAY, "{answer}");
        let [Report::Ledger { fault: Some(fault), .. }] = pair.reports[..] else {
            panic!("{:?}", pair.reports)
        };
        assert_eq!(fault, expected, "{answer}");
        pair.nothing_more();
    }
    let mut pair = pair(&limit(", password: wrong"));
    let client = pair.open();
    pair.send(client, GET);
    let redis = pair.dialed();
    pair.send(redis, "-WRONGPASS invalid username-password pair\r\n-NOAUTH Auth\r\n");
    assert_eq!(pair.own(client), AWAY);
    let [Report::Ledger { fault: Some(LedgerFault::Denied), .. }] = pair.reports[..] else {
        panic!("{:?}", pair.reports)
    };
    pair.nothing_more();
}

#[test]
fn no_more_requests_wait_for_redis_than_there_is_room_for() {
    let mut site = Site::new(ENTRY);
    let limits = Limits { questions_max: 2, ..Limits::default() };
    let mut pair = Pair::of(site.view(&limit("")), limits);
    pair.dial = Dial::Hang;
    let clients = [pair.open(), pair.open(), pair.open()];
    for client in clients {
        pair.send(client, GET);
    }
    pair.dialed();
    assert_eq!(pair.own(clients[2]), AWAY);
    pair.pass(Span::secs(5));
    assert_eq!(pair.own(clients[0]), AWAY);
    assert_eq!(pair.own(clients[1]), AWAY);
    pair.nothing_more();
}

#[test]
fn a_drain_waits_for_what_redis_says_and_then_ends() {
    let mut pair = pair(&limit(""));
    let (client, redis) = asked(&mut pair);
    pair.drain(Span::secs(10));
    pair.send(redis, "*2\r\n:1\r\n:0\r\n");
    let origin = pair.dialed();
    pair.send(origin, OK);
    assert!(pair.got(client).starts_with("HTTP/1.1 200 OK\r\n"));
    pair.fin(client);
    assert_eq!(pair.ended(redis), "closed");
    assert_eq!(pair.finished, 1);
}

#[test]
fn whatever_arrives_when_each_request_has_one_answer() {
    for seed in 0..60 {
        let mut pair = pair(&limit(""));
        (pair.read_max, pair.write_max) = (7, 11);
        let clients: Vec<End> = (0..4).map(|_| pair.open()).collect();
        pair.send(clients[0], GET);
        let redis = pair.dialed();
        pair.chance = Some(Prng::new(seed));
        for client in &clients[1..] {
            pair.send(*client, GET);
        }
        pair.send(redis, name_of(NAME));
        for _ in 0..3 {
            pair.send(redis, "*2\r\n:0\r\n:1000000\r\n");
        }
        // Whatever did not happen yet happens now.
        pair.chance = None;
        pair.fin(redis);
        let whole: String = clients.iter().map(|client| pair.own(*client)).collect();
        let refused = whole.matches("HTTP/1.1 429 ").count();
        let away = whole.matches("HTTP/1.1 500 ").count();
        // The fourth is asked about again, on a connection that never answers.
        assert_eq!((refused, away), (3, 0), "seed {seed}: {whole}");
        pair.dialed();
        pair.nothing_more();
    }
}
