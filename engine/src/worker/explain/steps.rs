//! What the middlewares of a route do with a request. Those that count or ask are not disturbed:
//! it is said by what they decide.

use super::Asked;
use crate::config::typed::Aim;
use crate::service::middleware::breaker::State;
use crate::service::middleware::{Memory, Step, Verdict, judge, path};
use crate::view::Route;
use crate::worker::pass::write_target;
use serde_json::{Value, json};

const ELSEWHERE: &str = "sends it elsewhere";

/// What a step is called in configuration, and by what it decides unless the request alone says so.
fn nature(step: &Step) -> (&'static str, Option<&'static str>) {
    match step {
        Step::StripPrefix(_) => ("stripPrefix", None),
        Step::StripPrefixRegex(_) => ("stripPrefixRegex", None),
        Step::AddPrefix(_) => ("addPrefix", None),
        Step::ReplacePath(_) => ("replacePath", None),
        Step::ReplacePathRegex(_) => ("replacePathRegex", None),
        Step::Redirect(redirect) => match redirect.aim {
            Aim::Scheme { .. } => ("redirectScheme", None),
            Aim::Regex(_) => ("redirectRegex", None),
        },
        Step::AllowList(_) => ("ipAllowList", None),
        Step::Encoded(_) => ("encodedCharacters", None),
        Step::Headers(_) => ("headers", None),
        Step::RateLimit(_) => ("rateLimit", Some("lets it pass, waits or refuses by its count")),
        Step::InFlight(_) => ("inFlightReq", Some("lets it pass unless too many are there")),
        Step::ForwardAuth(_) => ("forwardAuth", Some("lets it pass if another server says so")),
        Step::Breaker(_) => ("circuitBreaker", Some("lets it pass unless its service fails")),
        Step::Retry(_) => ("retry", None),
        Step::Errors(_) => ("errors", None),
        Step::Compress(_) => ("compress", None),
        Step::GrpcWeb(_) => ("grpcWeb", None),
        Step::ContentType => ("contentType", None),
        Step::ClientCert(_) => ("passTLSClientCert", None),
        Step::Buffering(_) => {
            ("buffering", Some("lets it pass once its body is here, unless too large"))
        }
        Step::BasicAuth(_) => ("basicAuth", Some("lets it pass with a password that is right")),
        Step::DigestAuth(_) => ("digestAuth", Some("lets it pass with a digest that is right")),
    }
}

/// Whether a breaker keeps every request from its service now.
fn is_open(step: &Step, asked: &Asked<'_>) -> bool {
    matches!(step, Step::Breaker(it) if matches!(it.state(asked.now), State::Open(_)))
}

fn status_of(step: &Step) -> u16 {
    if let Step::Breaker(breaker) = step { breaker.settings().status } else { 503 }
}

/// The status if it is answered, and what the step does.
fn effect(verdict: Verdict) -> (Option<u16>, &'static str) {
    match verdict {
        Verdict::Refuse(status) | Verdict::Bare(status) => (Some(status), "refuses it"),
        Verdict::Redirect(status) => (Some(status), ELSEWHERE),
        Verdict::Preflight => (Some(200), "answers the preflight"),
        Verdict::Open(status) => (Some(status), "keeps it from its service"),
        Verdict::Pass
        | Verdict::Hold(_)
        | Verdict::TooMany(_)
        | Verdict::Entered(_)
        | Verdict::Full
        | Verdict::Unauthorized
        | Verdict::Stale
        | Verdict::Verify
        | Verdict::Collect
        | Verdict::Consult
        | Verdict::Count => (None, "lets it pass"),
    }
}

/// The way through the steps.
pub(super) struct Passage {
    pub(super) told: Value,
    /// Given by a step that does not let the request pass.
    pub(super) answer: Option<Value>,
    /// Path and query behind the last step.
    pub(super) path: String,
}

/// Steps that a request comes to behind others.
pub(super) struct Line<'a> {
    pub(super) steps: &'a [Step],
    /// Those that it passed before.
    pub(super) passed: usize,
    /// The route or the service that the others are before.
    pub(super) name: &'a str,
}

impl<'a> Line<'a> {
    pub(super) fn of(route: &'a Route) -> Self {
        Self { steps: &route.steps, passed: 0, name: &route.name }
    }
}

pub(super) fn pass(asked: &Asked<'_>, line: &Line<'_>) -> Passage {
    let mut memory = Memory::default();
    let mut captures = path::Memory::default();
    let mut told = Vec::new();
    let mut path = String::new();
    write_target(&mut path, asked.target);
    let mut answer = None;
    for (at, step) in line.steps.iter().enumerate() {
        if at < line.passed {
            // It came this far, so this is a path.
            let _ = path::apply(step, &mut path, &mut captures, &mut |_, _| {});
            continue;
        }
        let passing = asked.passing(line.name, &line.steps[..at], &path);
        let (kind, unseen) = nature(step);
        let (status, what) = match unseen {
            Some(_) if is_open(step, asked) => effect(Verdict::Open(status_of(step))),
            Some(what) => (None, what),
            None => effect(judge(step, &passing, &mut memory)),
        };
        if let Some(status) = status {
            let mut given = json!({ "status": status, "why": format!("{kind} {what}") });
            if what == ELSEWHERE {
                given["location"] = json!(memory.location);
            }
            told.push(json!({ "kind": kind, "does": what }));
            answer = Some(given);
            break;
        }
        let before = path.clone();
        if path::apply(step, &mut path, &mut captures, &mut |_, _| {}).is_err() {
            told.push(json!({ "kind": kind, "does": "makes a path that is none" }));
            answer = Some(json!({ "status": 400, "why": format!("{kind} makes no clean path") }));
            break;
        }
        let does = match before == path {
            true => what.to_owned(),
            false => format!("makes {path} of {before}"),
        };
        told.push(json!({ "kind": kind, "does": does }));
    }
    path.insert_str(0, path::missing_slash(&path));
    Passage { told: Value::Array(told), answer, path }
}
