//! One end of a TLS connection, in memory: wire bytes in, plaintext out, and the other way round.
//!
//! ```text
//!   Greeting ──hello is whole──▶ Open(handshake) ──finished──▶ Open(data) ──▶ closed by notice
//!      └──────────── refused ───────┴──────────────────────────────┴──────▶ Failed
//! ```

use super::caller::name_of;
use super::chain::Chain;
use super::connector::{Connector, Expected};
use super::crypto::known;
use super::der::CertificateInfo;
use super::door::{Door, Policy};
use super::refusal::Refusal;
use crate::config::tls::Suite;
use rustls::server::{Accepted, AcceptedAlert, Acceptor};
use rustls::{Connection, HandshakeKind};
use std::io::{self, BufRead, IoSlice, Write};
use std::sync::Arc;

/// Plaintext of one record.
const RECORD_BYTES: usize = 16 * 1024;
/// Pieces of plaintext that are sealed together.
const PIECES_MAX: usize = 16;

#[derive(Debug)]
pub struct Session {
    state: State,
    /// What the client of a door asked for and got.
    policy: Option<Arc<Policy>>,
    /// Which connector it is of.
    connector: Option<u64>,
    /// What the server has to be, until it is known what it is.
    expected: Option<Box<Expected>>,
    /// What the client is called, if its certificate was verified.
    caller: Option<Arc<str>>,
    /// What the client showed.
    chain: Option<Arc<Chain>>,
    /// It is known who the other side is.
    settled: bool,
    closed_by_peer: bool,
    notified: bool,
    /// Refused: nothing that comes means anything.
    failed: bool,
}

enum State {
    /// The server's side, until the client has said what it wants.
    Greeting {
        acceptor: Box<Acceptor>,
        door: Arc<Door>,
    },
    Open(Box<Connection>),
    /// Nothing is read or written any more, except for last words.
    Failed(Option<AcceptedAlert>),
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Greeting { .. } => "Greeting",
            Self::Open(_) => "Open",
            Self::Failed(_) => "Failed",
        })
    }
}

/// Where decrypted bytes go. False if there is no room: the session is then of no more use.
pub type Sink<'a> = dyn FnMut(&[u8]) -> bool + 'a;

