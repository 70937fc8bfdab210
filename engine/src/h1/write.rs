//! Heads to bytes, into memory that is given. Nothing is allocated; what does not fit is counted,
//! so that the caller knows how much to ask for.

use super::chunked::LINE_END;
use crate::base::page::Page;
use crate::base::text::decimal;
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
        self.put(decimal(number, 1, &mut [0; 20]));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::page::{PageSize, Pool};

    #[track_caller]
    fn check(write: impl Fn(&mut Writer<'_>), expected: &str) {
        let pool = Pool::new(8, 1, 4096, 1);
        let mut page = pool.take(PageSize::Large).expect("one page");
        assert_eq!(onto(&mut page, &write), Ok(()));
        assert_eq!(page.bytes().escape_ascii().to_string(), expected.escape_default().to_string());
        for room in 0..expected.len() {
            let mut memory = vec![0; room];
            let mut writer = Writer::new(&mut memory);
            write(&mut writer);
            assert_eq!(writer.finish(), Err(TooSmall { needed: expected.len() }));
        }
    }

    #[test]
    fn start_lines() {
        check(|w| w.request_line("GET", "/a", None), "GET /a HTTP/1.1\r\n");
        check(|w| w.request_line("PUT", "/", Some("b=c")), "PUT /?b=c HTTP/1.1\r\n");
        check(|w| w.status_line(200, "OK"), "HTTP/1.1 200 OK\r\n");
        check(|w| w.status_line(299, ""), "HTTP/1.1 299 \r\n");
    }

    #[test]
    fn fields_and_lengths() {
        check(|w| w.field("A", b"b c"), "A: b c\r\n");
        check(|w| w.content_length(0), "Content-Length: 0\r\n");
        check(|w| w.content_length(u64::MAX), "Content-Length: 18446744073709551615\r\n");
        check(|w| w.put_number(1_234_567_890), "1234567890");
        let both = |w: &mut Writer<'_>| {
            w.chunked();
            w.end();
        };
        check(both, "Transfer-Encoding: chunked\r\n\r\n");
    }

    #[test]
    fn answers_of_our_own() {
        let answer = Answer {
            status: 404,
            content_type: "text/plain; charset=utf-8",
            body: b"404 page not found\n",
            close: false,
            head_only: false,
        };
        let head = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n\
                    Content-Length: 19\r\n";
        check(|w| w.answer(&answer), &format!("{head}\r\n404 page not found\n"));
        let answer = Answer { close: true, head_only: true, ..answer };
        check(|w| w.answer(&answer), &format!("{head}Connection: close\r\n\r\n"));
        let bare =
            Answer { status: 400, content_type: "", body: b"", close: true, head_only: false };
        check(
            |w| w.answer(&bare),
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    }

    #[test]
    fn a_page_that_is_too_small_is_left_as_it_was() {
        let pool = Pool::new(8, 1, 64, 1);
        let mut page = pool.take(PageSize::Small).expect("one page");
        page.append(b"ab");
        assert_eq!(onto(&mut page, |w| w.put(b"1234567")), Err(TooSmall { needed: 7 }));
        assert_eq!(page.bytes(), b"ab");
        assert_eq!(onto(&mut page, |w| w.put(b"123456")), Ok(()));
        assert_eq!(page.bytes(), b"ab123456");
    }
}
