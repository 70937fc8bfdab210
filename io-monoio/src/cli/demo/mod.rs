//! `tieline demo`: a parent, two children and their origins in one process, to look at and to play
//! with; `--once` walks through the use cases and checks each.

mod files;
mod origin;
mod scene;
mod walk;

use super::fetch::{self, Client};
use super::{complain, say, status, take_switch};
use scene::Scene;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// How often the table is drawn.
const REDRAW: Duration = Duration::from_millis(500);

/// Between two requests of the demo's own client, so that the table has something to show.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) fn run(arguments: &[String]) -> ExitCode {
    let mut words = arguments.to_vec();
    let once = take_switch(&mut words, "--once");
    if let Some(word) = words.first() {
        complain(&format!("demo knows no {word}; it takes --once"));
        return ExitCode::from(super::USAGE);
    }
    match Scene::start() {
        Ok(scene) if once => walk_once(scene),
        Ok(scene) => watch(&scene),
        Err(error) => {
            complain(&format!("the demo cannot start: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn walk_once(mut scene: Scene) -> ExitCode {
    let findings = walk::walk(&mut scene, |finding| match &finding.text {
        Ok(text) => say(&format!("ok    {:28} {text}", finding.name)),
        Err(text) => say(&format!("OFF   {:28} {text}", finding.name)),
    });
    let off: Vec<&str> =
        findings.iter().filter(|finding| finding.text.is_err()).map(|f| f.name).collect();
    if off.is_empty() {
        say(&format!("all {} use cases hold", findings.len()));
        return ExitCode::SUCCESS;
    }
    say(&format!("off: {}", off.join(", ")));
    ExitCode::FAILURE
}

/// Draws the children until the process is interrupted.
fn watch(scene: &Scene) -> ExitCode {
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        if let Err(error) = signal_hook::flag::register(signal, Arc::clone(&ended)) {
            complain(&format!("cannot listen for signals: {error}"));
            return ExitCode::FAILURE;
        }
    }
    let (web, flag) = (scene.web(), Arc::clone(&ended));
    let load = thread::spawn(move || ask_on(web, &flag));
    let live = io::stdout().is_terminal();
    while !ended.load(Relaxed) {
        let clear = if live { "\x1b[H\x1b[2J" } else { "" };
        let screen = screen(scene);
        if write!(io::stdout(), "{clear}{screen}").and_then(|()| io::stdout().flush()).is_err() {
            // Nobody is left to look.
            break;
        }
        thread::sleep(REDRAW.saturating_mul(if live { 1 } else { 10 }));
    }
    ended.store(true, Relaxed);
    // A client that panicked has said so already.
    let _ = load.join();
    ExitCode::SUCCESS
}

/// A few requests per second, until told to end.
fn ask_on(web: SocketAddr, ended: &AtomicBool) {
    let mut client = None;
    while !ended.load(Relaxed) {
        thread::sleep(PAUSE);
        let Some(mut kept) = client.take().or_else(|| Client::connect(web).ok()) else { continue };
        if kept.ask(&request("/banking/accounts", "")).is_ok() {
            client = Some(kept);
        }
    }
}

/// A GET with further header lines, each ending in CRLF.
fn request(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: demo.localhost\r\n{fields}\r\n")
}

fn screen(scene: &Scene) -> String {
    let table = match fetch::get(&scene.admin(), "/api/tieline/children") {
        Ok((200, body)) => status::table_of(&body).unwrap_or_else(|error| error.to_string()),
        Ok((status, _)) => format!("the API answers {status}"),
        Err(problem) => problem,
    };
    let (web, admin) = (scene.ports.web, scene.ports.admin);
    format!(
        "Tieline demo: one parent on 127.0.0.1:{web}, children advertise the uplink `banking`.\n\
         A client of the demo asks for /banking 20 times a second. The configuration is in\n\
         {}: edit it and watch. Ctrl-C ends.\n\n{table}\n\n\
         weighted 90/10   curl http://127.0.0.1:{web}/banking/accounts\n\
         one child        curl -H 'X-Route-To: primary' http://127.0.0.1:{web}/banking/accounts\n\
         canary           curl http://127.0.0.1:{web}/canary\n\
         failover         curl http://127.0.0.1:{web}/failover\n\
         mirrored 10 %    curl http://127.0.0.1:{web}/mirrored\n\
         figures          curl http://127.0.0.1:{admin}/metrics\n\
         services         curl http://127.0.0.1:{admin}/api/http/services\n\n",
        scene.files.root().display(),
    )
}
