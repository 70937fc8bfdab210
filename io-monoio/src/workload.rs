//! Identities from a SPIFFE Workload API: a thread that asks once and is told whenever something
//! changes. Whatever it hears, good or bad, is posted to the control machine.
//!
//! The client is our own: over the frames of the engine it takes less than a page of code for the
//! protocol, where the one of the registry brings 157 crates, a second HTTP/2 and a runtime.

mod call;

use crate::slot::{Mailbox, Post};
use call::{Call, End};
use engine::base::secret::Secret;
use engine::config::spiffe::WorkloadApi;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const METHOD: &str = "/SpiffeWorkloadAPI/FetchX509SVID";
/// Without it an agent refuses to answer: a browser could be made to ask by somebody else.
const METADATA: &[(&str, &str)] = &[("workload.spiffe.io", "true")];
const DIAL_MAX: Duration = Duration::from_secs(5);
/// After so long a silence the other side is asked for a sign of life; after another, given up.
const SILENCE_MAX: Duration = Duration::from_secs(15);
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Keeps asking until it is dropped.
pub(crate) struct Watch {
    line: Arc<Mutex<Line>>,
    /// Its end is the end of the pauses between attempts.
    _stop: Sender<()>,
}

/// The connection, so that it can be cut from another thread.
#[derive(Default)]
struct Line {
    socket: Option<Socket>,
    over: bool,
}

enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// Starts the thread, which ends soon after the watch is dropped.
pub(crate) fn watch(api: WorkloadApi, back: Arc<Mailbox>) -> io::Result<(Watch, JoinHandle<()>)> {
    let (stop, stopped) = mpsc::channel();
    let line: Arc<Mutex<Line>> = Arc::default();
    let asker = Asker { api, line: line.clone(), stopped, back, told: String::new() };
    let thread = thread::Builder::new().name("workload".to_owned()).spawn(move || asker.run())?;
    Ok((Watch { line, _stop: stop }, thread))
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut line = lock(&self.line);
        line.over = true;
        if let Some(socket) = line.socket.take() {
            socket.cut();
        }
    }
}

fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Asker {
    api: WorkloadApi,
    line: Arc<Mutex<Line>>,
    stopped: Receiver<()>,
    back: Arc<Mailbox>,
    /// The last trouble that was told; empty while all is well.
    told: String,
}

impl Asker {
    fn run(mut self) {
        let mut pause = PAUSE_MIN;
        loop {
            let why = match self.ask(&mut pause) {
                End::Failed(why) => why,
                End::Silent => "it does not answer any more".to_owned(),
            };
            if lock(&self.line).over {
                return;
            }
            self.complain(&why);
            match self.stopped.recv_timeout(pause) {
                Err(RecvTimeoutError::Timeout) => pause = (pause * 2).min(PAUSE_MAX),
                Err(RecvTimeoutError::Disconnected) | Ok(()) => return,
            }
        }
    }

    /// One call, for as long as it lasts.
    fn ask(&mut self, pause: &mut Duration) -> End {
        let socket = match self.dial() {
            Ok(socket) => socket,
            Err(error) => return End::Failed(error.to_string()),
        };
        let mut call = match Call::start(socket, METHOD, METADATA) {
            Ok(call) => call,
            Err(error) => return error.into(),
        };
        let mut told = false;
        loop {
            match call.next() {
                Ok(message) => {
                    told = true;
                    *pause = PAUSE_MIN;
                    self.told.clear();
                    self.back.post(Post::Workload(Ok(Secret::new(message))));
                }
                // An answer to the last question is a sign of life.
                Err(End::Silent) if call.was_heard() => {
                    if !told {
                        self.complain("it has told nothing yet");
                    }
                    if let Err(end) = call.ping() {
                        return end;
                    }
                }
                Err(end) => return end,
            }
        }
    }

    fn dial(&self) -> io::Result<Socket> {
        let socket = match &self.api {
            WorkloadApi::Unix(path) => Socket::Unix(UnixStream::connect(path)?),
            WorkloadApi::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, DIAL_MAX)?;
                stream.set_nodelay(true)?;
                Socket::Tcp(stream)
            }
        };
        socket.limit(SILENCE_MAX)?;
        let mut line = lock(&self.line);
        if line.over {
            return Err(io::ErrorKind::NotConnected.into());
        }
        line.socket = Some(socket.twin()?);
        Ok(socket)
    }

    fn complain(&mut self, why: &str) {
        let about = match &self.api {
            WorkloadApi::Unix(path) => format!("the Workload API at unix://{path}: {why}"),
            WorkloadApi::Tcp(address) => format!("the Workload API at tcp://{address}: {why}"),
        };
        if self.told != about {
            self.told.clone_from(&about);
            self.back.post(Post::Workload(Err(about)));
        }
    }
}

impl Socket {
    fn twin(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
        })
    }

    fn limit(&self, silence: Duration) -> io::Result<()> {
        match self {
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(silence))?;
                stream.set_write_timeout(Some(silence))
            }
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(silence))?;
                stream.set_write_timeout(Some(silence))
            }
        }
    }

    /// Whoever reads from it reads its end. The other side may have cut it first.
    fn cut(&self) {
        let _ = match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buf),
            Self::Tcp(stream) => stream.read(buf),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(buf),
            Self::Tcp(stream) => stream.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
