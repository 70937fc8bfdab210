//! What reaches a machine from other threads: the newest view, and a queue of small posts. A
//! socket pair wakes the ring of the thread that owns the machine.

use engine::base::id::JobId;
use engine::base::secret::Secret;
use engine::base::time::Time;
use engine::boundary::{Answer, Input, Offer, Report};
use engine::view::View;
use std::io::{self, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where other threads leave things for one machine.
pub struct Mailbox {
    /// Whether anything waits: one relaxed load per turn of the loop.
    waiting: AtomicBool,
    mail: Mutex<Mail>,
    bell: UnixStream,
}

#[derive(Default)]
struct Mail {
    view: Option<Arc<View>>,
    posts: Vec<Post>,
}

/// Something for a machine, from another thread.
#[derive(Debug)]
pub enum Post {
    Report(Report),
    Offer(Offer),
    Answered { job: JobId, answer: Answer },
    Workload(Result<Secret, String>),
    Changed,
    Drain { by: Time },
}

impl Mailbox {
    /// The mailbox, and the end whose readability means that something was left.
    pub fn new() -> io::Result<(Arc<Self>, UnixStream)> {
        let (bell, heard) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        let mail = Mutex::new(Mail::default());
        Ok((Arc::new(Self { waiting: AtomicBool::new(false), mail, bell }), heard))
    }

    pub fn post(&self, post: Post) {
        self.lock().posts.push(post);
        self.wake();
    }

    /// Replaces a view that was not collected yet.
    pub fn publish(&self, view: Arc<View>) {
        let replaced = self.lock().view.replace(view);
        self.wake();
        // Freed on the thread that made it, not on a worker.
        drop(replaced);
    }

    #[inline]
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Moves everything to `batch`, the view first.
    pub(crate) fn collect(&self, batch: &mut Vec<Input>) {
        let mut mail = self.lock();
        self.waiting.store(false, Ordering::Relaxed);
        batch.extend(mail.view.take().map(Input::View));
        batch.extend(mail.posts.drain(..).map(|post| match post {
            Post::Report(report) => Input::Report(report),
            Post::Offer(offer) => Input::Offer(offer),
            Post::Answered { job, answer } => Input::Job { job, answer },
            Post::Workload(told) => Input::Workload(told),
            Post::Changed => Input::Changed,
            Post::Drain { by } => Input::Drain { by },
        }));
    }

    /// The owner is gone: its end of the pair reads end of stream.
    pub(crate) fn hang_up(&self) {
        // The other end may have gone first.
        let _ = self.bell.shutdown(Shutdown::Both);
    }

    fn wake(&self) {
        if !self.waiting.swap(true, Ordering::AcqRel) {
            // A full pair already holds a wake; a closed one has nobody to wake.
            let _ = (&self.bell).write(&[0]);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
