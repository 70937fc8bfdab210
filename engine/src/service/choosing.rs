//! Choosing among members otherwise than by turns alone: sticky sessions, and strategies that look
//! at load, at speed or at the client. What a choice depends on is the ticket, the words of
//! [`Load`], the request and the time; the members that may serve are in the view.

use super::load::Load;
use super::rest::Rest;
use super::rotation::Rotation;
use super::signed::Signed;
use super::sticky::Sticky;
use super::ticket::Ticket;
use crate::base::digest::Fnv1a;
use crate::base::id::ServiceId;
use crate::base::mutant::{Mutant, planted};
use crate::base::prng::Prng;
use crate::base::time::Time;
use crate::config::typed::Strategy;
use crate::http::fields::Field;
use std::cmp::Ordering;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

/// What a service that does more than give turns chooses by.
#[derive(Debug)]
pub struct Choosing {
    pub strategy: Strategy,
    /// Members that take new requests.
    pub candidates: Box<[Candidate]>,
    /// What members are told apart by, by position.
    pub names: Arc<[Arc<str>]>,
    /// By position; empty if the strategy does not ask for it.
    pub loads: Box<[Arc<Load>]>,
    pub sticky: Option<Sticking>,
    /// The cookie for this level and all below.
    pub signed: Option<Arc<Signed>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candidate {
    pub position: u16,
    pub weight: u32,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sticking {
    pub cookie: Arc<Sticky>,
    /// By position: whether a session may stay.
    pub stays: Box<[bool]>,
}

/// Who asks, and when.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    pub fields: &'a [Field<'a>],
    pub ip: IpAddr,
    pub now: Time,
    /// Only wants to know: the ticket that it is shown stays for the next.
    pub peeks: bool,
}

impl Asker<'_> {
    #[inline]
    pub fn ticket(&self, ticket: &Ticket) -> u64 {
        if self.peeks { ticket.drawn() } else { ticket.draw() }
    }
}

/// A member and how it was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chosen {
    pub position: u16,
    /// 0 if none was drawn.
    pub ticket: u64,
    pub session: Session,
    /// Whoever would have been chosen has failed this request.
    pub instead: bool,
}

impl Chosen {
    pub fn plain(position: u16, ticket: u64) -> Self {
        Self { position, ticket, session: Session::None, instead: false }
    }
}

/// Members that take nothing for now though nobody took them out, and who serves in their place.
#[derive(Clone, Copy)]
pub struct Kept<'a> {
    pub is_out: &'a dyn Fn(u16) -> bool,
    pub rest: &'a Rest,
}

impl Kept<'_> {
    fn is_out(kept: Option<&Self>, position: u16) -> bool {
        kept.is_some_and(|kept| (kept.is_out)(position))
    }
}

/// Whose turn it is.
pub fn by_turns(
    rotation: &Rotation,
    ticket: &Ticket,
    asker: &Asker<'_>,
    tried: Option<Tried<'_>>,
    kept: Option<&Kept<'_>>,
) -> Option<Chosen> {
    let ticket = asker.ticket(ticket);
    let turn = rotation.turn(ticket)?;
    let position = match (tried, kept) {
        (None, None) => return Some(Chosen::plain(turn, ticket)),
        (None, Some(kept)) if (kept.is_out)(turn) => instead_of(turn, asker, kept),
        (None, Some(_)) => turn,
        (Some(tried), kept) => {
            // Whoever failed the request is better than whoever does not take it.
            let out = |member| if Kept::is_out(kept, member) { usize::MAX / 2 } else { 0 };
            rotation.turn_of_least(ticket, |member| tried.times(member) + out(member))?
        }
    };
    Some(Chosen { instead: position != turn, ..Chosen::plain(position, ticket) })
}

/// Who takes the turn of a member that is out: itself, if all are.
pub fn instead_of(turn: u16, asker: &Asker<'_>, kept: &Kept<'_>) -> u16 {
    if !kept.rest.leaves(kept.is_out) {
        return turn;
    }
    let ticket = asker.ticket(kept.rest.ticket());
    kept.rest.turn(ticket, kept.is_out).unwrap_or(turn)
}

