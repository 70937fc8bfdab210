//! The threads that may block: one for files and logs, one for passwords, a few for names. Workers
//! never wait for them; machines see their answers as inputs.

use crate::files;
use crate::journal::Style;
use crate::password::is_right;
use crate::slot::{Mailbox, Post};
use engine::base::id::JobId;
use engine::base::line::Level;
use engine::base::secret::Secret;
use engine::boundary::{Answer, Job};
use engine::view::stats::Stats;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Resolvers at once: one slow name server does not hold up every name.
const RESOLVERS: usize = 4;
/// Bytes of log lines that may wait for a slow disk; further lines are dropped and counted.
const LOG_BYTES_MAX: usize = 16 << 20;
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What kind of line a machine writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Line {
    /// Requests.
    Access,
    /// The process.
    Event,
}

/// Where lines go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sink {
    Stdout,
    Stderr,
    File(String),
    Nowhere,
}

/// A handle on the helper threads; they end when the last handle is dropped.
#[derive(Clone)]
pub struct Helper {
    work: Sender<Work>,
    names: Sender<Question>,
    passwords: Sender<Comparison>,
    backlog: Arc<AtomicUsize>,
    stats: Arc<Stats>,
}

enum Work {
    Load { job: JobId, path: String, back: Arc<Mailbox> },
    Read { job: JobId, path: Arc<str>, back: Arc<Mailbox> },
    Log { line: Line, bytes: Vec<u8> },
    Reopen,
}

struct Question {
    job: JobId,
    host: String,
    back: Arc<Mailbox>,
}

struct Comparison {
    job: JobId,
    hash: String,
    password: Secret,
    back: Arc<Mailbox>,
}

impl Helper {
    /// Opens the sinks and starts the threads, which are to be joined after the last handle went.
    pub(crate) fn start(
        access: &Sink,
        event: &Sink,
        style: Style,
        stats: Arc<Stats>,
    ) -> io::Result<(Self, Vec<JoinHandle<()>>)> {
        let (work, tasks) = mpsc::channel();
        let (names, questions) = mpsc::channel();
        let (passwords, comparisons) = mpsc::channel();
        let helper = Self { work, names, passwords, backlog: Arc::default(), stats };
        let logs = Logs::open(access, event, style, &helper)?;
        let questions = Arc::new(Mutex::new(questions));
        let mut threads = vec![named("files", move || attend(&tasks, logs))?];
        threads.push(named("passwords", move || compare_all(&comparisons))?);
        for at in 0..RESOLVERS {
            let questions = questions.clone();
            threads.push(named(&format!("names-{at}"), move || resolve_all(&questions))?);
        }
        Ok((helper, threads))
    }

    /// Does `job` and posts its answer to `back`.
    pub(crate) fn work(&self, job: JobId, what: Job, back: Arc<Mailbox>) {
        // The threads outlive every handle, so sending cannot fail.
        let sent = match what {
            Job::Resolve { host } => self.names.send(Question { job, host, back }).is_ok(),
            Job::Read { path } => self.work.send(Work::Read { job, path, back }).is_ok(),
            Job::Load { path } => self.work.send(Work::Load { job, path, back }).is_ok(),
            Job::Verify { hash, password } => {
                self.passwords.send(Comparison { job, hash, password, back }).is_ok()
            }
        };
        debug_assert!(sent, "helper threads live as long as their handles");
    }

    /// Writes finished lines, in order of the calls.
    pub fn log(&self, line: Line, bytes: Vec<u8>) {
        let waiting = self.backlog.fetch_add(bytes.len(), Ordering::Relaxed);
        if waiting > LOG_BYTES_MAX {
            self.backlog.fetch_sub(bytes.len(), Ordering::Relaxed);
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
            self.stats.log_lines_dropped.fetch_add(lines as u64, Ordering::Relaxed);
            return;
        }
        let sent = self.work.send(Work::Log { line, bytes }).is_ok();
        debug_assert!(sent, "helper threads live as long as their handles");
    }

    /// Opens log files anew, for whoever has moved them away.
    pub fn reopen(&self) {
        let sent = self.work.send(Work::Reopen).is_ok();
        debug_assert!(sent, "helper threads live as long as their handles");
    }
}

/// Does `job` here and now, for a driver that has its own place for what may block.
pub fn perform(job: Job) -> Answer {
    match job {
        Job::Resolve { host } => Answer::Resolved(resolve(&host)),
        Job::Load { path } => Answer::Loaded(files::load(&path)),
        Job::Read { path } => {
            let content = files::content(path.as_ref().as_ref()).map(Secret::new);
            Answer::Read(content.map_err(|error| error.to_string()))
        }
        Job::Verify { hash, password } => Answer::Verified(is_right(&hash, password.reveal())),
    }
}

fn named(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(run)
}

fn attend(tasks: &Receiver<Work>, mut logs: Logs) {
    while let Ok(task) = tasks.recv() {
        match task {
            Work::Load { job, path, back } => {
                let answer = Answer::Loaded(files::load(&path));
                back.post(Post::Answered { job, answer });
            }
            Work::Read { job, path, back } => {
                let answer = perform(Job::Read { path });
                back.post(Post::Answered { job, answer });
            }
            Work::Log { line, bytes } => logs.write(line, &bytes),
            Work::Reopen => logs.reopen(),
        }
    }
}

