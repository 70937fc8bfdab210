//! Identities of SPIFFE: who is let in, by which bundle, and what becomes of the others.

use crate::pair::Pair;
use crate::secure::{Ca, Like, NOW, OK, Pem, Talker, crypto, pair, quoted};
use crate::secure_servers::door;
use engine::base::diag::Diagnostic;
use engine::base::limits::ControlLimits;
use engine::base::mark::Mark;
use engine::base::prng::Prng;
use engine::base::secret::Secret;
use engine::base::time::Time;
use engine::boundary::{Report, Whom};
use engine::config::tls::{ClientTls, Trust};
use engine::tls::{Connector, Refusal};
use engine::view::View;
use engine::view::compile::Compiler;
use engine::view::stats::Stats;
use rcgen::{CertificateParams, SanType};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::sync::Arc;

pub(crate) fn svid(ca: &Ca, id: &str) -> Pem {
    ca.sign(Like { names: &[], uri: Some(id), years: None })
}

/// The root key `spiffe`, from files.
fn files(own: &Pem, bundles: &[(&str, &Ca)]) -> String {
    let mut text = format!("spiffe:\n  tieline:\n{}    bundles:\n", own.yaml(4));
    for (domain, ca) in bundles {
        let ca = quoted(&ca.pem());
        text.push_str(&format!("    - {{trustDomain: {domain}, caFiles: [{ca}]}}\n"));
    }
    text
}

/// Compiles a static and a dynamic document, at [`NOW`].
pub(crate) fn compiler(fixed: &str, dynamic: &str) -> (Compiler, Vec<Diagnostic>) {
    let (fixed, problems) = engine::config::fixed_from_file("s.yml", fixed);
    assert!(problems.iter().all(|it| !it.is_error()), "{problems:?}");
    let stats = Arc::new(Stats::new(1, 4, NOW));
    let mut prng = Prng::new(1);
    let mut compiler = Compiler::new(Arc::new(fixed), ControlLimits::default(), stats, &mut prng);
    let reading = engine::config::dynamic(&[("f.yml", dynamic)]);
    compiler.set_dynamic(reading.dynamic);
    compiler.view().clock.set(NOW.seconds_at(Time::ZERO));
    (compiler, reading.diagnostics)
}

pub(crate) fn view_of(fixed: &str, dynamic: &str) -> (Arc<View>, Vec<String>) {
    let (mut compiler, mut problems) = compiler(fixed, dynamic);
    let build = compiler.build().expect("a first view");
    compiler.check();
    problems.extend_from_slice(&build.diagnostics);
    (Arc::new(build.view), problems.iter().map(ToString::to_string).collect())
}

pub(crate) const UPLINK: &str = "
http:
  uplinks: {shop: {}}
  routers: {r: {rule: 'PathPrefix(`/`)', service: s, uplinks: [shop]}}
  services:
    s: {loadBalancer: {servers: [{url: 'http://10.0.0.1:80'}]}}
";

/// A child that says who may call.
pub(crate) fn child(source: &str, callers: &str) -> Arc<View> {
    let (view, problems) = child_with(source, callers, UPLINK);
    assert_eq!(problems, [""; 0]);
    view
}

fn child_with(source: &str, callers: &str, dynamic: &str) -> (Arc<View>, Vec<String>) {
    let fixed = format!(
        "{source}hub:\n  uplinkEntryPoints:\n    up:\n      address: ':443'\n      asDefault: true\n      \
         tieline: {{spiffe: {callers}}}\n  providers: {{multicluster: {{}}}}\n"
    );
    view_of(&fixed, dynamic)
}

/// A client that trusts anybody and shows this.
pub(crate) fn showing(pem: Option<&Pem>) -> Connector {
    let crypto = crypto();
    let identities: Vec<_> = pem.into_iter().map(|pem| pem.identity(&crypto)).collect();
    let settings = ClientTls { trust: Trust::DangerAnybody, ..ClientTls::default() };
    Connector::new(&crypto, &settings, None, &identities).expect("settings")
}

