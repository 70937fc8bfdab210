//! A parent, its children and their origins, in this process, on loopback ports.

use super::files::{Files, Ports};
use super::origin::Origin;
use super::request;
use crate::cli::fetch::{self, Answer, Client};
use engine::config;
use engine::config::fixed::{Fixed, Settings};
use io_monoio::gateway::{self, Handle, Options, Sinks};
use io_monoio::helper::Sink;
use serde_json::Value;
use std::io::{Error, Result};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

/// Weights that the children advertise: 90 to 10, and as much again for the one that comes later.
const WEIGHTS: [u32; 3] = [90, 10, 100];

pub(crate) struct Scene {
    pub(crate) files: Files,
    pub(crate) ports: Ports,
    origins: Vec<Origin>,
    children: [Option<Handle>; 3],
    parent: Option<Handle>,
}

impl Scene {
    /// Everything but the third child.
    pub(crate) fn start() -> Result<Self> {
        let ports = Ports {
            web: port_near(8000)?,
            admin: port_near(8080)?,
            uplinks: [port_near(9443)?, port_near(9444)?, port_near(9445)?],
        };
        let names = ["cluster-1", "cluster-2", "cluster-3"];
        let origins = names.map(Origin::start).into_iter().collect::<Result<Vec<_>>>()?;
        let files = Files::create()?;
        let mut scene = Self { files, ports, origins, children: [None, None, None], parent: None };
        scene.start_child(0)?;
        scene.start_child(1)?;
        let parent = scene.files.parent(&scene.ports)?;
        scene.parent = Some(start(&parent, &scene.files)?);
        Ok(scene)
    }

    /// Starts child `n`, or starts it again.
    pub(crate) fn start_child(&mut self, n: usize) -> Result<()> {
        let port = self.ports.uplinks[n];
        let path = self.files.child(n + 1, port, WEIGHTS[n], self.origins[n].addr)?;
        self.children[n] = Some(start(&path, &self.files)?);
        Ok(())
    }

    /// Stops child `n` as a SIGTERM would.
    pub(crate) fn stop_child(&mut self, n: usize) {
        if let Some(child) = self.children[n].take() {
            stop(child);
        }
    }

    pub(crate) fn web(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports.web))
    }

    pub(crate) fn admin(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.admin)
    }

    /// Uplinks of children that the parent knows to be up.
    pub(crate) fn offers_up(&self) -> usize {
        let Ok((200, body)) = fetch::get(&self.admin(), "/api/tieline/children") else { return 0 };
        let children: Vec<Value> = serde_json::from_str(&body).unwrap_or_default();
        let uplinks = children.iter().filter_map(|child| child["uplinks"].as_array()).flatten();
        uplinks.filter(|uplink| uplink["standing"] == "up").count()
    }

    /// Sends `requests` GETs over one connection, one after the other.
    pub(crate) fn ask(&self, requests: u64, path: &str, fields: &str) -> Result<Vec<Answer>> {
        let mut client = Client::connect(self.web())?;
        (0..requests).map(|_| client.ask(&request(path, fields))).collect()
    }

    /// Requests that each origin has answered, probes aside.
    pub(crate) fn answered(&self) -> [u64; 3] {
        [0, 1, 2].map(|n: usize| self.origins[n].answered())
    }

    pub(crate) fn answered_since(&self, before: [u64; 3]) -> [u64; 3] {
        let now = self.answered();
        [0, 1, 2].map(|n: usize| now[n] - before[n])
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for n in 0..self.children.len() {
            self.stop_child(n);
        }
        if let Some(parent) = self.parent.take() {
            stop(parent);
        }
    }
}

/// A gateway as `tieline run --configFile` starts it, but that its log goes to a file.
fn start(path: &Path, files: &Files) -> Result<Handle> {
    let text = std::fs::read_to_string(path)?;
    let (fixed, problems) = config::fixed_from_file(&path.display().to_string(), &text);
    if let Some(problem) = problems.iter().find(|problem| problem.is_error()) {
        return Err(Error::other(problem.to_string()));
    }
    let fixed = Fixed { tieline: Settings { workers: 1, ..fixed.tieline }, ..fixed };
    let log = files.root().join("tieline.log").display().to_string();
    let sinks = Sinks { access: Sink::Nowhere, event: Sink::File(log) };
    let options = Options { sinks: Some(sinks), ..Options::default() };
    gateway::start(fixed, &options).map_err(|error| Error::other(error.to_string()))
}

fn stop(gateway: Handle) {
    gateway.drain();
    // A thread that panicked has said so already; the demo goes on to its end.
    let _ = gateway.join();
}

/// `wanted` if it is free, otherwise any port that is.
fn port_near(wanted: u16) -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", wanted))
        .or_else(|_| TcpListener::bind(("127.0.0.1", 0)))?;
    Ok(listener.local_addr()?.port())
}
