//! Byte streams between two ends: in order, with a window, a latency and a temper.

use engine::base::id::ConnId;
use engine::base::time::{Span, Time};
use engine::boundary::Fault;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// One end of a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct EndId {
    pub link: u32,
    pub side: u8,
}

impl EndId {
    pub fn peer(self) -> Self {
        Self { link: self.link, side: 1 - self.side }
    }
}

/// Who holds an end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// Waiting in a backlog.
    Nobody,
    Machine {
        host: u16,
        conn: ConnId,
    },
    Actor(u16),
    /// Closed.
    Gone,
}

#[derive(Debug)]
pub struct End {
    pub owner: Owner,
    pub addr: SocketAddr,
    /// Every later operation fails with this.
    pub broken: Option<Fault>,
    /// An actor has a notice under way.
    pub noticed: bool,
}

/// What travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flight {
    Bytes(u32),
    Fin,
    Reset,
}

/// One direction.
#[derive(Debug)]
pub struct Pipe {
    /// Written and not yet read.
    pub data: VecDeque<u8>,
    /// Of these, arrived.
    pub ready: usize,
    pub flights: VecDeque<Flight>,
    pub last_arrival: Time,
    /// The writer will write no more.
    pub shut: bool,
    /// The end of the stream has arrived.
    pub eof: bool,
    /// A reset has arrived.
    pub reset: bool,
    /// What is still under way will be lost.
    pub lost: bool,
    /// What was under way and lost.
    pub dropped: Vec<u8>,
    pub stalled: bool,
    pub window: usize,
    pub latency: Span,
    pub temper: Temper,
}

/// How bytes are cut on their way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Temper {
    Even,
    ByteByByte,
    Clumped,
    Slow,
}

#[derive(Debug)]
pub struct Link {
    pub ends: [End; 2],
    /// By the side that writes.
    pub pipes: [Pipe; 2],
}

/// What reading gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Read {
    Bytes(usize),
    Nothing,
    End,
    Reset,
}

impl Pipe {
    pub fn new(window: usize, latency: Span, temper: Temper) -> Self {
        Self {
            data: VecDeque::new(),
            ready: 0,
            flights: VecDeque::new(),
            last_arrival: Time::ZERO,
            shut: false,
            eof: false,
            reset: false,
            lost: false,
            dropped: Vec::new(),
            stalled: false,
            window,
            latency,
            temper,
        }
    }

    pub fn room(&self) -> usize {
        self.window.saturating_sub(self.data.len())
    }

    /// Whether a read would not wait.
    pub fn readable(&self) -> bool {
        self.ready > 0 || self.eof || self.reset
    }

    /// Moves arrived bytes into `out`, up to its length.
    pub fn take(&mut self, out: &mut [u8]) -> usize {
        let count = out.len().min(self.ready);
        let (front, back) = self.data.as_slices();
        let first = front.len().min(count);
        out[..first].copy_from_slice(&front[..first]);
        out[first..count].copy_from_slice(&back[..count - first]);
        self.data.drain(..count);
        self.ready -= count;
        count
    }

    /// The front flight lands.
    pub fn land(&mut self) -> Option<Flight> {
        let flight = self.flights.pop_front()?;
        match flight {
            Flight::Bytes(count) if self.lost => {
                let keep = self.data.len() - count as usize;
                let from = self.ready;
                self.dropped.extend(self.data.drain(from..from + count as usize));
                debug_assert_eq!(self.data.len(), keep);
            }
            Flight::Bytes(count) => self.ready += count as usize,
            Flight::Fin => self.eof = !self.lost,
            Flight::Reset => self.reset = true,
        }
        Some(flight)
    }
}

impl Link {
    /// What the holder of side `side` reads from.
    pub fn incoming(&mut self, side: u8) -> &mut Pipe {
        &mut self.pipes[1 - side as usize]
    }

    pub fn outgoing(&mut self, side: u8) -> &mut Pipe {
        &mut self.pipes[side as usize]
    }

    pub fn end(&mut self, side: u8) -> &mut End {
        &mut self.ends[side as usize]
    }
}