/// One at a time, on a core that requests need too.
fn compare_all(comparisons: &Receiver<Comparison>) {
    while let Ok(Comparison { job, hash, password, back }) = comparisons.recv() {
        let answer = Answer::Verified(is_right(&hash, password.reveal()));
        back.post(Post::Answered { job, answer });
    }
}

fn resolve_all(questions: &Mutex<Receiver<Question>>) {
    loop {
        let next = questions.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Question { job, host, back }) = next else { return };
        back.post(Post::Answered { job, answer: Answer::Resolved(resolve(&host)) });
    }
}

fn resolve(host: &str) -> Result<Vec<IpAddr>, String> {
    let found = (host, 0).to_socket_addrs().map_err(|error| error.to_string())?;
    let mut addresses = Vec::new();
    for address in found.map(|one| one.ip()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

struct Logs {
    access: Output,
    event: Output,
    backlog: Arc<AtomicUsize>,
    style: Style,
    stats: Arc<Stats>,
    /// Of the dropped lines, those that the log says were dropped.
    told: u64,
    told_at: Instant,
}

impl Logs {
    fn open(access: &Sink, event: &Sink, style: Style, helper: &Helper) -> io::Result<Self> {
        Ok(Self {
            access: Output::open(access)?,
            event: Output::open(event)?,
            backlog: helper.backlog.clone(),
            style,
            stats: helper.stats.clone(),
            told: 0,
            told_at: Instant::now(),
        })
    }

    fn write(&mut self, line: Line, bytes: &[u8]) {
        let output = match line {
            Line::Access => &mut self.access,
            Line::Event => &mut self.event,
        };
        output.write(bytes);
        self.backlog.fetch_sub(bytes.len(), Ordering::Relaxed);
        self.tell_of_dropped();
    }

    /// At most once a second: whoever has no room for lines has none for many about them.
    fn tell_of_dropped(&mut self) {
        let dropped = self.stats.log_lines_dropped.load(Ordering::Relaxed);
        if dropped == self.told || self.told > 0 && self.told_at.elapsed() < TELL_EVERY {
            return;
        }
        let lines = (dropped - self.told).to_string();
        let fields = [("lines", lines.as_str())];
        if let Some(line) = self.style.line(Level::Warn, "log too slow, lines dropped", &fields) {
            self.event.write(&line);
        }
        (self.told, self.told_at) = (dropped, Instant::now());
    }

    fn reopen(&mut self) {
        for output in [&mut self.access, &mut self.event] {
            output.reopen();
        }
    }
}

enum Output {
    Stdout,
    Stderr,
    File { path: String, file: File },
    Nowhere,
}

impl Output {
    fn open(sink: &Sink) -> io::Result<Self> {
        Ok(match sink {
            Sink::Stdout => Self::Stdout,
            Sink::Stderr => Self::Stderr,
            Sink::Nowhere => Self::Nowhere,
            Sink::File(path) => {
                let file = append_to(path).map_err(|error| {
                    io::Error::new(error.kind(), format!("cannot open log file {path}: {error}"))
                })?;
                Self::File { path: path.clone(), file }
            }
        })
    }

    /// A log that cannot be written has nobody left to tell.
    fn write(&mut self, bytes: &[u8]) {
        drop(match self {
            Self::Stdout => io::stdout().lock().write_all(bytes),
            Self::Stderr => io::stderr().lock().write_all(bytes),
            Self::File { file, .. } => file.write_all(bytes),
            Self::Nowhere => Ok(()),
        });
    }

    fn reopen(&mut self) {
        if let Self::File { path, file } = self
            && let Ok(opened) = append_to(path)
        {
            *file = opened;
        }
    }
}

fn append_to(path: &str) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use engine::base::time::Wall;
    use engine::config::fixed::Log;

    #[test]
    fn lines_that_find_no_room_are_counted_and_the_log_says_so() {
        let path = std::env::temp_dir().join(format!("tieline-helper-{}", std::process::id()));
        let (work, tasks) = mpsc::channel();
        let (names, _questions) = mpsc::channel();
        let stats = Arc::new(Stats::new(1, 0, Wall(0)));
        let (passwords, _) = mpsc::channel();
        let backlog = Arc::default();
        let helper = Helper { work, names, passwords, backlog, stats: stats.clone() };
        let sink = Sink::File(path.to_string_lossy().into_owned());
        let style = Style::new(Clock::start(), &Log::default());
        let logs = Logs::open(&Sink::Nowhere, &sink, style, &helper).expect("a writable folder");
        let dropped = || stats.log_lines_dropped.load(Ordering::Relaxed);

        // Nobody writes yet: a slow disk.
        helper.log(Line::Access, vec![b'\n'; LOG_BYTES_MAX + 1]);
        assert_eq!(dropped(), 0);
        helper.log(Line::Access, b"one\ntwo\n".to_vec());
        helper.log(Line::Event, b"three\n".to_vec());
        assert_eq!(dropped(), 3);

        let backlog = helper.backlog.clone();
        drop(helper);
        attend(&tasks, logs);
        assert_eq!(backlog.load(Ordering::Relaxed), 0);
        let text = std::fs::read_to_string(&path).expect("the log");
        assert!(text.ends_with("WRN log too slow, lines dropped lines=3\n"), "{text}");
        assert_eq!(text.lines().count(), 1);
        std::fs::remove_file(&path).expect("it was made above");
    }
}
