//! Circuit breakers, by middleware and by the router or service behind it.

use super::page::{Kind, Page};
use crate::service::middleware::breaker::Breaker;
use crate::worker::internal::Sight;

pub(super) fn write(sight: &Sight<'_>, page: &mut Page) {
    let breakers = || {
        let all = sight.view.model.middlewares.iter();
        all.flat_map(|info| &info.breakers).map(|(user, breaker)| (user, &**breaker))
    };
    if breakers().next().is_none() {
        return;
    }
    let about = "1 for the state that a circuit breaker is in.";
    page.family("tieline_circuit_breaker_state", Kind::Gauge, about);
    for (user, breaker) in breakers() {
        let now = breaker.state(sight.now).name();
        for state in Breaker::STATES {
            let user = (user.kind(), &**user.name());
            let labels = [("middleware", breaker.middleware()), user, ("state", state)];
            page.row(&labels).number((state == now).into());
        }
    }
    let about = "How often a circuit breaker opened.";
    page.family("tieline_circuit_breaker_opened_total", Kind::Counter, about);
    for (user, breaker) in breakers() {
        let user = (user.kind(), &**user.name());
        page.row(&[("middleware", breaker.middleware()), user]).number(breaker.openings());
    }
}
