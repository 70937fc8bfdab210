//! The machine that plays scenarios: it asks for what it is told to and writes down what it sees.

use super::scenarios::FLOOD;
use super::{Ask, Seen, Step};
use crate::base::id::{ConnId, ListenerId};
use crate::base::page::{Chunk, PageSize, Pool};
use crate::base::time::Time;
use crate::boundary::{Batch, Deadline, Effect, Input, Lent, Machine, OpId, Outcome};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};

const LISTENER: ListenerId = ListenerId(0);

/// The longest message; shorter ones are its beginning.
static MESSAGE: LazyLock<Arc<[u8]>> = LazyLock::new(|| (0..FLOOD).map(pattern).collect());

/// A machine with one connection and one listener, directed through its [`Script`].
#[derive(Debug)]
pub struct Toy(Script);

/// The director's side of a [`Toy`].
#[derive(Clone, Debug)]
pub struct Script(Rc<RefCell<Inner>>);

#[derive(Debug)]
struct Inner {
    pool: Pool,
    /// Its one slot; every opening is a generation of its own.
    conn: ConnId,
    /// Where the peer listens, and where nobody does.
    peer: SocketAddr,
    nobody: SocketAddr,
    todo: Vec<Effect>,
    /// Pages and bytes of each for the next read; zero pages is none to lend.
    lend: (u32, u32),
    /// Bytes and chunks of the next write, then bytes of the one under way.
    gather: (u32, u32),
    sending: u32,
    seen: VecDeque<Seen>,
    waiting: Option<Waker>,
}

impl Toy {
    pub fn new(peer: SocketAddr, nobody: SocketAddr) -> (Self, Script) {
        let script = Script(Rc::new(RefCell::new(Inner {
            pool: Pool::new(1, 1, 4096, 16),
            conn: ConnId { slot: 0, generation: 0 },
            peer,
            nobody,
            todo: Vec::new(),
            lend: (0, 0),
            gather: (0, 0),
            sending: 0,
            seen: VecDeque::new(),
            waiting: None,
        })));
        (Self(script.clone()), script)
    }
}

impl Script {
    /// Queues an effect, which the driver gets at its next turn: an [`Input::Changed`] makes one.
    pub fn ask(&self, ask: Ask) {
        let mut inner = self.0.borrow_mut();
        if matches!(ask, Ask::Accept | Ask::Connect | Ask::ConnectToNobody) {
            inner.conn.generation += 1;
        }
        let conn = inner.conn;
        let effect = match ask {
            Ask::Accept => Effect::Accept { conn, listener: LISTENER },
            Ask::Connect => Effect::Connect { conn, to: inner.peer },
            Ask::ConnectToNobody => Effect::Connect { conn, to: inner.nobody },
            Ask::Recv => inner.recv(1, 4096),
            Ask::RecvPages(pages, bytes) => inner.recv(pages, bytes),
            Ask::RecvNothing => inner.recv(0, 0),
            Ask::Send(bytes, chunks) => {
                inner.gather = (bytes, chunks);
                Effect::Send { conn }
            }
            Ask::Shut => Effect::Shut { conn },
            Ask::Close(how) => Effect::Close { conn, how },
            Ask::StopListening => Effect::StopListening { listener: LISTENER },
        };
        inner.todo.push(effect);
    }

    /// Ends the play.
    pub fn finish(&self) {
        self.0.borrow_mut().todo.push(Effect::Finished);
    }

    /// The next outcome, once there is one.
    pub fn poll_seen(&self, cx: &Context<'_>) -> Poll<Seen> {
        let mut inner = self.0.borrow_mut();
        match inner.seen.pop_front() {
            Some(seen) => Poll::Ready(seen),
            None => {
                inner.waiting = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Compares an outcome with what `step` still expects; takes it out of `expected`.
    #[track_caller]
    pub fn judge(step: &Step, expected: &mut Vec<Seen>, seen: Seen) {
        match expected.iter().position(|one| *one == seen) {
            Some(at) => drop(expected.remove(at)),
            None => panic!("saw {seen:?} at {step:?}"),
        }
    }

    /// Waits until everything was seen that `step` expects.
    ///
    /// # Panics
    /// If something else was.
    pub async fn see(&self, step: &Step, expected: &[Seen]) {
        let mut expected = expected.to_vec();
        while !expected.is_empty() {
            let seen = poll_fn(|cx| self.poll_seen(cx)).await;
            Self::judge(step, &mut expected, seen);
        }
    }

    /// Outcomes that nobody expected.
    pub fn unexpected(&self) -> Vec<Seen> {
        self.0.borrow().seen.iter().copied().collect()
    }
}

impl Inner {
    fn recv(&mut self, pages: u32, bytes: u32) -> Effect {
        self.lend = (pages, bytes);
        Effect::Recv { conn: self.conn }
    }

    fn page(&self, bytes: u32) -> crate::base::page::Page {
        let mut page = self.pool.take(PageSize::Large).expect("sixteen pages are enough");
        let unwanted = page.spare() - bytes as usize;
        page.advance(unwanted);
        page
    }

    fn note(&mut self, op: OpId, outcome: &Outcome) -> Seen {
        match outcome {
            Outcome::Accepted { .. } => Seen::Accepted,
            Outcome::Connected => Seen::Connected,
            Outcome::Received(lent) => match self.received(lent) {
                0 => Seen::End,
                count => Seen::Received(count),
            },
            Outcome::Sent(count) if *count == self.sending => Seen::SentAll,
            Outcome::Sent(_) => Seen::SentSome,
            Outcome::Shut => Seen::Shut,
            Outcome::Closed => Seen::Closed,
            Outcome::Failed(fault) => Seen::Failed(op.kind, *fault),
        }
    }

    /// New bytes: pages were lent filled but for the room they should offer.
    fn received(&self, lent: &Lent) -> u32 {
        let (pages, bytes) = self.lend;
        let before = (4096 - bytes) * pages;
        u32::try_from(lent.bytes()).expect("a few pages") - before
    }
}

impl Machine for Toy {
    fn handle(&mut self, input: Input, _now: Time) {
        let mut inner = self.0.0.borrow_mut();
        if let Input::Done { op, outcome } = input {
            let seen = inner.note(op, &outcome);
            inner.seen.push_back(seen);
            if let Some(waker) = inner.waiting.take() {
                waker.wake();
            }
        }
    }

    fn tick(&mut self, _now: Time) {}

    fn effects(&mut self, out: &mut Vec<Effect>) {
        out.append(&mut self.0.0.borrow_mut().todo);
    }

    fn lend(&mut self, _conn: ConnId) -> Option<Lent> {
        let inner = self.0.0.borrow();
        let (pages, bytes) = inner.lend;
        match pages {
            0 => None,
            1 => Some(Lent::One(inner.page(bytes))),
            _ => Some(Lent::Many((0..pages).map(|_| inner.page(bytes)).collect())),
        }
    }

    fn gather(&mut self, _conn: ConnId, out: &mut Batch) {
        let mut inner = self.0.0.borrow_mut();
        let (bytes, chunks) = inner.gather;
        inner.sending = bytes;
        // Numbered through the whole message, so that order can be checked.
        let each = bytes / chunks;
        for at in 0..chunks {
            let last = at + 1 == chunks;
            let (start, end) = (at * each, if last { bytes } else { (at + 1) * each });
            out.push(Chunk::Shared { bytes: MESSAGE.clone(), start, end });
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        None
    }

    fn check(&self) {}
}

/// The byte at this place of every message, both ways.
pub fn pattern(at: u32) -> u8 {
    u8::try_from(at % 251).expect("below 251")
}
