//! Heads as borrowed views of the bytes they came in, with what their fields mean for this
//! connection. Building one checks every rule that needs no more than the head itself.

use super::blame::What;
use super::fields::{Field, Known};
use super::framing::{Asked, Declared, Framing};
use super::method::Method;
use super::options::{self, Options};
use super::target;

/// Fields that a head can have at most, whatever the limits say.
pub const FIELDS_MAX: usize = 128;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Version {
    Http10,
    Http11,
    Http2,
}

/// Whether the sender wants the connection used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Persistence {
    Keep,
    Close,
}

/// The head of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    pub method: Method<'a>,
    /// As it came; [`target::read`] takes it apart.
    pub target: &'a str,
    pub version: Version,
    pub fields: &'a [Field<'a>],
    /// The value of `Host`, if there was one.
    pub host: Option<&'a str>,
    pub framing: Framing,
    pub persistence: Persistence,
    /// The protocols offered, if this request may end in 101.
    pub upgrade: Option<&'a str>,
    /// The client waits for 100 before it sends its body.
    pub expects_continue: bool,
    /// `TE: trailers` was sent.
    pub takes_trailers: bool,
    ending: u128,
}

/// The head of a response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    pub status: u16,
    pub reason: &'a str,
    pub version: Version,
    pub fields: &'a [Field<'a>],
    pub framing: Framing,
    pub persistence: Persistence,
    /// The value of `Content-Length`, also where no content follows (HEAD, 304).
    pub length: Option<u64>,
    /// The protocol switched to, in a 101.
    pub upgrade: Option<&'a str>,
    ending: u128,
}

/// What one pass over the fields found.
#[derive(Default)]
struct Found<'a> {
    declared: Declared,
    options: Options,
    host: Option<&'a [u8]>,
    upgrade: Option<&'a [u8]>,
    upgrades: u32,
    expects_continue: bool,
    takes_trailers: bool,
    ending: u128,
}

impl<'a> RequestHead<'a> {
    pub fn new(
        method: &'a str,
        target: &'a str,
        version: Version,
        fields: &'a [Field<'a>],
    ) -> Result<Self, What> {
        check_target(target)?;
        let found = Found::in_fields(fields, Asking::Request(version))?;
        let framing = found.declared.of_request(version)?;
        let host = match found.host {
            Some(host) => Some(target::check_host(host)?),
            None if version == Version::Http10 => None,
            None => return Err(What::HostMissing),
        };
        Ok(Self {
            method: Method::of(method),
            target,
            version,
            fields,
            host,
            framing,
            persistence: found.persistence(version),
            upgrade: found.upgrade(version).filter(|_| framing.is_over()),
            expects_continue: found.expects_continue && version == Version::Http11,
            takes_trailers: found.takes_trailers,
            ending: found.ending,
        })
    }

    /// What about this request decides how its response is framed.
    pub fn asks(&self) -> Asked {
        match self.method {
            Method::Head => Asked::Head,
            Method::Connect => Asked::Connect,
            _ if self.upgrade.is_some() => Asked::Upgrade,
            Method::Get
            | Method::Post
            | Method::Put
            | Method::Delete
            | Method::Options
            | Method::Trace
            | Method::Patch
            | Method::Other(_) => Asked::Plain,
        }
    }

    /// The fields to pass on: all but those that end at this hop. `Host`, `Content-Length` and
    /// `Expect` are among them.
    pub fn end_to_end(&self) -> impl Iterator<Item = &'a Field<'a>> + use<'a> {
        end_to_end(self.fields, self.ending)
    }
}

