//! The control plane: reads configuration, polls children, probes servers, resolves names, and
//! publishes views.

mod checks;
mod child;
mod companions;
mod conns;
mod discovery;
mod failure;
mod file;
mod grpc;
mod health;
mod journal;
mod ledgers;
mod machine;
mod material;
mod names;
mod passive;
mod probe;
mod publish;
mod reload;
mod remote;
mod rest;

pub use machine::Control;
