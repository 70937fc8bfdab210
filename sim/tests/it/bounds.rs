//! Worst cases by the settings against the longest of all orders of events, over a family of
//! documents: the second never exceeds the first, and reaches it where polls, which are uneven by
//! chance, have no part in it.

use crate::folder;
use engine::base::time::Span;
use sim::foresight::bounds::{Bounds, Judged, TICK, Trouble, Worst, bounds};
use sim::foresight::documents::Documents;

/// What one document of the family says.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    /// Of the child's offer.
    check: &'static str,
    poll: &'static str,
    /// Of the child, in the parent's document.
    child: &'static str,
    /// Of the child's own servers.
    own: &'static str,
}

const PLAIN: Case = Case {
    name: "plain",
    check: "healthCheck: {path: /, interval: 1s, timeout: 800ms}",
    poll: "pollInterval: 1s, pollTimeout: 900ms",
    child: "",
    own: "",
};

/// Polls are over long before probes can be: no shift between them makes a difference.
const ALONE: Case = Case {
    check: "healthCheck: {path: /, interval: 1s, timeout: 300ms}",
    poll: "pollInterval: 300ms, pollTimeout: 50ms",
    ..PLAIN
};

fn documents(case: Case) -> Documents {
    let Case { name, check, poll, child, own } = case;
    let parent = format!(
        "entryPoints: {{web: {{address: ':8000'}}}}
hub: {{providers: {{multicluster: {{{poll}, children: {{eu: {{address: 'http://10.0.0.1:9000'{child}}}}}}}}}}}
providers: {{file: {{filename: parent-dynamic.yml}}}}
"
    );
    let routers = "http:
  routers: {shop: {rule: 'PathPrefix(`/`)', service: shop@multicluster}}
";
    let entry = "hub: {uplinkEntryPoints: {up: {address: '10.0.0.1:9000', asDefault: true}}, providers: {multicluster: {}}}
providers: {file: {filename: child-dynamic.yml}}
";
    let offer = format!(
        "http:
  uplinks: {{shop: {{{check}}}}}
  routers: {{shop: {{rule: 'PathPrefix(`/`)', uplinks: [shop], service: shop}}}}
  services: {{shop: {{loadBalancer: {{{own}servers: [{{url: 'http://10.1.0.1:80'}}]}}}}}}
"
    );
    let files = [
        ("parent.yml", &*parent),
        ("parent-dynamic.yml", routers),
        ("child.yml", entry),
        ("child-dynamic.yml", &*offer),
    ];
    folder::documents(&format!("bounds-{name}"), &files)
}

/// Below a millisecond it is the way through the model.
fn millis(worst: Worst) -> u64 {
    match worst {
        Worst::After(span) => span.as_millis(),
        Worst::Never => u64::MAX,
    }
}

fn offer(found: &Bounds) -> &Judged {
    found.judged.iter().find(|judged| judged.unit.child.is_some()).expect("the child has an offer")
}

/// Every bound of the offer: the search is within the form, and close to it if it is tight.
#[track_caller]
fn check(case: Case, tight: bool) -> Bounds {
    let found = bounds(&documents(case), None);
    within(offer(&found), case.name, tight);
    found
}

#[track_caller]
fn within(judged: &Judged, name: &str, tight: bool) {
    for bound in &judged.bounds {
        let (trouble, forms) = (bound.trouble, &bound.forms);
        let searched = bound.found.unwrap_or_else(|| panic!("{name}: it came up"));
        let pairs = [
            ("found", &forms.found, Some(searched.found)),
            ("moved", &forms.moved, Some(searched.moved)),
            ("back", &forms.back, searched.back),
        ];
        for (what, form, searched) in pairs {
            let told = format!("{name}: {trouble:?} {what}: {form:?} and {searched:?}");
            let Some(form) = form else {
                assert!(searched.is_none_or(|it| it == Worst::Never), "{told}");
                continue;
            };
            let searched = millis(searched.expect("what has a form was sought"));
            assert!(searched <= form.total().as_millis(), "{told}");
            let close = form.total().as_millis() - searched <= TICK.as_millis() + 1;
            assert!(close || !tight, "{told}");
        }
    }
    assert!(judged.effort.runs > 8 && judged.effort.instants > 8, "{:?}", judged.effort);
}

fn moved(found: &Bounds, trouble: Trouble) -> Option<Span> {
    offer(found).moved(trouble)
}

#[test]
fn what_probes_find_is_found_as_late_as_the_settings_say_and_no_later() {
    let alone = check(Case { name: "alone", ..ALONE }, true);
    let hangs = "healthCheck: {path: /, interval: 400ms, timeout: 1500ms}";
    let hangs = check(Case { name: "hangs", check: hangs, ..ALONE }, true);
    assert!(moved(&hangs, Trouble::Slow) > moved(&alone, Trouble::Slow), "a longer time-out");
    let rests = "healthCheck: {path: /, interval: 500ms, unhealthyInterval: 2s, timeout: 200ms}";
    check(Case { name: "rests", check: rests, ..ALONE }, true);
    let child = ", serversTransport: {forwardingTimeouts: {dialTimeout: 150ms}}";
    let dials = check(Case { name: "dials", child, ..ALONE }, true);
    assert!(moved(&dials, Trouble::BlackHoled) < moved(&alone, Trouble::BlackHoled));
}

