//! The allocation gate: a request in steady state allocates nothing, written down or not.

use benches::rig::Rig;

/// Counts what 4,096 requests allocate, once everything has grown to what they need.
fn check(rig: &mut Rig) {
    for _ in 0..128 {
        assert_eq!(rig.round(), 16, "every request is answered");
    }
    let counted = allocation_counter::measure(|| {
        for _ in 0..256 {
            assert_eq!(rig.round(), 16, "every request is answered");
        }
    });
    assert_eq!(counted.count_total, 0, "4,096 requests allocated {} bytes", counted.bytes_total);
}

#[test]
fn a_request_in_steady_state_allocates_nothing() {
    check(&mut Rig::new(16));
}

#[test]
fn neither_does_one_that_is_logged_and_counted() {
    let mut rig = Rig::observed(16);
    check(&mut rig);
    assert!(rig.logged() > 4_096 * 100, "only {} bytes of log lines", rig.logged());
}
