//! Events as bytes on a tape: written without allocating, read back when a capsule is made.

use super::event::{Again, Asked, Chosen, Done, Event, Judged, Record, Sent, To, What, Why};
use crate::http::discreet::shown_hash;
use crate::service::choosing::Session;
use std::net::{IpAddr, Ipv6Addr};

/// Which event a record is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Asked = 1,
    Judged = 2,
    Sent = 3,
    Again = 4,
    Done = 5,
}

/// Stands before the hash of a hidden text, where a text has its length.
const HIDDEN: u16 = u16::MAX;

/// Writes one record.
pub(super) struct Pen<'a>(pub(super) &'a mut Vec<u8>);

impl Pen<'_> {
    pub(super) fn begin(&mut self, kind: Kind, request: u64, at: u64) -> &mut Self {
        let mut start = [kind as u8; 17];
        start[1..9].copy_from_slice(&request.to_le_bytes());
        start[9..].copy_from_slice(&at.to_le_bytes());
        self.0.clear();
        self.0.extend_from_slice(&start);
        self
    }

    pub(super) fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    pub(super) fn flag(&mut self, value: bool) -> &mut Self {
        self.u8(u8::from(value))
    }

    pub(super) fn u16(&mut self, value: u16) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn ip(&mut self, ip: IpAddr) -> &mut Self {
        let (four, octets) = match ip {
            IpAddr::V4(ip) => (true, ip.to_ipv6_mapped().octets()),
            IpAddr::V6(ip) => (false, ip.octets()),
        };
        self.flag(four).0.extend_from_slice(&octets);
        self
    }

    /// Text with its length before it; what is longer than 65,534 bytes is cut.
    pub(super) fn text(&mut self, text: &[u8]) -> &mut Self {
        let length = length_of(text.len());
        self.0.reserve(2 + usize::from(length));
        self.u16(length).0.extend_from_slice(&text[..usize::from(length)]);
        self
    }

    /// What stands for a text of this hash.
    pub(super) fn hidden(&mut self, hash: u64) -> &mut Self {
        self.u16(HIDDEN).u64(hash)
    }

    /// Text that `write` appends, with its length before it.
    pub(super) fn written(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        let at = self.0.len();
        self.u16(0);
        let start = self.0.len();
        write(self.0);
        let length = length_of(self.0.len() - start);
        self.0.truncate(start + usize::from(length));
        self.0[at..start].copy_from_slice(&length.to_le_bytes());
        self
    }
}

fn length_of(bytes: usize) -> u16 {
    u16::try_from(bytes).map_or(HIDDEN - 1, |length| length.min(HIDDEN - 1))
}

/// Reads one record. Nothing if it is none.
pub(super) struct Eye<'a>(pub(super) &'a [u8]);

impl Eye<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }

    fn flag(&mut self) -> Option<bool> {
        self.u8().map(|value| value != 0)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn ip(&mut self) -> Option<IpAddr> {
        let four = self.flag()?;
        let ip = Ipv6Addr::from(self.take::<16>()?);
        Some(if four { IpAddr::V6(ip).to_canonical() } else { IpAddr::V6(ip) })
    }

    fn text(&mut self) -> Option<String> {
        let length = self.u16()?;
        if length == HIDDEN {
            return Some(String::from_utf8_lossy(&shown_hash(self.u64()?)).into_owned());
        }
        let (text, rest) = self.0.split_at_checked(usize::from(length))?;
        self.0 = rest;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    /// The record of worker `worker`, whose entry points have these names.
    pub(super) fn record(mut self, worker: u16, entries: &[&str]) -> Option<Record> {
        let kind = self.u8()?;
        let (request, at) = (self.u64()?, self.u64()?);
        let event = match kind {
            1 => Event::Asked(Box::new(self.asked(entries)?)),
            2 => Event::Judged(self.judged()?),
            3 => Event::Sent(self.sent()?),
            4 => Event::Again(self.again()?),
            5 => Event::Done(self.done()?),
            _ => return None,
        };
        self.0.is_empty().then_some(Record { worker, request, at, event })
    }

    fn asked(&mut self, entries: &[&str]) -> Option<Asked> {
        let cut = self.flag()?;
        let epoch = self.u64()?;
        let entry = (*entries.get(usize::from(self.u16()?))?).to_owned();
        let (tls, options, from) = (self.flag()?, self.text()?, self.ip()?);
        let (method, authority, target) = (self.text()?, self.text()?, self.text()?);
        let mut fields = Vec::new();
        while !self.0.is_empty() {
            fields.push((self.text()?, self.text()?));
        }
        Some(Asked { epoch, entry, tls, options, from, method, authority, target, fields, cut })
    }

    fn judged(&mut self) -> Option<Judged> {
        let step = self.u16()?;
        let what = [What::Answered, What::Refused, What::Held];
        let what = *what.get(usize::from(self.u8()?))?;
        Some(Judged { step, what, status: self.u16()? })
    }

    fn sent(&mut self) -> Option<Sent> {
        let (router, service) = (self.text()?, self.text()?);
        let (mirrored, passed_by) = (self.flag()?, self.flag()?);
        let to = match self.u8()? {
            0 => To::Server(self.text()?),
            1 => To::Internal(self.text()?),
            2 => To::Nobody,
            _ => To::Guarded(self.text()?),
        };
        let mut choices = Vec::new();
        while !self.0.is_empty() {
            let service = self.text()?;
            let (ticket, turn) = (self.u64()?, self.u16()?);
            let sessions = [Session::None, Session::Kept, Session::Renewed, Session::Begun];
            let session = *sessions.get(usize::from(self.u8()?))?;
            let instead = self.flag()?;
            let loads = (0..self.u16()?).map(|_| Some((self.u32()?, self.u64()?)));
            let loads = loads.collect::<Option<_>>()?;
            choices.push(Chosen { service, ticket, turn, session, instead, loads });
        }
        Some(Sent { router, service, choices, to, mirrored, passed_by })
    }

    fn again(&mut self) -> Option<Again> {
        let why = [Why::Unreached, Why::Lost, Why::Answered, Why::Barred, Why::OtherSide];
        Some(Again { why: *why.get(usize::from(self.u8()?))?, status: self.u16()? })
    }

    fn done(&mut self) -> Option<Done> {
        Some(Done {
            router: self.text()?,
            passed: self.u16()?,
            status: self.u16()?,
            server_status: self.u16()?,
            retries: self.u32()?,
        })
    }
}
