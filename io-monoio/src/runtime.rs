//! Runtimes: a ring of the thread's own, or epoll where there is none to be had.

use monoio::time::TimeDriver;
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};
use rustix::process::{Resource, getrlimit};
use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::str::FromStr;

/// What carries out operations.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Runtime {
    #[default]
    Uring,
    /// epoll, for machines that do not offer `io_uring`.
    Legacy,
}

impl FromStr for Runtime {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "uring" => Ok(Self::Uring),
            "legacy" => Ok(Self::Legacy),
            other => Err(format!("`{other}` is neither `uring` nor `legacy`")),
        }
    }
}

/// Why a thread could not get its ring.
#[derive(Debug)]
pub struct NoRing(pub io::Error);

impl fmt::Display for NoRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.raw_os_error() {
            Some(libc::ENOSYS) => write!(
                f,
                "this kernel has no io_uring; use Linux 6.1 or newer, or start with \
                 `--runtime legacy`"
            ),
            Some(libc::EPERM | libc::EACCES) => write!(
                f,
                "io_uring is forbidden here: allow io_uring_setup, io_uring_enter and \
                 io_uring_register in the container's seccomp profile and set the sysctl \
                 kernel.io_uring_disabled to 0, or start with `--runtime legacy`"
            ),
            Some(libc::ENOMEM) => write!(
                f,
                "the limit on locked memory ({}) does not hold a ring per core: raise it \
                 (`ulimit -l`, or `LimitMEMLOCK=` in the systemd unit), run fewer workers, or \
                 start with `--runtime legacy`",
                locked_memory()
            ),
            _ => write!(f, "cannot make a ring: {}; `--runtime legacy` needs none", self.0),
        }
    }
}

/// How many files a process here may have open.
pub fn open_files() -> String {
    let most = getrlimit(Resource::Nofile).current;
    most.map_or_else(|| "unlimited".to_owned(), |most| most.to_string())
}

/// Whether a thread here gets what it needs to carry out operations.
///
/// # Errors
/// Why it does not, and what helps.
pub fn try_out(runtime: Runtime) -> Result<(), String> {
    let tried = std::thread::spawn(move || block_on(runtime, 256, async {}));
    match tried.join() {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err("making a ring panicked".to_owned()),
    }
}

pub fn locked_memory() -> String {
    match getrlimit(Resource::Memlock).current {
        Some(bytes) => format!("{} KiB", bytes / 1024),
        None => "unlimited".to_owned(),
    }
}

/// Runs `future` on a runtime of this thread.
pub(crate) fn block_on<F: Future>(
    runtime: Runtime,
    ring_entries: u32,
    future: F,
) -> Result<F::Output, NoRing> {
    match runtime {
        Runtime::Uring => Ok(ring(ring_entries).map_err(NoRing)?.block_on(future)),
        Runtime::Legacy => {
            let built = RuntimeBuilder::<LegacyDriver>::new().enable_timer().build();
            Ok(built.map_err(NoRing)?.block_on(future))
        }
    }
}

/// The waking end of a mailbox. A ring waits on a blocking socket and gives up on another; epoll
/// needs it the other way round.
pub(crate) fn hearing(runtime: Runtime, heard: UnixStream) -> io::Result<monoio::net::UnixStream> {
    heard.set_nonblocking(runtime == Runtime::Legacy)?;
    monoio::net::UnixStream::from_std(heard)
}

/// A ring that only this thread submits to and that delivers completions when asked: a quarter
/// less time in the kernel for small messages. Kernels before 6.1 get a plain one.
fn ring(entries: u32) -> io::Result<monoio::Runtime<TimeDriver<IoUringDriver>>> {
    let mut entries = entries;
    let mut plain = false;
    loop {
        let mut builder = io_uring::IoUring::builder();
        if !plain {
            builder.setup_single_issuer().setup_coop_taskrun().setup_defer_taskrun();
        }
        let built = RuntimeBuilder::<IoUringDriver>::new()
            .uring_builder(builder)
            .with_entries(entries)
            .enable_timer()
            .build();
        match built {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) && !plain => plain = true,
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) && entries > 256 => {
                entries /= 2;
            }
            built => return built,
        }
    }
}
