//! Certificates, options and transports in documents.

use super::*;
use crate::config::tls::{ClientTls, Curve, Demand, KeyPair, Pem, San, Suite, Trust, Version};

fn pem(path: &str) -> Pem {
    Pem::File(path.into())
}

fn options(lines: &str, expected: &str) -> crate::config::tls::ServerTls {
    let document = format!("tls: {{options: {{o: {{{lines}}}}}}}");
    let reading = dynamic(&[("f.yml", &document)]);
    let said: Vec<String> = reading.diagnostics.iter().map(ToString::to_string).collect();
    let said: Vec<&str> =
        said.iter().filter_map(|line| line.split_once(": ")).map(|(_, text)| text).collect();
    let short: Vec<String> = said.iter().map(|text| text.replace("tls.options.o.", "")).collect();
    assert_eq!(short.join("\n"), expected, "{lines}");
    let options = (*reading.dynamic.options[0]).clone();
    assert_eq!(options.name, "o@file");
    assert_eq!(options.broken.is_empty(), !expected.contains("error: "), "{lines}");
    options
}

#[test]
fn options_say_what_may_be_agreed_on() {
    let all = options(
        "minVersion: VersionTLS12, maxVersion: VersionTLS12, sniStrict: true, \
         cipherSuites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256], curvePreferences: [CurveP256], \
         alpnProtocols: [h2, http/1.1], disableSessionTickets: true, \
         clientAuth: {caFiles: [ca.pem]}",
        "",
    );
    assert_eq!((all.terms.min, all.terms.max), (Version::Tls12, Version::Tls12));
    assert_eq!(all.terms.suites, [Suite::RsaAes128]);
    assert_eq!(all.terms.curves, [Curve::P256]);
    assert!(all.sni_strict && !all.tickets);
    assert_eq!(all.clients.demand, Demand::RequireAndVerify);
    assert_eq!(all.clients.roots, [pem("ca.pem")]);
}

#[test]
fn what_cannot_be_honoured_breaks_options() {
    options("maxVersion: VersionTLS10", "error: maxVersion: TLS below 1.2 is not spoken");
    options(
        "minVersion: VersionTLS13, maxVersion: VersionTLS12",
        "error: maxVersion: it is below minVersion",
    );
    options(
        "cipherSuites: [TLS_RSA_WITH_AES_128_CBC_SHA]",
        "error: cipherSuites: none of these can be spoken in the versions that are allowed\n\
         warning: cipherSuites: TLS_RSA_WITH_AES_128_CBC_SHA is not spoken, and is left out",
    );
    options(
        "curvePreferences: [CurveP521]",
        "error: curvePreferences: CurveP521 is not supported by this version",
    );
    options(
        "alpnProtocols: [acme-tls/1]",
        "error: alpnProtocols: none of these is spoken (h2 or http/1.1)\n\
         warning: alpnProtocols: acme-tls/1 is not spoken, and is left out",
    );
    options(
        "clientAuth: {clientAuthType: RequireAndVerifyClientCert}",
        "error: clientAuth.clientAuthType: to verify certificates it must be said who signs them \
         (name caFiles)",
    );
    let old = "minVersion: VersionTLS10";
    let warned = "warning: minVersion: TLS below 1.2 is not spoken; the lowest version is 1.2";
    assert_eq!(options(old, warned).terms.min, Version::Tls12);
}

#[test]
fn suites_of_one_version_leave_the_other_alone() {
    let named = |suites: &str| options(&format!("cipherSuites: [{suites}]"), "").terms;
    let only_12 = named("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305");
    assert!(only_12.allows(Suite::EcdsaChacha20) && only_12.allows(Suite::Aes128));
    assert!(!only_12.allows(Suite::EcdsaAes128));
    let only_13 = named("TLS_AES_256_GCM_SHA384");
    assert!(only_13.allows(Suite::Aes256) && !only_13.allows(Suite::Aes128));
    assert!(!only_13.allows(Suite::EcdsaAes128));
}

#[test]
fn certificates_are_read_in_order_and_bad_ones_left_out() {
    let dynamic = check(
        "tls:
  certificates:
    - {certFile: a.pem, keyFile: a.key, stores: [default]}
    - {certFile: b.pem}
    - {certFile: c.pem, keyFile: c.key, stores: [other]}
  stores:
    default: {defaultCertificate: {certFile: d.pem, keyFile: d.key}}
",
        &[
            "f.yml:4:7: error: tls.certificates[1].keyFile: a certificate has a certFile and a keyFile",
            "f.yml:5:41: warning: tls.certificates[2].stores: only the store `default` is used; \
             this certificate is in it",
        ],
    );
    let files = dynamic.certificates.iter().map(|it| it.pair.cert.label().to_owned());
    assert_eq!(files.collect::<Vec<_>>(), ["a.pem", "c.pem"]);
    let default = dynamic.default_certificate.expect("there is one");
    assert_eq!(default.pair, KeyPair { cert: pem("d.pem"), key: pem("d.key") });
    let files = crate::config::tls::files(&Default::default(), &dynamic_of(&["a", "b"]));
    assert_eq!(files.iter().map(|path| &**path).collect::<Vec<_>>(), ["a", "b"]);
}

fn dynamic_of(roots: &[&str]) -> Dynamic {
    let document =
        format!("http: {{serversTransports: {{t: {{rootCAs: [{}]}}}}}}", roots.join(","));
    check(&document, &[])
}

#[test]
fn a_transport_has_every_row_of_the_table() {
    let dynamic = check(
        "http:
  serversTransports:
    t:
      serverName: s.example
      rootCAs: [ca.pem, \"-----BEGIN CERTIFICATE-----\"]
      certificates: [{certFile: a.pem, keyFile: a.key}]
      cipherSuites: [TLS_AES_128_GCM_SHA256]
      minVersion: VersionTLS13
      disableHTTP2: true
      peerCertURI: spiffe://x/a
      peerCertSANs: [{type: DNSName, value: b.example}]
",
        &[],
    );
    let tls = dynamic.transports[0].transport.tls.as_deref().cloned().expect("settings");
    assert_eq!(tls.server_name.as_deref(), Some("s.example"));
    let inline = Pem::Inline("-----BEGIN CERTIFICATE-----".into());
    assert_eq!(tls.trust, Trust::Roots(vec![pem("ca.pem"), inline]));
    assert_eq!(tls.certificates, [KeyPair { cert: pem("a.pem"), key: pem("a.key") }]);
    assert_eq!(tls.peers, [San::Uri("spiffe://x/a".into()), San::Dns("b.example".into())]);
    assert_eq!((tls.terms.min, tls.terms.suites), (Version::Tls13, vec![Suite::Aes128]));
    let broken = dynamic_with_error("serverName: s, spiffe: {ids: [x]}");
    assert_ne!(broken, ClientTls::default());
}

fn dynamic_with_error(lines: &str) -> ClientTls {
    let document = format!("http: {{serversTransports: {{t: {{{lines}}}}}}}");
    let reading = dynamic(&[("f.yml", &document)]);
    assert!(!reading.dynamic.transports[0].broken.is_empty(), "{reading:?}");
    let tls = reading.dynamic.transports[0].transport.tls.as_deref().cloned().expect("settings");
    assert!(!tls.unusable.is_empty());
    tls
}

#[test]
fn no_setting_shows_an_inline_key() {
    let text = "tls: {certificates: [{certFile: a, keyFile: '-----BEGIN PRIVATE KEY----- abc'}]}";
    let shown = format!("{:?}", check(text, &[]));
    assert!(!shown.contains("abc") && shown.contains("inline"), "{shown}");
}
