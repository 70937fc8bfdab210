//! Request targets: their four forms (RFC 9112 §3.2), the path made canonical before anything looks
//! at it, and the host as rules compare it.
//!
//! The path goes through three steps, as Traefik's does. Percent-triplets become upper-case and
//! those of unreserved characters are decoded; then `.`, `..` and empty segments go; then, for
//! matching only, every triplet but those of reserved characters is decoded, so that `/a%2Fb` is
//! never the two segments `/a/b`. In the usual case nothing changes and everything is borrowed.

use super::blame::What;
use super::head::RequestHead;
use super::method::Method;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Form {
    Origin,
    Absolute,
    Authority,
    Asterisk,
}

/// A request target, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target<'a> {
    pub form: Form,
    /// Host and port as they were sent: those of an absolute target win over `Host`. What goes
    /// into the forwarded `Host`. Empty if there was none.
    pub authority: &'a str,
    /// Lower-case, without port and brackets.
    pub host: &'a str,
    /// To forward: canonical, still escaped. `*` in asterisk form, empty in authority form.
    pub path: &'a str,
    /// To match: unescaped except for reserved characters and what is not UTF-8.
    pub routing_path: &'a str,
    /// Without `?`; semicolons have become ampersands.
    pub query: Option<&'a str>,
}

/// Where the parts of a target go that had to change. Kept by the caller for the next request.
#[derive(Default, Debug)]
pub struct Rewritten {
    normal: String,
    clean: String,
    routing: String,
    query: String,
    host: String,
}

/// How a request target becomes a path and a query.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    /// Remove `.`, `..` and empty segments.
    pub sanitise: bool,
    pub semicolons: Semicolons,
}

/// What becomes of semicolons in a query, which some servers take for separators.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Semicolons {
    Ampersands,
    Encoded,
}

impl Default for Reading {
    fn default() -> Self {
        Self { sanitise: true, semicolons: Semicolons::Ampersands }
    }
}

/// Takes the target of `head` apart, as every reading begins.
pub fn read<'a>(head: &RequestHead<'a>, rewritten: &'a mut Rewritten) -> Result<Target<'a>, What> {
    read_as(head, rewritten, Reading::default())
}

/// Takes the target of `head` apart.
pub fn read_as<'a>(
    head: &RequestHead<'a>,
    rewritten: &'a mut Rewritten,
    reading: Reading,
) -> Result<Target<'a>, What> {
    let raw = head.target;
    let named = head.host.unwrap_or("");
    if head.method == Method::Connect {
        let authority = check_authority(raw)?;
        let host = canonical_host(authority, &mut rewritten.host);
        return Ok(bare(Form::Authority, authority, host, ""));
    }
    if raw.starts_with('/') {
        return whole(Form::Origin, named, raw, rewritten, reading);
    }
    if raw == "*" {
        if head.method != Method::Options {
            return Err(What::TargetForm);
        }
        let host = canonical_host(named, &mut rewritten.host);
        return Ok(bare(Form::Asterisk, named, host, "*"));
    }
    let (authority, rest) = absolute(raw)?;
    if rest.is_empty() && head.method == Method::Options {
        // RFC 9112 §3.2.4: the last proxy sends the asterisk for a target without a path.
        let host = canonical_host(authority, &mut rewritten.host);
        return Ok(bare(Form::Asterisk, authority, host, "*"));
    }
    whole(Form::Absolute, authority, rest, rewritten, reading)
}

/// Checks a host and an optional port (RFC 3986 §3.2). Empty is allowed: RFC 9110 §7.2 asks for an
/// empty `Host` if the target has no authority.
pub fn check_host(value: &[u8]) -> Result<&str, What> {
    let text = std::str::from_utf8(value).map_err(|_| What::HostMalformed)?;
    if is_host_and_port(text) { Ok(text) } else { Err(What::HostMalformed) }
}

/// The host as rules compare it: lower-case, without port and brackets.
pub fn canonical_host<'a>(authority: &'a str, lower: &'a mut String) -> &'a str {
    let (host, _) = split_port(authority);
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if !host.bytes().any(|b| b.is_ascii_uppercase()) {
        return host;
    }
    lower.clear();
    lower.push_str(host);
    lower.make_ascii_lowercase();
    lower
}

