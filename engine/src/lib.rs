//! Tieline's decisions, without a clock, a socket or a thread.
//!
//! Two machines implement [`boundary::Machine`]: a `Worker` owns the connections of one core and
//! moves HTTP between them; `Control` reads configuration, polls children, probes health and
//! publishes views. A driver carries out their effects and feeds back what happened. The same
//! machines serve traffic on monoio and run in simulation.
//!
//! # The contract between a machine and its driver
//!
//! 1. Each effect that starts an operation is answered by exactly one `Done` with the same id,
//!    sooner or later, whatever happens in between, `Close` included.
//! 2. At most one operation per connection and kind is outstanding. A machine never asks twice.
//! 3. A slot is reused only after every operation on it is done; the generation then moves.
//! 4. `now` never goes backwards. Machines read no clock and no environment, and draw chance only
//!    from the seed they were built with.
//! 5. `handle` and `tick` run to completion, do bounded work, never block, and allocate nothing in
//!    steady state.
//! 6. The driver makes no decisions: no retry, no timeout, no splitting, no re-arming. A short
//!    write is reported as short. A timeout is the machine closing the connection.
//! 7. A read is cancelled only by `Close`. A cancelled read may have taken bytes from the stream,
//!    so nothing may rely on a cancelled stream.
//! 8. Pages and batches belong to whoever holds them; the kernel holds them through the operation
//!    until its completion, even if the machine has forgotten the connection.
//! 9. An accept or a connect that failed leaves no socket and is not followed by `Close`; a socket
//!    that was accepted or connected, or may still be, is closed exactly once.
//! 10. Calls may come late, in bursts, or with `now` far ahead. That is slow, not wrong.

#![forbid(unsafe_code)]
#![warn(clippy::float_arithmetic)]

pub mod base;
pub mod boundary;
pub mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod control;
pub mod h1;
pub mod h2;
pub mod http;
pub mod net;
pub mod rule;
pub mod service;
pub mod tls;
pub mod uplink;
pub mod view;
pub mod worker;
