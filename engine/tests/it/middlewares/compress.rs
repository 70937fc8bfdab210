//! Responses that are compressed.

use super::{ENTRY, Site, document, pair, unchunked};
use crate::frames::{Ear, block, ended, frame, hello};
use crate::pair::{End, Pair};
use engine::base::limits::Limits;
use engine::base::mark::Mark;
use engine::base::time::Span;
use engine::h2::frame::{END_HEADERS, HEAD, Head, Kind};
use std::io::Read as _;

fn get(accepts: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: s\r\nAccept-Encoding: {accepts}\r\n\r\n")
}

fn text(bytes: usize) -> String {
    "what is said again and again ".chars().cycle().take(bytes).collect()
}

/// Head and content of an answer in chunks.
#[track_caller]
fn taken(pair: &mut Pair, client: End) -> (String, Vec<u8>) {
    let bytes = pair.got_bytes(client);
    let end = bytes.windows(4).position(|it| it == b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let head = head.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ")).collect();
    (head, unchunked(&bytes[end..]).0)
}

fn plain(coding: &str, bytes: &[u8]) -> String {
    let mut out = Vec::new();
    let _ = match coding {
        "gzip" => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out),
        "br" => brotli::Decompressor::new(bytes, 4_096).read_to_end(&mut out),
        _ => zstd::stream::read::Decoder::new(bytes).and_then(|mut it| it.read_to_end(&mut out)),
    };
    String::from_utf8(out).expect("a text")
}

#[test]
fn content_is_coded_as_the_client_likes_it_best() {
    let content = text(100_000);
    for coding in ["gzip", "br", "zstd"] {
        let mut pair = pair("a: {compress: {}}");
        let client = pair.open();
        pair.send(client, get(&format!("{coding}, identity;q=0.5")));
        let origin = pair.dialed();
        pair.send(
            origin,
            format!(
                "HTTP/1.1 200 OK\r\nETag: \"x\"\r\nAccept-Ranges: bytes\r\nContent-Length: \
                 {}\r\n\r\n{content}",
                content.len()
            ),
        );
        pair.pass(Span::millis(5));
        let (head, coded) = taken(&mut pair, client);
        assert_eq!(
            head,
            format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: \
                 {coding}\r\nETag: W/\"x\"\r\nVary: Accept-Encoding\r\n\r\n"
            )
        );
        assert!(coded.len() * 10 < content.len());
        assert_eq!(plain(coding, &coded), content, "{coding}");
        assert_eq!(pair.count(Mark::Compressed), 1);
        pair.nothing_more();
    }
}

#[test]
fn what_is_short_or_coded_or_not_wanted_stays_as_it_is() {
    let long = text(2_000);
    for (accepts, head, content) in [
        ("gzip", "", "short"),
        ("identity", "", long.as_str()),
        ("gzip", "Content-Encoding: br\r\n", long.as_str()),
        ("gzip", "Content-Type: application/grpc\r\n", long.as_str()),
    ] {
        let mut pair = pair("a: {compress: {}}");
        let client = pair.open();
        pair.send(client, get(accepts));
        let origin = pair.dialed();
        let length = content.len();
        let answer = format!("HTTP/1.1 200 OK\r\n{head}Content-Length: {length}\r\n\r\n{content}");
        pair.send(origin, &answer);
        let got = pair.got(client);
        assert!(got.ends_with(content) && got.contains(&format!("Content-Length: {length}")));
        // Whoever keeps answers has to know that there may be others.
        assert_eq!(got.contains("Vary: Accept-Encoding"), head.is_empty(), "{got}");
        assert_eq!(pair.count(Mark::Compressed), 0);
        pair.nothing_more();
    }
}

