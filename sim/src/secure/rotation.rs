//! Certificates and roots in a world: who has which, who shows a wrong one, and how all of them
//! are replaced while everything goes on.

use crate::fault::Kind;
use crate::secure::authority::{Authority, Good, Wanted};
use crate::site::Child;
use crate::wiring;
use crate::world::{Parcel, World};
use engine::base::time::{Span, Time};

/// How far the replacement has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Rotation {
    #[default]
    Old,
    /// Both authorities are trusted.
    Both,
    /// Whoever is asked shows what the new one has signed.
    Shown,
    New,
}

impl Rotation {
    fn next(self) -> Option<Self> {
        match self {
            Self::Old => Some(Self::Both),
            Self::Both => Some(Self::Shown),
            Self::Shown => Some(Self::New),
            Self::New => None,
        }
    }

    fn trusted(self) -> &'static [Authority] {
        match self {
            Self::Old => &[Authority::Old],
            Self::Both | Self::Shown => &[Authority::Old, Authority::New],
            Self::New => &[Authority::New],
        }
    }

    fn signer(self) -> Authority {
        if self < Self::Shown { Authority::Old } else { Authority::New }
    }
}

/// Between two steps: longer than anybody takes to read files again who is told that they changed.
const STEP: Span = Span::secs(4);

/// What a liar shows instead.
fn spoil(wanted: &mut Wanted, kind: Option<Kind>, now: Time) {
    if kind == Some(Kind::Unsigned) {
        wanted.by = Authority::Stranger;
    } else if kind == Some(Kind::Misnamed) {
        // An id is all that counts where there is one, and clients know a parent by its name.
        match &mut wanted.id {
            Some(id) => *id = wiring::wrong_id(id.rsplit('/').next().unwrap_or_default()),
            None => wanted.names = vec!["elsewhere.test".into()],
        }
    } else if kind == Some(Kind::Expired) {
        // At first nothing is over yet.
        let early = now < Time::ZERO + Span::secs(3);
        wanted.good = if early { Good::NotYet } else { Good::Over };
    }
}

impl World {
    pub(crate) fn secrecy_weather(&mut self) {
        if self.site.wiring.on && self.net.faults.strikes(Kind::Rotated) {
            self.net.faults.observed(Kind::Rotated);
            self.rotate();
        }
        for kind in [Kind::Unsigned, Kind::Misnamed, Kind::Expired] {
            if self.net.faults.strikes(kind) {
                self.lie(kind);
            }
        }
    }

    pub(crate) fn rotate(&mut self) {
        let Some(next) = self.weather.rotation.next() else { return };
        self.weather.rotation = next;
        (0..self.gateways.len()).for_each(|gateway| self.issue(gateway, None));
        (0..self.servers.len()).for_each(|server| self.present(server, None));
        if next != Rotation::New {
            self.send(STEP, Parcel::Rotate);
        }
    }

    /// Somebody who is asked over TLS shows a wrong certificate for a while.
    fn lie(&mut self, kind: Kind) {
        let servers = self.servers.iter().enumerate().filter(|(_, it)| it.look.is_some());
        let servers: Vec<usize> = servers.map(|(number, _)| number).collect();
        let mut ours = self.ours_over_tls();
        if kind == Kind::Misnamed && self.site.wiring.spiffe && !ours.is_empty() {
            // Children demand somebody else.
            ours.push(0);
        }
        let all = servers.len() + ours.len();
        // What is replaced just now would be taken for the lie.
        if all == 0 || !matches!(self.weather.rotation, Rotation::Old | Rotation::New) {
            return;
        }
        let at = self.net.faults.chance.below(all as u64);
        let at = usize::try_from(at).expect("below a length");
        self.book.unhealthy = Some(self.net.now);
        let back = Span::millis(self.net.faults.chance.between(2_000, 12_000));
        match servers.get(at) {
            Some(server) => self.present(*server, Some(kind)),
            None => {
                self.issue(ours[at - servers.len()], Some(kind));
                self.book.deceits.push((self.net.now, self.net.now + back + STEP));
            }
        }
        self.send(back, Parcel::Honest);
    }

    /// Children of our own that are reached over TLS.
    fn ours_over_tls(&self) -> Vec<usize> {
        let children = self.site.children.iter().enumerate();
        let secure = children.filter(|(n, _)| self.site.wiring.child(*n).tls);
        let found = secure.filter_map(|(_, child)| match child {
            Child::Ours(instance) => {
                self.gateways.iter().position(|at| at.instance.name == instance.name)
            }
            Child::Played { .. } => None,
        });
        found.collect()
    }

    /// Everybody shows what they should.
    pub(crate) fn be_honest(&mut self) {
        if self.site.wiring.on {
            (0..self.gateways.len()).for_each(|gateway| self.issue(gateway, None));
            (0..self.servers.len()).for_each(|server| self.present(server, None));
        }
    }

    fn issue(&mut self, number: usize, lie: Option<Kind>) {
        let rotation = self.weather.rotation;
        let instance = &mut self.gateways[number].instance;
        let mut shown = wiring::shown(&instance.name, instance.ip, self.site.wiring.spiffe);
        shown.by = rotation.signer();
        spoil(&mut shown, lie, self.net.now);
        instance.files = wiring::files(&shown, rotation.trusted());
        if let Some(kind) = lie {
            self.net.faults.observed(kind);
        }
        self.send(Span::millis(5), Parcel::Changed { gateway: number });
    }

    fn present(&mut self, number: usize, lie: Option<Kind>) {
        let (by, spiffe) = (self.weather.rotation.signer(), self.site.wiring.spiffe);
        let server = &mut self.servers[number];
        let Some(look) = &mut server.look else { return };
        *look = wiring::look(server.leg, &server.name, server.addr.ip(), spiffe);
        look.shown.by = by;
        spoil(&mut look.shown, lie, self.net.now);
        server.lie = lie;
    }
}
