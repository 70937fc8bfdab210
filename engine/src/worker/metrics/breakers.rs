//! Circuit breakers, by the middleware that they are.

use super::page::{Kind, Page};
use crate::service::middleware::breaker::Breaker;
use crate::worker::internal::Sight;

pub(super) fn write(sight: &Sight<'_>, page: &mut Page) {
    let breakers = || {
        let all = sight.view.model.middlewares.iter();
        all.filter_map(|info| Some((&*info.definition.name, &**info.breaker.as_ref()?)))
    };
    if breakers().next().is_none() {
        return;
    }
    let about = "1 for the state that a circuit breaker is in.";
    page.family("tieline_circuit_breaker_state", Kind::Gauge, about);
    for (name, breaker) in breakers() {
        let now = breaker.state(sight.now).name();
        for state in Breaker::STATES {
            page.row(&[("middleware", name), ("state", state)]).number((state == now).into());
        }
    }
    let about = "How often a circuit breaker opened.";
    page.family("tieline_circuit_breaker_opened_total", Kind::Counter, about);
    for (name, breaker) in breakers() {
        page.row(&[("middleware", name)]).number(breaker.openings());
    }
}
