//! What clients and servers saw: H1 to H5.
//!
//! A request that did not end as it should needs an excuse, and an excuse is something that
//! somebody did: a fault, a rude client, an operator. A run without faults excuses nothing.

use super::Oracle;
use super::breaker::Settings;
use super::coding::{self, Coded};
use super::signed;
use crate::actors::Scene;
use crate::actors::client::expected_framing;
use crate::actors::codec::{Framing, Head, fits_pattern};
use crate::actors::server::Server;
use crate::book::Book;
use crate::fault::Kind;
use crate::ledger::{BodyKind, Ended, Frame, Probe, ProbeId};
use crate::model::{Fate, HOPS, PARENT, Routed};
use crate::net::Net;
use crate::plan::{CLAIMED_ADDRESS, CLAIMED_UPLINK, Document};
use engine::base::time::{Span, Time};

/// Why a request may end badly.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Excused {
    /// The client left, or was too slow or too odd.
    ClientLeft,
    /// The server that got it did this to it.
    Server(Kind),
    /// A fault struck that breaks connections or delays them for long.
    Fault(Kind),
    /// Its own connection was spoilt so, or one to a server that it may have waited for.
    Wound(Kind),
    /// One of our children showed a wrong certificate.
    Deceived,
    /// The answer came before the request had ended and the server closed: the rest of the request
    /// meets a reset that may overtake the answer.
    EarlyClose,
    /// Its answer was on the way in full when the reset of a later request of its connection, which
    /// has an excuse, overtook it.
    Overtaken(ProbeId),
    /// A worker turned a request away with this very answer meanwhile, because a bound drawn for
    /// this run was reached.
    Refused,
    /// Its answer was on the way in full, and its client went on sending beyond what a connection
    /// that has been told off is listened to.
    LingeredLong,
    /// It waited, on the connection of a request that ended with an excuse and took the connection
    /// with it, and reached nobody.
    Behind(ProbeId),
    /// The server takes no further streams and had not looked at this one, whose content was on its
    /// way and is not kept.
    Unseen,
    /// Servers left one connection after another before they looked at it: it is sent again once.
    UnseenTwice,
    /// The instance was told to stop, or crashed.
    Stopped,
    /// A bound drawn for this run was reached.
    Bound,
    /// The configuration changed under the request.
    Reload,
    /// Health checks had taken every server out.
    Unhealthy,
    /// The document had not been read yet.
    Starting,
}

impl Excused {
    /// The reason, without the number of another request.
    fn name(self) -> String {
        let text = format!("{self:?}");
        let number = |rest: &str| rest.starts_with(|first: char| first.is_ascii_digit());
        match text.split_once('(') {
            Some((name, rest)) if number(rest) => name.to_owned(),
            Some(_) | None => text,
        }
    }
}

/// Fields that the gateway adds or rewrites.
const ADDED: &[&str] = &[
    "host",
    "x-probe",
    "connection",
    "upgrade",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "expect",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-forwarded-prefix",
    "x-real-ip",
    "x-uplink-name",
    "x-tieline-hops",
    "x-child",
    CALLERS,
];

/// Who has called, hop by hop: children and whoever stands behind them are told.
const CALLERS: &str = "x-tieline-callers";

