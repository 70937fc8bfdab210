//! Mirroring: copies of finished requests, sent on without a client. The main exchange streams as
//! if there were no mirrors; clones of its body's chunks are all that is kept.

use super::Worker;
use super::exchange::{Choices, Exchange, Kept, Multiplex, service_of};
use crate::base::id::ServiceId;
use crate::base::mark::Mark;
use crate::base::mutant::{Mutant, planted};
use crate::base::page::Chunk;
use crate::base::slab::Key;
use crate::http::framing::{Asked, Framing};
use crate::service::mirror::is_mirrored;
use crate::view::stats::MirrorSkip;
use crate::view::{NodeKind, View};
use std::rc::Rc;

/// Memory of so many kept bodies waits for the next ones,
const SPARE_KEPT: usize = 64;
/// unless there are more pieces in it than this.
const SPARE_CHUNKS: usize = 64;

impl Kept {
    fn clear(&mut self) {
        self.chunks.clear();
        (self.bytes, self.overgrown, self.starved) = (0, false, false);
    }
}

impl Worker {
    /// Settles how much of the body is to be kept: for mirrors and for a failover as much as they
    /// say, for a server that may refuse a stream a little.
    pub(super) fn prepare_to_keep(&mut self, key: Key) {
        let exchange = self.exchanges.get_mut(key).expect("a directed exchange exists");
        if exchange.up.is_over() {
            return;
        }
        if exchange.paging.is_some() {
            return;
        }
        let retry = exchange.retry().map(|retry| retry.body_bytes_max.unwrap_or(u64::MAX));
        let wanted = if exchange.mirrored || exchange.judged || retry.is_some() {
            kept_max(&exchange.view, &exchange.choices).max(retry.unwrap_or(0))
        } else if exchange.multiplex() == Multiplex::Never {
            0
        } else {
            u64::from(self.limits.refused_bytes)
        };
        let wanted = wanted.min(u64::from(self.limits.kept_bytes));
        exchange.kept_max = exchange.kept_max.max(wanted);
        if exchange.kept_max > 0 && exchange.kept.is_none() && exchange.up.bytes == 0 {
            exchange.kept = Some(self.spare_kept.pop().unwrap_or_default());
        }
    }

    /// Keeps a piece of the body, if somebody may need it and there is room.
    pub(super) fn keep(&mut self, key: Key, piece: &Chunk) {
        let budget = u64::from(self.limits.kept_bytes);
        let exchange = self.exchanges.get_mut(key).expect("a forwarding exchange exists");
        let Some(kept) = exchange.kept.as_mut().and_then(Rc::get_mut) else { return };
        if kept.overgrown {
            return;
        }
        let bytes = piece.len() as u64;
        let over_own = kept.bytes + bytes > exchange.kept_max;
        if over_own || self.kept_bytes + bytes > budget {
            self.kept_bytes -= kept.bytes;
            kept.clear();
            (kept.overgrown, kept.starved) = (true, !over_own);
            exchange.replayed = 0;
            self.mark(Mark::KeptOvergrown);
            return;
        }
        kept.chunks.push(piece.clone());
        kept.bytes += bytes;
        self.kept_bytes += bytes;
        exchange.replayed = kept.chunks.len();
    }

    /// Forgets an exchange's share of what is kept; mirrors may still hold theirs.
    pub(super) fn forget_kept(&mut self, exchange: &mut Exchange) {
        if let Some(kept) = exchange.kept.take() {
            self.put_kept_back(kept);
        }
    }

    fn put_kept_back(&mut self, mut shared: Rc<Kept>) {
        let Some(kept) = Rc::get_mut(&mut shared) else { return };
        if !planted(Mutant::BudgetNotGivenBack) {
            self.kept_bytes -= kept.bytes;
        }
        kept.clear();
        if self.spare_kept.len() < SPARE_KEPT && kept.chunks.capacity() <= SPARE_CHUNKS {
            self.spare_kept.push(shared);
        }
    }

    /// The answer has begun: nobody will be sent the body again.
    pub(super) fn let_kept_go(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if exchange.mirrored || !exchange.ended {
            return;
        }
        if let Some(kept) = exchange.kept.take() {
            self.put_kept_back(kept);
        }
    }

