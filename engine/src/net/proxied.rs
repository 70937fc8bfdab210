//! The PROXY protocol, versions 1 and 2: who a connection is from, said by a balancer before the
//! first byte of what it carries. Strict: what is not exactly as the specification has it is
//! refused, since whoever can bend it can be anybody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Longer headers are refused. With all that version 2 defines they take a few hundred bytes.
pub const BYTES_MAX: usize = 2_048;

/// The longest header of version 1, with its line end.
const LINE_MAX: usize = 107;
const V1: &[u8] = b"PROXY ";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The part of version 2 that says how long the rest is.
const FIXED: usize = 16;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Announced {
    /// They may be the beginning of a header.
    Partial,
    /// There is no header.
    Nothing,
    /// A header of so many bytes. Without an address the connection is the balancer's own.
    By { from: Option<SocketAddr>, bytes: usize },
    /// It begins like a header and is none.
    Malformed,
}

/// Looks at everything that has arrived.
pub fn read(bytes: &[u8]) -> Announced {
    if begins(bytes, V2) {
        return if bytes.len() < FIXED { Announced::Partial } else { second(bytes) };
    }
    if begins(bytes, V1) {
        return if bytes.len() < V1.len() { Announced::Partial } else { first(bytes) };
    }
    Announced::Nothing
}

/// Whether one is a beginning of the other.
fn begins(bytes: &[u8], mark: &[u8]) -> bool {
    let length = bytes.len().min(mark.len());
    bytes[..length] == mark[..length]
}

fn first(bytes: &[u8]) -> Announced {
    let line = &bytes[..bytes.len().min(LINE_MAX)];
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < LINE_MAX { Announced::Partial } else { Announced::Malformed };
    };
    let Ok(text) = std::str::from_utf8(&line[V1.len()..end]) else { return Announced::Malformed };
    let bytes = end + 2;
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        return Announced::By { from: None, bytes };
    }
    let mut words = text.split(' ');
    let mut word = || words.next().unwrap_or_default();
    let (family, source, target, from, to) = (word(), word(), word(), word(), word());
    let ip = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    match (ip(source), ip(target), port(from), port(to), words.next()) {
        (Some(ip), Some(_), Some(port), Some(_), None) => {
            Announced::By { from: Some(SocketAddr::new(ip.to_canonical(), port)), bytes }
        }
        _ => Announced::Malformed,
    }
}

/// A port in decimal, without sign and leading zeros.
fn port(text: &str) -> Option<u16> {
    let plain = text == "0" || !text.starts_with('0');
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (plain && digits).then(|| text.parse().ok()).flatten()
}

fn second(bytes: &[u8]) -> Announced {
    let length = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    let (whole, family) = (FIXED + length, bytes[13]);
    let is_local = match bytes[12] {
        0x20 => true,
        0x21 => false,
        _ => return Announced::Malformed,
    };
    // Addresses of streams; none, or of something that has no port, is no address.
    let addresses = match family {
        _ if is_local => 0,
        0x00 => 0,
        0x11 => 12,
        0x21 => 36,
        0x31 => 216,
        _ => return Announced::Malformed,
    };
    if whole > BYTES_MAX || length < addresses {
        return Announced::Malformed;
    }
    let Some(rest) = bytes.get(FIXED..whole) else { return Announced::Partial };
    if !is_local && family != 0x00 && !are_extensions(&rest[addresses..]) {
        return Announced::Malformed;
    }
    let from = match addresses {
        12 => {
            let ip: [u8; 4] = rest[..4].try_into().expect("four bytes");
            Some(SocketAddr::new(ip.into(), u16::from_be_bytes([rest[8], rest[9]])))
        }
        36 => {
            let ip: [u8; 16] = rest[..16].try_into().expect("sixteen bytes");
            let ip = IpAddr::from(ip).to_canonical();
            Some(SocketAddr::new(ip, u16::from_be_bytes([rest[32], rest[33]])))
        }
        _ => None,
    };
    Announced::By { from, bytes: whole }
}

