//! Virtual time over what runs out: certificates, roots, identities, tickets, and what is known of
//! children that do not answer. Which handshakes stand at which second is asked of the TLS that
//! serves, with the users' files; what follows when one does not, of the machines that serve.

mod aftermath;
mod house;
mod report;

use super::documents::{Documents, child_of};
use aftermath::Aftermath;
use engine::base::time::Span;
use engine::tls::Role;
use house::{House, Way, handshake};
use std::collections::BTreeSet;

/// When it begins, in seconds since 1970, and how long it lasts.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub at: u64,
    pub length: Span,
}

impl Window {
    fn end(self) -> u64 {
        self.at + self.length.nanos() / 1_000_000_000
    }
}

/// Something that happens by itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Seconds since 1970.
    pub at: u64,
    /// The process that it happens to.
    pub place: String,
    pub what: What,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum What {
    /// A certificate, by the file it is in and its names.
    Expires {
        role: &'static str,
        label: String,
        names: String,
    },
    Begins {
        role: &'static str,
        label: String,
        names: String,
    },
    /// Clients of entry points are shown it.
    Shown {
        label: String,
        names: String,
        entries: Vec<String>,
    },
    /// Handshakes with the child fail from now on, and what comes of it.
    Falls {
        child: String,
        why: String,
        after: Vec<Moment>,
        stops: Vec<String>,
    },
    Stands {
        child: String,
    },
}

/// What follows, by so much later.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Moment {
    pub after: Span,
    pub place: String,
    pub what: String,
}

#[derive(Clone, Debug)]
pub struct Rehearsal {
    pub window: Window,
    /// In order.
    pub events: Vec<Event>,
    /// Expired when the window begins, or a way that does not stand.
    pub already: Vec<String>,
    /// What goes on by itself, or cannot be told.
    pub notes: Vec<String>,
    /// Handshakes that were made.
    pub handshakes: u64,
}

impl Rehearsal {
    /// Something stops serving inside the window.
    pub fn stops(&self) -> bool {
        let stops = |event: &Event| match &event.what {
            What::Falls { .. } | What::Shown { .. } => true,
            What::Expires { .. } | What::Begins { .. } | What::Stands { .. } => false,
        };
        !self.already.is_empty() || self.events.iter().any(stops)
    }
}

/// # Errors
/// Files that cannot be read, all at once.
pub fn rehearse(documents: &Documents, window: Window) -> Result<Rehearsal, Vec<String>> {
    let mut wrong = Vec::new();
    let mut houses: Vec<House> = documents
        .processes
        .iter()
        .map(|written| House::new(written, window.at, &mut wrong))
        .collect();
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let mut show = Show {
        documents,
        window,
        told: Rehearsal {
            window,
            events: Vec::new(),
            already: Vec::new(),
            notes: Vec::new(),
            handshakes: 0,
        },
    };
    let ways = show.ways(&mut houses);
    show.certificates(&houses);
    let instants = instants(&houses, window);
    for way in &ways {
        show.walk(&houses, way, &instants);
    }
    show.told.events.sort_by(|a, b| (a.at, &a.place, &a.what).cmp(&(b.at, &b.place, &b.what)));
    show.fill();
    show.notes(&houses);
    Ok(show.told)
}

/// A way over TLS from a process to a child that has documents.
struct Link {
    parent: usize,
    child: usize,
    name: String,
    host: String,
    port: u16,
    connector: std::sync::Arc<engine::tls::Connector>,
}

struct Show<'a> {
    documents: &'a Documents,
    window: Window,
    told: Rehearsal,
}

/// Seconds before and at which something may change, and a few between for what nobody lists.
fn instants(houses: &[House], window: Window) -> Vec<u64> {
    let mut all: BTreeSet<u64> = [window.at, window.end()].into();
    for listed in houses.iter().flat_map(|house| house.view.certificates.iter()) {
        for at in [listed.info.not_before, listed.info.not_after] {
            let Ok(at) = u64::try_from(at) else { continue };
            all.extend([at.saturating_sub(1), at, at + 1]);
        }
    }
    // Certificates in the middle of a chain are in no list.
    let day = 24 * 3_600;
    all.extend((window.at..window.end()).step_by(day));
    all.retain(|at| (window.at..=window.end()).contains(at));
    all.into_iter().collect()
}

