//! The life of one request, from its complete head to its last byte.

use super::body::Body;
use super::consult::Errand;
use super::guards::Guards;
use super::record::{Choice, Session};
use crate::base::id::{ConnId, EntryId, ServiceId};
use crate::base::page::{Chunk, Slice};
use crate::base::slab::Key;
use crate::base::time::{Span, Time};
use crate::config::fixed::Scheme;
use crate::config::typed::{Buffering, Coding, Compress, Retry};
use crate::http::framing::{Asked, Framing};
use crate::http::head::Version;
use crate::service::load::InFlight;
use crate::service::middleware::forward::Grant;
use crate::service::middleware::grpc_web::Form;
use crate::service::middleware::squeeze::Squeezer;
use crate::service::middleware::{GAUGES_MAX, Pages, Told};
use crate::service::signed::Claims;
use crate::tls::chain::Chain;
use crate::view::{
    NodeKind, Offer, Route, RouteTable, ServerNode, ServiceNode, Step, Target, View,
};
use std::net::SocketAddr;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

/// A view as the requests of one worker hold it: counting its users touches no shared memory.
pub(super) type CoreView = Rc<Arc<View>>;

/// Levels of nested services that a request can record.
pub(super) const CHOICES_MAX: usize = 16;

/// What an exchange waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// A middleware, which lets it pass later.
    Held,
    /// The rest of its body, which a middleware wants whole.
    Gathering,
    /// Another server, which a middleware asks whether it may pass.
    Consulting,
    /// A connection to the server.
    Waiting,
    /// The address to answer.
    Dialing,
    /// The head of the final response; the request is on its way.
    AwaitingHead,
    /// Enough of the response for a middleware.
    Collecting,
    /// The rest of the response.
    Relaying,
    /// HTTP is over: bytes flow both ways.
    Tunnel,
    /// The answer was ours; the rest of the request is read and thrown away.
    Discarding,
}

/// Bytes of a head, kept for as long as somebody may want to read it again.
#[derive(Clone, Debug)]
pub(super) enum HeadBytes {
    Page(Slice),
    /// It did not come in one page; so many of these bytes are the head.
    Grown(Rc<Vec<u8>>, usize),
}

impl HeadBytes {
    /// Bytes held beside pages.
    pub(super) fn grown(&self) -> u64 {
        match self {
            Self::Page(_) => 0,
            Self::Grown(bytes, _) => bytes.len() as u64,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Page(slice) => slice.bytes(),
            Self::Grown(bytes, len) => &bytes[..*len],
        }
    }
}

/// Where a route stands: three numbers instead of a counted reference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RouteRef {
    /// Position among the uplinks of the entry point; if it carries none, [`CLEAR`] or
    /// [`SECURE`]. From [`LAYERS`] on a table under another router.
    pub(super) table: u32,
    pub(super) position: u32,
}

/// The table for clear text.
pub(super) const CLEAR: u32 = 0;
/// The table for TLS clients.
pub(super) const SECURE: u32 = 1;
/// The first table under another router.
pub(super) const LAYERS: u32 = 1 << 16;

/// A server of a balancer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ServerRef {
    pub(super) service: ServiceId,
    pub(super) position: u16,
}

/// What was decided at each level of services, outermost first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choices {
    list: [Choice; CHOICES_MAX],
    len: u8,
}

impl Default for Choices {
    fn default() -> Self {
        let none = Choice {
            service: ServiceId(0),
            ticket: 0,
            turn: 0,
            session: Session::None,
            instead: false,
        };
        Self { list: [none; CHOICES_MAX], len: 0 }
    }
}

impl Choices {
    /// False if there is no room for another level.
    pub(super) fn push(&mut self, choice: Choice, depth_max: u32) -> bool {
        let free = self.list.get_mut(usize::from(self.len));
        let Some(free) = free.filter(|_| u32::from(self.len) < depth_max) else { return false };
        *free = choice;
        self.len += 1;
        true
    }

