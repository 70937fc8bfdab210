//! Tests of the compiler, through documents and a text that shows a whole view.

mod changes;
mod machine;
mod migration;
mod offers;
mod reloads;
mod services;
mod traffic;

use super::{Build, Compiler};
use crate::base::diag::Diagnostic;
use crate::base::id::{ChildId, ServerId, ServiceId};
use crate::base::limits::ControlLimits;
use crate::base::mark::Mark;
use crate::base::prng::Prng;
use crate::base::time::Wall;
use crate::config;
use crate::uplink::advert;
use crate::view::stats::Stats;
use crate::view::status::Health;
use crate::view::{Destination, NodeKind, Offer, RouteTable, ServiceNode, Step, View};
use std::fmt::Write as _;
use std::sync::Arc;

/// A compiler with what it built last.
struct World {
    compiler: Compiler,
    stats: Arc<Stats>,
    view: View,
    diagnostics: Arc<[Diagnostic]>,
    last: Option<Build>,
}

impl World {
    #[track_caller]
    fn new(document: &str) -> Self {
        let (fixed, problems) = config::fixed_from_file("static.yml", document);
        assert_eq!(said(&problems), "");
        let stats = Arc::new(Stats::new(1, 0, Wall::default()));
        let limits = ControlLimits::default();
        let compiler =
            Compiler::new(Arc::new(fixed), limits, Arc::clone(&stats), &mut Prng::new(1));
        let view = compiler.view().clone();
        let mut world = Self { compiler, stats, view, diagnostics: Arc::default(), last: None };
        world.build();
        world
    }

    /// Children named `c1`, `c2`, … and an entry point `web`.
    fn parent(children: u32) -> Self {
        let mut document = String::from(
            "entryPoints: {web: {address: \":80\"}}\n\
             hub: {providers: {multicluster: {children: {",
        );
        for n in 1..=children {
            let _ = write!(document, "c{n}: {{address: \"http://10.0.0.{n}:9443\"}},");
        }
        document.push_str("}}}}");
        Self::new(&document)
    }

    fn dynamic(&mut self, document: &str) -> bool {
        let reading = config::dynamic(&[("d.yml", document)]);
        self.compiler.set_dynamic(reading.dynamic);
        self.build()
    }

    /// `offers` is the answer of a child to a poll.
    #[track_caller]
    fn adverts(&mut self, child: u16, offers: &str) -> bool {
        let decoded = advert::decode(offers.as_bytes()).expect("a valid advertisement");
        self.compiler.set_adverts(ChildId(child - 1), decoded.adverts);
        self.build()
    }

    #[track_caller]
    fn health(&mut self, url: &str, health: Health) -> bool {
        for server in self.servers(url) {
            self.compiler.set_health(server, health);
        }
        self.build()
    }

    fn build(&mut self) -> bool {
        self.last = self.compiler.build();
        self.compiler.check();
        if let Some(build) = &self.last {
            assert_eq!(build.view.epoch, self.view.epoch + 1);
            self.view = build.view.clone();
            self.diagnostics = Arc::clone(&build.diagnostics);
        }
        self.last.is_some()
    }

    #[track_caller]
    fn servers(&self, url: &str) -> Vec<ServerId> {
        let mut found = Vec::new();
        for node in self.view.services.iter() {
            if let NodeKind::Balancer { servers, .. } = &node.kind {
                let these = servers.iter().filter(|server| &*server.url == url);
                found.extend(these.map(|server| server.id));
            }
        }
        assert!(!found.is_empty(), "no server {url}");
        found
    }

    #[track_caller]
    fn node(&self, name: &str) -> &ServiceNode {
        let mut nodes = self.view.services.iter().filter(|node| &*node.name == name);
        nodes.next().unwrap_or_else(|| panic!("no service {name}"))
    }

    fn name(&self, id: ServiceId) -> &str {
        self.view.services.get(id.0).map_or("nothing", |node| &node.name)
    }

    fn said(&self) -> String {
        said(&self.diagnostics)
    }

    fn hits(&self, mark: Mark) -> u64 {
        self.stats.control.marks.count(mark)
    }

