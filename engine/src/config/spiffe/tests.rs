//! Identities in documents, right and wrong.

use super::*;
use crate::base::diag::Diagnostic;
use crate::config::{between, dynamic, fixed_from_file};

const API: &str = "spiffe: {workloadAPIAddr: 'unix:///run/agent.sock'}\n";

fn at_uplinks(callers: &str) -> String {
    let entry = format!("{{address: ':9443', tieline: {{spiffe: {callers}}}}}");
    format!("hub:\n  uplinkEntryPoints:\n    up: {entry}\n")
}

fn of_child(settings: &str) -> String {
    let child = format!("{{address: 'https://c', serversTransport: {{spiffe: {settings}}}}}");
    format!("hub:\n  providers:\n    multicluster:\n      children:\n        c: {child}\n")
}

#[test]
fn callers_at_an_uplink_entry_point_are_listed() {
    let read = |callers: &str| {
        let text = format!("{API}{}", at_uplinks(callers));
        let (fixed, problems) = fixed_from_file("s.yml", &text);
        assert!(problems.iter().all(|it| !it.is_error()), "{problems:?}");
        let socket = "/run/agent.sock".to_owned();
        assert_eq!(fixed.spiffe, Some(Source::Workload(WorkloadApi::Unix(socket))));
        let entry = &fixed.uplink_entry_points[0];
        assert_eq!(entry.tls.as_deref(), Some("default"));
        entry.callers.clone()
    };
    let id = SpiffeId::parse("spiffe://a/b").expect("an id");
    let domain = TrustDomain::parse("a").expect("a domain");
    let one = Some(Allowed::Ids(vec![id]));
    assert_eq!(read("{ids: ['spiffe://a/b']}"), one);
    assert_eq!(read("{ids: 'spiffe://a/b', trustDomain: a}"), one);
    assert_eq!(read("{trustDomain: spiffe://a}"), Some(Allowed::Domain(domain)));
    assert_eq!(read("{ids: []}"), Some(Allowed::Ids(Vec::new())));
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let (_, problems) = fixed_from_file("s.yml", text);
    let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|line| line.contains(expected)), "{text}\n{said:#?}");
    assert!(problems.iter().any(Diagnostic::is_error), "{said:?}");
}

#[test]
fn what_is_wrong_with_a_list_of_callers_is_said_where_it_stands() {
    for (callers, expected) in [
        ("{}", "up.tieline.spiffe.ids: it must be said who may call"),
        ("{ids: ['spiffe://A/b']}", "`spiffe://A/b`: a trust domain has lower-case letters"),
        ("{ids: ['spiffe://a']}", "`spiffe://a`: an id has a path behind its trust domain"),
        ("{ids: ['spiffe://b/c'], trustDomain: a}", "this id is of another trust domain"),
        ("{trustDomain: 'a b'}", "up.tieline.spiffe.trustDomain: `a b`: "),
        ("{trustdomains: a, ids: []}", "unknown key `trustdomains`"),
    ] {
        check(&format!("{API}{}", at_uplinks(callers)), expected);
    }
    let nowhere = "nothing says where identities come from";
    check(&at_uplinks("{ids: []}"), nowhere);
    check(&of_child("{}"), nowhere);
    check("serversTransport: {spiffe: {}}", nowhere);
    check(&format!("{API}{}", of_child("{ids: [c]}")), "spiffe.ids: `c`: expected spiffe://");
    let both = format!("{API}serversTransport: {{spiffe: {{}}, rootCAs: [a]}}");
    check(&both, "serversTransport.rootCAs: whom to trust and who to be is settled by spiffe");
}

#[test]
fn what_is_wrong_with_a_source_of_identities_is_said_where_it_stands() {
    for (source, expected) in [
        ("workloadAPIAddr: /agent.sock", "expected unix:///path or tcp://address:port"),
        ("workloadAPIAddr: 'tcp://agent:8081'", "tcp://address:port, and no host name"),
        ("workloadAPIAddr: 'unix://agent.sock'", "expected an absolute path"),
        ("", "spiffe.workloadAPIAddr: nothing says where identities come from"),
        ("tieline: {certFile: a, keyFile: b}", "without a bundle nobody can be verified"),
        ("tieline: {certFile: a}", "spiffe.tieline.keyFile: a certificate has a certFile and"),
        ("tieline: {bundles: [{caFiles: [c]}]}", "bundles[0].trustDomain: a bundle is of a trust"),
        ("tieline: {bundles: [{trustDomain: a}]}", "bundles[0].caFiles: a bundle has certificates"),
        (
            "tieline: {bundles: [{trustDomain: a, caFiles: [c]}, {trustDomain: a, caFiles: [d]}]}",
            "bundles[1].trustDomain: this trust domain has a bundle already",
        ),
        (
            "workloadAPIAddr: 'tcp://127.0.0.1:1', tieline: {certFile: a}",
            "identities come from files or from a Workload API, not from both",
        ),
    ] {
        check(&format!("spiffe: {{{source}}}"), expected);
    }
}

#[test]
fn what_is_wrong_between_documents_is_said_too() {
    let text = "
http: {serversTransports: {t: {spiffe: {}}}}
tls: {options: {default: {clientAuth: {caFiles: [a]}}}}
";
    let reading = dynamic(&[("d.yml", text)]);
    let said = |fixed: &str| {
        let (fixed, _) = fixed_from_file("s.yml", fixed);
        let found = between(&reading.dynamic, Some(&fixed));
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let nowhere = said("entryPoints: {}");
    assert!(nowhere[0].starts_with("d.yml:2:28: error: http.serversTransports.t.spiffe: "));
    let both = said(&format!("{API}{}", at_uplinks("{ids: []}")));
    let expected = "tls.options.default.clientAuth: the entry point up knows callers by SPIFFE";
    assert!(both.len() == 1 && both[0].contains(expected), "{both:?}");
}
