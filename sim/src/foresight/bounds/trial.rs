//! One run of one server and whoever judges it, in a world where nothing takes time, so that what
//! is seen is what the settings make of it.

use super::form::Trouble;
use super::unit::Unit;
use crate::foresight::documents::Documents;
use crate::foresight::stage::{SETTLING, Stage};
use crate::oracle::health::Heard;
use crate::terrain::Way;
use engine::base::limits::ControlLimits;
use engine::base::time::{Span, Time};
use engine::config::fixed::OnStale;
use engine::view::status::{ChildPhase, Health};
use engine::view::{NodeKind, ServerNode, Standing, View};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// After everybody has found one another, for what was lately begun.
const CALM: Span = Span::millis(100);

/// What a view says of the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sight {
    /// When the view was published.
    pub(super) at: Time,
    pub(super) serving: bool,
    /// Since when it has been as healthy as it is.
    pub(super) since: Time,
    /// Of the child.
    pub(super) phase: Option<(ChildPhase, Time)>,
}

/// How much later than one interval a poll comes after another. What becomes of one pause between
/// two polls the other pauses have no part in, but that they move polls against probes; and what
/// depends on a pause comes the later the longer it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Polls {
    Even,
    /// By as much as can be.
    Late,
}

pub(super) struct Trial<'a> {
    pub(super) stage: Stage,
    unit: &'a Unit,
    zone: usize,
    /// The places whose servers are slow, or answer with errors: of a child, and of all below it.
    pub(super) places: Vec<usize>,
    known: Option<Arc<View>>,
    pub(super) sights: Vec<Sight>,
    /// When the last poll and the last probe began.
    polled: u64,
    pub(super) polls: u64,
    pub(super) probes: u64,
    /// Whom the one who judges dials to reach the server, and when that was last done.
    address: Option<SocketAddr>,
    pub(super) dialled: Time,
}

