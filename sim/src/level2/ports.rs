//! The sockets of one machine: a task for each connection, parked until it is asked for something.
//! An abort says a clean end here, because these sockets cannot be told to linger for nothing; what
//! was left unread makes it a reset, as elsewhere.

use super::driver::{Bell, Inbox};
use engine::base::id::{ConnId, ListenerId};
use engine::base::page::Page;
use engine::boundary::{Batch, Fault, Input, Lent, OpId, OpKind, Outcome};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::spawn_local;
use turmoil::net::{TcpListener, TcpStream};

/// All sockets of one machine.
#[derive(Debug)]
pub(super) struct Ports {
    pub(super) inbox: Rc<Inbox>,
    open: RefCell<BTreeMap<ConnId, Rc<Port>>>,
    /// By [`ListenerId`]; workers of a host share them.
    listeners: Vec<Rc<Listener>>,
    stopped: RefCell<BTreeSet<ListenerId>>,
}

/// Accepts that wait for a connection, of all workers.
#[derive(Debug, Default)]
pub(super) struct Listener {
    waiting: RefCell<VecDeque<(ConnId, Rc<Ports>)>>,
    bell: Bell,
}

impl Listener {
    /// Hands connections to whoever waits longest.
    pub(super) async fn serve(self: Rc<Self>, socket: TcpListener) {
        // Fails only when the host is gone.
        while let Ok((stream, peer)) = socket.accept().await {
            let (conn, ports) = poll_fn(|cx| match self.waiting.borrow_mut().pop_front() {
                Some(found) => Poll::Ready(found),
                None => {
                    self.bell.listen(cx);
                    Poll::Pending
                }
            })
            .await;
            let port = ports.open(conn);
            ports.done(conn, OpKind::Accept, Outcome::Accepted { peer });
            spawn_local(port.live(ports, stream));
        }
    }
}

impl Ports {
    pub(super) fn new(listeners: Vec<Rc<Listener>>) -> Rc<Self> {
        Rc::new(Self {
            inbox: Rc::default(),
            open: RefCell::default(),
            listeners,
            stopped: RefCell::default(),
        })
    }

    fn done(&self, conn: ConnId, kind: OpKind, outcome: Outcome) {
        self.inbox.push(Input::Done { op: OpId { conn, kind }, outcome });
    }

    fn failed(&self, conn: ConnId, kind: OpKind, fault: Fault) {
        self.done(conn, kind, Outcome::Failed(fault));
    }

    fn open(&self, conn: ConnId) -> Rc<Port> {
        let port = Rc::new(Port { conn, ..Port::default() });
        let before = self.open.borrow_mut().insert(conn, Rc::clone(&port));
        assert!(before.is_none(), "rule 3: {conn:?} is opened twice");
        port
    }

    fn find(&self, conn: ConnId) -> Option<Rc<Port>> {
        self.open.borrow().get(&conn).cloned()
    }

    pub(super) fn accept(self: &Rc<Self>, conn: ConnId, listener: ListenerId) {
        if self.stopped.borrow().contains(&listener) {
            return self.failed(conn, OpKind::Accept, Fault::Cancelled);
        }
        let listener = &self.listeners[usize::from(listener.0)];
        listener.waiting.borrow_mut().push_back((conn, Rc::clone(self)));
        listener.bell.ring();
    }

    /// Ends the waiting accepts of this machine that `which` names.
    fn cancel_accepts(&self, listener: &Listener, which: impl Fn(ConnId) -> bool) {
        let mut waiting = listener.waiting.borrow_mut();
        let own = |(conn, ports): &(ConnId, Rc<Self>)| {
            std::ptr::eq(Rc::as_ptr(ports), self) && which(*conn)
        };
        let (gone, left) = waiting.drain(..).partition::<Vec<_>, _>(own);
        waiting.extend(left);
        for (conn, _) in gone {
            self.failed(conn, OpKind::Accept, Fault::Cancelled);
        }
    }

    pub(super) fn stop_listening(&self, listener: ListenerId) {
        self.stopped.borrow_mut().insert(listener);
        self.cancel_accepts(&self.listeners[usize::from(listener.0)], |_| true);
    }

