//! Heads that two readers could take for different messages. Every one is refused, in one piece and
//! byte by byte, and never waited for once its end is there.

use engine::base::prng::Prng;
use engine::h1::chunked::{self, Decoder, Step};
use engine::h1::parse::{self, Bounds, Parsed, Progress, Scratch};
use engine::http::alias::Aliases;
use engine::http::blame::{What, Who};
use engine::http::framing::Asked;
use engine::http::head::RequestHead;
use engine::http::target::{self, Rewritten};

const BOUNDS: Bounds = Bounds { bytes_max: 8192, fields_max: 64, aliases: Aliases::KEPT };

fn read(buf: &[u8], progress: &mut Progress) -> Result<Option<usize>, What> {
    let mut scratch = Scratch::new();
    match parse::request_head(buf, progress, BOUNDS, &mut scratch) {
        Ok(Parsed::Partial) => Ok(None),
        Ok(Parsed::Complete { head, bytes }) => taken_apart(&head).map(|()| Some(bytes)),
        Err(misbehaved) => Err(misbehaved.what),
    }
}

fn taken_apart(head: &RequestHead<'_>) -> Result<(), What> {
    target::read(head, &mut Rewritten::default()).map(|_| ())
}

#[track_caller]
fn refused(attack: &[u8], expected: What) {
    let shown = attack.escape_ascii().to_string();
    assert_eq!(read(attack, &mut Progress::default()), Err(expected), "{shown}");
    let mut progress = Progress::default();
    let in_bytes = (1..=attack.len()).find_map(|end| match read(&attack[..end], &mut progress) {
        Ok(None) => None,
        other => Some(other),
    });
    assert!(matches!(in_bytes, Some(Err(_))), "{shown} byte by byte: {in_bytes:?}");
}

