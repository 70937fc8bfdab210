//! What kind of content something is, by its first bytes (the MIME Sniffing Standard, as far as
//! Go's servers follow it).

/// So many bytes decide.
pub const BYTES_MAX: usize = 512;

const HTML: &str = "text/html; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// What begins a page, in any case, behind white space and before a space or `>`.
const TAGS: [&[u8]; 17] = [
    b"<!DOCTYPE HTML",
    b"<HTML",
    b"<HEAD",
    b"<SCRIPT",
    b"<IFRAME",
    b"<H1",
    b"<DIV",
    b"<FONT",
    b"<TABLE",
    b"<A",
    b"<STYLE",
    b"<TITLE",
    b"<B",
    b"<BODY",
    b"<BR",
    b"<P",
    b"<!--",
];

/// Bytes and where they stand. An empty piece says that there are so many bytes.
type Pieces = &'static [(usize, &'static [u8])];

/// The first that fits counts.
const MAGIC: [(Pieces, &str); 20] = [
    (&[(0, b"%PDF-")], "application/pdf"),
    (&[(0, b"%!PS-Adobe-")], "application/postscript"),
    (&[(0, b"\xfe\xff"), (4, b"")], "text/plain; charset=utf-16be"),
    (&[(0, b"\xff\xfe"), (4, b"")], "text/plain; charset=utf-16le"),
    (&[(0, b"\xef\xbb\xbf"), (4, b"")], PLAIN),
    (&[(0, b"\x00\x00\x01\x00")], "image/x-icon"),
    (&[(0, b"\x00\x00\x02\x00")], "image/x-icon"),
    (&[(0, b"BM")], "image/bmp"),
    (&[(0, b"GIF87a")], "image/gif"),
    (&[(0, b"GIF89a")], "image/gif"),
    (&[(0, b"RIFF"), (8, b"WEBPVP")], "image/webp"),
    (&[(0, b"\x89PNG\r\n\x1a\n")], "image/png"),
    (&[(0, b"\xff\xd8\xff")], "image/jpeg"),
    (&[(0, b"FORM"), (8, b"AIFF")], "audio/aiff"),
    (&[(0, b"ID3")], "audio/mpeg"),
    (&[(0, b"OggS\x00")], "application/ogg"),
    (&[(0, b"MThd\x00\x00\x00\x06")], "audio/midi"),
    (&[(0, b"RIFF"), (8, b"AVI ")], "video/avi"),
    (&[(0, b"RIFF"), (8, b"WAVE")], "audio/wave"),
    (&[(0, b"\x1a\x45\xdf\xa3")], "video/webm"),
];

/// The same, behind films.
const MORE_MAGIC: [(Pieces, &str); 11] = [
    (&[(34, b"LP")], "application/vnd.ms-fontobject"),
    (&[(0, b"\x00\x01\x00\x00")], "font/ttf"),
    (&[(0, b"OTTO")], "font/otf"),
    (&[(0, b"ttcf")], "font/collection"),
    (&[(0, b"wOFF")], "font/woff"),
    (&[(0, b"wOF2")], "font/woff2"),
    (&[(0, b"\x1f\x8b\x08")], "application/x-gzip"),
    (&[(0, b"PK\x03\x04")], "application/zip"),
    (&[(0, b"Rar!\x1a\x07\x00")], "application/x-rar-compressed"),
    (&[(0, b"Rar!\x1a\x07\x01\x00")], "application/x-rar-compressed"),
    (&[(0, b"\x00asm")], "application/wasm"),
];

/// The media type of content that begins so.
pub fn media_type(content: &[u8]) -> &'static str {
    let content = &content[..content.len().min(BYTES_MAX)];
    let white = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\x0c' | b'\r' | b' ');
    let start = content.iter().position(|byte| !white(byte)).unwrap_or(content.len());
    let text = &content[start..];
    if TAGS.iter().any(|tag| is_tag(text, tag)) {
        return HTML;
    }
    if text.starts_with(b"<?xml") {
        return "text/xml; charset=utf-8";
    }
    if let Some(kind) = known(&MAGIC, content) {
        return kind;
    }
    if is_film(content) {
        return "video/mp4";
    }
    if let Some(kind) = known(&MORE_MAGIC, content) {
        return kind;
    }
    let binary = |byte: &u8| matches!(byte, 0..=0x08 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f);
    if text.iter().any(binary) { "application/octet-stream" } else { PLAIN }
}

