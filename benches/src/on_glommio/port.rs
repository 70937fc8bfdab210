//! One connection: a task that owns the socket and does what is asked, parked in between.

use super::inbox::{Bell, Inbox};
use engine::base::id::ConnId;
use engine::base::page::Page;
use engine::boundary::{Batch, Close, Fault, Lent, OpKind, Outcome};
use futures_lite::future::poll_fn;
use futures_lite::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use io_monoio::fault;
use rustix::process::{ForeignRawFd, PidfdFlags, PidfdGetfdFlags};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

/// Bytes copied together for one write: glommio has no vectored one.
const WRITE_BYTES: usize = 64 << 10;

/// What the loop and the task of a connection share.
pub(super) struct Port {
    pub(super) conn: ConnId,
    bell: Bell,
    lent: Cell<Option<Lent>>,
    offer: RefCell<Option<Batch>>,
    shut: Cell<bool>,
    closing: Cell<Option<Close>>,
}

impl Port {
    pub(super) fn new(conn: ConnId) -> Self {
        Self {
            conn,
            bell: Bell::default(),
            lent: Cell::new(None),
            offer: RefCell::new(None),
            shut: Cell::new(false),
            closing: Cell::new(None),
        }
    }

    pub(super) fn recv(&self, lent: Lent) {
        self.lent.set(Some(lent));
        self.bell.ring();
    }

    pub(super) fn send(&self, batch: Batch) {
        self.offer.replace(Some(batch));
        self.bell.ring();
    }

    pub(super) fn shut(&self) {
        self.shut.set(true);
        self.bell.ring();
    }

    pub(super) fn close(&self, how: Close) {
        self.closing.set(Some(how));
        self.bell.ring();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.get().is_some()
    }

    /// Dials unless the port is closed meanwhile.
    pub(super) async fn dial(&self, to: SocketAddr) -> Result<TcpStream, Fault> {
        let mut dialing = pin!(TcpStream::connect(to));
        poll_fn(|cx| {
            if self.is_closing() {
                return Poll::Ready(Err(Fault::Cancelled));
            }
            self.bell.listen(cx);
            dialing.as_mut().poll(cx).map_err(|error| fault::of(&error.into()))
        })
        .await
    }

    /// Does what is asked until the port closes, then releases the socket.
    pub(super) async fn attend(&self, mut stream: TcpStream, inbox: &Inbox) {
        // Fails only on a socket that is already dead, which the first operation will tell.
        drop(stream.set_nodelay(true));
        let mut scratch = Vec::new();
        let how = poll_fn(|cx| {
            self.bell.listen(cx);
            if let Some(how) = self.closing.get() {
                return Poll::Ready(how);
            }
            self.read(&mut stream, cx, inbox);
            self.write(&mut stream, cx, inbox, &mut scratch);
            if self.shut.take() {
                self.finish_writing(&mut stream, cx, inbox);
            }
            Poll::Pending
        })
        .await;
        if self.lent.take().is_some() {
            inbox.failed(self.conn, OpKind::Recv, Fault::Cancelled);
        }
        if self.offer.take().is_some() {
            inbox.failed(self.conn, OpKind::Send, Fault::Cancelled);
        }
        if self.shut.take() {
            inbox.failed(self.conn, OpKind::Shut, Fault::Cancelled);
        }
        if how == Close::Abort {
            reset(&stream);
        }
    }

    fn read(&self, stream: &mut TcpStream, cx: &mut Context<'_>, inbox: &Inbox) {
        let Some(mut lent) = self.lent.take() else { return };
        let pages = match &mut lent {
            Lent::One(page) => std::slice::from_mut(page),
            Lent::Many(pages) => pages,
        };
        match fill(pages, stream, cx) {
            Poll::Pending => self.lent.set(Some(lent)),
            Poll::Ready(Ok(())) => inbox.done(self.conn, OpKind::Recv, Outcome::Received(lent)),
            Poll::Ready(Err(error)) => inbox.failed(self.conn, OpKind::Recv, fault::of(&error)),
        }
    }

    fn write(
        &self,
        stream: &mut TcpStream,
        cx: &mut Context<'_>,
        inbox: &Inbox,
        scratch: &mut Vec<u8>,
    ) {
        let mut offer = self.offer.borrow_mut();
        let Some(batch) = &*offer else { return };
        let bytes = match &batch[..] {
            [chunk] => chunk.bytes(),
            chunks => {
                scratch.clear();
                for chunk in chunks {
                    let room = WRITE_BYTES - scratch.len();
                    scratch.extend_from_slice(&chunk.bytes()[..chunk.len().min(room)]);
                }
                scratch
            }
        };
        let outcome = match Pin::new(stream).poll_write(cx, bytes) {
            Poll::Pending => return,
            Poll::Ready(Ok(count)) => Outcome::Sent(u32::try_from(count).expect("below 4 GiB")),
            Poll::Ready(Err(error)) => Outcome::Failed(fault::of(&error)),
        };
        *offer = None;
        inbox.done(self.conn, OpKind::Send, outcome);
    }

    fn finish_writing(&self, stream: &mut TcpStream, cx: &mut Context<'_>, inbox: &Inbox) {
        let outcome = match Pin::new(stream).poll_close(cx) {
            Poll::Ready(Ok(())) => Outcome::Shut,
            Poll::Ready(Err(error)) => Outcome::Failed(fault::of(&error)),
            Poll::Pending => {
                self.shut.set(true);
                return;
            }
        };
        inbox.done(self.conn, OpKind::Shut, outcome);
    }
}

/// Reads into `pages` in order while each is filled whole.
fn fill(pages: &mut [Page], stream: &mut TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    for (at, page) in pages.iter_mut().enumerate() {
        match Pin::new(&mut *stream).poll_read(cx, page.spare_mut()) {
            Poll::Ready(Ok(count)) => page.advance(count),
            // What the pages before it hold comes first; the next read meets this again.
            Poll::Pending | Poll::Ready(Err(_)) if at > 0 => break,
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
        }
        if page.spare() > 0 {
            break;
        }
    }
    Poll::Ready(Ok(()))
}

/// Makes the coming close a reset. The socket is reached through a second descriptor, because
/// glommio lends its own only as a number; where the kernel refuses one, the close is a plain one.
pub(super) fn reset(stream: &TcpStream) {
    let again = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())
        .and_then(|this| {
            let socket: ForeignRawFd = stream.as_raw_fd();
            rustix::process::pidfd_getfd(this, socket, PidfdGetfdFlags::empty())
        });
    if let Ok(socket) = again {
        // Fails only on a socket that the peer has already reset.
        let _ = rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO));
    }
}