/// Ways on which a request failed before: a service and a position in its list.
#[derive(Clone, Copy, Debug)]
pub struct Tried<'a> {
    pub service: ServiceId,
    pub ways: &'a [(ServiceId, u16)],
}

impl Tried<'_> {
    /// How often a member was tried.
    pub fn times(&self, position: u16) -> usize {
        self.ways.iter().filter(|way| **way == (self.service, position)).count()
    }
}

/// What a choice has to do with the client's cookie.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Session {
    /// Nothing.
    #[default]
    None,
    /// The cookie said it; no ticket was drawn.
    Kept,
    /// A cookie of an earlier form said it, and the client gets the present one.
    Renewed,
    /// The client gets a cookie that names the member.
    Begun,
}

impl Session {
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Kept => "kept",
            Self::Renewed => "renewed",
            Self::Begun => "begun",
        }
    }

    pub fn sets_cookie(self) -> bool {
        matches!(self, Self::Renewed | Self::Begun)
    }

    pub fn follows_cookie(self) -> bool {
        matches!(self, Self::Kept | Self::Renewed)
    }
}

impl Choosing {
    pub fn choose(
        &self,
        rotation: &Rotation,
        ticket: &Ticket,
        asker: &Asker<'_>,
        tried: Option<Tried<'_>>,
        kept: Option<&Kept<'_>>,
    ) -> Option<Chosen> {
        let out = |position| Kept::is_out(kept, position);
        let times = |position| tried.map_or(0, |tried| tried.times(position));
        if let Some(sticking) = &self.sticky
            && !planted(Mutant::StickyForgotten)
            && let Some(named) = sticking.cookie.find(asker.fields)
            && sticking.stays.get(usize::from(named.member)) == Some(&true)
            && times(named.member) == 0
            && !out(named.member)
        {
            let session = if named.old { Session::Renewed } else { Session::Kept };
            return Some(Chosen { session, ..Chosen::plain(named.member, 0) });
        }
        let all_out = self.candidates.iter().all(|it| out(it.position));
        let may = |it: &&Candidate| all_out || !out(it.position);
        let least = match tried {
            Some(_) => self.candidates.iter().filter(may).map(|it| times(it.position)).min(),
            None => None,
        };
        let fit = |member: &&Candidate| {
            may(member) && least.is_none_or(|least| times(member.position) == least)
        };
        let session = if self.sticky.is_some() { Session::Begun } else { Session::None };
        let (position, ticket) = match self.strategy {
            Strategy::Hrw => (self.by_client(asker, fit), 0),
            Strategy::Wrr => {
                let chosen = by_turns(rotation, ticket, asker, tried, kept)?;
                let instead = chosen.instead || tried.is_some_and(|tried| !tried.ways.is_empty());
                return Some(Chosen { session, instead, ..chosen });
            }
            Strategy::P2c => {
                let ticket = asker.ticket(ticket);
                (self.of_two(ticket, fit), ticket)
            }
            Strategy::LeastTime => {
                let ticket = asker.ticket(ticket);
                (self.quickest(rotation.turn(ticket), asker.now, fit), ticket)
            }
        };
        let some_out = self.candidates.iter().any(|it| out(it.position));
        let instead = some_out || tried.is_some_and(|tried| !tried.ways.is_empty());
        Some(Chosen { position: position?, ticket, session, instead })
    }

    /// The less busy of two members that the ticket names; of two alike, the first.
    fn of_two(&self, ticket: u64, fit: impl Fn(&&Candidate) -> bool) -> Option<u16> {
        let fitting = || self.candidates.iter().filter(&fit);
        let all = fitting().count();
        if all < 2 {
            return fitting().next().map(|only| only.position);
        }
        let mut chance = Prng::new(ticket);
        let mut below = || usize::try_from(chance.below(all as u64)).expect("below a length");
        let (one, two) = if planted(Mutant::SameTwo) { (0, 1) } else { (below(), below()) };
        let two = if one == two { (two + 1) % all } else { two };
        let [one, two] = [one, two].map(|at| fitting().nth(at).map(|member| member.position));
        let (one, two) = (one?, two?);
        if planted(Mutant::BusierTaken) {
            return Some(if self.in_flight(two) > self.in_flight(one) { two } else { one });
        }
        Some(if self.in_flight(two) < self.in_flight(one) { two } else { one })
    }