#[test]
fn what_was_not_modified_varies_as_what_it_stands_for() {
    for (middlewares, varies) in [
        ("a: {compress: {}}", true),
        ("a: {compress: {includedContentTypes: [text/html]}}", false),
        ("a: {addPrefix: {prefix: /a}}", false),
    ] {
        let mut pair = pair(middlewares);
        let client = pair.open();
        pair.send(client, get("gzip"));
        let origin = pair.dialed();
        pair.send(origin, "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n");
        let got = pair.got(client);
        assert_eq!(got.contains("\r\nVary: Accept-Encoding\r\n"), varies, "{middlewares}: {got}");
        assert!(got.contains("\r\nETag: x\r\n"), "{got}");
        pair.nothing_more();
    }
}

#[test]
fn a_response_of_unknown_length_waits_until_it_is_long_enough() {
    let mut pair = pair("a: {compress: {minResponseBodyBytes: 10}}");
    let client = pair.open();
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    pair.send(client, get("gzip"));
    let origin = pair.dialed();
    pair.send(origin, format!("{head}4\r\nabcd\r\n"));
    assert_eq!(pair.got(client), "");
    pair.send(origin, "0\r\n\r\n");
    assert!(pair.got(client).ends_with("\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"));
    pair.send(client, get("gzip"));
    pair.send(origin, format!("{head}4\r\nabcd\r\n"));
    pair.send(origin, "8\r\nefghijkl\r\n");
    // What is there is given out, though more may come.
    let (_, coded) = taken(&mut pair, client);
    assert_eq!(plain("gzip", &coded), "abcdefghijkl");
    pair.send(origin, "0\r\n\r\n");
    assert!(pair.got_bytes(client).ends_with(b"0\r\n\r\n"));
    assert_eq!(pair.count(Mark::Compressed), 1);
    pair.nothing_more();
}

#[test]
fn events_are_compressed_one_by_one() {
    let mut pair = pair("a: {compress: {}}");
    let client = pair.open();
    pair.send(client, get("zstd"));
    let origin = pair.dialed();
    pair.send(
        origin,
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: \
         chunked\r\n\r\n9\r\ndata: a\n\n\r\n",
    );
    let (_, mut coded) = taken(&mut pair, client);
    assert_eq!(plain("zstd", &coded), "data: a\n\n");
    pair.send(origin, "9\r\ndata: b\n\n\r\n");
    coded.extend(unchunked(&pair.got_bytes(client)).0);
    assert_eq!(plain("zstd", &coded), "data: a\n\ndata: b\n\n");
    pair.reset(client);
    pair.nothing_more();
}

#[test]
fn head_is_answered_by_the_head_alone() {
    let mut pair = pair("a: {compress: {}}");
    let client = pair.open();
    pair.send(client, get("gzip").replace("GET", "HEAD"));
    let origin = pair.dialed();
    pair.send(origin, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n");
    let got = pair.got(client);
    assert!(got.contains("Content-Length: 5000\r\n") && !got.contains("Content-Encoding"), "{got}");
    pair.nothing_more();
}

#[test]
fn no_more_responses_are_compressed_at_once_than_there_is_memory_for() {
    let limits = Limits { compressors_max: 1, ..Limits::default() };
    let mut pair = Pair::of(Site::new(ENTRY).view("a: {compress: {}}"), limits);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n{}", text(1_000));
    let clients = [pair.open(), pair.open()];
    let origins = clients.map(|client| {
        pair.send(client, get("gzip"));
        let origin = pair.dialed();
        pair.send(origin, &answer);
        origin
    });
    assert!(!pair.got(clients[1]).contains("Content-Encoding"));
    assert_eq!(pair.count(Mark::CompressorsFull), 1);
    // Its place is free again when it is over, or given up.
    pair.got(clients[0]);
    pair.reset(clients[0]);
    pair.send(origins[1], text(1_000));
    pair.got(clients[1]);
    pair.send(clients[1], get("gzip"));
    pair.send(origins[1], &answer);
    assert!(pair.got(clients[1]).contains("Content-Encoding: gzip"));
    pair.reset(clients[1]);
    pair.nothing_more();
}

#[test]
fn a_response_that_is_cut_is_cut() {
    let mut pair = pair("a: {compress: {}}");
    let client = pair.open();
    pair.send(client, get("gzip"));
    let origin = pair.dialed();
    let half = text(1_000);
    pair.send(origin, format!("HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n{half}"));
    pair.fin(origin);
    assert!(!pair.got_bytes(client).ends_with(b"\r\n0\r\n\r\n"));
    assert_eq!(pair.ended(client), "shut");
    pair.nothing_more();
}

#[test]
fn large_responses_take_turns_and_none_is_forgotten() {
    let limits = Limits { squeezed_bytes: 1, ..Limits::default() };
    let mut pair = Pair::of(Site::new(ENTRY).view("a: {compress: {}}"), limits);
    let content = text(100_000);
    let clients = [pair.open(), pair.open(), pair.open()];
    for client in clients {
        pair.send(client, get("gzip"));
        let origin = pair.dialed();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len());
        pair.send(origin, head + &content);
    }
    // A page of each is read at a time, and one page is compressed in a millisecond.
    pair.pass(Span::millis(12));
    let ended = |pair: &mut Pair| clients.map(|it| pair.got_bytes(it).ends_with(b"0\r\n\r\n"));
    assert_eq!(ended(&mut pair), [false; 3]);
    pair.pass(Span::millis(12));
    assert_eq!(ended(&mut pair), [true; 3]);
    assert!(pair.count(Mark::CompressorRested) > 12);
    pair.nothing_more();
}

