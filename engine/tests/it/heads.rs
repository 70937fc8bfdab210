//! What an accepted head means survives being written and read again, and nothing is decided before
//! the last byte is there.

use engine::base::prng::Prng;
use engine::h1::parse::{self, Bounds, Parsed, Progress, Scratch};
use engine::h1::write::Writer;
use engine::http::alias::Aliases;
use engine::http::blame::Misbehaved;
use engine::http::framing::{Asked, Framing};
use engine::http::head::{RequestHead, ResponseHead};
use engine::http::target::{self, Rewritten};

const BOUNDS: Bounds = Bounds { bytes_max: 8192, fields_max: 64, aliases: Aliases::KEPT };
const ASKED: [Asked; 4] = [Asked::Plain, Asked::Head, Asked::Connect, Asked::Upgrade];

const METHODS: &[&str] =
    &["GET", "HEAD", "POST", "PUT", "OPTIONS", "CONNECT", "DELETE", "PURGE", "get", "M-SEARCH"];
const TARGETS: &[&str] = &[
    "/",
    "/a/b?c=d",
    "/a//./b/../c%2f%41?x;y",
    "*",
    "http://b.example:8080/x?y",
    "a:443",
    "//",
    "/%",
    "HTTP://c",
    "/?",
    "/%E2%82%AC",
    "/{a}|b",
];
const STATUSES: &[u16] = &[100, 101, 103, 199, 200, 204, 206, 304, 404, 500, 599, 999];
const FIELDS: &[&str] = &[
    "Host: a.example",
    "host: B.example:81",
    "Host:",
    "Content-Length: 5",
    "content-length: 0",
    "Content-Length: 1, 2",
    "Transfer-Encoding: chunked",
    "TRANSFER-ENCODING:\tCHUNKED ",
    "Transfer-Encoding: gzip",
    "Connection: close",
    "Connection: keep-alive",
    "Connection: Upgrade, X-A",
    "Upgrade: websocket",
    "Upgrade: h2c",
    "X-A: b",
    "X-B:",
    "X-C: \u{e9}\u{20ac}",
    "Expect: 100-continue",
    "TE: trailers",
    "Trailer: x",
    "Cookie: a=b; c=d",
    "X-Forwarded-For: 1.2.3.4",
    "Keep-Alive: timeout=5",
    "x-d:   spaces   inside\tand  out \t",
];

fn pick<'a, T>(prng: &mut Prng, from: &'a [T]) -> &'a T {
    &from[usize::try_from(prng.below(from.len() as u64)).expect("small")]
}

fn lines(prng: &mut Prng) -> String {
    let mut text = String::new();
    if !prng.one_in(8) {
        text += "Host: a\r\n";
    }
    for _ in 0..prng.below(6) {
        let line = pick(prng, FIELDS);
        if line.len() > 16 || prng.one_in(2) {
            text += line;
            text += "\r\n";
        }
    }
    text + "\r\n"
}

fn random_request(prng: &mut Prng) -> String {
    let version = if prng.one_in(5) { "HTTP/1.0" } else { "HTTP/1.1" };
    let lead = if prng.one_in(9) { "\r\n" } else { "" };
    format!("{lead}{} {} {version}\r\n{}", pick(prng, METHODS), pick(prng, TARGETS), lines(prng))
}

fn random_response(prng: &mut Prng) -> String {
    let version = if prng.one_in(5) { "HTTP/1.0" } else { "HTTP/1.1" };
    format!("{version} {} Why not\r\n{}", pick(prng, STATUSES), lines(prng))
}

