//! Configuration: documents in the Traefik dialect, turned into types that cannot be wrong.
//!
//! A document becomes a tree that remembers lines and columns; readers walk the tree and collect
//! every problem; what is sound takes effect.

pub mod address;
mod check;
pub mod condition;
mod document;
#[cfg(test)]
mod documented;
pub mod duration;
mod dynamic;
pub mod encoded;
mod fields;
pub mod fixed;
pub mod layers;
mod outline;
pub mod redact;
pub mod references;
mod report;
mod schema;
mod sources;
pub mod spiffe;
mod startup;
mod template;
pub mod tls;
mod transport;
pub mod typed;
pub mod users;

pub use check::{Part, between, between_others, between_routers, check, check_in, part};
pub use dynamic::{MIDDLEWARES, Reading, SERVICES, Setting, dynamic, dynamic_in, merged};
pub use report::json;
pub use schema::{dynamic_schema, static_schema};
pub use sources::{file_flag, search_paths};
pub use startup::{Startup, fixed, fixed_from_env, fixed_from_file, fixed_from_flags};
pub use template::Environment;
