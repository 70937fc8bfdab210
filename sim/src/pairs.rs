//! How clients and servers were met, counted together: every pair of ways has to be reached.

use crate::secure::wardrobe::Leg;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Answered requests by the leg of the client and another.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Matrix(BTreeMap<(Leg, Leg), u64>);

/// What a run has reached.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pairs {
    pub servers: Matrix,
    /// The other leg is that from the parent to a child.
    pub children: Matrix,
}

impl Matrix {
    pub fn add(&mut self, client: Leg, server: Leg) {
        *self.0.entry((client, server)).or_default() += 1;
    }

    pub fn count(&self, client: Leg, server: Leg) -> u64 {
        self.0.get(&(client, server)).copied().unwrap_or(0)
    }

    fn sum(&mut self, other: &Self) {
        other.0.iter().for_each(|(pair, count)| *self.0.entry(*pair).or_default() += count);
    }

    fn missing(&self, what: &str, out: &mut Vec<String>) {
        for client in Leg::ALL {
            for server in Leg::ALL {
                if !self.0.contains_key(&(client, server)) {
                    out.push(format!("{} to {what} {}", client.name(), server.name()));
                }
            }
        }
    }
}

impl Pairs {
    pub fn sum(&mut self, other: &Self) {
        self.servers.sum(&other.servers);
        self.children.sum(&other.children);
    }

    /// Pairs that no answered request has had.
    pub fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        self.servers.missing("server", &mut missing);
        self.children.missing("child", &mut missing);
        missing
    }

    pub fn table(&self) -> String {
        let mut out = String::new();
        for (what, matrix) in [("server", &self.servers), ("child", &self.children)] {
            for ((client, server), count) in &matrix.0 {
                let (client, server) = (client.name(), server.name());
                writeln!(out, "{client:>8} to {what} {server:<8} {count:>10}")
                    .expect("writing to a string");
            }
        }
        out
    }
}
