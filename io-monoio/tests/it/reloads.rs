//! Reloads while requests go on, on a process of its own: what they cost in requests, connections
//! and memory.

use crate::command::{Process, free_port};
use crate::world::{Answer, Client, Folder, origin, until};
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const CLIENTS: usize = 4;
const ROUTERS: usize = 200;

/// Routers, a service and a middleware, of which every document changes some.
fn document(at: usize, origin: SocketAddr) -> String {
    let routers: String = (0..ROUTERS)
        .map(|number| {
            // A fifth of them has another name next time, another fifth another rule.
            let name =
                if number % 5 == 0 { format!("r{number}-{at}") } else { format!("r{number}") };
            let host =
                if number % 5 == 1 { format!("h{number}-{at}") } else { format!("h{number}") };
            format!("    {name}: {{rule: Host(`{host}.test`), service: s, middlewares: [m]}}\n")
        })
        .collect();
    format!(
        "http:\n  routers:\n    load: {{rule: Host(`load.test`), service: s, middlewares: [m, n]}}\n\
         {routers}  middlewares:\n    m: {{headers: {{customRequestHeaders: {{X-At: '{at}'}}}}}}\n    \
         n: {{rateLimit: {{average: 1000000, burst: {}}}}}\n  services:\n    s: {{loadBalancer: \
         {{servers: [{{url: 'http://{origin}', weight: {}}}], passHostHeader: {}}}}}\n",
        1_000_000 + at % 3,
        1 + at % 2,
        at.is_multiple_of(2),
    )
}

fn put(client: &mut Client, text: &str) -> Answer {
    let length = text.len();
    let head =
        format!("PUT /api/providers/rest HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n");
    client.send(head.as_bytes());
    client.send(text.as_bytes());
    client.answer()
}

/// Clients that ask again and again over one connection each.
struct Load {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(address: SocketAddr) -> Self {
        let (stop, served) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let client = |number: usize| {
            let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
            thread::spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(Ordering::Relaxed) {
                    let path = format!("/{number}");
                    let request = format!("GET {path} HTTP/1.1\r\nHost: load.test\r\n\r\n");
                    client.send(request.as_bytes());
                    let answer = client.answer();
                    assert_eq!((answer.status, answer.text()), (200, path), "every request");
                    assert_eq!(answer.field("connection"), None, "the connection stays");
                    served.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(1));
                }
            })
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self { stop, served, clients }
    }

    /// How many were served; fails if one was not.
    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("no request failed and no connection closed");
        }
        self.served.load(Ordering::Relaxed)
    }
}

fn is_served(client: &mut Client) -> bool {
    client.send(b"GET / HTTP/1.1\r\nHost: load.test\r\n\r\n");
    client.answer().status == 200
}

/// What the kernel says of the memory of a process, in KiB.
fn memory(id: u32, what: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let number = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
    number.and_then(|number| number.parse().ok()).expect("a number of kB")
}

/// A gateway under load, of whose reloads the first `before` do not count.
#[expect(clippy::print_stderr, reason = "figures are what it is run for")]
fn reload(before: usize, reloads: usize) -> (u64, u64) {
    let (folder, port, own) = (Folder::new(), free_port(), free_port());
    let (origin, dynamic) = (origin(), folder.write("dynamic.yml", "http: {}"));
    let process = Process::start(&[
        "run",
        &format!("--entryPoints.web.address=127.0.0.1:{port}"),
        &format!("--entryPoints.traefik.address=127.0.0.1:{own}"),
        &format!("--providers.file.filename={dynamic}"),
        "--providers.rest.insecure=true",
        "--providers.providersThrottleDuration=1ms",
        "--tieline.workers=2",
    ]);
    let (address, own) = ([port, own].map(|port| SocketAddr::from(([127, 0, 0, 1], port)))).into();
    until(&true, || TcpStream::connect(own).is_ok());
    let mut operator = Client::connect(own);
    assert_eq!(put(&mut operator, &document(0, origin)).status, 200);
    // A document is taken before it takes effect, and each worker hears of it by itself.
    until(&true, || (0..4 * CLIENTS).all(|_| is_served(&mut Client::connect(address))));
    let load = Load::start(address);
    let mut at = 0;
    let mut some = |count: usize| {
        for _ in 0..count {
            at += 1;
            let answer = put(&mut operator, &document(at, origin));
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        thread::sleep(Duration::from_millis(200));
        memory(process.id(), "VmRSS")
    };
    let first = some(before);
    let started = Instant::now();
    let parts: Vec<u64> = (0..10).map(|_| some(reloads / 10)).collect();
    let last = parts[parts.len() - 1];
    let took = started.elapsed();
    let served = load.end();
    eprintln!(
        "{reloads} reloads in {took:.1?}, {served} requests over {CLIENTS} connections, none lost; \
         memory {first} KiB before and {last} KiB after: {parts:?}"
    );
    (first, last)
}

#[test]
fn reloads_cost_no_request_and_no_connection() {
    reload(2, 10);
}

#[test]
#[ignore = "it takes a minute and prints figures; run it alone"]
fn a_thousand_reloads_leave_memory_as_it_was() {
    // Views are kept for capsules, the last of them; when there are as many, memory has grown.
    let (before, after) = reload(200, 1_000);
    assert!(after * 100 <= before * 102, "{before} KiB became {after} KiB");
}