/// How a caller fares: what it is refused for, or nothing if its request got through.
fn call(view: &Arc<View>, connector: &Connector) -> Option<Refusal> {
    let mut pair = pair(Arc::clone(view));
    let mut client = Talker::client(&mut pair, connector, "child");
    if client.trouble.is_none() {
        client.say(&mut pair, "GET /x HTTP/1.1\r\nHost: s\r\n\r\n");
    }
    let told = pair.reports.iter().find_map(|report| match report {
        Report::Refused { whom: Whom::Client(_), refusal, .. } => Some(*refusal),
        Report::Refused { .. }
        | Report::Failed { .. }
        | Report::Recovered { .. }
        | Report::Ledger { .. } => None,
    });
    if told.is_some() {
        assert_eq!(pair.count(Mark::HandshakeRefused), 1);
        pair.no_dial();
        return told;
    }
    let origin = pair.dialed();
    assert!(pair.got(origin).starts_with("GET /x "));
    pair.send(origin, OK);
    client.pump(&mut pair);
    assert!(client.heard().ends_with("hi"));
    None
}

#[test]
fn a_child_lets_in_whom_it_lists_and_nobody_else() {
    let (ca, partner, stranger) = (Ca::new("a"), Ca::new("b"), Ca::new("c"));
    let own = svid(&ca, "spiffe://a.example/child");
    let source = files(&own, &[("a.example", &ca), ("b.example", &partner)]);
    let listed = child(&source, "{ids: ['spiffe://a.example/parent', 'spiffe://b.example/p']}");
    let domain = child(&source, "{trustDomain: a.example}");
    let nobody = child(&source, "{ids: []}");
    let like = |years| Like { names: &[], uri: Some("spiffe://a.example/parent"), years };
    let identity = Some(Refusal::Identity);
    let other = Some(Refusal::TrustDomain);
    for (pem, of_listed, of_domain) in [
        (svid(&ca, "spiffe://a.example/parent"), None, None),
        (svid(&ca, "spiffe://a.example/other"), identity, None),
        (svid(&partner, "spiffe://b.example/p"), None, other),
        (svid(&partner, "spiffe://b.example/q"), identity, other),
        // An id counts only if the bundle of its own trust domain vouches for it.
        (
            svid(&partner, "spiffe://a.example/parent"),
            Some(Refusal::UnknownCa),
            Some(Refusal::UnknownCa),
        ),
        (svid(&ca, "spiffe://b.example/p"), Some(Refusal::UnknownCa), other),
        (svid(&stranger, "spiffe://c.example/parent"), other, other),
        (ca.named("parent"), Some(Refusal::NoSvid), Some(Refusal::NoSvid)),
        (svid(&ca, "spiffe://a.example"), Some(Refusal::NoSvid), Some(Refusal::NoSvid)),
        (ca.sign(like(Some((2020, 2021)))), Some(Refusal::Expired), Some(Refusal::Expired)),
        (ca.sign(like(Some((2038, 2039)))), Some(Refusal::NotYetValid), Some(Refusal::NotYetValid)),
    ] {
        let connector = showing(Some(&pem));
        assert_eq!(call(&listed, &connector), of_listed);
        assert_eq!(call(&domain, &connector), of_domain);
        assert!(call(&nobody, &connector).is_some());
    }
    assert_eq!(call(&listed, &showing(None)), Some(Refusal::NoCertificate));
}

#[test]
fn options_that_cannot_be_honoured_let_no_caller_in() {
    let ca = Ca::new("a");
    let own = svid(&ca, "spiffe://a.example/child");
    let source = files(&own, &[("a.example", &ca)]);
    let parent = showing(Some(&svid(&ca, "spiffe://a.example/parent")));
    for (options, are_good) in [
        ("{minVersion: VersionTLS13}", true),
        ("{minVersion: VersionTLS99}", false),
        ("{clientAuth: {clientAuthType: RequestClientCert}}", false),
    ] {
        let dynamic = format!("{UPLINK}tls: {{options: {{default: {options}}}}}\n");
        let (view, problems) = child_with(&source, "{trustDomain: a.example}", &dynamic);
        assert_eq!(call(&view, &parent).is_none(), are_good, "{options}: {problems:?}");
    }
}

