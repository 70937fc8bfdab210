//! The allocation gate: a request in steady state allocates nothing, whatever it passes through.

use benches::rig::{Kit, Rig, kits};

/// Counts what 4,096 turns allocate, once everything has grown to what they need.
fn check(kit: Kit) -> Rig {
    let mut rig = Rig::new(kit, 16);
    let answers = rig.round();
    assert!(answers >= 16, "{}: {answers} requests are answered", kit.name);
    for _ in 0..128 {
        assert_eq!(rig.round(), answers, "{}: every request is answered", kit.name);
    }
    let counted = allocation_counter::measure(|| {
        for _ in 0..256 {
            assert_eq!(rig.round(), answers, "{}: every request is answered", kit.name);
        }
    });
    let bytes = counted.bytes_total;
    assert_eq!(counted.count_total, 0, "{}: 4,096 turns allocated {bytes} bytes", kit.name);
    rig
}

#[test]
fn a_request_in_steady_state_allocates_nothing() {
    for kit in kits::ALL {
        check(kit);
    }
}

#[test]
fn what_is_to_be_logged_is_logged() {
    for kit in [kits::LOGGED, kits::STREAMS_OBSERVED] {
        let logged = check(kit).logged();
        assert!(logged > 4_096 * 100, "{}: only {logged} bytes of log lines", kit.name);
    }
}
