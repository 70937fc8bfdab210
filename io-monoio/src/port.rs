//! One connection: a life that reads and writes on request, parked in between. The loop itself
//! polls it, after it was asked for something and when an operation has finished. Nothing is
//! spawned and nothing is allocated per operation, and no pending read or write is ever dropped: a
//! dropped one may have taken bytes from the stream.

use crate::bell;
use crate::buf::{Borrowable, OneChunk, OnePage};
use crate::fault;
use crate::ports::{Offer, Ports};
use engine::base::id::ConnId;
use engine::boundary::{Close, Fault, Lent, OpKind, Outcome};
use monoio::io::{AsyncReadRent, AsyncWriteRent, OwnedReadHalf, OwnedWriteHalf, Splitable};
use monoio::net::TcpStream;
use rustix::net::Shutdown;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What the loop and the life of a connection share.
pub(crate) struct Port {
    pub(crate) conn: ConnId,
    life: RefCell<Option<Pin<Box<dyn Future<Output = ()>>>>>,
    call: Waker,
    /// On the list of ports that were asked for something.
    pub(crate) asked: Cell<bool>,
    socket: Borrowable,
    /// A read that was asked for and not begun.
    lent: Cell<Option<Lent>>,
    /// A write that was asked for and not begun.
    offer: Cell<Option<Offer>>,
    /// Operations the kernel may hold.
    begun: Cell<u8>,
    closing: Cell<Option<Close>>,
}

impl Port {
    pub(crate) fn new(conn: ConnId) -> Rc<Self> {
        Rc::new(Self {
            conn,
            life: RefCell::new(None),
            call: bell::call_to(conn.slot),
            asked: Cell::new(false),
            socket: Borrowable::nothing(),
            lent: Cell::new(None),
            offer: Cell::new(None),
            begun: Cell::new(0),
            closing: Cell::new(None),
        })
    }

    /// Gives the port its life, which holds it until it ends.
    pub(crate) fn begin(&self, life: impl Future<Output = ()> + 'static) {
        self.life.replace(Some(Box::pin(life)));
    }

    /// Lets life go on as far as it can.
    pub(crate) fn run(&self) {
        self.asked.set(false);
        let mut life = self.life.borrow_mut();
        if let Some(running) = life.as_mut()
            && running.as_mut().poll(&mut Context::from_waker(&self.call)).is_ready()
        {
            *life = None;
        }
    }

    /// Takes the socket in, for others to act on.
    pub(crate) fn open(&self, stream: TcpStream) -> (Reader, Writer) {
        self.socket.lend(&stream);
        stream.into_split()
    }

    pub(crate) fn recv(&self, lent: Lent) {
        let before = self.lent.replace(Some(lent));
        debug_assert!(before.is_none(), "one read at a time");
    }

    pub(crate) fn send(&self, offer: Offer) {
        let before = self.offer.replace(Some(offer));
        debug_assert!(before.is_none(), "one write at a time");
    }

    pub(crate) fn shut(&self) -> Outcome {
        let mut outcome = Outcome::Failed(Fault::Cancelled);
        self.socket.with(|socket| {
            outcome = match rustix::net::shutdown(socket, Shutdown::Write) {
                Ok(()) => Outcome::Shut,
                Err(error) => Outcome::Failed(fault::of(&error.into())),
            };
        });
        outcome
    }

