//! The services below a service: weights, health, and who answered how much.

use super::html::{Grouped, Html, PerMille, Tone};
use crate::base::id::ServiceId;
use crate::config::typed::ServiceKind;
use crate::service::choosing::Choosing;
use crate::view::model::Definition;
use crate::view::status::Health;
use crate::view::{NodeKind, ServerNode, ServiceNode, Side, Turns, View};
use crate::worker::internal::Sight;

/// Services and servers that one page draws.
pub(super) const NODES_MAX: usize = 400;
/// Services may be members of many others, and those again.
const LOOKS_MAX: usize = 5_000;
/// Deeper than services may be nested.
const DEPTH_MAX: u32 = 20;

pub(super) fn by_name(view: &View, name: &str) -> Option<ServiceId> {
    let ids = &view.model.services_by_name;
    let name_of = |id: &ServiceId| view.model.services.get(id.0).map_or("", |info| &info.name);
    ids.binary_search_by(|id| name_of(id).cmp(name)).ok().map(|at| ids[at])
}

fn node(view: &View, id: ServiceId) -> Option<&ServiceNode> {
    view.services.get(id.0).map(|node| &**node)
}

/// How many choices it has made.
pub(super) fn drawn(view: &View, id: ServiceId) -> Option<u64> {
    match &node(view, id)?.kind {
        NodeKind::Balancer { turns, .. } | NodeKind::Weighted { turns, .. } => {
            Some(turns.ticket.drawn())
        }
        NodeKind::Mirroring(mirroring) => Some(mirroring.ticket.drawn()),
        NodeKind::Failover { .. } | NodeKind::Internal(_) | NodeKind::Unavailable(_) => None,
    }
}

/// The service itself and all below it.
pub(super) fn write(html: &mut Html, sight: &Sight<'_>, id: ServiceId) {
    let mut tree = Tree { sight, left: NODES_MAX, looks: LOOKS_MAX };
    html.raw("<ul class=\"tree\">");
    tree.branch(html, id, &Place::default(), DEPTH_MAX);
    html.raw("</ul>");
}

/// What is below it, within what is left of a page.
pub(super) fn below(html: &mut Html, sight: &Sight<'_>, id: ServiceId, left: &mut usize) {
    let mut tree = Tree { sight, left: *left, looks: LOOKS_MAX };
    tree.members(html, id, DEPTH_MAX);
    *left = tree.left;
}

/// What a service or server is among others.
#[derive(Clone, Copy, Default)]
struct Place {
    role: &'static str,
    weight: Option<u32>,
    /// Of the turns, in thousandths.
    turns: Option<u64>,
    /// Whether what it answers is compared with those beside it.
    is_measured: bool,
    /// Of what they answered, in thousandths; nothing before the first request.
    measured: Option<u64>,
    percent: Option<u8>,
}

struct Tree<'a> {
    sight: &'a Sight<'a>,
    left: usize,
    /// Services that may still be looked at to add up who answered.
    looks: usize,
}

