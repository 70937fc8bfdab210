//! Header fields: lookup without regard to case, lists, and which ones end at this hop.

/// One field line: `name` and `value`. It is the parser's own shape, so that a parsed head is not
/// copied.
pub type Field<'a> = httparse::Header<'a>;

/// Fields that the codec itself understands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Known {
    Connection,
    ContentLength,
    Expect,
    Host,
    KeepAlive,
    ProxyAuthenticate,
    ProxyAuthorization,
    ProxyConnection,
    Te,
    Trailer,
    TransferEncoding,
    Upgrade,
}

impl Known {
    #[inline]
    pub fn of(name: &str) -> Option<Self> {
        let (spelled, known) = match name.len() {
            2 => ("te", Self::Te),
            4 => ("host", Self::Host),
            6 => ("expect", Self::Expect),
            7 => match name.as_bytes()[0] | 0x20 {
                b't' => ("trailer", Self::Trailer),
                _ => ("upgrade", Self::Upgrade),
            },
            10 => match name.as_bytes()[0] | 0x20 {
                b'c' => ("connection", Self::Connection),
                _ => ("keep-alive", Self::KeepAlive),
            },
            14 => ("content-length", Self::ContentLength),
            16 => ("proxy-connection", Self::ProxyConnection),
            17 => ("transfer-encoding", Self::TransferEncoding),
            18 => ("proxy-authenticate", Self::ProxyAuthenticate),
            19 => ("proxy-authorization", Self::ProxyAuthorization),
            _ => return None,
        };
        name.eq_ignore_ascii_case(spelled).then_some(known)
    }

    /// Meant for this connection only: not forwarded (RFC 9110 §7.6.1).
    pub fn hop_by_hop(self) -> bool {
        match self {
            Self::Connection
            | Self::KeepAlive
            | Self::ProxyAuthenticate
            | Self::ProxyAuthorization
            | Self::ProxyConnection
            | Self::Te
            | Self::Trailer
            | Self::TransferEncoding
            | Self::Upgrade => true,
            Self::ContentLength | Self::Expect | Self::Host => false,
        }
    }
}

/// The value of the first field of this name.
pub fn first<'a>(fields: &[Field<'a>], name: &str) -> Option<&'a [u8]> {
    fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
}

/// The values of every field of this name, in order.
pub fn all<'a>(fields: &[Field<'a>], name: &str) -> impl Iterator<Item = &'a [u8]> {
    fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|f| f.value)
}

/// The elements of a comma-separated list, without the space around them; empty ones are left out
/// (RFC 9110 §5.6.1). Quoted strings are not looked into: no list of tokens has them.
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(trim).filter(|element| !element.is_empty())
}

/// Without spaces and tabs at both ends.
pub fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// A token of RFC 9110 §5.6.2.
pub fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|b| is_token_byte(*b))
}

fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// A field value of RFC 9110 §5.5 as far as it is safe to pass on: no control character but tab.
pub fn is_value(value: &[u8]) -> bool {
    value.iter().all(|b| matches!(b, b'\t' | b' '..=b'~' | 0x80..))
}

/// Fields that a gateway itself answers for, or that frame and route a message: a client cannot
/// have them removed by naming them in `Connection`.
pub fn survives_nomination(name: &str) -> bool {
    const PREFIX: &str = "x-forwarded-";
    const KEPT: &[&str] = &[
        "host",
        "content-length",
        "x-real-ip",
        "x-scheme",
        "x-tieline-callers",
        "x-tieline-hops",
        "x-uplink-name",
    ];
    name.get(..PREFIX.len()).is_some_and(|start| is_spelled(start, PREFIX))
        || KEPT.iter().any(|kept| is_spelled(name, kept))
}

/// Some servers take an underscore for a hyphen.
fn is_spelled(name: &str, wanted: &str) -> bool {
    let alike = |(got, wanted): (u8, u8)| {
        got.eq_ignore_ascii_case(&wanted) || (got, wanted) == (b'_', b'-')
    };
    name.len() == wanted.len() && name.bytes().zip(wanted.bytes()).all(alike)
}