/// Why feeding a session ended early.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    Refused(Refusal),
    /// The sink had no room.
    NoRoom,
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Session {
    pub fn server(door: Arc<Door>) -> Self {
        Self::new(State::Greeting { acceptor: Box::default(), door })
    }

    /// Greets a server, and offers it `protocols`, the best one first.
    pub fn client(connector: &Connector, host: &str, protocols: &[&[u8]]) -> Result<Self, Refusal> {
        let (connection, expected) = connector.connection(host, protocols)?;
        let mut session = Self::new(State::Open(Box::new(connection.into())));
        session.connector = Some(connector.number);
        session.expected = Some(Box::new(expected));
        Ok(session)
    }

    fn new(state: State) -> Self {
        Self {
            state,
            policy: None,
            connector: None,
            expected: None,
            caller: None,
            chain: None,
            settled: false,
            closed_by_peer: false,
            notified: false,
            failed: false,
        }
    }

    /// Takes bytes as they arrived and hands out what they decrypt to. After a refusal there may be
    /// last words to write.
    pub fn feed(&mut self, mut wire: &[u8], sink: &mut Sink<'_>) -> Result<(), Trouble> {
        // Whoever took leave before both sides agreed waits for nothing any more.
        if self.notified && !self.is_ready() {
            return Ok(());
        }
        while !wire.is_empty() && !self.failed {
            let fed = match &mut self.state {
                State::Greeting { .. } => self.greet(&mut wire, sink),
                State::Open(_) => self.read(&mut wire, sink),
                State::Failed(_) => return Ok(()),
            };
            self.failed = fed.is_err();
            fed?;
        }
        Ok(())
    }

    fn greet(&mut self, wire: &mut &[u8], sink: &mut Sink<'_>) -> Result<(), Trouble> {
        let State::Greeting { acceptor, door } = &mut self.state else { return Ok(()) };
        if acceptor.read_tls(wire).is_err() {
            return Err(Refusal::Garbage.into());
        }
        match acceptor.accept() {
            Ok(None) => Ok(()),
            Ok(Some(accepted)) => {
                let policy = Arc::clone(door.policy(accepted.client_hello().server_name()));
                self.enter(accepted, &policy)?;
                // Bytes behind the greeting wait inside.
                self.process(sink)
            }
            Err((error, alert)) => {
                self.state = State::Failed(Some(alert));
                Err(Refusal::of(&error).into())
            }
        }
    }

    /// The client has said which name it wants, and that decides about everything else.
    fn enter(&mut self, accepted: Accepted, policy: &Arc<Policy>) -> Result<(), Refusal> {
        let Some(config) = &policy.config else {
            self.state = State::Failed(None);
            return Err(Refusal::NotOffered);
        };
        match accepted.into_connection(Arc::clone(config)) {
            Ok(connection) => {
                self.policy = Some(Arc::clone(policy));
                self.state = State::Open(Box::new(connection.into()));
                Ok(())
            }
            Err((error, alert)) => {
                self.state = State::Failed(Some(alert));
                Err(Refusal::of(&error))
            }
        }
    }

    fn read(&mut self, wire: &mut &[u8], sink: &mut Sink<'_>) -> Result<(), Trouble> {
        let State::Open(connection) = &mut self.state else { return Ok(()) };
        match connection.read_tls(wire) {
            // After the other side's notice nothing that comes means anything.
            Ok(0) => *wire = &[],
            Ok(_) => {}
            Err(_) => return Err(Refusal::Garbage.into()),
        }
        self.process(sink)
    }

    /// Opens what is here. Records before one that is broken are as good as ever, and what they say
    /// is handed out.
    fn process(&mut self, sink: &mut Sink<'_>) -> Result<(), Trouble> {
        let State::Open(connection) = &mut self.state else { return Ok(()) };
        let state = match connection.process_new_packets() {
            Ok(state) => state,
            Err(error) => {
                if self.settled {
                    self.hand_out(sink)?;
                }
                return Err(Refusal::of(&error).into());
            }
        };
        self.closed_by_peer |= state.peer_has_closed();
        if !self.settled && !connection.is_handshaking() {
            self.settle()?;
        }
        self.hand_out(sink)
    }

    fn hand_out(&mut self, sink: &mut Sink<'_>) -> Result<(), Trouble> {
        let State::Open(connection) = &mut self.state else { return Ok(()) };
        let mut reader = connection.reader();
        loop {
            let bytes = match reader.fill_buf() {
                Ok(bytes) if !bytes.is_empty() => bytes,
                Ok(_) | Err(_) => return Ok(()),
            };
            let count = bytes.len();
            if !sink(bytes) {
                return Err(Trouble::NoRoom);
            }
            reader.consume(count);
        }
    }

    /// Both sides have agreed. Whoever takes up an earlier session has shown no certificate again:
    /// what it showed then is judged by what holds now.
    fn settle(&mut self) -> Result<(), Refusal> {
        self.settled = true;
        let expected = self.expected.take();
        let State::Open(connection) = &self.state else { return Ok(()) };
        let chain = connection.peer_certificates().unwrap_or_default();
        let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        if resumed && let Some(expected) = expected {
            expected.judge(chain).map_err(|error| Refusal::of(&error))?;
        }
        if self.policy.is_some() {
            self.chain = Chain::of(chain).map(Arc::new);
        }
        let Some(policy) = self.policy.as_ref().filter(|policy| policy.verifies) else {
            return Ok(());
        };
        if resumed {
            policy.judge(chain).map_err(|error| Refusal::of(&error))?;
        }
        let info = chain.first().and_then(|end| Some((CertificateInfo::read(end)?, end)));
        self.caller = info.map(|(info, end)| name_of(&info, end).into());
        Ok(())
    }

    /// Encrypts plaintext, at most a record of it: how many bytes were taken.
    pub fn seal<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>) -> usize {
        let State::Open(connection) = &mut self.state else { return 0 };
        let mut slices = [IoSlice::new(&[]); PIECES_MAX];
        let mut room = RECORD_BYTES;
        let mut count = 0;
        for (slot, piece) in slices.iter_mut().zip(pieces) {
            *slot = IoSlice::new(&piece[..piece.len().min(room)]);
            room -= slot.len();
            count += 1;
            if room == 0 {
                break;
            }
        }
        connection.writer().write_vectored(&slices[..count]).unwrap_or(0)
    }

    /// Moves what is to go out to `out`: handshake, sealed records, alerts.
    pub fn write_to(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match &mut self.state {
            State::Greeting { .. } => {}
            State::Open(connection) => {
                while connection.wants_write() {
                    connection.write_tls(out)?;
                }
            }
            State::Failed(alert) => {
                if let Some(mut alert) = alert.take() {
                    alert.write_all(out)?;
                }
            }
        }
        Ok(())
    }

    /// Says that nothing more will come. What was sealed before goes first.
    pub fn close(&mut self) {
        if let State::Open(connection) = &mut self.state
            && !self.notified
        {
            connection.send_close_notify();
        }
        self.notified = true;
    }

    /// Whether both sides have agreed, so that plaintext can be sealed.
    pub fn is_ready(&self) -> bool {
        let agreed = matches!(&self.state, State::Open(connection) if !connection.is_handshaking());
        agreed && !self.failed
    }

    /// Whether the other side has said that nothing more will come.
    pub fn is_closed_by_peer(&self) -> bool {
        self.closed_by_peer
    }

    /// Whether it was made by this very connector.
    pub fn is_of(&self, connector: &Connector) -> bool {
        self.connector == Some(connector.number)
    }

    /// Whether an earlier session was taken up again.
    pub fn is_resumed(&self) -> bool {
        let State::Open(connection) = &self.state else { return false };
        connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// What the client of a door got; nothing before its greeting was read.
    pub fn policy(&self) -> Option<&Arc<Policy>> {
        self.policy.as_ref()
    }

    /// What the client is called, if its certificate was verified.
    pub fn caller(&self) -> Option<&Arc<str>> {
        self.caller.as_ref()
    }

    /// The certificates that the client showed, its own one first.
    pub fn chain(&self) -> Option<&Arc<Chain>> {
        self.chain.as_ref()
    }

    /// What the certificate of the server says, to its client.
    pub fn met(&self) -> Option<CertificateInfo> {
        let State::Open(connection) = &self.state else { return None };
        CertificateInfo::read(connection.peer_certificates()?.first()?)
    }

    /// The application protocol both sides agreed on.
    pub fn alpn(&self) -> Option<&[u8]> {
        match &self.state {
            State::Open(connection) => connection.alpn_protocol(),
            State::Greeting { .. } | State::Failed(_) => None,
        }
    }

    /// The cipher suite, and with it the version, that both sides agreed on.
    pub fn suite(&self) -> Option<Suite> {
        let State::Open(connection) = &self.state else { return None };
        known(&connection.negotiated_cipher_suite()?)
    }
}
