//! Where hyper puts the tasks of a connection of HTTP/2: on the one thread of its host.

use hyper::rt::Executor;
use std::future::Future;
use tokio::task::spawn_local;

#[derive(Clone, Copy, Debug)]
pub(super) struct Here;

impl<F: Future + 'static> Executor<F> for Here {
    fn execute(&self, task: F) {
        spawn_local(async move { drop(task.await) });
    }
}