/// A server has read the head of a request.
pub fn on_arrival(
    scene: &mut Scene<'_>,
    server: &Server,
    id: ProbeId,
    head: &Head,
    framing: Framing,
) {
    let now = scene.net.now;
    let probe = scene.ledger.get(id).expect("looked up before");
    let name = &server.name;
    let mut wrong = |oracle: Oracle, text: String| {
        let text = format!("{name} got probe {id} with {text}");
        scene.net.verdict.add(oracle, now, || text);
    };
    let [method, target, version] = head.words().unwrap_or_default();
    if method != probe.meant.method || version != "HTTP/1.1" {
        wrong(Oracle::H3, format!("start line {:?}", head.start));
    }
    if let Some(text) = hops_problem(probe, server, head) {
        wrong(Oracle::H3, text);
    }
    if let Some(text) = callers_problem(server, head, &scene.book.caller) {
        wrong(Oracle::H3, text);
    }
    let believed = |value: &str| value.contains(CLAIMED_ADDRESS) || value == CLAIMED_UPLINK;
    if let Some((name, value)) = head.fields.iter().find(|(_, value)| believed(value)) {
        wrong(Oracle::H3, format!("what its client claimed: {name}: {value}"));
    }
    if head.count("host") != 1 {
        wrong(Oracle::H3, format!("{} host fields", head.count("host")));
    }
    if !server.mirror {
        let expected = expected_framing(probe.meant.body, probe.meant.body_bytes);
        let same = match (expected, framing) {
            (Framing::Length(0), Framing::Empty) => true,
            (expected, framing) => expected == framing,
        };
        if !same {
            wrong(Oracle::H3, format!("{framing:?} instead of {expected:?}"));
        }
    }
    let foul = [Kind::ProtocolUnknown, Kind::ProtocolBroken];
    if let Some(kind) = foul.into_iter().find(|kind| scene.net.wounds.has(probe.link, *kind)) {
        wrong(Oracle::H4, format!("a client behind it of which {}", kind.about()));
    }
    let fates = scene.book.fates(probe);
    let problems: Vec<String> = fates
        .iter()
        .map(|fate| match fate {
            Fate::Routed(routed) => head_problem(probe, routed, target, head),
            Fate::Nowhere => Some("no route at all".into()),
            Fate::Loop => Some("a path that has been here before".into()),
            Fate::Broken { router }
            | Fate::Unclean { router, .. }
            | Fate::TurnedAway { router, .. } => {
                Some(format!("router {router}, which must not serve it"))
            }
        })
        .map_while(|problem| problem)
        .collect();
    if problems.len() == fates.len() {
        wrong(Oracle::H3, problems.join("; or "));
    }
}

/// Who plays a child is told the way of the request so far; nobody else is.
fn hops_problem(probe: &Probe, server: &Server, head: &Head) -> Option<String> {
    let mut way: Vec<&str> = probe.meant.hops().collect();
    way.push(PARENT);
    let expected = server.advert.is_some().then(|| way.join(", "));
    let hops = head.get(HOPS);
    (hops != expected.as_deref()).then(|| format!("{HOPS} {hops:?} instead of {expected:?}"))
}

/// No client here shows a certificate, and the parent shows one to whoever is met over TLS.
fn callers_problem(server: &Server, head: &Head, told: &str) -> Option<String> {
    let callers = head.get(CALLERS)?;
    let known = ["anonymous", "anonymous, anonymous", told];
    let fits = server.name.starts_with("child-") && known.contains(&callers);
    (!fits || head.count(CALLERS) > 1).then(|| format!("{CALLERS} {callers}"))
}

/// What is wrong with a head at a server, if it was routed so.
fn head_problem(probe: &Probe, routed: &Routed, target: &str, head: &Head) -> Option<String> {
    let plain = |target: &str| target.trim_end_matches('?').to_owned();
    if plain(target) != plain(&routed.target) {
        return Some(format!("target {target} instead of {}", routed.target));
    }
    let mut expected: Vec<(&str, &str)> = Vec::new();
    let edited = |name: &str| {
        routed.request_edits.iter().rev().find(|(at, _)| at.eq_ignore_ascii_case(name))
    };
    for (name, value) in &probe.meant.fields {
        let claimed = matches!(name.as_str(), HOPS | "x-forwarded-for" | "x-uplink-name");
        if edited(name).is_none() && !claimed {
            expected.push((name, value));
        }
    }
    for (name, value) in &routed.request_edits {
        let last = edited(name).is_some_and(|(_, last)| last == value);
        if last && !value.is_empty() && !expected.iter().any(|(at, _)| at == name) {
            expected.push((name, value));
        }
    }
    for (name, value) in &expected {
        let found = head.fields.iter().filter(|(at, _)| at.eq_ignore_ascii_case(name));
        let values: Vec<&String> = found.map(|(_, value)| value).collect();
        if values.len() != 1 || values[0] != value {
            return Some(format!("{name}: {values:?} instead of {value:?}"));
        }
    }
    let known = |name: &str| {
        ADDED.contains(&name) || expected.iter().any(|(at, _)| at.eq_ignore_ascii_case(name))
    };
    let extra = head.fields.iter().find(|(name, _)| !known(name))?;
    Some(format!("an extra field {extra:?}"))
}

