//! TLS on the end of a link that an actor holds: the actor reads and writes what it means, and
//! sealed records travel. What an actor gives back goes on until its last words are written.

use crate::fault::Kind;
use crate::net::Net;
use crate::oracle::Oracle;
use crate::secure::wardrobe::UNKNOWN;
use crate::wire::{EndId, Owner, Read};
use engine::boundary::{Close, Fault};
use rustls::{AlertDescription, Connection, Error};
use std::collections::VecDeque;
use std::io::{Read as _, Write as _};

#[derive(Debug)]
pub struct Cloak {
    tls: Connection,
    /// The side that greets first.
    client: bool,
    /// Sealed and not written.
    sealed: Vec<u8>,
    /// Opened and not read.
    opened: VecDeque<u8>,
    /// Both sides have agreed.
    agreed: bool,
    /// No more will be written once `sealed` is.
    shut: bool,
    /// Nothing is written any more.
    silent: bool,
    /// Of what is sealed from here on nothing is written.
    cut: bool,
    /// Given back by its actor.
    closing: bool,
    /// Nothing that comes means anything any more.
    failed: bool,
    /// The stream of the link has ended.
    ended: bool,
}

/// Plaintext that is sealed at once.
const RECORD: usize = 4_096;
/// What somebody says who has forgotten that TLS is spoken.
const PLAIN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

impl Net {
    /// From here on records travel between this end and the other.
    pub fn wear(&mut self, end: EndId, tls: Connection) {
        let cloak = Cloak {
            client: matches!(tls, Connection::Client(_)),
            tls,
            sealed: Vec::new(),
            opened: VecDeque::new(),
            agreed: false,
            shut: false,
            silent: false,
            cut: false,
            closing: false,
            failed: false,
            ended: false,
        };
        self.cloaks.insert(end, Box::new(cloak));
        self.with_cloak(end, |_, _, _| ());
    }

    /// The application protocol of an end whose sides have agreed on TLS.
    pub fn protocol(&self, end: EndId) -> Option<&[u8]> {
        self.cloaks.get(&end)?.tls.alpn_protocol()
    }

    /// Whether what is written at this end can be meant for anybody: always, without TLS.
    pub fn is_agreed(&self, end: EndId) -> bool {
        self.cloaks.get(&end).is_none_or(|cloak| cloak.agreed)
    }

    /// Calls `act`, if the end wears a cloak, and writes what came of it.
    pub(crate) fn with_cloak<T>(
        &mut self,
        end: EndId,
        act: impl FnOnce(&mut Self, EndId, &mut Cloak) -> T,
    ) -> Option<T> {
        let mut cloak = self.cloaks.remove(&end)?;
        let done = act(self, end, &mut cloak);
        self.pump(end, &mut cloak);
        let over = cloak.closing && (cloak.sealed.is_empty() || cloak.failed);
        if over {
            self.close_link(end, Close::Gentle);
        } else {
            self.cloaks.insert(end, cloak);
        }
        Some(done)
    }

    /// Writes what is sealed, as far as there is room.
    fn pump(&mut self, end: EndId, cloak: &mut Cloak) {
        let before = cloak.sealed.len();
        while cloak.tls.wants_write() {
            cloak.tls.write_tls(&mut cloak.sealed).expect("memory takes everything");
        }
        if cloak.cut {
            cloak.sealed.truncate(before);
        }
        if cloak.silent {
            cloak.sealed.clear();
        }
        if cloak.sealed.is_empty() {
            return self.shut_if_due(end, cloak);
        }
        if !cloak.cut {
            self.spoil(end, cloak);
        }
        match self.write_link(end, &cloak.sealed) {
            Ok(count) => {
                cloak.sealed.drain(..count);
            }
            Err(_) => {
                cloak.failed = true;
                cloak.sealed.clear();
            }
        }
        if cloak.sealed.is_empty() {
            self.shut_if_due(end, cloak);
        }
    }

    /// Perhaps somebody on the way, or this end, does something to what is sealed.
    fn spoil(&mut self, end: EndId, cloak: &mut Cloak) {
        let kinds = [Kind::RecordBroken, Kind::RecordCut, Kind::RecordPlain];
        let kinds = if cloak.agreed { &kinds[..] } else { &[Kind::RecordSpoilt] };
        let Some(kind) = kinds.iter().copied().find(|kind| self.faults.strikes(*kind)) else {
            return;
        };
        self.wound(end, kind);
        let at = self.faults.chance.below(cloak.sealed.len() as u64);
        let at = usize::try_from(at).expect("below a length");
        if kind == Kind::RecordCut {
            cloak.sealed.truncate(at);
            (cloak.cut, cloak.shut) = (true, true);
        } else if kind == Kind::RecordPlain {
            cloak.sealed.extend_from_slice(PLAIN);
        } else {
            cloak.sealed[at] ^= 0x20;
        }
        if kind == Kind::RecordSpoilt {
            self.faults.observed(kind);
        }
    }

    fn shut_if_due(&mut self, end: EndId, cloak: &mut Cloak) {
        if std::mem::take(&mut cloak.shut) {
            cloak.silent = true;
            self.shut_link(end);
        }
    }

