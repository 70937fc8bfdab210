//! The end of a worker: it stops listening, finishes what is in flight, and says that it is done.

use super::conn::Role;
use super::{Worker, id_of};
use crate::base::id::{ConnId, ListenerId};
use crate::base::mark::Mark;
use crate::base::mutant::{Mutant, planted};
use crate::base::time::Time;
use crate::boundary::{Close, Deadline, Effect};

#[derive(Clone, Copy, Debug)]
pub(super) struct Draining {
    /// What is still in flight then is given up.
    by: Time,
    /// It was given up.
    forced: bool,
    finished: bool,
}

impl Worker {
    pub(super) fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    /// When requests in flight are given up, if the end has begun.
    pub(super) fn drains_by(&self) -> Option<Time> {
        self.drain.map(|drain| drain.by)
    }

    /// Whether no new connection will come.
    pub(super) fn is_closing_down(&self) -> bool {
        self.is_draining() && self.listeners.iter().all(|listener| listener.stopped)
    }

    pub(super) fn on_drain(&mut self, by: Time) {
        if let Some(drain) = &mut self.drain {
            drain.by = drain.by.min(by);
            return;
        }
        self.drain = Some(Draining { by, forced: false, finished: false });
        let now = self.now;
        let view = std::rc::Rc::clone(&self.view);
        for (listener, entry) in self.listeners.iter_mut().zip(&view.entries) {
            listener.stop_at = Some(now + entry.settings.accept_grace);
        }
        self.send_sessions_away();
        self.end_idle_clients();
        self.stop_listeners();
        if planted(Mutant::DrainCutsRequests) {
            self.force();
        }
    }

    fn end_idle_clients(&mut self) {
        while let Some(slot) = self.idle_clients.first() {
            let (key, conn) = self.conns.at(slot).expect("an idle connection has its slot");
            match conn.role {
                Role::Session(_) => self.retire_session(id_of(key)),
                Role::Client(_) | Role::Upstream(_) | Role::Accepting(_) | Role::Clerk(_) => {
                    self.end(id_of(key), Close::Gentle);
                }
            }
        }
    }

    fn stop_listeners(&mut self) {
        let now = self.now;
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            if !listener.stopped && listener.stop_at.is_some_and(|at| at <= now) {
                listener.stopped = true;
                if planted(Mutant::ListensOn) {
                    continue;
                }
                let index = u16::try_from(index).expect("entry points are few");
                self.effects.push(Effect::StopListening { listener: ListenerId(index) });
            }
        }
        if self.is_closing_down() {
            self.end_idle_clients();
            self.dismiss_idle_clerks();
            while self.idle_upstreams.first().is_some() {
                let slot = self.idle_upstreams.first().expect("just seen");
                let (key, _) = self.conns.at(slot).expect("an idle connection has its slot");
                self.end(id_of(key), Close::Gentle);
            }
        }
    }

    /// What the worker as a whole waits for.
    pub(super) fn own_deadline(&self) -> Option<Deadline> {
        let accepts = self.listeners.iter().filter(|listener| !listener.stopped);
        let resume = accepts
            .filter(|listener| listener.resume > self.now)
            .map(|listener| Deadline { at: listener.resume, who: "accept" });
        let stops = self.listeners.iter().filter(|listener| !listener.stopped);
        let stop = stops
            .filter_map(|listener| listener.stop_at)
            .map(|at| Deadline { at, who: "accept grace" });
        let drain = self.drain.filter(|drain| !drain.forced).map(|drain| drain.by);
        let drain = drain.map(|at| Deadline { at, who: "drain" });
        let lines = self.lines.since.filter(|_| !self.lines.announced);
        let lines = lines.map(|at| Deadline { at: at + self.limits.log_age, who: "log" });
        let rest = self.rest_deadline();
        let own = resume.chain(stop).chain(drain).chain(lines).chain(rest);
        own.min_by_key(|deadline| deadline.at)
    }

    pub(super) fn on_own_deadlines(&mut self) {
        self.announce_lines();
        if !self.is_draining() {
            return;
        }
        self.stop_listeners();
        let due = self.drain.is_some_and(|drain| !drain.forced && drain.by <= self.now);
        if due {
            self.force();
        }
    }

    /// Gives up everything that is still in flight.
    fn force(&mut self) {
        if let Some(drain) = &mut self.drain {
            drain.forced = true;
        }
        for listener in &mut self.listeners {
            listener.stop_at = listener.stop_at.map(|at| at.min(self.now));
        }
        self.stop_listeners();
        let exchanges: Vec<_> = self.exchanges.iter().map(|(key, _)| key).collect();
        for key in exchanges {
            self.mark(Mark::DrainCutRequest);
            self.abandon(key);
        }
        let conns: Vec<ConnId> = self.conns.iter().map(|(key, _)| id_of(key)).collect();
        for id in conns {
            let accepting =
                self.conn(id).is_some_and(|conn| matches!(conn.role, Role::Accepting(_)));
            if !accepting {
                self.end(id, Close::Abort);
            }
        }
    }

    /// Ends connections that have nothing left to do, and says so when none is left.
    pub(super) fn conclude_drain(&mut self) {
        let Some(drain) = self.drain else { return };
        if drain.finished {
            return;
        }
        if self.is_closing_down() && self.conns.is_empty() {
            if let Some(drain) = &mut self.drain {
                drain.finished = true;
            }
            if !self.lines.bytes.is_empty() && !self.lines.announced {
                self.lines.announced = true;
                self.effects.push(Effect::Log);
            }
            self.mark(Mark::Drained);
            self.effects.push(Effect::Finished);
        }
    }
}
