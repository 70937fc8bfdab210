//! What a change of the documents changes for requests: both configurations are asked about every
//! combination of what their rules name, and the answers compared.

use super::documents::Documents;
use super::stage::Stage;
use engine::base::prng::Prng;
use engine::base::time::Time;
use engine::rule::{HostPattern, Matcher, Node};
use engine::view::{Offer, View};
use engine::worker::explain::{Ask, Outcome, WHOLE, outcome};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// Requests that are asked about; of more combinations a sample is drawn.
pub const ASKED_MAX: u64 = 200_000;

/// What one kind of request meets before and after.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    pub before: Outcome,
    pub after: Outcome,
    /// How many of the requests asked about.
    pub requests: u64,
    /// One of them.
    pub example: String,
    /// How much of them goes elsewhere or meets something else, in parts per million.
    pub moved: u64,
}

/// The blast radius of a change.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Diff {
    pub asked: u64,
    /// Whether every combination was asked about.
    pub whole: bool,
    /// What was asked about came, and was recorded.
    pub recorded: bool,
    /// The largest first.
    pub changes: Vec<Change>,
    /// Parts of rules that no request was made for.
    pub unseen: BTreeSet<String>,
}

/// Compares the parents of two trees once each has found its children.
///
/// # Errors
/// A request that one of them cannot be asked about.
pub fn diff(old: &Documents, new: &Documents, seed: u64) -> Result<Diff, String> {
    let (old, new) = (Side::of(old)?, Side::of(new)?);
    let atoms = Atoms::of([&old.view, &new.view]);
    let mut diff = Diff { unseen: atoms.unseen.clone(), ..Diff::default() };
    let all = atoms.combinations();
    diff.whole = all <= ASKED_MAX;
    let mut chance = Prng::new(seed);
    let mut changes = Changes::default();
    for number in 0..all.min(ASKED_MAX) {
        let ask = atoms.ask(if diff.whole { number } else { chance.below(all) });
        diff.asked += 1;
        changes.compare(&old, &new, &ask, 1)?;
    }
    diff.changes = changes.into_list();
    Ok(diff)
}

/// Compares what they do with requests that came, each as often as it did.
///
/// # Errors
/// As [`diff`].
pub fn diff_of(
    old: &Documents,
    new: &Documents,
    requests: impl IntoIterator<Item = Ask>,
) -> Result<Diff, String> {
    let (old, new) = (Side::of(old)?, Side::of(new)?);
    let mut often: BTreeMap<String, (Ask, u64)> = BTreeMap::new();
    for ask in requests {
        often.entry(format!("{ask:?}")).or_insert_with(|| (ask, 0)).1 += 1;
    }
    let mut diff = Diff { recorded: true, ..Diff::default() };
    let mut changes = Changes::default();
    for (ask, times) in often.into_values() {
        diff.asked += times;
        changes.compare(&old, &new, &ask, times)?;
    }
    diff.changes = changes.into_list();
    Ok(diff)
}

/// Pairs of outcomes that differ, how often each was met, and an example.
#[derive(Debug, Default)]
struct Changes(BTreeMap<(Outcome, Outcome), (u64, String)>);

impl Changes {
    fn compare(&mut self, old: &Side, new: &Side, ask: &Ask, times: u64) -> Result<(), String> {
        let (mut before, mut after) = (old.outcome(ask)?, new.outcome(ask)?);
        if before != after {
            // A path alone is told where both sides have one and they differ.
            if before.path == after.path || before.path.is_empty() || after.path.is_empty() {
                (before.path, after.path) = (String::new(), String::new());
            }
            let place = self.0.entry((before, after)).or_insert_with(|| (0, told(ask)));
            place.0 += times;
        }
        Ok(())
    }

    fn into_list(self) -> Vec<Change> {
        let mut list: Vec<Change> = self
            .0
            .into_iter()
            .map(|((before, after), (requests, example))| {
                let moved = moved(&before, &after);
                Change { before, after, requests, example, moved }
            })
            .collect();
        list.sort_by_key(|change| std::cmp::Reverse((change.requests, change.moved)));
        list
    }
}

impl Diff {
    /// The part of all requests asked about that goes elsewhere or meets something else, in parts
    /// per million.
    pub fn moved(&self) -> u64 {
        let sum: u64 = self.changes.iter().map(|change| change.requests * change.moved).sum();
        sum.checked_div(self.asked).unwrap_or(0)
    }
}

