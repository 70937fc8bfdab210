//! What a finished request adds to the figures: one call, a few stores, no allocation after the
//! first request of a kind.

use super::record::AccessRecord;
use crate::config::fixed::Fixed;
use crate::config::fixed::Observed;
use crate::view::series::{Finished, SeriesKey};
use crate::view::stats::{Stats, WorkerStats, Writer};
use std::sync::Arc;

/// One worker's pen in the book of the process.
#[derive(Clone, Debug)]
pub struct Accounts {
    stats: Arc<Stats>,
    writer: Writer,
    /// Upper bounds of the histograms in microseconds; nothing is told apart without metrics.
    bounds: Arc<[u64]>,
    entries: bool,
    routers: bool,
    services: bool,
}

impl Accounts {
    /// For the worker of this number; `stats` was made for more workers than that.
    pub fn new(stats: Arc<Stats>, index: u16, fixed: &Fixed) -> Self {
        let of = u16::try_from(stats.workers.len()).expect("workers are counted in 16 bits");
        assert!(index < of, "a worker writes its own figures");
        let metrics = fixed.prometheus.as_ref();
        // Who looks at the dashboard wants to see who answers.
        let looked_at = fixed.api.as_ref().is_some_and(|api| api.dashboard);
        Self {
            stats,
            writer: Writer { index, of },
            bounds: metrics.map_or_else(Arc::default, |m| m.buckets_micros.as_slice().into()),
            entries: looked_at || metrics.is_some_and(|m| m.entry_point_labels),
            routers: metrics.is_some_and(|m| m.router_labels),
            services: looked_at || metrics.is_some_and(|m| m.service_labels),
        }
    }

    /// The words that only this worker writes.
    #[inline]
    pub fn mine(&self) -> &WorkerStats {
        &self.stats.workers[usize::from(self.writer.index)]
    }

    /// How many workers share the process.
    pub fn workers(&self) -> u16 {
        self.writer.of
    }

    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// A request of a client has ended.
    pub fn finished(&self, record: &AccessRecord<'_>) {
        if record.route.is_some_and(|route| route.internal) || !record.observed().metrics {
            return;
        }
        if let Some(suite) = record.suite
            && let Some(counts) = self.mine().secure_requests.get(usize::from(record.entry.0))
        {
            counts[suite as usize].add(1);
        }
        let done = record.finished();
        if self.entries
            && let Some(entry) = record.view.entries.get(usize::from(record.entry.0))
        {
            entry.stats.record(self.writer, &self.bounds, &done);
        }
        if self.routers
            && let Some(route) = record.route
        {
            route.stats.record(self.writer, &self.bounds, &done);
        }
        self.served(record, &done);
        if let Some(uplink) = record.server.and_then(|server| server.uplink.as_ref())
            && record.origin_status != 0
            && let Some(child) = record.view.children.get(usize::from(uplink.child.0))
        {
            child.stats.latency.record(self.writer, record.origin_took);
        }
    }

    /// A copy of a request has ended: it counts at its service alone.
    pub fn mirrored(&self, record: &AccessRecord<'_>) {
        self.served(record, &record.finished());
    }

    fn served(&self, record: &AccessRecord<'_>, done: &Finished) {
        let node = record.service.and_then(|service| record.view.services.get(service.0));
        if let Some(node) = node.filter(|_| self.services) {
            node.stats.record(self.writer, &self.bounds, done);
        }
    }
}

impl AccessRecord<'_> {
    /// Where this request leaves a trace: what its router says, or the entry point.
    pub(super) fn observed(&self) -> Observed {
        let of_entry = || self.view.entries.get(usize::from(self.entry.0));
        match self.route {
            Some(route) => route.observed,
            None => of_entry().map(|entry| entry.settings.observed).unwrap_or_default(),
        }
    }

    fn finished(&self) -> Finished {
        Finished {
            key: SeriesKey::new(self.status, self.method, self.protocol),
            took: self.took(),
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
            retries: self.retries,
        }
    }
}