#[test]
fn two_ids_in_one_certificate_are_none() {
    let ca = Ca::new("a");
    let ids = ["spiffe://a.example/parent", "spiffe://a.example/root"];
    let both = ca.with(|params: &mut CertificateParams| {
        for id in ids {
            params.subject_alt_names.push(SanType::URI(id.try_into().expect("a URI")));
        }
    });
    let source = files(&svid(&ca, "spiffe://a.example/child"), &[("a.example", &ca)]);
    let view = child(&source, "{trustDomain: a.example}");
    assert_eq!(call(&view, &showing(Some(&both))), Some(Refusal::NoSvid));
}

/// A parent over a server that must be verified by SPIFFE.
fn parent(source: &str, spiffe: &str) -> Arc<View> {
    let fixed = format!("{source}entryPoints: {{web: {{address: ':80'}}}}\n");
    let dynamic = format!(
        "http:
  routers: {{r: {{rule: 'PathPrefix(`/`)', service: s}}}}
  services:
    s: {{loadBalancer: {{serversTransport: t, servers: [{{url: 'https://10.0.0.1:443'}}]}}}}
  serversTransports:
    t: {{disableHTTP2: true, spiffe: {spiffe}}}
"
    );
    let (view, problems) = view_of(&fixed, &dynamic);
    assert_eq!(problems, [""; 0]);
    view
}

fn serve(view: &Arc<View>, shown: &Pem) -> Option<Refusal> {
    let mut pair = pair(Arc::clone(view));
    let client = pair.open();
    pair.send(client, "GET /x HTTP/1.1\r\nHost: s\r\n\r\n");
    let mut server = Talker::server(&mut pair, &door(shown, ""));
    let told = pair.reports.iter().find_map(|report| match report {
        Report::Refused { whom: Whom::Server(_), refusal, .. } => Some(*refusal),
        Report::Refused { .. }
        | Report::Failed { .. }
        | Report::Recovered { .. }
        | Report::Ledger { .. } => None,
    });
    if told.is_some() {
        assert_eq!(server.heard(), "", "nothing was forwarded");
        assert!(pair.got(client).starts_with("HTTP/1.1 502 "));
        return told;
    }
    assert!(server.heard().starts_with("GET /x "));
    server.say(&mut pair, OK);
    assert!(pair.got(client).ends_with("hi"));
    None
}

#[test]
fn a_parent_calls_only_whom_it_may() {
    let (ca, partner) = (Ca::new("a"), Ca::new("b"));
    let own = svid(&ca, "spiffe://a.example/parent");
    let source = files(&own, &[("a.example", &ca), ("b.example", &partner)]);
    let one = parent(&source, "{ids: ['spiffe://b.example/child']}");
    let domain = parent(&source, "{trustDomain: b.example}");
    let any = parent(&source, "{}");
    let (identity, other) = (Some(Refusal::Identity), Some(Refusal::TrustDomain));
    let forged = Some(Refusal::UnknownCa);
    for (pem, expected) in [
        (svid(&partner, "spiffe://b.example/child"), [None, None, None]),
        (svid(&partner, "spiffe://b.example/x"), [identity, None, None]),
        (svid(&ca, "spiffe://a.example/child"), [other, other, None]),
        (svid(&ca, "spiffe://b.example/child"), [forged, forged, forged]),
        (svid(&ca, "spiffe://c.example/x"), [other, other, Some(Refusal::NoBundle)]),
        (ca.named("10.0.0.1"), [Some(Refusal::NoSvid); 3]),
    ] {
        let seen = [&one, &domain, &any].map(|view| serve(view, &pem));
        assert_eq!(seen, expected);
    }
}

