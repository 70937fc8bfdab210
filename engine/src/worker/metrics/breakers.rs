//! Circuit breakers, by middleware and router.

use super::page::{Kind, Page};
use crate::service::middleware::breaker::Breaker;
use crate::worker::internal::Sight;

pub(super) fn write(sight: &Sight<'_>, page: &mut Page) {
    let breakers = || {
        let all = sight.view.model.middlewares.iter();
        all.flat_map(|info| &info.breakers).map(|(router, breaker)| (&**router, &**breaker))
    };
    if breakers().next().is_none() {
        return;
    }
    let about = "1 for the state that a circuit breaker is in.";
    page.family("tieline_circuit_breaker_state", Kind::Gauge, about);
    for (router, breaker) in breakers() {
        let now = breaker.state(sight.now).name();
        for state in Breaker::STATES {
            let labels =
                [("middleware", breaker.middleware()), ("router", router), ("state", state)];
            page.row(&labels).number((state == now).into());
        }
    }
    let about = "How often a circuit breaker opened.";
    page.family("tieline_circuit_breaker_opened_total", Kind::Counter, about);
    for (router, breaker) in breakers() {
        page.row(&[("middleware", breaker.middleware()), ("router", router)])
            .number(breaker.openings());
    }
}
