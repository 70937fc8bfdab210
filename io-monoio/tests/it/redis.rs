//! Gateways that count together in one Redis, on real sockets: a small one made for this, and the
//! real one where the machine has it.

use crate::world::{Client, PATIENCE, World, origin, until};
use io_monoio::runtime::Runtime;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

const PASSWORD: &str = "open sesame";
const SCRIPT_NAME: &str = "abcdefabcdefabcdefabcdefabcdefabcdefabcd";

/// What a Redis knows, and who asks it.
#[derive(Default)]
struct Known {
    /// By name: when each bucket is full again, in microseconds.
    buckets: HashMap<String, u64>,
    open: Vec<TcpStream>,
    connections: usize,
}

/// A Redis that knows the commands we use, and one script.
struct SmallRedis {
    address: SocketAddr,
    known: Arc<Mutex<Known>>,
    away: Arc<AtomicBool>,
}

impl SmallRedis {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (known, away) = (Arc::<Mutex<Known>>::default(), Arc::<AtomicBool>::default());
        let (shared, gone) = (Arc::clone(&known), Arc::clone(&away));
        let started = Instant::now();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if gone.load(Ordering::Relaxed) {
                    continue;
                }
                let known = Arc::clone(&shared);
                {
                    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
                    known.open.push(stream.try_clone().expect("a socket"));
                    known.connections += 1;
                }
                thread::spawn(move || serve(stream, &known, started));
            }
        });
        Self { address, known, away }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends every connection, and takes none until it comes back.
    fn go_away(&self) {
        self.away.store(true, Ordering::Relaxed);
        for stream in self.known().open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn come_back(&self) {
        self.away.store(false, Ordering::Relaxed);
    }
}

