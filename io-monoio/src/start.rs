//! How a gateway starts: the control machine first, which reads the configuration; then the
//! listeners, so that the first request already meets its routes; then the workers.

use crate::clock::Clock;
use crate::gateway::{CannotStart, End, Ending, Handle, Options, Remote, Sinks};
use crate::helper::{Helper, Line};
use crate::journal::{Journal, Style};
use crate::key_log;
use crate::links::{Links, News};
use crate::listen;
use crate::seat::{CONTROL_ENTRIES, Seat, WORKER_ENTRIES};
use crate::slot::Mailbox;
use crate::watch;
use crate::workload::{self, Watch};
use engine::base::line::Level;
use engine::base::time::Span;
use engine::config::fixed::{EntryPoint, Fixed};
use engine::config::spiffe::Source;
use engine::control::Control;
use engine::tls::{Crypto, SPIFFE};
use engine::view::View;
use engine::view::stats::Stats;
use engine::worker::{Setup, Worker};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long the first reading of the configuration may hold up the listeners.
const FIRST_READING_MAX: Duration = Duration::from_secs(5);

/// A gateway on its way up.
pub(crate) struct Start {
    fixed: Arc<Fixed>,
    options: Options,
    seed: u64,
    clock: Clock,
    stats: Arc<Stats>,
    helpers: Vec<JoinHandle<()>>,
    journal: Journal,
    control: Arc<Mailbox>,
    workers: Vec<Arc<Mailbox>>,
    /// Waking ends of the mailboxes, until their threads have them.
    control_heard: Option<UnixStream>,
    heard: Vec<UnixStream>,
    threads: Vec<JoinHandle<()>>,
    entries: Vec<(String, SocketAddr)>,
    watcher: Option<watch::Watch>,
    workload: Option<Watch>,
    tell: Sender<End>,
    ends: Receiver<End>,
    news: Sender<News>,
    heard_news: Receiver<News>,
}