/// What `Trailer` may not announce and a trailer section may not carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InTrailer {
    Allowed,
    /// Left out when forwarding: its meaning is settled by the time a trailer arrives.
    Dropped,
    /// Could frame or route the message anew.
    Refused,
}

/// RFC 9110 §6.5.1: framing, routing, request modifiers, authentication, response control and
/// content format belong into the head.
pub fn in_trailer(name: &str) -> InTrailer {
    const DROPPED: &[&str] = &[
        "accept-encoding",
        "age",
        "authorization",
        "cache-control",
        "content-encoding",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "expect",
        "expires",
        "forwarded",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "location",
        "max-forwards",
        "pragma",
        "range",
        "retry-after",
        "set-cookie",
        "vary",
        "warning",
        "www-authenticate",
    ];
    match Known::of(name) {
        Some(Known::ContentLength | Known::TransferEncoding | Known::Host) => InTrailer::Refused,
        Some(_) => InTrailer::Dropped,
        None if DROPPED.iter().any(|dropped| name.eq_ignore_ascii_case(dropped)) => {
            InTrailer::Dropped
        }
        None if survives_nomination(name) => InTrailer::Dropped,
        None => InTrailer::Allowed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 12] = [
        "Connection",
        "Content-Length",
        "Expect",
        "Host",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
    ];

    #[test]
    fn known_fields_are_known_in_any_case_and_no_other_name_is() {
        for name in KNOWN {
            let known = Known::of(name).expect(name);
            assert_eq!(Known::of(&name.to_uppercase()), Some(known), "{name}");
            assert_eq!(Known::of(&name.to_lowercase()), Some(known), "{name}");
            for at in 0..name.len() {
                let mut other = name.to_string();
                other.replace_range(at..=at, "_");
                assert_eq!(Known::of(&other), None, "{other}");
            }
        }
        assert_eq!(Known::of(""), None);
    }

    #[test]
    fn nine_fields_end_at_this_hop() {
        let ending = KNOWN.iter().filter(|name| Known::of(name).expect("known").hop_by_hop());
        assert_eq!(ending.count(), 9);
    }

    #[track_caller]
    fn check_list(value: &str, expected: &[&str]) {
        let elements: Vec<_> =
            list(value.as_bytes()).map(|e| std::str::from_utf8(e).expect("ascii")).collect();
        assert_eq!(elements, expected, "{value:?}");
    }

    #[test]
    fn lists_lose_their_spaces_and_empty_elements() {
        check_list("", &[]);
        check_list("a", &["a"]);
        check_list(" a ,\tb,,c d ", &["a", "b", "c d"]);
        check_list(", ,", &[]);
    }

    #[test]
    fn a_client_cannot_nominate_what_the_gateway_answers_for() {
        for name in ["Host", "X-Forwarded-For", "x_real-ip", "X-Uplink-Name", "X_Tieline_Callers"] {
            assert!(survives_nomination(name), "{name}");
        }
        for name in ["X-Custom", "x-forwarded", "Cookie", ""] {
            assert!(!survives_nomination(name), "{name}");
        }
    }

    #[test]
    fn trailers_cannot_frame_or_route() {
        assert_eq!(in_trailer("Content-Length"), InTrailer::Refused);
        assert_eq!(in_trailer("transfer-encoding"), InTrailer::Refused);
        assert_eq!(in_trailer("Host"), InTrailer::Refused);
        assert_eq!(in_trailer("Connection"), InTrailer::Dropped);
        assert_eq!(in_trailer("Set-Cookie"), InTrailer::Dropped);
        assert_eq!(in_trailer("X-Forwarded-For"), InTrailer::Dropped);
        assert_eq!(in_trailer("Grpc-Status"), InTrailer::Allowed);
        assert_eq!(in_trailer("ETag"), InTrailer::Allowed);
    }

    #[test]
    fn values_hold_no_control_characters_but_tab() {
        for b in 0..=u8::MAX {
            assert_eq!(is_value(&[b]), b == b'\t' || (b >= b' ' && b != 0x7f), "{b:#x}");
        }
        assert!(is_token(b"x-y") && !is_token(b"") && !is_token(b"a b") && !is_token(b"a:"));
    }
}