impl<'a> ResponseHead<'a> {
    pub fn new(
        status: u16,
        reason: &'a str,
        version: Version,
        fields: &'a [Field<'a>],
        asked: Asked,
    ) -> Result<Self, What> {
        if status < 100 {
            return Err(What::StatusMalformed);
        }
        let mut found = Found::in_fields(fields, Asking::Response)?;
        let framing = found.declared.of_response(version, status, asked)?;
        if found.declared.length().is_some() && (status < 200 || status == 204) {
            found.ending |= lengths(fields);
        }
        let upgrade = if status == 101 { found.upgrade(version) } else { None };
        if status == 101 && upgrade.is_none() {
            return Err(What::SwitchUnasked);
        }
        Ok(Self {
            status,
            reason,
            version,
            fields,
            framing,
            persistence: found.persistence(version),
            length: found.declared.length(),
            upgrade,
            ending: found.ending,
        })
    }

    /// The same head, of which fields of this name end here.
    #[must_use]
    pub fn without(self, name: &str) -> Self {
        let named = self.fields.iter().enumerate();
        let named = named.filter(|(_, field)| field.name.eq_ignore_ascii_case(name));
        Self { ending: named.fold(self.ending, |ending, (at, _)| ending | 1 << at), ..self }
    }

    /// The fields to pass on: all but those that end at this hop. `Content-Length` is among them.
    pub fn end_to_end(&self) -> impl Iterator<Item = &'a Field<'a>> + use<'a> {
        end_to_end(self.fields, self.ending)
    }
}

/// Where `Content-Length` stands: RFC 9110 §8.6 does not let it be passed on in 1xx and 204.
fn lengths(fields: &[Field<'_>]) -> u128 {
    let at = fields.iter().position(|field| Known::of(field.name) == Some(Known::ContentLength));
    at.map_or(0, |at| 1 << at)
}

fn end_to_end<'a>(
    fields: &'a [Field<'a>],
    ending: u128,
) -> impl Iterator<Item = &'a Field<'a>> + use<'a> {
    fields.iter().enumerate().filter(move |(at, _)| ending >> at & 1 == 0).map(|(_, field)| field)
}

