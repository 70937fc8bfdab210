//! Strategies, from documents to the servers that requests reach.

use crate::documents::Documents;
use crate::pair::{End, Pair};
use engine::base::limits::Limits;
use engine::base::time::Span;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

fn pair(strategy: &str, servers: &str) -> Pair {
    let text = format!(
        "
    top:
      loadBalancer:
        strategy: {strategy}
        servers: [{servers}]
"
    );
    Pair::of(Documents::new(&text).view(), Limits::default())
}

fn url(last: u8) -> String {
    format!("{{url: \"http://10.0.0.{last}\"}}")
}

/// Sends a request; its client, and the connection that it is on and to whom.
fn send(pair: &mut Pair, from: [u8; 4]) -> (End, End, u8) {
    let client = pair.open_from(from);
    pair.send(client, "GET / HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n");
    let origin = pair.dialed();
    let address = pair.address(origin).ip().to_string();
    let last = address.rsplit('.').next().and_then(|last| last.parse().ok());
    (client, origin, last.expect("an address"))
}

fn answer(pair: &mut Pair, client: End, origin: End) {
    pair.got(origin);
    pair.send(origin, OK.replace("200 OK\r\n", "200 OK\r\nConnection: close\r\n"));
    assert!(pair.got(client).ends_with("hi"));
}

#[test]
fn of_two_choices_the_less_busy_one_is_taken() {
    let mut pair = pair("p2c", &[url(1), url(2)].join(", "));
    let mut waiting = Vec::new();
    let mut counts = [0; 3];
    // With two servers both are always looked at, so requests that wait spread evenly.
    for _ in 0..10 {
        let (client, origin, last) = send(&mut pair, [192, 0, 2, 1]);
        counts[usize::from(last)] += 1;
        waiting.push((client, origin, last));
    }
    assert_eq!(counts, [0, 5, 5]);
    // Those of the first are answered: it is the less busy one until it has caught up.
    let (first, second): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(.., last)| *last == 1);
    for (client, origin, _) in first {
        answer(&mut pair, client, origin);
    }
    let mut more = Vec::new();
    for _ in 0..5 {
        let (client, origin, last) = send(&mut pair, [192, 0, 2, 1]);
        assert_eq!(last, 1);
        more.push((client, origin, last));
    }
    for (client, origin, _) in second.into_iter().chain(more) {
        answer(&mut pair, client, origin);
    }
    pair.nothing_more();
}

#[test]
fn a_client_stays_with_its_server_by_its_address() {
    let mut pair = pair("hrw", &[url(1), url(2), url(3)].join(", "));
    let mut seen = [0; 4];
    for host in 0..30 {
        let mut same = None;
        for _ in 0..3 {
            let (client, origin, last) = send(&mut pair, [192, 0, 2, host]);
            assert_eq!(*same.get_or_insert(last), last);
            seen[usize::from(last)] += 1;
            answer(&mut pair, client, origin);
        }
    }
    assert!(seen[1..].iter().all(|count| *count > 10), "{seen:?}");
    pair.nothing_more();
}

#[test]
fn the_quicker_server_gets_more_and_a_failing_one_little() {
    let mut pair = pair("leasttime", &[url(1), url(2)].join(", "));
    let mut counts = [0; 3];
    for round in 0..50 {
        let (client, origin, last) = send(&mut pair, [192, 0, 2, 1]);
        pair.pass(Span::millis(if last == 1 { 40 } else { 10 }));
        answer(&mut pair, client, origin);
        if round >= 2 {
            counts[usize::from(last)] += 1;
        }
    }
    assert_eq!(counts, [0, 0, 48]);
    // It fails now, and counts as slow.
    pair.refusing.push("10.0.0.2:80".parse().expect("an address"));
    let client = pair.open();
    pair.send(client, "GET / HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n");
    pair.dialed();
    assert!(pair.got(client).starts_with("HTTP/1.1 502 "));
    for _ in 0..20 {
        let (client, origin, last) = send(&mut pair, [192, 0, 2, 1]);
        assert_eq!(last, 1);
        answer(&mut pair, client, origin);
    }
    pair.nothing_more();
}

#[test]
fn services_over_services_hash_clients_too() {
    let text = "
    top: {highestRandomWeight: {services: [{name: a}, {name: b}, {name: c, weight: 0}]}}
    a: {loadBalancer: {servers: [{url: \"http://10.0.0.1\"}]}}
    b: {loadBalancer: {servers: [{url: \"http://10.0.0.2\"}]}}
    c: {loadBalancer: {servers: [{url: \"http://10.0.0.3\"}]}}
";
    let mut pair = Pair::of(Documents::new(text).view(), Limits::default());
    let mut seen = [0; 4];
    for host in 0..40 {
        let (client, origin, last) = send(&mut pair, [192, 0, 2, host]);
        answer(&mut pair, client, origin);
        let (client, origin, again) = send(&mut pair, [192, 0, 2, host]);
        answer(&mut pair, client, origin);
        assert_eq!(last, again);
        seen[usize::from(last)] += 1;
    }
    assert!(seen[1] > 5 && seen[2] > 5 && seen[3] == 0, "{seen:?}");
    pair.nothing_more();
}
