//! What a request head becomes on its way to a server, and a response head on its way to a client.

use crate::base::mutant::{Mutant, planted};
use crate::base::text::number;
use crate::config::fixed::{AppendFor, EntryPoint};
use crate::http::fields::{self, Field, Known};
use crate::http::framing::Framing;
use crate::http::head::{RequestHead, ResponseHead, Version};
use crate::http::options::is_websocket;
use crate::http::websocket;
use crate::service::middleware::forward::{Grant, granted};
use crate::service::middleware::grpc_web::Form;
use crate::service::middleware::{self, Step, Told, client_cert};
use crate::tls::chain::Chain;
use crate::view::ServerNode;
use std::io::Write as _;
use std::net::IpAddr;
use std::ops::Range;

/// Tells a child which uplink a request is for.
pub(super) const UPLINK_NAME: &str = "X-Uplink-Name";

/// The instances that have handled a request, from cluster to cluster.
pub(super) const HOPS: &str = "X-Tieline-Hops";

/// Who called whom, from cluster to cluster, the first caller first.
pub(super) const CALLERS: &str = "X-Tieline-Callers";
/// A caller that did not show who it is.
const ANONYMOUS: &[u8] = b"anonymous";
/// Stands for callers between the first and the last, if the list became too long.
const OMITTED: &[u8] = b"...";
/// Bytes of the list.
const CALLERS_MAX: usize = 2_048;

/// Fields that say how a request reached us, or that instances say to one another: a client that is
/// not trusted cannot set them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Managed {
    For,
    Proto,
    Host,
    Port,
    RealIp,
    /// Always written anew.
    Server,
    /// Passed on if trusted, never written.
    Passed,
    UplinkName,
    Hops,
    Callers,
}

impl Managed {
    pub(super) fn of(name: &str) -> Option<Self> {
        let bytes = name.as_bytes();
        if bytes.len() < 8 || bytes[0] | 0x20 != b'x' {
            return None;
        }
        let is = |spelled: &str| {
            spelled.len() == bytes.len()
                && spelled.bytes().zip(bytes).all(|(wanted, got)| match got {
                    b'_' => wanted == b'-',
                    got => got.to_ascii_lowercase() == wanted,
                })
        };
        let found = match bytes.len() {
            8 if is("x-scheme") => Self::Passed,
            9 if is("x-real-ip") => Self::RealIp,
            13 if is("x-uplink-name") => Self::UplinkName,
            14 if is("x-tieline-hops") => Self::Hops,
            15 if is("x-forwarded-for") => Self::For,
            15 if is("x-forwarded-uri") => Self::Passed,
            16 if is("x-forwarded-host") => Self::Host,
            16 if is("x-forwarded-port") => Self::Port,
            17 if is("x-tieline-callers") => Self::Callers,
            17 if is("x-forwarded-proto") => Self::Proto,
            18 if is("x-forwarded-server") => Self::Server,
            18 if is("x-forwarded-method") || is("x-forwarded-prefix") => Self::Passed,
            18 if is("x-forwarded-scheme") => Self::Passed,
            27 if is("x-forwarded-tls-client-cert") => Self::Passed,
            32 if is("x-forwarded-tls-client-cert-info") => Self::Passed,
            _ => return None,
        };
        Some(found)
    }
}

/// A request about to be written for a server.
#[derive(Clone, Copy)]
pub(super) struct Outgoing<'a> {
    pub(super) head: &'a RequestHead<'a>,
    /// What `head` was read from.
    pub(super) bytes: &'a [u8],
    /// Path and query after the middlewares.
    pub(super) target: &'a str,
    /// What the client called us.
    pub(super) authority: &'a str,
    pub(super) peer: IpAddr,
    pub(super) entry: &'a EntryPoint,
    /// The client speaks TLS.
    pub(super) secure: bool,
    pub(super) instance: &'a str,
    /// What the client is called by its certificate, if that was verified.
    pub(super) caller: Option<&'a str>,
    /// The certificates that it showed.
    pub(super) chain: Option<&'a Chain>,
    /// The client is a parent: what it says about callers before it is believed.
    pub(super) from_parent: bool,
    /// The server is reached over TLS.
    pub(super) covered: bool,
    pub(super) steps: &'a [Step],
    /// The client speaks gRPC-Web, and the server gRPC.
    pub(super) web: Option<Form>,
    /// What path middlewares tell the server, as finished field lines.
    pub(super) noted: &'a [u8],
    /// What other servers said of it.
    pub(super) grants: &'a [Grant],
    pub(super) server: &'a ServerNode,
    /// The server's own name, where the client's is not passed on.
    pub(super) host: Option<&'a str>,
    /// The body as it will be sent.
    pub(super) framing: Framing,
    /// Asks for a WebSocket in the place of a client that has no key, or none that counts.
    pub(super) key: Option<&'a [u8]>,
    pub(super) expects_continue: bool,
    /// The connection is not to be used again.
    pub(super) close: bool,
}