    pub(super) fn connect(self: &Rc<Self>, conn: ConnId, to: SocketAddr) {
        spawn_local(self.open(conn).dial(Rc::clone(self), to));
    }

    pub(super) fn recv(&self, conn: ConnId, lent: Option<Lent>) {
        let Some(port) = self.find(conn) else {
            return self.failed(conn, OpKind::Recv, Fault::Cancelled);
        };
        let Some(lent) = lent else { return self.failed(conn, OpKind::Recv, Fault::NoPages) };
        let before = port.lent.replace(Some(lent));
        assert!(before.is_none(), "rule 2: {conn:?} reads twice at once");
        port.bell.ring();
    }

    pub(super) fn send(&self, conn: ConnId, batch: Batch) {
        let Some(port) = self.find(conn) else {
            return self.failed(conn, OpKind::Send, Fault::Cancelled);
        };
        let before = port.batch.replace(Some(batch));
        assert!(before.is_none(), "rule 2: {conn:?} writes twice at once");
        port.bell.ring();
    }

    pub(super) fn shut(&self, conn: ConnId) {
        let Some(port) = self.find(conn) else {
            return self.failed(conn, OpKind::Shut, Fault::Cancelled);
        };
        assert!(!port.shutting.replace(true), "rule 2: {conn:?} shuts twice at once");
        port.bell.ring();
    }

    pub(super) fn close(&self, conn: ConnId) {
        if let Some(port) = self.find(conn) {
            assert!(!port.closing.replace(true), "rule 2: {conn:?} closes twice");
            return port.bell.ring();
        }
        for listener in &self.listeners {
            self.cancel_accepts(listener, |waiting| waiting == conn);
        }
        self.done(conn, OpKind::Close, Outcome::Closed);
    }
}

/// What the loop asks of a connection's task.
#[derive(Debug)]
struct Port {
    conn: ConnId,
    bell: Bell,
    lent: RefCell<Option<Lent>>,
    batch: RefCell<Option<Batch>>,
    shutting: Cell<bool>,
    closing: Cell<bool>,
}

impl Default for Port {
    fn default() -> Self {
        Self {
            conn: ConnId { slot: 0, generation: 0 },
            bell: Bell::default(),
            lent: RefCell::default(),
            batch: RefCell::default(),
            shutting: Cell::new(false),
            closing: Cell::new(false),
        }
    }
}

impl Port {
    async fn dial(self: Rc<Self>, ports: Rc<Ports>, to: SocketAddr) {
        let dialed = {
            let mut dialing = pin!(TcpStream::connect(to));
            poll_fn(|cx| {
                self.bell.listen(cx);
                match self.closing.get() {
                    true => Poll::Ready(Err(Fault::Cancelled)),
                    false => dialing.as_mut().poll(cx).map_err(|error| fault(&error)),
                }
            })
            .await
        };
        match dialed {
            Ok(stream) => {
                ports.done(self.conn, OpKind::Connect, Outcome::Connected);
                return self.live(ports, stream).await;
            }
            Err(fault) => ports.failed(self.conn, OpKind::Connect, fault),
        }
        ports.open.borrow_mut().remove(&self.conn);
        if self.closing.get() {
            ports.done(self.conn, OpKind::Close, Outcome::Closed);
        }
    }

    async fn live(self: Rc<Self>, ports: Rc<Ports>, mut stream: TcpStream) {
        poll_fn(|cx| self.turn(&ports, &mut stream, cx)).await;
        drop(stream);
        ports.open.borrow_mut().remove(&self.conn);
        ports.done(self.conn, OpKind::Close, Outcome::Closed);
    }