/// Whether these are extensions: a kind, a length in two bytes, and as much.
fn are_extensions(mut rest: &[u8]) -> bool {
    while let [_, high, low, behind @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some(next) = behind.get(length..) else { return false };
        rest = next;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        let shown = match read(bytes) {
            Announced::Partial => "partial".to_owned(),
            Announced::Nothing => "nothing".to_owned(),
            Announced::Malformed => "malformed".to_owned(),
            Announced::By { from: None, bytes } => format!("itself {bytes}"),
            Announced::By { from: Some(from), bytes } => format!("{from} {bytes}"),
        };
        assert_eq!(shown, expected, "{}", bytes.escape_ascii());
    }

    #[test]
    fn a_line_of_version_one_is_read_to_the_letter() {
        check(b"PROXY TCP4 192.0.2.7 10.0.0.1 4000 80\r\nGET /", "192.0.2.7:4000 39");
        check(b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n", "[2001:db8::7]:1 32");
        check(b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", "192.0.2.7:1 37");
        check(b"PROXY UNKNOWN\r\n", "itself 15");
        check(b"PROXY UNKNOWN ffff::1 nonsense\r\n", "itself 32");
        check(b"PROXY TCP4 192.0.2.7 10.0.0.1 4000 80\r", "partial");
        check(b"PRO", "partial");
        check(b"", "partial");
        for wrong in [
            "TCP4 192.0.2.7 10.0.0.1 4000\r\n",
            "TCP4 192.0.2.7 10.0.0.1 4000 80 \r\n",
            "TCP4  192.0.2.7 10.0.0.1 4000 80\r\n",
            "TCP4 192.0.2.07 10.0.0.1 4000 80\r\n",
            "TCP4 192.0.2.7 10.0.0.1 04000 80\r\n",
            "TCP4 192.0.2.7 10.0.0.1 +4000 80\r\n",
            "TCP4 192.0.2.7 10.0.0.1 65536 80\r\n",
            "TCP4 ::1 ::1 1 2\r\n",
            "TCP6 192.0.2.7 10.0.0.1 1 2\r\n",
            "tcp4 192.0.2.7 10.0.0.1 1 2\r\n",
            "UNKNOWNS\r\n",
            "\r\n",
        ] {
            check(format!("PROXY {wrong}").as_bytes(), "malformed");
        }
        check(format!("PROXY UNKNOWN {}", "x".repeat(93)).as_bytes(), "malformed");
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("short");
        let mut bytes = [V2, &[command, family], &length.to_be_bytes()].concat();
        bytes.extend_from_slice(rest);
        bytes
    }

    #[test]
    fn a_header_of_version_two_is_read_to_the_byte() {
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 0x0f, 0xa0, 0, 80];
        check(&v2(0x21, 0x11, &v4), "192.0.2.7:4000 28");
        let mut v6 = [0; 36];
        (v6[15], v6[31], v6[33]) = (1, 1, 9);
        check(&v2(0x21, 0x21, &v6), "[::1]:9 52");
        check(&v2(0x20, 0x00, &[]), "itself 16");
        check(&v2(0x20, 0x11, b"any"), "itself 19");
        check(&v2(0x21, 0x00, b"any"), "itself 19");
        check(&v2(0x21, 0x31, &[0; 216]), "itself 232");
        let extended = [&v4[..], &[0x04, 0, 2, 1, 1]].concat();
        check(&v2(0x21, 0x11, &extended), "192.0.2.7:4000 33");
        check(&v2(0x21, 0x11, &extended[..16]), "malformed");
        check(&v2(0x21, 0x11, &v4[..11]), "malformed");
        check(&v2(0x22, 0x11, &v4), "malformed");
        check(&v2(0x11, 0x11, &v4), "malformed");
        check(&v2(0x21, 0x12, &v4), "malformed");
        check(&v2(0x21, 0x11, &[0; 2_033]), "malformed");
        let whole = v2(0x21, 0x11, &v4);
        for end in 1..whole.len() {
            check(&whole[..end], "partial");
        }
        check(b"\r\n\r\nGET", "nothing");
        check(b"GET / HTTP/1.1\r\n", "nothing");
        check(b"PROPFIND /", "nothing");
    }
}
