//! A stream as an actor of HTTP/1.1 sees it: what it writes becomes frames, what comes becomes
//! lines and chunks. Malformed heads become nothing at all, but a word about what is wrong.

use super::frames::{CANCEL, INTERNAL_ERROR, NO_ERROR, PROTOCOL_ERROR};
use super::hpack::Fields;
use super::session::Session;
use crate::actors::codec::{Framing, Head, Part, Reader};
use crate::actors::sender::{Sender, Then};

#[derive(Debug, Default)]
pub struct Translator {
    reader: Reader,
    /// A final head was sent.
    headed: bool,
    /// The message that is sent is complete.
    whole: bool,
    /// Content that waits for a window.
    waiting: Vec<u8>,
    trailers: Vec<(String, String)>,
    then: Then,
    /// Of the request that is answered, so that the end of an answer is known.
    method: String,
    /// Of requests that are sent.
    scheme: &'static str,
    /// The content that comes is handed on in chunks.
    chunked: bool,
    /// A final head came.
    came: bool,
}

/// Content that may wait for a window.
const WAITING_MAX: usize = 16 * 1024;

/// Fields of one connection, and those that another field stands for.
const DROPPED: &[&str] =
    &["connection", "host", "transfer-encoding", "upgrade", "keep-alive", "proxy-connection"];

impl Translator {
    /// Of a request that is to be sent.
    pub fn of_request(method: &str, scheme: &'static str) -> Self {
        Self { method: method.to_owned(), scheme, ..Self::default() }
    }

    /// Moves what an actor wants to write into frames of `stream`; zero opens one. Returns the
    /// stream.
    pub fn send(&mut self, session: &mut Session, stream: u32, sender: &mut Sender) -> u32 {
        let mut stream = stream;
        loop {
            if self.waiting.len() < WAITING_MAX {
                let (bytes, then) = sender.take(WAITING_MAX);
                self.then = then.unwrap_or(self.then);
                self.reader.feed(&bytes);
                if self.read(session, &mut stream).is_err() {
                    session.reset(stream, PROTOCOL_ERROR);
                }
            }
            let before = self.waiting.len();
            self.flush(session, stream);
            if self.waiting.len() == before || sender.available() == 0 {
                break;
            }
        }
        if self.waiting.is_empty() && sender.available() == 0 {
            self.conclude(session, stream);
        }
        stream
    }

    fn read(&mut self, session: &mut Session, stream: &mut u32) -> Result<(), String> {
        while let Some(part) = self.reader.next_part()? {
            match part {
                Part::Head(head) => self.head(session, stream, &head)?,
                Part::Data { from, len } => {
                    if self.headed && !self.whole {
                        self.waiting.extend_from_slice(self.reader.data(from, len));
                    }
                }
                Part::End(trailers) => {
                    if self.headed && !self.whole {
                        self.whole = true;
                        self.trailers = trailers;
                    }
                }
            }
        }
        Ok(())
    }

    fn head(&mut self, session: &mut Session, stream: &mut u32, head: &Head) -> Result<(), String> {
        let fields = || head.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let kept = |(name, _): &(&str, &str)| !DROPPED.contains(name);
        if *stream == 0 {
            let framing = head.request_framing()?;
            self.reader.body(framing);
            let [method, target, _] = head.words()?;
            let host = head.get("host").unwrap_or_default();
            let mut all = vec![(":method", method), (":scheme", self.scheme), (":path", target)];
            all.push((":authority", host));
            all.extend(fields().filter(kept));
            self.headed = true;
            *stream = session.ask(&all, framing == Framing::Empty);
            return Ok(());
        }
        if self.headed {
            return Err("a second answer".into());
        }
        let framing = head.response_framing(&self.method)?;
        self.reader.body(framing);
        let status = head.status()?.to_string();
        self.headed = !status.starts_with('1');
        let mut all = vec![(":status", status.as_str())];
        all.extend(fields().filter(kept));
        session.fields(*stream, &all, self.headed && framing == Framing::Empty);
        Ok(())
    }

    fn flush(&mut self, session: &mut Session, stream: u32) {
        if !self.headed {
            return;
        }
        let bare = self.whole && self.trailers.is_empty();
        if !self.waiting.is_empty() || bare {
            let sent = session.data(stream, &self.waiting, bare);
            self.waiting.drain(..sent);
        }
        if self.whole && self.waiting.is_empty() && !self.trailers.is_empty() {
            let trailers = std::mem::take(&mut self.trailers);
            let fields: Vec<_> = trailers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            session.fields(stream, &fields, true);
        }
    }

