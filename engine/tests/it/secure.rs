//! TLS through a worker: the play's ends speak it with sessions of the engine's own kind.

use crate::pair::{End, Pair};
use engine::base::diag::Diagnostic;
use engine::base::limits::{ControlLimits, Limits};
use engine::base::mark::Mark;
use engine::base::prng::Prng;
use engine::base::time::{Span, Time, Wall};
use engine::boundary::{Report, Whom};
use engine::config::fixed::{EntryPoint, Fixed};
use engine::config::tls::{ClientTls, Trust};
use engine::tls::{Connector, Crypto, Door, HTTP_1, Identity, Refusal, Roots, Session, Trouble};
use engine::view::View;
use engine::view::compile::Compiler;
use engine::view::stats::Stats;
use rcgen::{CertificateParams, CertifiedIssuer, DnType, Issuer, KeyPair, SanType};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Wall time of the play's beginning: 2026.
pub(crate) const NOW: Wall = Wall(1_790_000_000_000_000_000);

/// Who signs certificates.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key as PEM text.
pub(crate) struct Pem {
    cert: String,
    key: String,
}

/// What a certificate is like.
#[derive(Clone, Copy, Default)]
pub(crate) struct Like<'a> {
    pub(crate) names: &'a [&'a str],
    pub(crate) uri: Option<&'a str>,
    pub(crate) years: Option<(i32, i32)>,
}

pub(crate) fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key")
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, key()).expect("a root"))
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn sign(&self, like: Like<'_>) -> Pem {
        self.with(|params| {
            for name in like.names {
                let named = CertificateParams::new([(*name).to_owned()]).expect("a name");
                params.subject_alt_names.extend(named.subject_alt_names);
            }
            if let Some(uri) = like.uri {
                params.subject_alt_names.push(SanType::URI(uri.try_into().expect("a URI")));
            }
            let (from, to) = like.years.unwrap_or((2020, 2040));
            params.not_before = rcgen::date_time_ymd(from, 1, 1);
            params.not_after = rcgen::date_time_ymd(to, 1, 1);
        })
    }

    /// Signs whatever `shape` makes of a certificate without names.
    pub(crate) fn with(&self, shape: impl FnOnce(&mut CertificateParams)) -> Pem {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        shape(&mut params);
        let key = key();
        let issuer: &Issuer<'_, KeyPair> = &self.0;
        let cert = params.signed_by(&key, issuer).expect("a certificate");
        Pem { cert: cert.pem(), key: key.serialize_pem() }
    }

    pub(crate) fn named(&self, name: &str) -> Pem {
        self.sign(Like { names: &[name], ..Like::default() })
    }

    fn roots(&self) -> Roots {
        Roots::read(std::iter::once(self.pem().as_bytes())).expect("roots")
    }
}

