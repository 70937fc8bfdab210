//! The control machine among scripted children, servers, resolvers and files.

mod desk;
mod discovery;
mod files;
mod health;
mod names;
