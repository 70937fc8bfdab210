//! Why a request goes where it goes: the decisions of the data path, taken by the same code without
//! drawing a ticket, and told with what they rest on and what would have to change.

mod ask;
pub(super) mod changed;
mod descent;
mod outcome;
mod rules;
mod steps;
mod tree;

pub use ask::Ask;
pub use outcome::{Outcome, WHOLE};

use super::choose::Pick;
use super::dispatch::{self, Routed};
use super::exchange::{LAYERS, RouteRef, route_of, server_of, table_of};
use super::fields;
use crate::base::id::EntryId;
use crate::base::limits::Limits;
use crate::base::time::Time;
use crate::h1::parse::{self, Parsed, Progress, Scratch};
use crate::http::blame::Misbehaved;
use crate::http::head::RequestHead;
use crate::http::method::Method;
use crate::http::request::RequestInfo;
use crate::http::target::{self, Rewritten, Target};
use crate::service::middleware::Step;
use crate::service::middleware::passing::Passing;
use crate::view::{Destination, Offer, Route, RouteTable, View};
use changed::Changed;
use descent::Descent;
use serde_json::{Map, Value, json};
use std::net::IpAddr;
use std::sync::Arc;
use steps::Line;

/// Routes that are told of; tables may have a hundred thousand.
const ROUTES_MAX: usize = 1_000;

/// Tells what `view` would do with a request at `now`. The document says which routes were tried
/// and why each did or did not match (`routes`), what the middlewares do (`middlewares`), the tree
/// of services with the health and the turns of everybody in it (`services`), what was chosen
/// (`answer`), and what would have to change for another choice (`otherwise`).
///
/// # Errors
/// What cannot be asked: an entry point that is not there, a head that is none.
pub fn explain(view: &View, now: Time, ask: &Ask) -> Result<Value, String> {
    asked(view, now, ask, |asked| match asked {
        Ok(asked) => asked.explain(),
        Err((entry, wrong)) => refused(view, ask, entry, wrong),
    })
}

/// What `view` does with requests like this one.
///
/// # Errors
/// As [`explain`].
pub fn outcome(view: &View, now: Time, ask: &Ask) -> Result<Outcome, String> {
    asked(view, now, ask, |asked| match asked {
        Ok(asked) => asked.outcome(),
        Err((_, wrong)) => Outcome::answered(wrong.status()),
    })
}

/// Reads the request as a worker does.
pub(super) fn asked<T>(
    view: &View,
    now: Time,
    ask: &Ask,
    then: impl FnOnce(Result<&Asked<'_>, (EntryId, Misbehaved)>) -> T,
) -> Result<T, String> {
    let entry = ask.entry_of(view)?;
    let settings = &view.entries[usize::from(entry.0)].settings;
    let head = ask.head();
    let bounds = parse::Bounds::again(settings.aliases);
    let mut scratch = Scratch::new();
    let head = match parse::request_head(&head, &mut Progress::default(), bounds, &mut scratch) {
        Ok(Parsed::Complete { head, .. }) => head,
        Ok(Parsed::Partial) => return Err("the head of the request does not end".to_owned()),
        Err(wrong) => return Ok(then(Err((entry, wrong)))),
    };
    let mut rewritten = Rewritten::default();
    Ok(match target::read_as(&head, &mut rewritten, settings.reading) {
        Ok(target) => then(Ok(&Asked { view, now, ask, entry, head: &head, target: &target })),
        Err(what) => then(Err((entry, Misbehaved::client(what)))),
    })
}

/// The routes of a table, best first, each with why it does or does not take the request.
fn verdicts(table: &RouteTable, info: &RequestInfo<'_>, best: Option<&Arc<Route>>) -> Value {
    let mut reached = true;
    let routes = table.rules().take(ROUTES_MAX).map(|(rule, route)| {
        let here = best.is_some_and(|best| best.name == route.name);
        let verdict = match reached {
            true if here => "matches",
            true => "does not match",
            false if rule.matches(info) => "would match",
            false => "not reached",
        };
        reached &= !here;
        json!({
            "router": &*route.name,
            "rule": rule.text(),
            "priority": route.priority,
            "verdict": verdict,
            "why": rules::why(rule.ast(), info),
        })
    });
    routes.collect()
}

fn refused(view: &View, ask: &Ask, entry: EntryId, wrong: Misbehaved) -> Value {
    let answer = json!({ "status": wrong.status(), "why": wrong.what.about() });
    json!({ "request": request(view, ask, entry), "epoch": view.epoch, "answer": answer })
}

fn request(view: &View, ask: &Ask, entry: EntryId) -> Value {
    json!({
        "method": ask.method,
        "url": ask.url(),
        "entryPoint": view.entries[usize::from(entry.0)].settings.name,
        "tls": ask.secure,
        "from": ask.from.to_string(),
    })
}

/// A request that HTTP allows, and who is asked about it.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) view: &'a View,
    pub(super) now: Time,
    pub(super) ask: &'a Ask,
    pub(super) entry: EntryId,
    pub(super) head: &'a RequestHead<'a>,
    pub(super) target: &'a Target<'a>,
}

