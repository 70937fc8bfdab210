//! The machines of the gateway on a runtime that is not theirs.

use benches::on_glommio;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// An origin that answers with its name and counts what it was asked.
fn origin(name: &'static str) -> (SocketAddr, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let asked = Arc::new(AtomicU32::new(0));
    let counter = asked.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let counter = counter.clone();
            thread::spawn(move || answer_all(stream, name, &counter));
        }
    });
    (address, asked)
}

fn answer_all(stream: TcpStream, name: &str, asked: &AtomicU32) {
    let mut requests = BufReader::new(stream.try_clone().expect("a socket"));
    let mut stream = stream;
    while let Some((head, body)) = message(&mut requests) {
        asked.fetch_add(1, Ordering::Relaxed);
        let path = head.split(' ').nth(1).expect("a request line");
        let text = format!("{name} {path} {}", body.len());
        let length = text.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}");
        stream.write_all(answer.as_bytes()).expect("the gateway listens");
    }
}

/// The first line of a message and its body, whose length is declared; `None` at the end.
fn message(from: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let (mut first, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
        first.get_or_insert_with(|| line.to_owned());
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).expect("the whole body");
    Some((first?, body))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Tries again and again, until `found` or out of patience.
fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(since.elapsed() < Duration::from_secs(20), "in vain: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn the_same_machines_serve_on_glommio() {
    let ((east, asked_east), (west, asked_west)) = (origin("east"), origin("west"));
    let folder = std::env::temp_dir().join(format!("tieline-glommio-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a writable directory");
    let routes = folder.join("routes.yml");
    let dynamic = format!(
        "http:\n  routers:\n    bank: {{rule: 'PathPrefix(`/bank`)', service: bank, middlewares: \
         [strip]}}\n  middlewares:\n    strip: {{stripPrefix: {{prefixes: [/bank]}}}}\n  \
         services:\n    bank: {{weighted: {{services: [{{name: east, weight: 90}}, {{name: west, \
         weight: 10}}]}}}}\n    east: {{loadBalancer: {{servers: [{{url: 'http://{east}'}}]}}}}\n    \
         west: {{loadBalancer: {{servers: [{{url: 'http://{west}'}}]}}}}\n"
    );
    fs::write(&routes, dynamic).expect("a writable directory");
    let port = free_port();
    let text = format!(
        "entryPoints: {{web: {{address: '127.0.0.1:{port}'}}}}\nproviders: {{file: {{filename: \
         '{}'}}}}\n",
        routes.display()
    );
    let (fixed, problems) = engine::config::fixed_from_file("static.yml", &text);
    assert!(problems.is_empty(), "{problems:?}");
    let (stop, stopping) = mpsc::channel();
    let gateway = thread::spawn(move || on_glommio::serve(fixed, stopping));

    let mut client = until("it listens", || TcpStream::connect(("127.0.0.1", port)).ok());
    let mut answers = BufReader::new(client.try_clone().expect("a socket"));
    for _ in 0..100 {
        client.write_all(b"GET /bank/a HTTP/1.1\r\nHost: x\r\n\r\n").expect("it listens");
        let (status, body) = message(&mut answers).expect("an answer");
        assert_eq!(status, "HTTP/1.1 200 OK");
        assert!(body == b"east /a 0" || body == b"west /a 0", "{}", body.escape_ascii());
    }
    let shares = (asked_east.load(Ordering::Relaxed), asked_west.load(Ordering::Relaxed));
    assert_eq!(shares, (90, 10), "the tickets are those of production");

    let head = b"POST /bank/b HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n";
    client.write_all(head).expect("it listens");
    client.write_all(&vec![b'x'; 3_000_000]).expect("it reads");
    let (_, body) = message(&mut answers).expect("an answer");
    assert!(body.ends_with(b" /b 3000000"), "{}", body.escape_ascii());

    client.write_all(b"GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n").expect("it listens");
    let (status, _) = message(&mut answers).expect("an answer");
    assert_eq!(status, "HTTP/1.1 404 Not Found");

    client.shutdown(Shutdown::Both).expect("still connected");
    drop(stop);
    gateway.join().expect("no panic").expect("it has drained");
    // The kernel holds the listener until it has taken the ring apart, which is not at once.
    until("nobody listens any more", || TcpStream::connect(("127.0.0.1", port)).err());
    fs::remove_dir_all(&folder).expect("it was made above");
}
