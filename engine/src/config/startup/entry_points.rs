//! Entry points, ordinary ones and those of uplinks.

use crate::base::cidr::Cidr;
use crate::base::diag::Diagnostic;
use crate::config::address::listen_addr;
use crate::config::dynamic::observed;
use crate::config::dynamic::router_tls;
use crate::config::encoded::EncodedRefused;
use crate::config::fields::{Fields, Named, bad_value};
use crate::config::fixed::{
    AppendFor, EntryPoint, Fixed, Forwarded, Observed, Proxied, Redirection,
};
use crate::config::spiffe::callers;
use crate::config::tls::DEFAULT;
use crate::http::alias::{Aliases, Fate, Which};
use crate::http::target::Semicolons;
use std::net::{IpAddr, SocketAddr};

/// Reads a mapping of entry points, sorted by name, and says how many it names. One with an error
/// is refused: it might serve what its author meant to guard.
pub(super) fn read(fields: &Fields<'_>, key: &'static str, fixed: &mut Fixed) -> usize {
    let members = fields.named(key);
    let mut good = Vec::new();
    for member in &members {
        let mark = fields.report.mark();
        let entry = one(fields, member, key == "uplinkEntryPoints");
        refuse_taken_name(fields, member, fixed);
        if let Some(entry) = &entry {
            refuse_taken_address(fields, member, entry, fixed.entry_points.iter().chain(&good));
        }
        match entry.filter(|_| fields.report.errors_since(mark).is_empty()) {
            Some(entry) => good.push(entry),
            None => fixed.refused_entry_points.push(member.name.to_owned()),
        }
    }
    good.sort_by(|a, b| a.name.cmp(&b.name));
    settle_redirections(fields, &members, &mut good, fixed);
    match key {
        "entryPoints" => fixed.entry_points = good,
        _ => fixed.uplink_entry_points = good,
    }
    members.len()
}

/// An entry point whose redirection leads nowhere is refused: it must not serve what was meant to
/// be redirected.
fn settle_redirections(
    fields: &Fields<'_>,
    members: &[Named<'_>],
    good: &mut Vec<EntryPoint>,
    fixed: &mut Fixed,
) {
    let all = good.clone();
    good.retain_mut(|entry| {
        let Some(redirection) = &entry.redirection else { return true };
        match aim(redirection, entry, &all) {
            Ok(port) => {
                entry.redirection.as_mut().expect("just seen").port = port;
                true
            }
            Err(why) => {
                let member = members.iter().find(|member| member.name == entry.name);
                let member = member.expect("every entry point was read from one");
                let path = format!("{}.http.redirections.entryPoint.to", member.path);
                fields.report.error("bad-redirection", member.at, &path, why);
                fixed.refused_entry_points.push(entry.name.clone());
                false
            }
        }
    });
}

/// Routers and uplinks name entry points alike, so a name belongs to one kind only. The ordinary
/// one stays.
fn refuse_taken_name(fields: &Fields<'_>, member: &Named<'_>, fixed: &Fixed) {
    if fixed.entry_points.iter().any(|entry| entry.name == member.name) {
        let text = format!("`{}` is also the name of an entry point", member.name);
        let problem = Diagnostic::error("name-clash", &*member.path, text);
        fields.report.add(member.at, problem.help("give one of them another name"));
    }
}

/// Otherwise only the system would say so, and that another process has the port.
fn refuse_taken_address<'e>(
    fields: &Fields<'_>,
    member: &Named<'_>,
    entry: &EntryPoint,
    mut others: impl Iterator<Item = &'e EntryPoint>,
) {
    if let Some(other) = others.find(|other| overlap(other.address, entry.address)) {
        let path = format!("{}.address", member.path);
        let text = format!("the entry point {} listens on {} already", other.name, other.address);
        fields.report.error("address-clash", member.at, &path, text);
    }
}

/// Whether no two sockets can listen on both. `[::]` takes IPv4 too.
pub(super) fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let takes = |all: IpAddr, one: IpAddr| match all {
        IpAddr::V6(all) if all.is_unspecified() => true,
        IpAddr::V4(all) if all.is_unspecified() => one.is_ipv4(),
        IpAddr::V4(_) | IpAddr::V6(_) => all == one,
    };
    let (ip, other_ip) = (one.ip(), other.ip());
    one.port() != 0 && one.port() == other.port() && (takes(ip, other_ip) || takes(other_ip, ip))
}

