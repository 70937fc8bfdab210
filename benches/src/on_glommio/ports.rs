//! All sockets of one machine: turns effects into operations, and operations into inputs.

use super::inbox::{Bell, Inbox};
use super::port::Port;
use engine::base::id::{ConnId, ListenerId};
use engine::boundary::{Batch, Close, Fault, Lent, OpKind, Outcome};
use futures_lite::future::poll_fn;
use glommio::GlommioError;
use glommio::net::{TcpListener, TcpStream};
use io_monoio::fault;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

pub(super) struct Ports {
    pub(super) inbox: Rc<Inbox>,
    open: RefCell<BTreeMap<ConnId, Rc<Port>>>,
    listeners: Vec<Rc<Listener>>,
    /// Rung when a port or a listener has gone.
    gone: Bell,
}

/// A listening socket and the accepts that were asked of it, served one after the other.
struct Listener {
    socket: TcpListener,
    asked: RefCell<VecDeque<ConnId>>,
    bell: Bell,
    state: Cell<State>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Listening,
    Stopping,
    Stopped,
}

impl Ports {
    pub(super) fn new(inbox: Rc<Inbox>, listeners: Vec<TcpListener>) -> Rc<Self> {
        let listeners = listeners.into_iter().map(|socket| {
            Rc::new(Listener {
                socket,
                asked: RefCell::default(),
                bell: Bell::default(),
                state: Cell::new(State::Listening),
            })
        });
        let ports = Rc::new(Self {
            inbox,
            open: RefCell::default(),
            listeners: listeners.collect(),
            gone: Bell::default(),
        });
        for listener in &ports.listeners {
            glommio::spawn_local(accept(listener.clone(), ports.clone())).detach();
        }
        ports
    }

    pub(super) fn listening(
        inbox: Rc<Inbox>,
        addresses: impl Iterator<Item = SocketAddr>,
    ) -> io::Result<Rc<Self>> {
        let listeners: Result<Vec<_>, GlommioError<()>> =
            addresses.map(TcpListener::bind).collect();
        Ok(Self::new(inbox, listeners?))
    }

    pub(super) fn accept(&self, conn: ConnId, listener: ListenerId) {
        let listener = &self.listeners[usize::from(listener.0)];
        if listener.state.get() == State::Listening {
            listener.asked.borrow_mut().push_back(conn);
            listener.bell.ring();
        } else {
            self.inbox.failed(conn, OpKind::Accept, Fault::Cancelled);
        }
    }

    pub(super) fn connect(self: &Rc<Self>, conn: ConnId, to: SocketAddr) {
        let (port, ports) = (self.open(conn), self.clone());
        glommio::spawn_local(async move {
            match port.dial(to).await {
                Ok(stream) => {
                    ports.inbox.done(conn, OpKind::Connect, Outcome::Connected);
                    port.attend(stream, &ports.inbox).await;
                }
                Err(fault) => ports.inbox.failed(conn, OpKind::Connect, fault),
            }
            ports.forget(&port);
        })
        .detach();
    }

    fn accepted(self: &Rc<Self>, conn: ConnId, stream: TcpStream, peer: SocketAddr) {
        let (port, ports) = (self.open(conn), self.clone());
        self.inbox.done(conn, OpKind::Accept, Outcome::Accepted { peer });
        glommio::spawn_local(async move {
            port.attend(stream, &ports.inbox).await;
            ports.forget(&port);
        })
        .detach();
    }

    pub(super) fn recv(&self, conn: ConnId, lent: Option<Lent>) {
        match (self.find(conn), lent) {
            (Some(port), Some(lent)) => port.recv(lent),
            (Some(_), None) => self.inbox.failed(conn, OpKind::Recv, Fault::NoPages),
            (None, _) => self.inbox.failed(conn, OpKind::Recv, Fault::Cancelled),
        }
    }

