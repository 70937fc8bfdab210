//! A request on its way through the middlewares of its route, outermost first, until one answers
//! it or all let it pass.

use super::Worker;
use super::answer::Answer;
use super::dispatch::range_in;
use super::exchange::Exchange;
use super::fields;
use crate::base::id::ServiceId;
use crate::base::mark::Mark;
use crate::base::slab::{Key, Slab};
use crate::http::head::RequestHead;
use crate::http::target::Target;
use crate::service::middleware::passing::Passing;
use crate::service::middleware::{Step, Verdict, judge, path};
use std::rc::Rc;

impl Worker {
    /// Goes on behind the steps that the request has passed, and to `service` behind the last.
    pub(super) fn pass(
        &mut self,
        key: Key,
        service: ServiceId,
        head: &RequestHead<'_>,
        target: &Target<'_>,
    ) {
        let exchange = self.exchanges.get_mut(key).expect("a directed exchange exists");
        let view = Rc::clone(&exchange.view);
        let steps = super::exchange::steps_of(&view, exchange.entry, exchange.route);
        let all = u16::try_from(steps.len()).expect("steps are counted in hundreds");
        if !steps.iter().any(Step::may_answer) {
            exchange.passed = all;
            self.send_to(key, service, head, target);
            return;
        }
        let settings = &view.entries[usize::from(exchange.entry.0)].settings;
        let peer = exchange.peer.ip();
        let trusted = fields::is_trusted(settings, peer);
        let before = exchange.passed;
        let mut asked = std::mem::take(&mut self.scratch.target);
        write_target(&mut asked, target);
        for (at, step) in (0..all).zip(steps) {
            let passing = Passing {
                head,
                target,
                peer,
                trusted,
                secure: false,
                passed: &steps[..usize::from(at)],
                path: &asked,
            };
            if at >= before {
                if let Step::Headers(headers) = step {
                    let asking = &mut exchange_of(&mut self.exchanges, key).asking;
                    let origin = passing.field("Origin").unwrap_or_default();
                    asking.origin = range_in(asking.head.bytes(), origin);
                    asking.secure |= passing.secure || headers.is_secure(&passing);
                }
                let verdict = judge(step, &passing, &mut self.scratch.judging);
                exchange_of(&mut self.exchanges, key).passed = at;
                if verdict != Verdict::Pass {
                    self.scratch.target = asked;
                    self.conclude(key, step, verdict);
                    return;
                }
            }
            let memory = &mut self.scratch.memory;
            if path::apply(step, &mut asked, memory, &mut |_, _| {}).is_err() {
                self.scratch.target = asked;
                self.mark(Mark::UncleanPath);
                self.answer(key, &Answer::empty(400));
                return;
            }
        }
        self.scratch.target = asked;
        exchange_of(&mut self.exchanges, key).passed = all;
        self.send_to(key, service, head, target);
    }

    fn conclude(&mut self, key: Key, step: &Step, verdict: Verdict) {
        match verdict {
            Verdict::Pass => {}
            Verdict::Refuse(status) => {
                self.mark(Mark::MiddlewareRefused);
                self.answer(key, &Answer::bare(status));
            }
            Verdict::Bare(status) => {
                self.mark(Mark::MiddlewareRefused);
                self.answer(key, &Answer::empty(status));
            }
            Verdict::Preflight => {
                self.mark(Mark::PreflightAnswered);
                let exchange = exchange_of(&mut self.exchanges, key);
                let asking = exchange.asking.head.clone();
                let origin =
                    exchange.asking.origin.start as usize..exchange.asking.origin.end as usize;
                let origin = std::str::from_utf8(&asking.bytes()[origin]).unwrap_or_default();
                let Step::Headers(headers) = step else { return };
                let mut fields = headers.preflight(origin);
                let told = sorted(&mut fields);
                self.answer(key, &Answer { fields: told, ..Answer::empty(200) });
            }
            Verdict::Redirect(status) => {
                self.mark(Mark::Redirected);
                let location = std::mem::take(&mut self.scratch.judging.location);
                let fields = [("Location", location.as_str())];
                self.answer(key, &Answer { fields: &fields, ..Answer::bare(status) });
                self.scratch.judging.location = location;
            }
        }
    }
}

/// Those that have a value.
fn sorted<'a, 'f>(fields: &'f mut [(&'a str, &'a str)]) -> &'f [(&'a str, &'a str)] {
    fields.sort_by_key(|(_, value)| value.is_empty());
    let end = fields.iter().position(|(_, value)| value.is_empty()).unwrap_or(fields.len());
    &fields[..end]
}

fn exchange_of(exchanges: &mut Slab<Exchange>, key: Key) -> &mut Exchange {
    exchanges.get_mut(key).expect("a passing exchange exists")
}

/// Path and query as they came, in their canonical form.
pub(super) fn write_target(out: &mut String, target: &Target<'_>) {
    out.clear();
    out.push_str(target.path);
    if let Some(query) = target.query {
        out.push('?');
        out.push_str(query);
    }
}
