//! Views for plays, put together by hand: one entry point, some servers, services over them.

use engine::base::id::{ChildId, EntryId, ServerId, ServiceId, TargetId};
use engine::base::prng::Prng;
use engine::base::sip::SipKey;
use engine::config::fixed::{Authority, EntryPoint, Fixed, IdleConns, Ping, Scheme, Transport};
use engine::config::typed::StripPrefix;
use engine::rule::Rule;
use engine::service::middleware::Step;
use engine::service::rotation::Rotation;
use engine::view::{
    Advertised, Before, Cover, Destination, EntryView, Internal, NodeKind, Offer, Route,
    RouteTable, ServerNode, ServiceNode, Target, Turns, UplinkRef, UplinkRoutes, View,
};
use std::net::SocketAddr;
use std::sync::Arc;

type Ruled = (Arc<Rule>, Arc<Route>);

/// What a view is made from. Fields may be changed before [`Plan::view`].
pub(crate) struct Plan {
    pub(crate) settings: EntryPoint,
    pub(crate) fixed: Fixed,
    pub(crate) transport: Transport,
    pub(crate) scheme: Scheme,
    pub(crate) routes: Vec<Ruled>,
    /// Uplinks of the entry point, instead of routes.
    pub(crate) uplinks: Vec<(&'static str, Vec<Ruled>)>,
    services: Vec<Arc<ServiceNode>>,
    targets: Vec<Arc<Target>>,
    pub(crate) passive: bool,
    pub(crate) pass_host: bool,
    pub(crate) prefix: String,
    pub(crate) uplink: Option<&'static str>,
    pub(crate) epoch: u64,
}

impl Plan {
    /// Nothing but an entry point.
    pub(crate) fn bare() -> Self {
        let settings = EntryPoint {
            as_default: true,
            header_bytes_max: 16 * 1024,
            ..EntryPoint::new("web", "127.0.0.1:80".parse().expect("an address"))
        };
        let ping =
            Ping { entry_point: "web".into(), manual_routing: true, terminating_status: 503 };
        Self {
            settings,
            fixed: Fixed { ping: Some(ping), ..Fixed::default() },
            transport: Transport { idle: IdleConns::UpTo(2), ..Transport::default() },
            scheme: Scheme::Http,
            routes: Vec::new(),
            uplinks: Vec::new(),
            services: Vec::new(),
            targets: Vec::new(),
            passive: false,
            pass_host: true,
            prefix: String::new(),
            uplink: None,
            epoch: 1,
        }
    }

    /// Everything goes to one server.
    pub(crate) fn one_origin() -> Self {
        let mut plan = Self::bare();
        let service = plan.origin();
        plan.route("PathPrefix(`/`)", service, &[]);
        plan
    }

    /// A balancer over one server at an address of its own.
    pub(crate) fn origin(&mut self) -> ServiceId {
        self.origin_at(1)
    }

    /// A balancer over one server with this many addresses.
    pub(crate) fn origin_at(&mut self, addresses: u8) -> ServiceId {
        let target = self.target(addresses);
        let server = self.server(target);
        let kind = NodeKind::Balancer {
            turns: Self::turns(&[0]),
            servers: Box::new([server]),
            pass_host: self.pass_host,
        };
        self.service(kind)
    }

    pub(crate) fn target(&mut self, addresses: u8) -> TargetId {
        let number = u32::try_from(self.targets.len()).expect("few");
        let addrs: Arc<[SocketAddr]> =
            (1..=addresses).map(|at| SocketAddr::from(([10, 0, byte(number), at], 8080))).collect();
        let host = format!("origin-{number}");
        self.targets.push(Arc::new(Target {
            id: TargetId(number),
            authority: Authority { scheme: self.scheme, host: host.clone(), port: 8080 },
            host_field: format!("{host}:8080"),
            addrs,
            transport: self.transport.clone(),
            cover: Cover::Clear,
        }));
        TargetId(number)
    }

