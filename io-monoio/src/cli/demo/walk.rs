//! `demo --once`: each use case in turn, checked by counting what reached the origins.

use super::request;
use super::scene::Scene;
use crate::cli::fetch::Client;
use std::io::Result;
use std::time::{Duration, Instant};

/// How long a change may take to show: a poll, a probe and a reload, with room to spare.
const SETTLED_WITHIN: Duration = Duration::from_secs(15);

/// What one use case found.
pub(crate) struct Finding {
    pub(crate) name: &'static str,
    /// What was seen, or what was off.
    pub(crate) text: std::result::Result<String, String>,
}

type Check = fn(&mut Scene) -> Result<std::result::Result<String, String>>;

/// Walks through the use cases in order, telling each as soon as it is known.
pub(crate) fn walk(scene: &mut Scene, mut tell: impl FnMut(&Finding)) -> Vec<Finding> {
    let cases: [(&'static str, Check); 6] = [
        ("weighted 90/10", weighted),
        ("direct to one child", direct),
        ("failover and fail-back", failover),
        ("mirroring 10 %", mirroring),
        ("canary by editing weights", canary),
        ("a child that appears later", latecomer),
    ];
    let mut findings = Vec::new();
    for (name, check) in cases {
        let text = check(scene).unwrap_or_else(|error| Err(error.to_string()));
        let finding = Finding { name, text };
        tell(&finding);
        findings.push(finding);
    }
    findings
}

fn weighted(scene: &mut Scene) -> Result<std::result::Result<String, String>> {
    await_up(scene, 2)?;
    let counts = count(scene, 100, "/banking/accounts", "")?;
    Ok(expect(counts, [90, 10, 0]))
}

fn direct(scene: &mut Scene) -> Result<std::result::Result<String, String>> {
    let counts = count(scene, 20, "/banking/accounts", "x-route-to: primary\r\n")?;
    Ok(expect(counts, [20, 0, 0]))
}

fn failover(scene: &mut Scene) -> Result<std::result::Result<String, String>> {
    let before = count(scene, 10, "/failover/x", "")?;
    scene.stop_child(0);
    let away = await_body(scene, "/failover/x", "cluster-2 ")?;
    let during = count(scene, 10, "/failover/x", "")?;
    scene.start_child(0)?;
    let back = await_body(scene, "/failover/x", "cluster-1 ")?;
    let after = count(scene, 10, "/failover/x", "")?;
    if [before, during, after] == [[10, 0, 0], [0, 10, 0], [10, 0, 0]] {
        return Ok(Ok(format!(
            "cluster-1 stopped: all on cluster-2 after {} ms; back {} ms after its return",
            away.as_millis(),
            back.as_millis()
        )));
    }
    Ok(Err(format!("answers by origin were {before:?}, then {during:?}, then {after:?}")))
}

fn mirroring(scene: &mut Scene) -> Result<std::result::Result<String, String>> {
    let before = scene.answered();
    let answers = scene.ask(100, "/mirrored/x", "")?;
    if let Some(odd) = answers.iter().find(|answer| !answer.body.starts_with("cluster-1 ")) {
        return Ok(Err(format!("the client saw {} {:?}", odd.status, odd.body)));
    }
    let since = Instant::now();
    loop {
        let counts = scene.answered_since(before);
        if counts == [100, 10, 0] || since.elapsed() > SETTLED_WITHIN {
            return Ok(expect(counts, [100, 10, 0]));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn canary(scene: &mut Scene) -> Result<std::result::Result<String, String>> {
    let before = count(scene, 100, "/canary/x", "")?;
    if before != [90, 10, 0] {
        return Ok(Err(format!("expected 90 and 10 of 100 before the edit, saw {before:?}")));
    }
    scene.files.canary(50, 50)?;
    let since = Instant::now();
    loop {
        let counts = count(scene, 100, "/canary/x", "")?;
        if counts == [50, 50, 0] {
            return Ok(Ok(format!(
                "90/10 until the file said 50/50; then 50/50 after {} ms",
                since.elapsed().as_millis()
            )));
        }
        if since.elapsed() > SETTLED_WITHIN {
            return Ok(Err(format!("expected 50 and 50 of 100 after the edit, saw {counts:?}")));
        }
    }
}

fn latecomer(scene: &mut Scene) -> Result<std::result::Result<String, String>> {
    scene.start_child(2)?;
    let since = Instant::now();
    let expected = [45, 5, 50];
    loop {
        let counts = count(scene, 100, "/banking/accounts", "")?;
        if counts == expected {
            return Ok(Ok(format!(
                "cluster-3 joined with weight 100 and got 50 of 100, {} ms after its start",
                since.elapsed().as_millis()
            )));
        }
        if since.elapsed() > SETTLED_WITHIN {
            return Ok(expect(counts, expected));
        }
    }
}

/// Asks `requests` times and counts which origin answered.
fn count(scene: &Scene, requests: u64, path: &str, fields: &str) -> Result<[u64; 3]> {
    let before = scene.answered();
    scene.ask(requests, path, fields)?;
    Ok(scene.answered_since(before))
}

/// Asks until the answer begins with `body`; how long that took.
fn await_body(scene: &Scene, path: &str, body: &str) -> Result<Duration> {
    let since = Instant::now();
    loop {
        let answer =
            Client::connect(scene.web()).and_then(|mut client| client.ask(&request(path, "")));
        if answer.is_ok_and(|answer| answer.status == 200 && answer.body.starts_with(body)) {
            return Ok(since.elapsed());
        }
        if since.elapsed() > SETTLED_WITHIN {
            let text = format!("{path} was not answered by {body}within {SETTLED_WITHIN:?}");
            return Err(std::io::Error::other(text));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until so many offers are known to be up: until then, those that are known first take all.
fn await_up(scene: &Scene, offers: usize) -> Result<()> {
    let since = Instant::now();
    while scene.offers_up() < offers {
        if since.elapsed() > SETTLED_WITHIN {
            let text = format!("fewer than {offers} children were up within {SETTLED_WITHIN:?}");
            return Err(std::io::Error::other(text));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn expect(counts: [u64; 3], expected: [u64; 3]) -> std::result::Result<String, String> {
    let text = format!("origins answered {} + {} + {}", counts[0], counts[1], counts[2]);
    if counts == expected {
        return Ok(text);
    }
    Err(format!("{text}, expected {} + {} + {}", expected[0], expected[1], expected[2]))
}
