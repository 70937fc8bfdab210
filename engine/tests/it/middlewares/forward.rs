//! Another server decides who may pass.

use super::{ENTRY, OK, Site, pair};
use crate::pair::{Dial, End, Pair};
use engine::base::limits::Limits;
use engine::base::mark::Mark;
use engine::base::time::Span;

use crate::frames::{Ear, data, ended, hello, request};

const TRUSTING: &str = "entryPoints: {web: {address: ':80', forwardedHeaders: {insecure: true}}}";

fn guard(more: &str) -> String {
    format!("a: {{forwardAuth: {{address: 'http://10.0.0.9/verify?by=us'{more}}}}}")
}

/// A client asks; what the judge is asked, and both.
fn ask(pair: &mut Pair, request: &str) -> (End, End, String) {
    let client = pair.open();
    pair.send(client, request);
    let judge = pair.dialed();
    assert_eq!(pair.address(judge).to_string(), "10.0.0.9:80");
    let question = pair.got(judge);
    (client, judge, question)
}

fn get(fields: &str) -> String {
    format!("GET /a?b=1 HTTP/1.1\r\nHost: shop:8080\r\n{fields}\r\n")
}

#[test]
fn a_request_passes_with_what_the_judge_says() {
    let mut pair =
        pair(&guard(", authResponseHeaders: [X-User], authResponseHeadersRegex: '^X-Role-'"));
    let request = get("X-User: root\r\nx_user: root\r\nx-role-a: boss\r\nX-Plain: 1\r\n");
    let (client, judge, question) = ask(&mut pair, &request);
    assert_eq!(
        question,
        "GET /verify?by=us HTTP/1.1\r\nHost: 10.0.0.9\r\nX-User: root\r\nx_user: root\r\n\
         x-role-a: boss\r\nX-Plain: 1\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Proto: http\r\n\
         X-Forwarded-Port: 8080\r\nX-Forwarded-Host: shop:8080\r\nX-Forwarded-Uri: /a?b=1\r\n\
         X-Forwarded-For: 192.0.2.7\r\n\r\n"
    );
    assert_eq!(pair.got(client), "");
    let told = "X-User: al\r\nX-Role-A: clerk\r\nX-Other: 1\r\nContent-Length: 2\r\n";
    pair.send(judge, format!("HTTP/1.1 200 OK\r\n{told}\r\nok"));
    let origin = pair.dialed();
    assert_eq!(pair.address(origin).to_string(), "10.0.0.1:80");
    let sent = pair.got(origin);
    assert!(sent.contains("X-User: al\r\n") && sent.contains("X-Role-A: clerk\r\n"), "{sent}");
    assert!(sent.contains("X-Plain: 1\r\n") && !sent.contains("X-Other"), "{sent}");
    for forged in ["root", "boss"] {
        assert!(!sent.contains(forged), "{sent}");
    }
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    // Both connections are kept, and the judge is asked anew.
    pair.send(client, get(""));
    assert!(pair.got(judge).starts_with("GET /verify?by=us "));
    pair.send(judge, OK);
    assert!(!pair.got(origin).contains("X-User"), "an answer without the field grants none");
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    assert_eq!(pair.count(Mark::Consulted), 2);
    pair.no_dial();
    pair.nothing_more();
}

#[test]
fn a_refusal_is_answered_as_the_judge_does() {
    let mut pair = pair(&guard(""));
    let (client, judge, _) = ask(&mut pair, &get(""));
    let told = "WWW-Authenticate: Basic\r\nConnection: X-Hop\r\nX-Hop: 1\r\nLocation: /login\r\n";
    pair.send(judge, format!("HTTP/1.1 403 Forbidden\r\n{told}Content-Length: 4\r\n\r\nno!\n"));
    assert_eq!(
        pair.own(client),
        "HTTP/1.1 403 Forbidden\r\nWWW-Authenticate: Basic\r\n\
         Location: http://10.0.0.9/login\r\nContent-Length: 4\r\n\r\nno!\n"
    );
    pair.no_dial();
    assert_eq!(pair.count(Mark::ConsultRefused), 1);
    pair.nothing_more();
}

