//! `circuitBreaker`: when requests are kept from a service that fails, and how they come back.

use crate::base::time::Span;
use crate::config::condition::Condition;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CircuitBreaker {
    pub expression: Condition,
    /// At most this often the condition is looked at.
    pub check_period: Span,
    /// How long nobody passes once it held.
    pub fallback: Span,
    /// How long ever more may pass after that.
    pub recovery: Span,
    /// What others are answered.
    pub status: u16,
}
