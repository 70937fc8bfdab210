//! Where a request would go by the user's documents, from process to process, once everybody has
//! found one another and nothing is wrong.

use super::documents::Documents;
use super::stage::Stage;
use engine::base::time::Time;
use engine::view::View;
use engine::worker::explain::{Ask, explain};
use serde_json::Value;

/// What one process makes of the request.
#[derive(Clone, PartialEq, Debug)]
pub struct Stop {
    /// `parent`, or the name of a child.
    pub place: String,
    pub told: Value,
}

/// The processes of documents, found and at rest: they can be asked any number of times.
#[derive(Debug)]
pub struct Settled<'a> {
    documents: &'a Documents,
    stage: Stage,
}

impl<'a> Settled<'a> {
    pub fn new(documents: &'a Documents) -> Self {
        Self { documents, stage: Stage::settled(documents) }
    }

    /// What the process of this number made of its documents, and when it is.
    pub fn view(&self, process: usize) -> Option<(&View, Time)> {
        let view = self.stage.processes.get(process)?.view.as_ref()?;
        Some((view, self.stage.net.now))
    }

    /// Asks the parent, then whoever it would send the request to as long as that is a process of
    /// the documents.
    ///
    /// # Errors
    /// What cannot be asked of a process; the stops before it are lost.
    pub fn stops(&self, ask: &Ask) -> Result<Vec<Stop>, String> {
        let mut stops = Vec::new();
        let (mut process, mut ask) = (0, ask.clone());
        // A tree is no deeper than it has processes.
        for _ in 0..self.documents.processes.len() {
            let place = self.stage.processes[process].place;
            let (view, now) = self.view(process).ok_or("a process has no view")?;
            let told = explain(view, now, &ask)?;
            let next = next(self.documents, &self.stage, process, &ask, &told);
            stops.push(Stop { place: self.stage.places[place].name.clone(), told });
            let Some((child, further)) = next else { break };
            (process, ask) = (child, further);
        }
        Ok(stops)
    }
}

/// As [`Settled::stops`], for one request.
///
/// # Errors
/// What cannot be asked.
pub fn stops(documents: &Documents, ask: &Ask) -> Result<Vec<Stop>, String> {
    Settled::new(documents).stops(ask)
}

/// The child that is sent the request, if it is one of the processes, and what it is sent.
fn next(
    documents: &Documents,
    stage: &Stage,
    process: usize,
    ask: &Ask,
    told: &Value,
) -> Option<(usize, Ask)> {
    let name = told["answer"]["child"].as_str()?;
    let uplink = told["answer"]["uplink"].as_str()?;
    let written = &documents.processes[process];
    let children = &written.fixed.multicluster.as_ref()?.children;
    let at = children.iter().position(|child| child.name == name)?;
    let child = written.children[at]?;
    let port = children[at].address.port;
    let entries = &stage.processes[child].fixed.uplink_entry_points;
    let entry = entries.iter().find(|entry| entry.address.port() == port)?;
    let mut further = ask.clone();
    let fields = &mut further.fields;
    fields.retain(|(name, _)| !name.eq_ignore_ascii_case("x-uplink-name"));
    fields.push(("X-Uplink-Name".to_owned(), uplink.to_owned()));
    told["answer"]["path"].as_str()?.clone_into(&mut further.target);
    further.entry.clone_from(&entry.name);
    // What is simulated speaks clear text from process to process.
    further.secure = false;
    further.from = stage.processes[process].ip;
    Some((child, further))
}
