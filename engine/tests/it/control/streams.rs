//! Polls and probes over HTTP/2, and the health protocol of gRPC.

use super::desk::{Desk, Host, ok};
use super::discovery::{child, error, parent, phase, uplinks};
use super::health::seen;
use crate::frames::{block, data, ended, frame};
use engine::base::limits::ControlLimits;
use engine::base::mark::Mark;
use engine::config::fixed::{Fixed, Scheme};
use engine::h2::frame::{ACK, Code, END_HEADERS, Kind, goaway, ping, rst_stream};
use engine::view::status::ChildPhase;

const EAST: &str = "10.0.0.1:9443";
const SHOP: &str = r#"[{"name":"shop"}]"#;

fn east() -> Fixed {
    let mut east = child("east", EAST);
    east.address.scheme = Scheme::H2c;
    parent(vec![east])
}

fn head(fields: &[(&str, &str)]) -> Vec<u8> {
    frame(Kind::Headers, END_HEADERS, 1, &block(fields))
}

/// A child that knows its entity tag.
fn offers(heard: &str) -> Vec<Vec<u8>> {
    if heard.contains("if-none-match=\"a\"") {
        return vec![ended(head(&[(":status", "304"), ("etag", "\"a\"")]))];
    }
    let interim = head(&[(":status", "103")]);
    let fine = head(&[(":status", "200"), ("etag", "\"a\"")]);
    vec![interim, fine, data(1, &SHOP[..5]), ended(data(1, &SHOP[5..]))]
}

#[test]
fn a_child_is_polled_over_streams_of_one_connection() {
    for (read_max, write_max) in [(usize::MAX, usize::MAX), (1, 1), (7, 5)] {
        let mut desk = Desk::new(east());
        (desk.read_max, desk.write_max) = (read_max, write_max);
        desk.host(EAST, Host::Streams(offers));
        desk.run_secs(17);
        assert_eq!(phase(&desk, 0), ChildPhase::Fresh);
        assert_eq!((desk.requests_to(EAST), desk.dials.len()), (4, 1), "reads of {read_max}");
        let (_, _, first) = &desk.requests[0];
        let asked = "1 head :method=GET :scheme=http :authority=10.0.0.1:9443 \
            :path=/api/uplinks accept=application/json user-agent=tieline";
        assert_eq!(first, asked);
        assert!(desk.requests[3].2.starts_with("7 head "), "{:?}", desk.requests[3]);
        assert_eq!(desk.hits(Mark::ControlSpokeHttp2), 1);
        assert_eq!(desk.open_conns(), 1);
    }
}

#[test]
fn a_kept_connection_is_looked_after_between_polls() {
    let mut desk = Desk::new(east());
    desk.host(EAST, Host::Streams(offers));
    desk.run_secs(1);
    desk.says(EAST, &ping(*b"are you?", 0));
    desk.run_secs(1);
    assert_eq!((desk.open_conns(), desk.hits(Mark::KeptConnEnded)), (1, 0));
    desk.says(EAST, &goaway(1, Code::NoError));
    assert_eq!((desk.open_conns(), desk.hits(Mark::KeptConnEnded)), (0, 1));
    desk.run_secs(5);
    assert_eq!((phase(&desk, 0), desk.dials.len()), (ChildPhase::Fresh, 2));
    desk.end_conns(EAST);
    desk.run_secs(6);
    assert_eq!((phase(&desk, 0), desk.dials.len()), (ChildPhase::Fresh, 3));
}

#[test]
fn a_poll_that_was_not_seen_is_sent_again_once() {
    // The second request of a connection is not served any more.
    fn leaves(heard: &str) -> Vec<Vec<u8>> {
        match heard.starts_with("1 ") {
            true => offers(heard),
            false => vec![goaway(1, Code::NoError).to_vec()],
        }
    }
    let mut desk = Desk::new(east());
    desk.host(EAST, Host::Streams(leaves));
    desk.run_secs(6);
    assert_eq!((phase(&desk, 0), desk.dials.len()), (ChildPhase::Fresh, 2));
    assert_eq!((desk.requests_to(EAST), desk.hits(Mark::KeptConnWasDead)), (3, 1));
}

