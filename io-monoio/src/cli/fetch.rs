//! A small HTTP client for the command line: plain requests, whole answers.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long any one answer may take before it counts as missing.
const PATIENCE: Duration = Duration::from_secs(5);
const BODY_BYTES_MAX: u64 = 64 << 20;

/// One connection.
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Status and body of `path` at `base`, which is `http://host[:port]`.
pub(crate) fn get(base: &str, path: &str) -> std::result::Result<(u16, String), String> {
    let rest = base.strip_prefix("http://").ok_or("the URL must begin with http://")?;
    let authority = rest.split('/').next().unwrap_or(rest);
    let with_port = match authority.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => authority.to_owned(),
        _ => format!("{authority}:80"),
    };
    let about = |error: Error| {
        if error.kind() == ErrorKind::InvalidData {
            return format!("{authority} speaks no HTTP");
        }
        format!("{authority}: {error}")
    };
    let address = with_port
        .to_socket_addrs()
        .map_err(about)?
        .next()
        .ok_or_else(|| format!("{authority} has no address"))?;
    // A response to HTTP/1.0 has no chunks.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {authority}\r\n\r\n");
    let answer = Client::connect(address).and_then(|mut client| client.ask(&request));
    answer.map(|answer| (answer.status, answer.body)).map_err(about)
}

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> Result<Self> {
        let writer = TcpStream::connect_timeout(&addr, PATIENCE)?;
        writer.set_nodelay(true)?;
        writer.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { reader: BufReader::new(writer.try_clone()?), writer })
    }

    /// Sends `request` and reads the whole answer.
    pub(crate) fn ask(&mut self, request: &str) -> Result<Answer> {
        self.writer.write_all(request.as_bytes())?;
        read_answer(&mut self.reader)
    }
}

/// An answer whose length is declared or which ends with its connection.
fn read_answer(from: &mut impl BufRead) -> Result<Answer> {
    let garbage = || Error::from(ErrorKind::InvalidData);
    let first = line(from)?;
    let code = first.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
    let status = code.and_then(|code| code.parse().ok()).ok_or_else(garbage)?;
    let mut length = None;
    loop {
        let line = line(from)?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = Some(value.trim().parse::<u64>().map_err(|_| garbage())?);
        }
    }
    let mut body = Vec::new();
    let most = length.map_or(BODY_BYTES_MAX, |length| length.min(BODY_BYTES_MAX));
    let read = from.take(most).read_to_end(&mut body)?;
    if length.is_some_and(|length| length != read as u64) {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
}

fn line(from: &mut impl BufRead) -> Result<String> {
    let mut line = Vec::new();
    if from.take(64 << 10).read_until(b'\n', &mut line)? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_status_and_body() {
        let body = |text: &str| Ok(Answer { status: 200, body: text.to_owned() });
        for (bytes, expected) in [
            ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", body("hi")),
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhiHTTP/1.1", body("hi")),
            ("HTTP/1.0 200 OK\r\n\r\nto the end", body("to the end")),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", Err(ErrorKind::UnexpectedEof)),
            ("", Err(ErrorKind::UnexpectedEof)),
            ("SSH-2.0\r\n\r\n", Err(ErrorKind::InvalidData)),
        ] {
            let answer = read_answer(&mut bytes.as_bytes()).map_err(|error| error.kind());
            assert_eq!(answer, expected, "{bytes:?}");
        }
    }
}