    /// All services, a line each: name, `+` if up, and who takes turns.
    fn shown_services(&self) -> String {
        let mut lines: Vec<String> =
            self.view.services.iter().map(|node| self.shown_service(node)).collect();
        lines.retain(|line| !line.contains("@internal"));
        lines.sort();
        lines.join("\n")
    }

    fn shown_service(&self, node: &ServiceNode) -> String {
        let up = if node.up { '+' } else { '-' };
        let name = &node.name;
        let kind = match &node.kind {
            NodeKind::Balancer { turns, servers, .. } => {
                let turns = turns.rotation.turns().iter().map(|turn| &*servers[*turn as usize].url);
                format!("balancer {}", turns.collect::<Vec<_>>().join(" "))
            }
            NodeKind::Weighted { turns, services } => {
                let turns = turns.rotation.turns().iter().map(|t| self.name(services[*t as usize]));
                format!("weighted {}", turns.collect::<Vec<_>>().join(" "))
            }
            NodeKind::Failover { main, fallback, side, .. } => {
                format!("failover {side:?} {} {}", self.name(*main), self.name(*fallback))
            }
            NodeKind::Mirroring(node) => {
                let mirrors = node.mirrors.iter();
                let mirrors = mirrors.map(|m| format!("{}:{}%", self.name(m.service), m.percent));
                let mirrors: Vec<String> = mirrors.collect();
                format!("mirroring {} {}", self.name(node.main), mirrors.join(" "))
            }
            NodeKind::Internal(internal) => format!("internal {internal:?}"),
            NodeKind::Unavailable(why) => format!("unavailable: {why}"),
        };
        format!("{up} {name} {kind}").trim_end().to_owned()
    }

    /// All routes in order, by entry point and uplink.
    fn shown_routes(&self) -> String {
        let mut lines = Vec::new();
        for entry in &self.view.entries {
            let name = &entry.settings.name;
            match &entry.offer {
                Offer::Routes(table) => self.show_table(name, table, &mut lines),
                Offer::Uplinks { uplinks, .. } => {
                    for uplink in uplinks {
                        let place = format!("{name}/{}", uplink.name);
                        self.show_table(&place, &uplink.routes, &mut lines);
                    }
                }
            }
        }
        lines.join("\n")
    }

    fn show_table(&self, place: &str, table: &RouteTable, lines: &mut Vec<String>) {
        for route in table.iter() {
            let to = match &route.to {
                Destination::Service(id) => self.name(*id).to_owned(),
                Destination::Layer(layer) => format!("layer {layer}"),
                Destination::Broken(why) => format!("503 {why}"),
            };
            let step = |step: &Step| {
                if let Step::StripPrefix(strip) = step {
                    format!("strip{}", strip.prefixes.join(","))
                } else if let Step::AddPrefix(prefix) = step {
                    format!("add{prefix}")
                } else if matches!(step, Step::Headers(_)) {
                    "headers".to_owned()
                } else {
                    format!("{step:?}")
                }
            };
            let steps: Vec<String> = route.steps.iter().map(step).collect();
            let steps =
                if steps.is_empty() { String::new() } else { format!(" {}", steps.join("|")) };
            lines.push(format!("{place}: {} {}{steps} -> {to}", route.priority, route.name));
        }
    }

    fn shown_advert(&self, entry: &str) -> String {
        let mut entries = self.view.entries.iter().filter(|e| e.settings.name == entry);
        match &entries.next().expect("an entry point").offer {
            Offer::Uplinks { advert, .. } => String::from_utf8_lossy(&advert.body).into_owned(),
            Offer::Routes(_) => "not for uplinks".to_owned(),
        }
    }

    /// Routers of the model: name, condition and errors.
    fn shown_routers(&self) -> String {
        let line = |info: &Arc<crate::view::model::RouterInfo>| {
            let errors = info.errors.join("; ");
            let line = format!("{} {} {errors}", info.definition.name, info.condition.name());
            line.trim_end().to_owned()
        };
        self.view.model.routers.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

fn said(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A text without the indentation of the source.
fn flush(text: &str) -> String {
    text.trim().lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn same(found: &str, expected: &str) {
    assert_eq!(found, flush(expected), "\nfound:\n{found}\n");
}