impl Asked<'_> {
    pub(super) fn peer(&self) -> IpAddr {
        self.ask.from
    }

    /// What a step meets behind those that the request has passed.
    pub(super) fn passing<'b>(
        &'b self,
        route: &'b str,
        passed: &'b [Step],
        path: &'b str,
    ) -> Passing<'b> {
        let settings = &self.view.entries[usize::from(self.entry.0)].settings;
        Passing {
            head: self.head,
            target: self.target,
            peer: self.peer(),
            trusted: fields::is_trusted(settings, self.peer()),
            secure: self.ask.secure,
            passed,
            path,
            route,
            now: self.now,
            user: "",
            grants: &[],
        }
    }

    /// The router of a layer that takes the request as `route` leaves it.
    ///
    /// # Errors
    /// The status of the answer if none does.
    pub(super) fn below(&self, route: &Route, layer: u32) -> Result<&Route, u16> {
        let table = self.view.layers.get(layer as usize).ok_or(400_u16)?;
        let found = Changed::default()
            .read(self, &route.steps, |info| table.find_at(info))
            .ok_or(400_u16)?;
        found.and_then(|position| table.at(position)).map(|route| &**route).ok_or(404)
    }

    fn explain(&self) -> Value {
        let mut told = Map::new();
        told.insert("request".to_owned(), request(self.view, self.ask, self.entry));
        told.insert("epoch".to_owned(), json!(self.view.epoch));
        self.tell(&mut told);
        Value::Object(told)
    }

    fn tell(&self, told: &mut Map<String, Value>) {
        let answer = |status: u16, why: &str| json!({ "status": status, "why": why });
        if self.head.method == Method::Connect {
            told.insert("answer".to_owned(), answer(501, "CONNECT is not offered"));
            return;
        }
        let instance = &self.view.fixed.tieline.instance;
        if fields::is_loop(self.head.fields, instance, Limits::default().hops_max) {
            told.insert("answer".to_owned(), answer(508, "the request was here before"));
            return;
        }
        let info = RequestInfo::new(self.head, self.target, self.peer());
        let secure = self.ask.secure;
        let routed = dispatch::route(self.view, self.entry, secure, &info, self.head);
        let found = match &routed {
            Routed::To(route) => Some(*route),
            Routed::Advert(_) | Routed::Undiscovered | Routed::Nowhere => None,
        };
        self.tell_routes(told, &info, found);
        match routed {
            Routed::To(route) => self.tell_route(told, route),
            Routed::Advert(advert) => {
                let text = String::from_utf8_lossy(&advert.body);
                told.insert("answer".to_owned(), answer(200, &format!("the uplinks: {text}")));
            }
            Routed::Undiscovered => {
                told.insert("answer".to_owned(), answer(503, "no such uplink is known here"));
            }
            Routed::Nowhere => {
                told.insert("answer".to_owned(), answer(404, "no rule matches"));
            }
        }
    }

    /// The routes of the table that counts, best first, up to the one that matches.
    fn tell_routes(
        &self,
        told: &mut Map<String, Value>,
        info: &RequestInfo<'_>,
        found: Option<RouteRef>,
    ) {
        if let Offer::Uplinks { uplinks, .. } = &self.view.entries[usize::from(self.entry.0)].offer
        {
            let named = fields::uplink_name(self.head.fields);
            told.insert(
                "uplinks".to_owned(),
                json!({
                    "named": named.map(String::from_utf8_lossy),
                    "offered": uplinks.iter().map(|uplink| &*uplink.name).collect::<Vec<_>>(),
                }),
            );
        }
        let table = found.map_or_else(|| self.first_table(), |found| found.table);
        let Some(table) = table_of(self.view, self.entry, table) else { return };
        let best = found.and_then(|found| table.at(found.position));
        told.insert("routes".to_owned(), verdicts(table, info, best));
        let left_out = table.len().saturating_sub(ROUTES_MAX);
        told.insert("routesLeftOut".to_owned(), json!(left_out));
    }

    fn first_table(&self) -> u32 {
        let uplinks =
            matches!(self.view.entries[usize::from(self.entry.0)].offer, Offer::Uplinks { .. });
        if self.ask.secure && !uplinks { super::exchange::SECURE } else { super::exchange::CLEAR }
    }

    fn tell_route(&self, told: &mut Map<String, Value>, route: RouteRef) {
        let Some(route) = route_of(self.view, self.entry, route) else { return };
        told.insert("router".to_owned(), json!(&*route.name));
        if let Destination::Broken(why) = &route.to {
            let why = format!("the router is broken: {why}");
            told.insert("answer".to_owned(), json!({ "status": 503, "why": why }));
            return;
        }
        let passage = steps::pass(self, &Line::of(route));
        told.insert("middlewares".to_owned(), passage.told);
        if let Some(answer) = passage.answer {
            told.insert("answer".to_owned(), answer);
            return;
        }
        match route.to {
            Destination::Service(service) => self.tell_choice(told, route, service, &passage.path),
            Destination::Layer(layer) => self.tell_layer(told, route, layer),
            Destination::Broken(_) => {}
        }
    }

    /// The routers under one, as the request comes to them; what servers would give that are
    /// asked on the way is not known here.
    fn tell_layer(&self, told: &mut Map<String, Value>, route: &Route, layer: u32) {
        let Some(table) = self.view.layers.get(layer as usize) else { return };
        let mut changed = Changed::default();
        let found = changed.read(self, &route.steps, |info| {
            let position = table.find_at(info);
            let best = position.and_then(|position| table.at(position));
            let under = json!({ "under": &*route.name, "routes": verdicts(table, info, best) });
            (position, under)
        });
        let Some((position, under)) = found else {
            let why = "what the middlewares made of it is no request";
            told.insert("answer".to_owned(), json!({ "status": 400, "why": why }));
            return;
        };
        if let Value::Array(layers) = told.entry("layers").or_insert_with(|| json!([])) {
            layers.push(under);
        }
        match position {
            Some(position) => {
                self.tell_route(told, RouteRef { table: LAYERS + layer, position });
            }
            None => {
                let why = format!("no router under {} takes it", route.name);
                told.insert("answer".to_owned(), json!({ "status": 404, "why": why }));
            }
        }
    }

    fn tell_choice(
        &self,
        told: &mut Map<String, Value>,
        route: &Route,
        service: crate::base::id::ServiceId,
        path: &str,
    ) {
        let depth_max = Limits::default().service_depth;
        let descent = Descent::of(self, route, service, path, depth_max);
        let way = tree::Way { view: self.view, choices: descent.choices.as_slice(), now: self.now };
        told.insert("services".to_owned(), way.tell(service, depth_max));
        if !descent.told.is_empty() {
            told.insert("middlewaresOfServices".to_owned(), json!(descent.told));
        }
        let answer = match (descent.answer, descent.pick) {
            (Some(answer), _) => answer,
            (None, Pick::Server(server)) => {
                let node = server_of(self.view, server.service, server.position);
                let name = way.name(server.service);
                node.map_or(Value::Null, |node| way.answer(name, node, &descent.path))
            }
            (None, Pick::Internal(internal)) => {
                json!({ "service": way.name(descent.end), "internal": format!("{internal:?}") })
            }
            (None, Pick::Nobody(text)) => json!({
                "status": 503,
                "why": format!("{}: {}", way.name(descent.end), text.trim_end()),
            }),
            (None, Pick::Guarded(_)) => Value::Null,
        };
        told.insert("answer".to_owned(), answer);
        let mut otherwise = way.otherwise();
        if route.steps.iter().any(Step::may_answer) {
            otherwise.push("a middleware that answers itself ends the way before".to_owned());
        }
        told.insert("otherwise".to_owned(), json!(otherwise));
    }
}
