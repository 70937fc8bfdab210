//! What is read of middlewares that look at bodies, and what is said about them.

use super::middlewares::middleware;
use crate::base::time::Span;
use crate::config::typed::{MiddlewareKind, Retry};

#[test]
fn how_often_a_request_is_sent() {
    let plain = Retry {
        attempts: 3,
        initial_interval: Span::ZERO,
        timeout: Span::ZERO,
        body_bytes_max: Some(2 << 20),
        status: Vec::new(),
        on_network_error: true,
        non_idempotent: false,
    };
    let check = |lines: &str, expected: Retry| {
        assert_eq!(middleware(lines, ""), MiddlewareKind::Retry(expected), "{lines}");
    };
    check("retry: {attempts: 3}", plain.clone());
    check(
        "retry: {attempts: 3, initialInterval: 100ms, timeout: 2, maxRequestBodyBytes: -1, \
            status: ['502-504', 429], disableRetryOnNetworkError: true, \
            retryNonIdempotentMethod: true}",
        Retry {
            initial_interval: Span::millis(100),
            timeout: Span::secs(2),
            body_bytes_max: None,
            status: vec![502..=504, 429..=429],
            on_network_error: false,
            non_idempotent: true,
            ..plain
        },
    );
    middleware(
        "retry: {attempts: 1}",
        "warning: retry.attempts: the first attempt is one: nothing is sent again",
    );
    for (lines, expected) in [
        ("", "attempts: retry says how many attempts there are"),
        ("attempts: 0", "attempts: `0`: it is below 1"),
        ("attempts: 101", "attempts: `101`: it is above 100"),
        ("attempts: many", "attempts: `many`: expected a whole number"),
        (
            "attempts: 2, disableRetryOnNetworkError: true",
            "disableRetryOnNetworkError: without a status, nothing is left to be sent again for",
        ),
        (
            "attempts: 2, status: [99]",
            "status: `99`: expected a status such as 503 or a range such as 500-599",
        ),
        ("attempts: 2, timeuot: 1s", "timeuot: unknown key `timeuot` (did you mean timeout?)"),
    ] {
        middleware(&format!("retry: {{{lines}}}"), &format!("error: retry.{expected}"));
    }
}