impl Tree<'_> {
    /// Whether there is room for one more.
    fn takes(&mut self, html: &mut Html) -> bool {
        match self.left {
            0 => false,
            1 => {
                html.raw("<li class=\"none\">and more than a page has room for</li>");
                self.left = 0;
                false
            }
            _ => {
                self.left -= 1;
                true
            }
        }
    }

    fn branch(&mut self, html: &mut Html, id: ServiceId, place: &Place, depth: u32) {
        let Some(node) = node(self.sight.view, id) else { return };
        if depth == 0 || !self.takes(html) {
            return;
        }
        html.raw("<li><div class=\"leaf\"><span class=\"who\">").link("services", &node.name);
        html.raw(" ").element("span", "kind", kind(node)).raw("</span> ");
        if node.up {
            html.pill(Tone::Good, "up");
        } else {
            html.pill(Tone::Bad, "down");
        }
        if node.guard.is_some() {
            html.raw(" ").pill(Tone::Quiet, "behind middlewares");
        }
        place_told(html, place);
        if let NodeKind::Balancer { .. } = node.kind {
            let answered = self.answered(id, depth);
            html.raw(" <span class=\"of\">").count(format_args!("service {}", node.name), answered);
            html.raw(" answered</span>");
        }
        measured(html, place);
        html.raw("</div>");
        self.members(html, id, depth);
        html.raw("</li>");
    }

    fn members(&mut self, html: &mut Html, id: ServiceId, depth: u32) {
        let view = self.sight.view;
        let Some(node) = node(view, id) else { return };
        html.raw("<ul class=\"tree\">");
        match &node.kind {
            NodeKind::Balancer { turns, servers, .. } => {
                for (at, server) in (0..).zip(servers) {
                    if self.left == 0 {
                        break;
                    }
                    let turns = of_turns(node, turns, at).filter(|_| servers.len() > 1);
                    let place = Place { turns, ..Place::default() };
                    self.server(html, view, server, &place);
                }
            }
            NodeKind::Weighted { turns, services } => {
                let answered: Vec<u64> =
                    services.iter().map(|id| self.answered(*id, depth - 1)).collect();
                let total: u64 = answered.iter().sum();
                for (at, (member, answered)) in (0..).zip(services.iter().zip(answered)) {
                    if self.left == 0 {
                        break;
                    }
                    let place = Place {
                        weight: weight(view, id, *member),
                        turns: of_turns(node, turns, at),
                        is_measured: true,
                        measured: (answered * 1_000).checked_div(total),
                        ..Place::default()
                    };
                    self.branch(html, *member, &place, depth - 1);
                }
            }
            NodeKind::Failover { main, fallback, side, .. } => {
                let role = |own: Side, name, active| if *side == own { active } else { name };
                let main_role = role(Side::Main, "main", "main, in use");
                let place = Place { role: main_role, ..Place::default() };
                self.branch(html, *main, &place, depth - 1);
                let role = role(Side::Fallback, "fallback", "fallback, in use");
                self.branch(html, *fallback, &Place { role, ..Place::default() }, depth - 1);
            }
            NodeKind::Mirroring(mirroring) => {
                let place = Place { role: "main", ..Place::default() };
                self.branch(html, mirroring.main, &place, depth - 1);
                for mirror in &mirroring.mirrors {
                    let percent = Some(mirror.percent);
                    let place = Place { role: "mirror", percent, ..Place::default() };
                    self.branch(html, mirror.service, &place, depth - 1);
                }
            }
            NodeKind::Internal(_) => {}
            NodeKind::Unavailable(why) => {
                html.raw("<li class=\"errors\">").clipped(why, 300).raw("</li>");
            }
        }
        html.raw("</ul>");
    }

    fn server(&mut self, html: &mut Html, view: &View, server: &ServerNode, place: &Place) {
        if !self.takes(html) {
            return;
        }
        html.raw("<li><div class=\"leaf\"><span class=\"who\"><code>").clipped(&server.url, 160);
        html.raw("</code></span> ");
        let status = view.status.servers.get(server.id.0);
        match status.map(|status| (status.health, status.ejected)) {
            None => html.pill(Tone::Quiet, "unchecked"),
            Some((Health::Down, _)) => html.pill(Tone::Bad, "down"),
            Some((Health::Unknown | Health::Up, true)) => html.pill(Tone::Bad, "resting"),
            Some((Health::Unknown, false)) => html.pill(Tone::Quiet, "not known yet"),
            Some((Health::Up, false)) => html.pill(Tone::Good, "up"),
        };
        place_told(html, place);
        let child =
            server.uplink.as_ref().and_then(|it| view.children.get(usize::from(it.child.0)));
        if let Some(child) = child {
            html.raw(" <span class=\"of\">child ").clipped(&child.name, 60).raw("</span>");
        }
        if let Some(status) = status.filter(|status| !status.reason.is_empty()) {
            html.raw(" <span class=\"errors\">").clipped(&status.reason, 200).raw("</span>");
        }
        html.raw("</div></li>");
    }

    /// Requests answered at the balancers at and below a service, whoever sent them there.
    fn answered(&mut self, id: ServiceId, depth: u32) -> u64 {
        let Some(node) = node(self.sight.view, id) else { return 0 };
        if depth == 0 || self.looks == 0 {
            return 0;
        }
        self.looks -= 1;
        let mut below = |id: &ServiceId| self.answered(*id, depth - 1);
        match &node.kind {
            NodeKind::Balancer { .. } => node.stats.iter().map(|it| it.requests.get()).sum(),
            NodeKind::Weighted { services, .. } => services.iter().map(below).sum(),
            NodeKind::Failover { main, fallback, .. } => below(main) + below(fallback),
            NodeKind::Mirroring(mirroring) => below(&mirroring.main),
            NodeKind::Internal(_) | NodeKind::Unavailable(_) => 0,
        }
    }
}

