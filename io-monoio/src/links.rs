//! Where a machine's effects go that are not sockets: other machines, the helper, the log.

use crate::helper::{Helper, Line};
use crate::runtime::NoRing;
use crate::slot::{Mailbox, Post};
use engine::base::id::JobId;
use engine::boundary::{Job, Offer, Report};
use engine::view::View;
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// What the thread that starts a gateway waits for.
pub(crate) enum News {
    View(Arc<View>),
    WorkerReady,
    NoRing(NoRing),
}

/// The surroundings of one machine.
pub(crate) struct Links {
    pub(crate) mailbox: Arc<Mailbox>,
    /// Of the control machine: where reports go.
    pub(crate) control: Arc<Mailbox>,
    /// Of the workers: where views go.
    pub(crate) workers: Vec<Arc<Mailbox>>,
    /// Whoever starts the gateway waits for the first reading of the configuration; nobody
    /// listens later.
    pub(crate) starter: Option<Sender<News>>,
    pub(crate) helper: Helper,
    /// What this machine's log lines are.
    pub(crate) lines: Line,
}

impl Links {
    pub(crate) fn job(&self, id: JobId, job: Option<Job>) {
        let job = job.expect("a machine has every job that it announces");
        self.helper.work(id, job, self.mailbox.clone());
    }

    pub(crate) fn publish(&self, view: Option<Arc<View>>) {
        let view = view.expect("a machine has the view that it announces");
        for worker in &self.workers {
            worker.publish(view.clone());
        }
        if let Some(starter) = &self.starter {
            let _ = starter.send(News::View(view));
        }
    }

    pub(crate) fn report(&self, report: Report) {
        self.control.post(Post::Report(report));
    }

    pub(crate) fn offer(&self, offer: Option<Offer>) {
        if let Some(offer) = offer {
            self.control.post(Post::Offer(offer));
        }
    }

    pub(crate) fn log(&self, pull: impl FnOnce(&mut Vec<u8>)) {
        let mut lines = Vec::new();
        pull(&mut lines);
        self.helper.log(self.lines, lines);
    }
}