impl Show<'_> {
    fn place(&self, process: usize) -> String {
        self.documents.processes[process].name.clone()
    }

    fn ways(&mut self, houses: &mut [House]) -> Vec<Link> {
        let mut links = Vec::new();
        for (parent, written) in self.documents.processes.iter().enumerate() {
            for (at, process) in written.children.iter().enumerate() {
                let (name, address) = child_of(&written.fixed, at);
                let Some(multicluster) = &written.fixed.multicluster else { continue };
                let from = &written.name;
                match (houses[parent].way_to(&multicluster.children[at]), process) {
                    (Way::Clear, _) => {}
                    (Way::Unusable(why), _) => {
                        self.told.already.push(format!("{from} -> {name}: {why}"));
                    }
                    (Way::Tls(_), None) => self.told.notes.push(format!(
                        "{from} -> {name}: it has no documents, so what it shows is not known"
                    )),
                    (Way::Tls(connector), Some(child)) => links.push(Link {
                        parent,
                        child: *child,
                        name: name.to_owned(),
                        host: address.host.clone(),
                        port: address.port,
                        connector,
                    }),
                }
            }
        }
        links
    }

    /// When each certificate begins and ends.
    fn certificates(&mut self, houses: &[House]) {
        for (process, house) in houses.iter().enumerate() {
            let greetings = house.greetings();
            self.told.handshakes += greetings.len() as u64;
            for listed in house.view.certificates.iter() {
                let place = self.place(process);
                let (role, label) = (listed.role.name(), listed.label.to_string());
                let names = names(&listed.info);
                let [from, until] = [listed.info.not_before, listed.info.not_after];
                let mut add = |at: i64, what: What| match u64::try_from(at) {
                    Ok(at) if (self.window.at..self.window.end()).contains(&at) => {
                        self.told.events.push(Event { at, place: place.clone(), what });
                    }
                    Ok(_) | Err(_) => {}
                };
                add(from, What::Begins { role, label: label.clone(), names: names.clone() });
                // It is good to the end of its last second.
                let over = until.saturating_add(1);
                add(over, What::Expires { role, label: label.clone(), names: names.clone() });
                let met = greetings.iter().filter(|it| it.met == *listed.info);
                let entries: BTreeSet<String> = met.map(|it| it.entry.clone()).collect();
                let entries: Vec<String> = entries.into_iter().collect();
                let own = listed.role == Role::Identity && house.shown.contains(&label);
                if !entries.is_empty() {
                    let (label, names) = (label.clone(), names.clone());
                    add(over, What::Shown { label, names, entries: entries.clone() });
                } else if own && !greetings.is_empty() {
                    self.told.notes.push(format!(
                        "{place}: no client is shown {label} ({names}): another certificate comes \
                         first"
                    ));
                }
                let now = i64::try_from(self.window.at).unwrap_or(i64::MAX);
                if until < now {
                    let told = format!("{place}: {role} {label} ({names}) has expired");
                    self.told.already.push(told);
                } else if from > now && !entries.is_empty() {
                    let at = entries.join(", ");
                    self.told.already.push(format!(
                        "{place}: {label} ({names}) is shown at {at}, and not good yet"
                    ));
                }
            }
        }
    }

    /// Whether handshakes stand at each instant, and the second at which that changes.
    fn walk(&mut self, houses: &[House], link: &Link, instants: &[u64]) {
        let place = self.place(link.parent);
        let mut stood = None;
        for &at in instants {
            let stands = self.stands(houses, link, at);
            match (&stood, &stands) {
                (None, Err(why)) => {
                    self.told.already.push(format!("{place} -> {}: {why}", link.name));
                }
                (Some((before, true)), Err(_)) | (Some((before, false)), Ok(())) => {
                    let was = stands.is_err();
                    let at = self.turn(houses, link, *before, at, was);
                    let child = link.name.clone();
                    let what = match self.stands(houses, link, at) {
                        Ok(()) => What::Stands { child },
                        Err(why) => {
                            What::Falls { child, why, after: Vec::new(), stops: Vec::new() }
                        }
                    };
                    self.told.events.push(Event { at, place: place.clone(), what });
                }
                (None | Some(_), _) => {}
            }
            stood = Some((at, stands.is_ok()));
        }
    }

    /// The first second at which it is no longer as it `was` at `from`.
    fn turn(&mut self, houses: &[House], link: &Link, from: u64, to: u64, was: bool) -> u64 {
        let (mut low, mut high) = (from, to);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.stands(houses, link, middle).is_ok() == was {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }

    fn stands(&mut self, houses: &[House], link: &Link, at: u64) -> Result<(), String> {
        self.told.handshakes += 1;
        houses[link.parent].set_clock(at);
        houses[link.child].set_clock(at);
        let door = houses[link.child].door(link.port);
        let door = door.ok_or("the child does not speak TLS there")?;
        handshake(&link.connector, &link.host, &door)
    }

    /// What follows when ways fall, one after another.
    fn fill(&mut self) {
        let falls = |event: &Event| matches!(event.what, What::Falls { .. });
        if !self.told.events.iter().any(falls) {
            return;
        }
        let mut aftermath = Aftermath::new(self.documents);
        for event in &mut self.told.events {
            match &mut event.what {
                What::Falls { child, after, stops, .. } => {
                    (*after, *stops) = aftermath.fall(&event.place, child);
                }
                What::Stands { child } => aftermath.stand(&event.place, child),
                What::Expires { .. } | What::Begins { .. } | What::Shown { .. } => {}
            }
        }
    }

    fn notes(&mut self, houses: &[House]) {
        for (process, house) in houses.iter().enumerate() {
            let place = self.place(process);
            if house.by_agent {
                self.told.notes.push(format!(
                    "{place}: its SPIFFE identity comes from an agent, which renews it; how long \
                     the last one lasts without the agent is not known here"
                ));
            }
            if house.gives_tickets {
                self.told.notes.push(format!(
                    "{place}: session tickets get new keys every {} by themselves, old tickets \
                     last as long again",
                    Span::secs(engine::tls::Tickets::PERIOD.into())
                ));
            }
            self.told.notes.extend(report::silence(&self.documents.processes[process]));
        }
    }
}

fn names(info: &engine::tls::CertificateInfo) -> String {
    let mut all: Vec<String> = info.dns_names.clone();
    all.extend(info.addresses.iter().map(ToString::to_string));
    all.extend(info.uris.iter().cloned());
    if all.is_empty() {
        all.push(info.common_name.clone());
    }
    all.join(", ")
}
