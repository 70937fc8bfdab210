//! What a capsule tells, decided again: its views are made anew from what they were made of, and
//! each request goes the way that it went, by the same code. What cannot be known from a capsule is
//! taken as it was recorded: what middlewares counted and remembered, what other servers and
//! passwords said, how an attempt ended.

mod again;
mod decide;
mod stage;

pub use again::{Difference, Told, replay};
pub use decide::{Decision, End};
pub use stage::{Change, Stage};

use super::capsule::Capsule;
use super::explain::Ask;
use super::recording::event::{Again, Asked, Done, Event, Judged, Sent};
use std::collections::BTreeMap;

/// Everything recorded about one request.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    pub worker: u16,
    /// Its number among those of its worker.
    pub number: u64,
    /// Nanoseconds since the process started at which its head was complete.
    pub at: u64,
    pub asked: Asked,
    pub judged: Vec<Judged>,
    pub sent: Vec<Sent>,
    /// Between one that was sent and the next.
    pub again: Vec<Again>,
    /// Absent if it was under way.
    pub done: Option<Done>,
}

/// The requests of a capsule in the order in which they came, and how many it knows only the end
/// of.
pub fn requests(capsule: &Capsule) -> (Vec<Request>, u64) {
    let mut found: BTreeMap<(u16, u64), Request> = BTreeMap::new();
    let mut headless = std::collections::BTreeSet::new();
    for record in &capsule.records {
        let place = (record.worker, record.request);
        if let Event::Asked(asked) = &record.event {
            let request = Request {
                worker: record.worker,
                number: record.request,
                at: record.at,
                asked: (**asked).clone(),
                judged: Vec::new(),
                sent: Vec::new(),
                again: Vec::new(),
                done: None,
            };
            found.insert(place, request);
            continue;
        }
        let Some(request) = found.get_mut(&place) else {
            headless.insert(place);
            continue;
        };
        match &record.event {
            Event::Asked(_) => {}
            Event::Judged(judged) => request.judged.push(judged.clone()),
            Event::Sent(sent) => request.sent.push(sent.clone()),
            Event::Again(again) => request.again.push(again.clone()),
            Event::Done(done) => request.done = Some(done.clone()),
        }
    }
    let mut requests: Vec<Request> = found.into_values().collect();
    requests.sort_by_key(|request| (request.at, request.worker, request.number));
    (requests, headless.len() as u64)
}

impl Request {
    /// What was asked, as far as it is known.
    pub fn ask(&self) -> Ask {
        Ask {
            method: self.asked.method.clone(),
            secure: self.asked.tls,
            authority: self.asked.authority.clone(),
            target: self.asked.target.clone(),
            fields: self.asked.fields.clone(),
            from: self.asked.from,
            entry: self.asked.entry.clone(),
        }
    }

    /// As people write it.
    pub fn line(&self) -> String {
        let Asked { method, authority, target, tls, entry, .. } = &self.asked;
        let scheme = if *tls { "https" } else { "http" };
        format!("{method} {scheme}://{authority}{target} at {entry}")
    }
}