#[track_caller]
fn fails(answer: fn(&str) -> Vec<Vec<u8>>, code: &str, text: &str) {
    let mut desk = Desk::new(east());
    desk.host(EAST, Host::Streams(answer));
    desk.run_secs(3);
    assert_eq!((desk.codes(), error(&desk, 0).as_str()), (vec![code], text));
    assert_eq!(desk.open_conns(), usize::from(code == "bad-status"));
}

#[test]
fn what_is_no_answer_has_a_cause() {
    let reset = |_: &str| vec![rst_stream(1, Code::Internal).to_vec()];
    fails(reset, "connection-cut", "the stream was reset with code 2");
    let cut = |_: &str| vec![head(&[(":status", "200")]), rst_stream(1, Code::Cancel).to_vec()];
    fails(cut, "connection-cut", "the stream was reset with code 8");
    fails(|_| vec![ended(head(&[(":status", "503")]))], "bad-status", "the answer is status 503");
    let broken = |_: &str| vec![frame(Kind::Data, 0, 0, b"x")];
    fails(broken, "not-http", "the answer is not valid HTTP/2");
    fails(|_| vec![data(1, "x")], "connection-cut", "the stream was reset with code 1");
    fails(|_| Vec::new(), "timeout", "no complete answer in time");
    let long = |_: &str| vec![head(&[(":status", "200"), ("content-length", "99999999")])];
    fails(long, "too-large", "the answer exceeds 1048576 bytes");
}

#[test]
fn a_child_that_speaks_another_version_is_told_so() {
    let mut desk = Desk::new(east());
    desk.host(EAST, Host::Streams(|_| vec![b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()]));
    desk.run_secs(3);
    assert_eq!(desk.codes(), ["not-http"]);
    let problem = &desk.view().status.diagnostics[0];
    assert_eq!(problem.help, "does the child speak HTTP/2 at this address?");
}

#[test]
fn a_large_answer_is_granted_as_it_is_read() {
    fn many(_: &str) -> Vec<Vec<u8>> {
        let mut frames = vec![head(&[(":status", "200")]), data(1, SHOP)];
        frames.extend((0..30).map(|_| data(1, &" ".repeat(16_000))));
        frames.push(ended(data(1, "")));
        frames
    }
    let mut desk = Desk::new(east());
    desk.host(EAST, Host::Streams(many));
    desk.run_secs(3);
    assert_eq!((phase(&desk, 0), desk.requests_to(EAST)), (ChildPhase::Fresh, 1));
}

#[test]
fn without_pages_a_poll_is_given_up() {
    let limits =
        ControlLimits { small_pages_max: 0, large_pages_max: 0, ..ControlLimits::default() };
    let mut desk = Desk::with_limits(east(), limits);
    desk.host(EAST, Host::Streams(offers));
    desk.run_secs(3);
    assert_eq!(desk.codes(), ["overloaded"]);
    assert!(desk.hits(Mark::ControlOutOfPages) > 0);
}

const SERVER: &str = "10.1.0.1:80";

fn checked(url: &str, lines: &str) -> String {
    format!(
        "http:\n  services:\n    shop:\n      loadBalancer:\n        healthCheck: {{{lines}, \
         interval: 10s, timeout: 2s}}\n        servers: [{{url: '{url}'}}]\n"
    )
}

fn desk(host: Host, url: &str, lines: &str) -> Desk {
    let mut desk = Desk::new(super::files::fixed());
    desk.host(SERVER, host);
    desk.file(&checked(url, lines));
    desk.run_secs(4);
    desk
}

#[test]
fn a_server_of_h2c_is_probed_over_streams() {
    let fine = Host::Streams(|_| vec![head(&[(":status", "204")])]);
    let desk = desk(fine, "h2c://10.1.0.1", "path: /up");
    assert_eq!(seen(&desk, "shop@file"), "u");
    let asked = "1 head :method=GET :scheme=http :authority=10.1.0.1 :path=/up user-agent=tieline";
    assert_eq!(desk.requests[0].2, asked);
    assert_eq!(desk.open_conns(), 0);
}

