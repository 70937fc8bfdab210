//! Reading and re-reading the dynamic configuration.

use super::desk::{Desk, Host, document, ok};
use engine::base::mark::Mark;
use engine::base::time::Span;
use engine::boundary::{Document, Input};
use engine::config::fixed::{FileProvider, Fixed};
use engine::view::NodeKind;
use engine::view::model::Condition;

pub(super) fn fixed() -> Fixed {
    Fixed {
        file: Some(FileProvider { path: "/etc/tieline".into(), watch: true }),
        throttle: Span::secs(2),
        ..Fixed::default()
    }
}

/// A document with one service per name.
fn services(names: &[&str]) -> String {
    let one = |name: &&str| {
        format!(
            "    {name}:\n      loadBalancer:\n        servers:\n        - url: http://10.1.0.1\n"
        )
    };
    let all: String = names.iter().map(one).collect();
    format!("http:\n  services:\n{all}")
}

pub(super) fn started(text: &str) -> Desk {
    let mut desk = Desk::new(fixed());
    desk.file(text);
    desk.run(Span::millis(200));
    desk
}

/// Services of the file provider that the view knows.
fn known(desk: &Desk) -> Vec<String> {
    let mut names: Vec<String> = desk
        .view()
        .services
        .iter()
        .filter_map(|node| node.name.strip_suffix("@file").map(str::to_owned))
        .collect();
    names.sort();
    names
}

#[test]
fn the_first_reading_is_applied_at_once() {
    let mut desk = Desk::new(fixed());
    desk.files = Ok(vec![document("a.yml", &services(&["shop"]))]);
    desk.settle();
    assert_eq!(known(&desk), ["shop"]);
    assert_eq!((desk.view().status.reloads.applied, desk.loads), (1, 1));
}

#[test]
fn a_change_is_applied_once_two_readings_agree() {
    let mut desk = started(&services(&["shop"]));
    desk.run_secs(10);
    desk.file(&services(&["shop", "bank"]));
    desk.run(Span::millis(60));
    assert_eq!(known(&desk), ["shop"], "read once, not believed yet");
    desk.run(Span::millis(100));
    assert_eq!(known(&desk), ["bank", "shop"]);
}

#[test]
fn a_file_that_is_being_written_is_not_taken_for_a_shorter_one() {
    let whole = services(&["bank", "shop"]);
    let mut desk = started(&whole);
    desk.run_secs(10);
    // A prefix that parses: only the last service is missing.
    desk.file(&services(&["bank"]));
    desk.run(Span::millis(60));
    desk.file(&whole);
    desk.run_secs(10);
    assert_eq!(known(&desk), ["bank", "shop"]);
    assert_eq!(desk.view().status.reloads.applied, 1);
    // Written more slowly: no two readings are alike until the last.
    let parts = [services(&["a"]), services(&["a", "b"]), services(&["a", "b", "c"])];
    for part in &parts {
        desk.file(part);
        desk.run(Span::millis(51));
        assert_eq!(known(&desk), ["bank", "shop"]);
    }
    desk.run_secs(1);
    assert_eq!(known(&desk), ["a", "b", "c"]);
    assert!(desk.hits(Mark::ReadingsDisagreed) > 0);
}

#[test]
fn changes_in_quick_succession_are_applied_apart_and_the_last_one_wins() {
    let mut desk = started(&services(&["a"]));
    desk.run_secs(10);
    desk.file(&services(&["b"]));
    desk.run(Span::millis(200));
    assert_eq!(known(&desk), ["b"]);
    for name in ["c", "d", "e"] {
        desk.file(&services(&[name]));
        desk.run(Span::millis(200));
        assert_eq!(known(&desk), ["b"], "within the throttle duration");
    }
    desk.run_secs(2);
    assert_eq!(known(&desk), ["e"]);
    assert_eq!(desk.view().status.reloads.applied, 3);
}

#[test]
fn what_did_not_change_is_not_applied_again() {
    let mut desk = started(&services(&["a"]));
    desk.run_secs(10);
    let views = desk.views.len();
    desk.input(Input::Changed);
    desk.run_secs(10);
    assert_eq!((desk.views.len(), desk.view().status.reloads.applied), (views, 1));
}

#[test]
fn files_that_cannot_be_used_leave_the_last_good_configuration_in_effect_and_say_so() {
    for (files, code) in [
        (Err("no such file".to_owned()), "unreadable"),
        (Ok(vec![]), "no-files"),
        (
            Ok(vec![Document { path: "dynamic.yml".into(), text: Err("denied".into()) }]),
            "unreadable",
        ),
        (Ok(vec![document("dynamic.yml", "")]), "empty-file"),
        (Ok(vec![document("dynamic.yml", " \n\n")]), "empty-file"),
        (Ok(vec![document("dynamic.yml", "http:\n  services:\n    shop: [")]), "syntax"),
    ] {
        let mut desk = started(&services(&["shop"]));
        desk.run_secs(10);
        desk.files = files.clone();
        desk.input(Input::Changed);
        desk.run_secs(3);
        assert_eq!(known(&desk), ["shop"], "{files:?}");
        let reloads = &desk.view().status.reloads;
        assert!(reloads.last_refused, "{files:?}");
        assert!(desk.codes().contains(&code), "{:?} for {files:?}", desk.codes());
        assert!(desk.said("last good") > 0, "{files:?}: {}", desk.log);
        desk.file(&services(&["shop", "bank"]));
        desk.run_secs(10);
        assert_eq!(known(&desk), ["bank", "shop"]);
        assert_eq!(desk.codes(), Vec::<&str>::new(), "{files:?}");
        assert!(!desk.view().status.reloads.last_refused);
    }
}

