//! The proxies under comparison: their processes, one measurement.

use super::cases::{Case, Field, Shape, Wire};
use super::setups::{self, Folder, Ports};
use super::{Figures, load, pairs, proc};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Proxies run here; origin and load on the other.
pub(crate) const PROXY_CPU: &str = "0";
pub(crate) const LOAD_CPU: &str = "1";

/// How long connections rest before what they hold is counted.
const SETTLE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Tieline,
    Nginx,
    Haproxy,
    Relay,
    /// A parent and its child.
    Hop,
    /// The same over one connection of HTTP/2 under TLS on which both show certificates.
    HopSecure,
    #[cfg(feature = "glommio")]
    Glommio,
}

impl Kind {
    pub(crate) const ALL: &[Self] = &[
        Self::Tieline,
        Self::Nginx,
        Self::Haproxy,
        Self::Relay,
        Self::Hop,
        Self::HopSecure,
        #[cfg(feature = "glommio")]
        Self::Glommio,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tieline => "tieline",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Relay => "relay",
            Self::Hop => "hop",
            Self::HopSecure => "hop-h2-tls",
            #[cfg(feature = "glommio")]
            Self::Glommio => "glommio",
        }
    }

    /// Whether it takes part in a case.
    pub(crate) fn plays(self, case: &Case) -> bool {
        match self {
            Self::Tieline | Self::Nginx | Self::Haproxy => case.field == Field::Proxies,
            Self::Relay => case.field == Field::Proxies && case.wire == Wire::Clear,
            Self::Hop | Self::HopSecure => case.field == Field::Pairs,
            #[cfg(feature = "glommio")]
            Self::Glommio => case.field == Field::Proxies && case.wire == Wire::Clear,
        }
    }
}

/// A process of ours; it ends with this value.
pub(crate) struct Process {
    child: Child,
    pub(crate) port: u16,
}

impl Process {
    /// The origin, on a free port.
    pub(crate) fn origin() -> Result<Self, String> {
        let port = free_port()?;
        let command = itself()?;
        Self::start(LOAD_CPU, &command, &["origin", &port.to_string()], port)
    }