/// A server has read the end of a request.
pub fn on_whole(scene: &mut Scene<'_>, id: ProbeId, body: u64, trailers: &[(String, String)]) {
    let now = scene.net.now;
    let probe = scene.ledger.get(id).expect("looked up before");
    let arrival = probe.arrivals.last().expect("it has arrived");
    let empty_mirror = scene.book.is_mirror(arrival.server) && body == 0;
    if body != probe.meant.body_bytes && !empty_mirror {
        let wanted = probe.meant.body_bytes;
        let text = || format!("probe {id} arrived with {body} bytes instead of {wanted}");
        scene.net.verdict.add(Oracle::H3, now, text);
    }
    let fits = |(name, value): &(String, String)| name == "x-trailer" && *value == id.to_string();
    if trailers.len() > 1 || !trailers.iter().all(fits) {
        let trailers = format!("{trailers:?}");
        let text = || format!("probe {id} arrived with trailers {trailers}");
        scene.net.verdict.add(Oracle::H3, now, text);
    }
}

/// A client has read an interim response.
pub fn on_interim(net: &mut Net, probe: &mut Probe, head: &Head, status: u16) {
    let (id, now) = (probe.id, net.now);
    if probe.meant.old_version {
        let text = || format!("probe {id} of an HTTP/1.0 client got {}", head.start);
        net.verdict.add(Oracle::H1, now, text);
    }
    let stormy = probe.arrivals.iter().any(|arrival| arrival.fault == Some(Kind::OriginStorm));
    let unasked = status != 100 && probe.want.interim == 0 && !stormy && !somebody_lied(net);
    if !matches!(status, 100 | 102 | 103) || unasked {
        let text = || format!("probe {id} got an interim {} that nobody sent", head.start);
        net.verdict.add(Oracle::H2, now, text);
    }
}

/// A server has sent bytes that were no answer to anything. They may be taken for the answer to
/// whatever is asked next on that connection: nobody can tell.
pub fn somebody_lied(net: &Net) -> bool {
    let lies = [Kind::OriginTalksFirst, Kind::OriginExtraBytes];
    lies.iter().any(|kind| net.faults.last(*kind).is_some())
}

/// A client has read the head of a final response.
pub fn on_answer(scene: &mut Scene<'_>, id: ProbeId, head: &Head) {
    let now = scene.net.now;
    let probe = scene.ledger.get(id).expect("looked up before");
    let answer = probe.answer.as_ref().expect("just noted");
    let lied = somebody_lied(scene.net);
    let mut wrong = |text: String| {
        if !lied {
            scene.net.verdict.add(Oracle::H2, now, || format!("probe {id} was answered {text}"));
        }
    };
    let Some(server) = answer.server else {
        if head.get("x-probe").is_some() {
            wrong("by nobody with a probe number".into());
        }
        return;
    };
    if head.get("x-probe") != Some(id.to_string().as_str()) {
        wrong(format!("with the number {:?}", head.get("x-probe")));
    }
    if !probe.arrivals.iter().any(|arrival| arrival.server == server) {
        wrong(format!("by server {server}, where it never arrived"));
    }
    if scene.book.is_mirror(server) {
        wrong(format!("by the mirror {server}"));
    }
    if answer.status != probe.want.status {
        wrong(format!("with {} instead of {}", answer.status, probe.want.status));
    }
    if let Some(text) = coding::problem(scene.book, probe, head) {
        wrong(text);
    }
    for text in given_problems(scene.book, head, server) {
        wrong(text);
    }
    let edits = scene.book.response_edits(probe);
    let intact = head.get("connection-note") == Some("kept");
    if !intact {
        wrong("without a field that the server sent".into());
    }
    let edited = |edits: &Vec<(String, String)>| {
        edits.iter().all(|(name, value)| match value.as_str() {
            "" => head.count(&name.to_ascii_lowercase()) == 0,
            value => head.get(&name.to_ascii_lowercase()) == Some(value),
        })
    };
    if !edits.is_empty() && !edits.iter().any(edited) {
        wrong(format!("with fields other than one of {edits:?}"));
    }
}

/// What is wrong with cookies that a client is given.
fn given_problems(book: &Book, head: &Head, server: u16) -> Vec<String> {
    let Some(root) = book.documents.iter().find_map(Document::signed) else { return Vec::new() };
    let lines = head.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    lines.filter_map(|(_, line)| signed::problem(&book.documents, root, line, server)).collect()
}