#[test]
fn a_location_is_kept_and_a_place_to_sign_in_is_named_as_configured() {
    let mut kept = pair(&guard(", preserveLocationHeader: true"));
    let (client, judge, _) = ask(&mut kept, &get(""));
    kept.send(judge, "HTTP/1.1 302 Found\r\nLocation: /in?x\r\nContent-Length: 0\r\n\r\n");
    assert!(kept.own(client).contains("302 Found\r\nLocation: /in?x\r\n"));
    let mut signs = pair(&guard(", authSigninURL: 'https://sso/in'"));
    let (client, judge, _) = ask(&mut signs, &get(""));
    signs.send(judge, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    assert!(signs.own(client).starts_with("HTTP/1.1 302 Found\r\nLocation: https://sso/in\r\n"));
    signs.nothing_more();
}

const REFUSED: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";

#[test]
fn nobody_passes_while_the_judge_is_away() {
    let mut pair = pair(&guard(""));
    pair.dial = Dial::Refuse;
    let client = pair.open();
    pair.send(client, get(""));
    assert_eq!(pair.own(client), REFUSED);
    pair.dialed();
    pair.dial = Dial::Accept;
    for answer in ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "nonsense\r\n\r\n"] {
        let (client, judge, _) = ask(&mut pair, &get(""));
        pair.send(judge, answer);
        pair.reset(judge);
        assert_eq!(pair.own(client), REFUSED, "{answer:?}");
        pair.no_dial();
    }
    assert_eq!(pair.count(Mark::ConsultFailed), 4);
    pair.nothing_more();
}

#[test]
fn a_judge_that_says_nothing_is_given_half_a_minute() {
    for dial in [Dial::Accept, Dial::Hang] {
        let mut pair = pair(&guard(""));
        pair.dial = dial;
        let client = pair.open();
        pair.send(client, get(""));
        pair.pass(Span::millis(29_999));
        assert_eq!(pair.got(client), "", "{dial:?}");
        pair.pass(Span::millis(2));
        assert_eq!(pair.own(client), REFUSED, "{dial:?}");
        let judge = pair.dialed();
        assert_ne!(pair.ended(judge), "", "{dial:?}");
        pair.nothing_more();
    }
}

#[test]
fn a_judge_that_is_known_by_name_is_waited_for_and_its_absence_refuses() {
    let mut site = Site::new(ENTRY);
    let view = site.view("a: {forwardAuth: {address: 'http://judge:9000'}}");
    let mut pair = Pair::of(view, Limits::default());
    let client = pair.open();
    pair.send(client, get(""));
    assert_eq!(pair.own(client), REFUSED);
    site.resolve("judge", "10.0.0.8");
    let view = site.again();
    pair.publish_view(view);
    pair.send(client, get(""));
    let judge = pair.dialed();
    assert_eq!(pair.address(judge).to_string(), "10.0.0.8:9000");
    assert!(pair.got(judge).starts_with("GET / HTTP/1.1\r\nHost: judge:9000\r\n"));
    pair.nothing_more();
}

#[test]
fn a_client_that_leaves_takes_its_question_along() {
    let mut pair = pair(&guard(""));
    let (client, judge, _) = ask(&mut pair, &get(""));
    pair.reset(client);
    assert_eq!(pair.ended(judge), "aborted");
    pair.no_dial();
    pair.nothing_more();
}