    pub(super) fn as_slice(&self) -> &[Choice] {
        &self.list[..usize::from(self.len)]
    }

    pub(super) fn truncate(&mut self, len: usize) {
        debug_assert!(len <= usize::from(self.len), "a list is cut, not grown");
        self.len = u8::try_from(len).expect("at most as many as there were");
    }
}

/// What a request that failed and is sent again remembers.
#[derive(Debug)]
pub(super) struct Again {
    /// The ways it took in vain.
    pub(super) tried: Vec<(ServiceId, u16)>,
    /// What was decided when it was sent last.
    pub(super) before: Choices,
    /// How often it was sent in vain.
    pub(super) failures: u32,
    /// When it was sent for the first time.
    pub(super) since: Time,
}

impl Again {
    /// The ticket that a service drew before.
    pub(super) fn ticket_of(&self, service: ServiceId) -> Option<u64> {
        let drawn = self.before.as_slice().iter().find(|choice| choice.service == service);
        drawn.map(|choice| choice.ticket)
    }
}

/// Copies of the request's body that a replay or a mirror may still need.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) chunks: Vec<Chunk>,
    pub(super) bytes: u64,
    /// Grew over its limit: what is here is of no use.
    pub(super) overgrown: bool,
    /// It grew not over its own limit but over what all may keep together.
    pub(super) starved: bool,
}

/// A page that is fetched in the place of a bad answer, and what led to it.
#[derive(Debug)]
pub(super) struct Paging {
    pub(super) pages: Arc<Pages>,
    /// The steps before the middleware.
    pub(super) at: u16,
    /// What the client is told.
    pub(super) status: u16,
    /// What it would have been told.
    pub(super) original: u16,
    pub(super) choices: Choices,
    pub(super) service: Option<ServiceId>,
    pub(super) server: Option<ServerRef>,
    pub(super) server_addr: Option<SocketAddr>,
    pub(super) asked: Asked,
    pub(super) framing: Framing,
}

/// A response that waits until there is enough of it.
#[derive(Debug)]
pub(super) struct HeldBack {
    pub(super) head: HeadBytes,
    pub(super) chunks: Vec<Chunk>,
    pub(super) bytes: u64,
    /// This is enough of it.
    pub(super) enough: u64,
    /// So is whatever is here once nothing more is.
    pub(super) prompt: bool,
}

/// A response that is compressed on its way.
#[derive(Debug)]
pub(super) struct Squeezing {
    /// Gone once the content is over.
    pub(super) squeezer: Option<Squeezer>,
    /// Bytes that the client was sent.
    pub(super) bytes: u64,
    /// Nothing may wait in it for more to come.
    pub(super) prompt: bool,
    /// Something may wait in it.
    pub(super) pending: bool,
    /// It waits for its turn.
    pub(super) rests: bool,
}

/// The request as the client sent it.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    pub(super) head: HeadBytes,
    pub(super) version: Version,
    pub(super) asked: Asked,
    pub(super) method: Range<u32>,
    pub(super) target: Range<u32>,
    pub(super) host: Range<u32>,
    /// `X-Forwarded-For` of a trusted peer.
    pub(super) forwarded_for: Range<u32>,
    /// `Origin`, if a middleware wants to know.
    pub(super) origin: Range<u32>,
    /// A middleware found that the client speaks TLS.
    pub(super) secure: bool,
    pub(super) upgrade: Option<Range<u32>>,
    pub(super) idempotent: bool,
    pub(super) expects_continue: bool,
    pub(super) websocket: bool,
    /// `Sec-WebSocket-Key`, if there is one that can be answered.
    pub(super) key: Range<u32>,
    /// It came under TLS.
    pub(super) over_tls: bool,
    /// What the client is called by its certificate, if that was verified.
    pub(super) caller: Option<Arc<str>>,
    /// The certificates that it showed.
    pub(super) chain: Option<Arc<Chain>>,
    /// The client is a parent: what it says about callers before it is believed.
    pub(super) from_parent: bool,
    /// `X-Tieline-Callers` of a parent.
    pub(super) callers: Range<u32>,
}

