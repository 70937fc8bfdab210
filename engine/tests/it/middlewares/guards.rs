//! Middlewares of services themselves, and what those above make of their answers.

use super::{ENTRY, OK, Site};
use crate::pair::{End, Pair};
use engine::base::limits::Limits;
use engine::base::mark::Mark;
use engine::base::time::Span;
use engine::boundary::Answer;
use engine::view::stats::MirrorSkip;
use std::collections::BTreeMap;

const GET: &str = "GET / HTTP/1.1\r\nHost: s\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 4\r\n\r\nbody";
const BAD: &str = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const CLOSE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const BREAKER: &str = "{circuitBreaker: {expression: 'NetworkErrorRatio() > 0.5'}}";

/// Services and middlewares, one a line; the route leads to `top`.
fn site(services: &[&str], middlewares: &[&str]) -> String {
    routed("{rule: 'PathPrefix(`/`)', service: top}", services, middlewares)
}

fn routed(router: &str, services: &[&str], middlewares: &[&str]) -> String {
    let lines = |list: &[&str]| list.iter().map(|it| format!("    {it}\n")).collect::<String>();
    format!(
        "http:\n  routers:\n    r: {router}\n  services:\n{}  middlewares:\n{}",
        lines(services),
        lines(middlewares)
    )
}

/// A balancer over the server with this last number, behind these middlewares.
fn server(name: &str, last: u8, middlewares: &str) -> String {
    format!(
        "{name}: {{middlewares: [{middlewares}], loadBalancer: \
         {{servers: [{{url: 'http://10.0.0.{last}:80'}}]}}}}"
    )
}

fn pair(document: &str) -> Pair {
    Pair::of(Site::new(ENTRY).view_of(document), Limits::default())
}

/// Which server a connection is to.
fn last(pair: &Pair, end: End) -> u8 {
    match pair.address(end).ip() {
        std::net::IpAddr::V4(ip) => ip.octets()[3],
        std::net::IpAddr::V6(_) => 0,
    }
}

/// Who got a request and what it was asked for; answered so.
#[track_caller]
fn served_with(pair: &mut Pair, request: &str, answer: &str) -> (u8, String) {
    let client = pair.open();
    pair.send(client, request);
    let origin = pair.dialed();
    let sent = pair.got(origin);
    let path = sent.split(' ').nth(1).unwrap_or_default().to_owned();
    let who = last(pair, origin);
    pair.send(origin, answer);
    assert!(pair.got(client).starts_with(&answer[..12]), "{who} answers");
    pair.reset(client);
    (who, path)
}

#[track_caller]
fn served(pair: &mut Pair) -> u8 {
    served_with(pair, GET, CLOSE).0
}

#[test]
fn they_run_behind_those_of_the_route_and_before_the_servers() {
    let document = routed(
        "{rule: 'PathPrefix(`/`)', service: top, middlewares: [a, h]}",
        &[&server("top", 1, "b, k")],
        &[
            "a: {addPrefix: {prefix: /a}}",
            "b: {addPrefix: {prefix: /b}}",
            "h: {headers: {customRequestHeaders: {X-In: route, X-R: r}, \
             customResponseHeaders: {X-Out: route}}}",
            "k: {headers: {customRequestHeaders: {X-In: service}, \
             customResponseHeaders: {X-Out: service}}}",
        ],
    );
    let mut pair = pair(&document);
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    let sent = pair.got(origin);
    assert!(sent.starts_with("GET /b/a/ HTTP/1.1\r\n"), "{sent}");
    assert!(sent.contains("X-In: service\r\n") && sent.contains("X-R: r\r\n"), "{sent}");
    assert!(!sent.contains("X-In: route"), "{sent}");
    pair.send(origin, OK);
    let got = pair.got(client);
    assert!(got.contains("X-Out: route\r\n") && !got.contains("X-Out: service"), "{got}");
    assert_eq!(pair.count(Mark::GuardMet), 1);
    pair.nothing_more();
}