fn one(outer: &Fields<'_>, member: &Named<'_>, takes_uplinks: bool) -> Option<EntryPoint> {
    let mut fields = Fields::open(outer.report, &member.path, member.value)?;
    fields.at = member.at;
    if member.name.is_empty() || member.name.contains(['@', ',']) {
        let text = "a name is not empty and has neither @ nor comma";
        fields.report.error("bad-name", member.at, &member.path, text);
    }
    let address = fields.parsed("address", listen_addr);
    fields.demand_with_help("address", "an entry point has an address", "for example \":80\"");
    let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
    let mut entry = EntryPoint::new(member.name, address.unwrap_or(unspecified));
    entry.as_default = fields.flag("asDefault").unwrap_or(false);
    if let Some(transport) = fields.section("transport") {
        read_transport(&transport, &mut entry);
        transport.close();
    }
    entry.forwarded = fields.section("forwardedHeaders").map(forwarded).unwrap_or_default();
    if let Some(http) = fields.section("http") {
        read_http(&http, &mut entry);
        http.close();
    }
    if takes_uplinks && let Some(own) = fields.section("tieline") {
        read_callers(&own, &mut entry);
        own.close();
    }
    entry.proxied = fields.section("proxyProtocol").and_then(proxied);
    if let Some(observability) = fields.section("observability") {
        entry.observed = observed(&observability).over(Observed::default());
        observability.close();
    }
    if let Some(http2) = fields.section("http2") {
        let count = http2.number("maxConcurrentStreams", 1..=i64::from(u32::MAX));
        let count = count.and_then(|count| u32::try_from(count).ok());
        entry.streams_max = count.unwrap_or(entry.streams_max);
        http2.without_effect(&["maxDecoderHeaderTableSize", "maxEncoderHeaderTableSize"]);
        http2.close();
    }
    fields.without_effect(&["reusePort", "allowACMEByPass", "http3", "udp"]);
    fields.close();
    address.map(|_| entry)
}

/// Who has to show an identity speaks TLS.
fn read_callers(own: &Fields<'_>, entry: &mut EntryPoint) {
    let Some(section) = own.section("spiffe") else { return };
    entry.callers = callers(section);
    if entry.callers.is_some() {
        entry.tls.get_or_insert_with(|| DEFAULT.to_owned());
    }
}

fn read_transport(fields: &Fields<'_>, entry: &mut EntryPoint) {
    let count = fields.number("keepAliveMaxRequests", 0..=i64::from(u32::MAX));
    entry.keep_alive_requests_max = count.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    entry.keep_alive_time_max = fields.span("keepAliveMaxTime").unwrap_or_default();
    if let Some(times) = fields.section("respondingTimeouts") {
        entry.read_timeout = times.span("readTimeout").unwrap_or(entry.read_timeout);
        entry.write_timeout = times.span("writeTimeout").unwrap_or(entry.write_timeout);
        entry.idle_timeout = times.span("idleTimeout").unwrap_or(entry.idle_timeout);
        times.close();
    }
    if let Some(cycle) = fields.section("lifeCycle") {
        let accept_grace = cycle.span("requestAcceptGraceTimeout");
        entry.accept_grace = accept_grace.unwrap_or(entry.accept_grace);
        entry.drain_grace = cycle.span("graceTimeOut").unwrap_or(entry.drain_grace);
        cycle.close();
    }
}

fn forwarded(fields: Fields<'_>) -> Forwarded {
    let not_append = fields.flag("notAppendXForwardedFor").unwrap_or(false);
    let forwarded = Forwarded {
        insecure: fields.flag("insecure").unwrap_or(false),
        trusted: ranges(&fields, "trustedIPs"),
        connection: fields.strings("connection").unwrap_or_default(),
        append_for: if not_append { AppendFor::No } else { AppendFor::Yes },
    };
    fields.without_effect(&["addXForwardedSchemeHeaders"]);
    fields.close();
    forwarded
}

