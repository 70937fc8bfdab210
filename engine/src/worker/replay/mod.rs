//! What a capsule tells, decided again: its views are made anew from what they were made of, and
//! each request goes the way that it went, by the same code. What cannot be known from a capsule is
//! taken as it was recorded: what middlewares counted and remembered, what other servers and
//! passwords said, how an attempt ended.

mod again;
mod decide;
mod stage;
mod way;

pub use again::{Difference, Told, replay};
pub use decide::{Decision, End};
pub use stage::{Change, Stage};

use super::capsule::Capsule;
use super::explain::Ask;
use super::recording::event::{Again, Asked, Done, Event, Judged, Sent, To};
use std::collections::BTreeMap;

const CLIENT_LEFT: u16 = 499;

/// Everything recorded about one request.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    pub worker: u16,
    /// Its number among those of its worker.
    pub number: u64,
    /// Nanoseconds since the process started at which its head was complete.
    pub at: u64,
    pub asked: Asked,
    /// Each with how often the request had been sent by then.
    pub judged: Vec<(usize, Judged)>,
    pub sent: Vec<Sent>,
    /// Each with how often the request had been sent by then.
    pub again: Vec<(usize, Again)>,
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
            Event::Judged(judged) => request.judged.push((request.sent.len(), judged.clone())),
            Event::Sent(sent) => request.sent.push(sent.clone()),
            Event::Again(again) => request.again.push((request.sent.len(), again.clone())),
            Event::Done(done) => request.done = Some(done.clone()),
        }
    }
    let mut requests: Vec<Request> = found.into_values().collect();
    requests.sort_by_key(|request| (request.at, request.worker, request.number));
    (requests, headless.len() as u64)
}

impl Request {
    /// What was decided in the end, unless its client left before.
    fn answered(&self) -> Option<&Done> {
        self.done.as_ref().filter(|done| !matches!(done.status, 0 | CLIENT_LEFT))
    }

    /// The last that is known of its way is that it came to middlewares.
    fn is_before_steps(&self) -> bool {
        self.sent.last().is_none_or(|sent| matches!(sent.to, To::Guarded(_)))
    }

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