#[test]
fn members_have_their_own_and_nest() {
    let document = site(
        &[
            "top: {middlewares: [t], weighted: {services: [{name: a, weight: 2}, {name: b}]}}",
            "a: {middlewares: [a], weighted: {services: [{name: c}]}}",
            &server("b", 2, "b"),
            &server("c", 3, "c"),
        ],
        &["t", "a", "b", "c"]
            .map(|it| format!("{it}: {{addPrefix: {{prefix: /{it}}}}}"))
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
    );
    let mut pair = pair(&document);
    let mut seen = BTreeMap::new();
    for turn in 1..=9 {
        let (who, path) = served_with(&mut pair, GET, CLOSE);
        assert_eq!(path, if who == 3 { "/c/a/t/" } else { "/b/t/" });
        *seen.entry(who).or_insert(0u32) += 1;
        let a = seen.get(&3).copied().unwrap_or(0);
        assert!((3 * a).abs_diff(2 * turn) < 3, "{seen:?}");
    }
    assert_eq!(pair.count(Mark::GuardMet), 9 * 2 + 6);
    pair.nothing_more();
}

/// Three members of weights 2, 1 and 1, the first behind a breaker.
fn three(breaker: &str) -> Pair {
    let document = site(
        &[
            "top: {weighted: {services: [{name: a, weight: 2}, {name: b}, {name: c}]}}",
            &server("a", 1, "m"),
            &server("b", 2, ""),
            &server("c", 3, ""),
        ],
        &[&format!("m: {breaker}")],
    );
    pair(&document)
}

#[test]
fn the_turns_of_a_member_with_an_open_breaker_go_to_the_others_exactly() {
    let mut pair = three(BREAKER);
    assert_eq!(served_with(&mut pair, GET, BAD).0, 1);
    assert_eq!(pair.count(Mark::BreakerOpened), 1);
    let mut seen = BTreeMap::new();
    for turn in 1..=40u32 {
        *seen.entry(served(&mut pair)).or_insert(0u32) += 1;
        for who in [2, 3] {
            let got = seen.get(&who).copied().unwrap_or(0);
            assert!((2 * got).abs_diff(turn) <= 4, "{seen:?} after {turn}");
        }
    }
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), [2, 3]);
    assert_eq!(pair.count(Mark::BreakerPassedBy), 20);
    assert_eq!(pair.count(Mark::BreakerRefused), 0);
    pair.nothing_more();
}

#[test]
fn what_a_recovering_breaker_keeps_off_goes_to_the_others_too() {
    let mut pair = three(BREAKER);
    assert_eq!(served_with(&mut pair, GET, BAD).0, 1);
    pair.pass(Span::secs(10));
    let mut seen = BTreeMap::new();
    for _ in 0..40 {
        pair.pass(Span::millis(200));
        *seen.entry(served(&mut pair)).or_insert(0u32) += 1;
    }
    // Of the twenty turns of the first some were passed on.
    let first = seen.get(&1).copied().unwrap_or(0);
    assert!((1..15).contains(&first), "{seen:?}");
    let refused = pair.count(Mark::BreakerRefused);
    assert_eq!(u64::from(first) + refused, 20);
    assert_eq!(pair.count(Mark::BreakerPassedBy), refused);
    assert!(seen[&2].abs_diff(seen[&3]) <= 2, "{seen:?}");
    pair.pass(Span::secs(3));
    let after: Vec<u8> = (0..4).map(|_| served(&mut pair)).collect();
    assert_eq!(after.iter().filter(|who| **who == 1).count(), 2);
    pair.nothing_more();
}

#[test]
fn a_service_whose_members_are_all_kept_off_answers_as_its_breaker_does() {
    let document = site(
        &[
            "top: {weighted: {services: [{name: a}, {name: b}]}}",
            &server("a", 1, "m"),
            &server("b", 2, "m"),
        ],
        &["m: {circuitBreaker: {expression: 'NetworkErrorRatio() > 0.5', responseCode: 529}}"],
    );
    let mut pair = pair(&document);
    assert_eq!(served_with(&mut pair, GET, BAD).0, 1);
    assert_eq!(served_with(&mut pair, GET, BAD).0, 2);
    for _ in 0..3 {
        assert!(pair.answer(GET).starts_with("HTTP/1.1 529 "));
    }
    assert_eq!(pair.count(Mark::BreakerPassedBy), 0);
    pair.nothing_more();
}

#[test]
fn a_failover_leaves_a_side_with_an_open_breaker_and_comes_back() {
    let document = site(
        &[
            "top: {failover: {service: mid, fallback: b}}",
            "mid: {weighted: {services: [{name: a}]}}",
            &server("a", 1, "m"),
            &server("b", 2, ""),
        ],
        &[&format!("m: {BREAKER}")],
    );
    let mut pair = pair(&document);
    assert_eq!(served_with(&mut pair, GET, BAD).0, 1);
    for _ in 0..3 {
        assert_eq!(served(&mut pair), 2);
    }
    assert_eq!(served_with(&mut pair, POST, CLOSE).0, 2);
    pair.pass(Span::secs(10));
    // The first that comes back finds it recovering, and is passed on.
    assert_eq!(served(&mut pair), 2);
    assert_eq!(pair.count(Mark::BreakerRefused), 1);
    pair.pass(Span::secs(11));
    assert_eq!(served(&mut pair), 1);
    pair.nothing_more();
}