impl Asking {
    pub(super) fn method(&self) -> &str {
        let range = self.method.start as usize..self.method.end as usize;
        std::str::from_utf8(&self.head.bytes()[range]).unwrap_or_default()
    }
}

/// Steps that count a request, and their places for it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entered {
    list: [(u16, u32); 2 * GAUGES_MAX],
    len: u8,
}

impl Entered {
    pub(super) fn push(&mut self, step: u16, place: u32) {
        self.list[usize::from(self.len)] = (step, place);
        self.len += 1;
    }

    /// Those from a step on.
    pub(super) fn take_from(&mut self, step: u16) -> impl Iterator<Item = (u16, u32)> + use<> {
        let Self { list, len } = *self;
        let kept = list.iter().take(usize::from(len)).take_while(|(at, _)| *at < step).count();
        self.len = u8::try_from(kept).expect("no more than there were");
        list.into_iter().take(usize::from(len)).skip(kept)
    }
}

/// Whether a request becomes a stream of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Multiplex {
    Never,
    /// If the server agrees to that.
    Offered,
    Always,
}

#[derive(Debug)]
pub(super) struct Exchange {
    /// None for a mirrored request and for an errand.
    pub(super) client: Option<ConnId>,
    pub(super) upstream: Option<ConnId>,
    pub(super) phase: Phase,
    pub(super) view: CoreView,
    pub(super) entry: EntryId,
    pub(super) peer: SocketAddr,
    pub(super) route: Option<RouteRef>,
    /// Steps that let the request pass.
    pub(super) passed: u16,
    /// Of these, those that only the main request of a mirrored one passed.
    pub(super) inherited: u16,
    /// Services with middlewares of their own that it came to.
    pub(super) guards: Guards,
    /// The steps of the route and of these; absent while there are none of these.
    pub(super) laid: Option<Arc<[Step]>>,
    /// Services that a breaker kept it from.
    pub(super) shut: Vec<ServiceId>,
    /// A choice that is to be made again, because of these.
    pub(super) anew: Option<Choice>,
    /// Where middlewares count it until it is over.
    pub(super) entered: Entered,
    /// What other servers said of it.
    pub(super) grants: Vec<Grant>,
    /// The errand that it waits for.
    pub(super) consulting: Option<Key>,
    /// Set if this is a question about another request.
    pub(super) errand: Option<Box<Errand>>,
    pub(super) asking: Asking,
    pub(super) choices: Choices,
    /// The innermost service reached.
    pub(super) service: Option<ServiceId>,
    pub(super) server: Option<ServerRef>,
    /// Where the server was reached.
    pub(super) server_addr: Option<SocketAddr>,
    /// The request's body, client to server.
    pub(super) up: Body,
    /// How the request's body is framed for the server.
    pub(super) framing: Framing,
    /// The response's body, server to client.
    pub(super) down: Body,
    pub(super) kept: Option<Rc<Kept>>,
    /// The request is collected before it goes on.
    pub(super) collects: bool,
    /// Its body is a document for the control machine.
    pub(super) offers: bool,
    /// A response that is collected before it goes on.
    pub(super) held: Option<Box<HeldBack>>,
    /// The client speaks gRPC-Web, and its server gRPC.
    pub(super) web: Option<Form>,
    /// So the response is translated.
    pub(super) web_answer: Option<Form>,
    /// In what the client would like the response.
    pub(super) coding: Option<Coding>,
    pub(super) squeezing: Option<Box<Squeezing>>,
    /// Set once a page is fetched instead of an answer.
    pub(super) paging: Option<Box<Paging>>,
    /// Most that is kept of the body; nothing if nobody may need it.
    pub(super) kept_max: u64,
    /// Chunks of `kept` that the present server was not sent yet begin here.
    pub(super) replayed: usize,
    /// The present server was sent the whole request.
    pub(super) ended: bool,
    /// The connection to the server had served before.
    pub(super) reused: bool,
    /// A request to switch protocols may go out on a stream.
    pub(super) over_streams: bool,
    /// Set once a middleware has sent it again.
    pub(super) again: Option<Box<Again>>,
    /// The one retry of a request that was lost or not served was used.
    pub(super) retried: bool,
    /// The session that did not serve it.
    pub(super) refused_by: Option<ConnId>,
    /// A failover above the server judges by status.
    pub(super) judged: bool,
    /// Some mirrors want this request.
    pub(super) mirrored: bool,
    /// Some service gives the client a cookie.
    pub(super) sets_cookie: bool,
    /// What a cookie for all levels said that is to be replaced.
    pub(super) claims: Option<Box<Claims>>,
    /// The request as the server's load, if its service chooses by that.
    pub(super) load: Option<InFlight>,
    /// Next address of the target to dial.
    pub(super) address: u16,
    pub(super) interims: u16,
    pub(super) retries: u16,
    /// The client was told to go on sending.
    pub(super) continued: bool,
    /// The server keeps its connection.
    pub(super) keep: bool,
    /// What the client was answered; 0 while nothing.
    pub(super) status: u16,
    pub(super) origin_status: u16,
    /// Number of the request among those of this worker.
    pub(super) serial: u64,
    pub(super) started: Time,
    pub(super) sent_at: Time,
    pub(super) origin_took: Span,
    /// When the dial as a whole is given up.
    pub(super) dial_by: Time,
    /// When a mirrored request is given up.
    pub(super) whole_by: Time,
    pub(super) response_head: Option<HeadBytes>,
    /// The head that the client got, kept if the access log shows fields.
    pub(super) sent_head: Option<Box<[u8]>>,
}

