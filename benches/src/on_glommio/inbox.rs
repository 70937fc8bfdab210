//! Inputs on their way to a machine, and the waker of whoever waits for them.

use engine::base::id::ConnId;
use engine::boundary::{Fault, Input, OpId, OpKind, Outcome};
use futures_lite::future::poll_fn;
use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};

/// Wakes the one task that listens.
#[derive(Default)]
pub(super) struct Bell(Cell<Option<Waker>>);

impl Bell {
    pub(super) fn listen(&self, cx: &Context<'_>) {
        self.0.set(Some(cx.waker().clone()));
    }

    pub(super) fn ring(&self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }
}

#[derive(Default)]
pub(super) struct Inbox {
    queue: RefCell<Vec<Input>>,
    bell: Bell,
}

impl Inbox {
    pub(super) fn put(&self, input: Input) {
        self.queue.borrow_mut().push(input);
        self.bell.ring();
    }

    pub(super) fn done(&self, conn: ConnId, kind: OpKind, outcome: Outcome) {
        self.put(Input::Done { op: OpId { conn, kind }, outcome });
    }

    pub(super) fn failed(&self, conn: ConnId, kind: OpKind, fault: Fault) {
        self.done(conn, kind, Outcome::Failed(fault));
    }

    /// Trades what has arrived for the empty `batch`.
    pub(super) fn collect(&self, batch: &mut Vec<Input>) {
        std::mem::swap(&mut *self.queue.borrow_mut(), batch);
    }

    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.queue.borrow().is_empty() {
            self.bell.listen(cx);
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    pub(super) async fn filled(&self) {
        poll_fn(|cx| self.poll(cx)).await;
    }
}