fn is_tag(text: &[u8], tag: &[u8]) -> bool {
    let Some((begins, rest)) = text.split_at_checked(tag.len()) else { return false };
    begins.eq_ignore_ascii_case(tag) && matches!(rest.first(), Some(b' ' | b'>'))
}

fn known(magic: &[(Pieces, &'static str)], content: &[u8]) -> Option<&'static str> {
    let stands = |(at, bytes): &(usize, &[u8])| content.get(*at..at + bytes.len()) == Some(*bytes);
    magic.iter().find(|(pieces, _)| pieces.iter().all(stands)).map(|(_, kind)| *kind)
}

/// A first box whose brands are those of MP4; its third word is a version.
fn is_film(content: &[u8]) -> bool {
    let Some(first) = content.first_chunk::<4>().filter(|_| content.len() >= 12) else {
        return false;
    };
    let size = usize::try_from(u32::from_be_bytes(*first)).unwrap_or(usize::MAX);
    if size % 4 != 0 || content.get(4..8) != Some(b"ftyp") {
        return false;
    }
    let Some(whole) = content.get(8..size) else { return false };
    whole.chunks(4).enumerate().any(|(at, brand)| at != 1 && brand.starts_with(b"mp4"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell_what_something_is() {
        let fonts = [&[0u8; 34][..], b"LP\x00"].concat();
        for (content, kind) in [
            (&b""[..], PLAIN),
            (b"hello", PLAIN),
            (b"{\"a\": 1}", PLAIN),
            (b"a\x1bb", PLAIN),
            (b" \n\x00", "application/octet-stream"),
            (b"a\x01", "application/octet-stream"),
            (b"<!doctype html>", HTML),
            (b"  \r\n<Html >", HTML),
            (b"<a href=b>", HTML),
            (b"<!-- a -->", HTML),
            (b"<h1>", HTML),
            (b"<h1", PLAIN),
            (b"<address>", PLAIN),
            (b"\n<?xml version=", "text/xml; charset=utf-8"),
            (b" %PDF-1", PLAIN),
            (b"%PDF-1", "application/pdf"),
            (b"%!PS-Adobe-3", "application/postscript"),
            (b"\xfe\xff\x00a", "text/plain; charset=utf-16be"),
            (b"\xff\xfea\x00", "text/plain; charset=utf-16le"),
            (b"\xef\xbb\xbfa", PLAIN),
            (b"\xfe\xff", PLAIN),
            (b"GIF89a", "image/gif"),
            (b"\x89PNG\r\n\x1a\n\x00", "image/png"),
            (b"\xff\xd8\xff", "image/jpeg"),
            (b"RIFF1234WEBPVP8", "image/webp"),
            (b"RIFF1234WAVEfmt", "audio/wave"),
            (b"RIFF1234WEBP", PLAIN),
            (b"\x00\x00\x00\x10ftypmp42\x00\x00\x00\x00", "video/mp4"),
            (b"\x00\x00\x00\x14ftypisom\x00\x00\x00\x00mp41", "video/mp4"),
            (b"\x00\x00\x00\x10ftypisommp41", "application/octet-stream"),
            (b"\x00\x00\x00\x10freemp42\x00\x00\x00\x00", "application/octet-stream"),
            (b"\x00\x00\x00\x0eftypmp42\x00\x00\x00\x00", "application/octet-stream"),
            (b"\x00\x00\x00\x20ftypmp42", "application/octet-stream"),
            (b"\x00\x00\x00\x13ftypmp42\x00\x00\x00\x00", "application/octet-stream"),
            (b"\x1a\x45\xdf\xa3", "video/webm"),
            (&fonts, "application/vnd.ms-fontobject"),
            (b"wOF2\x00", "font/woff2"),
            (b"\x1f\x8b\x08\x00", "application/x-gzip"),
            (b"PK\x03\x04", "application/zip"),
            (b"\x00asm\x01", "application/wasm"),
        ] {
            assert_eq!(media_type(content), kind, "{}", content.escape_ascii());
        }
    }

    #[test]
    fn no_more_is_looked_at_than_its_share() {
        let mut content = vec![b'a'; BYTES_MAX];
        content.push(0);
        assert_eq!(media_type(&content), PLAIN);
        content[BYTES_MAX - 1] = 0;
        assert_eq!(media_type(&content), "application/octet-stream");
    }
}