/// A client has read the end of a compressed response; how long it was before.
pub fn on_coded(scene: &mut Scene<'_>, id: ProbeId, coded: &Coded) -> u64 {
    let meaning = coded.meaning();
    let problem = match &meaning {
        Ok(bytes) if fits_pattern(id, 0, bytes) => None,
        Ok(_) => Some("something else".to_owned()),
        Err(why) => Some(why.clone()),
    };
    if let Some(problem) = problem.filter(|_| !somebody_lied(scene.net)) {
        let text = || format!("the compressed answer to probe {id} means {problem}");
        scene.net.verdict.add(Oracle::H2, scene.net.now, text);
    }
    meaning.map_or(0, |bytes| bytes.len() as u64)
}

/// A client has read the end of a response.
pub fn on_response_trailers(
    scene: &mut Scene<'_>,
    id: ProbeId,
    trailers: &[(String, String)],
    from_server: bool,
) {
    let now = scene.net.now;
    let probe = scene.ledger.get(id).expect("looked up before");
    let fits = |(name, value): &(String, String)| name == "x-trailer" && *value == id.to_string();
    let wanted = probe.want.trailers && from_server && !probe.meant.old_version;
    let right = if wanted { trailers.len() == 1 } else { trailers.is_empty() };
    if (!right || !trailers.iter().all(fits)) && !somebody_lied(scene.net) {
        let trailers = format!("{trailers:?}");
        let text = || format!("the answer to probe {id} ended with trailers {trailers}");
        scene.net.verdict.add(Oracle::H2, now, text);
    }
}

/// Judges requests that have ended for their clients.
pub fn judge(scene: &mut Scene<'_>) {
    for id in std::mem::take(&mut scene.ledger.to_judge) {
        let problem = problem(scene, id);
        let probe = scene.ledger.get(id).expect("only opened probes end");
        for arrival in &probe.arrivals {
            if let Some(kind) = arrival.fault {
                scene.net.faults.observed(kind);
            }
        }
        let Some((oracle, text)) = problem else { continue };
        if let Some(why) = excuse(scene, id) {
            scene.net.verdict.excuse(why.name());
        } else {
            let probe = scene.ledger.get(id).expect("only opened probes end");
            let story = story(probe);
            let text = || format!("probe {id} {text}; {story}");
            scene.net.verdict.add(oracle, scene.net.now, text);
        }
    }
}

/// What a reader of a violation wants to know about its request.
fn story(probe: &Probe) -> String {
    let Probe { meant, want, started, arrivals, answer, end, .. } = probe;
    format!("{meant:?}, {want:?}, started {started}, {arrivals:?}, {answer:?}, {end:?}")
}

fn problem(scene: &Scene<'_>, id: ProbeId) -> Option<(Oracle, String)> {
    let probe = scene.ledger.get(id)?;
    let (_, ended) = probe.end?;
    match ended {
        Ended::Left | Ended::Open => None,
        Ended::Skipped if probe.arrivals.is_empty() => None,
        Ended::Skipped => Some((Oracle::H1, "was skipped and yet reached a server".into())),
        Ended::Cut => Some((Oracle::H1, "got a part of an answer".into())),
        Ended::Closed => Some((Oracle::H1, "got no answer".into())),
        Ended::Reset => Some((Oracle::H1, "got a reset".into())),
        Ended::Answered => answer_problem(scene, probe),
    }
}

fn answer_problem(scene: &Scene<'_>, probe: &Probe) -> Option<(Oracle, String)> {
    let answer = probe.answer.as_ref()?;
    if answer.server.is_some() {
        let bodiless = matches!(answer.status, 204 | 304) || probe.meant.method == "HEAD";
        let wanted = if bodiless { 0 } else { probe.want.bytes };
        if answer.body_bytes != wanted {
            let got = answer.body_bytes;
            return Some((Oracle::H1, format!("got {got} bytes of a body of {wanted}")));
        }
        return None;
    }
    let fates = scene.book.fates(probe);
    let expected = |fate: &Fate| match fate {
        Fate::Nowhere => answer.status == 404,
        Fate::Loop => answer.status == 508,
        Fate::Broken { .. } => answer.status == 503,
        Fate::TurnedAway { statuses, .. } => statuses.contains(&answer.status),
        Fate::Unclean { limited, breaks, .. } => match answer.status {
            400 | 503 => true,
            429 => *limited,
            Settings::STATUS => *breaks,
            _ => false,
        },
        Fate::Routed(routed) => match answer.status {
            503 => scene.book.may_lack_servers(routed),
            502 => scene.book.may_lack_addresses(routed, probe.oldest_epoch),
            508 => scene.book.may_loop_below(routed, &probe.meant),
            429 => routed.limited,
            Settings::STATUS => routed.breaks,
            Settings::INNER_STATUS => routed.shuts,
            _ => false,
        },
    };
    if fates.iter().any(expected) {
        return None;
    }
    let status = answer.status;
    Some((Oracle::H1, format!("was answered {status} by the gateway; expected {fates:?}")))
}