impl Pem {
    pub(crate) fn cert(&self) -> &str {
        &self.cert
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn identity(&self, crypto: &Crypto) -> Identity {
        Identity::read(crypto, self.cert.as_bytes(), self.key.as_bytes()).expect("an identity")
    }

    /// `certFile` and `keyFile` in one line.
    pub(crate) fn flow(&self) -> String {
        format!("certFile: {}, keyFile: {}", quoted(&self.cert), quoted(&self.key))
    }

    /// Lines of `certFile` and `keyFile`.
    pub(crate) fn yaml(&self, indent: usize) -> String {
        let mut out = String::new();
        for (key, text) in [("certFile", &self.cert), ("keyFile", &self.key)] {
            writeln!(out, "{:indent$}{key}: {}", "", quoted(text)).expect("text");
        }
        out
    }
}

pub(crate) fn quoted(pem: &str) -> String {
    format!("\"{}\"", pem.replace("\r\n", "\n").replace('\n', "\\n"))
}

/// A view of one entry point over a document.
pub(crate) fn view(entry_tls: Option<&str>, document: &str) -> Arc<View> {
    view_with(entry_tls, document).0
}

/// As [`view`], with what is wrong.
pub(crate) fn view_with(entry_tls: Option<&str>, document: &str) -> (Arc<View>, Vec<Diagnostic>) {
    let mut entry = EntryPoint::new("web", "127.0.0.1:443".parse().expect("an address"));
    entry.tls = entry_tls.map(str::to_owned);
    let fixed = Arc::new(Fixed { entry_points: vec![entry], ..Fixed::default() });
    let (mut compiler, problems) = compiler_of(fixed, document);
    let build = compiler.build().expect("a first view");
    compiler.check();
    (Arc::new(build.view), [problems, build.diagnostics.to_vec()].concat())
}

/// A compiler that was told a document, at [`NOW`].
pub(crate) fn compiler_of(fixed: Arc<Fixed>, document: &str) -> (Compiler, Vec<Diagnostic>) {
    let stats = Arc::new(Stats::new(1, 4, NOW));
    let mut prng = Prng::new(1);
    let mut compiler = Compiler::new(fixed, ControlLimits::default(), stats, &mut prng);
    let reading = engine::config::dynamic(&[("f.yml", document)]);
    assert!(reading.diagnostics.iter().all(|it| !it.is_error()), "{:?}", reading.diagnostics);
    compiler.set_dynamic(reading.dynamic);
    compiler.view().clock.set(NOW.seconds_at(Time::ZERO));
    (compiler, reading.diagnostics)
}

pub(crate) fn pair(view: Arc<View>) -> Pair {
    Pair::at(view, Limits::default(), NOW)
}

/// The play's end of a TLS connection.
pub(crate) struct Talker {
    pub(crate) end: End,
    pub(crate) session: Session,
    pub(crate) plain: String,
    bytes: Vec<u8>,
    pub(crate) trouble: Option<Trouble>,
}

impl Talker {
    pub(crate) fn client(pair: &mut Pair, connector: &Connector, host: &str) -> Self {
        Self::client_behind(pair, connector, host, "")
    }

    /// Something is said in clear text before TLS begins.
    pub(crate) fn client_behind(
        pair: &mut Pair,
        connector: &Connector,
        host: &str,
        before: &str,
    ) -> Self {
        let end = pair.open();
        if !before.is_empty() {
            pair.send(end, before);
        }
        Self::client_at(pair, end, connector, host, &[HTTP_1])
    }

    /// Offers other protocols.
    pub(crate) fn client_of(
        pair: &mut Pair,
        connector: &Connector,
        host: &str,
        protocols: &[&[u8]],
    ) -> Self {
        let end = pair.open();
        Self::client_at(pair, end, connector, host, protocols)
    }

    fn client_at(
        pair: &mut Pair,
        end: End,
        connector: &Connector,
        host: &str,
        protocols: &[&[u8]],
    ) -> Self {
        let session = Session::client(connector, host, protocols).expect("a name");
        let mut talker =
            Self { end, session, plain: String::new(), bytes: Vec::new(), trouble: None };
        talker.pump(pair);
        talker
    }

    /// A server takes the next connection that is dialed.
    pub(crate) fn server(pair: &mut Pair, door: &Arc<Door>) -> Self {
        let end = pair.dialed();
        Self::server_at(pair, end, door)
    }

    pub(crate) fn server_at(pair: &mut Pair, end: End, door: &Arc<Door>) -> Self {
        let session = Session::server(Arc::clone(door));
        let mut talker =
            Self { end, session, plain: String::new(), bytes: Vec::new(), trouble: None };
        talker.pump(pair);
        talker
    }

    /// Says that nothing more comes.
    pub(crate) fn close(&mut self, pair: &mut Pair) {
        self.session.close();
        self.pump(pair);
    }

