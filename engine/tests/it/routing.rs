//! Routers under routers, and what entry points do to a request before routers see it.

use crate::documents::Documents;
use crate::pair::Pair;
use crate::secure::{Ca, NOW, Talker, connector};
use engine::base::limits::{ControlLimits, Limits};
use engine::base::mark::Mark;
use engine::base::prng::Prng;
use engine::base::time::{Span, Time};
use engine::config;
use engine::view::View;
use engine::view::compile::Compiler;
use engine::view::stats::Stats;
use engine::worker::explain::{Ask, explain};
use std::fmt::Write as _;
use std::sync::Arc;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const SERVICES: &str =
    "  services: {s: {loadBalancer: {servers: [{url: \"http://10.0.0.1:8080\"}]}}}\n";

/// What stands under the entry point `web`, and below `http`.
#[track_caller]
fn view(entry: &str, http: &str) -> Arc<View> {
    let text = format!("entryPoints: {{web: {{address: \":80\"{entry}}}}}\naccessLog: {{}}\n");
    let (fixed, problems) = config::fixed_from_file("static.yml", &text);
    assert_eq!(problems, [], "{text}");
    let stats = Arc::new(Stats::new(1, 1, NOW));
    let limits = ControlLimits::default();
    let mut compiler = Compiler::new(Arc::new(fixed), limits, stats, &mut Prng::new(1));
    compiler.view().clock.set(NOW.seconds_at(Time::ZERO));
    compiler.set_dynamic(config::dynamic(&[("d.yml", http)]).dynamic);
    let build = compiler.build().expect("a first view");
    compiler.check();
    Arc::new(build.view)
}

fn pair(entry: &str, http: &str) -> Pair {
    Pair::of(view(entry, http), Limits::default())
}

fn all(entry: &str) -> Pair {
    pair(
        entry,
        &format!("http:\n  routers: {{r: {{rule: PathPrefix(`/`), service: s}}}}\n{SERVICES}"),
    )
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n")
}

/// What the server was sent.
#[track_caller]
fn sent(pair: &mut Pair, request: &str) -> String {
    let client = pair.open();
    pair.send(client, request);
    let origin = pair.try_dialed().unwrap_or_else(|| pair.last_dialed());
    let sent = pair.got(origin);
    pair.send(origin, OK);
    assert!(pair.got(client).starts_with("HTTP/1.1 200 OK\r\n"));
    sent
}

/// The lines of the access log.
fn logged(pair: &mut Pair) -> String {
    pair.pass(Span::secs(1));
    pair.log.clone()
}