    pub(super) fn send(&self, conn: ConnId, gather: impl FnOnce(&mut Batch)) {
        let Some(port) = self.find(conn) else {
            return self.inbox.failed(conn, OpKind::Send, Fault::Cancelled);
        };
        let mut batch = Batch::new();
        gather(&mut batch);
        if batch.is_empty() {
            self.inbox.done(conn, OpKind::Send, Outcome::Sent(0));
        } else {
            port.send(batch);
        }
    }

    pub(super) fn shut(&self, conn: ConnId) {
        match self.find(conn) {
            Some(port) => port.shut(),
            None => self.inbox.failed(conn, OpKind::Shut, Fault::Cancelled),
        }
    }

    pub(super) fn close(&self, conn: ConnId, how: Close) {
        match self.find(conn) {
            Some(port) => port.close(how),
            None => self.inbox.done(conn, OpKind::Close, Outcome::Closed),
        }
    }

    pub(super) fn stop_listening(&self, listener: ListenerId) {
        self.stop(&self.listeners[usize::from(listener.0)]);
    }

    /// Stops every listener, resets what is still open and waits until nothing is.
    pub(super) async fn release(&self) {
        self.listeners.iter().for_each(|listener| self.stop(listener));
        self.open.borrow().values().for_each(|port| port.close(Close::Abort));
        poll_fn(|cx| {
            self.gone.listen(cx);
            let stopped = |listener: &Rc<Listener>| listener.state.get() == State::Stopped;
            let all_gone = self.open.borrow().is_empty() && self.listeners.iter().all(stopped);
            if all_gone { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn stop(&self, listener: &Listener) {
        if listener.state.get() == State::Listening {
            listener.state.set(State::Stopping);
            for conn in listener.asked.borrow_mut().drain(..) {
                self.inbox.failed(conn, OpKind::Accept, Fault::Cancelled);
            }
            listener.bell.ring();
        }
    }

    fn open(&self, conn: ConnId) -> Rc<Port> {
        let port = Rc::new(Port::new(conn));
        let before = self.open.borrow_mut().insert(conn, port.clone());
        debug_assert!(before.is_none(), "a slot is reused only after it was closed");
        port
    }

    /// The task of `port` has ended; `Closed` answers whoever asked for it.
    fn forget(&self, port: &Port) {
        self.open.borrow_mut().remove(&port.conn);
        if port.is_closing() {
            self.inbox.done(port.conn, OpKind::Close, Outcome::Closed);
        }
        self.gone.ring();
    }

    fn find(&self, conn: ConnId) -> Option<Rc<Port>> {
        self.open.borrow().get(&conn).cloned()
    }
}

async fn accept(listener: Rc<Listener>, ports: Rc<Ports>) {
    while let Some(conn) = listener.next().await {
        match listener.accept().await {
            Some(Ok(stream)) => match stream.peer_addr() {
                Ok(peer) => ports.accepted(conn, stream, peer),
                Err(error) => ports.inbox.failed(conn, OpKind::Accept, fault::of(&error.into())),
            },
            Some(Err(fault)) => ports.inbox.failed(conn, OpKind::Accept, fault),
            None => ports.inbox.failed(conn, OpKind::Accept, Fault::Cancelled),
        }
    }
    listener.state.set(State::Stopped);
    ports.gone.ring();
}

impl Listener {
    async fn next(&self) -> Option<ConnId> {
        poll_fn(|cx| {
            self.bell.listen(cx);
            if self.state.get() != State::Listening {
                return Poll::Ready(None);
            }
            self.asked
                .borrow_mut()
                .pop_front()
                .map_or(Poll::Pending, |conn| Poll::Ready(Some(conn)))
        })
        .await
    }

    /// `None` once the listener is to stop. The accept is then dropped, and a connection that
    /// came in that moment with it.
    async fn accept(&self) -> Option<Result<TcpStream, Fault>> {
        let mut accepting = pin!(self.socket.accept());
        poll_fn(|cx| {
            if self.state.get() != State::Listening {
                return Poll::Ready(None);
            }
            self.bell.listen(cx);
            accepting
                .as_mut()
                .poll(cx)
                .map(|end| Some(end.map_err(|error| fault::of(&error.into()))))
        })
        .await
    }
}
