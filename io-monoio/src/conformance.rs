//! The scenarios that every driver plays, on this one: over loopback, on both runtimes.

use crate::clock::Clock;
use crate::core;
use crate::helper::{Helper, Line, Sink};
use crate::journal::Style;
use crate::links::Links;
use crate::listen::{self, Listener};
use crate::ports::Ports;
use crate::runtime::{Runtime, block_on, hearing};
use crate::slot::{Mailbox, Post};
use engine::config::fixed::Log;
use engine::conformance::{Act, SCENARIOS, Scenario, Script, Step, Toy, pattern};
use engine::view::stats::Stats;
use monoio::io::{AsyncReadRent, AsyncReadRentExt, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Longer than any step takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn the_ring_carries_out_every_scenario() {
    SCENARIOS.iter().for_each(|scenario| play(scenario, Runtime::Uring));
}

#[test]
fn epoll_carries_out_every_scenario() {
    SCENARIOS.iter().for_each(|scenario| play(scenario, Runtime::Legacy));
}

/// Plays `scenario`; panics at the first outcome that is not the expected one.
fn play(scenario: &'static Scenario, runtime: Runtime) {
    block_on(runtime, 256, async move {
        monoio::time::timeout(PATIENCE, Stage::set(runtime).play(scenario))
            .await
            .unwrap_or_else(|_| panic!("{} hangs", scenario.name));
    })
    .expect("this machine offers the runtime");
}

struct Stage {
    mailbox: Arc<Mailbox>,
    script: Script,
    running: monoio::task::JoinHandle<()>,
    /// Where the machine listens.
    address: SocketAddr,
    listener: TcpListener,
    peer: Option<TcpStream>,
}

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

impl Stage {
    fn set(runtime: Runtime) -> Self {
        let socket = listen::open(LOOPBACK, 1).expect("a free port").remove(0);
        let address = socket.local_addr().expect("it is bound");
        let ports = Ports::new(vec![Listener::new(socket).expect("a usable socket")]);
        let listener = TcpListener::bind(LOOPBACK).expect("a free port");
        let nobody = std::net::TcpListener::bind(LOOPBACK).and_then(|free| free.local_addr());
        let peer = listener.local_addr().expect("it is bound");
        let (toy, script) = Toy::new(peer, nobody.expect("a free port"));
        let (mailbox, heard) = Mailbox::new().expect("a socket pair");
        let clock = Clock::start();
        let stats = Arc::new(Stats::new(0, 0, clock.wall()));
        let style = Style::new(clock, &Log::default());
        let (helper, _) =
            Helper::start(&Sink::Nowhere, &Sink::Nowhere, style, stats).expect("threads");
        let control = mailbox.clone();
        let links = Links {
            mailbox: mailbox.clone(),
            control,
            workers: vec![],
            starter: None,
            helper,
            lines: Line::Event,
        };
        let heard = hearing(runtime, heard).expect("a usable socket");
        let running = monoio::spawn(core::run(toy, ports, links, clock, heard));
        Self { mailbox, script, running, address, listener, peer: None }
    }

    async fn play(mut self, scenario: &Scenario) {
        for step in scenario.steps {
            match step {
                Step::Ask(ask) => {
                    self.script.ask(*ask);
                    self.mailbox.post(Post::Changed);
                }
                Step::Peer(act) => self.act(*act).await,
                Step::See(expected) => self.script.see(step, expected).await,
            }
        }
        self.script.finish();
        self.mailbox.post(Post::Changed);
        self.running.await;
        assert_eq!(self.script.unexpected(), [], "{}", scenario.name);
    }

    async fn act(&mut self, act: Act) {
        if act == Act::Connect {
            self.peer = Some(TcpStream::connect_addr(self.address).await.expect("it listens"));
            return;
        }
        if act == Act::Accept {
            self.peer = Some(self.listener.accept().await.expect("it was connected to").0);
            return;
        }
        let peer = self.peer.as_mut().expect("the peer has a connection");
        match act {
            Act::Connect | Act::Accept => {}
            Act::Send(count) => {
                let bytes: Vec<u8> = (0..count).map(pattern).collect();
                peer.write_all(bytes).await.0.expect("the machine reads");
            }
            Act::Read(count) => {
                let (result, bytes) = peer.read_exact(vec![0_u8; count as usize]).await;
                result.expect("the machine has sent as much");
                assert!(
                    bytes.iter().copied().eq((0..count).map(pattern)),
                    "bytes keep their order"
                );
            }
            Act::ReadEnd => {
                assert_eq!(peer.read(vec![0_u8; 64]).await.0.expect("a clean end"), 0);
            }
            Act::ReadReset => loop {
                match peer.read(vec![0_u8; 1 << 20]).await.0 {
                    Ok(0) => panic!("a clean end instead of a reset"),
                    Ok(_) => {}
                    Err(error) => {
                        assert_eq!(error.raw_os_error(), Some(libc::ECONNRESET));
                        break;
                    }
                }
            },
            Act::Shut => {
                monoio::io::AsyncWriteRent::shutdown(peer).await.expect("still connected");
            }
            Act::Reset => {
                let peer = self.peer.take().expect("the peer has a connection");
                reset(peer);
            }
        }
    }
}

fn reset(stream: TcpStream) {
    let holder = crate::buf::Borrowable::nothing();
    holder.lend(&stream);
    let stream = holder.release(stream);
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("a socket");
}