/// Writes the head for the server.
pub(super) fn write_request(out: &mut Vec<u8>, request: &Outgoing<'_>) {
    let trusted = is_trusted(request.entry, request.peer);
    write_request_line(out, request);
    let present = write_passed_fields(out, request, trusted);
    write_framing(out, request.framing, request.head.framing);
    if let Some(upgrade) = request.head.upgrade {
        put_field(out, "Connection", b"Upgrade");
        put_field(out, "Upgrade", upgrade.as_bytes());
        if let Some(key) = request.key {
            put_field(out, websocket::KEY, key);
        }
    } else if request.close {
        put_field(out, "Connection", b"close");
    }
    if request.head.takes_trailers || request.web.is_some() {
        put_field(out, "Te", b"trailers");
    }
    write_forwarded(out, request, trusted, present);
    out.extend_from_slice(request.noted);
    for (name, value) in middleware::request_fields(request.steps) {
        let written = matches!(Managed::of(name), Some(Managed::For | Managed::Callers));
        if !written && fields::is_value(value.as_bytes()) {
            put_field(out, name, value.as_bytes());
        }
    }
    for (name, value) in granted(request.steps, request.grants) {
        let own = matches!(
            Managed::of(name),
            Some(
                Managed::For
                    | Managed::Server
                    | Managed::UplinkName
                    | Managed::Hops
                    | Managed::Callers
            )
        );
        if !own && fields::is_value(value) {
            put_field(out, name, value);
        }
    }
    write_client_cert(out, request.steps, request.chain);
    write_callers(out, request);
    if let Some(uplink) = &request.server.uplink {
        put_field(out, UPLINK_NAME, uplink.name.as_bytes());
        write_list(out, HOPS, request.head.fields, Managed::Hops, Some(request.instance));
    }
    out.extend_from_slice(b"\r\n");
}

