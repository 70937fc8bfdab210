//! A request on its way through the middlewares of its route, outermost first, until one answers
//! it or all let it pass.

use super::Worker;
use super::answer::Answer;
use super::fields;
use crate::base::id::ServiceId;
use crate::base::mark::Mark;
use crate::base::slab::Key;
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
                let verdict = judge(step, &passing, &mut self.scratch.judging);
                let exchange = self.exchanges.get_mut(key).expect("a passing exchange exists");
                exchange.passed = at;
                if verdict != Verdict::Pass {
                    self.scratch.target = asked;
                    self.conclude(key, verdict);
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
        let exchange = self.exchanges.get_mut(key).expect("a passing exchange exists");
        exchange.passed = all;
        self.send_to(key, service, head, target);
    }

    fn conclude(&mut self, key: Key, verdict: Verdict) {
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

/// Path and query as they came, in their canonical form.
pub(super) fn write_target(out: &mut String, target: &Target<'_>) {
    out.clear();
    out.push_str(target.path);
    if let Some(query) = target.query {
        out.push('?');
        out.push_str(query);
    }
}
