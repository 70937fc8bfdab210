//! Servers over TLS: who they may be, what becomes of a request when they are not.

use crate::frames::{Ear, block, data, ended, frame};
use crate::pair::{End, Pair};
use crate::secure::{Ca, Like, OK, Pem, Talker, pair, quoted, view, view_with};
use engine::base::mark::Mark;
use engine::base::time::Span;
use engine::boundary::{Report, Whom};
use engine::h2::frame::{END_HEADERS, Kind, PREFACE};
use engine::tls::{Door, Refusal};
use engine::view::View;
use std::sync::Arc;

/// What a server shows, and what it asks of its clients.
pub(crate) fn door(certificate: &Pem, options: &str) -> Arc<Door> {
    let shown = certificate.flow();
    let text =
        format!("tls:\n  stores: {{default: {{defaultCertificate: {{{shown}}}}}}}\n{options}");
    let view = view(Some("default"), &text);
    Arc::clone(&view.entries[0].secure.as_ref().expect("a door").door)
}

/// One entry point in clear text, over servers with these settings.
fn document(settings: &str) -> String {
    streaming_document(&format!("disableHTTP2: true, {settings}"))
}

/// The same, and they may choose HTTP/2.
fn streaming_document(settings: &str) -> String {
    format!(
        "http:
  routers: {{r: {{rule: 'PathPrefix(`/`)', service: s}}}}
  services:
    s: {{loadBalancer: {{serversTransport: t, servers: [{{url: 'https://10.0.0.1:443'}}]}}}}
  serversTransports:
    t: {{{settings}}}
"
    )
}

fn trusting(ca: &Ca, more: &str) -> Arc<View> {
    view(None, &document(&format!("rootCAs: [{}]{more}", quoted(&ca.pem()))))
}

#[test]
fn a_server_that_chooses_http_2_gets_streams() {
    let ca = Ca::new("ca");
    let roots = format!("rootCAs: [{}]", quoted(&ca.pem()));
    let mut pair = pair(view(None, &streaming_document(&roots)));
    let door = door(&ca.named("10.0.0.1"), "");
    let clients = [pair.open(), pair.open()];
    pair.send(clients[0], GET);
    pair.send(clients[1], GET);
    let mut server = Talker::server(&mut pair, &door);
    pair.no_dial();
    let mut ear = Ear::default();
    let heard = server.heard_bytes();
    let lines = ear.hear(heard.strip_prefix(PREFACE).expect("the preface comes first"));
    assert_eq!(lines.len(), 2, "{lines:?}");
    let head = "1 head :method=GET :scheme=https :authority=s :path=/x ";
    assert!(lines[0].starts_with(head), "{lines:?}");
    let ok = block(&[(":status", "200"), ("content-length", "2")]);
    server.say_bytes(&mut pair, &frame(Kind::Settings, 0, 0, &[]));
    for stream in [3, 1] {
        server.say_bytes(&mut pair, &frame(Kind::Headers, END_HEADERS, stream, &ok));
        server.say_bytes(&mut pair, &ended(data(stream, "hi")));
    }
    for client in clients {
        assert!(pair.got(client).ends_with("\r\n\r\nhi"));
    }
    assert_eq!((pair.count(Mark::ServerSecured), pair.count(Mark::UpstreamSessionOpened)), (1, 1));
    pair.nothing_more_of(&[server.end]);
}