    /// Everything is written: the stream ends as the actor wants it to.
    fn conclude(&mut self, session: &mut Session, stream: u32) {
        let then = std::mem::take(&mut self.then);
        let closes = matches!(then, Then::Shut | Then::Close);
        if closes && self.headed && !self.whole && self.reader.reads_until_close() {
            self.whole = true;
            return self.flush(session, stream);
        }
        match then {
            // Half of a stream ends, however much was announced.
            Then::Shut if !self.whole => {
                self.whole = true;
                self.flush(session, stream);
            }
            Then::Close | Then::Reset if !self.whole => {
                let code = if then == Then::Close { INTERNAL_ERROR } else { CANCEL };
                session.reset(stream, code);
            }
            Then::Close => {
                if !session.leaving {
                    session.go_away(NO_ERROR);
                }
            }
            Then::Stay | Then::Shut | Then::Reset => {}
        }
    }

    /// A request, as lines.
    pub fn request(&mut self, fields: &Fields, ended: bool) -> Result<Vec<u8>, String> {
        if self.came {
            return Ok(self.trailers_of(fields));
        }
        self.came = true;
        let pseudo = |name: &str| {
            let mut found = fields.iter().filter(|(at, _)| at == name);
            match (found.next(), found.next()) {
                (Some((_, value)), None) => Ok(value.as_str()),
                _ => Err(format!("not one {name}: {fields:?}")),
            }
        };
        let (method, path) = (pseudo(":method")?, pseudo(":path")?);
        self.method = method.to_owned();
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", pseudo(":authority")?);
        pseudo(":scheme")?;
        self.plain(&mut text, fields, 4)?;
        self.frame(&mut text, fields, ended);
        text.push_str("\r\n");
        Ok(text.into_bytes())
    }

    /// An answer, interim or final, as lines.
    pub fn answer(&mut self, fields: &Fields, ended: bool) -> Result<Vec<u8>, String> {
        if self.came {
            return Ok(self.trailers_of(fields));
        }
        let (name, status) = fields.first().ok_or("a head without fields")?;
        if name != ":status" || status.len() != 3 {
            return Err(format!("no status first: {fields:?}"));
        }
        let mut text = format!("HTTP/1.1 {status} \r\n");
        self.plain(&mut text, fields, 1)?;
        if status.starts_with('1') {
            if ended || status == "101" {
                return Err(format!("{status} that ends a stream"));
            }
        } else {
            self.came = true;
            let bare = self.method == "HEAD" || status == "204" || status == "304";
            if ended && !bare && !fields.iter().any(|(name, _)| name == "content-length") {
                text.push_str("content-length: 0\r\n");
            } else if !ended && !bare {
                // Trailers may follow whatever was announced.
                self.chunked = true;
                text = without_length(&text);
                text.push_str("transfer-encoding: chunked\r\n");
            }
        }
        text.push_str("\r\n");
        Ok(text.into_bytes())
    }

    fn plain(&self, text: &mut String, fields: &Fields, pseudo: usize) -> Result<(), String> {
        let mut cookies = Vec::new();
        for (n, (name, value)) in fields.iter().enumerate() {
            if name.starts_with(':') == (n >= pseudo) {
                return Err(format!("pseudo-fields out of place: {fields:?}"));
            }
            let upper = name.bytes().any(|byte| byte.is_ascii_uppercase());
            let te = name == "te" && value != "trailers";
            let odd = DROPPED.contains(&name.as_str()) && name != "host";
            if upper || te || odd {
                return Err(format!("{name}: {value}"));
            }
            match name.as_str() {
                "cookie" => cookies.push(value.as_str()),
                "host" => {}
                _ if name.starts_with(':') => {}
                _ => text.push_str(&format!("{name}: {value}\r\n")),
            }
        }
        if !cookies.is_empty() {
            text.push_str(&format!("cookie: {}\r\n", cookies.join("; ")));
        }
        Ok(())
    }

    fn frame(&mut self, text: &mut String, fields: &Fields, ended: bool) {
        let length = fields.iter().any(|(name, _)| name == "content-length");
        self.chunked = !ended && !length;
        if self.chunked {
            text.push_str("transfer-encoding: chunked\r\n");
        }
    }

    fn trailers_of(&self, fields: &Fields) -> Vec<u8> {
        if !self.chunked {
            return Vec::new();
        }
        let lines = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        format!("0\r\n{}\r\n", lines.collect::<String>()).into_bytes()
    }

    /// Content, as it lies in a body.
    pub fn content(&self, data: &[u8], ended: bool) -> Vec<u8> {
        if !self.chunked {
            return data.to_vec();
        }
        let mut out = Vec::new();
        if !data.is_empty() {
            out.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
            out.extend_from_slice(data);
            out.extend_from_slice(b"\r\n");
        }
        if ended {
            out.extend_from_slice(b"0\r\n\r\n");
        }
        out
    }
}

fn without_length(text: &str) -> String {
    let lines = text.split_inclusive('\n');
    lines.filter(|line| !line.starts_with("content-length:")).collect()
}