#[test]
fn polls_are_moved_against_probes_until_they_delay_the_verdict() {
    let plain = check(Case { name: "plain", ..PLAIN }, true);
    assert!(offer(&plain).effort.shifts > 4, "{:?}", offer(&plain).effort);
}

#[test]
fn what_only_polls_find_is_found_within_what_the_settings_say() {
    let none = Case { name: "nothing", check: "", ..PLAIN };
    let kept = check(none, false);
    assert_eq!(Trouble::ALL.map(|trouble| moved(&kept, trouble)), [None; 4]);
    assert!(kept.beyond(Span::secs(3_600)).iter().any(|line| line.contains("no healthCheck")));
    let child = ", tieline: {onStale: {policy: withdraw, after: 2s}}";
    let withdrawn = check(Case { name: "withdrawn", child, ..none }, true);
    assert!(moved(&withdrawn, Trouble::BlackHoled) >= Some(Span::secs(2)));
    assert_eq!(moved(&withdrawn, Trouble::Failing), None, "polls are good");
    let child = ", tieline: {onStale: {policy: demote, after: 100ms}}";
    let check_late = "healthCheck: {path: /, interval: 4s, timeout: 300ms}";
    let demoted = check(Case { name: "demoted", check: check_late, child, ..PLAIN }, false);
    assert!(moved(&demoted, Trouble::Refused) < moved(&demoted, Trouble::Failing));
}

fn back(judged: &Judged, trouble: Trouble) -> Option<Span> {
    let bound = judged.bounds.iter().find(|bound| bound.trouble == trouble)?;
    Some(bound.forms.back.as_ref()?.total())
}

#[test]
fn a_child_is_back_when_its_own_checks_have_found_its_servers_again() {
    let own = "healthCheck: {path: /, interval: 900ms, timeout: 600ms}, ";
    let found = check(Case { name: "own", own, ..ALONE }, false);
    let judged = offer(&found);
    let publications = TICK + TICK;
    let both = Span::millis(1_900) + publications;
    assert!(back(judged, Trouble::Failing).is_some_and(|back| back >= both), "{judged:?}");
    let alone = Span::secs(1) + publications;
    assert!(back(judged, Trouble::Slow) < Some(alone), "its own check waits for longer");
}

#[test]
fn a_child_with_children_is_in_trouble_as_their_servers_are() {
    let parent = "entryPoints: {web: {address: ':8000'}}
hub: {providers: {multicluster: {pollInterval: 300ms, pollTimeout: 50ms, children: {eu: {address: 'http://10.0.0.1:9000'}}}}}
providers: {file: {filename: parent-dynamic.yml}}
";
    let routers = "http:
  routers: {shop: {rule: 'PathPrefix(`/`)', service: shop@multicluster}}
";
    let middle = "hub:
  uplinkEntryPoints: {up: {address: '10.0.0.1:9000'}}
  providers: {multicluster: {pollInterval: 300ms, pollTimeout: 50ms, children: {north: {address: 'http://10.0.0.2:9000'}}}}
providers: {file: {filename: middle-dynamic.yml}}
";
    let hands_on = "http:
  uplinks: {shop: {healthCheck: {path: /, interval: 1s, timeout: 100ms}}}
  routers: {shop: {rule: 'PathPrefix(`/`)', uplinks: [shop], service: shop@multicluster}}
";
    let last =
        "hub: {uplinkEntryPoints: {up: {address: '10.0.0.2:9000'}}, providers: {multicluster: {}}}
providers: {file: {filename: last-dynamic.yml}}
";
    let serves = "http:
  uplinks: {shop: {healthCheck: {path: /, interval: 1s, timeout: 100ms}}}
  routers: {shop: {rule: 'PathPrefix(`/`)', uplinks: [shop], service: shop}}
  services: {shop: {loadBalancer: {servers: [{url: 'http://10.1.0.1:80'}]}}}
";
    let files = [
        ("parent.yml", parent),
        ("parent-dynamic.yml", routers),
        ("middle.yml", middle),
        ("middle-dynamic.yml", hands_on),
        ("last.yml", last),
        ("last-dynamic.yml", serves),
    ];
    let found = bounds(&folder::documents("bounds-levels", &files), None);
    let of = |process: &str| {
        let mine = |it: &&Judged| it.unit.process == process && it.unit.child.is_some();
        found.judged.iter().find(mine).expect("it judges its child")
    };
    within(of("parent"), "levels", false);
    within(of("eu"), "levels", true);
    assert_eq!(found.beyond(Span::millis(1_130)), Vec::<String>::new(), "all is found out");
    for trouble in Trouble::ALL {
        assert!(back(of("parent"), trouble) > back(of("eu"), trouble), "{trouble:?}");
    }
}

#[test]
fn a_gate_names_service_child_trouble_and_setting() {
    let found = bounds(&documents(Case { name: "gate", ..ALONE }), None);
    assert_eq!(found.beyond(Span::secs(2)), Vec::<String>::new());
    let beyond = found.beyond(Span::millis(1_100));
    let hung = "parent: shop-eu@multicluster of child eu: black-holed: all has moved after 1.320s, not 1.100s: most \
                of it is healthCheck.interval";
    assert!(beyond.iter().any(|line| line == hung), "{beyond:?}");
    assert_eq!(beyond.len(), 2, "{beyond:?}");
}