    pub(crate) fn start(
        cpu: &str,
        program: &str,
        words: &[&str],
        port: u16,
    ) -> Result<Self, String> {
        let mut command = Command::new("taskset");
        command.args(["-c", cpu, program]).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| format!("{program}: {error}"))?;
        let mut process = Self { child, port };
        let since = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Ok(Some(status)) = process.child.try_wait() {
                return Err(format!("{program} ended at once: {status}"));
            }
            if since.elapsed() > Duration::from_secs(5) {
                return Err(format!("{program} does not listen on port {port}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(process)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // nginx's workers end with their master only if it is asked, not killed.
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let since = Instant::now();
        while asked.is_ok()
            && matches!(self.child.try_wait(), Ok(None))
            && since.elapsed() < Duration::from_secs(3)
        {
            std::thread::sleep(Duration::from_millis(20));
        }
        // Already gone is what was wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A proxy, running.
pub(crate) struct Peer {
    pub(crate) kind: Kind,
    processes: Vec<Process>,
    pub(crate) ports: Ports,
}

impl Peer {
    pub(crate) fn start(kind: Kind, origin: u16) -> Result<Self, String> {
        let ports = Ports { clear: free_port()?, tls: free_port()?, http2: free_port()? };
        let port = ports.clear;
        let folder = Folder::new()?;
        let tieline = |name: &str| {
            let routes = setups::tieline_routes(origin, &folder);
            let routes = folder.file(&format!("{name}-routes.yml"), &routes)?;
            folder.file(&format!("{name}.yml"), &setups::tieline(ports, &routes))
        };
        let run = |program: &str, words: &[&str]| Process::start(PROXY_CPU, program, words, port);
        let processes = match kind {
            Kind::Tieline => {
                vec![run(&beside("tieline")?, &["run", "--configFile", &tieline("tieline")?])?]
            }
            Kind::Nginx => {
                let config = folder.file("nginx.conf", &setups::nginx(ports, origin, &folder))?;
                vec![run("nginx", &["-c", &config])?]
            }
            Kind::Haproxy => {
                let config = setups::haproxy(ports, origin, &folder);
                let config = folder.file("haproxy.cfg", &config)?;
                vec![run("haproxy", &["-db", "-q", "-f", &config])?]
            }
            Kind::Relay => {
                vec![run(&itself()?, &["relay", &port.to_string(), &origin.to_string()])?]
            }
            Kind::Hop => pairs::start(false, origin, &folder)?.into(),
            Kind::HopSecure => pairs::start(true, origin, &folder)?.into(),
            #[cfg(feature = "glommio")]
            Kind::Glommio => vec![run(&itself()?, &["glommio", &tieline("glommio")?])?],
        };
        let ports = Ports { clear: processes[0].port, ..ports };
        let peer = Self { kind, processes, ports };
        peer.wait()?;
        Ok(peer)
    }

    /// Until a request comes through to the origin: a parent has to find its child first.
    fn wait(&self) -> Result<(), String> {
        let since = Instant::now();
        while !asks(self.ports.clear).unwrap_or(false) {
            if since.elapsed() > Duration::from_secs(10) {
                return Err("it does not reach the origin".to_owned());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// One round of `case`.
    pub(crate) fn measure(
        &self,
        case: &Case,
        duration: Duration,
        origin: u16,
    ) -> Result<Figures, String> {
        if case.shape == Shape::Idle {
            // What an earlier load has left behind would hide what a connection needs.
            return Self::start(self.kind, origin)?.measure_idle(case);
        }
        self.load(case, load::warm_up())?;
        let (spent, ticks) = self.spent();
        let (mut figures, nanos) = self.load(case, duration)?;
        let (spent_after, ticks_after) = self.spent();
        figures.cpu_nanos = spent_after.running - spent.running;
        figures.busy = share(figures.cpu_nanos + spent_after.waiting - spent.waiting, nanos);
        let [user, system] = [ticks_after.0 - ticks.0, ticks_after.1 - ticks.1];
        figures.user_share = share(user, user + system);
        Ok(figures)
    }

    /// Connections are opened one by one, each asks once, and all stay.
    fn measure_idle(&self, case: &Case) -> Result<Figures, String> {
        self.load(&Case { connections: 1, ..*case }, Duration::ZERO)?;
        let before = self.memory();
        let mut child = self.spawn_load(case, SETTLE * 3)?;
        let mut line = String::new();
        let output = child.stdout.take().ok_or("the load generator has no output")?;
        BufReader::new(output).read_line(&mut line).map_err(|error| error.to_string())?;
        std::thread::sleep(SETTLE);
        let held = self.memory().saturating_sub(before);
        child.wait().map_err(|error| error.to_string())?;
        let failed = line.split_ascii_whitespace().nth(1).and_then(|word| word.parse().ok());
        let failed = failed.ok_or_else(|| format!("the load generator said {line:?}"))?;
        let idle_bytes = held / u64::from(case.connections);
        Ok(Figures { idle_bytes, failed, ..Figures::default() })
    }

    fn spawn_load(&self, case: &Case, duration: Duration) -> Result<Child, String> {
        let (shape, rate) = match case.shape {
            Shape::Closed => ("closed", 0),
            Shape::Fresh => ("fresh", 0),
            Shape::Paced(rate) => ("paced", rate),
            Shape::Idle => ("idle", 0),
            Shape::Streams(streams) => ("streams", streams),
        };
        let millis = u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        let numbers = [case.connections, rate, millis, case.response_bytes, case.upload_bytes];
        let (port, cover) = match case.wire {
            Wire::Clear => (self.ports.clear, "clear"),
            Wire::Tls => (self.ports.tls, "tls"),
            Wire::Http2 => (self.ports.http2, "clear"),
        };
        let mut command = Command::new("taskset");
        command.args(["-c", LOAD_CPU, &itself()?, "load", &port.to_string(), shape]);
        command.args(numbers.map(|number| number.to_string())).arg(cover);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.spawn().map_err(|error| error.to_string())
    }

    fn load(&self, case: &Case, duration: Duration) -> Result<(Figures, u64), String> {
        let child = self.spawn_load(case, duration)?;
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout);
        let numbers: Vec<u64> =
            text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [requests, failed, p50, p99, p999, nanos] = numbers[..] else {
            return Err(format!("the load generator said {text:?}"));
        };
        let figures = Figures {
            requests,
            failed,
            per_second: share(requests, nanos) * 1e9,
            latency_micros: [p50, p99, p999],
            ..Figures::default()
        };
        Ok((figures, nanos))
    }

    /// Time so far of the process that carries the traffic, its children included; user and
    /// system time once more in ticks.
    fn spent(&self) -> (proc::Spent, (u64, u64)) {
        let mut sum = (proc::Spent::default(), (0, 0));
        for pid in self.pids() {
            let spent = proc::spent(pid);
            sum.0.running += spent.running;
            sum.0.waiting += spent.waiting;
            let (user, system) = proc::ticks(pid);
            sum.1 = (sum.1.0 + user, sum.1.1 + system);
        }
        sum
    }

    pub(crate) fn memory(&self) -> u64 {
        self.pids().into_iter().map(proc::anonymous_bytes).sum()
    }

    fn pids(&self) -> Vec<u32> {
        let own = self.processes.iter().map(|process| process.child.id());
        own.flat_map(|pid| proc::children(pid).into_iter().chain([pid])).collect()
    }
}

/// Whether a request is answered with 200.
fn asks(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"GET /128 HTTP/1.1\r\nHost: bench.example\r\nConnection: close\r\n\r\n")?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    Ok(start.ends_with(b" 200"))
}

/// `part` of `whole`, 0 if there is no whole.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let quotient = part as f64 / whole as f64;
    quotient
}

pub(crate) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    Ok(listener.local_addr().map_err(|error| error.to_string())?.port())
}

pub(crate) fn itself() -> Result<String, String> {
    let path = std::env::current_exe().map_err(|error| error.to_string())?;
    Ok(path.display().to_string())
}

/// A program built into the same folder as this one.
pub(crate) fn beside(name: &str) -> Result<String, String> {
    let path: PathBuf = PathBuf::from(itself()?).with_file_name(name);
    if path.exists() {
        return Ok(path.display().to_string());
    }
    Err(format!("{} is missing: cargo build --release", path.display()))
}
