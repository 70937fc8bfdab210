//! Requests that fail while a server is in trouble: by the settings against those that were counted
//! when the machines ran, for passive checks, and for requests that are sent elsewhere.

use crate::folder;
use engine::base::time::Span;
use sim::foresight::bounds::{Asked, Row, Tally, Trouble, Worst, bounds, requests};
use sim::foresight::documents::Documents;

/// What one document of the family says.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    /// Of the offers of both children.
    check: &'static str,
    /// Of the offer of the child that is in trouble, besides.
    heavy: &'static str,
    /// Of the parent's router.
    router: &'static str,
    /// Of the parent's dynamic document.
    more: &'static str,
    /// Of that child, in the parent's static document.
    transport: &'static str,
    rate: u64,
}

const PLAIN: Case = Case {
    name: "plain",
    check: "healthCheck: {path: /, interval: 1s, timeout: 300ms}",
    heavy: "",
    router: "service: shop@multicluster",
    more: "",
    transport: "",
    rate: 50,
};

fn documents(case: Case) -> Documents {
    let Case { name, check, heavy, router, more, transport, .. } = case;
    let parent = format!(
        "entryPoints: {{web: {{address: ':8000'}}}}
hub:
  providers:
    multicluster:
      pollInterval: 300ms
      pollTimeout: 50ms
      children: {{eu: {{address: 'http://10.0.0.1:9000'{transport}}}, us: {{address: 'http://10.0.0.2:9000'}}}}
providers: {{file: {{filename: parent-dynamic.yml}}}}
"
    );
    let routers =
        format!("http:\n  routers: {{shop: {{rule: 'PathPrefix(`/`)', {router}}}}}\n{more}");
    let entry = |child: u8| {
        format!(
            "hub:
  uplinkEntryPoints: {{up: {{address: '10.0.0.{child}:9000', asDefault: true}}}}
  providers: {{multicluster: {{}}}}
providers: {{file: {{filename: child-{child}-dynamic.yml}}}}
"
        )
    };
    let offer = |child: u8, heavy: &str| {
        format!(
            "http:
  uplinks: {{shop: {{{heavy}{check}}}}}
  routers: {{shop: {{rule: 'PathPrefix(`/`)', uplinks: [shop], service: shop}}}}
  services: {{shop: {{loadBalancer: {{servers: [{{url: 'http://10.1.0.{child}:80'}}]}}}}}}
"
        )
    };
    let files = [
        ("parent.yml", &*parent),
        ("parent-dynamic.yml", &*routers),
        ("child-1.yml", &*entry(1)),
        ("child-1-dynamic.yml", &*offer(1, heavy)),
        ("child-2.yml", &*entry(2)),
        ("child-2-dynamic.yml", &*offer(2, "")),
    ];
    folder::documents(&format!("tolls-{name}"), &files)
}

/// What was found, beside what is expected for the same method.
#[track_caller]
fn rows(case: Case, trouble: Trouble, expected: &[(Asked, u64)]) -> Vec<(Row, u64)> {
    let found = requests(&documents(case), "eu", trouble, case.rate);
    let [Tally { rows, .. }] = &found[..] else { panic!("one way leads there: {found:?}") };
    let of = |&(asked, count): &(Asked, u64)| {
        let row = rows.iter().find(|row| row.asked.is_none_or(|it| it == asked));
        (row.expect("each method has its row").clone(), count)
    };
    expected.iter().map(of).collect()
}

/// No run has more that failed than the settings say, nor fewer by more than the 20 ms between two
/// publications make; and what is expected can fail.
#[track_caller]
fn check(case: Case, trouble: Trouble, expected: &[(Asked, u64)]) {
    for (row, count) in rows(case, trouble, expected) {
        let told = format!("{}: {row:?}", case.name);
        assert_eq!(row.failing, Some(count), "{told}");
        let searched = row.searched.unwrap_or_else(|| panic!("searched: {told}"));
        assert!(searched.failed <= count, "{told}");
        let gap = case.rate.div_ceil(50) + 2;
        assert!(searched.failed + gap >= count, "{told}");
        if let (Some(moved), Worst::After(span)) = (row.moved, searched.moved) {
            assert!(span.as_millis() <= moved.as_millis(), "{told}");
        }
    }
}

use Asked::{Idempotent, Once};
use Trouble::{BlackHoled, Failing, Refused};

#[test]
fn without_anything_else_those_fail_that_begin_before_all_has_moved() {
    check(PLAIN, Refused, &[(Once, 52)]);
    check(PLAIN, BlackHoled, &[(Once, 67)]);
    check(PLAIN, Failing, &[(Once, 52)]);
}