fn write_request_line(out: &mut Vec<u8>, request: &Outgoing<'_>) {
    out.extend_from_slice(request.head.method.as_str().as_bytes());
    out.push(b' ');
    let prefix = request.server.prefix.as_str();
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    out.extend_from_slice(prefix.as_bytes());
    out.extend_from_slice(request.target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let asked = middleware::request_host(request.steps);
    let passed = Some(request.authority).filter(|authority| !authority.is_empty());
    let host = request.host.or(asked).or(passed).unwrap_or("");
    put_field(out, "Host", host.as_bytes());
}

/// Which managed fields a trusted peer has set.
#[derive(Clone, Copy, Default)]
struct Present {
    proto: bool,
    host: bool,
    port: bool,
    real_ip: bool,
}

fn write_passed_fields(out: &mut Vec<u8>, request: &Outgoing<'_>, trusted: bool) -> Present {
    let mut present = Present::default();
    let mut lines = Lines::of(request.bytes);
    let edits = !request.steps.is_empty();
    for field in request.head.end_to_end() {
        match Known::of(field.name) {
            Some(Known::Host) => continue,
            Some(Known::ContentLength) if request.framing != request.head.framing => continue,
            Some(Known::Expect) if !request.expects_continue => continue,
            _ => {}
        }
        if edits && middleware::decides_request(request.steps, field.name.as_bytes()) {
            continue;
        }
        if let Some(managed) = Managed::of(field.name)
            && !passes(managed, field, trusted, &mut present)
        {
            continue;
        }
        if let Some(form) = request.web
            && field.name.eq_ignore_ascii_case("content-type")
        {
            lines.flush(out);
            put_line(out, "Content-Type", |out| form.write_asked(field.value, out));
            continue;
        }
        if planted(Mutant::LosesField) && field.name.eq_ignore_ascii_case("x-list") {
            continue;
        }
        let keyed = request.key.is_some() && field.name.eq_ignore_ascii_case(websocket::KEY);
        if keyed || is_nominated_managed(request, field) {
            continue;
        }
        lines.pass(out, field);
        if planted(Mutant::DoubleHeader) && field.name.eq_ignore_ascii_case("accept") {
            lines.flush(out);
            put_field(out, field.name, field.value);
        }
    }
    lines.flush(out);
    present
}

fn passes(managed: Managed, field: &Field<'_>, trusted: bool, present: &mut Present) -> bool {
    let passed = trusted && !field.value.is_empty();
    match managed {
        Managed::UplinkName => planted(Mutant::UplinkNameBelieved),
        Managed::Hops | Managed::Callers | Managed::Server | Managed::For => false,
        Managed::Proto => passed && !std::mem::replace(&mut present.proto, passed),
        Managed::Host => passed && !std::mem::replace(&mut present.host, passed),
        Managed::Port => passed && !std::mem::replace(&mut present.port, passed),
        Managed::RealIp => passed && !std::mem::replace(&mut present.real_ip, passed),
        Managed::Passed => trusted,
    }
}

/// Managed fields cannot be removed by naming them in `Connection`, except those that the entry
/// point lists.
fn is_nominated_managed(request: &Outgoing<'_>, field: &Field<'_>) -> bool {
    let listed = &request.entry.forwarded.connection;
    !listed.is_empty()
        && listed.iter().any(|name| name.eq_ignore_ascii_case(field.name))
        && fields::all(request.head.fields, "connection")
            .flat_map(fields::list)
            .any(|option| option.eq_ignore_ascii_case(field.name.as_bytes()))
}

/// Writes the framing field that did not come with the head.
fn write_framing(out: &mut Vec<u8>, framing: Framing, came: Framing) {
    match framing {
        Framing::Chunked => put_field(out, "Transfer-Encoding", b"chunked"),
        Framing::Length(length) if framing != came => {
            out.extend_from_slice(b"Content-Length: ");
            number(length, out);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Length(_) | Framing::Empty | Framing::UntilClose | Framing::Tunnel => {}
    }
}

fn write_forwarded(out: &mut Vec<u8>, request: &Outgoing<'_>, trusted: bool, present: Present) {
    let decided = |name: &str| {
        !request.steps.is_empty() && middleware::decides_request(request.steps, name.as_bytes())
    };
    write_forwarded_for(out, request, trusted);
    if !present.host && !request.authority.is_empty() && !decided("x-forwarded-host") {
        put_field(out, "X-Forwarded-Host", request.authority.as_bytes());
    }
    if !present.port && !decided("x-forwarded-port") {
        let usual = if request.secure { "443" } else { "80" };
        put_field(out, "X-Forwarded-Port", port_of(request.authority, usual).as_bytes());
    }
    if !present.proto && !decided("x-forwarded-proto") {
        let websocket = request.head.upgrade.is_some_and(is_websocket);
        let proto: &[u8] = match (websocket, request.secure) {
            (false, false) => b"http",
            (false, true) => b"https",
            (true, false) => b"ws",
            (true, true) => b"wss",
        };
        put_field(out, "X-Forwarded-Proto", proto);
    }
    if !request.instance.is_empty() && !decided("x-forwarded-server") {
        put_field(out, "X-Forwarded-Server", request.instance.as_bytes());
    }
    if !present.real_ip && !decided("x-real-ip") {
        out.extend_from_slice(b"X-Real-Ip: ");
        put_ip(out, request.peer);
        out.extend_from_slice(b"\r\n");
    }
}

/// The list as it came or as a middleware set it, and the peer behind it.
fn write_forwarded_for(out: &mut Vec<u8>, request: &Outgoing<'_>, trusted: bool) {
    const NAME: &str = "X-Forwarded-For";
    let append = request.entry.forwarded.append_for == AppendFor::Yes;
    let decided =
        !request.steps.is_empty() && middleware::decides_request(request.steps, NAME.as_bytes());
    let start = out.len();
    out.extend_from_slice(b"X-Forwarded-For: ");
    let values = out.len();
    if decided {
        let set = middleware::request_fields(request.steps)
            .filter(|(name, _)| Managed::of(name) == Some(Managed::For));
        set.for_each(|(_, value)| put_element(out, values, value.as_bytes()));
    } else if trusted {
        put_values(out, values, request.head.fields, Managed::For);
    }
    if append {
        if out.len() > values {
            out.extend_from_slice(b", ");
        }
        put_ip(out, request.peer);
    }
    if out.len() == values {
        out.truncate(start);
    } else {
        out.extend_from_slice(b"\r\n");
    }
}

/// What steps tell a server of the certificate that its client showed.
pub(super) fn write_client_cert(out: &mut Vec<u8>, steps: &[Step], chain: Option<&Chain>) {
    let Some(chain) = chain else { return };
    let (pem, facts) = client_cert::wanted(steps);
    if pem {
        put_line(out, client_cert::CERT, |out| chain.write_pem(out));
    }
    if let Some(facts) = facts {
        put_line(out, client_cert::INFO, |out| chain.write_facts(facts, out));
    }
}

/// Callers before the client as a parent told them, and the client. A child is also told that the
/// client is nobody known, or the parent would seem to be the first.
fn write_callers(out: &mut Vec<u8>, request: &Outgoing<'_>) {
    let to_child = request.covered && request.server.uplink.is_some();
    if request.caller.is_none() && !to_child {
        return;
    }
    let caller = request.caller.map_or(ANONYMOUS, str::as_bytes);
    out.extend_from_slice(CALLERS.as_bytes());
    out.extend_from_slice(b": ");
    let values = out.len();
    if request.from_parent {
        put_values(out, values, request.head.fields, Managed::Callers);
    }
    put_element(out, values, caller);
    if out.len() - values > CALLERS_MAX {
        out.truncate(values);
        let first = callers(request.head.fields).and_then(|list| fields::list(list).next());
        put_element(out, values, first.filter(|it| it.len() < CALLERS_MAX / 2).unwrap_or(b""));
        put_element(out, values, OMITTED);
        put_element(out, values, caller);
    }
    out.extend_from_slice(b"\r\n");
}

/// What a request says about callers before the client.
pub(super) fn callers<'a>(all: &[Field<'a>]) -> Option<&'a [u8]> {
    all.iter().find(|it| Managed::of(it.name) == Some(Managed::Callers)).map(|it| it.value)
}

