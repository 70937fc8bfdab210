//! One small GET for the command line.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);
const ANSWER_MAX: u64 = 64 << 20;

/// Status and body of `path` at `base`, which is `http://host[:port]`.
pub(super) fn get(base: &str, path: &str) -> Result<(u16, String), String> {
    let rest = base.strip_prefix("http://").ok_or("the URL must begin with http://")?;
    let authority = rest.split('/').next().unwrap_or(rest);
    let with_port = match authority.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => authority.to_owned(),
        _ => format!("{authority}:80"),
    };
    let about = |error: std::io::Error| format!("{authority}: {error}");
    let address = with_port
        .to_socket_addrs()
        .map_err(about)?
        .next()
        .ok_or_else(|| format!("{authority} has no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(about)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(about)?;
    // A response to HTTP/1.0 ends with its connection and has no chunks.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {authority}\r\n\r\n").map_err(about)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer).map_err(about)?;
    parse(&String::from_utf8_lossy(&answer)).ok_or_else(|| format!("{authority} speaks no HTTP"))
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?;
    Some((status.parse().ok()?, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_status_and_body() {
        let answer = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(parse(answer), Some((200, "hi".to_owned())));
        assert_eq!(parse("SSH-2.0\r\n\r\n"), None);
    }
}
