//! A configuration from a URL, on real sockets.

use crate::world::{Client, PATIENCE, World, origin, until};
use io_monoio::runtime::Runtime;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

/// Answers every request with what the text says at the time; the connection ends then.
fn source(text: &Arc<Mutex<String>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let text = Arc::clone(text);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                head.push(byte[0]);
            }
            let body = text.lock().expect("nobody panicked").clone();
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            // The gateway may have gone away.
            let _ = stream.write_all((head + &body).as_bytes());
        }
    });
    address
}

fn routes(path: &str, service: &str) -> String {
    let rule = format!("Path(`{path}`)");
    format!(
        "{{\"http\": {{\"routers\": {{\"r\": {{\"rule\": \"{rule}\", \"service\": \"{service}\", \"priority\": 1000}}}}}}}}"
    )
}

#[test]
fn a_url_is_asked_for_routes_and_its_last_good_answer_stays() {
    for runtime in [Runtime::Uring, Runtime::Legacy] {
        let text = Arc::new(Mutex::new(routes("/a", "noop@internal")));
        let address = source(&text);
        let more = format!("  http: {{endpoint: 'http://{address}/x', pollInterval: 50ms}}\n");
        let world = World::with_providers(runtime, origin(), &more);
        let status = |path: &str| Client::connect(world.address).get(path).status;
        assert_eq!((status("/a"), status("/b")), (418, 200), "entry points wait for the answer");
        *text.lock().expect("nobody panicked") = "<html>".to_owned();
        thread::sleep(std::time::Duration::from_millis(300));
        assert_eq!((status("/a"), status("/b")), (418, 200));
        // A service of the file.
        *text.lock().expect("nobody panicked") = routes("/b", "noop@internal");
        until(&418, || status("/b"));
        assert_eq!(status("/a"), 200);
        *text.lock().expect("nobody panicked") = routes("/b", "origin@file");
        until(&200, || status("/b"));
        world.end();
    }
}

/// Puts a document where the REST provider takes it.
fn put(address: SocketAddr, text: &str) -> (u16, String) {
    let mut client = Client::connect(address);
    let length = text.len();
    client.send(
        format!(
            "PUT /api/providers/rest HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n"
        )
        .as_bytes(),
    );
    client.send(text.as_bytes());
    let answer = client.answer();
    (answer.status, answer.text())
}

#[test]
fn routes_are_put_in_the_place_of_the_last_ones() {
    for runtime in [Runtime::Uring, Runtime::Legacy] {
        let world = World::with_providers(runtime, origin(), "  rest: {}\n");
        let own = world.folder.path("dynamic.yml");
        let more = "http:\n  routers:\n    put:\n      rule: PathPrefix(`/api/providers`)\n      \
                    priority: 9000\n      service: rest@internal\n";
        let text = std::fs::read_to_string(&own).expect("it was written");
        world.folder.write("dynamic.yml", &text.replace("http:\n  routers:\n", more));
        until(&(405, 200), || {
            let status = |path: &str| Client::connect(world.address).get(path).status;
            (status("/api/providers/rest"), status("/a"))
        });
        let status = |path: &str| Client::connect(world.address).get(path).status;
        let (code, told) = put(world.address, &routes("/a", "noop@internal"));
        assert_eq!((code, told.as_str()), (200, "{\"problems\":[]}"));
        assert_eq!((status("/a"), status("/b")), (418, 200), "as soon as it was answered");
        let (code, told) = put(world.address, "<html>");
        assert_eq!(code, 400);
        assert!(told.contains("providers.rest"), "{told}");
        assert_eq!((status("/a"), status("/b")), (418, 200));
        let (code, _) = put(world.address, &routes("/b", "origin@file"));
        assert_eq!(code, 200);
        until(&(200, 200), || (status("/a"), status("/b")));
        world.end();
    }
}