/// One line with the values of all fields of this kind, and one more.
fn write_list(out: &mut Vec<u8>, name: &str, all: &[Field<'_>], kind: Managed, more: Option<&str>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    let values = out.len();
    put_values(out, values, all, kind);
    if let Some(more) = more {
        put_element(out, values, if more.is_empty() { b"-" } else { more.as_bytes() });
    }
    out.extend_from_slice(b"\r\n");
}

fn put_values(out: &mut Vec<u8>, values: usize, all: &[Field<'_>], kind: Managed) {
    for field in all.iter().filter(|field| Managed::of(field.name) == Some(kind)) {
        put_element(out, values, field.value);
    }
}

pub(super) fn put_element(out: &mut Vec<u8>, values: usize, element: &[u8]) {
    if !element.is_empty() {
        if out.len() > values {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(element);
    }
}

pub(super) fn is_trusted(entry: &EntryPoint, peer: IpAddr) -> bool {
    planted(Mutant::ForwardedTrusted)
        || entry.forwarded.insecure
        || entry.forwarded.trusted.iter().any(|range| range.contains(peer))
}

/// The first `X-Forwarded-For` of a peer that is believed.
pub(super) fn forwarded_for<'a>(
    all: &[Field<'a>],
    entry: &EntryPoint,
    peer: IpAddr,
) -> Option<&'a [u8]> {
    let value = fields::first(all, "x-forwarded-for")?;
    is_trusted(entry, peer).then_some(value)
}

/// The port a client named, or the usual one.
pub(super) fn port_of<'a>(authority: &'a str, usual: &'a str) -> &'a str {
    let after_brackets = authority.rsplit(']').next().unwrap_or(authority);
    match after_brackets.rsplit_once(':') {
        Some((_, port)) if !port.is_empty() => port,
        _ => usual,
    }
}

pub(super) fn put_ip(out: &mut Vec<u8>, ip: IpAddr) {
    let ip = match ip.to_canonical() {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(ip) => return write!(out, "{ip}").expect("a vector takes every byte"),
    };
    let mut text = [b'.'; 16];
    let mut end = 0;
    for octet in ip.octets() {
        if octet >= 100 {
            text[end] = b'0' + octet / 100;
            end += 1;
        }
        if octet >= 10 {
            text[end] = b'0' + octet / 10 % 10;
            end += 1;
        }
        text[end] = b'0' + octet % 10;
        end += 2;
    }
    out.extend_from_slice(&text[..end - 1]);
}

/// Field lines passed on as they came: neighbours are copied in one piece.
struct Lines<'a> {
    whole: &'a [u8],
    run: Range<usize>,
}

impl<'a> Lines<'a> {
    fn of(whole: &'a [u8]) -> Self {
        Self { whole, run: 0..0 }
    }

    fn pass(&mut self, out: &mut Vec<u8>, field: &Field<'_>) {
        let Some(line) = self.line(field) else {
            self.flush(out);
            put_field(out, field.name, field.value);
            return;
        };
        if line.start != self.run.end {
            self.flush(out);
            self.run.start = line.start;
        }
        self.run.end = line.end;
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.whole[self.run.clone()]);
        self.run = 0..0;
    }

    /// The line of a field that was read from these bytes.
    fn line(&self, field: &Field<'_>) -> Option<Range<usize>> {
        let begin = self.whole.as_ptr() as usize;
        let start = (field.name.as_ptr() as usize).checked_sub(begin)?;
        let name_end = start + field.name.len();
        let value_end = match field.value {
            [] => name_end,
            value => (value.as_ptr() as usize).checked_sub(begin)? + value.len(),
        };
        let rest = self.whole.get(value_end..)?;
        let end = match rest {
            [b'\r', b'\n', ..] => value_end + 2,
            rest => value_end + rest.iter().position(|b| *b == b'\n')? + 1,
        };
        (name_end <= self.whole.len()).then_some(start..end)
    }
}

