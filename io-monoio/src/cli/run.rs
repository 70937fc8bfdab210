//! `tieline run`: a gateway in the foreground, directed by signals.

use super::{complain, settings, take_option, usage};
use engine::base::limits::{ControlLimits, Limits};
use engine::base::line::Level;
use io_monoio::gateway::{self, Options, Remote};
use io_monoio::runtime::Runtime;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use std::process::{self, ExitCode};
use std::thread;
use std::time::Duration;

/// Nothing else turns this on, no variable of the environment either.
const DANGER_KEY_LOG: &str = "--danger-write-secrets-of-all-tls-sessions-to";
/// An internal error, as `sysexits` has it.
const SOFTWARE: u8 = 70;
/// After the grace everything has been cut off; ending takes no longer than this.
const AFTER_GRACE: Duration = Duration::from_secs(5);

pub(super) fn run(arguments: &[String]) -> ExitCode {
    let mut words = arguments.to_vec();
    let runtime = take_option(&mut words, "--runtime")
        .and_then(|name| name.map_or_else(|| Ok(Runtime::default()), |name| name.parse()));
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(problem) => return usage(&problem),
    };
    let danger_key_log = match take_option(&mut words, DANGER_KEY_LOG) {
        Ok(path) => path,
        Err(problem) => return usage(&problem),
    };
    let Some(fixed) = settings::read(&words) else { return ExitCode::FAILURE };
    // Before the gateway has threads, so that a signal during the start is not lost.
    let signals = match Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1]) {
        Ok(signals) => signals,
        Err(error) => {
            complain(&format!("cannot listen for signals: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let options = Options {
        runtime,
        pin: true,
        limits: Limits::default(),
        control_limits: ControlLimits::default(),
        sinks: None,
        danger_key_log,
    };
    let handle = match gateway::start(fixed, &options) {
        Ok(handle) => handle,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
    let remote = handle.remote();
    thread::spawn(move || obey(signals, &remote));
    match handle.wait() {
        Ok(()) => ExitCode::SUCCESS,
        Err(broken) => {
            complain(&format!("thread {} panicked: this is a defect", broken.thread));
            ExitCode::from(SOFTWARE)
        }
    }
}

fn obey(mut signals: Signals, remote: &Remote) {
    let mut draining = false;
    for signal in signals.forever() {
        match signal {
            SIGHUP => {
                remote.say(Level::Info, "reload requested", &[]);
                remote.reload();
            }
            SIGUSR1 => remote.reopen_logs(),
            _ if draining => {
                complain("second signal: exit at once");
                process::exit(1);
            }
            _ => {
                draining = true;
                let grace = format!("{}s", remote.grace().as_secs());
                remote.say(Level::Info, "draining", &[("grace", &grace)]);
                remote.drain();
                let patience = remote.grace() + AFTER_GRACE;
                thread::spawn(move || {
                    thread::sleep(patience);
                    complain("the drain did not end in time: exit");
                    process::exit(1);
                });
            }
        }
    }
}
