//! `circuitBreaker`, as it is written.

use crate::base::time::Span;
use crate::config::condition::Condition;
use crate::config::fields::Fields;
use crate::config::typed::{CircuitBreaker, MiddlewareKind};

pub(super) fn circuit_breaker(fields: Fields<'_>) -> Option<MiddlewareKind> {
    let expression = fields.parsed("expression", Condition::parse);
    fields.demand("expression", "circuitBreaker has an expression");
    let span = |key, default| fields.lasting(key).unwrap_or(default);
    let (check_period, fallback, recovery) = (
        span("checkPeriod", Span::millis(100)),
        span("fallbackDuration", Span::secs(10)),
        span("recoveryDuration", Span::secs(10)),
    );
    let status = fields.number("responseCode", 200..=599).and_then(|it| u16::try_from(it).ok());
    if matches!(status, Some(204 | 304)) {
        fields.error("responseCode", "bad-value", "expected a status that has a body");
    }
    fields.close();
    Some(MiddlewareKind::CircuitBreaker(Box::new(CircuitBreaker {
        expression: expression?,
        check_period,
        fallback,
        recovery,
        status: status.unwrap_or(503),
    })))
}
