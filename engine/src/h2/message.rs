//! Fields of HTTP/2 to the lines of a head and back. Everything behind the codec reads one kind of
//! head, whatever version it came in: pseudo-fields become the first line, and what RFC 9113 §8
//! calls malformed never becomes a head at all.

use super::hpack::Encoder;
use crate::http::fields::{is_token, is_value, trim};
use crate::http::websocket;
use std::ops::Range;

const WEBSOCKET: &[u8] = websocket::PROTOCOL.as_bytes();

/// Which kind of block is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Section {
    Request,
    Response,
    Trailers,
}

/// The message breaks the rules of RFC 9113 §8.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// What a block of fields came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gathered {
    /// Of a response; 0 otherwise.
    pub status: u16,
    pub length: Option<u64>,
    /// The request asks for a tunnel of some protocol (RFC 8441 §4).
    pub tunnel: bool,
    /// The list is longer than we take, and only its beginning was kept.
    pub too_large: bool,
}

/// Memory in which one block after another becomes lines.
#[derive(Debug, Default)]
pub struct Gather {
    /// The lines so far; of a finished head, all of it.
    pub text: Vec<u8>,
    /// Pseudo-fields, until they make the first line.
    pseudo: Vec<u8>,
    cookies: Vec<u8>,
    /// What is encoded, on its way out.
    pub block: Vec<u8>,
    parts: Parts,
}

#[derive(Clone, Debug, Default)]
struct Parts {
    method: Option<Range<usize>>,
    scheme: Option<Range<usize>>,
    authority: Option<Range<usize>>,
    path: Option<Range<usize>>,
    protocol: Option<Range<usize>>,
    status: Option<Range<usize>>,
    /// The first line is written: no more pseudo-fields.
    begun: bool,
    hosted: bool,
    malformed: bool,
    length: Option<u64>,
    lengths: u32,
    bytes: usize,
    too_large: bool,
}

impl Gather {
    pub fn begin(&mut self) {
        self.text.clear();
        self.pseudo.clear();
        self.cookies.clear();
        self.parts = Parts::default();
    }

    /// Takes the next field of a block.
    pub fn field(&mut self, section: Section, name: &[u8], value: &[u8], bytes_max: usize) {
        self.parts.bytes += name.len() + value.len() + 32;
        if self.parts.bytes > bytes_max {
            self.parts.too_large = true;
            return;
        }
        let fine = match name.first() {
            Some(b':') => self.pseudo_field(section, name, value),
            _ => self.plain_field(section, name, value),
        };
        self.parts.malformed |= !fine;
    }

    /// How often the block, as long as it is once it is decompressed, fills a limit that it is
    /// over; 0 if it is not.
    pub fn fills(&self, bytes_max: u32) -> u32 {
        match self.parts.too_large {
            true => u32::try_from(self.parts.bytes / bytes_max.max(1) as usize).unwrap_or(u32::MAX),
            false => 0,
        }
    }

    fn pseudo_field(&mut self, section: Section, name: &[u8], value: &[u8]) -> bool {
        if self.parts.begun {
            return false;
        }
        let part = match (section, name) {
            (Section::Request, b":method") => &mut self.parts.method,
            (Section::Request, b":scheme") => &mut self.parts.scheme,
            (Section::Request, b":authority") => &mut self.parts.authority,
            (Section::Request, b":path") => &mut self.parts.path,
            (Section::Request, b":protocol") => &mut self.parts.protocol,
            (Section::Response, b":status") => &mut self.parts.status,
            _ => return false,
        };
        let start = self.pseudo.len();
        self.pseudo.extend_from_slice(value);
        part.replace(start..start + value.len()).is_none()
    }

    fn plain_field(&mut self, section: Section, name: &[u8], value: &[u8]) -> bool {
        if !is_name(name) || !is_clean(value) || is_of_connection(name) {
            return false;
        }
        if !self.parts.begun && section != Section::Trailers && !self.first_line(section) {
            return false;
        }
        match name {
            b"te" => {
                let asks = section == Section::Request;
                if !asks || !value.eq_ignore_ascii_case(b"trailers") {
                    return false;
                }
            }
            b"content-length" => return self.content_length(section, value),
            b"cookie" if section == Section::Request => {
                if !self.cookies.is_empty() {
                    self.cookies.extend_from_slice(b"; ");
                }
                self.cookies.extend_from_slice(value);
                return true;
            }
            b"host" if section == Section::Request && self.parts.hosted => {
                let authority = self.part(self.parts.authority.as_ref());
                return authority.eq_ignore_ascii_case(value);
            }
            _ => {}
        }
        self.line(name, value);
        true
    }