impl Start {
    pub(crate) fn new(mut fixed: Fixed, options: &Options) -> io::Result<Self> {
        // The name is told to servers; the seed is the source of keys.
        let random = || std::hash::RandomState::new().build_hasher().finish();
        let seed = random();
        if fixed.tieline.instance.is_empty() {
            fixed.tieline.instance = format!("{:016x}", random());
        }
        let clock = Clock::start();
        let count = match fixed.tieline.workers {
            0 => thread::available_parallelism().map_or(1, std::num::NonZero::get),
            count => count as usize,
        };
        let entries = fixed.entry_points.len() + fixed.uplink_entry_points.len();
        let stats = Stats::new(counted(count), counted(entries), clock.wall());
        let stats = Arc::new(match fixed.tieline.recording {
            true => stats.recording(&options.limits),
            false => stats,
        });
        let sinks = options.sinks.clone().unwrap_or_else(|| Sinks::of(&fixed));
        let style = Style::new(clock, &fixed.log);
        let (helper, helpers) = Helper::start(&sinks.access, &sinks.event, style, stats.clone())?;
        let (control, control_heard) = Mailbox::new()?;
        let (mut workers, mut heard) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (mailbox, end) = Mailbox::new()?;
            workers.push(mailbox);
            heard.push(end);
        }
        let ((tell, ends), (news, heard_news)) = (mpsc::channel(), mpsc::channel());
        Ok(Self {
            journal: Journal { helper, style },
            control,
            control_heard: Some(control_heard),
            fixed: Arc::new(fixed),
            options: options.clone(),
            seed,
            clock,
            stats,
            helpers,
            workers,
            heard,
            threads: Vec::new(),
            entries: Vec::new(),
            watcher: None,
            workload: None,
            tell,
            ends,
            news,
            heard_news,
        })
    }

    pub(crate) fn run(&mut self) -> Result<(), CannotStart> {
        self.start_control()?;
        if let Some(Source::Workload(api)) = &self.fixed.spiffe {
            let (watch, thread) = workload::watch(api.clone(), self.control.clone())?;
            self.workload = Some(watch);
            self.helpers.push(thread);
        }
        let view = self.first_reading()?;
        let mut sockets = Vec::new();
        for entry in &view.entries {
            let opened = listen::open(entry.settings.address, self.workers.len())
                .map_err(CannotStart::Listen)?;
            let address = opened[0].local_addr()?;
            self.entries.push((entry.settings.name.clone(), address));
            sockets.push(opened);
        }
        self.start_workers(&view, sockets)?;
        for (name, address) in &self.entries {
            let fields = [("entryPoint", name.as_str()), ("address", &address.to_string())];
            self.say(Level::Info, "listening", &fields);
        }
        self.watch();
        Ok(())
    }

    /// Also of a gateway that came up half way, so that it can be ended.
    pub(crate) fn into_handle(self) -> Handle {
        let settings = self.fixed.entry_points.iter().chain(&self.fixed.uplink_entry_points);
        let grace = |entry: &EntryPoint| entry.accept_grace + entry.drain_grace;
        let started = self.threads.len() > 1;
        let remote = Remote {
            grace: settings.map(grace).max().unwrap_or(Span::ZERO),
            clock: self.clock,
            control: self.control,
            workers: if started { self.workers } else { Vec::new() },
            journal: self.journal,
        };
        Handle {
            entries: self.entries,
            stats: self.stats,
            remote,
            threads: self.threads,
            helpers: self.helpers,
            ends: self.ends,
            watcher: self.watcher,
            workload: self.workload,
        }
    }

    fn start_control(&mut self) -> Result<(), CannotStart> {
        let links = self.links(self.control.clone(), self.workers.clone(), Line::Event);
        let Some(heard) = self.control_heard.take() else { return Ok(()) };
        let seat = self.seat("control", links, heard, Vec::new());
        let (fixed, stats) = (self.fixed.clone(), self.stats.clone());
        let (limits, seed, clock) = (self.options.control_limits, self.seed, self.clock);
        let news = self.news.clone();
        let mut crypto = Crypto::default();
        if let Some(path) = &self.options.danger_key_log {
            crypto = crypto.danger_log_keys(key_log::open(path)?);
        }
        let build = move || {
            let control = Control::with(crypto, fixed, limits, stats, seed, clock.now());
            // The starting thread waits for it.
            let _ = news.send(News::View(control.view()));
            control
        };
        self.start_seat(Seat { ring_entries: CONTROL_ENTRIES, ..seat }, build, None)
    }

    /// The first view that knows how reading the dynamic configuration went, or the newest one
    /// when that takes too long.
    fn first_reading(&self) -> Result<Arc<View>, CannotStart> {
        let until = Instant::now() + FIRST_READING_MAX;
        let mut newest: Option<Arc<View>> = None;
        loop {
            let patience = until.saturating_duration_since(Instant::now());
            match (self.heard_news.recv_timeout(patience), newest.take()) {
                (Ok(News::View(view)), _) if self.has_read(&view) => return Ok(view),
                (Ok(News::View(view)), _) => newest = Some(view),
                (Ok(News::NoRing(error)), _) => return Err(CannotStart::Runtime(error)),
                (Ok(News::WorkerReady), view) => newest = view,
                (Err(_), Some(view)) => return Ok(view),
                (Err(_), None) => {
                    let what = "the control machine did not start";
                    return Err(CannotStart::Io(io::Error::other(what)));
                }
            }
        }
    }

    fn has_read(&self, view: &View) -> bool {
        let reloads = &view.status.reloads;
        let known = || view.certificates.iter().any(|it| &*it.label == SPIFFE);
        !reloads.awaited && (self.workload.is_none() || known())
    }

    fn start_workers(
        &mut self,
        view: &Arc<View>,
        sockets: Vec<Vec<TcpListener>>,
    ) -> Result<(), CannotStart> {
        let left = Arc::new(AtomicUsize::new(self.workers.len()));
        let cores = if self.options.pin { cores(self.workers.len()) } else { Vec::new() };
        let mut sockets: Vec<_> = sockets.into_iter().map(Vec::into_iter).collect();
        let heard = std::mem::take(&mut self.heard);
        for (index, heard) in heard.into_iter().enumerate() {
            let links = self.links(self.workers[index].clone(), Vec::new(), Line::Access);
            let listeners = sockets.iter_mut().filter_map(Iterator::next).collect();
            let name = format!("worker-{index}");
            let seat = self.seat(&name, links, heard, listeners);
            let setup = Setup {
                limits: self.options.limits,
                index: counted(index),
                wall: self.clock.wall(),
                view: view.clone(),
                stats: self.stats.clone(),
            };
            let news = self.news.clone();
            let build = move || {
                let _ = news.send(News::WorkerReady);
                Worker::new(setup)
            };
            let core = cores.get(index).copied();
            self.start_seat(Seat { core, ..seat }, build, Some(left.clone()))?;
        }
        let mut ready = 0;
        while ready < self.workers.len() {
            match self.heard_news.recv() {
                Ok(News::WorkerReady) => ready += 1,
                Ok(News::NoRing(error)) => return Err(CannotStart::Runtime(error)),
                Ok(News::View(_)) => {}
                Err(_) => unreachable!("this thread holds a sender"),
            }
        }
        Ok(())
    }

    fn links(&self, mailbox: Arc<Mailbox>, workers: Vec<Arc<Mailbox>>, lines: Line) -> Links {
        Links {
            mailbox,
            control: self.control.clone(),
            workers,
            starter: Some(self.news.clone()),
            helper: self.journal.helper.clone(),
            lines,
        }
    }

    fn seat(
        &self,
        name: &str,
        links: Links,
        heard: UnixStream,
        listeners: Vec<TcpListener>,
    ) -> Seat {
        Seat {
            name: name.to_owned(),
            runtime: self.options.runtime,
            core: None,
            ring_entries: WORKER_ENTRIES,
            listeners,
            links,
            clock: self.clock,
            heard,
        }
    }

    fn start_seat<M, B>(
        &mut self,
        seat: Seat,
        build: B,
        left: Option<Arc<AtomicUsize>>,
    ) -> Result<(), CannotStart>
    where
        M: engine::boundary::Machine + 'static,
        B: FnOnce() -> M + Send + 'static,
    {
        let ending = Ending {
            thread: seat.name.clone(),
            tell: self.tell.clone(),
            last: left.map(|left| (left, self.control.clone())),
        };
        let news = self.news.clone();
        let failed = move |error| drop(news.send(News::NoRing(error)));
        self.threads.push(seat.start(build, failed, ending)?);
        Ok(())
    }

    fn watch(&mut self) {
        let Some(file) = self.fixed.file.as_ref().filter(|file| file.watch) else { return };
        match watch::watch(&file.path, self.control.clone()) {
            Ok((watcher, late)) => {
                self.watcher = Some(watcher);
                if let Some(cause) = late {
                    let fields = [("path", file.path.as_str()), ("cause", &cause)];
                    self.say(Level::Warn, "changes of files are noticed late", &fields);
                }
            }
            Err(error) => {
                let fields = [("path", file.path.as_str()), ("cause", &error.to_string())];
                self.say(Level::Error, "changes of files go unnoticed, SIGHUP reloads", &fields);
            }
        }
        // What changed between the first reading and the watch.
        self.control.post(crate::slot::Post::Changed);
    }

    fn say(&self, level: Level, text: &'static str, fields: &[(&'static str, &str)]) {
        self.journal.say(level, text, fields);
    }
}

/// A core for each worker, of those that this process may use; none if they are too few.
fn cores(workers: usize) -> Vec<usize> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else { return Vec::new() };
    let usable = (0..rustix::thread::CpuSet::MAX_CPU).filter(|core| set.is_set(*core));
    let cores: Vec<usize> = usable.take(workers).collect();
    if cores.len() == workers { cores } else { Vec::new() }
}

/// Cores and entry points are few.
fn counted(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}