    fn in_flight(&self, position: u16) -> u32 {
        self.loads.get(usize::from(position)).map_or(0, |load| load.in_flight())
    }

    /// The least of time × (1 + requests under way) ÷ weight; among equals whoever comes first
    /// from `turn` on. Who was never measured counts as the quickest.
    fn quickest(
        &self,
        turn: Option<u16>,
        now: Time,
        fit: impl Fn(&&Candidate) -> bool,
    ) -> Option<u16> {
        let load = |member: &Candidate| self.loads.get(usize::from(member.position));
        let pace = |member: &Candidate| load(member).and_then(|load| load.pace(now));
        let quickest = self.candidates.iter().filter_map(pace).min().unwrap_or(1);
        let turn = turn.unwrap_or(0);
        let score = |member: &Candidate| {
            let busy = u128::from(self.in_flight(member.position)) + 1;
            u128::from(pace(member).unwrap_or(quickest)) * busy
        };
        let mut best: Option<(u128, &Candidate)> = None;
        for member in self.candidates.iter().filter(&fit) {
            let own = score(member);
            let better = best.is_none_or(|(score, than)| {
                let scores =
                    (own * u128::from(than.weight)).cmp(&(score * u128::from(member.weight)));
                let far = |member: &Candidate| member.position.wrapping_sub(turn);
                scores.then_with(|| far(member).cmp(&far(than))) == Ordering::Less
            });
            if better {
                best = Some((own, member));
            }
        }
        best.map(|(_, member)| member.position)
    }

    /// Rendezvous hashing: each member draws a number from the client's address and its own name,
    /// and the best for its weight wins. A member that leaves takes nobody else's clients along.
    fn by_client(&self, asker: &Asker<'_>, fit: impl Fn(&&Candidate) -> bool) -> Option<u16> {
        let mut client = Fnv1a::default();
        write!(client, "{}", asker.ip.to_canonical()).expect("a hash takes every byte");
        if planted(Mutant::ClientsWander) {
            client = client.with(&asker.now.nanos().to_be_bytes());
        }
        let weigh = |weight: u32| if planted(Mutant::AddressUnweighed) { 1 } else { weight };
        let mut best: Option<(u64, &Candidate)> = None;
        for member in self.candidates.iter().filter(&fit) {
            let name = self.names.get(usize::from(member.position)).map_or("", |name| &**name);
            let hash = client.with(name.as_bytes()).finish();
            let better = best.is_none_or(|(other, than)| {
                draws_better(hash, weigh(member.weight), other, weigh(than.weight))
            });
            if better {
                best = Some((hash, member));
            }
        }
        best.map(|(_, member)| member.position)
    }
}

impl PartialEq for Choosing {
    /// Whether a worker could not tell them apart.
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&Arc<Load>, &Arc<Load>)| Arc::ptr_eq(a, b);
        self.strategy == other.strategy
            && self.candidates == other.candidates
            && self.names == other.names
            && self.loads.len() == other.loads.len()
            && self.loads.iter().zip(&other.loads).all(same)
            && self.sticky == other.sticky
            && self.signed == other.signed
    }
}

/// Whether one member's `weight / -ln(hash / 2^64)` is above another's.
fn draws_better(one: u64, weight: u32, two: u64, than: u32) -> bool {
    if weight == than {
        return one > two;
    }
    let (one, two) = (u128::from(fall(one)), u128::from(fall(two)));
    one * u128::from(than) < two * u128::from(weight)
}

const FALL_BITS: u32 = 48;

/// `64 - log2(hash)` with as many bits behind the point.
fn fall(hash: u64) -> u64 {
    let Some(whole) = hash.checked_ilog2() else { return u64::MAX };
    let mut mantissa = hash << (63 - whole);
    let mut log = u64::from(whole);
    for _ in 0..FALL_BITS {
        let square = (u128::from(mantissa) * u128::from(mantissa)) >> 63;
        let doubled = square >> 64 != 0;
        let kept = if doubled { square >> 1 } else { square };
        mantissa = u64::try_from(kept).expect("a mantissa has 64 bits");
        log = (log << 1) | u64::from(doubled);
    }
    (64 << FALL_BITS) - log
}

#[cfg(test)]
mod tests;