impl<'a> Trial<'a> {
    /// A settled world; none if the server does not come up although nothing is wrong.
    pub(super) fn new(documents: &Documents, unit: &'a Unit, polls: Polls) -> Option<Self> {
        let mut stage = Stage::instant(documents, 1);
        let most = ControlLimits::default().polls_uneven[1];
        stage.limits.polls_uneven = match polls {
            Polls::Even => [0; 2],
            Polls::Late => [most; 2],
        };
        stage.found(documents);
        let control = stage.processes[0].hosts[0];
        stage.net.ports[control as usize].heard = Some(Vec::new());
        let mut trial = Self {
            stage,
            unit,
            zone: 0,
            places: Vec::new(),
            known: None,
            sights: Vec::new(),
            polled: 0,
            polls: 0,
            probes: 0,
            address: None,
            dialled: Time::ZERO,
        };
        // A poll may find a child that has not read its documents yet.
        let patience = unit.timing.poll.map_or(Span::ZERO, |poll| poll.interval.times(2));
        let until = Time::ZERO + SETTLING + patience;
        trial.advance_to(until, |trial| trial.is_serving() && trial.stage.is_settled());
        let (from, to, address) = trial.way()?;
        trial.address = Some(address);
        if let Some((child, _)) = &unit.child {
            let places = &trial.stage.places;
            trial.zone = places.iter().find(|place| place.name == *child)?.zone;
            let within = |name: &str| {
                name.strip_prefix(child)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            trial.places = (0..places.len()).filter(|at| within(&places[*at].name)).collect();
        } else {
            let (place, zone) = trial.stage.set_apart(to);
            (trial.places, trial.zone) = (vec![place], zone);
        }
        debug_assert!(trial.stage.net.terrain.crosses(trial.zone, from, to));
        trial.advance(trial.stage.net.now + CALM);
        trial.is_serving().then_some(trial)
    }

    fn server(&self, view: &View) -> Option<Arc<ServerNode>> {
        let node = view.services.iter().find(|node| *node.name == *self.unit.service)?;
        let NodeKind::Balancer { servers, .. } = &node.kind else { return None };
        servers.iter().find(|server| *server.url == *self.unit.url).cloned()
    }

    /// Who judges, and who is judged, and how it is dialled.
    fn way(&self) -> Option<(IpAddr, IpAddr, SocketAddr)> {
        let process = &self.stage.processes[0];
        let view = process.view.clone()?;
        let target = view.targets.get(self.server(&view)?.target.0)?;
        let dialled = *target.addrs.first()?;
        let real = self.stage.net.terrain.real(process.ip, dialled).ip();
        Some((process.ip, real, dialled))
    }

    /// One event; false if there is none before `until`.
    pub(super) fn event(&mut self, until: Time) -> bool {
        if self.stage.net.next_at().is_none_or(|at| at > until) {
            return false;
        }
        let Some(event) = self.stage.net.next_event() else { return false };
        self.stage.dispatch(event);
        self.look();
        true
    }

    pub(super) fn advance(&mut self, until: Time) {
        while self.event(until) {}
        self.stage.net.now = self.stage.net.now.max(until);
    }

    /// Until something has happened; false if it has not by then.
    pub(super) fn advance_to(&mut self, until: Time, done: impl Fn(&Self) -> bool) -> bool {
        while !done(self) {
            if !self.event(until) {
                return false;
            }
        }
        true
    }

    fn look(&mut self) {
        let process = &self.stage.processes[0];
        let control = process.hosts[0];
        let heard = self.stage.net.ports[control as usize].heard.as_mut();
        let mut dialled = false;
        for it in heard.into_iter().flat_map(|heard| heard.drain(..)) {
            let Heard::Dialed { to, .. } = it else { continue };
            dialled = true;
            if Some(to) == self.address {
                self.dialled = self.stage.net.now;
            }
        }
        let Some(view) = &process.view else { return };
        let polled = view.children.first().map_or(0, |it| it.stats.last_attempt.load(Relaxed));
        let polls = polled != self.polled;
        self.polled = polled;
        self.polls += u64::from(polls);
        self.probes += u64::from(dialled && !polls);
        if self.known.as_ref().is_some_and(|known| Arc::ptr_eq(known, view)) {
            return;
        }
        let view = Arc::clone(view);
        self.known = Some(Arc::clone(&view));
        if let Some(sight) = self.sight(&view) {
            self.sights.push(sight);
        }
    }

    fn sight(&self, view: &View) -> Option<Sight> {
        let server = self.server(view)?;
        let status = view.status.servers.get(server.id.0);
        let healthy = status.is_none_or(|it| it.health == Health::Up && !it.ejected);
        let child = view.children.iter().position(|child| self.is_of_child(&child.name));
        let child = child.and_then(|at| view.status.children.iter().nth(at));
        Some(Sight {
            at: self.stage.net.now,
            serving: healthy && self.counts(view),
            since: status.map_or(Time::ZERO, |it| it.since),
            phase: child.map(|child| (child.phase, child.since)),
        })
    }

    fn is_of_child(&self, name: &str) -> bool {
        self.unit.child.as_ref().is_none_or(|(child, _)| child == name)
    }

    /// Whether the age of what is known of the child leaves it its requests.
    fn counts(&self, view: &View) -> bool {
        let Some(poll) = self.unit.timing.poll else { return true };
        let child = view.children.iter().find(|child| self.is_of_child(&child.name));
        let uplink = child.and_then(|child| {
            child.uplinks.iter().find(|uplink| {
                let service = view.services.get(uplink.service.0);
                service.is_some_and(|service| *service.name == *self.unit.service)
            })
        });
        let Some(uplink) = uplink else { return false };
        match poll.on_stale {
            OnStale::Keep | OnStale::Withdraw { .. } => uplink.standing.serves(),
            OnStale::Demote { .. } => uplink.standing == Standing::Up,
            OnStale::Decay { .. } => {
                let all = format!("{}@multicluster", uplink.name);
                view.services.iter().any(|node| *node.name == *all && node.up)
            }
        }
    }

    pub(super) fn is_serving(&self) -> bool {
        self.sights.last().is_some_and(|sight| sight.serving)
    }

    /// The way there takes what it is given, and holds it until then.
    pub(super) fn hold(&mut self, until: Time) {
        self.stage.net.terrain.cut(self.zone, until);
        self.advance(until);
        self.stage.net.terrain.cut(self.zone, Time::ZERO);
        self.stage.net.redial();
    }

    pub(super) fn strike(&mut self, trouble: Trouble) {
        let (net, zone) = (&mut self.stage.net, self.zone);
        match trouble {
            Trouble::Refused => {
                net.terrain.set_way(zone, Way::Refused);
                net.sever(zone);
            }
            Trouble::BlackHoled => net.terrain.set_way(zone, Way::Lost),
            Trouble::Slow => self.treat(self.unit.slow(), None),
            Trouble::Failing => self.treat(Span::ZERO, Some(self.unit.bad_status)),
        }
    }

    pub(super) fn heal(&mut self) {
        self.stage.net.terrain.set_way(self.zone, Way::Open);
        self.treat(Span::ZERO, None);
    }

    fn treat(&mut self, slow: Span, error: Option<u16>) {
        for &at in &self.places {
            let place = &mut self.stage.places[at];
            (place.slow, place.error) = (slow, error);
        }
    }
}