pub(super) fn put_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

pub(super) fn put_line(out: &mut Vec<u8>, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    write(out);
    out.extend_from_slice(b"\r\n");
}

/// What the response's `Connection` tells the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Persist {
    /// HTTP/1.1 keeps a connection without a word.
    Silently,
    /// HTTP/1.0 has to be told.
    KeepAlive,
    Close,
}

/// Writes the head of a response, final or interim, for the client. True if its `Date` is settled:
/// it came with one, or a middleware says otherwise.
pub(super) fn write_response(
    out: &mut Vec<u8>,
    bytes: &[u8],
    head: &ResponseHead<'_>,
    steps: &[Step],
    told: Told<'_>,
    framing: Framing,
    persist: Persist,
) -> bool {
    write_status_line(out, head.status, head.reason);
    let edits =
        !told.grants.is_empty() || steps.iter().any(|step| matches!(step, Step::Headers(_)));
    let mut varies = edits && middleware::varies(steps);
    let mut lines = Lines::of(bytes);
    let mut dated = edits && middleware::decides_response(steps, told, b"date");
    for field in head.end_to_end() {
        dated |= field.name.eq_ignore_ascii_case("date");
        let decided = edits && middleware::takes_line(steps, told, field.name, field.value);
        if !decided {
            varies &=
                !(field.name.eq_ignore_ascii_case("vary") && middleware::names_origin(field.value));
            lines.pass(out, field);
        }
    }
    lines.flush(out);
    if edits {
        write_edits(out, steps, told);
    }
    if varies {
        put_field(out, "Vary", b"Origin");
    }
    write_framing(out, framing, head.framing);
    if let Some(upgrade) = head.upgrade {
        put_field(out, "Connection", b"Upgrade");
        put_field(out, "Upgrade", upgrade.as_bytes());
    }
    write_persist(out, persist);
    out.extend_from_slice(b"\r\n");
    dated
}

/// Adds whole lines to the end of a complete head.
pub(super) fn extend_head(head: &mut Vec<u8>, add: impl FnOnce(&mut Vec<u8>)) {
    debug_assert!(head.ends_with(b"\r\n\r\n"), "a head ends with an empty line");
    head.truncate(head.len() - 2);
    add(head);
    head.extend_from_slice(b"\r\n");
}

/// What middlewares put on a response, framing excepted.
pub(super) fn write_edits(out: &mut Vec<u8>, steps: &[Step], told: Told<'_>) {
    middleware::put_response(steps, told, |name, value| {
        let framed = Known::of(name).is_some();
        if !framed && fields::is_value(value) {
            put_field(out, name, value);
        }
    });
}