#[test]
fn a_check_may_name_the_version() {
    let fine = Host::Streams(|_| vec![ended(head(&[(":status", "500")]))]);
    let streams = desk(fine, "http://10.1.0.1", "path: /up, scheme: h2c");
    assert_eq!(seen(&streams, "shop@file"), "d");
    let plain = desk(Host::Says(ok("", "")), "h2c://10.1.0.1", "path: /up, scheme: http");
    assert_eq!(seen(&plain, "shop@file"), "u");
}

/// An answer of gRPC with this message.
fn serving(status: u8) -> Vec<Vec<u8>> {
    let message = [0, 0, 0, 0, 2, 8, status];
    let text = std::str::from_utf8(&message).expect("small bytes");
    vec![
        head(&[(":status", "200"), ("content-type", "application/grpc")]),
        data(1, text),
        ended(head(&[("grpc-status", "0")])),
    ]
}

#[test]
fn a_grpc_server_that_serves_is_up() {
    for url in ["h2c://10.1.0.1", "http://10.1.0.1"] {
        let desk = desk(Host::Streams(|_| serving(1)), url, "mode: grpc, headers: {X-A: b}");
        assert_eq!(seen(&desk, "shop@file"), "u", "{url}");
        let asked = "1 head :method=POST :scheme=http :authority=10.1.0.1 \
            :path=/grpc.health.v1.Health/Check user-agent=tieline x-a=b \
            content-type=application/grpc te=trailers grpc-timeout=2000m1 data \0\0\0\0\0";
        assert_eq!(desk.requests[0].2, asked);
        assert_eq!((desk.codes(), desk.open_conns()), (vec![], 0));
    }
}

#[track_caller]
fn is_down(answer: fn(&str) -> Vec<Vec<u8>>, why: &str) {
    let desk = desk(Host::Streams(answer), "h2c://10.1.0.1", "mode: grpc");
    assert_eq!(seen(&desk, "shop@file"), "d");
    let status = desk.view().status.servers.iter().next().expect("the server has a status");
    assert_eq!(status.reason, why);
}

#[test]
fn every_other_answer_of_grpc_is_down() {
    is_down(|_| serving(2), "the health service says NOT_SERVING");
    is_down(|_| serving(0), "the health service says UNKNOWN");
    let bare = |_: &str| vec![ended(head(&[(":status", "200"), ("grpc-status", "12")]))];
    is_down(bare, "the health service answers UNIMPLEMENTED (12)");
    let late = |_: &str| vec![head(&[(":status", "200")]), ended(head(&[("grpc-status", "14")]))];
    is_down(late, "the health service answers UNAVAILABLE (14)");
    let silent = |_: &str| vec![head(&[(":status", "200")]), ended(data(1, ""))];
    is_down(silent, "the answer has no grpc-status");
    is_down(|_| vec![ended(head(&[(":status", "404")]))], "the answer is status 404");
    is_down(|_| Vec::new(), "no complete answer in time");
    let long = |_: &str| vec![head(&[(":status", "200")]), data(1, &"x".repeat(5_000))];
    is_down(long, "the answer exceeds 4096 bytes");
    let plain = |_: &str| vec![frame(Kind::Settings, ACK, 0, &[]), b"HTTP/1.1 200 OK\r\n".to_vec()];
    is_down(plain, "the answer is not valid HTTP/2");
}

#[test]
fn an_uplink_is_probed_by_grpc_with_its_name() {
    fn answers(heard: &str) -> Vec<Vec<u8>> {
        if heard.contains("Health/Check") { serving(1) } else { panic!("{heard}") }
    }
    let advert = r#"[{"name":"shop","healthCheck":{"mode":"grpc","port":81,"interval":"10s"}}]"#;
    let mut desk = Desk::new(parent(vec![child("east", "10.0.0.1:80")]));
    desk.host("10.0.0.1:80", uplinks("a", advert));
    desk.host("10.0.0.1:81", Host::Streams(answers));
    desk.run_secs(10);
    assert_eq!(seen(&desk, "shop-east@multicluster"), "u");
    let (_, _, heard) = desk.requests.iter().find(|it| it.2.contains("Check")).expect("a probe");
    assert!(heard.contains(" x-uplink-name=shop "), "{heard}");
    assert!(heard.contains(":authority=10.0.0.1:81"), "{heard}");
}
