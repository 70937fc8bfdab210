//! Services the process offers itself: ping, metrics, the API and the dashboard. Their answers are
//! made on the spot from the view and the figures, and sent like any other response.

use super::{dashboard, metrics};
use crate::base::time::Time;
use crate::http::status::reason;
use crate::view::stats::Stats;
use crate::view::{Internal, View};

/// What is asked of an internal service.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    pub method: &'a [u8],
    /// Path as received, after the router's middlewares, without the query.
    pub path: &'a [u8],
    /// Without `?`.
    pub query: &'a [u8],
}

/// What there is to see.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    pub view: &'a View,
    pub stats: &'a Stats,
    pub now: Time,
    pub draining: bool,
}

/// A response; the length of the body is its framing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    pub status: u16,
    /// Empty for none.
    pub content_type: &'static str,
    /// More fields.
    pub fields: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub(super) fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let content_type = "text/plain; charset=utf-8";
        Self { status, content_type, fields: Vec::new(), body: body.into() }
    }
}

pub fn answer(service: Internal, ask: &Ask<'_>, sight: &Sight<'_>) -> Answer {
    let reads = !matches!(service, Internal::Noop | Internal::Rest);
    if reads && !matches!(ask.method, b"GET" | b"HEAD") {
        let mut answer = Answer::text(405, "Method Not Allowed\n");
        answer.fields.push(("Allow", "GET, HEAD".to_owned()));
        return answer;
    }
    match service {
        Internal::Ping => ping(sight),
        Internal::Prometheus => metrics::answer(sight),
        Internal::Api => super::api::answer(ask, sight),
        Internal::Dashboard => dashboard::answer(ask, sight)
            .unwrap_or_else(|| Answer::text(404, "404 page not found\n")),
        Internal::Rest => no_offer(ask),
        Internal::Noop => Answer::text(418, "I'm a teapot\n"),
    }
}

/// Where documents are put.
const OFFERS: &[u8] = b"/api/providers/";

/// Whether a document is put where it belongs.
pub(super) fn is_offer(ask: &Ask<'_>) -> bool {
    ask.method == b"PUT" && ask.path.strip_prefix(OFFERS) == Some(b"rest")
}

fn no_offer(ask: &Ask<'_>) -> Answer {
    match ask.path.strip_prefix(OFFERS) {
        Some(b"rest") => {
            let mut answer = Answer::text(405, "Method Not Allowed\n");
            answer.fields.push(("Allow", "PUT".to_owned()));
            answer
        }
        Some(_) if ask.method == b"PUT" => {
            Answer::text(400, "only the provider rest is given documents\n")
        }
        Some(_) | None => Answer::text(404, "404 page not found\n"),
    }
}

/// While draining, whoever balances in front of us is told to stop.
fn ping(sight: &Sight<'_>) -> Answer {
    if !sight.draining {
        return Answer::text(200, "OK");
    }
    let status = sight.view.fixed.ping.as_ref().map_or(503, |ping| ping.terminating_status);
    Answer::text(status, reason(status))
}
