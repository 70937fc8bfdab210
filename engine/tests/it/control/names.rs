//! Children and servers known by name.

use super::desk::{Desk, Host};
use super::discovery::{child, parent, uplinks};
use engine::base::mark::Mark;
use engine::base::time::Span;
use engine::view::status::ChildPhase;

const SHOP: &str = r#"[{"name":"shop"}]"#;

fn desk() -> Desk {
    Desk::new(parent(vec![child("east", "east.example:80")]))
}

fn resolve(desk: &mut Desk, addrs: &[&str]) {
    let addrs = addrs.iter().map(|addr| addr.parse().expect("an address")).collect();
    desk.names.insert("east.example".into(), Ok(addrs));
}

fn phase(desk: &Desk) -> ChildPhase {
    desk.view().status.children.get(0).expect("a child").phase
}

fn target_addrs(desk: &Desk) -> Vec<String> {
    let addrs = desk.view().targets.iter().flat_map(|target| target.addrs.to_vec());
    addrs.map(|addr| addr.to_string()).collect()
}

#[test]
fn a_name_is_resolved_before_the_first_poll() {
    let mut desk = desk();
    resolve(&mut desk, &["10.0.0.1"]);
    desk.host("10.0.0.1:80", uplinks("a", SHOP));
    desk.run_secs(1);
    assert!(desk.requests[0].2.contains("\r\nHost: east.example\r\n"));
    assert_eq!(phase(&desk), ChildPhase::Fresh);
    assert_eq!(target_addrs(&desk), ["10.0.0.1:80"]);
}

#[test]
fn every_address_is_tried_within_one_poll() {
    let mut desk = desk();
    resolve(&mut desk, &["10.0.0.7", "10.0.0.8", "10.0.0.1"]);
    desk.host("10.0.0.7:80", Host::Refuse);
    desk.host("10.0.0.8:80", Host::BlackHole);
    desk.host("10.0.0.1:80", uplinks("a", SHOP));
    desk.run(Span::millis(1_500));
    assert_eq!(phase(&desk), ChildPhase::Fresh);
    assert_eq!(desk.hits(Mark::ControlNextAddress), 2);
}

#[test]
fn a_name_that_does_not_resolve_is_told_and_found_later() {
    let mut desk = desk();
    desk.run_secs(2);
    assert_eq!(desk.codes(), ["unresolved"]);
    assert_eq!(desk.said("host name does not resolve"), 1);
    resolve(&mut desk, &["10.0.0.1"]);
    desk.host("10.0.0.1:80", uplinks("a", SHOP));
    desk.run_secs(4);
    assert_eq!(phase(&desk), ChildPhase::Fresh);
    assert_eq!(desk.codes(), Vec::<&str>::new());
}

#[test]
fn a_changed_address_is_used_and_a_failing_resolver_changes_nothing() {
    let mut desk = desk();
    resolve(&mut desk, &["10.0.0.1"]);
    desk.host("10.0.0.1:80", uplinks("a", SHOP));
    desk.run_secs(1);
    desk.names.insert("east.example".into(), Err("server failure".into()));
    desk.run_secs(60);
    assert_eq!(target_addrs(&desk), ["10.0.0.1:80"]);
    assert_eq!(phase(&desk), ChildPhase::Fresh);
    assert_eq!(desk.hits(Mark::ResolveFailed), 1);
    resolve(&mut desk, &["10.0.0.2"]);
    desk.run_secs(31);
    assert_eq!(target_addrs(&desk), ["10.0.0.2:80"]);
}