/// A POST to `a` with these field lines, each of which brings its own line end.
#[track_caller]
fn fields(lines: &str, expected: What) {
    refused(format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").as_bytes(), expected);
}

#[track_caller]
fn start(line: &str, expected: What) {
    refused(format!("{line}\r\nHost: a\r\n\r\n").as_bytes(), expected);
}

#[test]
fn two_ways_to_frame_one_body() {
    fields("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", What::LengthAndCoding);
    fields("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", What::LengthAndCoding);
    fields("transfer-encoding: CHUNKED\r\ncontent-length: 0\r\n", What::LengthAndCoding);
    fields("Content-Length: 5\r\nContent-Length: 6\r\n", What::LengthRepeated);
    fields("Content-Length: 5\r\nContent-Length: 5\r\n", What::LengthRepeated);
    fields("Content-Length: 5\r\nX: y\r\ncONTENT-lENGTH: 5\r\n", What::LengthRepeated);
    fields("Content-Length: 5, 5\r\n", What::LengthRepeated);
    fields("Content-Length: 0,5\r\n", What::LengthRepeated);
    fields("Content-Length: 5,\r\n", What::LengthRepeated);
}

#[test]
fn lengths_that_are_read_in_more_than_one_way() {
    for value in ["+5", "-5", "-0", "0x5", "5e1", "5.0", "5 6", "five", "5;a=b", "\"5\"", "0b1"] {
        fields(&format!("Content-Length: {value}\r\n"), What::LengthMalformed);
    }
    fields("Content-Length:\r\n", What::LengthMalformed);
    fields("Content-Length: \u{ff15}\r\n", What::LengthMalformed);
    fields("Content-Length: 9223372036854775808\r\n", What::LengthTooLarge);
    fields("Content-Length: 18446744073709551621\r\n", What::LengthTooLarge);
    fields("Content-Length: 340282366920938463463374607431768211461\r\n", What::LengthTooLarge);
}

#[test]
fn codings_that_hide_chunked() {
    for value in ["xchunked", "chunkedx", "identity", "gzip", "gzip, chunked", "chunked-", "c"] {
        fields(&format!("Transfer-Encoding: {value}\r\n"), What::CodingUnknown);
    }
    let malformed = [
        "chunked, chunked",
        "chunked, identity",
        "chunked, gzip",
        "chunked,",
        ", chunked",
        "chunked;a=b",
        "\"chunked\"",
        "'chunked' x",
        "chunked chunked",
        "",
        "[chunked]",
        "chunk\u{e9}d",
        "chunked\t,",
        "(chunked)",
    ];
    for value in malformed {
        fields(&format!("Transfer-Encoding: {value}\r\n"), What::CodingMalformed);
    }
    let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
    fields(twice, What::CodingMalformed);
    let disguised = "Transfer-Encoding: chunked\r\nTransfer-encoding: x\r\n";
    fields(disguised, What::CodingMalformed);
    fields("Transfer-Encoding: x\r\nTransfer-encoding: chunked\r\n", What::CodingUnknown);
    fields("Transfer-Encoding: \u{b}chunked\r\n", What::FieldValue);
    fields("Transfer-Encoding: \0chunked\r\n", What::FieldValue);
    fields("Transfer-Encoding: chunked\u{c}\r\n", What::FieldValue);
    fields("X: y\rTransfer-Encoding: chunked\r\n", What::FieldValue);
    refused(
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        What::CodingOnOldVersion,
    );
}

#[test]
fn field_names_that_only_some_readers_see() {
    fields("Transfer-Encoding : chunked\r\n", What::FieldName);
    fields("Transfer-Encoding\t: chunked\r\n", What::FieldName);
    fields("Content-Length : 5\r\n", What::FieldName);
    fields(" Transfer-Encoding: chunked\r\n", What::FieldName);
    fields("\tContent-Length: 5\r\n", What::FieldName);
    fields("X: y\r\n Transfer-Encoding: chunked\r\n", What::FieldName);
    fields("Transfer-Encoding:\r\n chunked\r\n", What::FieldName);
    fields("Transfer-Encoding\r\n: chunked\r\n", What::FieldName);
    fields("Transfer\u{b}-Encoding: chunked\r\n", What::FieldName);
    fields("Content-Length\0: 5\r\n", What::FieldName);
    fields("\"Content-Length\": 5\r\n", What::FieldName);
    fields("Content Length: 5\r\n", What::FieldName);
    fields("Content-L\u{e9}ngth: 5\r\n", What::FieldName);
    fields(": 5\r\n", What::FieldName);
    fields("no colon\r\n", What::FieldName);
    fields("[Host]: b\r\n", What::FieldName);
}

#[test]
fn lines_that_end_in_more_than_one_way() {
    fields("X: y\nTransfer-Encoding: chunked\r\n", What::LineEnd);
    fields("X: y\n\r\n", What::LineEnd);
    fields("X: y\r\r\n", What::FieldValue);
    fields("X: y\n", What::LineEnd);
    fields("\nContent-Length: 5\r\n", What::LineEnd);
    refused(b"GET / HTTP/1.1\nHost: a\r\n\r\n", What::LineEnd);
    refused(b"GET / HTTP/1.1\nHost: a\n\n", What::LineEnd);
    refused(b"GET / HTTP/1.1\rHost: a\r\n\r\n", What::LineEnd);
    refused(b"GET / HTTP/1.1\r\nHost: a\r\n\n", What::LineEnd);
    refused(b"GET / HTTP/1.1\r\nHost: a\n\r\n", What::LineEnd);
    refused(b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", What::LineEnd);
    refused(b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", What::BlankLines);
    refused(b"\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", What::BlankLines);
}

#[test]
fn requests_for_more_than_one_host() {
    fields("Host: b\r\n", What::HostRepeated);
    fields("hOST: a\r\n", What::HostRepeated);
    let hosts = [
        "a, b",
        "a b",
        "a@b",
        "user:pass@a",
        "a/b",
        "a?b",
        "a#b",
        "a:80:81",
        "a:b",
        "a:-1",
        "[::1",
        "::1",
        "a\\b",
        "a\tb",
        "http://a",
        "a:80, b",
        "a,b",
        "\u{e4}",
        "a%00",
        ":80",
    ];
    for host in hosts {
        let attack = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        refused(attack.as_bytes(), What::HostMalformed);
    }
    refused(b"GET / HTTP/1.1\r\n\r\n", What::HostMissing);
    refused(b"GET http://a/ HTTP/1.1\r\n\r\n", What::HostMissing);
    refused(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", What::FieldName);
    refused(b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", What::FieldName);
    start("GET http://b@a/ HTTP/1.1", What::TargetAuthority);
    start("GET http:///b HTTP/1.1", What::TargetAuthority);
    start("GET http://a\\@b/ HTTP/1.1", What::TargetAuthority);
}

#[test]
fn start_lines_that_are_cut_in_more_than_one_place() {
    start("GET / HTTP/1.1 HTTP/1.1", What::LineEnd);
    start("GET /a b HTTP/1.1", What::StartLine);
    start("GET  / HTTP/1.1", What::StartLine);
    start("GET /  HTTP/1.1", What::StartLine);
    start("GET\t/ HTTP/1.1", What::StartLine);
    start("GET /\tHTTP/1.1", What::StartLine);
    start(" GET / HTTP/1.1", What::StartLine);
    start("GET / HTTP/1.1 ", What::LineEnd);
    start("GET / http/1.1", What::StartLine);
    start("GET / HTTP/01.1", What::StartLine);
    start("GET / HTTP/1.10", What::LineEnd);
    start("GET / HTTP/1.2", What::Version);
    start("GET / HTTP/2.0", What::Version);
    start("GET / HTTP/0.9", What::Version);
    start("PRI * HTTP/2.0", What::Version);
    start("G{T / HTTP/1.1", What::StartLine);
    start("GET /\0 HTTP/1.1", What::StartLine);
    start("GET /\u{7f} HTTP/1.1", What::StartLine);
    start("GET /a#/../b HTTP/1.1", What::TargetFragment);
    start("GET /\u{e9} HTTP/1.1", What::TargetBytes);
    start("GET /%zz HTTP/1.1", What::TargetEscape);
    start("GET /%0 HTTP/1.1", What::TargetEscape);
    start("GET a HTTP/1.1", What::TargetForm);
    start("GET \\a HTTP/1.1", What::TargetForm);
    start("GET gopher://a/ HTTP/1.1", What::TargetScheme);
    start("CONNECT /a HTTP/1.1", What::TargetForm);
    start("CONNECT a HTTP/1.1", What::TargetForm);
    start("GET a:80 HTTP/1.1", What::TargetForm);
}

#[track_caller]
fn body(bytes: &str, expected: What) {
    let bounds = chunked::Bounds { line_max: 256, trailer_max: 256 };
    let mut prng = Prng::new(7);
    for _ in 0..20 {
        let mut decoder = Decoder::new(Who::Client, bounds);
        let mut rest = bytes.as_bytes();
        let end = loop {
            let count = usize::try_from(prng.below(4)).expect("small") + 1;
            let piece = &rest[..count.min(rest.len())];
            match decoder.step(piece) {
                Ok(Step::Data(data)) => rest = &rest[data.end..],
                Ok(Step::More) if rest.is_empty() => break Ok(()),
                Ok(Step::More) => rest = &rest[piece.len()..],
                Ok(Step::End { .. }) => break Ok(()),
                Err(misbehaved) => break Err(misbehaved.what),
            }
        };
        assert_eq!(end, Err(expected), "{bytes:?}");
    }
}

#[test]
fn chunks_that_end_in_more_than_one_place() {
    body("1\nx\r\n0\r\n\r\n", What::ChunkSize);
    body("1\r\nx\n0\r\n\r\n", What::ChunkEnd);
    body("1\r\nxy\r\n0\r\n\r\n", What::ChunkEnd);
    body("1 \r\nx\r\n0\r\n\r\n", What::ChunkExtension);
    body("0x1\r\nx\r\n0\r\n\r\n", What::ChunkSize);
    body("+1\r\nx\r\n0\r\n\r\n", What::ChunkSize);
    body("-1\r\nx\r\n0\r\n\r\n", What::ChunkSize);
    body("\r\n0\r\n\r\n", What::ChunkSize);
    body("ffffffffffffffff\r\nx", What::ChunkTooLarge);
    body("100000000000000000001\r\nx", What::ChunkTooLarge);
    body("1;a\nGET / HTTP/1.1\r\n\r\n", What::ChunkExtension);
    body("1;\nx\r\n0\r\n\r\n", What::ChunkExtension);
    body("1;a=\"\r\n\"\r\nx\r\n0\r\n\r\n", What::ChunkExtension);
    body("1;a\rX", What::LineEnd);
    body("0\r\n\n", What::LineEnd);
    body("0\r\nContent-Length: 5\r\n\r\n", What::TrailerForbidden);
    body("0\r\nTransfer-Encoding: chunked\r\n\r\n", What::TrailerForbidden);
    body("0\r\nHost: b\r\n\r\n", What::TrailerForbidden);
    body("0\r\nGET / HTTP/1.1\r\n\r\n", What::TrailerField);
    body("0\r\nX : y\r\n\r\n", What::TrailerField);
    body("0\r\nX: y\r\n z\r\n\r\n", What::TrailerField);
}

#[track_caller]
fn answer(text: &str, asked: Asked, expected: What) {
    let mut scratch = Scratch::new();
    let mut progress = Progress::default();
    let result = parse::response_head(text.as_bytes(), asked, &mut progress, BOUNDS, &mut scratch);
    let misbehaved = result.map(|_| ()).expect_err(text);
    assert_eq!((misbehaved.who, misbehaved.what), (Who::Origin, expected), "{text:?}");
    assert_eq!(misbehaved.status(), 502);
}

#[test]
fn answers_that_could_be_taken_for_two() {
    let ok = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
    let both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
    answer(&ok(both), Asked::Plain, What::LengthAndCoding);
    answer(&ok(both), Asked::Head, What::LengthAndCoding);
    answer(&ok("Content-Length: 5\r\nContent-Length: 5\r\n"), Asked::Plain, What::LengthRepeated);
    answer(&ok("Content-Length: +5\r\n"), Asked::Plain, What::LengthMalformed);
    answer(&ok("Transfer-Encoding: gzip\r\n"), Asked::Plain, What::CodingUnknown);
    answer(&ok("Transfer-Encoding: chunked, x\r\n"), Asked::Plain, What::CodingMalformed);
    answer(&ok("X: y\n"), Asked::Plain, What::LineEnd);
    answer(&ok("X : y\r\n"), Asked::Plain, What::FieldName);
    answer(&ok("X: y\r\n z\r\n"), Asked::Plain, What::FieldName);
    let no_content = "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n";
    answer(no_content, Asked::Plain, What::LengthUnexpected);
    let no_content = "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n";
    answer(no_content, Asked::Plain, What::CodingUnexpected);
    let early = "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n";
    answer(early, Asked::Plain, What::LengthUnexpected);
    let switch = "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    answer(switch, Asked::Plain, What::SwitchUnasked);
    answer("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Asked::Plain, {
        What::CodingOnOldVersion
    });
    answer("HTTP/1.1 20 OK\r\n\r\n", Asked::Plain, What::StartLine);
    answer("HTTP/1.1  200 OK\r\n\r\n", Asked::Plain, What::StartLine);
    answer("\r\nHTTP/1.1 200 OK\r\n\r\n", Asked::Plain, What::BlankLines);
}
