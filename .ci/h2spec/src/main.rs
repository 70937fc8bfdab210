//! Plays the cases of h2spec against a real `tieline run`: over clear text, where HTTP/2 is known
//! beforehand, and over TLS, where it is agreed upon. The crate `httpwg` carries those of RFC 9113,
//! strict ones included; `further` has what it leaves out, the plain use of every frame and RFC 7541.
//! Fails if a case does, or if there were fewer cases than there should be.

mod further;
mod gateway;
mod origin;
mod player;
mod transport;

use buffet::{IntoHalves, bufpool};
use gateway::Gateway;
use httpwg::{Config, Conn};
use std::collections::HashMap;
use std::fmt::Display;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::{JoinError, LocalSet};
use tokio::time::error::Elapsed;
use transport::{Clear, Secure, Transport};

httpwg_macros::gen_catalog!(catalog);

/// Cases of the suite and our own: a release of it that has others changes this on purpose.
const CASES: usize = 107 + FURTHER;
const FURTHER: usize = 56;
/// How long a case waits for a frame. A gateway that is kept waiting for its core is not at fault.
const FRAME_WAIT: Duration = Duration::from_secs(3);
const CASE_WAIT: Duration = Duration::from_secs(30);

/// What became of the cases over one transport.
#[derive(Default)]
struct Tally {
    played: usize,
    failed: Vec<String>,
}

impl Tally {
    fn note<E: Display>(
        &mut self,
        name: &str,
        end: Result<Result<Result<(), E>, Elapsed>, JoinError>,
    ) {
        self.played += 1;
        match end {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(why))) => self.failed.push(format!("{name}: {why:#}")),
            Ok(Err(_)) => self.failed.push(format!("{name}: not within {CASE_WAIT:?}")),
            Err(panic) => self.failed.push(format!("{name}: {panic}")),
        }
    }
}

fn main() -> ExitCode {
    let Some(program) = std::env::args().nth(1) else {
        eprintln!("usage: h2spec <path of tieline>");
        return ExitCode::FAILURE;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime of one thread");
    let fine = runtime.block_on(LocalSet::new().run_until(run(&program)));
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run(program: &str) -> bool {
    bufpool::initialize_allocator().expect("memory for the suite");
    let gateway = Gateway::start(program, origin::start().await).await;
    let clear = Clear { address: gateway.clear };
    let secure = Secure::new(gateway.secure, &gateway.certificate);
    let tallies =
        [("clear text", play(Rc::new(clear)).await), ("TLS", play(Rc::new(secure)).await)];
    let fine = tallies.iter().filter(|(name, tally)| {
        let passed = tally.played - tally.failed.len();
        println!("over {name}: {passed} of {} cases passed, {CASES} wanted", tally.played);
        tally.failed.iter().for_each(|case| println!("failed over {name}: {case}"));
        passed == CASES && tally.played == CASES
    });
    fine.count() == tallies.len()
}

/// Plays all cases at once, each on a connection of its own: most of them wait most of the time.
async fn play<T: Transport>(transport: Rc<T>) -> Tally
where
    T::Io: IntoHalves,
{
    let config = Rc::new(Config {
        host: transport::HOST.to_owned(),
        port: transport.port(),
        tls: T::SECURE,
        timeout: FRAME_WAIT,
        ..Config::default()
    });
    let (mut cases, mut own) = (Vec::new(), Vec::new());
    for (rfc, sections) in catalog::<T::Io>() {
        for (section, tests) in sections {
            for (name, test) in tests {
                let io = transport.connect().await;
                let connection = Conn::new(Rc::clone(&config), io);
                let name = format!("{rfc}, {section}, {name}");
                let case = async move { tokio::time::timeout(CASE_WAIT, test(connection)).await };
                cases.push((name, tokio::task::spawn_local(case)));
            }
        }
    }
    for case in further::cases(T::SECURE) {
        let name = case.name.to_owned();
        let played = player::play(case, transport.bytes().await);
        let case = async move { tokio::time::timeout(CASE_WAIT, played).await };
        own.push((name, tokio::task::spawn_local(case)));
    }
    let mut tally = Tally::default();
    for (name, case) in cases {
        tally.note(&name, case.await);
    }
    for (name, case) in own {
        tally.note(&name, case.await);
    }
    tally
}
