//! How the loop of a machine hears: who calls it, and the queue of finished operations. Each
//! machine has a thread of its own, and operations finish on the thread that began them: so there
//! is one bell per thread.

use engine::base::id::ConnId;
use engine::boundary::{Fault, Input, OpId, OpKind, Outcome};
use std::cell::RefCell;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

struct Bell {
    /// Who is to be woken; nobody while the loop is awake.
    listener: RefCell<Option<Waker>>,
    /// Slots of connections whose operations may have finished.
    called: RefCell<Vec<u32>>,
}

thread_local! {
    static BELL: Bell =
        const { Bell { listener: RefCell::new(None), called: RefCell::new(Vec::new()) } };
}

/// Wakes the one task that listens, once.
pub(crate) fn ring() {
    BELL.with(Bell::ring);
}

pub(crate) fn listen(cx: &Context<'_>) {
    BELL.with(|bell| bell.listener.replace(Some(cx.waker().clone())));
}

/// Forgets who listens: whoever is awake need not be woken.
pub(crate) fn silence() {
    BELL.with(|bell| bell.listener.take());
}

pub(crate) fn is_anybody_called() -> bool {
    BELL.with(|bell| !bell.called.borrow().is_empty())
}

/// Trades the slots that were called for the empty `slots`.
pub(crate) fn called(slots: &mut Vec<u32>) {
    debug_assert!(slots.is_empty(), "those who were called before have been seen to");
    BELL.with(|bell| std::mem::swap(&mut *bell.called.borrow_mut(), slots));
}

/// A waker that calls `slot`.
pub(crate) fn call_to(slot: u32) -> Waker {
    Waker::from(Arc::new(Call { slot }))
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
        BELL.with(|bell| {
            bell.called.borrow_mut().push(self.slot);
            bell.ring();
        });
    }
}

impl Bell {
    fn ring(&self) {
        if let Some(listener) = self.listener.take() {
            listener.wake();
        }
    }
}

/// Finished operations on their way to the machine.
#[derive(Default)]
pub(crate) struct Inbox(RefCell<Vec<Input>>);

impl Inbox {
    pub(crate) fn done(&self, conn: ConnId, kind: OpKind, outcome: Outcome) {
        self.0.borrow_mut().push(Input::Done { op: OpId { conn, kind }, outcome });
        ring();
    }

    pub(crate) fn failed(&self, conn: ConnId, kind: OpKind, fault: Fault) {
        self.done(conn, kind, Outcome::Failed(fault));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Trades what has arrived for the empty `batch`.
    pub(crate) fn collect(&self, batch: &mut Vec<Input>) {
        debug_assert!(batch.is_empty(), "what was collected before has been handled");
        std::mem::swap(&mut *self.0.borrow_mut(), batch);
    }
}
