//! Every scenario, on both runtimes.

use io_monoio::conformance::{SCENARIOS, play};
use io_monoio::runtime::Runtime;

#[test]
fn the_ring_carries_out_every_scenario() {
    SCENARIOS.iter().for_each(|scenario| play(scenario, Runtime::Uring));
}

#[test]
fn epoll_carries_out_every_scenario() {
    SCENARIOS.iter().for_each(|scenario| play(scenario, Runtime::Legacy));
}
