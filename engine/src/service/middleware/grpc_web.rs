//! gRPC as browsers can speak it (the gRPC-Web protocol): the same messages, the whole perhaps as
//! base64, and trailers in a last frame of the content.

use super::passing::Passing;
use super::{Memory, Verdict};
use crate::base::base64;
use crate::config::typed::GrpcWeb;
use crate::http::fields;
use crate::http::method::Method;

const PLAIN: &[u8] = b"application/grpc";
const BINARY: &[u8] = b"application/grpc-web";
const TEXT: &[u8] = b"application/grpc-web-text";
/// Says of a frame that it carries trailers, not a message.
const TRAILERS: u8 = 0x80;

/// How a client speaks gRPC-Web.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    Binary,
    Text,
}

impl Form {
    /// Nothing if a request of this type is none of gRPC-Web.
    pub fn of(kind: &[u8]) -> Option<Self> {
        if suffix(kind, TEXT).is_some() {
            return Some(Self::Text);
        }
        suffix(kind, BINARY).map(|_| Self::Binary)
    }

    fn name(self) -> &'static [u8] {
        match self {
            Self::Binary => BINARY,
            Self::Text => TEXT,
        }
    }

    /// What a server is told of a request of this type.
    pub fn write_asked(self, kind: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(PLAIN);
        out.extend_from_slice(suffix(kind, self.name()).unwrap_or_default());
    }

    /// What the client is told of a response of this type. False if that is none of gRPC.
    pub fn write_answered(self, kind: &[u8], out: &mut Vec<u8>) -> bool {
        let Some(suffix) = suffix(kind, PLAIN) else { return false };
        out.extend_from_slice(self.name());
        out.extend_from_slice(if suffix.is_empty() { b"+proto" } else { suffix });
        true
    }

    /// Content as the client reads it.
    pub fn write(self, content: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Binary => out.extend_from_slice(content),
            Self::Text => base64::encode(content, out),
        }
    }

    /// The frame of trailers, from their lines.
    pub fn write_trailers(self, lines: &[u8], out: &mut Vec<u8>) {
        let mut frame = vec![TRAILERS];
        let length = u32::try_from(lines.len()).expect("trailers are bounded");
        frame.extend_from_slice(&length.to_be_bytes());
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let end = line.iter().position(|byte| *byte == b':').unwrap_or(0);
            frame.extend(line[..end].iter().map(u8::to_ascii_lowercase));
            frame.extend_from_slice(&line[end..]);
        }
        self.write(&frame, out);
    }
}

/// What follows a type, if it is that type: the kind of message, or parameters.
fn suffix<'a>(kind: &'a [u8], of: &[u8]) -> Option<&'a [u8]> {
    let (begins, rest) = kind.split_at_checked(of.len())?;
    let ends = matches!(rest.first(), None | Some(b'+' | b';' | b' '));
    (begins.eq_ignore_ascii_case(of) && ends).then_some(rest)
}

impl GrpcWeb {
    /// Whether scripts of this origin may ask.
    pub fn allows(&self, origin: &[u8]) -> bool {
        !origin.is_empty() && self.origins.iter().any(|it| it == "*" || it.as_bytes() == origin)
    }

    /// Answers a script that asks whether it may speak gRPC-Web: what it wants to send is left in
    /// `memory`.
    pub(super) fn judge(passing: &Passing<'_>, memory: &mut Memory) -> Verdict {
        let field = |name| passing.field(name).unwrap_or_default();
        let wanted = field("Access-Control-Request-Headers");
        let speaks = fields::list(wanted).any(|it| it.eq_ignore_ascii_case(b"x-grpc-web"));
        let asks =
            !field("Access-Control-Request-Method").is_empty() && !field("Origin").is_empty();
        if passing.head.method != Method::Options || !asks || !speaks {
            return Verdict::Pass;
        }
        memory.location.clear();
        memory.location.push_str(std::str::from_utf8(wanted).unwrap_or_default());
        Verdict::Preflight
    }
}

/// Base64 that comes in pieces; each run of it may end in padding.
#[derive(Debug, Default)]
pub struct Decoder {
    group: [u8; 4],
    len: usize,
}

/// What came is no base64.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Garbled;

impl Decoder {
    /// What is complete by now.
    pub fn decode(&mut self, text: &[u8]) -> Result<Vec<u8>, Garbled> {
        let mut out = Vec::with_capacity(text.len() / 4 * 3 + 3);
        let mut bytes = Vec::with_capacity(3);
        for byte in text {
            self.group[self.len] = *byte;
            self.len += 1;
            if self.len == self.group.len() {
                self.len = 0;
                if !base64::decode(&self.group, &mut bytes) {
                    return Err(Garbled);
                }
                out.extend_from_slice(&bytes);
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_told_apart_and_translated() {
        for (kind, form, asked) in [
            ("application/grpc-web", Some(Form::Binary), "application/grpc"),
            ("application/grpc-web+proto", Some(Form::Binary), "application/grpc+proto"),
            ("Application/gRPC-Web-Text+json", Some(Form::Text), "application/grpc+json"),
            ("application/grpc-web-text; a=b", Some(Form::Text), "application/grpc; a=b"),
            ("application/grpc-webby", None, ""),
            ("application/grpc", None, ""),
            ("", None, ""),
        ] {
            assert_eq!(Form::of(kind.as_bytes()), form, "{kind}");
            let mut out = Vec::new();
            if let Some(form) = form {
                form.write_asked(kind.as_bytes(), &mut out);
            }
            assert_eq!(String::from_utf8_lossy(&out), asked, "{kind}");
        }
        for (form, kind, told) in [
            (Form::Binary, "application/grpc", Some("application/grpc-web+proto")),
            (Form::Text, "application/grpc+json", Some("application/grpc-web-text+json")),
            (Form::Text, "text/html", None),
            (Form::Binary, "application/grpc-web", None),
        ] {
            let mut out = Vec::new();
            let is = form.write_answered(kind.as_bytes(), &mut out);
            let out = String::from_utf8(out).expect("a text");
            assert_eq!(is.then_some(out.as_str()), told, "{kind}");
        }
    }

    #[test]
    fn trailers_become_a_frame() {
        let lines = b"grpc-status: 0\r\nX-Sum: A: b\r\n";
        let mut binary = Vec::new();
        Form::Binary.write_trailers(lines, &mut binary);
        assert_eq!(binary, b"\x80\x00\x00\x00\x1dgrpc-status: 0\r\nx-sum: A: b\r\n");
        let mut text = Vec::new();
        Form::Text.write_trailers(lines, &mut text);
        assert_eq!(Decoder::default().decode(&text), Ok(binary));
    }

    #[test]
    fn text_is_read_in_pieces_of_any_size_and_in_runs() {
        let (mut text, content) = (Vec::new(), b"0123456789".repeat(3));
        for run in content.chunks(7) {
            base64::encode(run, &mut text);
        }
        for size in 1..text.len() {
            let mut decoder = Decoder::default();
            let pieces = text.chunks(size).flat_map(|it| decoder.decode(it).expect("base64"));
            assert_eq!(pieces.collect::<Vec<u8>>(), content, "{size}");
        }
        assert_eq!(Decoder::default().decode(b"ab-="), Err(Garbled));
        assert_eq!(Decoder::default().decode(b"===="), Err(Garbled));
    }
}
