//! A small origin: answers every request with its name, and counts what reached it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

/// A running origin. It stops when dropped.
pub(crate) struct Origin {
    pub(crate) addr: SocketAddr,
    state: Arc<State>,
}

struct State {
    name: String,
    answered: AtomicU64,
    stopped: AtomicBool,
}

impl Origin {
    pub(crate) fn start(name: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        let state = Arc::new(State {
            name: name.to_owned(),
            answered: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        thread::Builder::new()
            .name(format!("origin {name}"))
            .spawn(move || accept_all(&listener, &shared))?;
        Ok(Self { addr, state })
    }

    /// Requests answered so far, health probes aside.
    pub(crate) fn answered(&self) -> u64 {
        self.state.answered.load(Relaxed)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.state.stopped.store(true, Relaxed);
        // One more connection wakes the accept loop, which then sees the flag.
        let _ = TcpStream::connect(self.addr);
    }
}

fn accept_all(listener: &TcpListener, state: &Arc<State>) {
    for stream in listener.incoming() {
        if state.stopped.load(Relaxed) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = Arc::clone(state);
        let spawned = thread::Builder::new().spawn(move || {
            // A client that goes away ends its own connection only.
            let _ = serve(stream, &shared);
        });
        if spawned.is_err() {
            return;
        }
    }
}

fn serve(stream: TcpStream, state: &State) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    while let Some(request) = Request::read(&mut reader)? {
        if !request.path.starts_with("/health") {
            state.answered.fetch_add(1, Relaxed);
        }
        let body = format!("{} {}\n", state.name, request.path);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        writer.write_all(format!("{head}{body}").as_bytes())?;
    }
    Ok(())
}

struct Request {
    path: String,
}

impl Request {
    /// The next request of the connection with its body read away; nothing at its end.
    fn read(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Self>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let path = line.split(' ').nth(1).unwrap_or("/").to_owned();
        let mut length = 0;
        loop {
            let mut field = String::new();
            if reader.read_line(&mut field)? == 0 {
                return Ok(None);
            }
            let field = field.trim_end();
            if field.is_empty() {
                break;
            }
            if let Some((name, value)) = field.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
        Ok(Some(Self { path }))
    }
}
