//! The proxies under comparison: their configuration, their processes, one measurement.

use super::cases::{Case, Shape};
use super::{Figures, load, proc};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Proxies run here; origin and load on the other.
const PROXY_CPU: &str = "0";
const LOAD_CPU: &str = "1";

/// How long connections rest before what they hold is counted.
const SETTLE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Tieline,
    Nginx,
    Haproxy,
    Relay,
    #[cfg(feature = "glommio")]
    Glommio,
}

impl Kind {
    pub(crate) const ALL: &[Self] = &[
        Self::Tieline,
        Self::Nginx,
        Self::Haproxy,
        Self::Relay,
        #[cfg(feature = "glommio")]
        Self::Glommio,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tieline => "tieline",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Relay => "relay",
            #[cfg(feature = "glommio")]
            Self::Glommio => "glommio",
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

    fn start(cpu: &str, program: &str, words: &[&str], port: u16) -> Result<Self, String> {
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
    process: Process,
}

impl Peer {
    pub(crate) fn start(kind: Kind, origin: u16) -> Result<Self, String> {
        let port = free_port()?;
        let folder = std::env::temp_dir().join(format!("tieline-compare-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let file = |name: &str, text: String| -> Result<String, String> {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|error| error.to_string())?;
            Ok(path.display().to_string())
        };
        let tieline = |name: &str| {
            let routes = file(&format!("{name}-dynamic.yml"), tieline_dynamic(origin))?;
            file(&format!("{name}.yml"), tieline_static(port, &routes))
        };
        let pid_file = folder.join("nginx.pid").display().to_string();
        let process = match kind {
            Kind::Tieline => {
                let config = tieline("tieline")?;
                let program = beside("tieline")?;
                Process::start(PROXY_CPU, &program, &["run", "--configFile", &config], port)?
            }
            Kind::Nginx => {
                let config = file("nginx.conf", nginx(port, origin, &pid_file))?;
                Process::start(PROXY_CPU, "nginx", &["-c", &config], port)?
            }
            Kind::Haproxy => {
                let config = file("haproxy.cfg", haproxy(port, origin))?;
                Process::start(PROXY_CPU, "haproxy", &["-db", "-q", "-f", &config], port)?
            }
            Kind::Relay => {
                let words = ["relay", &port.to_string(), &origin.to_string()];
                Process::start(PROXY_CPU, &itself()?, &words, port)?
            }
            #[cfg(feature = "glommio")]
            Kind::Glommio => {
                let config = tieline("glommio")?;
                Process::start(PROXY_CPU, &itself()?, &["glommio", &config], port)?
            }
        };
        Ok(Self { kind, process })
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
        };
        let millis = u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        let numbers = [case.connections, rate, millis, case.response_bytes, case.upload_bytes];
        let mut command = Command::new("taskset");
        command.args(["-c", LOAD_CPU, &itself()?, "load", &self.process.port.to_string(), shape]);
        command.args(numbers.map(|number| number.to_string()));
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

    fn memory(&self) -> u64 {
        self.pids().into_iter().map(proc::anonymous_bytes).sum()
    }

    fn pids(&self) -> Vec<u32> {
        let parent = self.process.child.id();
        let mut pids = proc::children(parent);
        pids.push(parent);
        pids
    }
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

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    Ok(listener.local_addr().map_err(|error| error.to_string())?.port())
}

fn itself() -> Result<String, String> {
    let path = std::env::current_exe().map_err(|error| error.to_string())?;
    Ok(path.display().to_string())
}

/// A program built into the same folder as this one.
fn beside(name: &str) -> Result<String, String> {
    let path: PathBuf = PathBuf::from(itself()?).with_file_name(name);
    if path.exists() {
        return Ok(path.display().to_string());
    }
    Err(format!("{} is missing: cargo build --release", path.display()))
}

fn tieline_static(port: u16, routes: &str) -> String {
    format!(
        "entryPoints:\n  web:\n    address: \"127.0.0.1:{port}\"\nproviders:\n  file:\n    \
         filename: \"{routes}\"\n    watch: false\ntieline:\n  workers: 1\n"
    )
}

fn tieline_dynamic(origin: u16) -> String {
    format!(
        "http:\n  routers:\n    all:\n      rule: \"PathPrefix(`/`)\"\n      service: origin\n  \
         services:\n    origin:\n      loadBalancer:\n        servers:\n          - url: \
         \"http://127.0.0.1:{origin}\"\n"
    )
}

fn nginx(port: u16, origin: u16, pid_file: &str) -> String {
    format!(
        "worker_processes 1;\npid {pid_file};\nerror_log /dev/null;\ndaemon off;\n\
         worker_rlimit_nofile 65536;\nevents {{ worker_connections 32768; }}\nhttp {{\n\
         access_log off; tcp_nodelay on; keepalive_requests 100000000; keepalive_timeout 300s;\n\
         client_max_body_size 0;\n\
         proxy_max_temp_file_size 0;\n\
         proxy_request_buffering off;\n\
         upstream origin {{ server 127.0.0.1:{origin}; keepalive 256; \
         keepalive_requests 100000000; }}\n\
         server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ proxy_pass http://origin; \
         proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header \
         X-Forwarded-For $proxy_add_x_forwarded_for; }} }}\n}}\n"
    )
}

fn haproxy(port: u16, origin: u16) -> String {
    format!(
        "global\n  nbthread 1\n  maxconn 9000\ndefaults\n  mode http\n  \
         timeout connect 5s\n  timeout client 300s\n  timeout server 60s\n  \
         timeout http-keep-alive 300s\n  option http-keep-alive\n  http-reuse always\n  \
         option forwardfor\nfrontend web\n  bind 127.0.0.1:{port}\n  default_backend \
         origin\nbackend origin\n  server one 127.0.0.1:{origin} pool-max-conn 256\n"
    )
}