/// The port of an authority, if it has one.
pub fn port(authority: &str) -> Option<u16> {
    split_port(authority).1.and_then(|port| port.parse().ok())
}

fn bare<'a>(form: Form, authority: &'a str, host: &'a str, path: &'a str) -> Target<'a> {
    Target { form, authority, host, path, routing_path: path, query: None }
}

fn whole<'a>(
    form: Form,
    authority: &'a str,
    path_and_query: &'a str,
    rewritten: &'a mut Rewritten,
    reading: Reading,
) -> Result<Target<'a>, What> {
    let Rewritten { normal, clean, routing, query: queried, host } = rewritten;
    let question = path_and_query.as_bytes().iter().position(|b| *b == b'?');
    let (path, query) = match question {
        Some(at) => (&path_and_query[..at], Some(&path_and_query[at + 1..])),
        None => (path_and_query, None),
    };
    let query = query.map(|query| without_semicolons(query, reading.semicolons, queried));
    let host = canonical_host(authority, host);
    let plain = Target { form, authority, host, path: "/", routing_path: "/", query };
    match work(path) {
        _ if path.is_empty() => Ok(plain),
        Work { escapes: false, segments: false } => {
            Ok(Target { path, routing_path: path, ..plain })
        }
        Work { escapes, .. } => {
            let path = if escapes { normalise(path, normal)? } else { path };
            let dotted = reading.sanitise && work(path).segments;
            let path = if dotted { without_dots(path, clean) } else { path };
            let routing_path = if escapes { unescape(path, routing) } else { path };
            Ok(Target { path, routing_path, ..plain })
        }
    }
}

struct Work {
    escapes: bool,
    segments: bool,
}

/// What there may be to do about a path, in one pass.
fn work(path: &str) -> Work {
    let mut work = Work { escapes: false, segments: false };
    let mut after_slash = false;
    for b in path.bytes() {
        work.escapes |= b == b'%';
        work.segments |= after_slash & ((b == b'/') | (b == b'.'));
        after_slash = b == b'/';
    }
    work
}

fn without_semicolons<'a>(query: &'a str, by: Semicolons, out: &'a mut String) -> &'a str {
    if !query.contains(';') {
        return query;
    }
    out.clear();
    for part in query.split_inclusive(';') {
        out.push_str(part.strip_suffix(';').unwrap_or(part));
        if part.ends_with(';') {
            out.push_str(match by {
                Semicolons::Ampersands => "&",
                Semicolons::Encoded => "%3B",
            });
        }
    }
    out
}

/// Upper-case triplets, unreserved characters decoded.
fn normalise<'a>(path: &str, out: &'a mut String) -> Result<&'a str, What> {
    out.clear();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let byte = triplet(after.as_bytes()).ok_or(What::TargetEscape)?;
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => push_triplet(byte, out),
        }
        rest = &after[2..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Removes `.`, `..` and empty segments. A slash at the end stays.
fn without_dots<'a>(path: &str, out: &'a mut String) -> &'a str {
    out.clear();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => out.truncate(out.rfind('/').unwrap_or(0)),
            segment => {
                out.push('/');
                out.push_str(segment);
            }
        }
    }
    if out.is_empty() || path.ends_with('/') {
        out.push('/');
    }
    out
}

/// The path as rules and expressions see it: unescaped except for reserved characters and what is
/// not UTF-8.
pub fn routing_path<'a>(path: &'a str, out: &'a mut String) -> &'a str {
    if path.contains('%') { unescape(path, out) } else { path }
}

/// Whether every percent sign begins a triplet.
pub fn is_escaped(path: &str) -> bool {
    path.split('%').skip(1).all(|after| triplet(after.as_bytes()).is_some())
}

