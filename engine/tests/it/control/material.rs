//! Files of certificates, keys and roots, as the control machine reads and watches them.

use super::desk::Desk;
use super::files::fixed;
use crate::secure::Ca;
use engine::base::secret::Secret;
use engine::config::fixed::{EntryPoint, Fixed};

const DOCUMENT: &str = "http:
  routers: {r: {rule: 'PathPrefix(`/`)', service: s, tls: {}}}
  services: {s: {loadBalancer: {servers: [{url: 'http://10.0.0.1'}]}}}
tls: {certificates: [{certFile: a.pem, keyFile: a.key}]}
";

fn desk() -> Desk {
    let web = EntryPoint::new("web", "127.0.0.1:443".parse().expect("an address"));
    Desk::new(Fixed { entry_points: vec![web], ..fixed() })
}

fn put(desk: &mut Desk, path: &str, text: &str) {
    desk.secrets.insert(path.to_owned(), Secret::new(text.as_bytes()));
}

/// Where the certificates of a view come from.
fn sources(view: &engine::view::View) -> Vec<&str> {
    view.certificates.iter().map(|listed| &*listed.label).collect()
}

#[test]
fn a_configuration_takes_effect_together_with_its_files() {
    let pem = Ca::new("ca").named("a.example");
    let mut desk = desk();
    put(&mut desk, "a.pem", pem.cert());
    put(&mut desk, "a.key", pem.key());
    desk.file(DOCUMENT);
    desk.run_secs(1);
    let serving = |view: &&std::sync::Arc<engine::view::View>| {
        view.entries[0].secure.as_ref().is_some_and(|side| side.routes.iter().next().is_some())
    };
    let first = desk.views.iter().find(serving).expect("routes take effect");
    assert_eq!(sources(first), ["a.pem", "generated"], "never without its certificate");
    assert_eq!(desk.codes(), [""; 0]);
}

#[test]
fn renewed_files_are_noticed_and_wrong_ones_are_told() {
    let ca = Ca::new("ca");
    let (old, new) = (ca.named("a.example"), ca.named("a.example"));
    let mut desk = desk();
    put(&mut desk, "a.pem", old.cert());
    put(&mut desk, "a.key", old.key());
    desk.file(DOCUMENT);
    desk.run_secs(1);
    let serial = |desk: &Desk| desk.view().certificates[0].info.serial.clone();
    let before = serial(&desk);
    put(&mut desk, "a.pem", new.cert());
    desk.run_secs(11);
    assert_eq!(desk.codes(), ["certificate"]);
    assert!(desk.log.contains("what was good last stays in use"), "{}", desk.log);
    assert_eq!(serial(&desk), before);
    put(&mut desk, "a.key", new.key());
    desk.run_secs(11);
    assert_eq!(desk.codes(), [""; 0]);
    assert_ne!(serial(&desk), before);
    assert!(!desk.log.contains("PRIVATE"), "no key is logged");
}

#[test]
fn files_that_are_missing_do_not_hold_a_configuration_up() {
    let mut desk = desk();
    desk.file(DOCUMENT);
    desk.run_secs(1);
    assert_eq!(sources(desk.view()), ["generated"]);
    assert_eq!(desk.codes(), ["certificate"]);
}