impl Change {
    /// What differs, in words: name, before, after.
    pub fn lines(&self) -> Vec<(&'static str, String, String)> {
        let (a, b) = (&self.before, &self.after);
        let text = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let status = |of: Option<u16>| of.map_or_else(|| "-".to_owned(), |it| it.to_string());
        let list = |all: &[String]| text(&all.join(", "));
        let percent = |part: u64| format!("{}.{} %", part / 10_000, part / 1_000 % 10);
        let shares = |all: &BTreeMap<String, u64>| {
            let parts = all.iter().map(|(name, part)| format!("{name} {}", percent(*part)));
            text(&parts.collect::<Vec<_>>().join(", "))
        };
        let mirrors = |all: &BTreeMap<String, u8>| {
            let parts = all.iter().map(|(name, percent)| format!("{name} {percent} %"));
            text(&parts.collect::<Vec<_>>().join(", "))
        };
        let guards = |all: &BTreeMap<String, Vec<String>>| {
            let parts = all.iter().map(|(name, own)| format!("{name}: {}", own.join(", ")));
            text(&parts.collect::<Vec<_>>().join("; "))
        };
        [
            ("router", text(&a.router), text(&b.router)),
            ("TLS options", text(&a.policy), text(&b.policy)),
            ("middlewares", list(&a.middlewares), list(&b.middlewares)),
            ("middlewares of services", guards(&a.guards), guards(&b.guards)),
            ("service", text(&a.service), text(&b.service)),
            ("status", status(a.status), status(b.status)),
            ("shares", shares(&a.shares), shares(&b.shares)),
            ("mirrors", mirrors(&a.mirrors), mirrors(&b.mirrors)),
            ("path", text(&a.path), text(&b.path)),
        ]
        .into_iter()
        .filter(|(_, before, after)| before != after)
        .collect()
    }
}

/// What meets another policy, middleware, status, path or copy is all moved; of what only shares
/// otherwise it is what changes its server. Names of routers and services alone move nothing.
fn moved(before: &Outcome, after: &Outcome) -> u64 {
    let alike = Outcome {
        router: before.router.clone(),
        service: before.service.clone(),
        shares: before.shares.clone(),
        ..after.clone()
    };
    if alike != *before {
        return WHOLE;
    }
    let names: BTreeSet<&String> = before.shares.keys().chain(after.shares.keys()).collect();
    let of = |all: &BTreeMap<String, u64>, name: &String| all.get(name).copied().unwrap_or(0);
    names
        .into_iter()
        .map(|name| of(&after.shares, name).saturating_sub(of(&before.shares, name)))
        .sum()
}

/// A parent that has found its children, ready to be asked.
#[derive(Debug)]
pub struct Side {
    view: Arc<View>,
    now: Time,
}

impl Side {
    /// # Errors
    /// If it never comes to a view.
    pub fn of(documents: &Documents) -> Result<Self, String> {
        let stage = Stage::settled(documents);
        let view = stage.processes[0].view.clone().ok_or("the parent has no view")?;
        Ok(Self { view, now: stage.net.now })
    }

    /// An entry point that is not there answers nobody.
    ///
    /// # Errors
    /// What cannot be asked.
    pub fn outcome(&self, ask: &Ask) -> Result<Outcome, String> {
        let entry = self.view.entries.iter().find(|entry| entry.settings.name == ask.entry);
        let Some(entry) = entry else { return Ok(Outcome::default()) };
        // Handshakes are not foreseen: where nothing is encrypted, everybody comes in the clear.
        let secure = ask.secure && entry.secure.is_some();
        outcome(&self.view, self.now, &Ask { secure, ..ask.clone() })
    }
}

/// What rules name, each thing once.
#[derive(Debug, Default)]
struct Atoms {
    entries: Vec<(String, bool)>,
    methods: Vec<String>,
    hosts: Vec<String>,
    paths: Vec<String>,
    /// None first.
    fields: Vec<Option<(String, String)>>,
    queries: Vec<String>,
    peers: Vec<IpAddr>,
    unseen: BTreeSet<String>,
}

const ELSEWHERE: &str = "elsewhere.test";