#[test]
fn a_session_moves_from_a_member_with_an_open_breaker() {
    let document = site(
        &[
            "top: {weighted: {sticky: {cookie: {name: c}}, services: [{name: a}, {name: b}]}}",
            &server("a", 1, "m"),
            &server("b", 2, ""),
        ],
        &[&format!("m: {BREAKER}")],
    );
    let mut pair = pair(&document);
    let sticky = "GET / HTTP/1.1\r\nHost: s\r\nCookie: c=a\r\n\r\n";
    assert_eq!(served_with(&mut pair, sticky, CLOSE).0, 1);
    assert_eq!(served_with(&mut pair, sticky, CLOSE).0, 1);
    for _ in 0..3 {
        served_with(&mut pair, sticky, BAD);
        pair.pass(Span::millis(150));
    }
    let client = pair.open();
    pair.send(client, sticky);
    let origin = pair.dialed();
    assert_eq!(last(&pair, origin), 2);
    pair.send(origin, CLOSE);
    assert!(pair.got(client).contains("Set-Cookie: c="));
    pair.nothing_more();
}

#[test]
fn a_session_that_a_recovering_breaker_refuses_begins_anew_with_a_ticket() {
    let document = site(
        &[
            "top: {weighted: {sticky: {cookie: {name: c}}, services: [{name: a}, {name: b}, {name: d}]}}",
            &server("a", 1, "m"),
            &server("b", 2, ""),
            &server("d", 3, ""),
        ],
        &[&format!("m: {BREAKER}")],
    );
    let mut site = Site::new(&format!("{ENTRY}\naccessLog: {{format: json}}\n"));
    let mut pair = Pair::of(site.view_of(&document), Limits::default());
    let sticky = "GET / HTTP/1.1\r\nHost: s\r\nCookie: c=a\r\n\r\n";
    for _ in 0..3 {
        served_with(&mut pair, sticky, BAD);
        pair.pass(Span::millis(150));
    }
    assert_eq!(pair.count(Mark::BreakerOpened), 1);
    pair.pass(Span::secs(10));
    pair.log.clear();
    let elsewhere = (0..12).filter(|_| {
        pair.pass(Span::millis(100));
        served_with(&mut pair, sticky, CLOSE).0 != 1
    });
    let elsewhere = elsewhere.count();
    pair.pass(Span::secs(1));
    let refused = usize::try_from(pair.count(Mark::BreakerPassedBy)).expect("small");
    assert!(elsewhere > 2 && refused >= elsewhere, "{elsewhere} of {refused}");
    let tickets: Vec<u64> = (pair.log.lines())
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a line of JSON"))
        .map(|line| line["Choices"][0].clone())
        .filter(|choice| choice["Turn"] != 0)
        .map(|choice| choice["Ticket"].as_u64().expect("a number"))
        .collect();
    assert_eq!(tickets.len(), elsewhere);
    assert!(tickets.windows(2).all(|two| two[0] + 1 == two[1]), "each has drawn one: {tickets:?}");
    pair.nothing_more();
}