    /// Two that agree are one; RFC 9110 §8.6 lets a recipient repair that or refuse it.
    fn content_length(&mut self, section: Section, value: &[u8]) -> bool {
        let digits = !value.is_empty() && value.len() <= 19 && value.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        self.parts.lengths += 1;
        self.parts.length = number;
        let tunnel = self.parts.protocol.is_some();
        let bare = tunnel || section == Section::Trailers;
        if !digits || number.is_none() || self.parts.lengths > 1 || bare {
            return false;
        }
        self.line(b"content-length", value);
        true
    }

    fn part(&self, range: Option<&Range<usize>>) -> &[u8] {
        range.map_or(b"", |range| &self.pseudo[range.clone()])
    }

    /// Makes the first line, and `Host`, of the pseudo-fields.
    fn first_line(&mut self, section: Section) -> bool {
        self.parts.begun = true;
        match section {
            Section::Request => self.request_line(),
            Section::Response => self.status_line(),
            Section::Trailers => true,
        }
    }

    fn request_line(&mut self) -> bool {
        let parts = self.parts.clone();
        let part = |range: &Option<Range<usize>>| range.clone().map(|range| &self.pseudo[range]);
        let Some(method) = part(&parts.method).filter(|method| is_token(method)) else {
            return false;
        };
        let authority = part(&parts.authority);
        if authority.is_some_and(|authority| authority.is_empty() || !is_visible(authority)) {
            return false;
        }
        let protocol = part(&parts.protocol);
        let connects = method == b"CONNECT";
        if protocol.is_some() && !connects {
            return false;
        }
        let target = if connects && protocol.is_none() {
            if parts.scheme.is_some() || parts.path.is_some() {
                return false;
            }
            authority
        } else {
            let scheme = part(&parts.scheme);
            if !scheme.is_some_and(|it| matches!(it, b"http" | b"https")) {
                return false;
            }
            part(&parts.path).filter(|path| path.starts_with(b"/") || *path == b"*")
        };
        let Some(target) = target.filter(|target| is_visible(target)) else { return false };
        let unknown = protocol.is_some_and(|protocol| protocol != WEBSOCKET);
        let (method, target) = match (protocol, authority) {
            (Some(protocol), _) if !is_token(protocol) => return false,
            // Any other tunnel is asked for like the one that CONNECT has always meant.
            (Some(_), Some(authority)) if unknown => (method, authority),
            (Some(_), None) => return false,
            (Some(_), Some(_)) => (&b"GET"[..], target),
            (None, _) => (method, target),
        };
        self.text.extend_from_slice(method);
        self.text.push(b' ');
        self.text.extend_from_slice(target);
        if unknown && !target.rsplit(|b| *b == b']').next().unwrap_or(b"").contains(&b':') {
            let secure = part(&parts.scheme) == Some(b"https");
            self.text.extend_from_slice(if secure { b":443" } else { b":80" });
        }
        self.text.extend_from_slice(b" HTTP/1.1\r\n");
        if let Some(authority) = authority {
            self.parts.hosted = true;
            self.text.extend_from_slice(b"host: ");
            self.text.extend_from_slice(authority);
            self.text.extend_from_slice(b"\r\n");
        }
        if protocol.is_some() && !unknown {
            self.text.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n");
        }
        true
    }

