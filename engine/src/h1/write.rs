//! Heads to bytes, into memory that is given. Nothing is allocated; what does not fit is counted,
//! so that the caller knows how much to ask for.

use super::chunked::LINE_END;
use crate::base::page::Page;
use crate::http::fields::Field;
use crate::http::status;

/// Writes into a bounded piece of memory.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut [u8],
    /// Bytes asked to be written, also beyond the end of `out`.
    wanted: usize,
}

/// The memory was too small for the head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooSmall {
    /// What would have been enough.
    pub needed: usize,
}

/// What an answer of our own says about the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer<'a> {
    pub status: u16,
    pub content_type: &'a str,
    pub body: &'a [u8],
    /// Says `Connection: close`.
    pub close: bool,
    /// To HEAD: the length is told, the body is not sent.
    pub head_only: bool,
}

impl<'a> Writer<'a> {
    pub fn new(out: &'a mut [u8]) -> Self {
        Self { out, wanted: 0 }
    }

    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        let end = self.wanted + bytes.len();
        if let Some(room) = self.out.get_mut(self.wanted..end) {
            room.copy_from_slice(bytes);
        }
        self.wanted = end;
    }

    pub fn put_number(&mut self, number: u64) {
        let mut digits = [0; 20];
        let mut start = digits.len();
        let mut rest = number;
        loop {
            start -= 1;
            digits[start] = b"0123456789"[usize::try_from(rest % 10).expect("a digit")];
            rest /= 10;
            if rest == 0 {
                return self.put(&digits[start..]);
            }
        }
    }

    /// The first line of a request.
    pub fn request_line(&mut self, method: &str, path: &str, query: Option<&str>) {
        self.put(method.as_bytes());
        self.put(b" ");
        self.put(path.as_bytes());
        if let Some(query) = query {
            self.put(b"?");
            self.put(query.as_bytes());
        }
        self.put(b" HTTP/1.1\r\n");
    }

    /// The first line of a response. An empty reason is written as one (RFC 9112 §4).
    pub fn status_line(&mut self, status: u16, reason: &str) {
        self.put(b"HTTP/1.1 ");
        self.put_number(u64::from(status));
        self.put(b" ");
        self.put(reason.as_bytes());
        self.put(LINE_END);
    }

    #[inline]
    pub fn field(&mut self, name: &str, value: &[u8]) {
        self.put(name.as_bytes());
        self.put(b": ");
        self.put(value);
        self.put(LINE_END);
    }

    pub fn fields<'f>(&mut self, fields: impl IntoIterator<Item = &'f Field<'f>>) {
        for field in fields {
            self.field(field.name, field.value);
        }
    }

    pub fn content_length(&mut self, length: u64) {
        self.put(b"Content-Length: ");
        self.put_number(length);
        self.put(LINE_END);
    }

    pub fn chunked(&mut self) {
        self.put(b"Transfer-Encoding: chunked\r\n");
    }

    /// The empty line.
    pub fn end(&mut self) {
        self.put(LINE_END);
    }

    /// A whole answer of our own, body included.
    pub fn answer(&mut self, answer: &Answer<'_>) {
        self.status_line(answer.status, status::reason(answer.status));
        if !answer.content_type.is_empty() {
            self.field("Content-Type", answer.content_type.as_bytes());
        }
        self.content_length(answer.body.len() as u64);
        if answer.close {
            self.put(b"Connection: close\r\n");
        }
        self.end();
        if !answer.head_only {
            self.put(answer.body);
        }
    }

    /// How much was written, if all of it was.
    pub fn finish(self) -> Result<usize, TooSmall> {
        if self.wanted <= self.out.len() {
            Ok(self.wanted)
        } else {
            Err(TooSmall { needed: self.wanted })
        }
    }
}

/// Lets `write` append to a page: all of it or nothing.
pub fn onto(page: &mut Page, write: impl FnOnce(&mut Writer<'_>)) -> Result<(), TooSmall> {
    let mut writer = Writer::new(page.spare_mut());
    write(&mut writer);
    let count = writer.finish()?;
    page.advance(count);
    Ok(())
}