    /// Makes what is in the kernel finish; life then releases the socket.
    pub(crate) fn close(&self, how: Close) {
        self.closing.set(Some(how));
        let busy = self.begun.get() > 0;
        // Errors mean that the peer was faster: the socket is as dead as it should be.
        self.socket.with(|socket| {
            let _ = match how {
                Close::Gentle if busy => rustix::net::shutdown(socket, Shutdown::Both),
                Close::Gentle => Ok(()),
                // Resets at once, where a shutdown would first say a clean end.
                Close::Abort if busy => rustix::net::connect_unspec(socket),
                Close::Abort => {
                    rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO))
                }
            };
        });
    }

    fn began(&self) {
        self.begun.set(self.begun.get() + 1);
    }

    fn ended(&self) {
        self.begun.set(self.begun.get() - 1);
    }

    /// The next request of one kind; `None` once the port is closing.
    async fn request<T>(&self, place: &Cell<Option<T>>) -> Option<T> {
        poll_fn(|_| {
            if self.closing.get().is_some() {
                return Poll::Ready(None);
            }
            match place.take() {
                Some(asked) => Poll::Ready(Some(asked)),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// What a failed operation is to the machine: once it asked to close, every end is its own
    /// doing.
    fn failure(&self, error: &io::Error) -> Fault {
        match self.closing.get() {
            Some(_) => Fault::Cancelled,
            None => fault::of(error),
        }
    }
}

type Reader = OwnedReadHalf<TcpStream>;
type Writer = OwnedWriteHalf<TcpStream>;

/// The life of an accepted connection. The socket comes in halves, because a future stores what
/// it is given twice, and they are small.
pub(crate) async fn serve(port: Rc<Port>, ports: Rc<Ports>, reader: Reader, writer: Writer) {
    transfer(&port, &ports, reader, writer).await;
    ports.closed(&port);
}

/// The life of a connection that is to be dialed.
pub(crate) async fn dial(port: Rc<Port>, ports: Rc<Ports>, to: SocketAddr) {
    match connect(&port, to).await {
        Ok((reader, writer)) => {
            ports.inbox.done(port.conn, OpKind::Connect, Outcome::Connected);
            transfer(&port, &ports, reader, writer).await;
        }
        Err(fault) => {
            ports.inbox.failed(port.conn, OpKind::Connect, fault);
            if port.closing.get().is_none() {
                ports.forget(&port);
                return;
            }
        }
    }
    ports.closed(&port);
}

/// Dropping a pending connect is safe: nothing was read, and the runtime cancels it.
async fn connect(port: &Port, to: SocketAddr) -> Result<(Reader, Writer), Fault> {
    let mut connecting = pin!(TcpStream::connect_addr(to));
    let result = poll_fn(|cx| {
        if port.closing.get().is_some() {
            return Poll::Ready(Err(io::Error::from_raw_os_error(libc::ECANCELED)));
        }
        connecting.as_mut().poll(cx)
    })
    .await;
    let stream = result.map_err(|error| port.failure(&error))?;
    // Fails only on a socket that is already dead, which the first operation will tell.
    drop(stream.set_nodelay(true));
    Ok(port.open(stream))
}

async fn transfer(port: &Port, ports: &Ports, reader: Reader, writer: Writer) {
    let (reader, writer) = {
        let mut reads = pin!(read(port, ports, reader));
        let mut writes = pin!(write(port, ports, writer));
        let (mut read_half, mut write_half) = (None, None);
        poll_fn(|cx| {
            if read_half.is_none()
                && let Poll::Ready(half) = reads.as_mut().poll(cx)
            {
                read_half = Some(half);
            }
            if write_half.is_none()
                && let Poll::Ready(half) = writes.as_mut().poll(cx)
            {
                write_half = Some(half);
            }
            match (read_half.take(), write_half.take()) {
                (Some(reader), Some(writer)) => Poll::Ready((reader, writer)),
                (reader, writer) => {
                    (read_half, write_half) = (reader, writer);
                    Poll::Pending
                }
            }
        })
        .await
    };
    let stream = reader.reunite(writer).expect("both halves are of this stream");
    drop(port.socket.release(stream));
}

async fn read(port: &Port, ports: &Ports, mut half: Reader) -> Reader {
    while let Some(lent) = port.request(&port.lent).await {
        port.began();
        let (result, lent) = match lent {
            Lent::One(page) => {
                let (result, one) = half.read(OnePage(page)).await;
                (result, Lent::One(one.0))
            }
            Lent::Many(pages) => {
                let (result, pages) = half.readv(ports.spare.pages(pages)).await;
                (result, Lent::Many(ports.spare.keep_pages(pages)))
            }
        };
        port.ended();
        let outcome = match result {
            Ok(0) if port.closing.get().is_some() => Outcome::Failed(Fault::Cancelled),
            Ok(_) => Outcome::Received(lent),
            Err(error) => Outcome::Failed(port.failure(&error)),
        };
        ports.inbox.done(port.conn, OpKind::Recv, outcome);
    }
    if port.lent.take().is_some() {
        ports.inbox.failed(port.conn, OpKind::Recv, Fault::Cancelled);
    }
    half
}

async fn write(port: &Port, ports: &Ports, mut half: Writer) -> Writer {
    while let Some(offer) = port.request(&port.offer).await {
        port.began();
        let result = match offer {
            Offer::One(chunk) => half.write(OneChunk(chunk)).await.0,
            Offer::Many(chunks) => {
                let (result, chunks) = half.writev(chunks).await;
                ports.spare.keep_chunks(chunks);
                result
            }
        };
        port.ended();
        let outcome = match result {
            Ok(count) => Outcome::Sent(u32::try_from(count).expect("a batch is below 4 GiB")),
            Err(error) => Outcome::Failed(port.failure(&error)),
        };
        ports.inbox.done(port.conn, OpKind::Send, outcome);
    }
    if port.offer.take().is_some() {
        ports.inbox.failed(port.conn, OpKind::Send, Fault::Cancelled);
    }
    half
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Runtime, block_on};
    use std::net::TcpListener;

    #[test]
    fn the_life_of_a_connection_is_small() {
        let size = block_on(Runtime::Uring, 256, async {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let address = listener.local_addr().expect("it is bound");
            let stream = TcpStream::connect_addr(address).await.expect("it listens");
            let (port, ports) = (Port::new(ConnId { slot: 0, generation: 0 }), Ports::new(vec![]));
            let (reader, writer) = port.open(stream);
            let serving = size_of_val(&serve(port.clone(), ports.clone(), reader, writer));
            let dialing = size_of_val(&dial(port, ports, address));
            (serving, dialing, size_of::<Port>())
        });
        let (serving, dialing, port) = size.expect("this machine offers rings");
        assert!(serving + port <= 768, "{serving} + {port}");
        assert!(dialing + port <= 800, "{dialing} + {port}");
    }
}
