//! Connections that somebody has spoilt. What goes wrong on such a connection has its reason in
//! that, and so has what waits for one to a server while it lasts.

use crate::fault::Kind;
use crate::site::FIRST_SERVER;
use engine::base::time::Time;
use std::collections::BTreeMap;

/// What somebody did to a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wound {
    pub kind: Kind,
    /// Who did it.
    pub actor: u16,
    pub from: Time,
    /// The machine at the other end had given the connection up by then.
    pub until: Time,
}

/// All of a run, by the number of the link.
#[derive(Clone, Debug, Default)]
pub struct Wounds {
    links: BTreeMap<u32, Vec<Wound>>,
    /// Some server has one: probes may fail for it.
    served: bool,
}

impl Wound {
    /// The connection is of no use any more.
    fn is_fatal(self) -> bool {
        !matches!(self.kind, Kind::NoticeMissing | Kind::SmallWindow | Kind::GoesAway)
    }

    fn is_of_server(self) -> bool {
        self.actor >= FIRST_SERVER
    }

    /// At some time between these instants.
    fn lasted(self, from: Time, to: Time) -> bool {
        self.from <= to && from <= self.until
    }
}

impl Wounds {
    pub fn add(&mut self, link: u32, actor: u16, kind: Kind, now: Time) {
        let wounds = self.links.entry(link).or_default();
        let wound = Wound { kind, actor, from: now, until: Time::NEVER };
        if wounds.iter().all(|other| other.kind != kind) {
            wounds.push(wound);
        }
        self.served |= wound.is_of_server() && wound.is_fatal();
    }

    /// The machine gives a connection up: what it was wounded by until now.
    pub fn end(&mut self, link: u32, now: Time) -> impl Iterator<Item = Kind> {
        let wounds = self.links.get_mut(&link).into_iter().flatten();
        wounds.filter(|wound| wound.until == Time::NEVER).map(move |wound| {
            wound.until = now;
            wound.kind
        })
    }

    /// What was done to this very connection, and may be felt by whatever is on it.
    pub fn of(&self, link: u32) -> impl Iterator<Item = Kind> {
        let all = self.links.get(&link).into_iter().flatten().map(|wound| wound.kind);
        all.filter(|kind| *kind != Kind::GoesAway)
    }

    pub fn has(&self, link: u32, kind: Kind) -> bool {
        self.of(link).any(|other| other == kind)
    }

    /// What made a connection to a server useless between these instants.
    pub fn of_servers(&self, from: Time, to: Time) -> impl Iterator<Item = Wound> {
        let all = self.links.values().flatten().copied();
        all.filter(move |it| it.is_of_server() && it.is_fatal() && it.lasted(from, to))
    }

    /// How many connections servers left between these instants: what they had not looked at yet
    /// has to go to another.
    pub fn left_by_servers(&self, from: Time, to: Time) -> usize {
        let left = |wound: &&Wound| wound.kind == Kind::GoesAway && wound.is_of_server();
        self.links.values().flatten().filter(left).filter(|it| it.lasted(from, to)).count()
    }

    /// Connections that are of no use and still open.
    pub fn open(&self) -> impl Iterator<Item = u32> {
        let stuck = |wound: &Wound| wound.is_fatal() && wound.until == Time::NEVER;
        let links = self.links.iter().filter(move |(_, wounds)| wounds.iter().any(stuck));
        links.map(|(link, _)| *link)
    }

    pub fn hurt_servers(&self) -> bool {
        self.served
    }

    /// Everybody had time to find out.
    pub fn forget(&mut self) {
        self.served = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::base::time::Span;

    fn at(secs: u64) -> Time {
        Time::ZERO + Span::secs(secs)
    }

    #[test]
    fn a_wound_lasts_until_the_machine_gives_the_connection_up() {
        let mut wounds = Wounds::default();
        wounds.add(7, FIRST_SERVER, Kind::RecordBroken, at(3));
        wounds.add(7, FIRST_SERVER, Kind::RecordBroken, at(4));
        let during = |wounds: &Wounds, from, to| wounds.of_servers(at(from), at(to)).count();
        assert_eq!(during(&wounds, 0, 2), 0);
        assert_eq!((during(&wounds, 0, 3), during(&wounds, 90, 99)), (1, 1));
        assert_eq!(wounds.open().collect::<Vec<_>>(), [7]);
        assert_eq!(wounds.end(7, at(9)).collect::<Vec<_>>(), [Kind::RecordBroken]);
        assert_eq!(wounds.end(7, at(10)).count(), 0);
        assert_eq!((during(&wounds, 8, 20), during(&wounds, 10, 20)), (1, 0));
        assert!(wounds.has(7, Kind::RecordBroken) && !wounds.has(8, Kind::RecordBroken));
        assert_eq!(wounds.open().count(), 0);
    }

    #[test]
    fn a_connection_that_a_server_leaves_serves_what_it_has() {
        let mut wounds = Wounds::default();
        wounds.add(1, FIRST_SERVER, Kind::GoesAway, at(2));
        wounds.add(2, 3, Kind::GoesAway, at(2));
        assert_eq!(wounds.of(1).chain(wounds.of(2)).count(), 0);
        assert_eq!((wounds.of_servers(at(0), at(9)).count(), wounds.open().count()), (0, 0));
        assert_eq!(
            (wounds.left_by_servers(at(0), at(1)), wounds.left_by_servers(at(3), at(9))),
            (0, 1)
        );
        assert_eq!(wounds.end(1, at(5)).collect::<Vec<_>>(), [Kind::GoesAway]);
        assert_eq!(
            (wounds.left_by_servers(at(5), at(9)), wounds.left_by_servers(at(6), at(9))),
            (1, 0)
        );
    }

    #[test]
    fn what_clients_do_and_what_is_merely_slow_concerns_nobody_else() {
        let mut wounds = Wounds::default();
        wounds.add(1, 3, Kind::RecordBroken, at(1));
        wounds.add(2, FIRST_SERVER, Kind::SmallWindow, at(1));
        wounds.add(3, FIRST_SERVER, Kind::NoticeMissing, at(1));
        assert_eq!(wounds.of_servers(at(0), at(9)).count(), 0);
        assert!(!wounds.hurt_servers() && wounds.has(2, Kind::SmallWindow));
    }
}
