//! Listening sockets: one of each per worker under `SO_REUSEPORT`, errors that say what to do, and
//! accepts that are only ever ended by the listener's own end.

use crate::bell::Inbox;
use crate::fault;
use crate::ports::Ports;
use engine::base::id::ConnId;
use engine::boundary::{Fault, OpKind};
use monoio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, Type};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{self, Shutdown, SocketAddr};
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Connections the kernel completes before they are accepted.
const BACKLOG: i32 = 4096;

/// Why an entry point could not be opened.
#[derive(Debug)]
pub struct CannotListen {
    pub address: SocketAddr,
    pub error: io::Error,
}

impl fmt::Display for CannotListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, error } = self;
        write!(f, "cannot listen on {address}: ")?;
        match error.raw_os_error() {
            Some(libc::EADDRINUSE) => {
                let port = address.port();
                write!(
                    f,
                    "another process has port {port}; stop it (`ss -ltnp 'sport = :{port}'` shows \
                     it) or give the entry point another address"
                )
            }
            Some(libc::EACCES) => write!(
                f,
                "ports below 1024 need a privilege; use a higher port, or grant \
                 CAP_NET_BIND_SERVICE to the program"
            ),
            Some(libc::EADDRNOTAVAIL) => write!(f, "no interface of this host has it"),
            _ => write!(f, "{error}"),
        }
    }
}

/// Opens `address` once per worker. The first is opened alone, so that a port that another
/// process shares out is seen as taken.
pub fn open(address: SocketAddr, workers: usize) -> Result<Vec<net::TcpListener>, CannotListen> {
    let cannot = |error| CannotListen { address, error };
    probe(address).map_err(cannot)?;
    let first = listen(address).map_err(cannot)?;
    // With port 0 the kernel has chosen one for the first, which the others share.
    let address = first.local_addr().map_err(cannot)?;
    let mut all = vec![first];
    for _ in 1..workers {
        all.push(listen(address).map_err(cannot)?);
    }
    Ok(all)
}

/// Binds without sharing and lets go: succeeds only if nobody listens there.
fn probe(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

fn listen(address: SocketAddr) -> io::Result<net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // Accepted sockets inherit it.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A listening socket of one machine.
pub(crate) struct Listener {
    socket: TcpListener,
    /// The same socket, to stop it by.
    handle: net::TcpListener,
    asked: RefCell<VecDeque<ConnId>>,
    idle: RefCell<Vec<Waker>>,
    acceptors: Cell<usize>,
    /// Acceptors with an accept in the kernel.
    begun: Cell<usize>,
    stopped: Cell<bool>,
}

impl Listener {
    /// To be called on the thread whose ring will accept.
    pub(crate) fn new(socket: net::TcpListener) -> io::Result<Self> {
        Ok(Self {
            handle: socket.try_clone()?,
            socket: TcpListener::from_std(socket)?,
            asked: RefCell::default(),
            idle: RefCell::default(),
            acceptors: Cell::new(0),
            begun: Cell::new(0),
            stopped: Cell::new(false),
        })
    }

    /// Every accept asked for has an acceptor: an idle one, or a new one. With epoll there is one
    /// for all, because the runtime wakes only one of those who wait for the same socket.
    pub(crate) fn ask(self: &Rc<Self>, conn: ConnId, ports: &Rc<Ports>) {
        self.asked.borrow_mut().push_back(conn);
        if let Some(acceptor) = self.idle.borrow_mut().pop() {
            acceptor.wake();
        } else if self.acceptors.get() == 0 || !monoio::utils::is_legacy() {
            self.acceptors.set(self.acceptors.get() + 1);
            monoio::spawn(accept(self.clone(), ports.clone()));
        }
    }

    /// Pending accepts fail, and so does every later attempt to connect.
    pub(crate) fn stop(&self, inbox: &Inbox) {
        self.stopped.set(true);
        for conn in self.asked.borrow_mut().drain(..) {
            inbox.failed(conn, OpKind::Accept, Fault::Cancelled);
        }
        let stopped = socket2::SockRef::from(&self.handle).shutdown(Shutdown::Read);
        debug_assert!(stopped.is_ok(), "a listening socket can be stopped");
        self.idle.borrow_mut().drain(..).for_each(Waker::wake);
    }

    /// Whether the kernel holds an accept.
    pub(crate) fn is_waiting(&self) -> bool {
        self.begun.get() > 0
    }

    async fn asked(&self) -> Option<ConnId> {
        poll_fn(|cx| {
            if self.stopped.get() {
                return Poll::Ready(None);
            }
            match self.asked.borrow_mut().pop_front() {
                Some(conn) => Poll::Ready(Some(conn)),
                None => {
                    self.idle.borrow_mut().push(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

async fn accept(listener: Rc<Listener>, ports: Rc<Ports>) {
    while let Some(conn) = listener.asked().await {
        listener.begun.set(listener.begun.get() + 1);
        let result = listener.socket.accept().await;
        listener.begun.set(listener.begun.get() - 1);
        match result {
            Ok((stream, peer)) => ports.accepted(conn, stream, peer),
            Err(_) if listener.stopped.get() => {
                ports.inbox.failed(conn, OpKind::Accept, Fault::Cancelled);
            }
            Err(error) => ports.inbox.failed(conn, OpKind::Accept, fault::of(&error)),
        }
    }
}
