//! A whole gateway in the process, on both runtimes.

use crate::world::{Folder, World, origin, pattern, route_to, sum, until};
use io_monoio::runtime::Runtime;
use std::thread;

fn on_both(play: impl Fn(Runtime)) {
    play(Runtime::Uring);
    play(Runtime::Legacy);
}

#[test]
fn a_request_passes_through_and_its_connection_is_kept() {
    on_both(|runtime| {
        let world = World::new(runtime, origin());
        let mut client = world.client();
        for path in ["/first", "/second"] {
            let answer = client.get(path);
            assert_eq!((answer.status, answer.text().as_str()), (200, path));
        }
        let large = client.get("/bytes/300000");
        assert_eq!(sum(&large.body), sum(&pattern(300_000)));
        assert_eq!(world.gateway.stats.workers[0].requests.get(), 3);
        world.end();
        client.expect_end();
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    on_both(|runtime| {
        let world = World::new(runtime, origin());
        let mut client = world.client();
        let requests: String =
            (0..50).map(|at| format!("GET /{at} HTTP/1.1\r\nHost: test\r\n\r\n")).collect();
        client.send(requests.as_bytes());
        for at in 0..50 {
            assert_eq!(client.answer().text(), format!("/{at}"));
        }
        world.end();
    });
}

#[test]
fn a_chunked_upload_of_50_mib_arrives_whole() {
    on_both(|runtime| {
        let world = World::new(runtime, origin());
        let mut client = world.client();
        client.send(b"POST /sum HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
        let body = pattern(50 << 20);
        for chunk in body.chunks(300_007) {
            client.send(format!("{:x}\r\n", chunk.len()).as_bytes());
            client.send(chunk);
            client.send(b"\r\n");
        }
        client.send(b"0\r\n\r\n");
        let expected = format!("{} {}", body.len(), sum(&body));
        assert_eq!(client.answer().text(), expected);
        world.end();
    });
}

#[test]
fn an_upgraded_connection_is_a_tunnel_with_half_close() {
    on_both(|runtime| {
        let world = World::new(runtime, origin());
        let mut client = world.client();
        client.send(
            b"GET /tunnel HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
        );
        let answer = client.answer();
        assert_eq!((answer.status, answer.field("upgrade")), (101, Some("echo")));
        for round in 1..5 {
            let bytes = pattern(round * 1000);
            client.send(&bytes);
            assert_eq!(client.read(bytes.len()), bytes);
        }
        client.shut();
        client.expect_end();
        world.end();
    });
}

#[test]
fn a_drain_answers_what_is_in_flight_and_accepts_nothing_new() {
    on_both(|runtime| {
        let world = World::new(runtime, origin());
        let mut client = world.client();
        let mut idle = world.client();
        idle.get("/");
        client.send(b"GET /slow/500 HTTP/1.1\r\nHost: test\r\n\r\n");
        until(&2, || world.gateway.stats.workers[0].requests.get());
        world.gateway.drain();
        idle.expect_end();
        let answer = client.answer();
        assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
        client.expect_end();
        let address = world.address;
        world.end();
        std::net::TcpStream::connect(address).expect_err("nobody listens any more");
    });
}

#[test]
fn a_changed_file_takes_effect_without_closing_connections() {
    on_both(|runtime| {
        let world = World::new(runtime, origin());
        let mut client = world.client();
        assert_eq!(client.get("/").status, 200);
        let prefixed = route_to(origin()).replace("PathPrefix(`/`)", "PathPrefix(`/new`)");
        world.folder.write("dynamic.yml", &prefixed);
        until(&404, || client.get("/").status);
        assert_eq!(client.get("/new").status, 200);
        world.folder.write("dynamic.yml", "http: [");
        world.gateway.reload();
        assert_eq!(client.get("/new").status, 200);
        world.end();
    });
}

/// In place, and waits until paths begin with `now` and no longer with `before`.
fn rewrite(world: &World, file: &str, before: &str, now: &str) {
    let text = route_to(origin()).replace("PathPrefix(`/`)", &format!("PathPrefix(`{now}`)"));
    std::fs::write(file, text).expect("a writable directory");
    let mut client = world.client();
    until(&[404, 200], || [before, now].map(|path| client.get(path).status));
}

#[test]
fn files_of_a_directory_that_was_replaced_and_those_behind_links_are_noticed() {
    let world = World::new(Runtime::Uring, origin());
    let file = world.folder.path("dynamic.yml");
    let directory = std::path::Path::new(&file).parent().expect("a file is in a directory");
    let elsewhere = Folder::new();
    std::fs::rename(directory, elsewhere.path("old")).expect("both are of one file system");
    std::fs::create_dir(directory).expect("it is gone");
    rewrite(&world, &file, "/", "/first");
    rewrite(&world, &file, "/first", "/second");
    let behind = elsewhere.write("behind.yml", "# nothing yet");
    std::fs::remove_file(&file).expect("it was written");
    std::os::unix::fs::symlink(&behind, &file).expect("a writable directory");
    rewrite(&world, &behind, "/second", "/third");
    rewrite(&world, &behind, "/third", "/fourth");
    world.end();
}

#[test]
fn two_gateways_in_one_process_do_not_know_each_other() {
    let (one, other) = (origin(), origin());
    let worlds = [World::new(Runtime::Uring, one), World::new(Runtime::Legacy, other)];
    let clients = worlds.each_ref().map(World::client);
    let asking = clients
        .map(|mut client| thread::spawn(move || (0..200).all(|_| client.get("/x").status == 200)));
    for asking in asking {
        assert!(asking.join().expect("no panic"));
    }
    for world in worlds {
        assert_eq!(world.gateway.stats.workers[0].requests.get(), 200);
        world.end();
    }
}