#[test]
fn a_parent_shows_its_own_identity() {
    let ca = Ca::new("a");
    let own = svid(&ca, "spiffe://a.example/parent");
    let source = files(&own, &[("a.example", &ca)]);
    let view = parent(&source, "{trustDomain: a.example}");
    let demanding =
        format!("  options: {{default: {{clientAuth: {{caFiles: [{}]}}}}}}\n", quoted(&ca.pem()));
    let mut pair = pair(Arc::clone(&view));
    let client = pair.open();
    pair.send(client, "GET /x HTTP/1.1\r\nHost: s\r\n\r\n");
    let shown = svid(&ca, "spiffe://a.example/child");
    let server = Talker::server(&mut pair, &door(&shown, &demanding));
    let caller = server.session.caller().map(ToString::to_string);
    assert_eq!(caller.as_deref(), Some("spiffe://a.example/parent"));
    let listed: Vec<_> = view.certificates.iter().map(|it| (&*it.label, it.role.name())).collect();
    assert_eq!(listed, [("spiffe", "identity"), ("spiffe", "root")]);
}

/// A message of protocol buffers: numbers and contents of its fields.
fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, content) in fields {
        out.push(number << 3 | 2);
        let mut len = content.len();
        while len > 0x7f {
            out.push(u8::try_from(len & 0x7f).expect("seven bits") | 0x80);
            len >>= 7;
        }
        out.push(u8::try_from(len).expect("seven bits"));
        out.extend_from_slice(content);
    }
    out
}

fn der(pem: &str) -> Vec<u8> {
    let list = CertificateDer::pem_slice_iter(pem.as_bytes());
    list.flat_map(|der| der.expect("PEM").to_vec()).collect()
}

fn key_der(pem: &Pem) -> Vec<u8> {
    rustls::pki_types::PrivatePkcs8KeyDer::from_pem_slice(pem.key().as_bytes())
        .expect("a key")
        .secret_pkcs8_der()
        .to_vec()
}

/// What a Workload API says of one identity and its bundles.
fn told(id: &str, own: &Pem, bundle: &str, federated: &[(&str, &str)]) -> Vec<u8> {
    let first = message(&[
        (1, id.as_bytes()),
        (2, &der(own.cert())),
        (3, &key_der(own)),
        (4, &der(bundle)),
        (5, b"hint"),
    ]);
    let mut all = message(&[(1, &first)]);
    for (domain, bundle) in federated {
        all.extend(message(&[(3, &message(&[(1, domain.as_bytes()), (2, &der(bundle))]))]));
    }
    all
}

const WORKLOAD: &str = "spiffe: {workloadAPIAddr: 'unix:///run/agent.sock'}
hub:
  uplinkEntryPoints: {up: {address: ':443', asDefault: true, tieline: {spiffe: {trustDomain: a.example}}}}
  providers: {multicluster: {}}
";

#[test]
fn what_the_workload_api_told_last_stays_until_it_tells_something_better() {
    let (ca, new) = (Ca::new("a"), Ca::new("new"));
    let id = "spiffe://a.example/child";
    let (mut compiler, _) = compiler(WORKLOAD, UPLINK);
    let mut tell = |told: Result<Vec<u8>, &str>| {
        compiler.set_workload(told.map(Secret::new).map_err(str::to_owned));
        let build = compiler.build().expect("news");
        let problems = build.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>();
        (Arc::new(build.view), problems)
    };
    let caller = showing(Some(&svid(&ca, "spiffe://a.example/parent")));
    let path = "error: spiffe: ";

    let (view, problems) = tell(Err("no such file"));
    assert_eq!(problems, [format!("{path}no such file")]);
    assert_eq!(call(&view, &caller), Some(Refusal::NotOffered));

    let (view, problems) = tell(Ok(told(id, &svid(&ca, id), &ca.pem(), &[])));
    assert_eq!((call(&view, &caller), problems.len()), (None, 0));

    let kept = "; what was good last stays in use";
    let malformed = "what the Workload API told is of no use: the message is malformed";
    let other = "what the Workload API told is of no use: \
                 the certificate is not for the id that comes with it";
    let wrong = told("spiffe://a.example/x", &svid(&ca, id), &ca.pem(), &[]);
    for (bad, why) in
        [(Err("it is gone"), "it is gone"), (Ok(vec![0x0a, 9]), malformed), (Ok(wrong), other)]
    {
        let (view, problems) = tell(bad);
        assert_eq!(problems, [format!("{path}{why}{kept}")]);
        assert_eq!(call(&view, &caller), None, "{why}");
    }

    let both = format!("{}{}", ca.pem(), new.pem());
    for (bundle, of_old, of_new) in
        [(both, None, None), (new.pem(), Some(Refusal::UnknownCa), None)]
    {
        let (view, problems) = tell(Ok(told(id, &svid(&new, id), &bundle, &[])));
        assert_eq!(problems, [""; 0]);
        assert_eq!(call(&view, &caller), of_old);
        let late = showing(Some(&svid(&new, "spiffe://a.example/parent")));
        assert_eq!(call(&view, &late), of_new);
    }
}