/// Faults that break or delay for long, and for how long their effect may last.
const HARD: &[(Kind, Span)] = &[
    (Kind::RecvFails, Span::secs(20)),
    (Kind::SendFails, Span::secs(20)),
    (Kind::ConnectRefused, Span::secs(20)),
    (Kind::ConnectFails, Span::secs(20)),
    (Kind::ConnectSilent, Span::secs(60)),
    (Kind::AcceptFails, Span::secs(20)),
    (Kind::NoDescriptors, Span::secs(20)),
    (Kind::LateCompletion, Span::secs(5)),
    (Kind::TinyWindow, Span::MAX),
    (Kind::SlowWire, Span::MAX),
    (Kind::Stall, Span::MAX),
    (Kind::Hold, Span::secs(20)),
    (Kind::Pause, Span::secs(30)),
    (Kind::TimeJump, Span::secs(30)),
    (Kind::LateTick, Span::secs(10)),
    (Kind::OriginClosesIdle, Span::MAX),
    (Kind::OriginTalksFirst, Span::MAX),
    (Kind::OriginExtraBytes, Span::MAX),
    (Kind::OriginDown, Span::secs(60)),
    (Kind::OriginMute, Span::MAX),
    (Kind::OriginDeaf, Span::MAX),
    (Kind::OriginDiesBeforeHead, Span::secs(10)),
    (Kind::OriginDiesInHead, Span::secs(10)),
    (Kind::OriginDiesInBody, Span::secs(10)),
];

/// What somebody did to this very request.
fn own_excuse(probe: &Probe) -> Option<Excused> {
    if probe.rude.is_some() {
        return Some(Excused::ClientLeft);
    }
    if let Some(kind) = probe.arrivals.iter().find_map(|arrival| arrival.fault) {
        return Some(Excused::Server(kind));
    }
    let early_close = probe.want.early
        && (probe.want.close || probe.want.framing == Frame::UntilClose)
        && probe.meant.body != BodyKind::None;
    early_close.then_some(Excused::EarlyClose)
}

fn excuse(scene: &Scene<'_>, id: ProbeId) -> Option<Excused> {
    let probe = scene.ledger.get(id)?;
    let (end, ended) = probe.end?;
    if let Some(excuse) = own_excuse(probe) {
        return Some(excuse);
    }
    if probe.leg.tls && probe.oldest == 0 {
        return Some(Excused::Starting);
    }
    if scene.book.short_linger && matches!(ended, Ended::Reset | Ended::Cut | Ended::Closed) {
        return Some(Excused::Bound);
    }
    if probe.taken_back.is_some() && probe.sent > scene.book.linger_bytes {
        return Some(Excused::LingeredLong);
    }
    if let Some(excuse) = shared(scene, probe) {
        return Some(excuse);
    }
    let told = probe.answer.as_ref().filter(|answer| answer.server.is_none());
    let refused = |(at, status): &(Time, u16)| {
        let own = told.map(|answer| (probe.started, answer.status));
        let mut answers = own.into_iter().chain(probe.plainly);
        answers.any(|(from, answer)| from <= *at && *at <= end && answer == *status)
    };
    if scene.book.refusals.iter().any(refused) {
        return Some(Excused::Refused);
    }
    let lost = told.is_some_and(|answer| answer.status == 502) && probe.arrivals.is_empty();
    if lost && scene.book.multiplexed && probe.meant.body_bytes > 0 {
        return Some(Excused::Unseen);
    }
    if lost && scene.net.wounds.left_by_servers(probe.started, end) > 1 {
        return Some(Excused::UnseenTwice);
    }
    let failed = told.is_some_and(|answer| answer.status == 502);
    if failed && scene.book.fates(probe).iter().any(|fate| scene.book.asks_children(fate)) {
        // A child that hardly lingers may take its refusal back with a reset.
        if scene.book.short_linger {
            return Some(Excused::Bound);
        }
        // One that has no certificate yet takes nobody in.
        if scene.book.child_begins.is_some_and(|at| probe.started <= at) {
            return Some(Excused::Starting);
        }
    }
    if probe.calm {
        return scene.book.excuse_calm(probe.started, end);
    }
    let excuse = match is_dropped(scene, probe) {
        true => scene.book.excuse_calm(probe.started, end),
        false => scene.book.excuse(probe.started, end),
    };
    if excuse.is_some() {
        return excuse;
    }
    if let Some(kind) = wounded(scene, probe, end) {
        return Some(Excused::Wound(kind));
    }
    if scene.book.was_deceived(probe.started, end) {
        return Some(Excused::Deceived);
    }
    struck(scene, probe.started, end).map(Excused::Fault)
}