impl Exchange {
    /// A request of nobody, about which nothing is decided, with no body.
    #[inline]
    pub(super) fn new(view: CoreView, entry: EntryId, peer: SocketAddr, asking: Asking) -> Self {
        Self {
            client: None,
            upstream: None,
            phase: Phase::Waiting,
            view,
            entry,
            peer,
            route: None,
            passed: 0,
            inherited: 0,
            guards: Guards::default(),
            laid: None,
            shut: Vec::new(),
            anew: None,
            entered: Entered::default(),
            grants: Vec::new(),
            consulting: None,
            errand: None,
            asking,
            choices: Choices::default(),
            service: None,
            server: None,
            server_addr: None,
            up: Body::none(),
            framing: Framing::Empty,
            down: Body::none(),
            kept: None,
            collects: false,
            offers: false,
            held: None,
            web: None,
            web_answer: None,
            coding: None,
            squeezing: None,
            paging: None,
            kept_max: 0,
            replayed: 0,
            ended: false,
            reused: false,
            over_streams: false,
            retried: false,
            again: None,
            refused_by: None,
            judged: false,
            mirrored: false,
            sets_cookie: false,
            claims: None,
            load: None,
            address: 0,
            interims: 0,
            retries: 0,
            continued: false,
            keep: false,
            status: 0,
            origin_status: 0,
            serial: 0,
            started: Time::ZERO,
            sent_at: Time::ZERO,
            origin_took: Span::ZERO,
            dial_by: Time::NEVER,
            whole_by: Time::NEVER,
            response_head: None,
            sent_head: None,
        }
    }

    pub(super) fn route(&self) -> Option<&Route> {
        route_of(&self.view, self.entry, self.route?)
    }

    /// The middleware that sends it again; of several, the innermost.
    pub(super) fn retry(&self) -> Option<&Arc<Retry>> {
        let steps = self.steps().iter().rev();
        steps
            .filter_map(|step| if let Step::Retry(retry) = step { Some(retry) } else { None })
            .next()
    }