/// RFC 9112 §3.2: visible ASCII, and a fragment is never sent.
fn check_target(target: &str) -> Result<(), What> {
    let visible = |b: u8| (0x21..0x7f).contains(&b);
    let fine = target.bytes().fold(true, |fine, b| fine & visible(b) & (b != b'#'));
    match fine && !target.is_empty() {
        true => Ok(()),
        false if target.bytes().all(visible) && !target.is_empty() => Err(What::TargetFragment),
        false => Err(What::TargetBytes),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asking {
    Request(Version),
    Response,
}

impl<'a> Found<'a> {
    fn in_fields(fields: &'a [Field<'a>], asking: Asking) -> Result<Self, What> {
        debug_assert!(fields.len() <= FIELDS_MAX, "positions are bits of a u128");
        let mut found = Self::default();
        for (at, field) in fields.iter().enumerate() {
            let Some(known) = Known::of(field.name) else { continue };
            // RFC 9110 §10.1.1: an expectation in HTTP/1.0 is ignored, so it cannot go on in 1.1.
            let ignored = known == Known::Expect && asking == Asking::Request(Version::Http10);
            if known.hop_by_hop() || ignored {
                found.ending |= 1 << at;
            }
            found.on(known, field.value, asking)?;
        }
        found.ending |= found.options.nominated(fields);
        Ok(found)
    }

    fn on(&mut self, known: Known, value: &'a [u8], asking: Asking) -> Result<(), What> {
        match (known, asking) {
            (Known::ContentLength, _) => self.declared.on_length(value)?,
            (Known::TransferEncoding, _) => self.declared.on_coding(value)?,
            (Known::Connection, _) => self.options.on_connection(value)?,
            (Known::Upgrade, _) => {
                self.upgrade = Some(value);
                self.upgrades += 1;
            }
            (Known::Host, Asking::Request(_)) => {
                if self.host.replace(value).is_some() {
                    return Err(What::HostRepeated);
                }
            }
            (Known::Expect, Asking::Request(Version::Http11)) => {
                options::expect_continue(value)?;
                self.expects_continue = true;
            }
            (Known::Te, Asking::Request(_)) => {
                self.takes_trailers |=
                    super::fields::list(value).any(|te| te.eq_ignore_ascii_case(b"trailers"));
            }
            (
                Known::Host
                | Known::Expect
                | Known::Te
                | Known::KeepAlive
                | Known::ProxyAuthenticate
                | Known::ProxyAuthorization
                | Known::ProxyConnection
                | Known::Trailer,
                _,
            ) => {}
        }
        Ok(())
    }

    fn persistence(&self, version: Version) -> Persistence {
        match version {
            _ if self.options.close => Persistence::Close,
            Version::Http10 if !self.options.keep_alive => Persistence::Close,
            Version::Http10 | Version::Http11 | Version::Http2 => Persistence::Keep,
        }
    }

    /// RFC 9110 §7.8: `Upgrade` counts only if `Connection` names it, and never in HTTP/1.0.
    fn upgrade(&self, version: Version) -> Option<&'a str> {
        let named = self.options.upgrade && self.upgrades == 1 && version == Version::Http11;
        self.upgrade.filter(|_| named).and_then(options::upgrade_to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field<'a>(line: &'a str) -> Field<'a> {
        let (name, value) = line.split_once(": ").expect("a field line");
        Field { name, value: value.as_bytes() }
    }

    #[track_caller]
    fn forwarded(lines: &[&str], expected: &[&str]) {
        let fields: Vec<_> = lines.iter().map(|line| field(line)).collect();
        let head = RequestHead::new("GET", "/", Version::Http11, &fields).expect("a fine head");
        let names: Vec<_> = head.end_to_end().map(|field| field.name).collect();
        assert_eq!(names, expected, "{lines:?}");
    }

    #[test]
    fn what_ends_at_this_hop_is_not_passed_on() {
        forwarded(&["Host: a", "Accept: b", "Expect: 100-continue"], &["Host", "Accept", "Expect"]);
        forwarded(
            &[
                "Host: a",
                "Connection: close",
                "Keep-Alive: 5",
                "Proxy-Connection: x",
                "TE: gzip",
                "Trailer: b",
                "Transfer-Encoding: chunked",
                "Upgrade: h2c",
                "Proxy-Authorization: c",
                "Proxy-Authenticate: d",
            ],
            &["Host"],
        );
        forwarded(
            &["X-A: 1", "Connection: x-a, Host, X-Forwarded-For", "Host: a", "X-Forwarded-For: b"],
            &["Host", "X-Forwarded-For"],
        );
        forwarded(&["Host: a", "Content-Length: 0"], &["Host", "Content-Length"]);
    }

    #[test]
    fn an_expectation_of_an_old_client_goes_no_further() {
        let fields = [field("Host: a"), field("Expect: cake")];
        let head = RequestHead::new("PUT", "/", Version::Http10, &fields).expect("a fine head");
        assert!(!head.expects_continue);
        assert_eq!(head.end_to_end().count(), 1);
    }

    #[track_caller]
    fn answered(status: u16, asked: Asked, expected: &[&str]) {
        let fields = [field("Content-Length: 0"), field("ETag: a"), field("Connection: close")];
        let head = ResponseHead::new(status, "", Version::Http11, &fields, asked).expect("fine");
        let names: Vec<_> = head.end_to_end().map(|field| field.name).collect();
        assert_eq!(names, expected, "{status}");
        assert_eq!(head.persistence, Persistence::Close);
    }

    #[test]
    fn a_length_is_passed_on_where_it_may_be() {
        answered(200, Asked::Plain, &["Content-Length", "ETag"]);
        answered(200, Asked::Head, &["Content-Length", "ETag"]);
        answered(304, Asked::Plain, &["Content-Length", "ETag"]);
        answered(204, Asked::Plain, &["ETag"]);
        answered(103, Asked::Plain, &["ETag"]);
    }

    #[test]
    fn the_last_of_128_fields_can_end_here() {
        let mut fields = vec![field("X: 1"); FIELDS_MAX - 2];
        fields.push(field("Host: a"));
        fields.push(field("Connection: x"));
        let head = RequestHead::new("GET", "/", Version::Http11, &fields).expect("a fine head");
        let names: Vec<_> = head.end_to_end().map(|field| field.name).collect();
        assert_eq!(names, ["Host"]);
    }

    #[test]
    fn persistence_follows_the_version_and_the_options() {
        let of = |version, line| {
            let fields = [field("Host: a"), field(line)];
            RequestHead::new("GET", "/", version, &fields).expect("a fine head").persistence
        };
        use Persistence::{Close, Keep};
        assert_eq!(of(Version::Http11, "A: b"), Keep);
        assert_eq!(of(Version::Http11, "Connection: CLOSE"), Close);
        assert_eq!(of(Version::Http11, "Connection: keep-alive, close"), Close);
        assert_eq!(of(Version::Http10, "A: b"), Close);
        assert_eq!(of(Version::Http10, "Connection: Keep-Alive"), Keep);
        assert_eq!(of(Version::Http10, "Proxy-Connection: keep-alive"), Close);
    }
}
