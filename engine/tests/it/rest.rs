//! Documents on their way through a worker.

use crate::pair::{End, Pair};
use crate::plan::Plan;
use engine::base::limits::Limits;
use engine::base::mark::Mark;
use engine::base::time::Span;
use engine::boundary::Offer;
use engine::view::status::{Judged, Status};
use engine::view::{Internal, View};
use std::sync::Arc;

fn plan() -> Plan {
    let mut plan = Plan::bare();
    let rest = plan.internal(Internal::Rest);
    plan.route("PathPrefix(`/`)", rest, &[]);
    plan
}

fn put(text: &str) -> String {
    let length = text.len();
    format!("PUT /api/providers/rest HTTP/1.1\r\nHost: s\r\nContent-Length: {length}\r\n\r\n{text}")
}

fn told(status: &str, more: &str, problems: &str) -> String {
    let body = format!("{{\"problems\":[{problems}]}}");
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}Content-Length: \
         {length}\r\n\r\n{body}"
    )
}

/// A view that says what became of a document.
fn verdict(plan: &Plan, serial: u64, accepted: bool, problems: &[&str]) -> Arc<View> {
    let problems = problems.iter().map(|it| (*it).to_owned()).collect();
    let offers = vec![Judged { serial, accepted, problems }];
    let view = plan.view();
    let view = View::clone(&view);
    let status = Arc::new(Status { offers, ..Status::default() });
    Arc::new(View { status, epoch: view.epoch + serial, ..view })
}

fn waits(pair: &mut Pair, client: End) {
    assert_eq!(pair.got(client), "", "it waits");
}

#[test]
fn a_document_is_handed_over_whole_and_its_verdict_is_the_answer() {
    let plan = plan();
    let mut pair = Pair::new(&plan);
    let client = pair.open();
    pair.trickle(client, put("{\"http\": {}}"));
    waits(&mut pair, client);
    let text = "{\"http\": {}}".to_owned();
    assert_eq!(pair.offers, [Offer { worker: 0, serial: 1, text }]);
    // Somebody else's verdict.
    pair.publish_view(verdict(&plan, 0, true, &[]));
    waits(&mut pair, client);
    pair.publish_view(verdict(&plan, 1, true, &["w"]));
    assert_eq!(pair.own(client), told("200 OK", "", "\"w\""));
    pair.send(client, put("no"));
    pair.publish_view(verdict(&plan, 2, false, &["it is none"]));
    assert_eq!(pair.own(client), told("400 Bad Request", "", "\"it is none\""));
    assert_eq!(pair.offers[1].serial, 2);
    assert_eq!(pair.count(Mark::Offered), 2);
    assert_eq!(pair.count(Mark::OfferRefused), 1);
    pair.nothing_more();
}

#[test]
fn what_is_put_elsewhere_or_not_put_is_refused() {
    let mut pair = Pair::new(&plan());
    for (request, status) in [
        ("GET /api/providers/rest", "405"),
        ("PUT /api/providers/file", "400"),
        ("GET /api/providers/file", "404"),
        ("PUT /api", "404"),
    ] {
        let answer = pair.answer(&format!("{request} HTTP/1.1\r\nHost: s\r\n\r\n"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
    }
    assert_eq!(pair.offers, []);
    pair.nothing_more();
}

#[test]
fn a_document_that_is_too_large_or_no_text_goes_nowhere() {
    let limits = Limits { document_bytes: 100, ..Limits::default() };
    let mut pair = Pair::with(&plan(), limits);
    let large = "x".repeat(101);
    let answer = pair.answer(&put(&large));
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let client = pair.open();
    pair.send(
        client,
        "PUT /api/providers/rest HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    pair.send(client, format!("65\r\n{large}\r\n0\r\n\r\n"));
    assert!(pair.own(client).starts_with("HTTP/1.1 413 "));
    let client = pair.open();
    pair.send(
        client,
        b"PUT /api/providers/rest HTTP/1.1\r\nHost: s\r\nContent-Length: 1\r\n\r\n\xff",
    );
    assert!(pair.own(client).starts_with("HTTP/1.1 400 "));
    assert_eq!(pair.offers, []);
    pair.nothing_more();
}

#[test]
fn one_document_is_judged_at_a_time_and_none_for_ever() {
    let plan = plan();
    let mut pair = Pair::new(&plan);
    let first = pair.open();
    pair.send(first, put("a"));
    let answer = pair.answer(&put("b"));
    let busy = "\"another document is being judged\"";
    assert_eq!(answer, told("503 Service Unavailable", "Retry-After: 1\r\n", busy));
    pair.pass(Span::secs(30));
    let late = "\"the document was not judged in time\"";
    assert_eq!(pair.own(first), told("503 Service Unavailable", "Retry-After: 1\r\n", late));
    // Who leaves does not keep others from it.
    let gone = pair.open();
    pair.send(gone, put("c"));
    pair.reset(gone);
    let last = pair.open();
    pair.send(last, put("d"));
    pair.publish_view(verdict(&plan, 3, true, &[]));
    assert_eq!(pair.own(last), told("200 OK", "", ""));
    assert_eq!(pair.offers.len(), 3);
    pair.nothing_more();
}