    /// Carries bytes to and fro until both are silent.
    pub(crate) fn pump(&mut self, pair: &mut Pair) {
        loop {
            let mut out = Vec::new();
            self.session.write_to(&mut out).expect("a vector takes every byte");
            if !out.is_empty() {
                pair.send(self.end, &out);
            }
            let came = pair.got_bytes(self.end);
            if came.is_empty() && out.is_empty() {
                return;
            }
            let (plain, all) = (&mut self.plain, &mut self.bytes);
            let fed = self.session.feed(&came, &mut |bytes| {
                plain.push_str(&String::from_utf8_lossy(bytes));
                all.extend_from_slice(bytes);
                true
            });
            if let Err(trouble) = fed {
                self.trouble = Some(trouble);
            }
        }
    }

    pub(crate) fn say(&mut self, pair: &mut Pair, text: &str) {
        self.say_bytes(pair, text.as_bytes());
    }

    pub(crate) fn say_bytes(&mut self, pair: &mut Pair, mut left: &[u8]) {
        while !left.is_empty() {
            let count = self.session.seal(std::iter::once(left));
            assert!(count > 0, "a session that is ready takes bytes");
            left = &left[count..];
            self.pump(pair);
        }
    }

    /// All that was heard so far, byte for byte.
    pub(crate) fn heard_bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    pub(crate) fn heard(&mut self) -> String {
        std::mem::take(&mut self.plain)
    }

    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.trouble.map(|trouble| match trouble {
            Trouble::Refused(refusal) => refusal,
            Trouble::NoRoom => panic!("the play has room"),
        })
    }
}

pub(crate) fn crypto() -> Crypto {
    let crypto = Crypto::default();
    crypto.clock.set(NOW.0 / 1_000_000_000);
    crypto
}

/// A client that trusts anybody.
pub(crate) fn anybody() -> Connector {
    let settings = ClientTls { trust: Trust::DangerAnybody, ..ClientTls::default() };
    Connector::new(&crypto(), &settings, None, &[]).expect("settings")
}

/// A client that trusts `ca`, and shows `identity` if it is asked.
pub(crate) fn connector(ca: &Ca, identity: Option<&Pem>) -> Connector {
    let crypto = crypto();
    let identities: Vec<Identity> = identity.into_iter().map(|pem| pem.identity(&crypto)).collect();
    let settings = ClientTls { trust: Trust::Roots(Vec::new()), ..ClientTls::default() };
    Connector::new(&crypto, &settings, Some(&ca.roots()), &identities).expect("settings")
}

const SERVICES: &str = "
  services:
    s: {loadBalancer: {servers: [{url: 'http://10.0.0.1:80'}]}}
";

fn document(certificate: &Pem, routers: &str, more: &str) -> String {
    let mut text = format!("http:\n  routers:\n{routers}{SERVICES}tls:\n  certificates:\n  -\n");
    text.push_str(&certificate.yaml(4));
    text.push_str(more);
    text
}

