//! The end of a worker: it stops listening, finishes what is in flight, and says that it is done.

use super::conn::{Conn, Role};
use super::session::Side;
use super::{Worker, id_of};
use crate::base::id::{ConnId, EntryId, ListenerId};
use crate::base::mark::Mark;
use crate::base::mutant::{Mutant, planted};
use crate::base::slab::Key;
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
            let stop_at = now + entry.settings.accept_grace;
            listener.stop_at = Some(stop_at);
            listener.cut_at = Some(stop_at + entry.settings.drain_grace);
        }
        self.send_sessions_away();
        self.stop_listeners();
        if planted(Mutant::DrainCutsRequests) {
            self.force();
        }
    }

    /// Until then they may send a request, which is answered.
    fn end_idle_clients(&mut self, entry: EntryId) {
        let idle = |(key, conn): &(Key, &Conn)| {
            self.idle_clients.contains(id_of(*key).slot) && entry_of(conn) == Some(entry)
        };
        let conns = self.conns.iter().filter(idle);
        let ended: Vec<_> = conns.map(|(key, conn)| (id_of(key), is_session(conn))).collect();
        for (id, session) in ended {
            if session {
                self.retire_session(id);
            } else {
                self.end(id, Close::Gentle);
            }
        }
    }

    fn stop_listeners(&mut self) {
        let now = self.now;
        for index in 0..self.listeners.len() {
            let listener = &mut self.listeners[index];
            if !listener.stopped && listener.stop_at.is_some_and(|at| at <= now) {
                listener.stopped = true;
                if planted(Mutant::ListensOn) {
                    continue;
                }
                let index = u16::try_from(index).expect("entry points are few");
                self.effects.push(Effect::StopListening { listener: ListenerId(index) });
                self.end_idle_clients(EntryId(index));
            }
        }
        if self.is_closing_down() {
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
        let cut = self.listeners.iter().filter_map(|listener| listener.cut_at);
        let cut = cut.map(|at| Deadline { at, who: "drain of an entry point" });
        let drain = self.drain.filter(|drain| !drain.forced).map(|drain| drain.by);
        let drain = drain.map(|at| Deadline { at, who: "drain" });
        let lines = self.lines.since.filter(|_| !self.lines.announced);
        let lines = lines.map(|at| Deadline { at: at + self.limits.log_age, who: "log" });
        let rest = self.rest_deadline();
        let own = resume.chain(stop).chain(cut).chain(drain).chain(lines).chain(rest);
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
        for index in 0..self.listeners.len() {
            let cut_at = &mut self.listeners[index].cut_at;
            if cut_at.is_some_and(|at| at <= self.now) {
                *cut_at = None;
                self.give_up(Some(EntryId(u16::try_from(index).expect("entry points are few"))));
            }
        }
    }

    /// Gives up everything that is still in flight.
    fn force(&mut self) {
        if let Some(drain) = &mut self.drain {
            drain.forced = true;
        }
        for listener in &mut self.listeners {
            listener.stop_at = listener.stop_at.map(|at| at.min(self.now));
            listener.cut_at = None;
        }
        self.stop_listeners();
        self.give_up(None);
    }

    /// Gives up what came in at `only`, or everything.
    fn give_up(&mut self, only: Option<EntryId>) {
        let exchanges = self.exchanges.iter();
        let due = exchanges.filter(|(_, exchange)| only.is_none_or(|it| exchange.entry == it));
        let exchanges: Vec<_> = due.map(|(key, _)| key).collect();
        for key in exchanges {
            self.mark(Mark::DrainCutRequest);
            self.abandon(key);
        }
        let accepting = |conn: &Conn| matches!(conn.role, Role::Accepting(_));
        let conns = self.conns.iter().filter(|(_, conn)| match only {
            Some(_) => entry_of(conn) == only,
            None => !accepting(conn),
        });
        let conns: Vec<ConnId> = conns.map(|(key, _)| id_of(key)).collect();
        for id in conns {
            self.end(id, Close::Abort);
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

/// Where a client came in.
fn entry_of(conn: &Conn) -> Option<EntryId> {
    match &conn.role {
        Role::Client(client) => Some(client.entry),
        Role::Session(session) => match session.side {
            Side::Client { entry, .. } => Some(entry),
            Side::Server(_) => None,
        },
        Role::Accepting(_) | Role::Upstream(_) | Role::Clerk(_) => None,
    }
}

fn is_session(conn: &Conn) -> bool {
    matches!(conn.role, Role::Session(_))
}
