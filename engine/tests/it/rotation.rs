//! Certificates, keys and roots that change while everything runs.

use crate::pair::Pair;
use crate::secure::{Ca, Like, OK, Pem, Talker, compiler_of, connector, pair};
use engine::base::mark::Mark;
use engine::base::secret::Secret;
use engine::config::fixed::{EntryPoint, Fixed};
use engine::view::View;
use engine::view::compile::Compiler;
use std::sync::Arc;

/// A compiler and the files that it was told of.
struct Files {
    compiler: Compiler,
    view: Arc<View>,
}

impl Files {
    fn new(document: &str, files: &[(&str, &str)]) -> Self {
        let mut entry = EntryPoint::new("web", "127.0.0.1:443".parse().expect("an address"));
        entry.tls = Some("default".to_owned());
        let fixed = Arc::new(Fixed { entry_points: vec![entry], ..Fixed::default() });
        let (mut compiler, _) = compiler_of(fixed, document);
        compiler.set_files(files.iter().map(|(path, _)| Arc::from(*path)).collect());
        for (path, text) in files {
            compiler.set_file(&Arc::from(*path), Ok(Secret::new(text.as_bytes())));
        }
        let view = Arc::new(compiler.build().expect("a view").view);
        Self { compiler, view }
    }

    /// A file is different now; what is wrong then.
    fn change(&mut self, path: &str, text: Result<&str, &str>) -> Vec<String> {
        let content = text.map(|text| Secret::new(text.as_bytes())).map_err(str::to_owned);
        self.compiler.set_file(&Arc::from(path), content);
        let build = self.compiler.build().expect("news");
        self.compiler.check();
        self.view = Arc::new(build.view);
        build.diagnostics.iter().map(ToString::to_string).collect()
    }

    fn put(&mut self, pem: &Pem) -> Vec<String> {
        self.change("a.pem", Ok(pem.cert()));
        self.change("a.key", Ok(pem.key()))
    }
}

const SHOWN: &str = "
http:
  routers: {r: {rule: 'PathPrefix(`/`)', service: s}}
  services:
    s: {loadBalancer: {servers: [{url: 'http://10.0.0.1:80'}]}}
tls:
  certificates: [{certFile: a.pem, keyFile: a.key}]
";

fn serial(view: &View) -> String {
    view.certificates.iter().find(|it| &*it.label == "a.pem").expect("it").info.serial.clone()
}