    pub(crate) fn server(&self, target: TargetId) -> Arc<ServerNode> {
        Arc::new(ServerNode {
            id: ServerId(target.0),
            target,
            url: format!("http://origin-{}:8080", target.0).into(),
            prefix: self.prefix.clone(),
            passive: self.passive,
            uplink: self.uplink.map(|name| UplinkRef { child: ChildId(0), name: name.into() }),
        })
    }

    pub(crate) fn turns(turns: &[u16]) -> Turns {
        Turns { rotation: Arc::new(Rotation::of_turns(turns.into())), ticket: Arc::default() }
    }

    pub(crate) fn service(&mut self, kind: NodeKind) -> ServiceId {
        let id = ServiceId(u32::try_from(self.services.len()).expect("few"));
        let name = format!("service-{}@file", id.0).into();
        self.services.push(Arc::new(ServiceNode {
            id,
            name,
            up: true,
            kind,
            choosing: None,
            guard: None,
            before: Before::default(),
            leash: None,
            rest: None,
            stats: Arc::default(),
        }));
        id
    }

    pub(crate) fn internal(&mut self, internal: Internal) -> ServiceId {
        self.service(NodeKind::Internal(internal))
    }

    pub(crate) fn made_route(&self, rule: &str, to: Destination, steps: &[Step]) -> Ruled {
        let rule = Rule::parse(rule).expect("a rule");
        let name = match self.routes.len() {
            0 => "route@file".to_owned(),
            n => format!("route-{n}@file"),
        };
        let route = Route {
            name: name.into(),
            priority: rule.default_priority(),
            rank: 0,
            to,
            steps: steps.into(),
            internal: false,
            stats: Arc::default(),
            options: Arc::default(),
            observed: self.settings.observed,
        };
        (Arc::new(rule), Arc::new(route))
    }

    pub(crate) fn route(&mut self, rule: &str, service: ServiceId, steps: &[Step]) {
        let route = self.made_route(rule, Destination::Service(service), steps);
        self.routes.push(route);
    }

    pub(crate) fn view(&self) -> Arc<View> {
        let offer = if self.uplinks.is_empty() {
            Offer::Routes(Arc::new(RouteTable::new(self.routes.clone())))
        } else {
            let made = |(name, routes): &(&str, Vec<_>)| UplinkRoutes {
                name: (*name).into(),
                routes: Arc::new(RouteTable::new(routes.clone())),
            };
            let advert = Advertised { body: Arc::from(*b"[]"), etag: "\"e1\"".into() };
            Offer::Uplinks {
                uplinks: self.uplinks.iter().map(made).collect(),
                advert: Arc::new(advert),
            }
        };
        let entry = EntryView {
            id: EntryId(0),
            settings: Arc::new(self.settings.clone()),
            stats: Arc::default(),
            offer,
            secure: None,
        };
        let mut view = View {
            epoch: self.epoch,
            fixed: Arc::new(self.fixed.clone()),
            entries: vec![Arc::new(entry)],
            services: engine::view::table::Table::default(),
            targets: engine::view::table::Table::default(),
            children: Vec::new(),
            model: engine::view::model::Model::default(),
            status: Arc::default(),
            certificates: Arc::default(),
            clock: Arc::default(),
            key: SipKey::new(&mut Prng::new(1)),
            layers: Arc::default(),
            past: engine::view::past::Past::default(),
        };
        for service in &self.services {
            view.services.set(service.id.0, Some(Arc::clone(service)));
        }
        for target in &self.targets {
            view.targets.set(target.id.0, Some(Arc::clone(target)));
        }
        Arc::new(view)
    }
}

fn byte(number: u32) -> u8 {
    u8::try_from(number).expect("few")
}

/// The middleware that takes this prefix off.
pub(crate) fn strip(prefix: &str) -> Step {
    let prefixes = vec![prefix.to_owned()];
    Step::StripPrefix(Arc::new(StripPrefix { prefixes, force_slash: false }))
}
