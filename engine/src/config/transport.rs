//! `serversTransport`, wherever it stands: how to talk to servers, TLS included.

use super::fields::{Fields, bad_value};
use super::fixed::{IdleConns, Transport};
use super::spiffe::{Allowed, allowed};
use super::tls::{ClientTls, Curve, KeyPair, Pem, San, Suite, Terms, Trust, Version};
use std::sync::Arc;

/// A setting of TLS that cannot be honoured makes the transport unusable for servers over TLS: it
/// never means weaker settings.
pub(super) fn transport(fields: &Fields<'_>) -> Transport {
    let mut transport = Transport::default();
    let idle = fields.number("maxIdleConnsPerHost", i64::from(i32::MIN)..=i64::from(i32::MAX));
    transport.idle = match idle {
        None | Some(0) => transport.idle,
        Some(count) => u32::try_from(count).map_or(IdleConns::NoReuse, IdleConns::UpTo),
    };
    transport.multiplexes = !fields.flag("disableHTTP2").unwrap_or(false);
    let mark = fields.report.mark();
    let mut tls = client_tls(fields);
    tls.unusable = fields.report.errors_since(mark).join("; ");
    if tls != ClientTls::default() {
        transport.tls = Some(Arc::new(tls));
    }
    let Some(times) = fields.section("forwardingTimeouts") else { return transport };
    transport.dial_timeout = times.span("dialTimeout").unwrap_or(transport.dial_timeout);
    transport.response_header_timeout =
        times.span("responseHeaderTimeout").unwrap_or(transport.response_header_timeout);
    transport.idle_timeout = times.span("idleConnTimeout").unwrap_or(transport.idle_timeout);
    transport.read_timeout = times.span("readTimeout").unwrap_or(transport.read_timeout);
    transport.write_timeout = times.span("writeTimeout").unwrap_or(transport.write_timeout);
    transport.ping_after = times.span("readIdleTimeout").unwrap_or(transport.ping_after);
    transport.ping_timeout = times.span("pingTimeout").unwrap_or(transport.ping_timeout);
    times.close();
    transport
}

fn client_tls(fields: &Fields<'_>) -> ClientTls {
    let roots = pems(fields, "rootCAs");
    let peers = peers(fields);
    let skip = fields.flag("insecureSkipVerify").unwrap_or(false);
    let certificates = pairs(fields, "certificates");
    let spiffe = fields.section("spiffe").map(|section| {
        let allowed = allowed(&section, || Allowed::Any);
        section.close();
        refuse_beside_spiffe(fields, skip);
        allowed.unwrap_or(Allowed::Ids(Vec::new()))
    });
    let trust = match (spiffe, skip, peers.is_empty()) {
        (Some(allowed), ..) => Trust::Spiffe(allowed),
        (None, true, true) => Trust::DangerAnybody,
        (None, true, false) => Trust::AnyName(roots),
        (None, false, _) if roots.is_empty() => Trust::System,
        (None, false, _) => Trust::Roots(roots),
    };
    let server_name = fields.text("serverName").filter(|name| !name.is_empty());
    ClientTls {
        server_name,
        trust,
        certificates,
        terms: terms(fields),
        peers,
        unusable: String::new(),
    }
}

/// With SPIFFE it is settled whom to trust and who to be.
fn refuse_beside_spiffe(fields: &Fields<'_>, skip: bool) {
    let others = ["rootCAs", "certificates", "serverName", "peerCertURI", "peerCertSANs"];
    let skipping = skip.then_some("insecureSkipVerify");
    for key in others.into_iter().filter(|key| fields.has(key)).chain(skipping) {
        let text = "whom to trust and who to be is settled by spiffe";
        fields.error_with_help(key, "several-kinds", text, "leave out one of them");
    }
}

fn peers(fields: &Fields<'_>) -> Vec<San> {
    let uri = fields.text("peerCertURI").filter(|uri| !uri.is_empty());
    let mut peers: Vec<San> = uri.map(San::Uri).into_iter().collect();
    for (path, value) in fields.list("peerCertSANs").unwrap_or_default() {
        let Some(member) = Fields::open(fields.report, &path, value) else { continue };
        let kind = member.word("type", &[("URI", true), ("DNSName", false)]);
        let name = member.text("value").unwrap_or_default();
        member.requires("type");
        member.requires("value");
        if name.is_empty() || !member.present("type") {
            member.report.error("missing", value.at, &path, "a name has a type and a value");
        }
        match kind {
            Some(true) => peers.push(San::Uri(name)),
            Some(false) => peers.push(San::Dns(name)),
            None => {}
        }
        member.close();
    }
    peers
}