#[test]
fn a_new_pair_is_shown_to_new_clients_and_old_ones_stay() {
    let (old, new) = (Ca::new("old"), Ca::new("new"));
    let first = old.named("a.example");
    let mut files = Files::new(SHOWN, &[("a.pem", first.cert()), ("a.key", first.key())]);
    let mut pair = pair(Arc::clone(&files.view));
    let mut early = Talker::client(&mut pair, &connector(&old, None), "a.example");
    assert_eq!(files.put(&new.named("a.example")), [""; 0]);
    pair.publish_view(Arc::clone(&files.view));
    let mut late = Talker::client(&mut pair, &connector(&new, None), "a.example");
    let turned_away = Talker::client(&mut pair, &connector(&old, None), "a.example");
    assert!(turned_away.trouble.is_some(), "the old certificate is gone");
    for client in [&mut early, &mut late] {
        client.say(&mut pair, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
        let origin = pair.last_dialed();
        pair.send(origin, OK);
        client.pump(&mut pair);
        assert!(client.heard().ends_with("hi"));
    }
}

#[test]
fn what_was_good_last_stays_while_files_are_wrong() {
    let ca = Ca::new("ca");
    let (first, second) = (ca.named("a.example"), ca.named("a.example"));
    let mut files = Files::new(SHOWN, &[("a.pem", first.cert()), ("a.key", first.key())]);
    let before = serial(&files.view);
    let stays = "what was good last stays in use";
    for (path, content, expected) in [
        ("a.pem", Ok(second.cert()), "the private key belongs to another certificate"),
        ("a.pem", Err("no such file"), "a.pem: no such file"),
        ("a.pem", Ok(""), "there is no certificate in it"),
        ("a.pem", Ok(&first.cert()[..200]), "the certificate is not PEM"),
        ("a.key", Ok("x"), "there is no private key in it"),
    ] {
        let said = files.change(path, content);
        let about = "f.yml:7:18: error: tls.certificates[0]: a.pem";
        assert!(said.len() == 1 && said[0].starts_with(about), "{said:?}");
        assert!(said[0].contains(stays), "{said:?}");
        if path == "a.pem" {
            assert!(said[0].contains(expected), "{expected}: {said:?}");
        }
        assert_eq!(serial(&files.view), before, "{expected}");
    }
    assert_eq!(files.put(&second), [""; 0]);
    assert_ne!(serial(&files.view), before);
}

const DIALED: &str = "
http:
  routers: {r: {rule: 'PathPrefix(`/`)', service: s, tls: false}}
  services:
    s: {loadBalancer: {serversTransport: t, servers: [{url: 'https://10.0.0.1:443'}]}}
  serversTransports: {t: {disableHTTP2: true, rootCAs: [roots.pem]}}
";

fn ask(pair: &mut Pair, client: &mut Talker) {
    client.say(pair, "GET / HTTP/1.1\r\nHost: s\r\n\r\n");
}

#[test]
fn a_root_is_changed_by_way_of_both_without_a_failed_handshake() {
    let (old, new) = (Ca::new("old"), Ca::new("new"));
    let both = format!("{}{}", old.pem(), new.pem());
    let mut files = Files::new(DIALED, &[("roots.pem", &old.pem())]);
    let mut pair = pair(Arc::clone(&files.view));
    let server = |ca: &Ca| crate::secure_servers::door(&ca.named("10.0.0.1"), "");
    let anybody = crate::secure::anybody();
    let mut client = Talker::client(&mut pair, &anybody, "s");
    let mut dials = 0;
    for (roots, signer) in
        [(old.pem(), &old), (both.clone(), &old), (both, &new), (new.pem(), &new)]
    {
        if dials > 0 {
            files.compiler.set_file(&"roots.pem".into(), Ok(Secret::new(roots.as_bytes())));
            if let Some(build) = files.compiler.build() {
                pair.publish_view(Arc::new(build.view));
            }
        }
        ask(&mut pair, &mut client);
        dials += 1;
        // New roots are a reason to dial again: what was verified by the old ones is let go.
        let mut origin = match pair.try_dialed() {
            Some(end) => Talker::server_at(&mut pair, end, &server(signer)),
            None => panic!("turn {dials} used a connection of other roots"),
        };
        origin.say(&mut pair, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        client.pump(&mut pair);
        assert!(client.heard().ends_with("hi"), "turn {dials}");
        pair.fin(origin.end);
    }
    assert_eq!(pair.count(Mark::HandshakeRefused), 0);
}

#[test]
fn a_kept_connection_of_other_roots_is_not_used_again() {
    let (old, new) = (Ca::new("old"), Ca::new("new"));
    let mut files = Files::new(DIALED, &[("roots.pem", &old.pem())]);
    let mut pair = pair(Arc::clone(&files.view));
    let mut client = Talker::client(&mut pair, &crate::secure::anybody(), "s");
    ask(&mut pair, &mut client);
    let door = crate::secure_servers::door(&old.named("10.0.0.1"), "");
    let mut first = Talker::server(&mut pair, &door);
    first.say(&mut pair, OK);
    files.change("roots.pem", Ok(&new.pem()));
    pair.publish_view(Arc::clone(&files.view));
    ask(&mut pair, &mut client);
    let door = crate::secure_servers::door(&new.named("10.0.0.1"), "");
    let second = Talker::server(&mut pair, &door);
    assert!(second.plain.starts_with("GET / "));
    assert_eq!(pair.count(Mark::IdleOutdated), 1);
    assert_eq!(first.heard().matches("GET").count(), 1);
}

#[test]
fn expiry_and_names_of_every_certificate_are_known() {
    let ca = Ca::new("ca");
    let like = Like { names: &["a.example"], uri: None, years: Some((2020, 2030)) };
    let pem = ca.sign(like);
    let files = Files::new(SHOWN, &[("a.pem", pem.cert()), ("a.key", pem.key())]);
    let labels: Vec<_> = files.view.certificates.iter().map(|it| &*it.label).collect();
    assert_eq!(labels, ["a.pem", "generated"]);
    assert_eq!(files.view.certificates[0].info.not_after, 1_893_456_000);
}