pub(super) fn write_persist(out: &mut Vec<u8>, persist: Persist) {
    match persist {
        Persist::Silently => {}
        Persist::KeepAlive => put_field(out, "Connection", b"keep-alive"),
        Persist::Close => put_field(out, "Connection", b"close"),
    }
}

pub(super) fn write_status_line(out: &mut Vec<u8>, status: u16, reason: &str) {
    let status = if planted(Mutant::StatusChanged) && status == 201 { 200 } else { status };
    out.extend_from_slice(b"HTTP/1.1 ");
    number(u64::from(status), out);
    out.push(b' ');
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// How a response's body reaches a client of this version.
pub(super) fn framing_for(client: Version, framing: Framing) -> Framing {
    match (framing, client) {
        (Framing::UntilClose, Version::Http11) => Framing::Chunked,
        (Framing::Chunked, Version::Http10 | Version::Http2) => Framing::UntilClose,
        (framing, _) => framing,
    }
}

/// Whether a request may come in: it has not been here, and not come too far.
pub(super) fn is_loop(all: &[Field<'_>], instance: &str, hops_max: u32) -> bool {
    let lines = all.iter().filter(|field| Managed::of(field.name) == Some(Managed::Hops));
    let mut hops = 0;
    if planted(Mutant::HopsUnchecked) {
        return false;
    }
    for hop in lines.flat_map(|line| fields::list(line.value)) {
        hops += 1;
        if hops > hops_max || (!instance.is_empty() && hop == instance.as_bytes()) {
            return true;
        }
    }
    false
}

/// The value of `X-Uplink-Name`, in this very spelling.
pub(super) fn uplink_name<'a>(all: &[Field<'a>]) -> Option<&'a [u8]> {
    fields::first(all, UPLINK_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_everybody_writes_them() {
        for text in ["1.2.3.4", "10.200.30.0", "255.255.255.255", "0.0.0.0", "2001:db8::7"] {
            let mut out = Vec::new();
            put_ip(&mut out, text.parse().expect("an address"));
            assert_eq!(String::from_utf8_lossy(&out), text);
        }
        let mut out = Vec::new();
        put_ip(&mut out, "::ffff:192.0.2.1".parse().expect("an address"));
        assert_eq!(out, b"192.0.2.1");
    }

    #[test]
    fn ports_are_found_behind_names_and_brackets() {
        for (authority, port) in
            [("a", "80"), ("a:81", "81"), ("[::1]", "80"), ("[::1]:82", "82"), ("a:", "80")]
        {
            assert_eq!(port_of(authority, "80"), port, "{authority}");
        }
    }

    #[test]
    fn fields_that_clients_may_not_set_are_known() {
        for (name, expected) in [
            ("X-Forwarded-For", Managed::For),
            ("X-Forwarded-Proto", Managed::Proto),
            ("X-Forwarded-Host", Managed::Host),
            ("X-Forwarded-Port", Managed::Port),
            ("X-Real-Ip", Managed::RealIp),
            ("X-Forwarded-Server", Managed::Server),
            ("X-Uplink-Name", Managed::UplinkName),
            ("X-Tieline-Hops", Managed::Hops),
            ("X-Tieline-Callers", Managed::Callers),
            ("X-Scheme", Managed::Passed),
            ("X-Forwarded-Scheme", Managed::Passed),
            ("X-Forwarded-Method", Managed::Passed),
            ("X-Forwarded-Prefix", Managed::Passed),
            ("X-Forwarded-Uri", Managed::Passed),
            ("X-Forwarded-Tls-Client-Cert", Managed::Passed),
            ("X-Forwarded-Tls-Client-Cert-Info", Managed::Passed),
        ] {
            for spelled in [name.to_owned(), name.to_lowercase(), name.replace('-', "_")] {
                assert_eq!(Managed::of(&spelled), Some(expected), "{spelled}");
            }
        }
    }

    #[test]
    fn managed_fields_are_known_with_underscores_too() {
        for name in ["X-Forwarded-For", "x_forwarded_for", "X_Forwarded-For"] {
            assert_eq!(Managed::of(name), Some(Managed::For), "{name}");
        }
        for name in ["X-Forwarded-Fo", "XXForwardedXFor", "X-Forwarded_", "Forwarded"] {
            assert_eq!(Managed::of(name), None, "{name}");
        }
    }
}