    /// The main exchange is complete: its mirrors begin, all at once.
    pub(super) fn start_mirrors(&mut self, main: &Exchange) {
        let view = Rc::clone(&main.view);
        for (at, choice) in main.choices.as_slice().iter().enumerate() {
            let Some(NodeKind::Mirroring(node)) =
                service_of(&view, choice.service).map(|node| &node.kind)
            else {
                continue;
            };
            for mirror in &node.mirrors {
                if is_mirrored(choice.ticket, mirror.percent) {
                    let body = node.mirror_body.then_some(node.body_bytes_max);
                    self.start_mirror(main, at, mirror.service, body);
                }
            }
        }
    }

    /// `body` is absent if the body is not mirrored, else its limit.
    fn start_mirror(
        &mut self,
        main: &Exchange,
        choice: usize,
        service: ServiceId,
        body: Option<Option<u64>>,
    ) {
        if planted(Mutant::MirrorLost) && main.serial.is_multiple_of(8) {
            return;
        }
        if let Some(why) = self.reason_to_skip(main, body) {
            self.skip_mirror(why);
            return;
        }
        let bodied = body.is_some() && !matches!(main.framing, Framing::Empty);
        let bytes = main.kept().map_or(0, |kept| kept.bytes);
        let mut asking = main.asking.clone();
        asking.expects_continue = false;
        let view = Rc::clone(&main.view);
        let mut mirror = Exchange::new(view, main.entry, main.peer, asking);
        self.inherit(&mut mirror, main, choice);
        mirror.web = main.web;
        mirror.framing = if bodied { Framing::Length(bytes) } else { Framing::Empty };
        mirror.kept = main.kept.clone().filter(|_| bodied);
        mirror.continued = true;
        mirror.started = self.now;
        mirror.sent_at = self.now;
        mirror.whole_by = self.now + self.limits.mirror_timeout;
        self.mirrors += 1;
        self.mark(Mark::MirrorStarted);
        self.counts().mirrors.add(1);
        let key = self.exchanges.insert(mirror);
        self.switching.push((key, service));
    }

    fn reason_to_skip(&self, main: &Exchange, body: Option<Option<u64>>) -> Option<MirrorSkip> {
        if main.asking.asked == Asked::Upgrade {
            return Some(MirrorSkip::Upgrade);
        }
        if self.mirrors >= self.limits.mirrors_max {
            return Some(MirrorSkip::TooMany);
        }
        let limit = body?.filter(|_| !planted(Mutant::MirrorBeyondCap));
        // Its head still announces a body of which the end was never seen.
        if !main.up.is_over() {
            return Some(MirrorSkip::ClientGone);
        }
        let sent = main.up.bytes;
        if limit.is_some_and(|max| sent > max) {
            return Some(MirrorSkip::BodyTooLarge);
        }
        if sent > 0 && main.kept().is_none_or(|kept| kept.bytes != sent) {
            let starved = main.kept.as_ref().is_none_or(|kept| kept.starved);
            return Some(if starved { MirrorSkip::NoBudget } else { MirrorSkip::BodyTooLarge });
        }
        None
    }

    pub(super) fn skip_mirror(&mut self, why: MirrorSkip) {
        self.mark(Mark::MirrorSkipped);
        self.counts().mirror_skipped(why);
    }

    /// Counts every mirror of an exchange that ended before they could begin.
    pub(super) fn skip_mirrors(&mut self, main: &Exchange, why: MirrorSkip) {
        let view = Rc::clone(&main.view);
        for choice in main.choices.as_slice() {
            if let Some(NodeKind::Mirroring(node)) =
                service_of(&view, choice.service).map(|node| &node.kind)
            {
                let wanted =
                    node.mirrors.iter().filter(|it| is_mirrored(choice.ticket, it.percent));
                wanted.for_each(|_| self.skip_mirror(why));
            }
        }
    }
}

/// The most that any mirroring or failover on the way wants kept.
fn kept_max(view: &View, choices: &Choices) -> u64 {
    let wanted = choices.as_slice().iter().filter_map(|choice| {
        match &service_of(view, choice.service)?.kind {
            NodeKind::Mirroring(node) if node.mirror_body => {
                Some(node.body_bytes_max.filter(|_| !planted(Mutant::MirrorBeyondCap)))
            }
            NodeKind::Failover { errors: Some(errors), .. } => Some(errors.body_bytes_max),
            NodeKind::Mirroring(_)
            | NodeKind::Failover { .. }
            | NodeKind::Balancer { .. }
            | NodeKind::Weighted { .. }
            | NodeKind::Internal(_)
            | NodeKind::Unavailable(_) => None,
        }
    });
    wanted.map(|max| max.unwrap_or(u64::MAX)).max().unwrap_or(0)
}