    /// The middleware that compresses; of several, the innermost.
    pub(super) fn compress(&self) -> Option<&Arc<Compress>> {
        let steps = self.steps().iter().rev();
        steps.filter_map(|step| if let Step::Compress(it) = step { Some(it) } else { None }).next()
    }

    /// The innermost middleware that may send it again, and where it stands.
    pub(super) fn resends(&self) -> Option<(u16, &Step)> {
        let resends = |step: &Step| {
            matches!(step, Step::Buffering(limits) if limits.repeat.is_some())
                || matches!(step, Step::Retry(_))
        };
        (0..).zip(self.steps()).filter(|(_, step)| resends(step)).last()
    }

    /// The middleware that collects bodies; of several, the innermost.
    pub(super) fn buffering(&self) -> Option<&Arc<Buffering>> {
        let steps = self.steps().iter().rev();
        steps.filter_map(|step| if let Step::Buffering(it) = step { Some(it) } else { None }).next()
    }

    pub(super) fn server(&self) -> Option<&ServerNode> {
        let ServerRef { service, position } = self.server?;
        server_of(&self.view, service, position)
    }

    pub(super) fn target(&self) -> Option<&Target> {
        self.view.targets.get(self.target_id()?.0).map(|target| &**target)
    }

    /// What its response depends on.
    pub(super) fn told(&self) -> Told<'_> {
        let origin = self.asking.origin.start as usize..self.asking.origin.end as usize;
        let origin = Some(origin).filter(|range| !range.is_empty());
        Told {
            origin: origin.map(|at| &self.asking.head.bytes()[at]),
            secure: self.asking.secure,
            grants: &self.grants,
        }
    }

    /// How the server is spoken to. Who asks to switch protocols does so over HTTP/1.1, unless it
    /// is something that streams carry.
    pub(super) fn multiplex(&self) -> Multiplex {
        let streams = self.asking.upgrade.is_none() || self.over_streams;
        let Some(target) = self.target().filter(|_| streams) else { return Multiplex::Never };
        match target.authority.scheme {
            Scheme::H2c => Multiplex::Always,
            Scheme::Https if target.transport.multiplexes => Multiplex::Offered,
            Scheme::Https | Scheme::Http => Multiplex::Never,
        }
    }

    /// Whether any part of the final response has reached the client's outbox.
    pub(super) fn has_answered(&self) -> bool {
        self.status != 0
    }
}

pub(super) fn table_of(view: &View, entry: EntryId, table: u32) -> Option<&RouteTable> {
    if let Some(layer) = table.checked_sub(LAYERS) {
        return view.layers.get(layer as usize).map(|table| &**table);
    }
    let entry = view.entries.get(usize::from(entry.0))?;
    match &entry.offer {
        Offer::Routes(_) if table == SECURE => entry.secure.as_ref().map(|side| &*side.routes),
        Offer::Routes(routes) => Some(routes),
        Offer::Uplinks { uplinks, .. } => uplinks.get(table as usize).map(|it| &*it.routes),
    }
}

pub(super) fn route_of(view: &View, entry: EntryId, route: RouteRef) -> Option<&Route> {
    table_of(view, entry, route.table)?.at(route.position).map(|route| &**route)
}

pub(super) fn service_of(view: &View, service: ServiceId) -> Option<&ServiceNode> {
    view.services.get(service.0).map(|node| &**node)
}

pub(super) fn server_of(view: &View, service: ServiceId, position: u16) -> Option<&ServerNode> {
    match &service_of(view, service)?.kind {
        NodeKind::Balancer { servers, .. } => {
            servers.get(usize::from(position)).map(|server| &**server)
        }
        NodeKind::Weighted { .. }
        | NodeKind::Failover { .. }
        | NodeKind::Mirroring(_)
        | NodeKind::Internal(_)
        | NodeKind::Unavailable(_) => None,
    }
}