/// Files, or PEM text in place.
pub(super) fn pems(fields: &Fields<'_>, key: &'static str) -> Vec<Pem> {
    let texts = fields.texts(key).unwrap_or_default();
    texts.into_iter().map(|(_, text)| Pem::new(text)).collect()
}

fn pairs(fields: &Fields<'_>, key: &'static str) -> Vec<KeyPair> {
    let mut pairs = Vec::new();
    for (path, value) in fields.list(key).unwrap_or_default() {
        let Some(member) = Fields::open(fields.report, &path, value) else { continue };
        pairs.extend(pair(&member));
        member.close();
    }
    pairs
}

/// `certFile` and `keyFile`.
pub(super) fn pair(fields: &Fields<'_>) -> Option<KeyPair> {
    let pem = |key: &'static str| {
        fields.requires(key);
        let text = fields.text(key).filter(|text| !text.is_empty());
        if text.is_none() {
            fields.error(key, "missing", "a certificate has a certFile and a keyFile");
        }
        text.map(|text| Pem::new(&text))
    };
    let (cert, key) = (pem("certFile"), pem("keyFile"));
    Some(KeyPair { cert: cert?, key: key? })
}

/// `minVersion`, `maxVersion` and `cipherSuites`.
pub(super) fn terms(fields: &Fields<'_>) -> Terms {
    let mut terms = Terms::default();
    let words = [
        ("VersionTLS10", None),
        ("VersionTLS11", None),
        ("VersionTLS12", Some(Version::Tls12)),
        ("VersionTLS13", Some(Version::Tls13)),
    ];
    match fields.word("minVersion", &words) {
        Some(Some(version)) => terms.min = version,
        Some(None) => {
            let text = "TLS below 1.2 is not spoken; the lowest version is 1.2";
            fields.warning("minVersion", "no-effect", text);
        }
        None => {}
    }
    match fields.word("maxVersion", &words) {
        Some(Some(version)) if version < terms.min => {
            fields.error("maxVersion", "bad-value", "it is below minVersion");
        }
        Some(Some(version)) => terms.max = version,
        Some(None) => {
            fields.error("maxVersion", "unsupported", "TLS below 1.2 is not spoken");
        }
        None => {}
    }
    let named = fields.texts("cipherSuites").unwrap_or_default();
    let mut all_known = true;
    for (at, text) in &named {
        let name = match *text {
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305" => Suite::RsaChacha20.name(),
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305" => Suite::EcdsaChacha20.name(),
            name => name,
        };
        if let Some(suite) = Suite::ALL.iter().find(|suite| suite.name() == name) {
            terms.suites.push(*suite);
        } else if is_weak(name) {
            let text = format!("{name} is not spoken, and is left out");
            fields.report.warning("no-effect", *at, &fields.path_of("cipherSuites"), text);
        } else {
            all_known = false;
            let wanted = "expected the name of a cipher suite";
            bad_value(fields.report, *at, &fields.path_of("cipherSuites"), text, wanted);
        }
    }
    let none = terms.suites.is_empty() || !Suite::ALL.iter().any(|suite| terms.allows(*suite));
    if !named.is_empty() && all_known && none {
        let text = "none of these can be spoken in the versions that are allowed";
        fields.error("cipherSuites", "unsupported", text);
    }
    terms
}

/// Suites that the dialect knows and nobody should use.
fn is_weak(name: &str) -> bool {
    let old = ["_CBC_", "_RC4_", "_3DES_"].iter().any(|part| name.contains(part));
    name.starts_with("TLS_") && (old || name.starts_with("TLS_RSA_WITH_"))
}

/// `curvePreferences`.
pub(super) fn curves(fields: &Fields<'_>) -> Vec<Curve> {
    let mut curves = Vec::new();
    for (at, text) in fields.texts("curvePreferences").unwrap_or_default() {
        let path = fields.path_of("curvePreferences");
        match text.to_ascii_lowercase().as_str() {
            "x25519" => curves.push(Curve::X25519),
            "curvep256" | "secp256r1" => curves.push(Curve::P256),
            "curvep384" | "secp384r1" => curves.push(Curve::P384),
            "curvep521" | "secp521r1" | "x25519mlkem768" => {
                let text = format!("{text} is not supported by this version");
                fields.report.error("unsupported", at, &path, text);
            }
            _ => bad_value(fields.report, at, &path, text, "expected the name of a curve"),
        }
    }
    curves
}
