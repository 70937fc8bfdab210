//! A whole gateway inside the process: one control machine, workers, helpers. Several may run
//! side by side; nothing here is global.

use crate::clock::Clock;
use crate::helper::Sink;
use crate::journal::Journal;
use crate::listen::CannotListen;
use crate::runtime::{NoRing, Runtime};
use crate::slot::{Mailbox, Post};
use crate::start::Start;
use crate::watch::Watch as FileWatch;
use crate::workload::Watch;
use engine::base::limits::{ControlLimits, Limits};
use engine::base::line::Level;
use engine::base::time::{Span, Time};
use engine::config::fixed::Fixed;
use engine::view::stats::Stats;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What the static configuration does not say.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub runtime: Runtime,
    /// Keep each worker on a core of its own; not with several gateways in one process.
    pub pin: bool,
    pub limits: Limits,
    pub control_limits: ControlLimits,
    /// Instead of where the configuration sends lines.
    pub sinks: Option<Sinks>,
    /// A file for the secrets of every TLS session: whoever reads it can read all traffic.
    pub danger_key_log: Option<String>,
}

/// Where log lines go.
#[derive(Clone, Debug)]
pub struct Sinks {
    pub access: Sink,
    pub event: Sink,
}

impl Sinks {
    /// Requests to standard output, so that a pipe gets nothing else; events to standard error.
    pub(crate) fn of(fixed: &Fixed) -> Self {
        let sink = |file: Option<&String>, otherwise| file.cloned().map_or(otherwise, Sink::File);
        Self {
            access: match &fixed.access_log {
                Some(log) => sink(log.file.as_ref(), Sink::Stdout),
                None => Sink::Nowhere,
            },
            event: sink(fixed.log.file.as_ref(), Sink::Stderr),
        }
    }
}

/// Why a gateway did not start.
#[derive(Debug)]
pub enum CannotStart {
    Listen(CannotListen),
    Runtime(NoRing),
    Io(io::Error),
}

impl fmt::Display for CannotStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(error) => error.fmt(f),
            Self::Runtime(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl From<io::Error> for CannotStart {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A thread of the gateway panicked, which is a defect of this program.
#[derive(Debug)]
pub struct Broken {
    pub thread: String,
}

/// Starts a gateway. Returns once it listens, with the configuration read or refused.
pub fn start(fixed: Fixed, options: &Options) -> Result<Handle, CannotStart> {
    let mut start = Start::new(fixed, options)?;
    match start.run() {
        Ok(()) => Ok(start.into_handle()),
        Err(error) => {
            start.into_handle().drain();
            Err(error)
        }
    }
}

/// A running gateway.
pub struct Handle {
    /// Bound addresses by entry point, in the order of the view.
    pub entries: Vec<(String, SocketAddr)>,
    pub stats: Arc<Stats>,
    pub(crate) remote: Remote,
    pub(crate) threads: Vec<JoinHandle<()>>,
    pub(crate) helpers: Vec<JoinHandle<()>>,
    pub(crate) ends: Receiver<End>,
    pub(crate) watcher: Option<FileWatch>,
    pub(crate) workload: Option<Watch>,
}

/// What can be asked of a running gateway, from any thread.
#[derive(Clone)]
pub struct Remote {
    /// The longest that a drain may take.
    pub(crate) grace: Span,
    pub(crate) clock: Clock,
    pub(crate) control: Arc<Mailbox>,
    pub(crate) workers: Vec<Arc<Mailbox>>,
    pub(crate) journal: Journal,
}

impl Remote {
    /// Reads the dynamic configuration again.
    pub fn reload(&self) {
        self.control.post(Post::Changed);
    }

    /// Opens log files anew.
    pub fn reopen_logs(&self) {
        self.journal.helper.reopen();
    }

    /// Stops accepting and finishes what is in flight, within the configured grace. The control
    /// machine goes on until the workers are done.
    pub fn drain(&self) {
        let by = self.clock.now() + self.grace;
        if self.workers.is_empty() {
            self.control.post(Post::Drain { by });
        }
        for worker in &self.workers {
            worker.post(Post::Drain { by });
        }
    }

    pub fn grace(&self) -> Duration {
        Duration::from_nanos(self.grace.nanos())
    }

    /// Writes a line of the process's own log.
    pub fn say(&self, level: Level, text: &'static str, fields: &[(&'static str, &str)]) {
        self.journal.say(level, text, fields);
    }
}

impl Handle {
    /// Where the entry point of this name listens.
    pub fn address(&self, entry: &str) -> Option<SocketAddr> {
        self.entries.iter().find(|(name, _)| name == entry).map(|(_, address)| *address)
    }

    pub fn remote(&self) -> Remote {
        self.remote.clone()
    }

    pub fn reload(&self) {
        self.remote.reload();
    }

    /// Begins the end; [`Handle::join`] waits for it.
    pub fn drain(&self) {
        self.remote.drain();
    }

    /// Waits until every machine has finished and every thread is gone, or one panicked. The
    /// helpers stay as long as somebody holds a [`Remote`].
    pub fn join(self) -> Result<(), Broken> {
        self.wait()?;
        let Self { threads, helpers, remote, watcher, workload, .. } = self;
        drop((watcher, workload));
        threads.into_iter().for_each(|thread| drop(thread.join()));
        // The helpers end with their last handle.
        drop(remote);
        helpers.into_iter().for_each(|thread| drop(thread.join()));
        Ok(())
    }

    /// Waits until every machine has finished, or a thread panicked.
    pub fn wait(&self) -> Result<(), Broken> {
        // Every thread tells its end.
        let mut ends = self.ends.iter().take(self.threads.len());
        match ends.find(|end| end.panicked) {
            Some(end) => Err(Broken { thread: end.thread }),
            None => Ok(()),
        }
    }
}

/// How a thread ended.
pub(crate) struct End {
    thread: String,
    panicked: bool,
}

/// Tells how a thread ended, when it is dropped with it. The last worker to end also ends the
/// control machine.
pub(crate) struct Ending {
    pub(crate) thread: String,
    pub(crate) tell: Sender<End>,
    pub(crate) last: Option<(Arc<AtomicUsize>, Arc<Mailbox>)>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some((left, control)) = &self.last
            && left.fetch_sub(1, Ordering::AcqRel) == 1
        {
            control.post(Post::Drain { by: Time::ZERO });
        }
        let end = End { thread: self.thread.clone(), panicked: thread::panicking() };
        // Whoever started the gateway may have stopped caring.
        let _ = self.tell.send(end);
    }
}
