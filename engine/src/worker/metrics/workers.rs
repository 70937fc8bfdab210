//! What workers do beside answering: connections to origins, mirrors, what was given up, marks.

use super::page::{Kind, Page};
use crate::base::mark::{Mark, Marks};
use crate::view::stats::{Count, MirrorSkip, Shed, WorkerStats};
use crate::worker::internal::Sight;
use std::sync::atomic::Ordering::Relaxed;

pub(super) fn write(sight: &Sight<'_>, page: &mut Page) {
    let workers = &sight.stats.workers;
    upstreams(workers, page);
    given_up(workers, page);
    lines_dropped(sight, page);
    per_worker(workers, page);
    marks(sight, page);
}

fn sum(workers: &[WorkerStats], of: impl Fn(&WorkerStats) -> &Count) -> u64 {
    workers.iter().map(|worker| of(worker).get()).sum()
}

fn upstreams(workers: &[WorkerStats], page: &mut Page) {
    page.family(
        "tieline_upstream_requests_total",
        Kind::Counter,
        "Requests sent to origins, on a fresh connection or a kept one.",
    );
    let (dialed, reused) = (sum(workers, |w| &w.dialed), sum(workers, |w| &w.reused));
    page.row(&[("connection", "dialed")]).number(dialed);
    page.row(&[("connection", "reused")]).number(reused);
    page.family(
        "tieline_upstream_reuse_ratio",
        Kind::Gauge,
        "Share of requests that went out on a kept connection, since the start.",
    );
    page.row(&[]).ratio(reused, dialed + reused);
    page.family("tieline_upstream_connections", Kind::Gauge, "Connections to origins.");
    let (all, idle) = (sum(workers, |w| &w.upstreams), sum(workers, |w| &w.upstreams_idle));
    page.row(&[("state", "busy")]).number(all.saturating_sub(idle));
    page.row(&[("state", "idle")]).number(idle);
    page.family("tieline_retries_total", Kind::Counter, "Attempts after the first.");
    page.row(&[]).number(sum(workers, |w| &w.retries));
}

fn given_up(workers: &[WorkerStats], page: &mut Page) {
    page.family("tieline_mirrors_total", Kind::Counter, "Mirrored requests that were sent.");
    page.row(&[]).number(sum(workers, |w| &w.mirrors));
    page.family("tieline_mirrors_skipped_total", Kind::Counter, "Mirrored requests left out.");
    for why in MirrorSkip::ALL {
        let count = sum(workers, |w| &w.mirrors_skipped[*why as usize]);
        page.row(&[("reason", why.label())]).number(count);
    }
    page.family(
        "tieline_rate_limit_uncounted_total",
        Kind::Counter,
        "Requests refused because Redis did not count them.",
    );
    page.row(&[]).number(sum(workers, |w| &w.uncounted));
    page.family(
        "tieline_shed_total",
        Kind::Counter,
        "What was given up for want of memory or descriptors.",
    );
    for what in Shed::ALL {
        page.row(&[("what", what.label())]).number(sum(workers, |w| &w.shed[*what as usize]));
    }
}

fn lines_dropped(sight: &Sight<'_>, page: &mut Page) {
    page.family(
        "tieline_log_lines_dropped_total",
        Kind::Counter,
        "Log lines given up because the log could not be written fast enough.",
    );
    page.row(&[]).number(sight.stats.log_lines_dropped.load(Relaxed));
}

fn per_worker(workers: &[WorkerStats], page: &mut Page) {
    each(workers, page, "tieline_worker_requests_total", Kind::Counter, "Requests.", |w| {
        w.requests.get()
    });
    each(workers, page, "tieline_worker_clients", Kind::Gauge, "Client connections.", |w| {
        w.clients.iter().map(Count::get).sum()
    });
    each(workers, page, "tieline_worker_page_bytes", Kind::Gauge, "Bytes of buffers.", |w| {
        w.page_bytes.get()
    });
    each(workers, page, "tieline_worker_view_epoch", Kind::Gauge, "View in use.", |w| {
        w.epoch.get()
    });
    page.family(
        "tieline_worker_skew_ratio",
        Kind::Gauge,
        "Requests of the busiest worker over those of the average one, since the start.",
    );
    let busiest = workers.iter().map(|worker| worker.requests.get()).max().unwrap_or(0);
    let all = sum(workers, |w| &w.requests);
    page.row(&[]).ratio(busiest.saturating_mul(workers.len() as u64), all);
}

fn each(
    workers: &[WorkerStats],
    page: &mut Page,
    name: &'static str,
    kind: Kind,
    about: &str,
    value: impl Fn(&WorkerStats) -> u64,
) {
    page.family(name, kind, about);
    for (at, worker) in workers.iter().enumerate() {
        page.row(&[("worker", &at.to_string())]).number(value(worker));
    }
}

/// Only marks that were hit; there are many, and most stay at zero.
fn marks(sight: &Sight<'_>, page: &mut Page) {
    page.family("tieline_marks_total", Kind::Counter, "Rare events inside, by name.");
    let all = || {
        let workers = sight.stats.workers.iter().map(|worker| &worker.marks);
        workers.chain([&sight.stats.control.marks])
    };
    for mark in Mark::ALL {
        let hits = all().map(|marks: &Marks| marks.count(*mark)).sum::<u64>();
        if hits > 0 {
            page.row(&[("mark", mark.name())]).number(hits);
        }
    }
}