fn serve(stream: TcpStream, known: &Mutex<Known>, started: Instant) {
    let mut out = stream.try_clone().expect("a socket");
    let mut stream = BufReader::new(stream);
    let mut trusted = false;
    while let Some(words) = command(&mut stream) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let answer = match words[..] {
            ["AUTH", password] => {
                trusted = password == PASSWORD;
                if trusted { "+OK\r\n" } else { "-WRONGPASS invalid password\r\n" }.to_owned()
            }
            _ if !trusted => "-NOAUTH Authentication required.\r\n".to_owned(),
            ["SELECT", _] => "+OK\r\n".to_owned(),
            ["SCRIPT", "LOAD", _] => format!("$40\r\n{SCRIPT_NAME}\r\n"),
            ["EVALSHA", SCRIPT_NAME, "1", bucket, interval, ahead, patience] => {
                let number = |text: &str| text.parse::<u64>().expect("a number");
                let now = u64::try_from(started.elapsed().as_micros()).expect("a short test");
                let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
                let full = known.buckets.entry(bucket.to_owned()).or_default();
                let wait = full.saturating_sub(now).saturating_sub(number(ahead));
                let passes = wait <= number(patience);
                if passes {
                    *full = (*full).max(now) + number(interval);
                }
                format!("*2\r\n:{}\r\n:{wait}\r\n", u8::from(passes))
            }
            _ => "-ERR unknown command\r\n".to_owned(),
        };
        if out.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn command(from: &mut impl BufRead) -> Option<Vec<String>> {
    let number = |kind: char, from: &mut dyn BufRead| -> Option<usize> {
        let mut line = String::new();
        from.read_line(&mut line).ok().filter(|count| *count > 0)?;
        line.trim_end().strip_prefix(kind)?.parse().ok()
    };
    let words = number('*', from)?;
    let mut command = Vec::new();
    for _ in 0..words {
        let mut word = vec![0; number('$', from)? + 2];
        from.read_exact(&mut word).ok()?;
        word.truncate(word.len() - 2);
        command.push(String::from_utf8(word).ok()?);
    }
    Some(command)
}

/// Routes whose requests one Redis counts: five at once, and then one in a minute.
fn counted(origin: SocketAddr, redis: SocketAddr, password: &str) -> String {
    format!(
        "http:\n  routers:\n    loaded: {{rule: Path(`/loaded`), priority: 99, service: \
         noop@internal}}\n    \
         all: {{rule: PathPrefix(`/`), service: origin, middlewares: \
         [limit]}}\n  middlewares:\n    limit: {{rateLimit: {{average: 1, period: 1m, burst: 5, \
         redis: {{endpoints: ['{redis}'], password: '{password}', db: 1, readTimeout: 2s, \
         dialTimeout: 2s}}}}}}\n  services:\n    origin: {{loadBalancer: {{servers: [{{url: \
         'http://{origin}'}}]}}}}\n"
    )
}

fn status(world: &World) -> u16 {
    Client::connect(world.address).get("/").status
}

/// A gateway that counts in this Redis.
fn gateway(runtime: Runtime, redis: SocketAddr, password: &str) -> World {
    let origin = origin();
    let world = World::new(runtime, origin);
    world.folder.write("dynamic.yml", &counted(origin, redis, password));
    until(&418, || Client::connect(world.address).get("/loaded").status);
    world
}

#[test]
fn gateways_count_together_and_nobody_passes_while_redis_is_away() {
    for runtime in [Runtime::Uring, Runtime::Legacy] {
        let redis = SmallRedis::start();
        let worlds = [0, 1].map(|_| gateway(runtime, redis.address, PASSWORD));
        redis.known().buckets.clear();
        let found: Vec<u16> = (0..8).map(|at| status(&worlds[at % 2])).collect();
        assert_eq!(found, [200, 200, 200, 200, 200, 429, 429, 429]);
        assert_eq!(redis.known().connections, 2, "one connection for each worker");
        assert_eq!(redis.known().buckets.len(), 1, "both ask for one bucket");
        redis.go_away();
        until(&500, || status(&worlds[0]));
        redis.known().buckets.clear();
        redis.come_back();
        until(&200, || status(&worlds[0]));
        worlds.into_iter().for_each(World::end);
    }
}

#[test]
fn a_wrong_password_is_no_way_past_the_limit() {
    let redis = SmallRedis::start();
    let world = gateway(Runtime::Legacy, redis.address, "guess");
    assert_eq!(status(&world), 500);
    assert!(redis.known().buckets.is_empty());
    world.end();
}

/// The real one, which ends with its owner.
struct RealRedis(Child, SocketAddr);

impl RealRedis {
    /// Nothing if the machine has none.
    fn start() -> Option<Self> {
        let program = std::env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
        let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
        let port = port.expect("a free port").port().to_string();
        let child = Command::new(program)
            .args(["--port", &port, "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"])
            .args(["--requirepass", PASSWORD])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let address = format!("127.0.0.1:{port}").parse().expect("an address");
        let redis = Self(child, address);
        until(&true, || TcpStream::connect(address).is_ok());
        Some(redis)
    }

    /// What it answers to commands, without reading all of it.
    fn ask(&self, commands: &str) -> String {
        let mut stream = TcpStream::connect(self.1).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let whole = format!("AUTH \"{PASSWORD}\"\r\nSELECT 1\r\n{commands}\r\nQUIT\r\n");
        stream.write_all(whole.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        answer
    }
}

impl Drop for RealRedis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
fn the_script_does_in_redis_what_a_bucket_does_here() {
    let Some(redis) = RealRedis::start() else {
        eprintln!("not run: there is no redis-server here");
        return;
    };
    let worlds = [0, 1].map(|_| gateway(Runtime::Legacy, redis.1, PASSWORD));
    redis.ask("FLUSHALL");
    let found: Vec<u16> = (0..8).map(|at| status(&worlds[at % 2])).collect();
    assert_eq!(found, [200, 200, 200, 200, 200, 429, 429, 429]);
    let told = redis.ask("KEYS *");
    assert!(told.contains("tieline:rate:limit@file:127.0.0.1"), "{told}");
    let left = redis.ask("PTTL tieline:rate:limit@file:127.0.0.1");
    let millis = left.lines().find_map(|line| line.strip_prefix(':')?.parse::<u64>().ok());
    let minutes = Duration::from_millis(millis.expect("it goes when it is full")).as_secs() / 60;
    assert_eq!(minutes, 4, "five tokens take five minutes: {left}");
    // Redis forgets its scripts.
    redis.ask("SCRIPT FLUSH");
    redis.ask("FLUSHALL");
    assert_eq!([status(&worlds[0]), status(&worlds[1])], [200, 200]);
    worlds.into_iter().for_each(World::end);
}