/// Decodes what is neither reserved nor broken UTF-8.
fn unescape<'a>(path: &str, out: &'a mut String) -> &'a str {
    out.clear();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let mut sequence = [0; 4];
        let count = sequence_of(after, &mut sequence);
        match std::str::from_utf8(&sequence[..count]) {
            Ok(text) if count > 0 && !is_reserved(sequence[0]) => {
                out.push_str(text);
                rest = &after[3 * count - 1..];
            }
            _ => {
                out.push('%');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// The bytes of the character that the triplets at the start of `after` (without its `%`) spell;
/// their number.
fn sequence_of(after: &str, out: &mut [u8; 4]) -> usize {
    let Some(lead) = triplet(after.as_bytes()) else { return 0 };
    let count = match lead {
        0..0x80 => 1,
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf8 => 4,
        _ => return 0,
    };
    out[0] = lead;
    let mut next = &after.as_bytes()[2..];
    for slot in &mut out[1..count] {
        let [b'%', triplet_bytes @ ..] = next else { return 0 };
        let Some(byte) = triplet(triplet_bytes) else { return 0 };
        *slot = byte;
        next = &triplet_bytes[2..];
    }
    count
}

fn is_reserved(byte: u8) -> bool {
    b":/?#[]@!$&'()*+,;=%".contains(&byte)
}

/// Triplets become bytes, and every other byte what `plain` makes of it. What only looks like a
/// triplet stays.
pub fn put_decoded(text: &[u8], out: &mut Vec<u8>, plain: impl Fn(u8) -> u8) {
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        match triplet(after).filter(|_| *byte == b'%') {
            Some(decoded) => {
                out.push(decoded);
                rest = &after[2..];
            }
            None => {
                out.push(plain(*byte));
                rest = after;
            }
        }
    }
}

fn triplet(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

fn push_triplet(byte: u8, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// The authority and the rest of an absolute target.
fn absolute(raw: &str) -> Result<(&str, &str), What> {
    let (scheme, rest) = raw.split_once("://").ok_or(What::TargetForm)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(What::TargetScheme);
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let named = !split_port(authority).0.is_empty();
    if named && is_host_and_port(authority) {
        Ok((authority, rest))
    } else {
        Err(What::TargetAuthority)
    }
}

/// The target of CONNECT: a host and a port, both present.
fn check_authority(raw: &str) -> Result<&str, What> {
    let (host, port) = split_port(raw);
    let present = !host.is_empty() && port.is_some_and(|port| !port.is_empty());
    if present && is_host_and_port(raw) { Ok(raw) } else { Err(What::TargetForm) }
}

fn is_host_and_port(text: &str) -> bool {
    let (host, port) = split_port(text);
    let host_is_fine = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|address| {
            !address.is_empty()
                && address.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
        }),
        None => host.bytes().all(is_name_byte),
    };
    let port_is_fine = port.is_none_or(|port| {
        port.bytes().all(|b| b.is_ascii_digit()) && (port.is_empty() || port.parse::<u16>().is_ok())
    });
    host_is_fine && port_is_fine && (port.is_none() || !host.is_empty())
}

/// A registered name without escapes and without the comma, which other readers take for a list.
fn is_name_byte(b: u8) -> bool {
    NAME_BYTES[usize::from(b)]
}

const NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let others = b"-._~!$&'()*+;=";
    let mut b = 0u8;
    while b < 128 {
        table[b as usize] = b.is_ascii_alphanumeric();
        b += 1;
    }
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};