#[test]
fn the_body_goes_along_if_it_is_wanted_and_to_the_server_in_any_case() {
    for (expect, told) in [("", ""), ("Expect: 100-continue\r\n", "HTTP/1.1 100 Continue\r\n\r\n")]
    {
        let mut pair = pair(&guard(", forwardBody: true, preserveRequestMethod: true"));
        let client = pair.open();
        pair.send(
            client,
            format!("POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 10\r\n{expect}\r\nhello"),
        );
        pair.no_dial();
        assert_eq!(pair.got(client), told);
        pair.send(client, "world");
        let judge = pair.dialed();
        let question = pair.got(judge);
        assert!(question.starts_with("POST /verify"), "{question}");
        assert!(question.ends_with("Content-Length: 10\r\n\r\nhelloworld"), "{question}");
        pair.send(judge, OK);
        let origin = pair.dialed();
        assert!(pair.got(origin).ends_with("\r\n\r\nhelloworld"));
        pair.send(origin, OK);
        assert_eq!(pair.got(client), OK);
        pair.nothing_more();
    }
}

#[test]
fn a_chunked_body_goes_along_whole() {
    let mut pair = pair(&guard(", forwardBody: true"));
    let client = pair.open();
    pair.send(
        client,
        "POST / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    );
    pair.send(client, "2\r\nde\r\n0\r\n\r\n");
    let judge = pair.dialed();
    let question = pair.got(judge);
    assert!(question.starts_with("GET /verify"), "{question}");
    assert!(question.ends_with("Content-Length: 5\r\n\r\nabcde"), "{question}");
    pair.send(judge, OK);
    let origin = pair.dialed();
    let sent = pair.got(origin);
    assert!(sent.contains("Transfer-Encoding: chunked\r\n"), "{sent}");
    assert!(sent.ends_with("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), "{sent}");
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.nothing_more();
}

#[test]
fn a_body_over_the_limit_is_refused_before_anybody_is_asked() {
    let mut pair = pair(&guard(", forwardBody: true, maxBodySize: 4"));
    let chunked = "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n";
    for body in ["Content-Length: 5\r\n\r\nabcde", chunked] {
        let client = pair.open();
        pair.send(client, format!("POST / HTTP/1.1\r\nHost: s\r\n{body}"));
        let answer = pair.own(client);
        assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n"));
        pair.no_dial();
    }
    pair.nothing_more();
}

#[test]
fn an_answer_over_the_limit_is_a_refusal() {
    let mut pair = pair(&guard(", maxResponseBodySize: 3"));
    let (client, judge, _) = ask(&mut pair, &get(""));
    pair.send(judge, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlong");
    assert_eq!(pair.own(client), "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    pair.no_dial();
    pair.nothing_more();
}

#[test]
fn only_listed_fields_are_handed_on() {
    let mut pair = pair(&guard(", authRequestHeaders: [cookie]"));
    let request = get("Cookie: a=1\r\nAuthorization: Bearer x\r\nX-Forwarded-User: x\r\n");
    let (_, _, question) = ask(&mut pair, &request);
    assert!(question.contains("Cookie: a=1\r\n"), "{question}");
    assert!(!question.contains("Authorization") && !question.contains("User"), "{question}");
    assert!(question.contains("X-Forwarded-Uri: /a?b=1\r\n"), "{question}");
}

#[test]
fn a_trusted_peer_is_repeated_only_where_the_step_says_so() {
    let claims = "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Uri: /claimed\r\n\
                  X-Forwarded-Proto: https\r\nX-Forwarded-Method: PUT\r\n";
    for (entry, trust, whence) in [
        (TRUSTING, "true", "9.9.9.9, 192.0.2.7"),
        (TRUSTING, "false", "192.0.2.7"),
        (ENTRY, "true", "192.0.2.7"),
    ] {
        let view = Site::new(entry).view(&guard(&format!(", trustForwardHeader: {trust}")));
        let mut pair = Pair::of(view, Limits::default());
        let (_, _, question) = ask(&mut pair, &get(claims));
        assert!(question.contains(&format!("X-Forwarded-For: {whence}\r\n")), "{question}");
        let believed = whence.starts_with('9');
        assert_eq!(question.contains("X-Forwarded-Uri: /claimed\r\n"), believed, "{question}");
        assert_eq!(question.contains("X-Forwarded-Method: PUT\r\n"), believed, "{question}");
        assert_eq!(question.contains("X-Forwarded-Proto: https\r\n"), believed, "{question}");
        assert_eq!(question.matches("X-Forwarded-Uri").count(), 1, "{question}");
    }
}

#[test]
fn cookies_of_the_judge_replace_those_of_the_server() {
    let mut pair = pair(&guard(", addAuthCookiesToResponse: [sid]"));
    let (client, judge, _) = ask(&mut pair, &get(""));
    let cookies = "Set-Cookie: sid=new; Path=/\r\nSet-Cookie: other=1\r\n";
    pair.send(judge, format!("HTTP/1.1 204 No Content\r\n{cookies}\r\n"));
    let origin = pair.dialed();
    let cookies = "Set-Cookie: sid=old\r\nSet-Cookie: cart=1\r\n";
    pair.send(origin, format!("HTTP/1.1 200 OK\r\n{cookies}Content-Length: 0\r\n\r\n"));
    let got = pair.got(client);
    assert!(got.contains("Set-Cookie: cart=1\r\n"), "{got}");
    assert!(got.contains("Set-Cookie: sid=new; Path=/\r\n"), "{got}");
    assert!(!got.contains("old") && !got.contains("other"), "{got}");
    pair.nothing_more();
}

#[test]
fn steps_behind_see_what_was_granted_and_steps_before_are_seen_by_the_judge() {
    let mut pair = pair(
        "a: {headers: {customRequestHeaders: {X-Before: one, X-User: mine}}}\n\
         b: {stripPrefix: {prefixes: [/a]}}\n\
         c: {forwardAuth: {address: 'http://10.0.0.9', authResponseHeaders: [X-User, X-Gone]}}\n\
         d: {inFlightReq: {amount: 1, sourceCriterion: {requestHeaderName: X-User}}}\n\
         e: {headers: {customRequestHeaders: {X-Gone: ''}}}",
    );
    let (client, judge, question) = ask(&mut pair, &get(""));
    assert!(question.contains("X-Before: one\r\nX-User: mine\r\n"), "{question}");
    assert!(question.contains("X-Forwarded-Uri: /?b=1\r\n"), "{question}");
    assert!(question.contains("X-Forwarded-Prefix: /a\r\n"), "{question}");
    let told = "HTTP/1.1 200 OK\r\nX-User: al\r\nX-Gone: 1\r\nContent-Length: 0\r\n\r\n";
    pair.send(judge, told);
    let origin = pair.dialed();
    let sent = pair.got(origin);
    assert!(sent.contains("X-User: al\r\n") && !sent.contains("mine"), "{sent}");
    assert!(sent.contains("X-Before: one\r\n") && !sent.contains("X-Gone"), "{sent}");
    let second = pair.open();
    pair.send(second, get(""));
    pair.send(judge, told);
    assert!(pair.own(second).starts_with("HTTP/1.1 429 "), "one request of al is under way");
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.nothing_more();
}

#[test]
fn a_judge_is_told_only_what_is_to_be_told_of_what_steps_before_say() {
    let mut pair = pair(
        "a: {headers: {customRequestHeaders: {X-Before: one, X-Other: two}}}\n\
         b: {forwardAuth: {address: 'http://10.0.0.9', authRequestHeaders: [X-Before, X-Mine]}}",
    );
    let (client, judge, question) = ask(&mut pair, &get("X-Mine: 1\r\nX-Yours: 1\r\n"));
    assert!(question.contains("X-Before: one\r\n") && question.contains("X-Mine: 1\r\n"));
    for kept in ["X-Other", "X-Yours"] {
        assert!(!question.contains(kept), "{question}");
    }
    pair.send(judge, OK);
    let origin = pair.dialed();
    assert!(pair.got(origin).contains("X-Other: two\r\n"));
    pair.send(origin, OK);
    assert_eq!(pair.got(client), OK);
    pair.nothing_more();
}

#[test]
fn a_judge_with_too_few_connections_makes_requests_wait_and_then_refuses() {
    let limits = Limits { conns_per_target: 1, ..Limits::default() };
    let mut pair = Pair::of(Site::new(ENTRY).view(&guard("")), limits);
    let (first, judge, _) = ask(&mut pair, &get(""));
    let (second, third) = (pair.open(), pair.open());
    pair.send(second, get(""));
    pair.pass(Span::secs(1));
    pair.send(third, get(""));
    pair.no_dial();
    pair.send(judge, OK);
    let origin = pair.dialed();
    pair.send(origin, OK);
    assert_eq!(pair.got(first), OK);
    pair.pass(Span::secs(29));
    assert_eq!(pair.own(second), REFUSED);
    // The connection that gave no answer is closed, and the third begins anew.
    pair.dialed();
    pair.pass(Span::secs(1));
    assert_eq!(pair.own(third), REFUSED);
    pair.nothing_more();
}

#[test]
fn a_stream_is_held_alone_and_its_body_goes_along() {
    let mut pair = pair(&guard(", forwardBody: true, authResponseHeaders: [X-User]"));
    let client = pair.open();
    let mut ear = Ear::default();
    pair.send(client, hello());
    pair.send(client, request(1, "POST", "/a", &[("x-user", "root")]));
    pair.send(client, request(3, "POST", "/b", &[]));
    pair.send(client, ended(data(3, "two")));
    let judge = pair.dialed();
    let question = pair.got(judge);
    assert!(question.contains("X-Forwarded-Uri: /b\r\n"), "{question}");
    assert!(question.ends_with("Content-Length: 3\r\n\r\ntwo"), "{question}");
    pair.send(judge, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    let heard = ear.hear(&pair.got_bytes(client));
    assert!(heard.iter().any(|line| line.starts_with("3 head :status=403")), "{heard:?}");
    pair.send(client, ended(data(1, "one")));
    assert!(pair.got(judge).ends_with("Content-Length: 3\r\n\r\none"));
    pair.send(judge, "HTTP/1.1 200 OK\r\nX-User: al\r\nContent-Length: 0\r\n\r\n");
    let origin = pair.dialed();
    let sent = pair.got(origin);
    assert!(sent.contains("X-User: al\r\n") && !sent.contains("root"), "{sent}");
    assert!(sent.ends_with("3\r\none\r\n0\r\n\r\n"), "{sent}");
    pair.send(origin, OK);
    let heard = ear.hear(&pair.got_bytes(client));
    assert!(heard.iter().any(|line| line.starts_with("1 head :status=200")), "{heard:?}");
    pair.nothing_more();
}

#[test]
fn a_body_that_was_read_before_is_measured_again() {
    let second =
        "b: {forwardAuth: {address: 'http://10.0.0.8', forwardBody: true, maxBodySize: 4}}";
    for (body, passes) in [("abcd", true), ("abcde", false)] {
        let mut pair = pair(&format!("{}\n{second}", guard(", forwardBody: true")));
        let client = pair.open();
        let length = body.len();
        pair.send(
            client,
            format!("POST / HTTP/1.1\r\nHost: s\r\nContent-Length: {length}\r\n\r\n{body}"),
        );
        let judge = pair.dialed();
        assert!(pair.got(judge).ends_with(body));
        pair.send(judge, OK);
        if passes {
            let judge = pair.dialed();
            assert_eq!(pair.address(judge).to_string(), "10.0.0.8:80");
            assert!(pair.got(judge).ends_with(&format!("Content-Length: 4\r\n\r\n{body}")));
        } else {
            assert!(pair.own(client).starts_with("HTTP/1.1 401 Unauthorized\r\n"));
            pair.no_dial();
        }
    }
}
