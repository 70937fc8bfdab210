//! The allocation gate: a request in steady state allocates nothing.

use benches::rig::Rig;

#[test]
fn a_request_in_steady_state_allocates_nothing() {
    let mut rig = Rig::new(16);
    // Pools, tables and scratch memory grow to what the load needs.
    for _ in 0..64 {
        assert_eq!(rig.round(), 16, "every request is answered");
    }
    let counted = allocation_counter::measure(|| {
        for _ in 0..256 {
            assert_eq!(rig.round(), 16, "every request is answered");
        }
    });
    assert_eq!(counted.count_total, 0, "4,096 requests allocated {} bytes", counted.bytes_total);
}