fn kind(node: &ServiceNode) -> &'static str {
    let strategy = node.choosing.as_ref().map(|choosing| choosing.strategy.name());
    match (&node.kind, strategy) {
        (NodeKind::Balancer { .. }, Some("p2c")) => "servers by p2c",
        (NodeKind::Balancer { .. }, Some("hrw")) => "servers by hrw",
        (NodeKind::Balancer { .. }, Some("leasttime")) => "servers by leasttime",
        (NodeKind::Balancer { .. }, _) => "servers",
        (NodeKind::Weighted { .. }, Some("hrw")) => "by the client's address",
        (NodeKind::Weighted { .. }, _) => "by weight",
        (NodeKind::Failover { .. }, _) => "failover",
        (NodeKind::Mirroring(_), _) => "mirroring",
        (NodeKind::Internal(_), _) => "internal",
        (NodeKind::Unavailable(_), _) => "unavailable",
    }
}

/// What it is, and of how much.
fn place_told(html: &mut Html, place: &Place) {
    if !place.role.is_empty() {
        html.raw(" ").pill(Tone::Quiet, place.role);
    }
    if let Some(percent) = place.percent {
        html.raw(" <span class=\"of\">").text(percent).raw(" % of requests</span>");
    }
    if let Some(weight) = place.weight {
        html.raw(" <span class=\"of\">weight ").text(Grouped(weight.into())).raw("</span>");
    }
    if let (Some(turns), false) = (place.turns, place.is_measured) {
        html.raw(" <span class=\"of\">").text(PerMille(turns)).raw(" of the turns</span>");
    }
}

/// The share, at the end of the line.
fn measured(html: &mut Html, place: &Place) {
    if !place.is_measured {
        return;
    }
    html.raw(" <span class=\"measured\">").bar(place.measured.unwrap_or(0), place.turns);
    match place.measured {
        Some(measured) => html.raw("<b>").text(PerMille(measured)).raw("</b>"),
        None => html.raw("<i>–</i>"),
    };
    html.raw("</span>");
}

/// The share of turns; nothing where turns alone do not decide.
fn of_turns(node: &ServiceNode, turns: &Turns, at: u16) -> Option<u64> {
    let by_turns = |choosing: &Choosing| choosing.strategy.name() == "wrr";
    if !node.choosing.as_deref().is_none_or(by_turns) {
        return None;
    }
    let all = turns.rotation.turns();
    let own = all.iter().filter(|turn| **turn == at).count() as u64;
    (own * 1_000).checked_div(all.len() as u64)
}

/// As configured, or as the child says.
fn weight(view: &View, parent: ServiceId, member: ServiceId) -> Option<u32> {
    match &view.model.services.get(parent.0)?.definition {
        Definition::Aggregate { members } => {
            members.iter().find(|(id, _)| *id == member).map(|(_, weight)| *weight)
        }
        Definition::Written(service) => {
            let ServiceKind::Weighted { services, .. } = &service.kind else { return None };
            let name = &node(view, member)?.name;
            services.iter().find(|it| it.name == **name).map(|it| it.weight.get())
        }
        Definition::Child { .. } | Definition::Internal(_) => None,
    }
}
