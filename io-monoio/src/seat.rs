//! A machine on a thread of its own, with its core, its runtime and its listeners.

use crate::clock::Clock;
use crate::core;
use crate::links::Links;
use crate::listen::Listener;
use crate::ports::Ports;
use crate::runtime::{NoRing, Runtime, block_on, hearing};
use engine::boundary::Machine;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

/// Submissions that wait for the kernel at most; beyond, the kernel is entered early.
pub(crate) const WORKER_ENTRIES: u32 = 1024;
pub(crate) const CONTROL_ENTRIES: u32 = 256;

/// What a thread needs to run one machine.
pub(crate) struct Seat {
    pub(crate) name: String,
    pub(crate) runtime: Runtime,
    /// The core to stay on.
    pub(crate) core: Option<usize>,
    pub(crate) ring_entries: u32,
    pub(crate) listeners: Vec<TcpListener>,
    pub(crate) links: Links,
    pub(crate) clock: Clock,
    pub(crate) heard: UnixStream,
}

impl Seat {
    /// Starts the thread. `build` makes the machine there, once the runtime stands; without a
    /// runtime `failed` hears why. `ended` is told at the end, however it comes.
    pub(crate) fn start<M, B, F, E>(
        self,
        build: B,
        failed: F,
        ended: E,
    ) -> io::Result<JoinHandle<()>>
    where
        M: Machine + 'static,
        B: FnOnce() -> M + Send + 'static,
        F: FnOnce(NoRing) + Send + 'static,
        E: Send + 'static,
    {
        thread::Builder::new().name(self.name.clone()).spawn(move || {
            let _told_when_dropped = ended;
            if let Some(core) = self.core {
                pin(core);
            }
            let (runtime, entries) = (self.runtime, self.ring_entries);
            if let Err(error) = block_on(runtime, entries, self.run(build)).and_then(|ran| ran) {
                failed(error);
            }
        })
    }

    async fn run<M, B>(self, build: B) -> Result<(), NoRing>
    where
        M: Machine + 'static,
        B: FnOnce() -> M,
    {
        let listeners: io::Result<Vec<_>> = self.listeners.into_iter().map(Listener::new).collect();
        let ports = Ports::new(listeners.map_err(NoRing)?);
        let heard = hearing(self.runtime, self.heard).map_err(NoRing)?;
        monoio::spawn(core::run(build(), ports, self.links, self.clock, heard)).await;
        Ok(())
    }
}

/// A core that the process may not use is no reason not to start.
fn pin(core: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    let _ = rustix::thread::sched_setaffinity(None, &set);
}