impl Atoms {
    fn of(views: [&View; 2]) -> Self {
        let mut atoms = Self {
            methods: vec!["GET".to_owned()],
            hosts: vec![ELSEWHERE.to_owned()],
            paths: vec!["/".to_owned(), "/elsewhere".to_owned()],
            fields: vec![None],
            queries: vec![String::new()],
            peers: vec![[192, 0, 2, 1].into()],
            ..Self::default()
        };
        for view in views {
            let under = view.layers.iter().flat_map(|table| table.rules());
            under.for_each(|(rule, _)| atoms.add(rule.ast()));
            for entry in &view.entries {
                let Offer::Routes(clear) = &entry.offer else { continue };
                let tables =
                    [(false, Some(clear)), (true, entry.secure.as_ref().map(|it| &it.routes))];
                for (secure, table) in tables {
                    let rules = table.into_iter().flat_map(|table| table.rules());
                    let mut any = false;
                    for (rule, _) in rules.filter(|(_, route)| !route.internal) {
                        any = true;
                        atoms.add(rule.ast());
                    }
                    if any {
                        put(&mut atoms.entries, (entry.settings.name.clone(), secure));
                    }
                }
            }
        }
        atoms
    }

    fn add(&mut self, node: &Node) {
        match node {
            Node::Match(matcher) => self.add_matcher(matcher),
            Node::Not(inner) => self.add(inner),
            Node::And(parts) | Node::Or(parts) => parts.iter().for_each(|part| self.add(part)),
        }
    }

    fn add_matcher(&mut self, matcher: &Matcher) {
        match matcher {
            Matcher::Host(HostPattern::Exactly(host)) => put(&mut self.hosts, host.clone()),
            Matcher::Host(HostPattern::OneLabelUnder(parent)) => {
                put(&mut self.hosts, format!("any.{parent}"));
            }
            Matcher::Host(HostPattern::Any) => {}
            Matcher::Path(path) => put(&mut self.paths, path.clone()),
            Matcher::PathPrefix(prefix) => {
                put(&mut self.paths, prefix.clone());
                put(&mut self.paths, format!("{}/below", prefix.trim_end_matches('/')));
            }
            Matcher::Header { name, value } => {
                put(&mut self.fields, Some((name.clone(), value.clone())));
            }
            Matcher::Query { key, value } => {
                put(&mut self.queries, format!("{key}={}", value.as_deref().unwrap_or_default()));
            }
            Matcher::Method(method) => put(&mut self.methods, method.clone()),
            Matcher::ClientIp(range) => put(&mut self.peers, range.addr),
            Matcher::HostRegexp(_)
            | Matcher::PathRegexp(_)
            | Matcher::HeaderRegexp { .. }
            | Matcher::QueryRegexp { .. } => {
                self.unseen.insert(matcher.to_string());
            }
        }
    }

    fn lengths(&self) -> [u64; 7] {
        [
            self.entries.len(),
            self.methods.len(),
            self.hosts.len(),
            self.paths.len(),
            self.fields.len(),
            self.queries.len(),
            self.peers.len(),
        ]
        .map(|length| length as u64)
    }

    fn combinations(&self) -> u64 {
        self.lengths().into_iter().fold(1, u64::saturating_mul)
    }

    /// The request of this number below [`Atoms::combinations`].
    fn ask(&self, mut number: u64) -> Ask {
        let [entry, method, host, path, field, query, peer] = self.lengths().map(|length| {
            let at = number % length;
            number /= length;
            usize::try_from(at).expect("below a length")
        });
        let (entry, secure) = self.entries[entry].clone();
        let query = match self.queries[query].as_str() {
            "" => String::new(),
            query => format!("?{query}"),
        };
        Ask {
            method: self.methods[method].clone(),
            secure,
            authority: self.hosts[host].clone(),
            target: escaped(&format!("{}{query}", self.paths[path])),
            fields: self.fields[field].clone().into_iter().collect(),
            from: self.peers[peer],
            entry,
        }
    }
}

/// Rules name paths and queries as they read; a request has them in plain characters.
fn escaped(target: &str) -> String {
    let mut out = String::new();
    for byte in target.bytes() {
        match byte {
            b'!'..=b'~' if !b"\"<>\\^`{|}".contains(&byte) => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn put<T: PartialEq>(all: &mut Vec<T>, one: T) {
    if !all.contains(&one) {
        all.push(one);
    }
}

fn told(ask: &Ask) -> String {
    let mut text = format!("{} {} at {}", ask.method, ask.url(), ask.entry);
    ask.fields.iter().for_each(|(name, value)| text.push_str(&format!(" -H '{name}: {value}'")));
    if ask.from != IpAddr::from([192, 0, 2, 1]) {
        text.push_str(&format!(" from {}", ask.from));
    }
    text
}