    fn status_line(&mut self) -> bool {
        let status = self.parts.status.clone().map(|range| &self.pseudo[range]);
        let Some(status @ [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9']) = status else { return false };
        // RFC 9113 §8.6: there is no switch of protocols.
        if status == b"101" {
            return false;
        }
        self.text.extend_from_slice(b"HTTP/1.1 ");
        self.text.extend_from_slice(status);
        self.text.extend_from_slice(b" \r\n");
        true
    }

    fn line(&mut self, name: &[u8], value: &[u8]) {
        self.text.extend_from_slice(name);
        self.text.extend_from_slice(b": ");
        self.text.extend_from_slice(value);
        self.text.extend_from_slice(b"\r\n");
    }

    /// Completes the head; `ended` says that no content follows.
    pub fn finish(&mut self, section: Section, ended: bool) -> Result<Gathered, Malformed> {
        let whole = self.parts.begun || section == Section::Trailers || self.first_line(section);
        let Parts { length, too_large, malformed, .. } = self.parts;
        if malformed || !whole {
            return Err(Malformed);
        }
        let status = self.part(self.parts.status.as_ref());
        let status = std::str::from_utf8(status).ok().and_then(|it| it.parse().ok()).unwrap_or(0);
        if section == Section::Request {
            if ended && length.is_some_and(|length| length > 0) {
                return Err(Malformed);
            }
            if !self.cookies.is_empty() {
                let cookies = std::mem::take(&mut self.cookies);
                self.line(b"cookie", &cookies);
                self.cookies = cookies;
            }
            if !ended && length.is_none() && self.parts.protocol.is_none() {
                self.line(b"transfer-encoding", b"chunked");
            }
        }
        if section != Section::Trailers {
            self.text.extend_from_slice(b"\r\n");
        }
        let tunnel = self.parts.protocol.is_some();
        Ok(Gathered { status, length, tunnel, too_large })
    }
}

/// RFC 9113 §8.2.1, as strict as it allows: a token without upper-case letters.
fn is_name(name: &[u8]) -> bool {
    is_token(name) && !name.iter().any(u8::is_ascii_uppercase)
}

fn is_clean(value: &[u8]) -> bool {
    is_value(value) && trim(value).len() == value.len()
}

fn is_visible(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|b| (0x21..0x7f).contains(b))
}

/// RFC 9113 §8.2.2.
fn is_of_connection(name: &[u8]) -> bool {
    match name.len() {
        7 => name == b"upgrade",
        10 => matches!(name, b"connection" | b"keep-alive"),
        16 => name == b"proxy-connection",
        17 => name == b"transfer-encoding",
        _ => false,
    }
}

/// Encodes the head of a response from its lines.
pub fn encode_response(text: &[u8], encoder: &mut Encoder, out: &mut Vec<u8>) {
    out.clear();
    encoder.begin(out);
    let (first, rest) = split_line(text);
    encoder.field(b":status", first.get(9..12).unwrap_or(b"502"), out);
    encode_lines(rest, encoder, out);
}

/// Encodes the head of a request from its lines, the first field of which is `Host`.
pub fn encode_request(text: &[u8], scheme: &[u8], encoder: &mut Encoder, out: &mut Vec<u8>) {
    out.clear();
    encoder.begin(out);
    let (first, rest) = split_line(text);
    let mut words = first.split(|b| *b == b' ');
    let method = words.next().unwrap_or(b"");
    let target = words.next().unwrap_or(b"");
    let (host, rest) = split_line(rest);
    let authority = host.get(6..).unwrap_or(b"");
    encoder.field(b":method", method, out);
    encoder.field(b":scheme", scheme, out);
    if !authority.is_empty() {
        encoder.field(b":authority", authority, out);
    }
    encoder.field(b":path", target, out);
    encode_lines(rest, encoder, out);
}

/// Encodes the request for a WebSocket, which in these lines asks to switch protocols, as the
/// extended CONNECT of RFC 8441 §5. There is no key on a stream.
pub fn encode_websocket(text: &[u8], scheme: &[u8], encoder: &mut Encoder, out: &mut Vec<u8>) {
    out.clear();
    encoder.begin(out);
    let (first, rest) = split_line(text);
    let target = first.split(|b| *b == b' ').nth(1).unwrap_or(b"");
    let (host, rest) = split_line(rest);
    encoder.field(b":method", b"CONNECT", out);
    encoder.field(b":protocol", WEBSOCKET, out);
    encoder.field(b":scheme", scheme, out);
    encoder.field(b":authority", host.get(6..).unwrap_or(b""), out);
    encoder.field(b":path", target, out);
    encode_each(rest, |name, value| {
        if name != b"sec-websocket-key" && name != b"content-length" {
            encode_line(name, value, encoder, out);
        }
    });
}

/// Encodes trailers from their lines.
pub fn encode_trailers(text: &[u8], encoder: &mut Encoder, out: &mut Vec<u8>) {
    out.clear();
    encoder.begin(out);
    encode_lines(text, encoder, out);
}

fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|b| *b == b'\n').map_or(text.len(), |at| at + 1);
    let (line, rest) = text.split_at(end);
    (line.strip_suffix(b"\r\n").unwrap_or(line), rest)
}

fn encode_lines(text: &[u8], encoder: &mut Encoder, out: &mut Vec<u8>) {
    encode_each(text, |name, value| encode_line(name, value, encoder, out));
}