pub(crate) fn ranges(fields: &Fields<'_>, key: &'static str) -> Vec<Cidr> {
    let mut ranges = Vec::new();
    for (at, text) in fields.texts(key).unwrap_or_default() {
        match Cidr::parse(text) {
            Some(range) => ranges.push(range),
            None => {
                let wanted = "expected an address or a range such as 10.0.0.0/8";
                bad_value(fields.report, at, &fields.path_of(key), text, wanted);
            }
        }
    }
    ranges
}

fn read_http(fields: &Fields<'_>, entry: &mut EntryPoint) {
    let middlewares = fields.strings("middlewares").unwrap_or_default();
    entry.middlewares = middlewares.iter().map(|name| fields.report.qualified(name)).collect();
    let bytes = fields.number("maxHeaderBytes", 1..=64 << 20);
    let bytes = bytes.and_then(|bytes| u32::try_from(bytes).ok());
    entry.header_bytes_max = bytes.unwrap_or(entry.header_bytes_max);
    entry.tls = fields.section("tls").map(|tls| {
        let options = router_tls(&tls);
        tls.close();
        options.unwrap_or_else(|| DEFAULT.to_owned())
    });
    entry.redirection = fields.section("redirections").and_then(redirection);
    if let Some(encoded) = fields.section("encodedCharacters") {
        entry.encoded_refused = EncodedRefused::read(&encoded, true);
        encoded.close();
    }
    entry.reading.sanitise = fields.flag("sanitizePath").unwrap_or(true);
    if fields.flag("encodeQuerySemicolons") == Some(true) {
        entry.reading.semicolons = Semicolons::Encoded;
    }
    entry.aliases = aliases(fields);
}

fn proxied(fields: Fields<'_>) -> Option<Proxied> {
    let insecure = fields.flag("insecure").unwrap_or(false);
    let proxied = Proxied { insecure, trusted: ranges(&fields, "trustedIPs") };
    fields.close();
    Some(proxied).filter(|it| it.insecure || !it.trusted.is_empty())
}

/// The newer key covers what the older one does.
fn aliases(fields: &Fields<'_>) -> Aliases {
    let fates = [("keep", Fate::Keep), ("delete", Fate::Delete), ("reject", Fate::Reject)];
    let underscores = fields.word("underscoreHeadersStrategy", &fates);
    let all = fields.word("aliasHeadersStrategy", &fates);
    if underscores.is_some() && all.is_some() {
        let text = "this is not read beside aliasHeadersStrategy, which covers it";
        let help = "leave it out";
        fields.error_with_help("underscoreHeadersStrategy", "several-kinds", text, help);
    }
    let fate = all.or(underscores).unwrap_or_default();
    let wide = all.is_some() && fate != Fate::Keep;
    Aliases { fate, which: if wide { Which::All } else { Which::Underscores } }
}

/// The port is that of the target, once all entry points are known.
fn redirection(outer: Fields<'_>) -> Option<Redirection> {
    let fields = outer.section("entryPoint");
    outer.close();
    let fields = fields?;
    let scheme = fields.word("scheme", &[("http", "http"), ("https", "https")]);
    let redirection = Redirection {
        to: fields.text("to").unwrap_or_default(),
        port: 0,
        scheme: scheme.unwrap_or("https").to_owned(),
        permanent: fields.flag("permanent").unwrap_or(true),
        priority: fields.number("priority", i64::MIN..=i64::MAX).unwrap_or(i64::MAX - 1),
    };
    fields.requires("to");
    if redirection.to.is_empty() {
        let help = "the name of an entry point, or a port such as :443";
        fields.error_with_help("to", "missing", "a redirection says where to", help);
    }
    fields.close();
    Some(redirection)
}

/// The port that a redirection leads to, or what is wrong with it.
fn aim(redirection: &Redirection, of: &EntryPoint, all: &[EntryPoint]) -> Result<u16, String> {
    let to = &redirection.to;
    let port = match to.strip_prefix(':') {
        Some(port) => match port.parse::<u16>() {
            Ok(port) if port > 0 => port,
            _ => return Err(format!("`{to}`: expected a port such as :443")),
        },
        None => match all.iter().find(|entry| entry.name == *to) {
            Some(entry) => entry.address.port(),
            None => return Err(format!("there is no entry point {to}")),
        },
    };
    if port == of.address.port() {
        return Err("this entry point would redirect to itself, again and again".to_owned());
    }
    Ok(port)
}