    /// Whatever can be done is done; ready once the connection is to be released.
    fn turn(&self, ports: &Ports, stream: &mut TcpStream, cx: &mut Context<'_>) -> Poll<()> {
        self.bell.listen(cx);
        let closing = self.closing.get();
        let batch = self.batch.take();
        if let Some(batch) = batch {
            match write(stream, &batch, cx) {
                Poll::Ready(outcome) => ports.done(self.conn, OpKind::Send, outcome),
                Poll::Pending if closing => ports.failed(self.conn, OpKind::Send, Fault::Cancelled),
                Poll::Pending => drop(self.batch.replace(Some(batch))),
            }
        }
        if self.shutting.take() {
            let outcome = match Pin::new(&mut *stream).poll_shutdown(cx) {
                Poll::Ready(Err(error)) => Outcome::Failed(fault(&error)),
                Poll::Ready(Ok(())) | Poll::Pending => Outcome::Shut,
            };
            ports.done(self.conn, OpKind::Shut, outcome);
        }
        let lent = self.lent.take();
        if let Some(lent) = lent {
            let (lent, outcome) = if closing { (lent, None) } else { read(stream, lent, cx) };
            match outcome {
                Some(Ok(())) => ports.done(self.conn, OpKind::Recv, Outcome::Received(lent)),
                Some(Err(fault)) => ports.failed(self.conn, OpKind::Recv, fault),
                None if closing => ports.failed(self.conn, OpKind::Recv, Fault::Cancelled),
                None => drop(self.lent.replace(Some(lent))),
            }
        }
        if closing { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Writes chunk by chunk until the socket is full; what it took is the outcome.
fn write(stream: &mut TcpStream, batch: &Batch, cx: &mut Context<'_>) -> Poll<Outcome> {
    let mut sent = 0;
    for chunk in batch.iter().filter(|chunk| !chunk.is_empty()) {
        match Pin::new(&mut *stream).poll_write(cx, chunk.bytes()) {
            Poll::Ready(Ok(count)) if count == chunk.len() => sent += count,
            Poll::Ready(Ok(count)) => {
                sent += count;
                break;
            }
            Poll::Ready(Err(error)) if sent == 0 => {
                return Poll::Ready(Outcome::Failed(fault(&error)));
            }
            Poll::Pending if sent == 0 => return Poll::Pending,
            Poll::Ready(Err(_)) | Poll::Pending => break,
        }
    }
    Poll::Ready(Outcome::Sent(u32::try_from(sent).expect("a batch is below 4 GiB")))
}

/// Fills lent pages in order, as far as there is something to read.
fn read(
    stream: &mut TcpStream,
    mut lent: Lent,
    cx: &mut Context<'_>,
) -> (Lent, Option<Result<(), Fault>>) {
    let pages = match &mut lent {
        Lent::One(page) => std::slice::from_mut(page),
        Lent::Many(pages) => pages,
    };
    let mut total = 0;
    for page in pages {
        match fill(stream, page, cx) {
            Poll::Ready(Ok(0)) => break,
            Poll::Ready(Ok(count)) => total += count,
            Poll::Ready(Err(fault)) if total == 0 => return (lent, Some(Err(fault))),
            Poll::Pending if total == 0 => return (lent, None),
            Poll::Ready(Err(_)) | Poll::Pending => break,
        }
        if page.spare() > 0 {
            break;
        }
    }
    (lent, Some(Ok(())))
}

fn fill(
    stream: &mut TcpStream,
    page: &mut Page,
    cx: &mut Context<'_>,
) -> Poll<Result<usize, Fault>> {
    let mut buffer = ReadBuf::new(page.spare_mut());
    let polled = Pin::new(stream).poll_read(cx, &mut buffer);
    let count = buffer.filled().len();
    polled.map(|result| match result {
        Ok(()) => {
            page.advance(count);
            Ok(count)
        }
        Err(error) => Err(fault(&error)),
    })
}

fn fault(error: &io::Error) -> Fault {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotConnected, TimedOut};
    let kinds = [
        (ConnectionRefused, Fault::Refused),
        (ConnectionReset, Fault::Reset),
        (BrokenPipe, Fault::Reset),
        (NotConnected, Fault::Reset),
        (TimedOut, Fault::TimedOut),
    ];
    let found = kinds.iter().find(|(kind, _)| *kind == error.kind());
    found.map_or(Fault::Other(0), |(_, fault)| *fault)
}
