//! The control machine among scripted children, servers, resolvers and files.

mod desk;
mod discovery;
mod files;
mod flux;
mod health;
mod material;
mod names;
mod remote;
mod rest;
mod streams;
