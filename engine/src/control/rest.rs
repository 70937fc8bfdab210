//! The REST provider: documents that clients put in the place of the last one. What is no
//! configuration changes nothing; what takes effect does so `providersThrottleDuration` apart.

use super::file::Complete;
use super::machine::Control;
use super::reload::Layer;
use crate::base::diag::Diagnostic;
use crate::base::line::{Level, LogLine};
use crate::base::mark::Mark;
use crate::base::time::Time;
use crate::boundary::Offer;
use crate::config::fixed::Provider;
use crate::config::{Setting, dynamic_in};
use crate::view::status::Judged;
use std::sync::Arc;

/// How documents are called where something is said of them.
const NAME: &str = "providers.rest";

#[derive(Debug)]
pub(super) struct Rest {
    /// Waits until the last change is old enough.
    waiting: Option<Layer>,
    next_apply: Time,
    /// A document was taken.
    holds: bool,
    /// Why the last one was not.
    refusal: Option<String>,
}

impl Rest {
    pub(super) fn new(now: Time) -> Self {
        Self { waiting: None, next_apply: now, holds: false, refusal: None }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.waiting.as_ref().map(|_| self.next_apply)
    }

    pub(super) fn is_refused(&self) -> bool {
        self.refusal.is_some()
    }

    pub(super) fn diagnose(&self, out: &mut Vec<Diagnostic>) {
        let Some(refusal) = &self.refusal else { return };
        let kept = if self.holds { "; the one before stays in effect" } else { "" };
        let text = format!("the last document was refused: {refusal}{kept}");
        out.push(Diagnostic::error("refused-document", NAME, text));
    }
}

impl Control {
    /// Judges a document; who offers it finds the verdict in the next view.
    pub(super) fn on_offer(&mut self, offer: &Offer, now: Time) {
        if self.rest.is_none() {
            return;
        }
        let fixed = Arc::clone(&self.fixed);
        let setting = Setting::of(&fixed, Provider::Rest);
        let reading = dynamic_in(&[(NAME, &offer.text)], &setting);
        let empty = offer.text.trim().is_empty();
        let accepted = reading.complete && !empty;
        let mut problems: Vec<String> =
            reading.diagnostics.iter().map(ToString::to_string).collect();
        if empty {
            problems = vec!["the document is empty; {} takes everything away".to_owned()];
        }
        if accepted {
            let layer = Layer {
                dynamic: reading.dynamic,
                problems: reading.diagnostics,
                complete: Complete::Yes,
            };
            self.accept_offer(layer, now);
        } else {
            self.refuse_offer(problems.join("; "), now);
        }
        let judged = Judged { serial: offer.serial, accepted, problems: problems.into() };
        self.publisher.set_judged(offer.worker, judged);
    }

    fn accept_offer(&mut self, layer: Layer, now: Time) {
        let Some(rest) = &mut self.rest else { return };
        rest.holds = true;
        if rest.refusal.take().is_some() {
            self.publisher.problems_changed();
        }
        if now < rest.next_apply {
            self.stats.control.marks.hit(Mark::OfferThrottled);
            rest.waiting = Some(layer);
            return;
        }
        self.apply_offer(layer, now);
    }

    fn apply_offer(&mut self, layer: Layer, now: Time) {
        let Some(rest) = &mut self.rest else { return };
        rest.waiting = None;
        rest.next_apply = now + self.fixed.throttle;
        self.journal.info(now, "the REST provider was given a configuration", &[]);
        self.take_over(Provider::Rest, layer, now);
    }

    fn refuse_offer(&mut self, why: String, now: Time) {
        let Some(rest) = &mut self.rest else { return };
        let text = "the REST provider was given no configuration";
        self.journal.say(LogLine::new(Level::Warn, now, text).field("error", why.clone()));
        rest.refusal = Some(why);
        self.publisher.refused_more(now);
    }

    pub(super) fn tick_rest(&mut self, now: Time) {
        let Some(rest) = self.rest.as_mut().filter(|rest| rest.next_apply <= now) else { return };
        if let Some(layer) = rest.waiting.take() {
            self.apply_offer(layer, now);
        }
    }
}
