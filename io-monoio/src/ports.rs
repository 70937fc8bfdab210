//! All sockets of one machine: turns effects into operations, and operations into inputs.

use crate::bell::{self, Inbox};
use crate::buf::{Chunks, Pages};
use crate::listen::Listener;
use crate::port::{self, Port};
use engine::base::id::{ConnId, ListenerId};
use engine::base::page::{Chunk, Page};
use engine::boundary::{Batch, Close, Fault, Machine, OpKind, Outcome};
use monoio::net::TcpStream;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;

/// The sockets of one machine.
pub(crate) struct Ports {
    pub(crate) inbox: Inbox,
    pub(crate) spare: Spare,
    open: RefCell<Vec<Option<Rc<Port>>>>,
    /// Ports that were asked for something since they last ran.
    asked: RefCell<Vec<Rc<Port>>>,
    count: Cell<usize>,
    listeners: RefCell<Vec<Option<Rc<Listener>>>>,
}

/// What one write offers.
pub(crate) enum Offer {
    One(Chunk),
    Many(Box<Chunks>),
}

/// Lists for vectored operations, kept for reuse. Boxed, so that the task of a connection that
/// never needs them is not as large as if it did.
#[derive(Default)]
pub(crate) struct Spare {
    batch: RefCell<Batch>,
    #[expect(clippy::vec_box, reason = "the boxes themselves are reused")]
    chunks: RefCell<Vec<Box<Chunks>>>,
    #[expect(clippy::vec_box, reason = "the boxes themselves are reused")]
    pages: RefCell<Vec<Box<Pages>>>,
}

impl Spare {
    pub(crate) fn pages(&self, pages: Vec<Page>) -> Box<Pages> {
        let mut list = self.pages.borrow_mut().pop().unwrap_or_default();
        list.fill(pages);
        list
    }

    pub(crate) fn keep_pages(&self, mut list: Box<Pages>) -> Vec<Page> {
        let pages = list.take();
        self.pages.borrow_mut().push(list);
        pages
    }

    pub(crate) fn keep_chunks(&self, mut list: Box<Chunks>) {
        list.clear();
        self.chunks.borrow_mut().push(list);
    }
}

impl Ports {
    /// `listeners` in the order of their ids.
    pub(crate) fn new(listeners: Vec<Listener>) -> Rc<Self> {
        Rc::new(Self {
            inbox: Inbox::default(),
            spare: Spare::default(),
            open: RefCell::default(),
            asked: RefCell::default(),
            count: Cell::new(0),
            listeners: RefCell::new(listeners.into_iter().map(|one| Some(Rc::new(one))).collect()),
        })
    }

    pub(crate) fn accept(self: &Rc<Self>, conn: ConnId, listener: ListenerId) {
        let found = self.listeners.borrow().get(usize::from(listener.0)).cloned().flatten();
        match found {
            Some(listener) => listener.ask(conn, self),
            None => self.inbox.failed(conn, OpKind::Accept, Fault::Cancelled),
        }
    }

    /// `stream` was accepted for `conn`.
    pub(crate) fn accepted(self: &Rc<Self>, conn: ConnId, stream: TcpStream, peer: SocketAddr) {
        let port = self.open(conn);
        let (reader, writer) = port.open(stream);
        port.begin(port::serve(port.clone(), self.clone(), reader, writer));
        self.inbox.done(conn, OpKind::Accept, Outcome::Accepted { peer });
    }

    pub(crate) fn connect(self: &Rc<Self>, conn: ConnId, to: SocketAddr) {
        let port = self.open(conn);
        port.begin(port::dial(port.clone(), self.clone(), to));
        self.ask(port);
    }

    /// Lets every port go on whose operations may have finished. `slots` is for reuse.
    pub(crate) fn run_called(&self, slots: &mut Vec<u32>) {
        bell::called(slots);
        for slot in slots.drain(..) {
            let port = self.open.borrow().get(slot as usize).cloned().flatten();
            if let Some(port) = port {
                port.run();
            }
        }
    }

    /// Lets every port go on that was asked for something.
    pub(crate) fn run_asked(&self) {
        let mut asked = self.asked.take();
        asked.drain(..).for_each(|port| port.run());
        self.asked.replace(asked);
    }

