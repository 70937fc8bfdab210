//! How the loop of a machine hears: what its ports call, and the queue of finished operations.

use engine::base::id::ConnId;
use engine::boundary::{Fault, Input, OpId, OpKind, Outcome};
use std::cell::RefCell;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

/// Wakes the one task that listens, once.
#[derive(Default)]
pub(crate) struct Bell(RefCell<Option<Waker>>);

impl Bell {
    const fn new() -> Self {
        Self(RefCell::new(None))
    }

    pub(crate) fn listen(&self, cx: &Context<'_>) {
        self.0.replace(Some(cx.waker().clone()));
    }

    pub(crate) fn ring(&self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }

    /// Forgets who listens: whoever is awake need not be woken.
    pub(crate) fn silence(&self) {
        self.0.take();
    }
}

/// Slots of connections whose operations may have finished.
struct Calls {
    slots: RefCell<Vec<u32>>,
    bell: Bell,
}

thread_local! {
    /// Each machine has a thread of its own, and operations finish on the thread that began them.
    static CALLS: Calls = const { Calls { slots: RefCell::new(Vec::new()), bell: Bell::new() } };
}

/// What a connection gives the runtime to be called by: a note of its slot, where a task of its
/// own would be queued, run and counted several times per operation.
struct Call {
    slot: u32,
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        CALLS.with(|calls| {
            calls.slots.borrow_mut().push(self.slot);
            calls.bell.ring();
        });
    }
}

/// A waker that calls the loop of this thread to `slot`.
pub(crate) fn call_to(slot: u32) -> Waker {
    Waker::from(Arc::new(Call { slot }))
}

/// Finished operations on their way to the machine.
#[derive(Default)]
pub(crate) struct Inbox {
    queue: RefCell<Vec<Input>>,
}

impl Inbox {
    pub(crate) fn done(&self, conn: ConnId, kind: OpKind, outcome: Outcome) {
        self.queue.borrow_mut().push(Input::Done { op: OpId { conn, kind }, outcome });
        self.ring();
    }

    pub(crate) fn failed(&self, conn: ConnId, kind: OpKind, fault: Fault) {
        self.done(conn, kind, Outcome::Failed(fault));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty() && CALLS.with(|calls| calls.slots.borrow().is_empty())
    }

    /// Trades what has arrived for the empty `batch`.
    pub(crate) fn collect(&self, batch: &mut Vec<Input>) {
        debug_assert!(batch.is_empty(), "what was collected before has been handled");
        std::mem::swap(&mut *self.queue.borrow_mut(), batch);
    }

    /// Trades the slots that were called for the empty `slots`.
    pub(crate) fn called(&self, slots: &mut Vec<u32>) {
        debug_assert!(slots.is_empty(), "those who were called before have been seen to");
        CALLS.with(|calls| std::mem::swap(&mut *calls.slots.borrow_mut(), slots));
    }

    pub(crate) fn listen(&self, cx: &Context<'_>) {
        CALLS.with(|calls| calls.bell.listen(cx));
    }

    pub(crate) fn ring(&self) {
        CALLS.with(|calls| calls.bell.ring());
    }

    pub(crate) fn silence(&self) {
        CALLS.with(|calls| calls.bell.silence());
    }
}