#[test]
fn what_was_collected_is_compressed_in_turns_too() {
    let limits = Limits { squeezed_bytes: 20_000, ..Limits::default() };
    let site = "a: {compress: {}}\nb: {buffering: {}}";
    let mut pair = Pair::of(Site::new(ENTRY).view(site), limits);
    let content = text(100_000);
    let client = pair.open();
    pair.send(client, get("zstd"));
    let origin = pair.dialed();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len());
    pair.send(origin, head + &content[..99_999]);
    assert_eq!(pair.got(client), "", "it is not whole");
    pair.send(origin, &content[99_999..]);
    assert_eq!(pair.count(Mark::CompressorRested), 1);
    pair.pass(Span::millis(10));
    assert!(pair.count(Mark::CompressorRested) > 1);
    let (_, coded) = taken(&mut pair, client);
    assert_eq!(plain("zstd", &coded), content);
    pair.nothing_more();
}

#[test]
fn whoever_leaves_while_its_answer_rests_leaves_nothing_behind() {
    let limits = Limits { squeezed_bytes: 20_000, ..Limits::default() };
    let site = "a: {compress: {}}\nb: {buffering: {}}";
    let mut pair = Pair::of(Site::new(ENTRY).view(site), limits);
    let content = text(100_000);
    let client = pair.open();
    pair.send(client, get("br"));
    let origin = pair.dialed();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len());
    pair.send(origin, head + &content);
    assert_eq!(pair.count(Mark::CompressorRested), 1);
    pair.got_bytes(client);
    pair.reset(client);
    pair.pass(Span::millis(10));
    assert_eq!(pair.census().kept_bytes, 0);
    pair.nothing_more();
}

