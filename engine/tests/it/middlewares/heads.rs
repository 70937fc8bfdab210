//! What only the gateway can put into heads: the kind of content, and who the client is by its
//! certificate.

use super::{ENTRY, Site, pair};
use crate::frames::{Ear, block, ended, frame, hello};
use crate::pair::Pair;
use crate::secure::{self, Ca, OK, Pem, Talker, connector, quoted};
use engine::h2::frame::{END_HEADERS, Kind};
use engine::view::View;
use rcgen::DnType;
use std::sync::Arc;

const GET: &str = "GET / HTTP/1.1\r\nHost: s\r\n\r\n";

/// The kind that the client is told of content in this answer.
#[track_caller]
fn told(middlewares: &str, request: &str, answer: &str, expected: Option<&str>) {
    let mut pair = pair(middlewares);
    let client = pair.open();
    pair.send(client, request);
    let origin = pair.dialed();
    pair.send(origin, answer);
    let got = pair.got(client);
    let mut lines = got.lines().filter_map(|line| line.strip_prefix("Content-Type: "));
    assert_eq!(lines.next(), expected, "{answer} became {got}");
    assert_eq!(lines.next(), None);
    pair.nothing_more();
}

#[test]
fn content_that_nobody_calls_anything_is_called_by_its_first_bytes() {
    let detects = "a: {contentType: {}}";
    let page = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>";
    told(detects, GET, page, Some("text/html; charset=utf-8"));
    told("a: {addPrefix: {prefix: /a}}", GET, page, None);
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n<ht\r\n3\r\nml>\r\n0\r\n\r\n";
    told(detects, GET, chunked, Some("text/html; charset=utf-8"));
    for (field, expected) in [
        ("Content-Type: a/b\r\n", Some("a/b")),
        ("Content-Encoding: gzip\r\n", None),
        ("X: y\r\n", Some("text/plain; charset=utf-8")),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{field}Content-Length: 2\r\n\r\nhi");
        told(detects, GET, &answer, expected);
    }
    told(detects, GET, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", None);
    told(detects, GET, "HTTP/1.1 304 Not Modified\r\n\r\n", None);
    let head = GET.replace("GET", "HEAD");
    told(detects, &head, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", None);
    let named = "a: {contentType: {}}\nb: {headers: {customResponseHeaders: {content-type: c/d}}}";
    let mut pair = pair(named);
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.send(origin, page);
    assert!(pair.got(client).contains("\r\ncontent-type: c/d\r\n\r\n<html>"));
}

#[test]
fn a_head_waits_for_the_first_bytes_of_its_content_and_no_longer() {
    let mut pair = pair("a: {contentType: {}}");
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.send(origin, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    assert_eq!(pair.got(client), "");
    pair.send(origin, "%PDF-");
    let got = pair.got(client);
    assert!(got.ends_with("Content-Type: application/pdf\r\n\r\n%PDF-"), "{got}");
    pair.send(origin, "1.7\n");
    assert_eq!(pair.got(client), "1.7\n");
    pair.nothing_more();
}

#[test]
fn who_does_not_want_kinds_found_can_say_so() {
    let mut site = Site::new(ENTRY);
    let document = super::document("a: {contentType: {autoDetect: false}}");
    let mut pair = Pair::of(site.view_with_warnings(&document, 1), Default::default());
    let client = pair.open();
    pair.send(client, GET);
    let origin = pair.dialed();
    pair.send(origin, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>");
    assert!(!pair.got(client).contains("Content-Type"));
    pair.nothing_more();
}

#[test]
fn what_a_step_says_of_the_client_is_said_once_and_the_peer_behind_it() {
    let mut pair = pair("a: {headers: {customRequestHeaders: {X-Forwarded-For: 9.9.9.9}}}");
    let client = pair.open();
    pair.send(client, "GET / HTTP/1.1\r\nHost: s\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n");
    let origin = pair.dialed();
    let sent = pair.got(origin);
    let lines: Vec<_> = sent.lines().filter(|line| line.starts_with("X-Forwarded-For")).collect();
    assert_eq!(lines, ["X-Forwarded-For: 9.9.9.9, 192.0.2.7"], "{sent}");
}

/// A door for clients with or without certificates, behind which servers are told of them.
fn guarded(ca: &Ca, settings: &str) -> Arc<View> {
    let document = format!(
        "http:
  routers:
    r: {{rule: 'PathPrefix(`/`)', service: s, middlewares: [m]}}
  services:
    s: {{loadBalancer: {{servers: [{{url: 'http://10.0.0.1:80'}}]}}}}
  middlewares:
    m: {{passTLSClientCert: {settings}}}
tls:
  options:
    default: {{clientAuth: {{caFiles: [{}], clientAuthType: VerifyClientCertIfGiven}}}}
  certificates:
  -
{}",
        quoted(&ca.pem()),
        ca.named("a.example").yaml(4)
    );
    secure::view(Some("default"), &document)
}

fn client_of(ca: &Ca) -> Pem {
    ca.with(|params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "al, of \"b\"");
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2040, 1, 1);
    })
}

/// The fields about certificates that reach the server.
fn of_certificates(sent: &str) -> Vec<&str> {
    let about = |line: &&str| line.to_ascii_lowercase().replace('_', "-").contains("tls-client");
    sent.lines().filter(about).collect()
}

const FORGED: &str = "GET / HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-Tls-Client-Cert: \
    forged\r\nx_forwarded_tls_client_cert_info: forged\r\nX-Forwarded-Tls-Client-Cert-Info: \
    forged\r\n\r\n";

#[test]
fn a_server_is_told_which_certificate_its_client_showed() {
    let ca = Ca::new("ca");
    let pem = client_of(&ca);
    let settings = "{pem: true, info: {notAfter: true, subject: {commonName: true}, issuer: \
        {commonName: true}}}";
    let mut pair = secure::pair(guarded(&ca, settings));
    let mut client = Talker::client(&mut pair, &connector(&ca, Some(&pem)), "a.example");
    client.say(&mut pair, FORGED);
    let origin = pair.dialed();
    let sent = pair.got(origin);
    let lines = pem.cert().lines().filter(|line| !line.starts_with("-----"));
    let whole: String = lines.map(str::trim).collect();
    assert_eq!(
        of_certificates(&sent),
        [
            format!("X-Forwarded-Tls-Client-Cert: {whole}").as_str(),
            "X-Forwarded-Tls-Client-Cert-Info: Subject%3D%22CN%3Dal%2C+of+%22b%22%22%3BIssuer%3D\
             %22CN%3Dca%22%3BNA%3D%222208988800%22",
        ]
    );
    pair.send(origin, OK);
    client.pump(&mut pair);
    assert!(client.heard().ends_with("hi"));
    pair.nothing_more_of(&[client.end]);
}

#[test]
fn nobody_without_a_certificate_can_claim_one() {
    let ca = Ca::new("ca");
    let mut pair = secure::pair(guarded(&ca, "{pem: true, info: {sans: true}}"));
    let mut client = Talker::client(&mut pair, &connector(&ca, None), "a.example");
    client.say(&mut pair, FORGED);
    let origin = pair.dialed();
    assert_eq!(of_certificates(&pair.got(origin)), [""; 0]);
    // Not even somebody who is trusted otherwise.
    let insecure = "entryPoints: {web: {address: ':80', forwardedHeaders: {insecure: true}}}";
    for (settings, left) in [("{pem: true, info: {sans: true}}", 0), ("{pem: true}", 1)] {
        let view = Site::new(insecure).view(&format!("a: {{passTLSClientCert: {settings}}}"));
        let mut pair = Pair::of(view, Default::default());
        let client = pair.open();
        pair.send(client, FORGED.replace("x_forwarded_tls_client_cert_info: forged\r\n", ""));
        let origin = pair.dialed();
        let sent = pair.got(origin);
        assert_eq!(of_certificates(&sent).len(), left, "{sent}");
        assert!(!sent.contains("X-Forwarded-Tls-Client-Cert:"), "{sent}");
    }
}

#[test]
fn streams_know_their_certificate_too() {
    let ca = Ca::new("ca");
    let pem = client_of(&ca);
    let settings = "{info: {serialNumber: true, notBefore: true}}";
    let mut pair = secure::pair(guarded(&ca, settings));
    let connector = connector(&ca, Some(&pem));
    let mut client = Talker::client_of(&mut pair, &connector, "a.example", &[b"h2"]);
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "a.example"),
        (":path", "/"),
        ("x-forwarded-tls-client-cert-info", "forged"),
    ];
    client.say_bytes(&mut pair, &hello());
    client.say_bytes(&mut pair, &ended(frame(Kind::Headers, END_HEADERS, 1, &block(&fields))));
    let origin = pair.dialed();
    let sent = pair.got(origin);
    let [told] = of_certificates(&sent)[..] else { panic!("{sent}") };
    let start = "X-Forwarded-Tls-Client-Cert-Info: SerialNumber%3D%22";
    assert!(told.starts_with(start) && told.ends_with("%22%3BNB%3D%221577836800%22"), "{told}");
    pair.send(origin, OK);
    client.pump(&mut pair);
    let heard = Ear::default().hear(&client.heard_bytes());
    assert_eq!(heard.last().map(String::as_str), Some("1 data hi end"));
}