#[test]
fn passive_checks_let_so_many_fail_as_they_say() {
    let check_both = "healthCheck: {path: /, interval: 2s, timeout: 300ms}, \
                      passiveHealthCheck: {failureWindow: 1s, maxFailedAttempts: 3}";
    let both = Case { name: "both", check: check_both, ..PLAIN };
    check(both, Refused, &[(Once, 5)]);
    // Three do not come within a second.
    check(Case { name: "rare", rate: 2, ..both }, Failing, &[(Once, 5)]);
    let passive = "passiveHealthCheck: {failureWindow: 10s, maxFailedAttempts: 4}";
    check(Case { name: "alone", check: passive, ..PLAIN }, Failing, &[(Once, 6)]);
}

#[test]
fn a_gate_counts_passive_checks_at_the_rate_that_is_asked_for() {
    let passive = "passiveHealthCheck: {failureWindow: 1s, maxFailedAttempts: 3}";
    let documents = documents(Case { name: "gate", check: passive, ..PLAIN });
    let beyond = |rate| bounds(&documents, rate).beyond(Span::secs(1)).join("\n");
    let refused = "child eu: refused: it never moves";
    let unknown = beyond(None);
    assert!(unknown.contains(refused) && unknown.contains("--rps tells"), "{unknown}");
    let often = beyond(Some(50));
    assert!(!often.contains("refused") && !often.contains("5xx"), "{often}");
    assert!(often.contains("child eu: slow: it never moves"), "{often}");
    let rare = beyond(Some(2));
    assert!(rare.contains(refused), "three do not come within a second: {rare}");
}

#[test]
fn a_server_that_hangs_is_taken_out_by_requests_only_if_these_give_up() {
    let check_both = "healthCheck: {path: /, interval: 3s, timeout: 300ms}, \
                      passiveHealthCheck: {failureWindow: 1s, maxFailedAttempts: 2}";
    let transport = ", serversTransport: {forwardingTimeouts: \
                     {dialTimeout: 500ms, responseHeaderTimeout: 500ms}}";
    let hangs = Case { name: "gives-up", check: check_both, transport, ..PLAIN };
    check(hangs, BlackHoled, &[(Once, 29)]);
    // By the probe alone.
    check(Case { name: "waits", transport: "", rate: 10, ..hangs }, BlackHoled, &[(Once, 34)]);
}

const RETRIED: &str = "service: shop@multicluster, middlewares: [again]";

#[test]
fn what_may_be_sent_again_does_not_fail() {
    let more = "  middlewares: {again: {retry: {attempts: 2}}}\n";
    let network = Case { name: "network", router: RETRIED, more, ..PLAIN };
    check(network, Refused, &[(Idempotent, 0), (Once, 0)]);
    let more = "  middlewares: {again: {retry: {attempts: 3, status: ['500-599'], initialInterval: 100ms}}}\n";
    let status = Case { name: "status", more, ..network };
    check(status, Failing, &[(Idempotent, 0)]);
}

#[test]
fn what_may_not_be_sent_again_fails() {
    let more = "  middlewares: {again: {retry: {attempts: 3, status: ['500-502']}}}\n";
    let other = Case { name: "other", router: RETRIED, more, rate: 20, ..PLAIN };
    check_unsaved(other, Failing, &[(Idempotent, 21), (Once, 21)]);
    let more = "  middlewares: {again: {retry: {attempts: 1, status: ['500-599']}}}\n";
    let once = Case { name: "once", router: RETRIED, more, rate: 20, ..PLAIN };
    check_unsaved(once, Refused, &[(Idempotent, 21), (Once, 21)]);
    let more = "  middlewares: {again: {retry: {attempts: 2, status: ['503']}}}\n";
    let post = Case { name: "post", router: RETRIED, more, rate: 20, ..PLAIN };
    check_unsaved(post, Failing, &[(Idempotent, 0), (Once, 21)]);
}

/// As the settings say, whatever the share of the server: what is sent again takes turns besides.
#[track_caller]
fn check_unsaved(case: Case, trouble: Trouble, expected: &[(Asked, u64)]) {
    for (row, count) in rows(case, trouble, expected) {
        let searched = row.searched.expect("it was searched").failed;
        assert_eq!(row.failing, Some(count), "{}: {row:?}", case.name);
        assert!(searched <= count && (searched > 0 || count == 0), "{}: {row:?}", case.name);
    }
}

#[test]
fn more_than_a_service_may_have_sent_again_fails() {
    let slow = "healthCheck: {path: /, interval: 6s, timeout: 300ms}";
    let more = "  middlewares: {again: {retry: {attempts: 2, initialInterval: 20s}}}\n";
    let many = Case {
        name: "many",
        router: RETRIED,
        check: slow,
        more,
        rate: 240,
        heavy: "weight: 9, ",
        ..PLAIN
    };
    check_unsaved(many, Refused, &[(Once, 945)]);
}

#[test]
fn a_failover_by_status_saves_what_its_main_side_fails() {
    let more = "  services:
    all:
      failover:
        service: shop-eu@multicluster
        fallback: shop-us@multicluster
        errors: {status: ['500-504']}
";
    let sides = Case { name: "sides", router: "service: all", more, ..PLAIN };
    check(sides, Failing, &[(Idempotent, 0), (Once, 52)]);
}