#[test]
fn a_server_that_declines_http_2_gets_one_request_at_a_time() {
    let ca = Ca::new("ca");
    let roots = format!("rootCAs: [{}]", quoted(&ca.pem()));
    let mut pair = pair(view(None, &streaming_document(&roots)));
    let door = door(&ca.named("10.0.0.1"), "  options: {default: {alpnProtocols: [http/1.1]}}\n");
    let clients = [pair.open(), pair.open()];
    pair.send(
        clients[0],
        "POST /x HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    );
    pair.send(clients[1], GET);
    for client in clients {
        let mut server = Talker::server(&mut pair, &door);
        let head = server.heard();
        assert!(
            head.ends_with("\r\n\r\n2\r\nab\r\n0\r\n\r\n") || head.starts_with("GET "),
            "{head}"
        );
        server.say(&mut pair, OK);
        assert!(pair.got(client).ends_with("hi"));
    }
}

const GET: &str = "GET /x HTTP/1.1\r\nHost: s\r\n\r\n";

fn ask(pair: &mut Pair, door: &Arc<Door>) -> (End, Talker) {
    let client = pair.open();
    pair.send(client, GET);
    let server = Talker::server(pair, door);
    (client, server)
}

#[test]
fn a_request_goes_to_a_server_over_tls_and_the_connection_is_kept() {
    let ca = Ca::new("ca");
    let mut pair = pair(trusting(&ca, ""));
    let door = door(&ca.named("10.0.0.1"), "");
    let (client, mut server) = ask(&mut pair, &door);
    let head = server.heard();
    assert!(head.starts_with("GET /x HTTP/1.1\r\nHost: s\r\n"), "{head}");
    assert!(head.contains("X-Forwarded-Proto: http\r\n"), "{head}");
    server.say(&mut pair, OK);
    assert!(pair.got(client).ends_with("\r\n\r\nhi"));
    pair.send(client, GET);
    server.pump(&mut pair);
    assert!(server.heard().starts_with("GET /x "));
    server.say(&mut pair, OK);
    assert!(pair.got(client).ends_with("\r\n\r\nhi"));
    assert_eq!(pair.count(Mark::ServerSecured), 1);
    pair.nothing_more_of(&[server.end]);
}

#[track_caller]
fn refused(view: Arc<View>, door: &Arc<Door>, expected: Refusal) {
    let mut pair = pair(view);
    let (client, mut server) = ask(&mut pair, door);
    assert!(pair.got(client).starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
    assert_eq!(server.heard(), "", "nothing was forwarded");
    let told = pair.reports.iter().map(|report| match report {
        Report::Refused { whom: Whom::Server(_), refusal, .. } => Some(*refusal),
        Report::Refused { .. }
        | Report::Failed { .. }
        | Report::Recovered { .. }
        | Report::Ledger { .. } => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [Some(expected)]);
    pair.nothing_more_of(&[server.end]);
}

#[test]
fn servers_that_are_not_who_they_must_be_get_nothing() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let good = ca.named("10.0.0.1");
    let years = |from, to| Like { names: &["10.0.0.1"], uri: None, years: Some((from, to)) };
    let plain = || trusting(&ca, "");
    refused(plain(), &door(&other.named("10.0.0.1"), ""), Refusal::UnknownCa);
    refused(plain(), &door(&ca.named("10.0.0.2"), ""), Refusal::WrongName);
    refused(plain(), &door(&ca.sign(years(2020, 2021)), ""), Refusal::Expired);
    refused(plain(), &door(&ca.sign(years(2038, 2039)), ""), Refusal::NotYetValid);
    let uri = trusting(&ca, ", peerCertURI: 'spiffe://x/a'");
    refused(uri, &door(&good, ""), Refusal::Identity);
    let skipped = trusting(&ca, ", peerCertURI: 'spiffe://x/a', insecureSkipVerify: true");
    refused(skipped, &door(&good, ""), Refusal::Identity);
    let named = trusting(&ca, ", serverName: a.example");
    refused(named, &door(&good, ""), Refusal::WrongName);
    let new = "  options: {default: {minVersion: VersionTLS13}}\n";
    let old = trusting(&ca, ", maxVersion: VersionTLS12");
    refused(old, &door(&good, new), Refusal::AlertVersion);
}

#[track_caller]
fn accepted(view: Arc<View>, door: &Arc<Door>) {
    let mut pair = pair(view);
    let (client, mut server) = ask(&mut pair, door);
    assert!(server.heard().starts_with("GET /x "), "{:?}", pair.reports);
    server.say(&mut pair, OK);
    assert!(pair.got(client).ends_with("hi"));
}

#[test]
fn servers_that_are_who_they_must_be_get_the_request() {
    let ca = Ca::new("ca");
    let svid = ca.sign(Like { names: &[], uri: Some("spiffe://x/a"), years: None });
    let skipping = "peerCertURI: 'spiffe://x/a', insecureSkipVerify: true";
    accepted(trusting(&ca, &format!(", {skipping}")), &door(&svid, ""));
    let one_of = ", insecureSkipVerify: true, peerCertSANs: \
        [{type: DNSName, value: z}, {type: URI, value: 'spiffe://x/a'}]";
    accepted(trusting(&ca, one_of), &door(&svid, ""));
    let other = Ca::new("other");
    let anybody = view(None, &document("insecureSkipVerify: true"));
    accepted(anybody, &door(&other.named("nobody"), ""));
    let demanding =
        format!("  options: {{default: {{clientAuth: {{caFiles: [{}]}}}}}}\n", quoted(&ca.pem()));
    let mine = ca.named("me");
    let shown = format!(", certificates: [{{{}}}]", mine.flow());
    accepted(trusting(&ca, &shown), &door(&ca.named("10.0.0.1"), &demanding));
}

#[test]
fn a_server_that_demands_a_certificate_gets_nothing_without_one() {
    let ca = Ca::new("ca");
    let demanding = format!(
        "  options: {{default: {{clientAuth: {{caFiles: [{}]}}, maxVersion: VersionTLS12}}}}\n",
        quoted(&ca.pem())
    );
    let door = door(&ca.named("10.0.0.1"), &demanding);
    refused(trusting(&ca, ""), &door, Refusal::AlertNoCertificate);
}

#[test]
fn a_handshake_that_hangs_or_breaks_is_given_up() {
    let ca = Ca::new("ca");
    let mut pair = pair(trusting(&ca, ""));
    let client = pair.open();
    pair.send(client, GET);
    let silent = pair.dialed();
    pair.pass(Span::secs(11));
    assert!(pair.got(client).starts_with("HTTP/1.1 504 "));
    assert_eq!(pair.count(Mark::HandshakeTimedOut), 1);
    pair.got(silent);
    pair.send(client, GET);
    let gone = pair.dialed();
    pair.fin(gone);
    assert!(pair.got(client).starts_with("HTTP/1.1 502 "));
    pair.send(client, GET);
    let garbled = pair.dialed();
    pair.send(garbled, "HTTP/1.1 400 Bad Request\r\n\r\n");
    assert!(pair.got(client).starts_with("HTTP/1.1 502 "));
    assert_eq!(pair.count(Mark::HandshakeRefused), 3);
    pair.nothing_more_of(&[silent, gone, garbled]);
}

#[test]
fn a_body_without_a_length_is_whole_only_with_a_notice() {
    let ca = Ca::new("ca");
    let door = door(&ca.named("10.0.0.1"), "");
    for (notice, ended) in [(true, ""), (false, "shut")] {
        let mut pair = pair(trusting(&ca, ""));
        let (client, mut server) = ask(&mut pair, &door);
        server.say(&mut pair, "HTTP/1.1 200 OK\r\n\r\nhalf");
        if notice {
            server.close(&mut pair);
        }
        pair.fin(server.end);
        assert!(pair.got(client).contains("half"));
        assert_eq!(pair.ended(client), ended, "{notice}");
        assert_eq!(pair.count(Mark::TlsCut), u64::from(!notice));
    }
}

/// A whole record that nobody sealed.
pub(crate) const BROKEN: &[u8] = b"\x17\x03\x03\x00\x20not what was agreed on, at all..";

/// In one read: what is said, sealed, and behind it a record that is broken.
fn say_and_break(talker: &mut Talker, pair: &mut Pair, said: &[u8]) {
    let mut out = Vec::new();
    if !said.is_empty() {
        assert_eq!(talker.session.seal(std::iter::once(said)), said.len());
        talker.session.write_to(&mut out).expect("a vector takes every byte");
    }
    out.extend_from_slice(BROKEN);
    pair.send(talker.end, &out);
}

#[test]
fn an_answer_that_was_whole_before_a_broken_record_counts() {
    let ca = Ca::new("ca");
    let door = door(&ca.named("10.0.0.1"), "");
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
    let endless = "HTTP/1.1 200 OK\r\n\r\nhalf";
    let rows = [
        (OK, "HTTP/1.1 200 ", "hi", ""),
        (chunks, "HTTP/1.1 200 ", "2\r\nhi\r\n0\r\n\r\n", ""),
        (half, "", "", "shut"),
        (endless, "", "", "shut"),
        ("HTTP/1.1 200 O", "HTTP/1.1 502 ", "Bad Gateway", ""),
        ("", "HTTP/1.1 502 ", "Bad Gateway", ""),
    ];
    for (said, begins, ends, ended) in rows {
        let mut pair = pair(trusting(&ca, ""));
        let (client, mut server) = ask(&mut pair, &door);
        say_and_break(&mut server, &mut pair, said.as_bytes());
        let got = pair.got(client);
        assert!(got.starts_with(begins) && got.ends_with(ends), "{said:?}: {got:?}");
        assert_eq!(pair.ended(client), ended, "{said:?}");
        let heard = u64::from(!said.is_empty());
        assert_eq!((pair.count(Mark::TlsBroken), pair.count(Mark::HeardBeforeBreak)), (1, heard));
        assert_ne!(pair.ended(server.end), "", "nothing goes over it any more");
        if ended.is_empty() {
            pair.send(client, GET);
            let mut next = Talker::server(&mut pair, &door);
            next.say(&mut pair, OK);
            assert!(pair.got(client).ends_with("hi"), "{said:?}");
            pair.nothing_more_of(&[server.end, next.end]);
        }
    }
}

#[test]
fn streams_that_were_answered_before_a_broken_record_are_served() {
    let ca = Ca::new("ca");
    let roots = format!("rootCAs: [{}]", quoted(&ca.pem()));
    let mut pair = pair(view(None, &streaming_document(&roots)));
    let door = door(&ca.named("10.0.0.1"), "");
    let clients = [pair.open(), pair.open(), pair.open()];
    // The first is not done with its request when it is answered.
    pair.send(clients[0], "POST /x HTTP/1.1\r\nHost: s\r\nContent-Length: 5\r\n\r\nab");
    pair.send(clients[1], GET);
    pair.send(clients[2], GET);
    let mut server = Talker::server(&mut pair, &door);
    let ok = block(&[(":status", "200"), ("content-length", "2")]);
    let mut said = frame(Kind::Settings, 0, 0, &[]);
    for stream in [1, 3, 5] {
        said.extend(frame(Kind::Headers, END_HEADERS, stream, &ok));
        said.extend(if stream == 5 { data(stream, "h") } else { ended(data(stream, "hi")) });
    }
    say_and_break(&mut server, &mut pair, &said);
    let answers = clients.map(|client| pair.got(client));
    let whole = |got: &&String| {
        got.starts_with("HTTP/1.1 200 ") && got.ends_with("\r\n\r\nhi") || got.contains(" 502 ")
    };
    assert_eq!(answers.iter().filter(whole).count(), 3, "{answers:?}");
    assert!(answers[0].contains(" 200 "), "{answers:?}");
    assert_eq!(answers.iter().filter(|got| got.contains(" 502 ")).count(), 1, "{answers:?}");
    assert_eq!((pair.count(Mark::TlsBroken), pair.count(Mark::HeardBeforeBreak)), (1, 1));
    pair.send(clients[1], GET);
    let next = Talker::server(&mut pair, &door);
    assert_ne!(pair.ended(server.end), "");
    pair.nothing_more_of(&[server.end, next.end]);
}

#[test]
fn a_transport_that_cannot_be_honoured_serves_nobody_and_says_why() {
    let missing = document("rootCAs: [/nowhere/ca.pem]");
    let (view, problems) = view_with(None, &missing);
    let expected = "http.serversTransports.t: /nowhere/ca.pem: it was not read yet";
    assert!(problems.iter().any(|it| it.to_string().contains(expected)), "{problems:?}");
    let mut pair = pair(view);
    let client = pair.open();
    pair.send(client, GET);
    pair.no_dial();
    assert!(pair.got(client).starts_with("HTTP/1.1 503 "));
}

#[test]
fn a_server_whose_handshake_failed_is_dialed_anew() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let roots = format!("rootCAs: [{}]", quoted(&ca.pem()));
    let mut pair = pair(view(None, &streaming_document(&roots)));
    let first = pair.open();
    pair.send(first, GET);
    Talker::server(&mut pair, &door(&other.named("10.0.0.1"), ""));
    assert!(pair.got(first).starts_with("HTTP/1.1 502 "));
    let second = pair.open();
    pair.send(second, GET);
    let mut server = Talker::server(&mut pair, &door(&ca.named("10.0.0.1"), ""));
    let heard = server.heard_bytes();
    assert!(heard.starts_with(PREFACE), "{heard:?}");
    pair.reset(second);
}
