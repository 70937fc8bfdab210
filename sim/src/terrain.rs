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
}

#[derive(Clone, Copy, Debug, Default)]
struct Zone {
    /// One way from here to the middle.
    away: Span,
    cut_until: Time,
}

/// One way between two hosts of one zone.
const NEAR: Span = Span::micros(100);

impl Terrain {
    /// A new zone; its number.
    pub fn zone(&mut self, away: Span) -> usize {
        self.all.push(Zone { away, cut_until: Time::ZERO });
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