    /// Something happened to the link below: true if nobody else needs to look.
    pub(crate) fn stir(&mut self, end: EndId) -> bool {
        let closing = |net: &mut Self, end: EndId, cloak: &mut Cloak| {
            if cloak.closing {
                let mut bytes = [0; RECORD];
                loop {
                    match net.read_link(end, &mut bytes) {
                        Read::Bytes(_) => {}
                        Read::Nothing | Read::End => break,
                        Read::Reset => {
                            cloak.failed = true;
                            break;
                        }
                    }
                }
            }
            cloak.closing
        };
        self.with_cloak(end, closing).unwrap_or(false)
    }

    pub(crate) fn write_sealed(
        &mut self,
        end: EndId,
        cloak: &mut Cloak,
        bytes: &[u8],
    ) -> Result<usize, Fault> {
        self.pump(end, cloak);
        self.room(end)?;
        if cloak.failed {
            return Err(Fault::Reset);
        }
        if !cloak.agreed || !cloak.sealed.is_empty() {
            return Ok(0);
        }
        let count = bytes.len().min(RECORD);
        Ok(cloak.tls.writer().write(&bytes[..count]).unwrap_or(0))
    }

    pub(crate) fn read_opened(&mut self, end: EndId, cloak: &mut Cloak, out: &mut [u8]) -> Read {
        loop {
            if !cloak.opened.is_empty() {
                let count = cloak.opened.read(out).expect("memory gives what it has");
                return Read::Bytes(count);
            }
            match cloak.tls.reader().read(out) {
                Ok(0) => return Read::End,
                Ok(_) => unreachable!("all was taken when it was opened"),
                Err(_) if cloak.failed => return Read::Reset,
                Err(_) => {}
            }
            let mut bytes = [0; RECORD];
            match self.read_link(end, &mut bytes) {
                Read::Bytes(count) => self.open_record(end, cloak, &bytes[..count]),
                Read::Nothing => return Read::Nothing,
                Read::Reset => cloak.failed = true,
                // Without a notice before it, nobody knows whether something is missing.
                Read::End => {
                    cloak.ended = true;
                    cloak.failed = true;
                }
            }
        }
    }

    fn open_record(&mut self, end: EndId, cloak: &mut Cloak, mut bytes: &[u8]) {
        self.clock.set(self.now.nanos() / 1_000_000_000);
        // Whoever took leave before both sides agreed waits for nothing any more.
        let left = cloak.shut || cloak.silent || cloak.closing;
        cloak.failed |= left && cloak.tls.is_handshaking();
        while !bytes.is_empty() && !cloak.failed {
            let taken = cloak.tls.read_tls(&mut bytes);
            cloak.failed |= taken.is_err();
            if let Err(error) = cloak.tls.process_new_packets() {
                cloak.failed = true;
                self.on_refusal(end, &error);
            }
            let mut opened = Vec::new();
            // That nothing more is there looks like an error.
            let _ = cloak.tls.reader().read_to_end(&mut opened);
            cloak.opened.extend(opened);
            if matches!(taken, Ok(0)) {
                break;
            }
        }
        if !cloak.agreed && !cloak.failed && !cloak.tls.is_handshaking() {
            cloak.agreed = true;
            self.judge_protocol(end, cloak);
            // Whoever waited to write may do so now.
            if let Some(Owner::Actor(actor)) = self.link(end).map(|link| link.end(end.side).owner) {
                self.notify_now(actor, end);
            }
        }
    }

    /// One of the two has found that there is nothing that both speak.
    fn on_refusal(&mut self, end: EndId, error: &Error) {
        let told = matches!(
            error,
            Error::NoApplicationProtocol
                | Error::AlertReceived(AlertDescription::NoApplicationProtocol)
        );
        if told && self.wounds.has(end.link, Kind::ProtocolUnknown) {
            self.faults.observed(Kind::ProtocolUnknown);
        }
    }

    /// Whoever was offered something else entirely has no business to agree.
    fn judge_protocol(&mut self, end: EndId, cloak: &Cloak) {
        let agreed = cloak.tls.alpn_protocol();
        if agreed == Some(UNKNOWN) || (cloak.client && agreed.is_none() && self.is_unknown(end)) {
            let agreed = agreed.map(String::from_utf8_lossy).map(String::from);
            let text = || format!("TLS was agreed on with the protocol {agreed:?}");
            self.verdict.add(Oracle::H4, self.now, text);
        }
    }

    fn is_unknown(&self, end: EndId) -> bool {
        self.wounds.has(end.link, Kind::ProtocolUnknown)
    }

    /// What these bytes decrypt to, of what has not been read.
    pub(crate) fn open_all(&mut self, end: EndId, cloak: &mut Cloak, bytes: &[u8]) -> Vec<u8> {
        cloak.failed = false;
        self.open_record(end, cloak, bytes);
        cloak.failed = true;
        cloak.opened.drain(..).collect()
    }

    pub(crate) fn shut_cloak(&mut self, end: EndId, cloak: &mut Cloak) {
        if !self.faults.strikes(Kind::NoticeMissing) {
            cloak.tls.send_close_notify();
        } else {
            self.faults.observed(Kind::NoticeMissing);
            self.wound(end, Kind::NoticeMissing);
        }
        cloak.shut = true;
    }

    pub(crate) fn close_cloak(&mut self, end: EndId, cloak: &mut Cloak) {
        if !cloak.failed {
            self.shut_cloak(end, cloak);
        }
        // The link ends by itself.
        cloak.shut = false;
        cloak.closing = true;
    }
}
