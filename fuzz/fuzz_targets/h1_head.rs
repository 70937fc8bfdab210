//! Heads: an accepted one is partial at every shorter length, says the same when its bytes trickle
//! in, is framed as a naive reader frames it, and forwards to something that forwards to itself.

#![no_main]

use engine::http::alias::Aliases;
use engine::h1::parse::{self, Bounds, Parsed, Progress, Scratch};
use engine::h1::write::Writer;
use engine::http::blame::Misbehaved;
use engine::http::framing::{Asked, Framing};
use engine::http::head::{RequestHead, ResponseHead};
use engine::http::target::{self, Form, Rewritten};
use libfuzzer_sys::fuzz_target;

const BOUNDS: Bounds = Bounds { bytes_max: 2048, fields_max: 32, aliases: Aliases::KEPT };
const ASKED: [Asked; 4] = [Asked::Plain, Asked::Head, Asked::Connect, Asked::Upgrade];

/// What both kinds of head are compared by.
#[derive(PartialEq, Debug)]
struct Read {
    framing: Framing,
    fields: Vec<(String, Vec<u8>)>,
    bytes: usize,
    forwarded: Option<Vec<u8>>,
}

fuzz_target!(|data: &[u8]| {
    check(data, &read_request);
    for asked in ASKED {
        check(data, &|data, progress| read_response(data, asked, progress));
    }
});

fn check(data: &[u8], read: &impl Fn(&[u8], &mut Progress) -> Result<Option<Read>, Misbehaved>) {
    let whole = read(data, &mut Progress::default());
    if let Ok(Some(head)) = &whole {
        let naive = naive_fields(&data[..head.bytes]);
        assert_eq!(head.fields, naive);
        if !matches!(head.framing, Framing::Empty | Framing::Tunnel) {
            assert_eq!(head.framing, naive_framing(&naive, head.framing));
        }
        for end in 0..head.bytes {
            assert_eq!(read(&data[..end], &mut Progress::default()), Ok(None), "{end}");
        }
        if let Some(forwarded) = &head.forwarded {
            let again = read(forwarded, &mut Progress::default());
            let again = again.expect("what is forwarded is fine").expect("and whole");
            assert_eq!(again.framing, head.framing);
            assert_eq!(again.forwarded.as_ref(), Some(forwarded));
        }
    }
    let mut progress = Progress::default();
    let first = (1..=data.len()).find_map(|end| match read(&data[..end], &mut progress) {
        Ok(None) => None,
        other => Some(other),
    });
    match (first, whole) {
        (Some(Ok(trickled)), whole) => assert_eq!(Ok(trickled), whole),
        (Some(Err(_)), whole) => assert!(whole.is_err(), "{whole:?}"),
        (None, whole) => assert!(!matches!(whole, Ok(Some(_)))),
    }
}

fn read_request(data: &[u8], progress: &mut Progress) -> Result<Option<Read>, Misbehaved> {
    let mut scratch = Scratch::new();
    Ok(match parse::request_head(data, progress, BOUNDS, &mut scratch)? {
        Parsed::Partial => None,
        Parsed::Complete { head, bytes } => Some(Read {
            framing: head.framing,
            fields: owned(head.fields),
            bytes,
            forwarded: forward(&head),
        }),
    })
}

fn read_response(
    data: &[u8],
    asked: Asked,
    progress: &mut Progress,
) -> Result<Option<Read>, Misbehaved> {
    let mut scratch = Scratch::new();
    Ok(match parse::response_head(data, asked, progress, BOUNDS, &mut scratch)? {
        Parsed::Partial => None,
        Parsed::Complete { head, bytes } => Some(Read {
            framing: head.framing,
            fields: owned(head.fields),
            bytes,
            forwarded: send_on(&head),
        }),
    })
}

fn owned(fields: &[engine::http::fields::Field<'_>]) -> Vec<(String, Vec<u8>)> {
    fields.iter().map(|field| (field.name.to_owned(), field.value.to_owned())).collect()
}

/// Nothing if the result would be larger than the bounds that it is read with.
fn written(write: impl Fn(&mut Writer<'_>)) -> Option<Vec<u8>> {
    let mut out = vec![0; BOUNDS.bytes_max];
    let mut writer = Writer::new(&mut out);
    write(&mut writer);
    let count = writer.finish().ok()?;
    out.truncate(count);
    Some(out)
}

fn forward(head: &RequestHead<'_>) -> Option<Vec<u8>> {
    let mut rewritten = Rewritten::default();
    let target = target::read(head, &mut rewritten).ok()?;
    if target.form == Form::Authority || head.host.is_none() || head.fields.len() > 30 {
        return None;
    }
    written(|out| {
        out.request_line(head.method.as_str(), target.path, target.query);
        out.fields(head.end_to_end());
        if head.framing == Framing::Chunked {
            out.chunked();
        }
        out.end();
    })
}

fn send_on(head: &ResponseHead<'_>) -> Option<Vec<u8>> {
    if head.fields.len() > 28 {
        return None;
    }
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

/// Lines between CR LF, cut at their first colon.
fn naive_fields(head: &[u8]) -> Vec<(String, Vec<u8>)> {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    let text: String = head.iter().map(|b| char::from(*b)).collect();
    let mut lines = text.strip_suffix("\r\n\r\n").expect("a head ends so").split("\r\n");
    lines.next();
    lines
        .map(|line| {
            assert!(!line.contains(['\r', '\n', '\0']), "{line:?}");
            let (name, value) = line.split_once(':').expect("a field line has a colon");
            let value = value.trim_matches([' ', '\t']);
            let bytes = value.chars().map(|c| u8::try_from(u32::from(c)).expect("latin"));
            (name.to_owned(), bytes.collect())
        })
        .collect()
}

/// The framing if the fields are taken at their word and there is content at all.
fn naive_framing(fields: &[(String, Vec<u8>)], otherwise: Framing) -> Framing {
    let values = |wanted: &str| -> Vec<String> {
        fields
            .iter()
            .filter(|(name, _)| name.to_ascii_lowercase() == wanted)
            .map(|(_, value)| String::from_utf8_lossy(value).to_ascii_lowercase())
            .collect()
    };
    match (values("content-length").as_slice(), values("transfer-encoding").as_slice()) {
        ([], []) => {
            assert_eq!(otherwise, Framing::UntilClose);
            otherwise
        }
        ([length], []) => Framing::Length(length.parse().expect("an accepted length")),
        ([], [coding]) if coding == "chunked" => Framing::Chunked,
        (lengths, codings) => panic!("accepted {lengths:?} with {codings:?}"),
    }
}
