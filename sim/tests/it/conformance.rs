//! The scenarios that every driver plays, on the simulated proactor: what the production driver
//! does over real sockets is what the simulation must do, or it would be fiction.

use engine::base::prng::Prng;
use engine::base::time::{Span, Time};
use engine::boundary::{Close, Input};
use engine::conformance::{Act, SCENARIOS, Scenario, Script, Step, Toy, pattern};
use sim::driver::{Errands, step};
use sim::entropy::{Entropy, RunId};
use sim::fault::{Faults, Plan};
use sim::net::{Event, Net};
use sim::proactor::Port;
use sim::trace::{Text, Trace};
use sim::wire::{EndId, Owner, Read};
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, Waker};

const PEER: u16 = 1;
/// Longer than anything takes without faults.
const PATIENCE: Span = Span::secs(10);

fn addr(last: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::from([10, 0, 0, last]), port)
}

struct Stage {
    net: Net,
    toy: Toy,
    script: Script,
    errands: Errands,
    batch: usize,
    /// Connections to the peer that it has not taken yet.
    incoming: Vec<EndId>,
    peer: Option<EndId>,
    /// Bytes that the peer has read of the message under way.
    read: u32,
    name: &'static str,
}

impl Stage {
    fn set(run: RunId, batch: usize, name: &'static str) -> Self {
        let entropy = Entropy::new(run);
        let faults = Faults::new(Plan::QUIET, entropy.faults);
        let mut net = Net::new(entropy.network, faults, Trace::new(Text::Off));
        net.listen(addr(2, 80), PEER);
        let (toy, script) = Toy::new(addr(2, 80), addr(2, 81));
        assert_eq!(net.plug(Port::new(addr(1, 0).ip(), vec![addr(1, 80)])), 0);
        let (incoming, peer, errands) = (Vec::new(), None, Errands::default());
        Self { net, toy, script, errands, batch, incoming, peer, read: 0, name }
    }

    fn play(mut self, scenario: &Scenario) {
        for step in scenario.steps {
            match step {
                Step::Ask(ask) => {
                    self.script.ask(*ask);
                    self.net.tell(0, Input::Changed);
                }
                Step::Peer(act) => self.act(*act),
                Step::See(expected) => {
                    let mut expected = expected.to_vec();
                    while !expected.is_empty() {
                        let seen = self.until(|stage| {
                            match stage.script.poll_seen(&Context::from_waker(Waker::noop())) {
                                Poll::Ready(seen) => Some(seen),
                                Poll::Pending => None,
                            }
                        });
                        Script::judge(step, &mut expected, seen);
                    }
                }
            }
        }
        self.settle();
        assert_eq!(self.script.unexpected(), [], "{}", self.name);
        assert!(self.net.verdict.is_clean(), "{}: {:?}", self.name, self.net.verdict.all());
    }

    /// Lets things happen until `done` gives something.
    fn until<T>(&mut self, mut done: impl FnMut(&mut Self) -> Option<T>) -> T {
        let until = self.net.now + PATIENCE;
        loop {
            if let Some(found) = done(self) {
                return found;
            }
            assert!(self.happen(until), "{} hangs", self.name);
        }
    }

    /// Lets everything happen that is under way.
    fn settle(&mut self) {
        while self.happen(Time::NEVER) {}
    }

    fn happen(&mut self, until: Time) -> bool {
        if self.net.next_at().is_none_or(|at| at > until) {
            return false;
        }
        match self.net.next_event().expect("looked at above") {
            Event::Arrive(end) => self.net.arrive(end),
            Event::Complete { host, op } => self.net.complete(host, op),
            Event::Step { host } => {
                step(&mut self.net, host, &mut self.toy, self.batch, &mut self.errands);
            }
            Event::Incoming { end, .. } => self.incoming.push(end),
            Event::Notice { end, .. } => self.net.noticed(end),
            Event::Timer { .. } | Event::Parcel(_) => unreachable!("nobody sends these here"),
        }
        true
    }

    fn end(&self) -> EndId {
        self.peer.expect("the peer has a connection")
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Connect => {
                let owner = Owner::Actor(PEER);
                let end =
                    self.until(|stage| stage.net.connect(addr(2, 0).ip(), owner, addr(1, 80)).ok());
                self.peer = Some(end);
            }
            Act::Accept => self.peer = Some(self.until(|stage| stage.incoming.pop())),
            Act::Send(count) => {
                let bytes: Vec<u8> = (0..count).map(pattern).collect();
                assert_eq!(self.net.write(self.end(), &bytes), Ok(bytes.len()));
            }
            Act::Read(count) => {
                self.read = 0;
                self.until(|stage| stage.read(count));
            }
            Act::ReadEnd => self.until(|stage| match stage.look() {
                Read::End => Some(()),
                Read::Nothing => None,
                other @ (Read::Bytes(_) | Read::Reset) => {
                    panic!("{other:?} instead of a clean end")
                }
            }),
            Act::ReadReset => self.until(|stage| {
                loop {
                    match stage.look() {
                        Read::Reset => return Some(()),
                        Read::End => panic!("a clean end instead of a reset"),
                        Read::Bytes(_) => {}
                        Read::Nothing => return None,
                    }
                }
            }),
            Act::Shut => self.net.shut(self.end()),
            Act::Reset => {
                let end = self.peer.take().expect("the peer has a connection");
                self.net.close(end, Close::Abort);
            }
        }
    }

    fn look(&mut self) -> Read {
        let end = self.end();
        self.net.read(end, &mut [0; 1 << 16])
    }

    fn read(&mut self, count: u32) -> Option<()> {
        let mut bytes = vec![0; (count - self.read) as usize];
        let end = self.end();
        match self.net.read(end, &mut bytes) {
            Read::Bytes(got) => {
                let got = u32::try_from(got).expect("a window is small");
                let expected = (self.read..self.read + got).map(pattern);
                assert!(bytes.iter().copied().take(got as usize).eq(expected), "{}", self.name);
                self.read += got;
            }
            Read::Nothing => {}
            other @ (Read::End | Read::Reset) => panic!("{other:?} before {count} bytes"),
        }
        (self.read == count).then_some(())
    }
}

#[test]
fn the_proactor_carries_out_every_scenario_in_its_calmest_run() {
    for scenario in SCENARIOS {
        let run = RunId { size: 0, mask: 0, ..RunId::new(0) };
        Stage::set(run, 64, scenario.name).play(scenario);
    }
}

/// How long things take and in which order they end is chance, what they come to is not.
#[test]
fn the_proactor_carries_out_every_scenario_whatever_the_timing() {
    let mut seeds = Prng::new(7);
    for scenario in SCENARIOS {
        for batch in [1, 2, 64] {
            for _ in 0..5 {
                let run = RunId { size: 4_096, mask: 0, ..RunId::new(seeds.below(u64::MAX)) };
                Stage::set(run, batch, scenario.name).play(scenario);
            }
        }
    }
}
