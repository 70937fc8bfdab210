//! The scenarios that every driver plays, on this one: over loopback.

use super::inbox::Inbox;
use super::port::reset;
use super::ports::Ports;
use super::{Links, drive};
use engine::boundary::{Fault, Input};
use engine::conformance::{Act, SCENARIOS, Scenario, Script, Step, Toy, pattern};
use futures_lite::future::or;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::net::{TcpListener, TcpStream};
use glommio::timer::sleep;
use glommio::{LocalExecutor, Task};
use io_monoio::clock::Clock;
use io_monoio::fault;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

/// Longer than any step takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[test]
fn glommio_carries_out_every_scenario() {
    let executor = LocalExecutor::default();
    for scenario in SCENARIOS {
        let hangs = async {
            sleep(PATIENCE).await;
            panic!("{} hangs", scenario.name);
        };
        executor.run(or(async { Stage::set().play(scenario).await }, hangs));
    }
}

struct Stage {
    inbox: Rc<Inbox>,
    script: Script,
    running: Task<()>,
    /// Where the machine listens.
    address: SocketAddr,
    listener: TcpListener,
    peer: Option<TcpStream>,
}

impl Stage {
    fn set() -> Self {
        let own = TcpListener::bind(LOOPBACK).expect("a free port");
        let address = own.local_addr().expect("it is bound");
        let listener = TcpListener::bind(LOOPBACK).expect("a free port");
        let nobody = std::net::TcpListener::bind(LOOPBACK).and_then(|free| free.local_addr());
        let peer = listener.local_addr().expect("it is bound");
        let (toy, script) = Toy::new(peer, nobody.expect("a free port"));
        let inbox = Rc::new(Inbox::default());
        let links = Links { control: inbox.clone(), worker: inbox.clone() };
        let ports = Ports::new(inbox.clone(), vec![own]);
        let running = glommio::spawn_local(drive(toy, ports, links, Clock::start()));
        Self { inbox, script, running, address, listener, peer: None }
    }

    async fn play(mut self, scenario: &Scenario) {
        for step in scenario.steps {
            match step {
                Step::Ask(ask) => {
                    self.script.ask(*ask);
                    self.inbox.put(Input::Changed);
                }
                Step::Peer(act) => self.act(*act).await,
                Step::See(expected) => self.script.see(step, expected).await,
            }
        }
        self.script.finish();
        self.inbox.put(Input::Changed);
        self.running.await;
        assert_eq!(self.script.unexpected(), [], "{}", scenario.name);
    }

    async fn act(&mut self, act: Act) {
        if act == Act::Connect {
            self.peer = Some(TcpStream::connect(self.address).await.expect("it listens"));
            return;
        }
        if act == Act::Accept {
            self.peer = Some(self.listener.accept().await.expect("it was connected to"));
            return;
        }
        let peer = self.peer.as_mut().expect("the peer has a connection");
        match act {
            Act::Connect | Act::Accept => {}
            Act::Send(count) => {
                let bytes: Vec<u8> = (0..count).map(pattern).collect();
                peer.write_all(&bytes).await.expect("the machine reads");
            }
            Act::Read(count) => {
                let mut bytes = vec![0; count as usize];
                peer.read_exact(&mut bytes).await.expect("the machine has sent as much");
                let right = bytes.iter().copied().eq((0..count).map(pattern));
                assert!(right, "bytes keep their order");
            }
            Act::ReadEnd => {
                assert_eq!(peer.read(&mut [0; 64]).await.expect("a clean end"), 0);
            }
            Act::ReadReset => read_reset(peer).await,
            Act::Shut => peer.close().await.expect("still connected"),
            Act::Reset => {
                let peer = self.peer.take().expect("the peer has a connection");
                reset(&peer);
            }
        }
    }
}

async fn read_reset(peer: &mut TcpStream) {
    let mut bytes = vec![0; 1 << 20];
    loop {
        match peer.read(&mut bytes).await {
            Ok(0) => panic!("a clean end instead of a reset"),
            Ok(_) => {}
            Err(error) => return assert_eq!(fault::of(&error), Fault::Reset),
        }
    }
}