#[test]
fn a_file_that_is_fine_again_is_found_without_a_hint() {
    let mut desk = started(&services(&["shop"]));
    desk.files = Err("no such file".into());
    desk.input(Input::Changed);
    desk.run_secs(20);
    assert!(desk.view().status.reloads.last_refused);
    desk.files = Ok(vec![document("dynamic.yml", &services(&["bank"]))]);
    desk.run_secs(10);
    assert_eq!(known(&desk), ["bank"]);
}

#[test]
fn one_bad_file_of_several_keeps_only_its_own_last_good_content() {
    let mut desk = Desk::new(fixed());
    desk.files =
        Ok(vec![document("a.yml", &services(&["a"])), document("b.yml", &services(&["b"]))]);
    desk.run_secs(10);
    desk.files = Ok(vec![document("a.yml", "http: ["), document("b.yml", &services(&["c"]))]);
    desk.input(Input::Changed);
    desk.run_secs(3);
    assert_eq!(known(&desk), ["a", "c"]);
    assert_eq!(desk.hits(Mark::LastGoodFileUsed), 1);
    // Taking the bad file away is a decision, and is obeyed.
    desk.files = Ok(vec![document("b.yml", &services(&["c"]))]);
    desk.input(Input::Changed);
    desk.run_secs(10);
    assert_eq!(known(&desk), ["c"]);
    assert_eq!(desk.codes(), Vec::<&str>::new());
}

#[test]
fn a_file_with_only_a_comment_is_empty_on_purpose() {
    let mut desk = started(&services(&["shop"]));
    desk.run_secs(10);
    desk.file("# nothing today\n");
    desk.run_secs(3);
    assert_eq!(known(&desk), Vec::<String>::new());
    assert_eq!(desk.codes(), Vec::<&str>::new());
}

#[test]
fn a_broken_part_is_left_out_and_the_rest_takes_effect() {
    let text =
        services(&["shop"]) + "  routers:\n    bad:\n      rule: Hots(`a`)\n      service: shop\n";
    let desk = started(&text);
    assert_eq!(known(&desk), ["shop"]);
    let status = &desk.view().status;
    assert!(status.diagnostics.iter().any(|it| it.is_error() && it.path.contains("bad")));
    assert!(!status.reloads.last_refused, "the document as such is in effect");
    let bad = desk.view().model.routers.iter().find(|it| it.definition.name == "bad@file");
    assert_eq!(bad.map(|it| it.condition), Some(Condition::Disabled));
    assert!(desk.said("configuration problem") > 0);
}

#[test]
fn a_start_without_files_serves_nothing_loudly_and_recovers() {
    let mut desk = Desk::new(fixed());
    desk.run_secs(1);
    assert_eq!(desk.codes(), ["unreadable"]);
    desk.file(&services(&["shop"]));
    desk.run_secs(1);
    assert_eq!(known(&desk), ["shop"]);
}

#[test]
fn a_reload_keeps_health_tickets_and_the_pace_of_probes() {
    let checked = |extra: &str| {
        format!(
            "http:\n  services:\n    shop:\n      loadBalancer:\n        healthCheck:\n          \
             path: /up\n          interval: 10s\n          timeout: 1s\n        servers:\n        \
             - url: http://10.1.0.1\n        - url: http://10.1.0.2\n{extra}"
        )
    };
    let mut desk = Desk::new(fixed());
    desk.host("10.1.0.1:80", Host::Says(ok("", "")));
    desk.host("10.1.0.2:80", Host::Refuse);
    desk.file(&checked(""));
    desk.run_secs(2);
    let turns = |desk: &Desk| {
        let node = desk.view().services.iter().find(|it| &*it.name == "shop@file").cloned();
        let NodeKind::Balancer { turns, .. } = &node.expect("shop").kind else {
            panic!("not a balancer")
        };
        turns.clone()
    };
    turns(&desk).ticket.draw();
    let probes = desk.requests.len();
    for n in 0..4 {
        desk.file(&checked(&format!(
            "    other{n}:\n      loadBalancer:\n        servers:\n        - url: http://10.1.0.3\n"
        )));
        desk.run(Span::millis(2_100));
        assert_eq!((0..4).map(|t| turns(&desk).rotation.turn(t)).collect::<Vec<_>>(), [Some(0); 4]);
    }
    assert_eq!(desk.view().status.reloads.applied, 5);
    assert_eq!(turns(&desk).ticket.drawn(), 1, "the position of the balancer survives");
    assert!(desk.requests.len() <= probes + 1, "reloads do not make probes come faster");
}