#[test]
fn federated_bundles_vouch_for_their_own_trust_domain_only() {
    let (ca, partner) = (Ca::new("a"), Ca::new("b"));
    let id = "spiffe://a.example/child";
    let fixed = WORKLOAD.replace("trustDomain: a.example", "ids: ['spiffe://b.example/p']");
    let (mut compiler, _) = compiler(&fixed, UPLINK);
    let all = told(id, &svid(&ca, id), &ca.pem(), &[("spiffe://b.example", &partner.pem())]);
    compiler.set_workload(Ok(Secret::new(all)));
    let view = Arc::new(compiler.build().expect("news").view);
    for (signer, expected) in [(&partner, None), (&ca, Some(Refusal::UnknownCa))] {
        let caller = showing(Some(&svid(signer, "spiffe://b.example/p")));
        assert_eq!(call(&view, &caller), expected);
    }
}

#[test]
fn a_message_cut_anywhere_changes_nothing_and_breaks_nothing() {
    let ca = Ca::new("a");
    let id = "spiffe://a.example/child";
    let good = told(id, &svid(&ca, id), &ca.pem(), &[("b.example", &ca.pem())]);
    let (mut compiler, _) = compiler(WORKLOAD, UPLINK);
    for len in 0..good.len() {
        compiler.set_workload(Ok(Secret::new(&good[..len])));
        compiler.build();
    }
    let mut prng = Prng::new(3);
    for _ in 0..500 {
        let mut bad = good.clone();
        let at = usize::try_from(prng.below(bad.len() as u64)).expect("small");
        bad[at] ^= 1 << prng.below(8);
        compiler.set_workload(Ok(Secret::new(bad)));
        compiler.build();
    }
}

#[test]
fn a_ticket_does_not_outlive_the_certificate_it_was_given_for() {
    let ca = Ca::new("a");
    let source = files(&svid(&ca, "spiffe://a.example/child"), &[("a.example", &ca)]);
    let view = child(&source, "{trustDomain: a.example}");
    let uri = Some("spiffe://a.example/parent");
    let brief = ca.sign(Like { names: &[], uri, years: Some((2020, 2027)) });
    let connector = showing(Some(&brief));
    let come = |pair: &mut Pair| {
        let mut client = Talker::client(pair, &connector, "child");
        if client.trouble.is_none() {
            client.say(pair, "GET /api/uplinks HTTP/1.1\r\nHost: s\r\n\r\n");
        }
        let resumed = client.session.is_resumed();
        (resumed, client.heard().starts_with("HTTP/1.1 200 "))
    };
    let mut pair = pair(Arc::clone(&view));
    assert_eq!(come(&mut pair), (false, true));
    assert_eq!(come(&mut pair), (true, true));
    // The ticket is good for hours, the certificate is not.
    let wall = engine::base::time::Wall(1_798_761_600_000_000_000 + 3_600_000_000_000);
    let mut late = Pair::at(view, engine::base::limits::Limits::default(), wall);
    assert_eq!(come(&mut late), (true, false));
    assert_eq!(late.count(Mark::HandshakeRefused), 1);
}

