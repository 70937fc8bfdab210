//! Sticky sessions, from documents to cookies on the wire.

use crate::documents::Documents;
use crate::pair::Pair;
use engine::base::limits::Limits;
use engine::view::status::Health;
use engine::view::{NodeKind, View};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

const TWO: &str = "
    top:
      loadBalancer:
        sticky: {cookie: {name: who, httpOnly: true}}
        healthCheck: {path: /}
        servers: [{url: \"http://10.0.0.1\"}, {url: \"http://10.0.0.2\"}]
";

/// SHA-256 of the URLs, shortened.
const ONE: &str = "c79dcf9ea837c46a";
const OTHER: &str = "939d815192497c6a";

fn pair(documents: &mut Documents) -> Pair {
    Pair::of(documents.view(), Limits::default())
}

/// Who served a request with these cookies, and the cookies that came back.
#[track_caller]
fn ask(pair: &mut Pair, cookies: &str) -> (String, Vec<String>) {
    let client = pair.open();
    let cookie = if cookies.is_empty() { String::new() } else { format!("Cookie: {cookies}\r\n") };
    pair.send(client, format!("GET / HTTP/1.1\r\nHost: s\r\nConnection: close\r\n{cookie}\r\n"));
    let origin = pair.dialed();
    let address = pair.address(origin).ip().to_string();
    assert!(pair.got(origin).contains(&cookie), "the cookie goes on to the server");
    pair.send(origin, OK.replace("200 OK\r\n", "200 OK\r\nConnection: close\r\n"));
    let got = pair.got(client);
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n") && got.ends_with("\r\n\r\nhi"), "{got}");
    let set = got.lines().filter_map(|line| line.strip_prefix("Set-Cookie: "));
    (address, set.map(str::to_owned).collect())
}

fn drawn(view: &View, service: &str) -> u64 {
    let node = view.services.iter().find(|node| &*node.name == service).expect("a service");
    let NodeKind::Balancer { turns, .. } = &node.kind else { panic!("{service} is no balancer") };
    turns.ticket.drawn()
}

#[test]
fn a_session_stays_where_its_cookie_says() {
    let mut documents = Documents::new(TWO);
    let view = documents.view();
    let mut pair = pair(&mut documents);
    let (first, set) = ask(&mut pair, "");
    assert_eq!(set, [format!("who={ONE}; Path=/; HttpOnly")]);
    assert_eq!(first, "10.0.0.1");
    for _ in 0..4 {
        assert_eq!(ask(&mut pair, &format!("a=b; who={ONE}")), ("10.0.0.1".into(), vec![]));
        assert_eq!(ask(&mut pair, &format!("who={OTHER}")), ("10.0.0.2".into(), vec![]));
    }
    assert_eq!(drawn(&view, "top@file"), 1, "a session draws no ticket");
    assert_eq!(ask(&mut pair, "").0, "10.0.0.2", "so the next turn is the other's");
    pair.nothing_more();
}

#[test]
fn a_cookie_of_an_earlier_form_is_replaced() {
    let mut pair = pair(&mut Documents::new(TWO));
    let (who, set) = ask(&mut pair, "who=http://10.0.0.2");
    assert_eq!((who.as_str(), set), ("10.0.0.2", vec![format!("who={OTHER}; Path=/; HttpOnly")]));
    pair.nothing_more();
}

#[test]
fn a_session_moves_when_its_server_is_down_and_does_not_come_back() {
    let mut documents = Documents::new(TWO);
    let mut pair = pair(&mut documents);
    documents.health("http://10.0.0.1", Health::Down);
    documents.health("http://10.0.0.2", Health::Up);
    pair.publish_view(documents.view());
    let (who, set) = ask(&mut pair, &format!("who={ONE}"));
    assert_eq!((who.as_str(), set), ("10.0.0.2", vec![format!("who={OTHER}; Path=/; HttpOnly")]));
    documents.health("http://10.0.0.1", Health::Up);
    pair.publish_view(documents.view());
    assert_eq!(ask(&mut pair, &format!("who={OTHER}")), ("10.0.0.2".into(), vec![]));
    pair.nothing_more();
}

#[test]
fn a_session_survives_a_check_that_has_not_answered_and_a_reload() {
    let mut documents = Documents::new(TWO);
    let mut pair = pair(&mut documents);
    documents.health("http://10.0.0.2", Health::Up);
    pair.publish_view(documents.view());
    assert_eq!(ask(&mut pair, "").0, "10.0.0.2", "new requests go where it is known to be well");
    assert_eq!(ask(&mut pair, &format!("who={ONE}")), ("10.0.0.1".into(), vec![]));
    let more = TWO.replace(
        "[{url: \"http://10.0.0.1\"}",
        "[{url: \"http://10.0.0.9\"}, {url: \"http://10.0.0.1\"}",
    );
    documents.write(&more);
    pair.publish_view(documents.view());
    assert_eq!(ask(&mut pair, &format!("who={ONE}")), ("10.0.0.1".into(), vec![]));
    pair.nothing_more();
}

#[test]
fn a_server_without_weight_keeps_its_sessions_and_gets_no_new_ones() {
    let draining =
        TWO.replace("{url: \"http://10.0.0.1\"}", "{url: \"http://10.0.0.1\", weight: 0}");
    let mut pair = pair(&mut Documents::new(&draining));
    for _ in 0..3 {
        assert_eq!(ask(&mut pair, "").0, "10.0.0.2");
        assert_eq!(ask(&mut pair, &format!("who={ONE}")), ("10.0.0.1".into(), vec![]));
    }
    pair.nothing_more();
}

const LEVELS: &str = "
    top:
      weighted:
        sticky: {cookie: {name: lvl1}}
        services: [{name: a}, {name: b}]
    a:
      loadBalancer:
        sticky: {cookie: {name: lvl2}}
        servers: [{url: \"http://10.0.0.1\"}, {url: \"http://10.0.0.2\"}]
    b:
      loadBalancer:
        sticky: {cookie: {name: lvl2}}
        servers: [{url: \"http://10.0.0.3\"}, {url: \"http://10.0.0.4\"}]
";

#[test]
fn each_level_has_a_cookie_of_its_own() {
    let mut pair = pair(&mut Documents::new(LEVELS));
    let (who, set) = ask(&mut pair, "");
    assert_eq!((who.as_str(), set.len()), ("10.0.0.1", 2));
    assert!(set[0].starts_with("lvl1=") && set[1].starts_with("lvl2="), "{set:?}");
    let cookies: Vec<&str> =
        set.iter().map(|line| line.split(';').next().expect("a pair")).collect();
    assert_eq!(ask(&mut pair, &cookies.join("; ")), ("10.0.0.1".into(), vec![]));
    // As the names and addresses themselves, on both levels.
    let (who, set) = ask(&mut pair, "lvl1=b; lvl2=http://10.0.0.4");
    assert_eq!((who.as_str(), set.len()), ("10.0.0.4", 2));
    // The outer level alone keeps the service and not the server.
    let (who, set) = ask(&mut pair, "lvl1=b");
    assert!(who == "10.0.0.3" && set.len() == 2, "{who} {set:?}");
    pair.nothing_more();
}

#[test]
fn a_session_begins_on_answers_of_our_own_too() {
    let mut pair = pair(&mut Documents::new(TWO));
    pair.dial = crate::pair::Dial::Refuse;
    let client = pair.open();
    pair.send(client, "GET / HTTP/1.1\r\nHost: s\r\n\r\n");
    pair.dialed();
    let got = pair.got(client);
    assert!(got.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{got}");
    assert!(got.contains(&format!("\r\nSet-Cookie: who={ONE}; Path=/; HttpOnly\r\n")), "{got}");
    pair.nothing_more();
}

#[test]
fn the_cookie_of_a_side_that_failed_is_not_sent() {
    let mut pair = pair(&mut Documents::new(
        "
    top: {failover: {service: a, fallback: b, errors: {status: 503}}}
    a: {loadBalancer: {sticky: {cookie: {name: of-a}}, servers: [{url: \"http://10.0.0.1\"}]}}
    b: {loadBalancer: {sticky: {cookie: {name: of-b}}, servers: [{url: \"http://10.0.0.2\"}]}}
        ",
    ));
    let client = pair.open();
    pair.send(client, "GET / HTTP/1.1\r\nHost: s\r\n\r\n");
    let main = pair.dialed();
    pair.send(main, "HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n");
    let fallback = pair.dialed();
    pair.send(fallback, OK);
    let got = pair.got(client);
    assert!(got.contains(&format!("\r\nSet-Cookie: of-b={OTHER}; Path=/\r\n")), "{got}");
    assert_eq!(got.matches("Set-Cookie").count(), 1, "{got}");
    pair.got(main);
    pair.got(fallback);
    pair.nothing_more();
}