const ALL: &str = "    r: {rule: 'PathPrefix(`/`)', service: s}\n";
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn a_request_under_tls_reaches_its_server_and_comes_back() {
    let ca = Ca::new("ca");
    let mut pair = pair(view(Some("default"), &document(&ca.named("a.example"), ALL, "")));
    let mut client = Talker::client(&mut pair, &connector(&ca, None), "a.example");
    assert_eq!(client.trouble, None);
    for turn in 0..2 {
        client.say(&mut pair, "GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n");
        let origin = if turn == 0 { pair.dialed() } else { pair.last_dialed() };
        let head = pair.got(origin);
        assert!(head.starts_with("GET /x HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("X-Forwarded-Proto: https\r\n"), "{head}");
        assert!(head.contains("X-Forwarded-Port: 443\r\n"), "{head}");
        pair.send(origin, OK);
        client.pump(&mut pair);
        assert!(client.heard().ends_with("\r\n\r\nhi"));
    }
    assert_eq!(pair.count(Mark::ClientSecured), 1);
    pair.nothing_more_of(&[client.end]);
}

#[test]
fn clear_text_and_tls_share_a_port_but_not_their_routers() {
    let ca = Ca::new("ca");
    let routers = "    plain: {rule: 'Path(`/plain`)', service: s}
    safe: {rule: 'Path(`/safe`)', service: s, tls: {}}
";
    let mut pair = pair(view(None, &document(&ca.named("a.example"), routers, "")));
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let clear = pair.open();
    pair.send(clear, get("/safe"));
    assert!(pair.got(clear).starts_with("HTTP/1.1 404 "));
    pair.send(clear, get("/plain"));
    let origin = pair.dialed();
    assert!(pair.got(origin).contains("X-Forwarded-Proto: http\r\n"));
    pair.send(origin, OK);
    assert!(pair.got(clear).starts_with("HTTP/1.1 200 "));
    let mut client = Talker::client(&mut pair, &connector(&ca, None), "a.example");
    client.say(&mut pair, &get("/plain"));
    assert!(client.heard().starts_with("HTTP/1.1 404 "));
    client.say(&mut pair, &get("/safe"));
    pair.send(origin, OK);
    client.pump(&mut pair);
    assert!(client.heard().starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_greeting_may_come_byte_by_byte_and_a_body_in_many_records() {
    let ca = Ca::new("ca");
    let mut pair = pair(view(Some("default"), &document(&ca.named("a.example"), ALL, "")));
    pair.read_max = 1;
    let mut client = Talker::client(&mut pair, &connector(&ca, None), "a.example");
    pair.read_max = 700;
    pair.write_max = 1_000;
    let body = "0123456789".repeat(20_000);
    client.say(
        &mut pair,
        &format!("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: {}\r\n\r\n", body.len()),
    );
    client.say(&mut pair, &body);
    let origin = pair.dialed();
    assert!(pair.got(origin).ends_with(&body));
    pair.send(origin, format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    client.pump(&mut pair);
    assert!(client.heard().ends_with(&body));
    pair.nothing_more_of(&[client.end]);
}

#[track_caller]
fn handshake(view: &Arc<View>, connector: &Connector, host: &str) -> (Option<Refusal>, Pair) {
    let mut pair = pair(Arc::clone(view));
    let mut client = Talker::client(&mut pair, connector, host);
    if client.trouble.is_none() {
        client.say(&mut pair, "GET /x HTTP/1.1\r\nHost: nowhere\r\n\r\n");
    }
    pair.no_dial();
    pair.pass(Span::secs(60));
    client.pump(&mut pair);
    (client.refusal(), pair)
}

#[test]
fn certificates_are_chosen_by_name_and_default_to_one_of_our_own() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let mut text = document(&ca.named("a.example"), "", "");
    writeln!(text, "  -\n{}", ca.named("*.b.example").yaml(4)).expect("text");
    writeln!(text, "  -\n{}", ca.named("10.9.8.7").yaml(4)).expect("text");
    let view = view(Some("default"), &text);
    let trusting = connector(&ca, None);
    for (host, expected) in [
        ("a.example", None),
        ("A.EXAMPLE", None),
        ("x.b.example", None),
        ("10.9.8.7", None),
        ("b.example", Some(Refusal::UnknownCa)),
        ("x.y.b.example", Some(Refusal::UnknownCa)),
    ] {
        assert_eq!(handshake(&view, &trusting, host).0, expected, "{host}");
    }
    let refusal = handshake(&view, &connector(&other, None), "a.example").0;
    assert_eq!(refusal, Some(Refusal::UnknownCa));
}

#[test]
fn strict_options_refuse_names_without_a_certificate() {
    let ca = Ca::new("ca");
    let strict = "  options: {default: {sniStrict: true}}\n";
    let view = view(Some("default"), &document(&ca.named("a.example"), "", strict));
    assert_eq!(handshake(&view, &connector(&ca, None), "a.example").0, None);
    let (refusal, pair) = handshake(&view, &connector(&ca, None), "b.example");
    assert_eq!(refusal, Some(Refusal::AlertBadCertificate));
    assert_eq!(pair.count(Mark::HandshakeRefused), 1);
}

fn client_auth(ca: &Ca, kind: &str) -> String {
    let roots = quoted(&ca.pem());
    format!(
        "  options: {{default: {{clientAuth: {{caFiles: [{roots}], clientAuthType: {kind}}}}}}}\n"
    )
}

#[test]
fn clients_are_asked_who_they_are() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let mine = ca.named("client");
    let stranger = other.named("client");
    let old = ca.sign(Like { names: &["client"], years: Some((2020, 2021)), uri: None });
    let early = ca.sign(Like { names: &["client"], years: Some((2038, 2039)), uri: None });
    let (none, some) = (None, Some(&mine));
    let (strange, expired, young) = (Some(&stranger), Some(&old), Some(&early));
    for (kind, shown, expected, cause) in [
        ("NoClientCert", none, None, None),
        ("RequestClientCert", none, None, None),
        ("RequestClientCert", strange, None, None),
        (
            "RequireAnyClientCert",
            none,
            Some(Refusal::AlertNoCertificate),
            Some(Refusal::NoCertificate),
        ),
        ("RequireAnyClientCert", strange, None, None),
        ("VerifyClientCertIfGiven", none, None, None),
        ("VerifyClientCertIfGiven", some, None, None),
        (
            "VerifyClientCertIfGiven",
            strange,
            Some(Refusal::AlertUnknownCa),
            Some(Refusal::UnknownCa),
        ),
        ("RequireAndVerifyClientCert", some, None, None),
        (
            "RequireAndVerifyClientCert",
            none,
            Some(Refusal::AlertNoCertificate),
            Some(Refusal::NoCertificate),
        ),
        (
            "RequireAndVerifyClientCert",
            expired,
            Some(Refusal::AlertExpired),
            Some(Refusal::Expired),
        ),
        (
            "RequireAndVerifyClientCert",
            young,
            Some(Refusal::AlertExpired),
            Some(Refusal::NotYetValid),
        ),
    ] {
        let text = document(&ca.named("a.example"), "", &client_auth(&ca, kind));
        let view = view(Some("default"), &text);
        let (refusal, pair) = handshake(&view, &connector(&ca, shown), "a.example");
        assert_eq!(refusal, expected, "{kind}");
        let told = |report: &Report| match report {
            Report::Refused { whom: Whom::Client(_), refusal, .. } => Some(*refusal),
            Report::Refused { .. }
            | Report::Failed { .. }
            | Report::Recovered { .. }
            | Report::Ledger { .. } => None,
        };
        let told = pair.reports.iter().find_map(told);
        assert_eq!(told, cause, "{kind}");
    }
}

#[test]
fn a_host_with_options_of_its_own_is_not_reached_through_another_name() {
    let ca = Ca::new("ca");
    let roots = quoted(&ca.pem());
    let routers = "    open: {rule: 'Host(`a.example`)', service: s}
    guarded: {rule: 'Host(`b.example`)', service: s, tls: {options: mutual}}
";
    let more = format!("  options: {{mutual: {{clientAuth: {{caFiles: [{roots}]}}}}}}\n");
    let certificate = ca.sign(Like { names: &["a.example", "b.example"], ..Like::default() });
    let view = view(Some("default"), &document(&certificate, routers, &more));
    let refused = handshake(&view, &connector(&ca, None), "b.example").0;
    assert_eq!(refused, Some(Refusal::AlertNoCertificate));
    let mut pair = pair(Arc::clone(&view));
    let mut client = Talker::client(&mut pair, &connector(&ca, None), "a.example");
    client.say(&mut pair, "GET / HTTP/1.1\r\nHost: b.example\r\n\r\n");
    assert!(client.heard().starts_with("HTTP/1.1 421 Misdirected Request\r\n"));
    pair.no_dial();
    assert_eq!(pair.count(Mark::Misdirected), 1);
    let named = ca.named("client");
    let mut client = Talker::client(&mut pair, &connector(&ca, Some(&named)), "b.example");
    client.say(&mut pair, "GET / HTTP/1.1\r\nHost: b.example\r\n\r\n");
    let origin = pair.dialed();
    assert!(pair.got(origin).contains("Host: b.example\r\n"));
}

#[test]
fn routers_that_disagree_about_the_tls_of_a_host_are_told_and_serve_nobody() {
    let ca = Ca::new("ca");
    let routers = "    lax: {rule: 'Host(`a.example`)', service: s}
    strict: {rule: 'Host(`a.example`) && PathPrefix(`/x`)', service: s, tls: {options: new}}
    other: {rule: 'Host(`b.example`)', service: s, tls: {options: new}}
";
    let more = "  options: {new: {minVersion: VersionTLS13}}\n";
    let certificate = ca.sign(Like { names: &["a.example", "b.example"], ..Like::default() });
    let (view, problems) = view_with(Some("default"), &document(&certificate, routers, more));
    let told: Vec<_> = problems.iter().filter(|it| it.code == "tls-clash").collect();
    let places: Vec<_> = told.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(places, ["http.routers.lax.tls", "http.routers.strict.tls"], "{problems:?}");
    let why = "routers want different TLS options for a.example: default, new@file";
    assert!(told.iter().all(|it| it.is_error() && it.text == why), "{told:?}");
    let mut pair = pair(view);
    for (host, served) in [("a.example", false), ("b.example", true)] {
        let mut client = Talker::client(&mut pair, &connector(&ca, None), host);
        client.say(&mut pair, &format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(pair.try_dialed().is_some(), served, "{host}: {}", client.heard());
    }
}

#[test]
fn versions_and_suites_without_an_overlap_are_refused() {
    let ca = Ca::new("ca");
    let text = "  options: {default: {minVersion: VersionTLS13}}\n";
    let view = view(Some("default"), &document(&ca.named("a.example"), "", text));
    let mut settings = ClientTls { trust: Trust::Roots(Vec::new()), ..ClientTls::default() };
    settings.terms.max = engine::config::tls::Version::Tls12;
    let old = Connector::new(&crypto(), &settings, Some(&ca.roots()), &[]).expect("settings");
    let (refusal, pair) = handshake(&view, &old, "a.example");
    assert_eq!(refusal, Some(Refusal::AlertVersion));
    let told = Report::Refused {
        whom: Whom::Client(engine::base::id::EntryId(0)),
        peer: SocketAddr::from(([192, 0, 2, 7], 40_000)),
        refusal: Refusal::Version,
    };
    assert_eq!(pair.reports, [told]);
}

#[test]
fn garbage_after_the_first_byte_is_refused_and_nobody_else_is_hurt() {
    let ca = Ca::new("ca");
    let mut pair = pair(view(Some("default"), &document(&ca.named("a.example"), ALL, "")));
    let mut good = Talker::client(&mut pair, &connector(&ca, None), "a.example");
    let bad = pair.open();
    pair.send(bad, b"\x16\x03\x01\x00\x05hello");
    assert_eq!(pair.ended(bad), "shut");
    pair.got_bytes(bad);
    assert_eq!(pair.count(Mark::HandshakeRefused), 1);
    let slow = pair.open();
    pair.send(slow, b"\x16\x03\x01");
    pair.pass(Span::secs(11));
    assert_eq!(pair.count(Mark::HandshakeTimedOut), 1);
    good.say(&mut pair, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let origin = pair.dialed();
    pair.send(origin, OK);
    good.pump(&mut pair);
    assert!(good.heard().ends_with("hi"));
    let mut cut = Talker::client(&mut pair, &connector(&ca, None), "a.example");
    pair.send(cut.end, b"\x17\x03\x03\x00\x20not what was agreed on, at all..");
    cut.pump(&mut pair);
    assert_eq!((cut.heard().as_str(), pair.count(Mark::TlsBroken)), ("", 1));
    pair.nothing_more_of(&[good.end]);
}

#[test]
fn a_refused_handshake_counts_once_though_its_client_hangs_up_without_a_notice() {
    let ca = Ca::new("ca");
    let mut pair = pair(view(Some("default"), &document(&ca.named("a.example"), ALL, "")));
    let bad = pair.open();
    pair.send(bad, b"\x16\x03\x01\x00\x05hello");
    pair.fin(bad);
    pair.pass(Span::secs(2));
    assert_eq!(pair.count(Mark::HandshakeRefused), 1, "not again as one that was cut");
    let told = |report: &Report| match report {
        Report::Refused { refusal, .. } => Some(*refusal),
        Report::Failed { .. } | Report::Recovered { .. } | Report::Ledger { .. } => None,
    };
    let told: Vec<Refusal> = pair.reports.iter().filter_map(told).collect();
    assert_eq!(told, [Refusal::Garbage]);
}

/// It could not be answered: the connection is closed at once (RFC 8446 §6.2).
#[test]
fn a_request_in_the_read_with_a_broken_record_is_not_begun() {
    let ca = Ca::new("ca");
    let mut pair = pair(view(Some("default"), &document(&ca.named("a.example"), ALL, "")));
    let mut client = Talker::client(&mut pair, &connector(&ca, None), "a.example");
    let mut out = Vec::new();
    let request = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
    client.session.seal(std::iter::once(&request[..]));
    client.session.write_to(&mut out).expect("a vector takes every byte");
    out.extend_from_slice(b"\x17\x03\x03\x00\x20not what was agreed on, at all..");
    pair.send(client.end, &out);
    pair.no_dial();
    client.pump(&mut pair);
    assert_eq!((client.heard().as_str(), pair.ended(client.end)), ("", "aborted"));
    assert_eq!(pair.count(Mark::TlsBroken), 1);
    pair.nothing_more_of(&[]);
}

#[test]
fn a_session_is_resumed_until_its_keys_are_gone() {
    let ca = Ca::new("ca");
    let text = document(&ca.named("a.example"), ALL, "");
    let first = view(Some("default"), &text);
    let mut pair = pair(Arc::clone(&first));
    let connector = connector(&ca, None);
    let mut seen = Vec::new();
    for _ in 0..2 {
        let mut client = Talker::client(&mut pair, &connector, "a.example");
        client.pump(&mut pair);
        seen.push(client.session.is_resumed());
        pair.fin(client.end);
    }
    assert_eq!(seen, [false, true]);
    // Another view has other keys.
    let mut pair = self::pair(view(Some("default"), &text));
    let client = Talker::client(&mut pair, &connector, "a.example");
    assert!(!client.session.is_resumed() && client.trouble.is_none());
}

#[test]
fn the_names_of_addresses_are_read() {
    let ca = Ca::new("ca");
    let identity = ca.named("10.9.8.7").identity(&crypto());
    assert_eq!(identity.info.addresses, [IpAddr::from([10, 9, 8, 7])]);
}

#[test]
fn a_greeting_may_take_ten_seconds_and_no_more() {
    let ca = Ca::new("ca");
    let view = view(Some("default"), &document(&ca.named("a.example"), ALL, ""));
    for (waited, late, end) in [(9, 0, ""), (11, 1, "shut")] {
        let mut pair = pair(Arc::clone(&view));
        let client = pair.open();
        pair.send(client, [0x16]);
        pair.pass(Span::secs(waited));
        assert_eq!((pair.count(Mark::HandshakeTimedOut), pair.ended(client)), (late, end));
    }
}