    fn ask(&self, port: Rc<Port>) {
        if !port.asked.replace(true) {
            self.asked.borrow_mut().push(port);
        }
    }

    pub(crate) fn recv<M: Machine>(&self, conn: ConnId, machine: &mut M) {
        let Some(port) = self.find(conn) else {
            return self.inbox.failed(conn, OpKind::Recv, Fault::Cancelled);
        };
        match machine.lend(conn) {
            Some(lent) => {
                port.recv(lent);
                self.ask(port);
            }
            None => self.inbox.failed(conn, OpKind::Recv, Fault::NoPages),
        }
    }

    pub(crate) fn send<M: Machine>(&self, conn: ConnId, machine: &mut M) {
        let Some(port) = self.find(conn) else {
            return self.inbox.failed(conn, OpKind::Send, Fault::Cancelled);
        };
        let mut batch = self.spare.batch.borrow_mut();
        machine.gather(conn, &mut batch);
        if batch.len() > 1 {
            let mut chunks = self.spare.chunks.borrow_mut().pop().unwrap_or_default();
            chunks.fill(&mut batch);
            port.send(Offer::Many(chunks));
        } else if let Some(chunk) = batch.pop() {
            port.send(Offer::One(chunk));
        } else {
            return self.inbox.done(conn, OpKind::Send, Outcome::Sent(0));
        }
        self.ask(port);
    }

    pub(crate) fn shut(&self, conn: ConnId) {
        let outcome = match self.find(conn) {
            Some(port) => port.shut(),
            None => Outcome::Failed(Fault::Cancelled),
        };
        self.inbox.done(conn, OpKind::Shut, outcome);
    }

    pub(crate) fn close(&self, conn: ConnId, how: Close) {
        match self.find(conn) {
            Some(port) => {
                port.close(how);
                self.ask(port);
            }
            None => self.inbox.done(conn, OpKind::Close, Outcome::Closed),
        }
    }

    pub(crate) fn stop_listening(&self, listener: ListenerId) {
        let found =
            self.listeners.borrow_mut().get_mut(usize::from(listener.0)).and_then(Option::take);
        if let Some(listener) = found {
            listener.stop(&self.inbox);
        }
    }

    /// The life of `port` has released its socket.
    pub(crate) fn closed(&self, port: &Port) {
        self.forget(port);
        self.inbox.done(port.conn, OpKind::Close, Outcome::Closed);
    }

    pub(crate) fn forget(&self, port: &Port) {
        let taken = self.open.borrow_mut()[port.conn.slot as usize].take();
        debug_assert!(taken.is_some_and(|open| open.conn == port.conn), "a port is forgotten once");
        self.count.set(self.count.get() - 1);
    }

    /// Stops every listener, resets what is still open and waits until the kernel holds nothing:
    /// a ring must not go before its operations.
    pub(crate) async fn release(&self) {
        let listeners = std::mem::take(&mut *self.listeners.borrow_mut());
        for listener in listeners.iter().flatten() {
            listener.stop(&self.inbox);
        }
        let open: Vec<_> = self.open.borrow().iter().flatten().cloned().collect();
        for port in open {
            port.close(Close::Abort);
            port.run();
        }
        poll_fn(|cx| {
            self.run_called(&mut Vec::new());
            self.inbox.collect(&mut Vec::new());
            bell::listen(cx);
            let waiting = listeners.iter().flatten().any(|listener| listener.is_waiting());
            if waiting || self.count.get() > 0 { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        bell::silence();
    }

    fn open(&self, conn: ConnId) -> Rc<Port> {
        let port = Port::new(conn);
        let mut open = self.open.borrow_mut();
        let slot = conn.slot as usize;
        if open.len() <= slot {
            open.resize(slot + 1, None);
        }
        debug_assert!(open[slot].is_none(), "a slot is reused only after it was closed");
        open[slot] = Some(port.clone());
        self.count.set(self.count.get() + 1);
        port
    }

    fn find(&self, conn: ConnId) -> Option<Rc<Port>> {
        let open = self.open.borrow();
        open.get(conn.slot as usize)?.as_ref().filter(|port| port.conn == conn).cloned()
    }
}
