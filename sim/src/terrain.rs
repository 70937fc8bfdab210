//! Where hosts are, when a world has a map: how far zones are from one another, which way is cut,
//! and which host an address means from where. A world without a map draws its distances.

use engine::base::time::{Span, Time};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// A map. Hosts of one zone are close to one another.
#[derive(Debug, Default)]
pub struct Terrain {
    zones: BTreeMap<IpAddr, usize>,
    all: Vec<Zone>,
    meant: BTreeMap<(IpAddr, SocketAddr), SocketAddr>,
    /// Some zone is not open.
    troubled: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Zone {
    /// One way from here to the middle.
    away: Span,
    cut_until: Time,
    way: Way,
}

/// What becomes of what leaves a zone, or is sent to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Way {
    #[default]
    Open,
    /// It is lost, and so are the connections that it was for.
    Lost,
    /// Whoever dials is refused.
    Refused,
}

/// One way between two hosts of one zone.
const NEAR: Span = Span::micros(100);

impl Terrain {
    /// A new zone; its number.
    pub fn zone(&mut self, away: Span) -> usize {
        self.all.push(Zone { away, ..Zone::default() });
        self.all.len() - 1
    }

    pub fn settle(&mut self, ip: IpAddr, zone: usize) {
        self.zones.insert(ip, zone);
    }

    /// Dialled from the host `from`, the address `to` is `real`.
    pub fn mean(&mut self, from: IpAddr, to: SocketAddr, real: SocketAddr) {
        self.meant.insert((from, to), real);
    }

    pub fn knows(&self, from: IpAddr, to: SocketAddr) -> bool {
        self.meant.contains_key(&(from, to))
    }

    pub fn real(&self, from: IpAddr, to: SocketAddr) -> SocketAddr {
        self.meant.get(&(from, to)).copied().unwrap_or(to)
    }

    /// Nothing passes between this zone and others before `until`.
    pub fn cut(&mut self, zone: usize, until: Time) {
        self.all[zone].cut_until = until;
    }

    /// What passes between this zone and others, from now on.
    pub fn set_way(&mut self, zone: usize, way: Way) {
        self.all[zone].way = way;
        self.troubled = self.all.iter().any(|zone| zone.way != Way::Open);
    }

    /// The worse of both ends.
    pub fn way(&self, a: IpAddr, b: IpAddr) -> Way {
        if !self.troubled {
            return Way::Open;
        }
        match (self.zones.get(&a), self.zones.get(&b)) {
            (Some(a), Some(b)) if a != b => match (self.all[*a].way, self.all[*b].way) {
                (Way::Lost, _) | (_, Way::Lost) => Way::Lost,
                (Way::Refused, _) | (_, Way::Refused) => Way::Refused,
                (Way::Open, Way::Open) => Way::Open,
            },
            _ => Way::Open,
        }
    }

    /// Whether one of these is in the zone, and the other is not.
    pub fn crosses(&self, zone: usize, a: IpAddr, b: IpAddr) -> bool {
        let inside = |ip| self.zones.get(&ip) == Some(&zone);
        inside(a) != inside(b)
    }

    pub fn latency(&self, a: IpAddr, b: IpAddr) -> Option<Span> {
        let (a, b) = (*self.zones.get(&a)?, *self.zones.get(&b)?);
        Some(if a == b { NEAR } else { self.all[a].away + self.all[b].away })
    }

    pub fn cut_until(&self, a: IpAddr, b: IpAddr) -> Time {
        match (self.zones.get(&a), self.zones.get(&b)) {
            (Some(a), Some(b)) if a != b => self.all[*a].cut_until.max(self.all[*b].cut_until),
            _ => Time::ZERO,
        }
    }
}