/// Reads `text` and hands the head to `then`.
fn on_request<T>(
    text: &[u8],
    then: impl FnOnce(&RequestHead<'_>, usize) -> T,
) -> Result<Option<T>, Misbehaved> {
    let mut scratch = Scratch::new();
    Ok(match parse::request_head(text, &mut Progress::default(), BOUNDS, &mut scratch)? {
        Parsed::Partial => None,
        Parsed::Complete { head, bytes } => Some(then(&head, bytes)),
    })
}

fn on_response<T>(
    text: &[u8],
    asked: Asked,
    then: impl FnOnce(&ResponseHead<'_>, usize) -> T,
) -> Result<Option<T>, Misbehaved> {
    let mut scratch = Scratch::new();
    Ok(match parse::response_head(text, asked, &mut Progress::default(), BOUNDS, &mut scratch)? {
        Parsed::Partial => None,
        Parsed::Complete { head, bytes } => Some(then(&head, bytes)),
    })
}

/// Everything but the version, which is always written as 1.1.
fn meaning(head: &RequestHead<'_>) -> String {
    let RequestHead { method, target, fields, host, framing, .. } = head;
    format!("{method:?} {target} {host:?} {framing:?} {fields:?}")
}

fn written(write: impl Fn(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = vec![0; 8192];
    let mut writer = Writer::new(&mut out);
    write(&mut writer);
    let count = writer.finish().expect("8 KiB are enough");
    out.truncate(count);
    out
}

fn write_whole(head: &RequestHead<'_>) -> Vec<u8> {
    written(|out| {
        out.request_line(head.method.as_str(), head.target, None);
        out.fields(head.fields);
        out.end();
    })
}

#[test]
fn an_accepted_request_is_partial_until_its_last_byte_and_reads_back_the_same() {
    let mut prng = Prng::new(1);
    let mut accepted = 0;
    for _ in 0..20_000 {
        let text = random_request(&mut prng);
        let whole = on_request(text.as_bytes(), |head, bytes| {
            assert_eq!(bytes, text.len(), "{text:?}");
            (meaning(head), write_whole(head), head.host.is_some())
        });
        let Ok(whole) = whole else { continue };
        let (meant, again, has_host) = whole.expect("a head with its empty line is whole");
        accepted += 1;
        for end in 0..text.len() {
            let part = on_request(&text.as_bytes()[..end], |_, _| ());
            assert_eq!(part, Ok(None), "{end} of {text:?}");
        }
        if has_host {
            let read = on_request(&again, |head, _| meaning(head));
            assert_eq!(read, Ok(Some(meant)), "{text:?}");
        }
    }
    assert!(accepted > 5_000, "{accepted}");
}

/// What a gateway sends on: the canonical target, no field of this hop, framing of its own.
fn forward(head: &RequestHead<'_>) -> Option<Vec<u8>> {
    let mut rewritten = Rewritten::default();
    let target = target::read(head, &mut rewritten).ok()?;
    let host_sent = head.host.is_some();
    (host_sent && target.form != target::Form::Authority).then(|| {
        written(|out| {
            out.request_line(head.method.as_str(), target.path, target.query);
            out.fields(head.end_to_end());
            if head.framing == Framing::Chunked {
                out.chunked();
            }
            out.end();
        })
    })
}

#[test]
fn a_forwarded_request_is_framed_as_it_came_and_forwards_to_itself() {
    let mut prng = Prng::new(2);
    let mut forwarded = 0;
    for _ in 0..20_000 {
        let text = random_request(&mut prng);
        let Ok(Some((framing, Some(sent)))) =
            on_request(text.as_bytes(), |head, _| (head.framing, forward(head)))
        else {
            continue;
        };
        forwarded += 1;
        let again = on_request(&sent, |head, _| {
            assert_eq!(head.framing, framing, "{text:?}");
            assert_eq!(head.upgrade, None, "{text:?}");
            forward(head)
        });
        assert_eq!(again, Ok(Some(Some(sent))), "{text:?}");
    }
    assert!(forwarded > 4_000, "{forwarded}");
}

#[test]
fn an_accepted_response_is_partial_until_its_last_byte_and_is_framed_the_same_when_sent_on() {
    let mut prng = Prng::new(3);
    let mut accepted = 0;
    for _ in 0..20_000 {
        let text = random_response(&mut prng);
        let asked = *pick(&mut prng, &ASKED);
        let read = on_response(text.as_bytes(), asked, |head, bytes| {
            assert_eq!(bytes, text.len(), "{text:?}");
            (head.framing, send_on(head))
        });
        let Ok(read) = read else { continue };
        let (framing, sent) = read.expect("a head with its empty line is whole");
        accepted += 1;
        for end in 0..text.len() {
            let part = on_response(&text.as_bytes()[..end], asked, |_, _| ());
            assert_eq!(part, Ok(None), "{end} of {text:?}");
        }
        let again = on_response(&sent, asked, |head, _| head.framing);
        assert_eq!(again, Ok(Some(framing)), "{text:?}");
    }
    assert!(accepted > 5_000, "{accepted}");
}

fn send_on(head: &ResponseHead<'_>) -> Vec<u8> {
    written(|out| {
        out.status_line(head.status, head.reason);
        out.fields(head.end_to_end());
        if let Some(upgrade) = head.upgrade {
            out.field("Connection", b"Upgrade");
            out.field("Upgrade", upgrade.as_bytes());
        }
        if head.framing == Framing::Chunked {
            out.chunked();
        }
        out.end();
    })
}