#[test]
fn a_failover_by_status_judges_what_they_answer() {
    let document = site(
        &[
            "top: {failover: {service: a, fallback: b, errors: {status: ['429', '403']}}}",
            &server("a", 1, "g, m"),
            &server("b", 2, ""),
        ],
        &["m: {rateLimit: {average: 1, period: 60s}}", "g: {inFlightReq: {amount: 2}}"],
    );
    let mut pair = pair(&document);
    assert_eq!(served(&mut pair), 1);
    assert_eq!(served(&mut pair), 2);
    // Nothing of it reached a server before.
    assert_eq!(served_with(&mut pair, POST, CLOSE).0, 2);
    let held: Vec<End> = (0..4)
        .map(|_| {
            let client = pair.open();
            pair.send(client, GET);
            client
        })
        .collect();
    assert_eq!(pair.count(Mark::GaugeFull), 0, "who went elsewhere is not counted any more");
    for client in held {
        let origin = pair.dialed();
        assert_eq!(last(&pair, origin), 2);
        pair.send(origin, CLOSE);
        assert!(pair.got(client).starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(pair.count(Mark::SwitchedSide), 6);
    pair.nothing_more();
}

#[test]
fn a_retry_above_tries_another_member() {
    let document = routed(
        "{rule: 'PathPrefix(`/`)', service: top, middlewares: [again]}",
        &[
            "top: {weighted: {services: [{name: a}, {name: b}]}}",
            &server("a", 1, "m"),
            &server("b", 2, ""),
        ],
        &[
            "m: {rateLimit: {average: 1, period: 60s}}",
            "again: {retry: {attempts: 2, status: ['429']}}",
        ],
    );
    let mut pair = pair(&document);
    let served: Vec<u8> = (0..6).map(|_| served_with(&mut pair, POST, CLOSE).0).collect();
    assert_eq!(served, [1, 2, 2, 2, 2, 2]);
    assert_eq!(pair.count(Mark::Retried), 4);
    pair.nothing_more();
}

#[test]
fn a_retry_of_a_service_goes_no_further_up_than_that_service() {
    let document = site(
        &[
            "top: {failover: {service: a, fallback: b, errors: {status: ['502']}}}",
            "a: {middlewares: [again], loadBalancer: \
             {servers: [{url: 'http://10.0.0.1:80'}, {url: 'http://10.0.0.3:80'}]}}",
            &server("b", 2, ""),
        ],
        &["again: {retry: {attempts: 2, status: ['502']}}"],
    );
    let mut pair = pair(&document);
    let client = pair.open();
    pair.send(client, GET);
    let mut tried = Vec::new();
    for answer in [BAD, BAD, CLOSE] {
        let origin = pair.dialed();
        tried.push(last(&pair, origin));
        pair.send(origin, answer);
    }
    assert_eq!(tried, [1, 3, 2], "first the other server, then the other side");
    assert!(pair.got(client).starts_with("HTTP/1.1 200 "));
    assert_eq!((pair.count(Mark::Retried), pair.count(Mark::SwitchedSide)), (1, 1));
    pair.nothing_more();
}

#[test]
fn what_they_answer_is_the_answer_if_nobody_above_minds() {
    let document = site(
        &["top: {middlewares: [m, d], weighted: {services: [{name: a}]}}", &server("a", 1, "")],
        &[
            "m: {headers: {customResponseHeaders: {X-Seen: 'yes'}}}",
            "d: {redirectRegex: {regex: '^http://s/old(.*)', replacement: 'http://s/new$1'}}",
        ],
    );
    let mut pair = pair(&document);
    let got = pair.answer("GET /old/1 HTTP/1.1\r\nHost: s\r\n\r\n");
    assert!(got.starts_with("HTTP/1.1 302 Found\r\n"), "{got}");
    assert!(got.contains("Location: http://s/new/1\r\n") && got.contains("X-Seen: yes\r\n"));
    assert_eq!(pair.count(Mark::GuardAnswered), 1);
    assert_eq!(served(&mut pair), 1);
    pair.nothing_more();
}

#[test]
fn a_password_is_asked_for_before_one_member_only() {
    let document = site(
        &[
            "top: {weighted: {services: [{name: a}, {name: b}]}}",
            &server("a", 1, "m"),
            &server("b", 2, ""),
        ],
        &[
            "m: {basicAuth: {users: ['u:$2y$05$abcdefghijklmnopqrstuuYcQZ0o5oHe8a3vQyM1n5zW0x9lK2b3C']}}",
        ],
    );
    let mut pair = pair(&document);
    assert!(pair.answer(GET).starts_with("HTTP/1.1 401 "));
    assert_eq!(served(&mut pair), 2);
    let client = pair.open();
    pair.send(client, "GET / HTTP/1.1\r\nHost: s\r\nAuthorization: Basic dTpw\r\n\r\n");
    let (job, _) = pair.job().expect("a password to compare");
    pair.no_dial();
    pair.finish_job(job, Answer::Verified(true));
    let origin = pair.dialed();
    assert_eq!(last(&pair, origin), 1);
    pair.send(origin, CLOSE);
    assert!(pair.got(client).starts_with("HTTP/1.1 200 "));
    pair.nothing_more();
}

#[test]
fn mirrors_have_their_own_and_inherit_those_above() {
    let document = site(
        &[
            "top: {middlewares: [t], mirroring: {service: a, mirrors: [{name: b, percent: 100}]}}",
            &server("a", 1, "a"),
            &server("b", 2, "b, l"),
        ],
        &[
            "t: {addPrefix: {prefix: /t}}",
            "a: {addPrefix: {prefix: /a}}",
            "b: {addPrefix: {prefix: /b}}",
            "l: {rateLimit: {average: 1, period: 60s}}",
        ],
    );
    let mut pair = pair(&document);
    assert_eq!(served_with(&mut pair, GET, CLOSE), (1, "/a/t/".to_owned()));
    let shadow = pair.dialed();
    assert!(pair.got(shadow).starts_with("GET /b/t/ "));
    assert_eq!(last(&pair, shadow), 2);
    pair.send(shadow, CLOSE);
    assert_eq!(served_with(&mut pair, GET, CLOSE).0, 1);
    pair.no_dial();
    let skipped = &pair.stats().workers[0].mirrors_skipped;
    assert_eq!(skipped[MirrorSkip::Refused as usize].get(), 1);
    pair.nothing_more();
}

#[test]
fn a_page_replaces_the_bad_answers_of_one_member() {
    let document = site(
        &[
            "top: {weighted: {services: [{name: a}, {name: b}]}}",
            &server("a", 1, "m"),
            &server("b", 2, ""),
            &server("pages", 9, ""),
        ],
        &["m: {errors: {status: ['500-599'], service: pages, query: '/{status}'}}"],
    );
    let mut pair = pair(&document);
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.send(origin, BAD);
    let pages = pair.dialed();
    assert_eq!(last(&pair, pages), 9);
    assert!(pair.got(pages).starts_with("GET /502 HTTP/1.1\r\n"));
    pair.send(pages, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nsorry");
    let got = pair.got(client);
    assert!(got.starts_with("HTTP/1.1 502 ") && got.ends_with("sorry"), "{got}");
    assert_eq!(served_with(&mut pair, GET, BAD).0, 2);
    pair.nothing_more();
}

#[test]
fn a_page_is_not_fetched_past_middlewares_of_its_service() {
    let document = routed(
        "{rule: 'PathPrefix(`/`)', service: top, middlewares: [m]}",
        &[&server("top", 1, ""), &server("pages", 9, "p")],
        &[
            "m: {errors: {status: ['500-599'], service: pages, query: /}}",
            "p: {addPrefix: {prefix: /p}}",
        ],
    );
    let mut pair = pair(&document);
    assert_eq!(served_with(&mut pair, GET, BAD).0, 1);
    pair.no_dial();
    pair.nothing_more();
}

#[test]
fn a_reload_that_changes_neither_keeps_what_a_service_counts() {
    let services = |weight: u32| {
        vec![
            format!(
                "top: {{weighted: {{services: [{{name: a, weight: {weight}}}, {{name: b}}]}}}}"
            ),
            server("a", 1, "m"),
            server("b", 2, ""),
        ]
    };
    let document = |weight: u32, more: &str| {
        let services = services(weight);
        let services: Vec<&str> = services.iter().map(String::as_str).collect();
        site(&services, &[&format!("m: {BREAKER}{more}")])
    };
    let mut site = Site::new(ENTRY);
    let mut pair = Pair::of(site.view_of(&document(1, "")), Limits::default());
    assert_eq!(served_with(&mut pair, GET, BAD).0, 1);
    pair.publish_view(site.view_of(&document(5, "")));
    for _ in 0..6 {
        assert_eq!(served(&mut pair), 2);
    }
    assert_eq!(site.all_reports(), [""; 0]);
    let other = document(5, "").replace("0.5", "0.25");
    pair.publish_view(site.view_of(&other));
    let reset = "reset: circuit breaker m@file of service a@file: its definition changed";
    assert_eq!(site.all_reports(), [reset]);
    assert_eq!((0..6).filter(|_| served(&mut pair) == 1).count(), 5);
    let bare = other.replace("middlewares: [m]", "middlewares: []");
    pair.publish_view(site.view_of(&bare));
    let dropped = "dropped: circuit breaker m@file of service a@file: it is gone";
    assert_eq!(site.all_reports(), [dropped]);
    pair.nothing_more();
}

#[test]
fn a_service_behind_a_middleware_that_is_not_there_is_left_out() {
    let mut site = Site::new(ENTRY);
    let document = self::site(
        &[
            "top: {weighted: {services: [{name: a}, {name: b}]}}",
            &server("a", 1, "nowhere"),
            &server("b", 2, ""),
        ],
        &["m: {addPrefix: {prefix: /}}"],
    );
    let reading = engine::config::dynamic(&[("dynamic.yml", &document)]);
    site.compiler.set_dynamic(reading.dynamic);
    let build = site.compiler.build().expect("something changed");
    let told: Vec<String> = build.diagnostics.iter().map(|it| it.text.clone()).collect();
    assert!(told.contains(&"there is no middleware nowhere@file".to_owned()), "{told:?}");
    let mut pair = Pair::of(build.view.into(), Limits::default());
    for _ in 0..3 {
        assert_eq!(served(&mut pair), 2);
    }
    pair.nothing_more();
}

#[test]
fn more_than_eight_one_under_another_are_refused() {
    let mut services: Vec<String> = (0..9)
        .map(|at| {
            let name = if at == 0 { "top".to_owned() } else { format!("s{at}") };
            let below = at + 1;
            format!("{name}: {{middlewares: [m], weighted: {{services: [{{name: s{below}}}]}}}}")
        })
        .collect();
    services.push(server("s9", 1, ""));
    let services: Vec<&str> = services.iter().map(String::as_str).collect();
    let document = site(&services, &["m: {addPrefix: {prefix: /m}}"]);
    let mut site = Site::new(ENTRY);
    let mut pair = Pair::of(site.view_of(&document), Limits::default());
    assert!(pair.answer(GET).starts_with("HTTP/1.1 503 "));
    let less = document.replace("top: {middlewares: [m],", "top: {");
    pair.publish_view(site.view_of(&less));
    assert_eq!(served_with(&mut pair, GET, CLOSE).1, format!("{}/", "/m".repeat(8)));
    pair.nothing_more();
}

#[test]
fn people_see_them() {
    let fixed =
        "entryPoints: {web: {address: ':80'}}\napi: {insecure: true}\nmetrics: {prometheus: {}}";
    let document = site(
        &["top: {weighted: {services: [{name: a}]}}", &server("a", 1, "m")],
        &[&format!("m: {BREAKER}")],
    );
    let mut pair = Pair::of(Site::new(fixed).view_of(&document), Limits::default());
    let client = pair.open_at(1);
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.send(origin, BAD);
    pair.reset(client);
    let ask = |pair: &mut Pair, path: &str| {
        let client = pair.open_at(0);
        pair.send(client, format!("GET {path} HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n"));
        pair.got(client)
    };
    let shown = ask(&mut pair, "/api/http/services/a@file");
    assert!(shown.contains("\"middlewares\":[\"m@file\"]"), "{shown}");
    let shown = ask(&mut pair, "/api/http/middlewares/m@file");
    let state = "\"breakersOfServices\":{\"a@file\":{\"opened\":1,\"state\":\"open\"}}";
    assert!(shown.contains(state), "{shown}");
    assert!(shown.contains("\"usedBy\":[\"a@file\"]"), "{shown}");
    let shown = ask(&mut pair, "/metrics");
    let line = "tieline_circuit_breaker_state{middleware=\"m@file\",service=\"a@file\",state=\"open\"} 1\n";
    assert!(shown.contains(line), "{shown}");
}

#[test]
fn a_retry_does_not_pass_the_middlewares_above_it_again() {
    let document = site(
        &[
            "top: {middlewares: [m], weighted: {services: [{name: a}]}}",
            "a: {middlewares: [again], loadBalancer: \
             {servers: [{url: 'http://10.0.0.1:80'}, {url: 'http://10.0.0.2:80'}]}}",
        ],
        &[
            "m: {headers: {customRequestHeaders: {X-M: 'yes'}}}",
            "again: {retry: {attempts: 2, status: ['502']}}",
        ],
    );
    let mut pair = pair(&document);
    let client = pair.open();
    pair.send(client, GET);
    for (who, answer) in [(1, BAD), (2, CLOSE)] {
        let origin = pair.dialed();
        assert_eq!(last(&pair, origin), who);
        let sent = pair.got(origin);
        assert_eq!(sent.matches("X-M: yes\r\n").count(), 1, "{sent}");
        pair.send(origin, answer);
    }
    assert!(pair.got(client).starts_with("HTTP/1.1 200 "));
    assert_eq!((pair.count(Mark::Retried), pair.count(Mark::GuardMet)), (1, 2));
    pair.nothing_more();
}