#[test]
fn what_was_collected_of_a_server_that_was_lost_is_forgotten() {
    for second in
        ["Content-Length: 2\r\n\r\nok", "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"]
    {
        let mut pair = pair("a: {compress: {}}\nb: {retry: {attempts: 2, status: ['502']}}");
        let client = pair.open();
        pair.send(client, get("gzip"));
        let first = pair.dialed();
        pair.send(first, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nstale\r\n");
        pair.reset(first);
        pair.pass(Span::secs(1));
        let origin = pair.dialed();
        pair.send(origin, format!("HTTP/1.1 200 OK\r\n{second}"));
        let got = pair.got(client);
        assert!(got.contains("ok") && !got.contains("stale"), "{got}");
        assert_eq!(pair.census().kept_bytes, 0);
        pair.reset(client);
    }
}

fn asked_on_a_stream(pair: &mut Pair) -> (End, End) {
    let client = pair.open();
    pair.send(client, hello());
    let asked = [(":method", "GET"), (":scheme", "http"), (":authority", "s"), (":path", "/")];
    let fields = [&asked[..], &[("accept-encoding", "br")]].concat();
    pair.send(client, ended(frame(Kind::Headers, END_HEADERS, 1, &block(&fields))));
    let origin = pair.dialed();
    (client, origin)
}

#[test]
fn streams_get_the_trailers_of_what_was_collected() {
    for (content, middleware) in [
        ("", "compress: {}"),
        ("2\r\nhi\r\n", "compress: {}"),
        ("", "buffering: {maxResponseBodyBytes: 99}"),
    ] {
        let mut pair = pair(&format!("a: {{{middleware}}}"));
        let (client, origin) = asked_on_a_stream(&mut pair);
        pair.send(origin, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        pair.send(origin, format!("{content}0\r\nX-Sum: 7\r\n\r\n"));
        let expected = if content.is_empty() { "" } else { "hi" };
        trailed(pair, client, expected);
    }
}

#[test]
fn streams_get_the_end_with_what_was_collected() {
    for middleware in ["compress: {}", "buffering: {maxResponseBodyBytes: 99}"] {
        for content in ["", "2\r\nhi\r\n"] {
            let mut pair = pair(&format!("a: {{{middleware}}}"));
            let (client, origin) = asked_on_a_stream(&mut pair);
            pair.send(origin, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            pair.send(origin, format!("{content}0\r\n\r\n"));
            let lines = Ear::default().hear(&pair.got_bytes(client));
            let ends = lines.iter().position(|line| line.ends_with(" end"));
            assert_eq!(ends, Some(lines.len() - 1), "{lines:?}");
            assert_eq!(content.is_empty(), !lines.iter().any(|it| it.contains("data hi")));
            pair.nothing_more();
        }
    }
}

#[test]
fn streams_get_the_trailers_of_a_stream_without_content() {
    let document = document("a: {compress: {}}").replace("http://10", "h2c://10");
    let mut pair = Pair::of(Site::new(ENTRY).view_of(&document), Limits::default());
    let (client, origin) = asked_on_a_stream(&mut pair);
    let head = frame(Kind::Headers, END_HEADERS, 1, &block(&[(":status", "200")]));
    pair.send(origin, [frame(Kind::Settings, 0, 0, &[]), head].concat());
    pair.send(origin, ended(frame(Kind::Headers, END_HEADERS, 1, &block(&[("x-sum", "7")]))));
    trailed(pair, client, "");
}

/// The client has got this content, and a trailer behind it.
#[track_caller]
fn trailed(mut pair: Pair, client: End, content: &str) {
    let (heads, got) = split(&pair.got_bytes(client));
    let last = heads.last().map(String::as_str);
    assert!(last.is_some_and(|it| it.starts_with("1 head x-sum=7")), "{heads:?}");
    assert_eq!(got, content.as_bytes());
    pair.reset(client);
}

#[test]
fn streams_get_coded_content_without_chunks() {
    let mut pair = pair("a: {compress: {}}");
    let (client, origin) = asked_on_a_stream(&mut pair);
    let content = text(3_000);
    pair.send(origin, format!("HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n{content}"));
    let (heads, coded) = split(&pair.got_bytes(client));
    assert!(heads[0].contains("content-encoding=br vary=Accept-Encoding"), "{heads:?}");
    assert!(!heads[0].contains("content-length"), "{heads:?}");
    assert_eq!(plain("br", &coded), content);
    pair.reset(client);
    pair.nothing_more();
}

/// Heads as lines, and what all frames of content carry.
fn split(bytes: &[u8]) -> (Vec<String>, Vec<u8>) {
    let (mut ear, mut heads, mut content) = (Ear::default(), Vec::new(), Vec::new());
    let mut rest = bytes;
    while let Some(head) = rest.first_chunk().map(Head::read) {
        let (whole, after) = rest.split_at(HEAD + head.length as usize);
        if head.kind == Kind::Data {
            content.extend_from_slice(&whole[HEAD..]);
        } else {
            heads.extend(ear.hear(whole));
        }
        rest = after;
    }
    (heads, content)
}