/// Goes through field lines, with their names in lower case.
fn encode_each(mut text: &[u8], mut each: impl FnMut(&[u8], &[u8])) {
    let mut lower = [0; 128];
    while !text.is_empty() {
        let (line, rest) = split_line(text);
        text = rest;
        let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
        let value = trim(&line[colon + 1..]);
        let name = &line[..colon];
        match lower.get_mut(..colon) {
            Some(short) => {
                short.copy_from_slice(name);
                short.make_ascii_lowercase();
                each(short, value);
            }
            None => each(&name.to_ascii_lowercase(), value),
        }
    }
}

fn encode_line(name: &[u8], value: &[u8], encoder: &mut Encoder, out: &mut Vec<u8>) {
    if !is_of_connection(name) && name != b"host" {
        encoder.field(name, value, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(section: Section, ended: bool, fields: &[(&str, &str)]) -> String {
        let mut gather = Gather::default();
        gather.begin();
        for (name, value) in fields {
            gather.field(section, name.as_bytes(), value.as_bytes(), 1 << 16);
        }
        match gather.finish(section, ended) {
            Ok(_) => String::from_utf8_lossy(&gather.text).replace("\r\n", "|"),
            Err(Malformed) => "malformed".to_owned(),
        }
    }

    const GET: [(&str, &str); 4] =
        [(":method", "GET"), (":scheme", "http"), (":authority", "a.b"), (":path", "/c")];

    /// The request above with fields added.
    #[track_caller]
    fn request(more: &[(&str, &str)], expected: &str) {
        let fields: Vec<_> = GET.iter().chain(more).copied().collect();
        let expected = match expected {
            "malformed" => expected.to_owned(),
            lines => format!("GET /c HTTP/1.1|host: a.b|{lines}|"),
        };
        assert_eq!(gathered(Section::Request, true, &fields), expected, "{more:?}");
    }

    #[test]
    fn a_request_becomes_a_head() {
        request(&[], "");
        request(&[("accept", "*/*"), ("x-empty", "")], "accept: */*|x-empty: |");
        request(&[("te", "trailers")], "te: trailers|");
        request(&[("host", "A.b")], "");
        request(&[("content-length", "0")], "content-length: 0|");
        request(&[("cookie", "a=b"), ("x", "y"), ("cookie", "c=d")], "x: y|cookie: a=b; c=d|");
    }

    #[test]
    fn what_rfc_9113_calls_malformed_is_no_request() {
        for (name, value) in [
            ("Accept", "a"),
            ("", "a"),
            ("a b", "c"),
            ("a:b", "c"),
            ("a", " b"),
            ("a", "b\t"),
            ("a", "b\rc"),
            ("a", "b\nc"),
            ("a", "b\0c"),
            ("connection", "close"),
            ("keep-alive", "1"),
            ("proxy-connection", "close"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("te", "trailers, deflate"),
            ("host", "other"),
            ("content-length", "1"),
            ("content-length", "+0"),
            ("content-length", ""),
            (":path", "/d"),
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "a.b"),
            (":status", "200"),
            (":protocol", "websocket"),
            (":unknown", ""),
        ] {
            request(&[(name, value)], "malformed");
        }
        request(&[("content-length", "0"), ("content-length", "0")], "malformed");
        request(&[("a", "b"), (":authority", "a.b")], "malformed");
    }

    #[track_caller]
    fn pseudo(fields: &[(&str, &str)], expected: &str) {
        assert_eq!(gathered(Section::Request, true, fields), expected, "{fields:?}");
    }

    #[test]
    fn pseudo_fields_make_the_first_line_or_no_request() {
        let [method, scheme, authority, path] = GET;
        pseudo(&[path, authority, scheme, method], "GET /c HTTP/1.1|host: a.b||");
        pseudo(&[method, scheme, path, ("host", "x")], "GET /c HTTP/1.1|host: x||");
        pseudo(&[method, scheme, path], "GET /c HTTP/1.1||");
        pseudo(&[scheme, authority, path], "malformed");
        pseudo(&[method, authority, path], "malformed");
        pseudo(&[method, scheme, authority], "malformed");
        pseudo(&[method, scheme, authority, (":path", "")], "malformed");
        pseudo(&[method, scheme, authority, (":path", "c")], "malformed");
        pseudo(&[method, scheme, authority, (":path", "http://x/")], "malformed");
        pseudo(&[method, scheme, authority, (":path", "/a b")], "malformed");
        pseudo(&[method, (":scheme", "ftp"), authority, path], "malformed");
        pseudo(&[(":method", "G T"), scheme, authority, path], "malformed");
        pseudo(&[method, scheme, (":authority", "a\r\nb: c"), path], "malformed");
        pseudo(&[method, scheme, (":authority", ""), path], "malformed");
        pseudo(
            &[(":method", "CONNECT"), (":authority", "a:1")],
            "CONNECT a:1 HTTP/1.1|host: a:1||",
        );
        pseudo(&[(":method", "CONNECT")], "malformed");
        pseudo(&[(":method", "CONNECT"), authority, path], "malformed");
        pseudo(
            &[(":method", "OPTIONS"), scheme, authority, (":path", "*")],
            "OPTIONS * HTTP/1.1|host: a.b||",
        );
        pseudo(&[], "malformed");
    }

    #[test]
    fn content_without_a_length_is_chunked_for_whoever_reads_on() {
        let fields: Vec<_> = GET.into_iter().chain([("a", "b")]).collect();
        let head = "GET /c HTTP/1.1|host: a.b|a: b|transfer-encoding: chunked||";
        assert_eq!(gathered(Section::Request, false, &fields), head);
        let fields: Vec<_> = GET.into_iter().chain([("content-length", "5")]).collect();
        let head = "GET /c HTTP/1.1|host: a.b|content-length: 5||";
        assert_eq!(gathered(Section::Request, false, &fields), head);
    }

    #[track_caller]
    fn response(fields: &[(&str, &str)], expected: &str) {
        assert_eq!(gathered(Section::Response, true, fields), expected, "{fields:?}");
    }

    #[test]
    fn responses_and_trailers() {
        response(&[(":status", "200"), ("a", "b")], "HTTP/1.1 200 |a: b||");
        response(&[(":status", "103")], "HTTP/1.1 103 ||");
        for status in ["", "20", "2000", "abc", "099", "101"] {
            response(&[(":status", status)], "malformed");
        }
        response(&[("a", "b")], "malformed");
        response(&[(":status", "200"), (":path", "/")], "malformed");
        response(&[(":status", "200"), ("te", "trailers")], "malformed");
        let trailers = |fields: &[_]| gathered(Section::Trailers, true, fields);
        assert_eq!(trailers(&[("grpc-status", "0"), ("b", "")]), "grpc-status: 0|b: |");
        assert_eq!(trailers(&[(":status", "200")]), "malformed");
        assert_eq!(trailers(&[("content-length", "0")]), "malformed");
    }

    #[test]
    fn a_list_that_is_too_long_is_told_apart() {
        let mut gather = Gather::default();
        gather.begin();
        for (name, value) in GET {
            gather.field(Section::Request, name.as_bytes(), value.as_bytes(), 200);
        }
        gather.field(Section::Request, b"x", &[b'y'; 100], 200);
        let gathered = gather.finish(Section::Request, true);
        assert_eq!(gathered.map(|it| it.too_large), Ok(true));
    }

    #[test]
    fn a_head_survives_the_way_there_and_back() {
        use crate::h2::hpack::Decoder;
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        let mut block = Vec::new();
        let head =
            "PUT /a?b HTTP/1.1\r\nHost: x:1\r\nConnection: close\r\nX-A: 1\r\nTe: trailers\r\n\r\n";
        for _ in 0..3 {
            encode_request(head.as_bytes(), b"http", &mut encoder, &mut block);
            let mut fields = Vec::new();
            decoder
                .decode(&block, |name, value| {
                    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                    fields.push(format!("{}={}", text(name), text(value)));
                })
                .expect("a fine block");
            let expected = ":method=PUT :scheme=http :authority=x:1 :path=/a?b x-a=1 te=trailers";
            assert_eq!(fields.join(" "), expected);
        }
        let long = "HTTP/1.1 204 No Content\r\nDate: now\r\nKeep-Alive: 5\r\n\r\n";
        encode_response(long.as_bytes(), &mut encoder, &mut block);
        let mut fields = Vec::new();
        decoder.decode(&block, |n, v| fields.push((n.to_vec(), v.to_vec()))).expect("a block");
        assert_eq!(fields.len(), 2);
        assert_eq!(fields[0], (b":status".to_vec(), b"204".to_vec()));
    }
}