fn split_port(authority: &str) -> (&str, Option<&str>) {
    let bytes = authority.as_bytes();
    let name_end = match bytes.first() {
        Some(b'[') => authority.rfind(']').map_or(0, |bracket| bracket + 1),
        _ => 0,
    };
    match bytes[name_end..].iter().position(|b| *b == b':') {
        Some(at) => (&authority[..name_end + at], Some(&authority[name_end + at + 1..])),
        None => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fields::Field;
    use crate::http::head::Version;

    /// Form, authority, host, path, routing path and query of a target, in one line.
    fn told(method: &str, target: &str, host: &str) -> Result<String, What> {
        let fields = [Field { name: "Host", value: host.as_bytes() }];
        let head = RequestHead::new(method, target, Version::Http11, &fields)?;
        let mut rewritten = Rewritten::default();
        let target = read(&head, &mut rewritten)?;
        let Target { form, authority, host, path, routing_path, query } = target;
        Ok(format!("{form:?} {authority} {host} {path} {routing_path} {}", query.unwrap_or("-")))
    }

    #[track_caller]
    fn check(method: &str, target: &str, expected: Result<&str, What>) {
        let told = told(method, target, "h");
        assert_eq!(told, expected.map(str::to_owned), "{method} {target}");
    }

    #[test]
    fn the_four_forms() {
        check("GET", "/a?b", Ok("Origin h h /a /a b"));
        check("GET", "/a?", Ok("Origin h h /a /a "));
        check("GET", "http://O:81/a?b", Ok("Absolute O:81 o /a /a b"));
        check("GET", "HTTPS://o", Ok("Absolute o o / / -"));
        check("GET", "http://o?q", Ok("Absolute o o / / q"));
        check("OPTIONS", "*", Ok("Asterisk h h * * -"));
        check("OPTIONS", "http://o:1", Ok("Asterisk o:1 o * * -"));
        check("OPTIONS", "http://o:1/", Ok("Absolute o:1 o / / -"));
        check("CONNECT", "o:443", Ok("Authority o:443 o   -"));
        check("CONNECT", "[::1]:443", Ok("Authority [::1]:443 ::1   -"));
    }

    #[test]
    fn targets_of_no_form_are_refused() {
        check("GET", "*", Err(What::TargetForm));
        check("GET", "a", Err(What::TargetForm));
        check("GET", "o:443", Err(What::TargetForm));
        check("GET", "?a", Err(What::TargetForm));
        check("CONNECT", "/", Err(What::TargetForm));
        check("CONNECT", "o", Err(What::TargetForm));
        check("CONNECT", "o:", Err(What::TargetForm));
        check("CONNECT", ":443", Err(What::TargetForm));
        check("GET", "ftp://o/", Err(What::TargetScheme));
        check("GET", "://o/", Err(What::TargetScheme));
        for authority in
            ["", ":80", "u@o", "u:p@o", "o:x", "o:65536", "[::1", "o%20", "a\\b", "a,b"]
        {
            check("GET", &format!("http://{authority}/"), Err(What::TargetAuthority));
        }
        check("GET", "/a#b", Err(What::TargetFragment));
        check("GET", "/a?b#c", Err(What::TargetFragment));
        check("GET", "/ä", Err(What::TargetBytes));
        check("GET", "/a\u{7f}", Err(What::TargetBytes));
    }

    #[test]
    fn an_entry_point_may_read_targets_otherwise() {
        let fields = [Field { name: "Host", value: b"h" }];
        let target = "/a//b/../%2e/c?x;y;";
        let head = RequestHead::new("GET", target, Version::Http11, &fields).expect("a fine head");
        for (sanitise, semicolons, expected) in [
            (true, Semicolons::Ampersands, "/a/c?x&y&"),
            (false, Semicolons::Ampersands, "/a//b/.././c?x&y&"),
            (false, Semicolons::Encoded, "/a//b/.././c?x%3By%3B"),
        ] {
            let mut rewritten = Rewritten::default();
            let target = read_as(&head, &mut rewritten, Reading { sanitise, semicolons });
            let target = target.expect("a fine target");
            let (path, query) = (target.path, target.query.unwrap_or_default());
            assert_eq!(format!("{path}?{query}"), expected);
        }
    }

    #[track_caller]
    fn path(target: &str, forwarded: &str, routed: &str) {
        check("GET", target, Ok(&format!("Origin h h {forwarded} {routed} -")));
    }

    #[test]
    fn triplets_are_made_canonical() {
        path("/%7euser/%41", "/~user/A", "/~user/A");
        path("/a%2fb", "/a%2Fb", "/a%2Fb");
        path("/%25%3b%23", "/%25%3B%23", "/%25%3B%23");
        path("/a%20b%22", "/a%20b%22", "/a b\"");
        path("/%c3%a4", "/%C3%A4", "/ä");
        path("/%e2%82%ac!", "/%E2%82%AC!", "/€!");
        path("/%f0%9f%a6%80", "/%F0%9F%A6%80", "/🦀");
        path("/%c3/%a4", "/%C3/%A4", "/%C3/%A4");
        path("/%ff%c3%a4", "/%FF%C3%A4", "/%FFä");
        path("/%e2%82", "/%E2%82", "/%E2%82");
        path("/%ed%a0%80", "/%ED%A0%80", "/%ED%A0%80");
        path("/%2525", "/%2525", "/%2525");
        for broken in ["/%", "/%4", "/%4/", "/%zz", "/a%2", "/%+1"] {
            check("GET", broken, Err(What::TargetEscape));
        }
    }

    #[test]
    fn segments_are_made_canonical() {
        path("/", "/", "/");
        path("//", "/", "/");
        path("/a//b", "/a/b", "/a/b");
        path("/a/./b/", "/a/b/", "/a/b/");
        path("/a/b/..", "/a", "/a");
        path("/a/b/../", "/a/", "/a/");
        path("/a/.", "/a", "/a");
        path("/../../a", "/a", "/a");
        path("/a/../..", "/", "/");
        path("/a/...", "/a/...", "/a/...");
        path("/.well-known/x", "/.well-known/x", "/.well-known/x");
        path("/a/..b/c..", "/a/..b/c..", "/a/..b/c..");
        path("/a/%2e%2E/b", "/b", "/b");
        path("/a/%2e/b", "/a/b", "/a/b");
        path("/a/..%2fb", "/a/..%2Fb", "/a/..%2Fb");
        path("/a%2f../b", "/a%2F../b", "/a%2F../b");
    }

    #[test]
    fn queries_are_separated_by_ampersands() {
        check("GET", "/?a=1;b=2&c;", Ok("Origin h h / / a=1&b=2&c&"));
        check("GET", "/?a=%3b//../%zz", Ok("Origin h h / / a=%3b//../%zz"));
        check("GET", "/a;b?c", Ok("Origin h h /a;b /a;b c"));
    }

    #[test]
    fn hosts_are_a_name_or_an_address_and_a_port() {
        for host in ["", "a", "a.b-c_d", "a.", "A:80", "1.2.3.4", "[::1]", "[fe80::1]:8080", "a:"] {
            assert_eq!(check_host(host.as_bytes()), Ok(host), "{host}");
        }
        let refused = [
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "u@a",
            "a:b",
            "a:1:2",
            "::1",
            "[::1",
            "::1]",
            "[]",
            "[g]",
            "[::1]x",
            "[::1]:x",
            "a:99999",
            ":80",
            "a\\b",
            "a,b",
            "a\tb",
            "ä",
            "a%41",
            "a:+1",
            "[::1]]:80",
            "[[::1]]",
            "\"a\"",
            "<a>",
        ];
        for host in refused {
            assert_eq!(check_host(host.as_bytes()), Err(What::HostMalformed), "{host}");
        }
    }

    #[test]
    fn a_host_is_compared_in_lower_case_without_port_and_brackets() {
        for (authority, expected, number) in [
            ("", "", None),
            ("Example.COM", "example.com", None),
            ("example.com:8080", "example.com", Some(8080)),
            ("a.:", "a.", None),
            ("[FE80::1]:80", "fe80::1", Some(80)),
            ("[::1]", "::1", None),
        ] {
            assert_eq!(canonical_host(authority, &mut String::new()), expected);
            assert_eq!(port(authority), number, "{authority}");
        }
    }

    #[test]
    fn a_canonical_path_stays_as_it_is() {
        let parts = ["/", "a", ".", "..", "%2e", "%2F", "%61", "%25", "%C3%A4", "//", "%2f"];
        for a in parts {
            for b in parts {
                for c in parts {
                    for d in parts {
                        let raw = format!("/{a}{b}{c}{d}");
                        let fields = [Field { name: "host", value: b"" }];
                        let once = forwarded(&raw, &fields);
                        assert_eq!(forwarded(&once, &fields), once, "{raw}");
                        let segments: Vec<_> = once.split('/').collect();
                        assert!(!segments.contains(&".."), "{raw} {once}");
                        assert!(!once.contains("//"), "{raw} {once}");
                    }
                }
            }
        }
    }

    fn forwarded(raw: &str, fields: &[Field<'_>]) -> String {
        let head = RequestHead::new("GET", raw, Version::Http11, fields).expect("a fine head");
        read(&head, &mut Rewritten::default()).expect("a fine target").path.to_owned()
    }

    #[test]
    fn what_needs_no_change_is_borrowed() {
        let fields = [Field { name: "host", value: b"example.com" }];
        let raw = "/api/v1/things.json?page=2&size=10";
        let head = RequestHead::new("GET", raw, Version::Http11, &fields).expect("a fine head");
        let mut rewritten = Rewritten::default();
        let path = read(&head, &mut rewritten).expect("a fine target").path;
        assert!(std::ptr::eq(path.as_ptr(), raw.as_ptr()));
        let Rewritten { normal, clean, routing, query, host } = rewritten;
        assert_eq!([normal, clean, routing, query, host].map(|text| text.capacity()), [0; 5]);
    }
}
