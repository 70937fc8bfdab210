//! How tasks of one thread call one another: a stored waker, and the queue of finished
//! operations that wakes the loop.

use engine::base::id::ConnId;
use engine::boundary::{Fault, Input, OpId, OpKind, Outcome};
use std::cell::RefCell;
use std::task::{Context, Waker};

/// Wakes the one task that listens.
#[derive(Default)]
pub(crate) struct Bell(RefCell<Option<Waker>>);

impl Bell {
    pub(crate) fn listen(&self, cx: &Context<'_>) {
        let mut waker = self.0.borrow_mut();
        match &*waker {
            Some(known) if known.will_wake(cx.waker()) => {}
            _ => *waker = Some(cx.waker().clone()),
        }
    }

    pub(crate) fn ring(&self) {
        if let Some(waker) = &*self.0.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Forgets who listens, so that the task can be freed.
    pub(crate) fn silence(&self) {
        self.0.take();
    }
}

/// Finished operations on their way to the machine.
#[derive(Default)]
pub(crate) struct Inbox {
    queue: RefCell<Vec<Input>>,
    pub(crate) bell: Bell,
}

impl Inbox {
    pub(crate) fn done(&self, conn: ConnId, kind: OpKind, outcome: Outcome) {
        let mut queue = self.queue.borrow_mut();
        queue.push(Input::Done { op: OpId { conn, kind }, outcome });
        if queue.len() == 1 {
            self.bell.ring();
        }
    }

    pub(crate) fn failed(&self, conn: ConnId, kind: OpKind, fault: Fault) {
        self.done(conn, kind, Outcome::Failed(fault));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    /// Trades what has arrived for the empty `batch`.
    pub(crate) fn collect(&self, batch: &mut Vec<Input>) {
        debug_assert!(batch.is_empty(), "what was collected before has been handled");
        std::mem::swap(&mut *self.queue.borrow_mut(), batch);
    }
}