/// Whether a server had got it before a drain began that would have left it time.
fn is_dropped(scene: &Scene<'_>, probe: &Probe) -> bool {
    let Some((end, ended)) = probe.end else { return false };
    let arrived = probe.arrivals.iter().map(|arrival| arrival.at).min();
    let broken = matches!(ended, Ended::Reset | Ended::Closed | Ended::Cut);
    let plain = !probe.meant.upgrade && broken;
    plain && arrived.is_some_and(|arrived| scene.book.is_to_be_finished(arrived, end))
}

/// What spoilt a connection of this request. Of those to servers it may have waited for any, unless
/// a server has answered it.
fn wounded(scene: &Scene<'_>, probe: &Probe, end: Time) -> Option<Kind> {
    let wounds = &scene.net.wounds;
    let links = probe.arrivals.iter().map(|arrival| arrival.link).chain([probe.link]);
    let own = links.flat_map(|link| wounds.of(link)).next();
    let answered = probe.answer.as_ref().is_some_and(|answer| answer.server.is_some());
    own.or_else(|| {
        let mut near = wounds.of_servers(probe.started, end).filter(|_| !answered);
        near.next().map(|wound| wound.kind)
    })
}

/// The excuse of another request whose connection this one was lost with: of an earlier one that
/// this one waited behind, or of a later one that took back an answer on its way.
fn shared(scene: &Scene<'_>, probe: &Probe) -> Option<Excused> {
    let (end, ended) = probe.end?;
    let reset = matches!(ended, Ended::Reset | Ended::Closed);
    let unheard = reset && probe.answer.is_none();
    let overtaken = probe.taken_back.is_some() && (reset || ended == Ended::Cut);
    if !unheard && !overtaken {
        return None;
    }
    let broke = |(at, how)| at == end && matches!(how, Ended::Reset | Ended::Cut | Ended::Skipped);
    let others = scene.ledger.probes.iter().filter(|other| {
        other.client == probe.client && other.started < end && other.end.is_some_and(broke)
    });
    let mut excused = others.filter_map(|other| match other.id {
        id if id < probe.id && unheard && probe.arrivals.is_empty() => {
            excuse(scene, id).map(|_| Excused::Behind(id))
        }
        id if id > probe.id && overtaken => {
            let own = || wounded(scene, other, end).map(Excused::Wound);
            own_excuse(other).or_else(own).map(|_| Excused::Overtaken(id))
        }
        _ => None,
    });
    excused.next()
}

pub(super) fn struck(scene: &Scene<'_>, started: Time, _end: Time) -> Option<Kind> {
    let recent = |(kind, lasts): &&(Kind, Span)| {
        scene.net.faults.last(*kind).is_some_and(|at| at + *lasts >= started)
    };
    HARD.iter().find(recent).map(|(kind, _)| *kind)
}

/// H5, at the end: how often each request reached a server that is no mirror.
pub fn judge_arrivals(scene: &mut Scene<'_>) {
    let now = scene.net.now;
    for probe in &scene.ledger.probes {
        let mains = probe.arrivals.iter().filter(|at| !scene.book.is_mirror(at.server)).count();
        let most = if probe.idempotent() { scene.book.attempts_max() } else { 1 };
        if mains > most {
            let (id, method) = (probe.id, probe.meant.method);
            scene.net.verdict.add(Oracle::H5, now, || {
                format!("{method} probe {id} reached a server {mains} times")
            });
        }
    }
}
