//! The services on and beside the way of a request: who is up and why, whose turn it is and when
//! the turn of the others comes.

use crate::base::id::ServiceId;
use crate::base::time::Time;
use crate::service::mirror::is_mirrored;
use crate::service::rotation::Rotation;
use crate::view::status::{ChildPhase, Health};
use crate::view::{
    Guard, MirrorNode, MirroringNode, NodeKind, ServerNode, ServiceNode, Side, Step, Turns, View,
};
use crate::worker::exchange::service_of;
use crate::worker::record::Choice;
use serde_json::{Map, Value, json};

/// What was chosen, and the view that it was chosen in.
#[derive(Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) view: &'a View,
    pub(super) choices: &'a [Choice],
    pub(super) now: Time,
}

/// A member of a service, as the others see it.
struct Member {
    name: String,
    /// Why it takes nothing; empty if it serves.
    ails: String,
}

impl Way<'_> {
    pub(super) fn name(&self, service: ServiceId) -> &str {
        service_of(self.view, service).map_or("", |node| &node.name)
    }

    /// The server that gets the request, and what it is sent.
    pub(super) fn answer(&self, service: &str, server: &ServerNode, path: &str) -> Value {
        let mut told = json!({
            "service": service,
            "url": &*server.url,
            "path": format!("{}{path}", server.prefix),
        });
        if let Some(uplink) = &server.uplink {
            told["child"] = json!(self.child_name(server));
            told["uplink"] = json!(&*uplink.name);
        }
        told
    }

    fn child_name(&self, server: &ServerNode) -> Option<&str> {
        let child = server.uplink.as_ref()?.child;
        self.view.children.get(usize::from(child.0)).map(|child| &*child.name)
    }

    fn choice(&self, service: ServiceId) -> Option<&Choice> {
        self.choices.iter().find(|choice| choice.service == service)
    }

    /// The tree below `service`, as deep as a request may go.
    pub(super) fn tell(&self, service: ServiceId, depth: u32) -> Value {
        let Some(node) = service_of(self.view, service) else { return Value::Null };
        let mut told = Map::new();
        let mut put = |key: &str, value: Value| told.insert(key.to_owned(), value);
        put("service", json!(&*node.name));
        put("up", json!(node.up));
        if let Some(choice) = self.choice(service) {
            put(
                "chosen",
                json!({
                    "ticket": choice.ticket,
                    "turn": choice.turn,
                    "session": choice.session.name(),
                }),
            );
        }
        if let Some(guard) = &node.guard {
            put("middlewares", json!(guard.steps.len()));
            put("breakers", self.breakers(guard));
        }
        if let Some(choosing) = &node.choosing {
            put("strategy", json!(choosing.strategy.name()));
            put("sticky", json!(choosing.sticky.is_some()));
        }
        let below = |id: ServiceId| match depth {
            0 => json!({ "service": self.name(id), "more": "deeper than a request may go" }),
            depth => self.tell(id, depth - 1),
        };
        match &node.kind {
            NodeKind::Balancer { turns, servers, .. } => {
                put("kind", json!("loadBalancer"));
                let all = (0..).zip(servers).map(|(at, server)| {
                    let mut told = self.server(server);
                    self.tell_turn(&mut told, node, turns, at);
                    Value::Object(told)
                });
                put("servers", all.collect());
            }
            NodeKind::Weighted { turns, services } => {
                put("kind", json!("weighted"));
                let all = (0..).zip(services).map(|(at, id)| {
                    let mut told = below(*id);
                    if let Value::Object(told) = &mut told {
                        self.tell_turn(told, node, turns, at);
                    }
                    told
                });
                put("members", all.collect());
            }
            NodeKind::Failover { main, fallback, side, .. } => {
                put("kind", json!("failover"));
                put("side", json!(side_name(*side)));
                put("main", below(*main));
                put("fallback", below(*fallback));
            }
            NodeKind::Mirroring(mirroring) => {
                put("kind", json!("mirroring"));
                put("main", below(mirroring.main));
                let ticket = mirroring.ticket.drawn();
                put("mirrors", self.mirrors(mirroring, ticket));
            }
            NodeKind::Internal(internal) => put_kind(&mut put, &format!("{internal:?}"), ""),
            NodeKind::Unavailable(why) => put_kind(&mut put, "unavailable", why),
        }
        Value::Object(told)
    }

    fn mirrors(&self, mirroring: &MirroringNode, ticket: u64) -> Value {
        let told = |mirror: &MirrorNode| {
            json!({
                "service": self.name(mirror.service),
                "percent": mirror.percent,
                "mirrored": is_mirrored(ticket, mirror.percent),
            })
        };
        mirroring.mirrors.iter().map(told).collect()
    }

    /// How those before a service stand.
    fn breakers(&self, guard: &Guard) -> Value {
        let state = |step: &Step| {
            let Step::Breaker(breaker) = step else { return None };
            Some(json!(breaker.state(self.now).name()))
        };
        guard.steps.iter().filter_map(state).collect()
    }

    /// Its share of the turns, and how many requests until its next one.
    fn tell_turn(&self, told: &mut Map<String, Value>, node: &ServiceNode, turns: &Turns, at: u16) {
        let here = self.choice(node.id).is_some_and(|choice| choice.turn == at);
        told.insert("taken".to_owned(), json!(here));
        let rotation = &turns.rotation;
        let period = rotation.turns().len();
        let own = rotation.turns().iter().filter(|turn| **turn == at).count();
        let share = (own * 1_000).checked_div(period).unwrap_or(0);
        told.insert("sharePerMille".to_owned(), json!(share));
        if let Some(ticket) = next_turn(rotation, turns.ticket.drawn(), at) {
            told.insert("nextTicket".to_owned(), json!(ticket));
        }
    }

    fn server(&self, server: &ServerNode) -> Map<String, Value> {
        let mut told = Map::new();
        told.insert("url".to_owned(), json!(&*server.url));
        if let Some(child) = self.child_name(server) {
            told.insert("child".to_owned(), json!(child));
        }
        let status = self.view.status.servers.get(server.id.0);
        let health = status.map_or("unchecked", |status| status.health.name());
        told.insert("health".to_owned(), json!(health));
        let ails = self.ails(server);
        if !ails.is_empty() {
            told.insert("why".to_owned(), json!(ails));
        }
        told
    }

    /// What is wrong with a server, as far as anybody knows.
    fn ails(&self, server: &ServerNode) -> String {
        let mut all = Vec::new();
        if let Some(status) = self.view.status.servers.get(server.id.0) {
            match status.health {
                Health::Down => all.push(format!("its check says down: {}", status.reason)),
                Health::Unknown => all.push("its check has not answered yet".to_owned()),
                Health::Up if status.ejected => {
                    all.push(format!("requests to it failed: {}", status.reason));
                }
                Health::Up => {}
            }
        }
        let target = self.view.targets.get(server.target.0);
        if target.is_some_and(|target| target.addrs.is_empty()) {
            all.push("its name has no address".to_owned());
        }
        let child = server.uplink.as_ref();
        let polled = child.and_then(|uplink| self.view.status.children.get(uplink.child.0.into()));
        if let Some(child) = polled.filter(|child| child.phase != ChildPhase::Fresh) {
            all.push(format!("polls of its child: {} {}", child.phase.name(), child.error));
        }
        all.join(", ")
    }

    /// What would have to change for another choice, from the outermost service inwards.
    pub(super) fn otherwise(&self) -> Vec<String> {
        let mut all = Vec::new();
        for choice in self.choices {
            let Some(node) = service_of(self.view, choice.service) else { continue };
            match &node.kind {
                NodeKind::Balancer { turns, servers, .. } => {
                    let members = servers.iter().map(|server| Member {
                        name: server.url.to_string(),
                        ails: self.ails(server),
                    });
                    self.others(node, turns, *choice, members.collect(), &mut all);
                }
                NodeKind::Weighted { turns, services } => {
                    let members = services.iter().map(|id| Member {
                        name: self.name(*id).to_owned(),
                        ails: self.why_down(*id),
                    });
                    self.others(node, turns, *choice, members.collect(), &mut all);
                }
                NodeKind::Failover { main, fallback, side, errors } => {
                    let (main, fallback) = (self.name(*main), self.name(*fallback));
                    all.push(match side {
                        Side::Main => format!("{fallback} serves when {main} is down"),
                        Side::Fallback | Side::Neither => {
                            format!("{main} serves again when it is up")
                        }
                    });
                    if errors.is_some() && *side == Side::Main {
                        let text = "when its answer has one of the statuses that count as failure";
                        all.push(format!("{fallback} serves instead of {main} {text}"));
                    }
                }
                NodeKind::Mirroring(_) | NodeKind::Internal(_) | NodeKind::Unavailable(_) => {}
            }
        }
        all
    }

    fn why_down(&self, service: ServiceId) -> String {
        match service_of(self.view, service) {
            Some(node) if !node.up => match &node.kind {
                NodeKind::Unavailable(why) => why.to_string(),
                NodeKind::Balancer { servers, .. } => {
                    let all = servers.iter().map(|server| self.ails(server));
                    let all: Vec<String> = all.filter(|text| !text.is_empty()).collect();
                    if all.is_empty() { "it is down".to_owned() } else { all.join(", ") }
                }
                NodeKind::Weighted { .. }
                | NodeKind::Failover { .. }
                | NodeKind::Mirroring(_)
                | NodeKind::Internal(_) => "nothing below it serves".to_owned(),
            },
            Some(_) => String::new(),
            None => "it is not there".to_owned(),
        }
    }

    /// When the turn of each other member comes, or why it does not.
    fn others(
        &self,
        node: &ServiceNode,
        turns: &Turns,
        choice: Choice,
        members: Vec<Member>,
        all: &mut Vec<String>,
    ) {
        if choice.session.follows_cookie() {
            all.push(format!("without the cookie of {} its turns decide", node.name));
        } else if node.choosing.as_ref().is_some_and(|choosing| choosing.sticky.is_some()) {
            all.push(format!("a cookie of {} that names another member decides", node.name));
        }
        let drawn = turns.ticket.drawn();
        for (at, member) in (0..).zip(members).filter(|(at, _)| *at != choice.turn) {
            let Member { name, ails } = member;
            all.push(match next_turn(&turns.rotation, drawn, at) {
                Some(ticket) => {
                    let wait = ticket - drawn;
                    format!("{name} has ticket {ticket} of {}, {wait} from now", node.name)
                }
                None if ails.is_empty() => {
                    format!("{name} has no turn: its weight is 0, or it is down")
                }
                None => format!("{name} has no turn: {ails}"),
            });
        }
    }
}

fn put_kind(put: &mut impl FnMut(&str, Value) -> Option<Value>, kind: &str, why: &str) {
    put("kind", json!(kind.to_lowercase()));
    if !why.is_empty() {
        put("why", json!(why));
    }
}

fn side_name(side: Side) -> &'static str {
    match side {
        Side::Main => "main",
        Side::Fallback => "fallback",
        Side::Neither => "neither",
    }
}

/// The first ticket from `drawn` on whose turn `member` has.
fn next_turn(rotation: &Rotation, drawn: u64, member: u16) -> Option<u64> {
    let period = rotation.turns().len() as u64;
    (drawn..drawn + period).find(|ticket| rotation.turn(*ticket) == Some(member))
}