#[test]
fn tickets_are_good_for_two_periods_and_every_worker() {
    let ca = Ca::new("a");
    let source = files(&svid(&ca, "spiffe://a.example/child"), &[("a.example", &ca)]);
    let fixed = format!(
        "{source}hub:\n  uplinkEntryPoints:\n    up:\n      address: ':443'\n      asDefault: true\n      \
         tieline: {{spiffe: {{trustDomain: a.example}}}}\n  providers: {{multicluster: {{}}}}\n"
    );
    let (mut compiler, _) = compiler(&fixed, UPLINK);
    let mut view = Arc::new(compiler.build().expect("a view").view);
    let connector = showing(Some(&svid(&ca, "spiffe://a.example/parent")));
    let resumes = |view: &Arc<View>| {
        let mut worker = pair(Arc::clone(view));
        let mut client = Talker::client(&mut worker, &connector, "child");
        client.pump(&mut worker);
        assert_eq!(client.trouble, None);
        client.session.is_resumed()
    };
    assert!(!resumes(&view));
    assert!(resumes(&view), "another worker with the same view");
    // Between the last visit and the next the keys are made anew, once and then twice.
    for (rotations, expected) in [(1, true), (2, false), (1, true)] {
        for _ in 0..rotations {
            compiler.rotate_tickets();
            view = Arc::new(compiler.build().expect("news").view);
        }
        assert_eq!(resumes(&view), expected, "after {rotations} rotations");
    }
}

#[test]
fn keys_show_nowhere() {
    let ca = Ca::new("a");
    let own = svid(&ca, "spiffe://a.example/child");
    let source = files(&own, &[("a.example", &ca)]);
    let fixed = format!("{source}{}", WORKLOAD.split_once('\n').expect("lines").1);
    let (mut compiler, _) = compiler(&fixed, UPLINK);
    let shown = format!("{:?}", compiler.build());
    let bytes = key_der(&own);
    let all =
        [shown, format!("{compiler:?}"), format!("{own:?}", own = Secret::new(bytes.clone()))];
    let decimal = |part: &[u8]| part.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    // RFC 8410 §7: the private part; a public one follows.
    let secret = &bytes[16..48];
    let base64 = own.key().lines().nth(1).expect("a line of the key").to_owned();
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    for text in &all {
        for trace in [base64.as_str(), &hex, &decimal(secret), &decimal(&secret[..6])] {
            assert!(!text.contains(trace), "a key is shown");
        }
    }
    assert!(all[1].len() > 10_000, "everything was shown");
}

#[test]
fn a_host_with_options_of_its_own_opens_no_way_to_discovery() {
    let ca = Ca::new("a");
    let source = files(&svid(&ca, "spiffe://a.example/child"), &[("a.example", &ca)]);
    let parent = svid(&ca, "spiffe://a.example/parent");
    let open = "o: {rule: 'Host(`open.example`)', service: s, uplinks: [shop], \
                tls: {options: open}}";
    let dynamic = UPLINK.replace("uplinks: [shop]}}", &format!("uplinks: [shop]}}, {open}}}"));
    let dynamic = format!("{dynamic}tls: {{options: {{open: {{minVersion: VersionTLS13}}}}}}\n");
    let (view, problems) = child_with(&source, "{trustDomain: a.example}", &dynamic);
    let told = "a router that is offered through uplinks must not set tls";
    assert!(problems.len() == 1 && problems[0].contains(told), "{problems:?}");
    let mut pair = pair(view);
    let stranger = Talker::client(&mut pair, &showing(None), "open.example");
    assert_eq!(stranger.refusal(), Some(Refusal::AlertNoCertificate));
    let mut client = Talker::client(&mut pair, &showing(Some(&parent)), "open.example");
    client.say(&mut pair, "GET /api/uplinks HTTP/1.1\r\nHost: open.example\r\n\r\n");
    assert!(client.heard().starts_with("HTTP/1.1 200 "), "{}", client.heard());
    pair.no_dial();
}