const LAYERED: &str = "http:
  routers:
    p: {rule: PathPrefix(`/shop`), middlewares: [kind, strip]}
    a: {rule: 'Header(`X-Kind`, `a`) && Path(`/x`)', parentRefs: [p], service: s, middlewares: [v1]}
    b: {rule: Path(`/broken`), parentRefs: [p], service: s, middlewares: [none]}
    c: {rule: Path(`/deep/x`), parentRefs: [p]}
    d: {rule: Host(`a.test`), parentRefs: [c], service: s}
  middlewares:
    kind: {headers: {customRequestHeaders: {X-Kind: a}}}
    strip: {stripPrefix: {prefixes: [/shop]}}
    v1: {addPrefix: {prefix: /v1}}
  services: {s: {loadBalancer: {servers: [{url: \"http://10.0.0.1:8080\"}]}}}
";

#[test]
fn a_router_under_another_sees_what_the_middlewares_above_made() {
    let mut pair = pair("", LAYERED);
    let got = sent(&mut pair, &get("/shop/x?q=1", "X-Kind: b\r\n"));
    assert!(got.starts_with("GET /v1/x?q=1 HTTP/1.1\r\n"), "{got}");
    assert!(got.contains("X-Kind: a\r\n") && !got.contains("X-Kind: b"), "{got}");
    assert_eq!(pair.count(Mark::LayerPassed), 1);
    assert!(logged(&mut pair).contains("\"p@file -> a@file\""), "{}", pair.log);
    let got = sent(&mut pair, &get("/shop/deep/x", ""));
    assert!(got.starts_with("GET /deep/x HTTP/1.1\r\n"), "{got}");
    assert!(logged(&mut pair).contains("\"p@file -> c@file -> d@file\""), "{}", pair.log);
}

#[test]
fn what_is_told_of_layers_is_what_becomes_of_requests() {
    let view = view("", LAYERED);
    let told = |path: &str| {
        let ask = Ask::read(&format!("http://a.test{path}")).expect("a request");
        explain(&view, Time::ZERO, &ask).expect("it can be explained")
    };
    let found = told("/shop/deep/x");
    assert_eq!(found["router"], "p@file -> c@file -> d@file");
    assert_eq!(found["layers"][1]["under"], "p@file -> c@file");
    assert_eq!(found["answer"]["url"], "http://10.0.0.1:8080", "{found}");
    assert_eq!(told("/shop/broken")["answer"]["status"], 503);
    assert_eq!(told("/shop/nothing")["answer"]["status"], 404);
    assert_eq!(told("/other")["answer"]["status"], 404);
}

#[test]
fn whom_nobody_below_takes_is_not_found_and_who_is_broken_answers_in_place() {
    let mut pair = pair("", LAYERED);
    let got = pair.answer(&get("/shop/nothing", ""));
    assert!(got.starts_with("HTTP/1.1 404 "), "{got}");
    let got = pair.answer(&get("/shop/broken", ""));
    assert!(got.starts_with("HTTP/1.1 503 "), "{got}");
    assert!(got.ends_with("router p@file -> b@file is broken\n"), "{got}");
    pair.no_dial();
}

#[test]
fn a_broken_parent_answers_for_all_under_it() {
    let broken = LAYERED.replace("middlewares: [kind, strip]", "middlewares: [lost]");
    let mut pair = pair("", &broken);
    for path in ["/shop/x", "/shop/nothing"] {
        let got = pair.answer(&get(path, ""));
        assert!(got.starts_with("HTTP/1.1 503 "), "{path}: {got}");
    }
    pair.no_dial();
}

#[test]
fn routers_under_routers_have_so_many_ways_and_no_more() {
    let parents: Vec<String> = (0..260).map(|at| format!("p{at:03}")).collect();
    let all = parents.join(", ");
    let mut text = "http:\n  routers:\n".to_owned();
    for at in 0..260 {
        writeln!(text, "    p{at:03}: {{rule: 'PathPrefix(`/{at}`)'}}").expect("text");
        let rule = format!("Query(`c`, `{at}`)");
        writeln!(text, "    c{at:03}: {{rule: '{rule}', parentRefs: [{all}], service: s}}")
            .expect("text");
    }
    let view = view("", &(text + SERVICES));
    let ask = Ask::read("http://a.test/259/x?c=0").expect("a request");
    let told = explain(&view, Time::ZERO, &ask).expect("it can be explained").to_string();
    assert!(told.contains("there are too many ways through routers under routers"), "{told}");
    let mut pair = Pair::of(view, Limits::default());
    sent(&mut pair, &get("/0/x?c=259", ""));
    let got = pair.answer(&get("/259/x?c=0", ""));
    assert!(got.starts_with("HTTP/1.1 503 "), "{got}");
    assert!(got.ends_with("router p259@file is broken\n"), "{got}");
    pair.no_dial();
}

#[test]
fn names_that_servers_take_for_others_stay_go_or_are_refused() {
    let fields = "X_User: eve\r\nX.User: eve\r\nX-User: al\r\n";
    for (strategy, gone) in [
        ("", vec![]),
        (", http: {underscoreHeadersStrategy: delete}", vec!["X_User"]),
        (", http: {aliasHeadersStrategy: delete}", vec!["X_User", "X.User"]),
    ] {
        let got = sent(&mut all(strategy), &get("/", fields));
        for name in ["X_User", "X.User", "X-User"] {
            assert_eq!(got.contains(name), !gone.contains(&name), "{strategy} {name}: {got}");
        }
    }
    let mut pair = all(", http: {underscoreHeadersStrategy: reject}");
    assert!(pair.answer(&get("/", fields)).starts_with("HTTP/1.1 400 "));
    pair.no_dial();
}

#[test]
fn what_a_router_does_not_want_logged_is_not() {
    let routers = "http:
  routers:
    quiet: {rule: Path(`/quiet`), service: s, observability: {accessLogs: false}}
    loud: {rule: Path(`/loud`), service: s, observability: {accessLogs: true}}
    usual: {rule: Path(`/usual`), service: s}
";
    for (entry, expected) in [
        ("", ["/loud", "/usual", "/nowhere"].as_slice()),
        (", observability: {accessLogs: false}", ["/loud"].as_slice()),
    ] {
        let mut pair = pair(entry, &format!("{routers}{SERVICES}"));
        for path in ["/quiet", "/loud", "/usual"] {
            sent(&mut pair, &get(path, ""));
        }
        pair.answer(&get("/nowhere", ""));
        let log = logged(&mut pair);
        let paths = log.lines().filter_map(|line| line.split(' ').nth(6));
        assert_eq!(paths.collect::<Vec<_>>(), expected, "{entry}");
    }
}

const TRUSTING: &str = ", proxyProtocol: {trustedIPs: [\"10.9.0.0/16\"]}";
const HEADER: &str = "PROXY TCP4 192.0.2.7 10.0.0.1 4000 80\r\n";

#[test]
fn a_trusted_balancer_says_who_a_connection_is_from() {
    for pieces in [false, true] {
        let mut pair = all(TRUSTING);
        let client = pair.open_from([10, 9, 0, 1]);
        let all = format!("{HEADER}{}", get("/", ""));
        if pieces {
            pair.trickle(client, &all);
        } else {
            pair.send(client, &all);
        }
        let origin = pair.dialed();
        let got = pair.got(origin);
        assert!(got.contains("X-Forwarded-For: 192.0.2.7\r\n"), "{got}");
        pair.send(origin, OK);
        assert!(pair.got(client).starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(logged(&mut pair).starts_with("192.0.2.7 - - "), "{}", pair.log);
        assert_eq!(pair.count(Mark::Announced), 1);
    }
}

#[test]
fn a_trusted_balancer_may_say_nothing_and_nobody_else_may_say_anything() {
    let mut pair = all(TRUSTING);
    let client = pair.open_from([10, 9, 0, 1]);
    pair.trickle(client, get("/", ""));
    let origin = pair.dialed();
    assert!(pair.got(origin).contains("X-Forwarded-For: 10.9.0.1\r\n"));
    let stranger = pair.open_from([10, 8, 0, 1]);
    pair.send(stranger, format!("{HEADER}{}", get("/", "")));
    assert!(pair.got(stranger).starts_with("HTTP/1.1 400 "));
    assert_eq!(pair.count(Mark::Announced), 0);
}

#[test]
fn a_malformed_header_ends_the_connection() {
    let mut pair = all(TRUSTING);
    let client = pair.open_from([10, 9, 0, 1]);
    pair.send(client, format!("PROXY TCP4 192.0.2.7\r\n{}", get("/", "")));
    assert_eq!(pair.got(client), "");
    assert_ne!(pair.ended(client), "");
    assert_eq!(pair.count(Mark::AnnouncedWrongly), 1);
    pair.no_dial();
}

#[test]
fn the_header_comes_before_tls() {
    let ca = Ca::new("root");
    let pem = ca.named("a.test");
    let http = format!(
        "http:\n  routers: {{r: {{rule: PathPrefix(`/`), service: s, tls: {{}}}}}}\n{SERVICES}\
         tls: {{certificates: [{{{}}}]}}\n",
        pem.flow()
    );
    let view = view(", proxyProtocol: {insecure: true}", &http);
    let mut pair = Pair::at(view, Limits::default(), NOW);
    let connector = connector(&ca, None);
    let mut client = Talker::client_behind(&mut pair, &connector, "a.test", HEADER);
    client.say(&mut pair, &get("/", ""));
    let origin = pair.dialed();
    let got = pair.got(origin);
    assert!(got.contains("X-Forwarded-For: 192.0.2.7\r\n"), "{got}");
    assert!(got.contains("X-Forwarded-Proto: https\r\n"), "{got}");
}

#[test]
fn a_thousand_reloads_under_load_cost_no_request_and_no_connection() {
    let services = |n: u32| {
        format!(
            "    top: {{weighted: {{services: [{{name: one}}, {{name: other, weight: {}}}]}}}}\n    \
             one: {{loadBalancer: {{servers: [{{url: \"http://10.0.0.1:8080\"}}]}}}}\n    \
             other: {{loadBalancer: {{servers: [{{url: \"http://10.0.0.2:8080\"}}]}}}}\n    \
             new-{}: {{loadBalancer: {{servers: [{{url: \"http://10.0.0.{}:8080\"}}]}}}}\n",
            n % 3,
            n % 7,
            3 + n % 5
        )
    };
    let mut documents = Documents::new(&services(0));
    let mut pair = Pair::of(documents.view(), Limits::default());
    let client = pair.open();
    for n in 1..=1_000 {
        // Half of the changes come while a request is under way.
        let under_way = n % 2 == 0;
        documents.write(&services(n));
        if !under_way {
            pair.publish_view(documents.view());
        }
        pair.send(client, get("/", ""));
        if under_way {
            pair.publish_view(documents.view());
        }
        let _ = pair.try_dialed();
        let mut asked = 0;
        for origin in pair.origins() {
            if !pair.got(origin).is_empty() {
                pair.send(origin, OK);
                asked += 1;
            }
        }
        assert_eq!(asked, 1, "reload {n}");
        let got = pair.got(client);
        assert!(got.starts_with("HTTP/1.1 200 OK\r\n"), "reload {n}: {got}");
    }
    assert!(pair.is_open(client));
    assert_eq!(pair.origins().len(), 2, "one connection to each server, all the time");
}
