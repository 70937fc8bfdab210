//! What control machines ask a server for: how it is, what a child offers, and documents.

use super::{Conn, Health, Reading, Server, State, THERE, Then};
use crate::actors::Scene;
use crate::fault::Kind;

/// Answers to polls for a document that are none.
const GARBAGE: [&str; 3] = ["http: [", "<html>\n<body>: &", "{\"http\": {\"routers\": {\"r0\": "];
/// What a document defines that comes with a status that says not to believe it.
pub const DECOY: &str = "decoy@http";
const DECOY_TEXT: &str = "http: {services: {decoy: {weighted: {services: []}}}}";

impl Server {
    pub(super) fn answer_health(
        &mut self,
        scene: &mut Scene<'_>,
        conn: &mut Conn,
        target: &str,
    ) -> bool {
        let good = self.health == Health::Good;
        self.health_log.push((scene.net.now, good));
        let out = conn.sender.buffer();
        match self.health {
            Health::Good if !target.ends_with(THERE) && self.actor.is_multiple_of(3) => {
                let place = format!("location: {target}{THERE}\r\ncontent-length: 0");
                out.extend_from_slice(format!("HTTP/1.1 302 There\r\n{place}\r\n\r\n").as_bytes());
            }
            Health::Good => out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
            Health::Bad => out.extend_from_slice(b"HTTP/1.1 503 Bad\r\ncontent-length: 0\r\n\r\n"),
            Health::Silent => return false,
        }
        true
    }

    /// Answers a poll; true if the connection's state was decided here.
    pub(super) fn answer_poll(
        &mut self,
        scene: &mut Scene<'_>,
        conn: &mut Conn,
        reading: &Reading,
        known: Option<&str>,
        awaited: bool,
    ) -> bool {
        let script = self.advert.clone().unwrap_or_default();
        if let Some(kind) = reading.fault {
            scene.net.faults.observed(kind);
        }
        let out = conn.sender.buffer();
        let body = match reading.fault {
            Some(Kind::PollMute) => {
                conn.state = State::Mute;
                return true;
            }
            Some(Kind::PollWrongStatus) => {
                out.extend_from_slice(b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n");
                return false;
            }
            Some(Kind::PollGarbage) => r#"[{"name": "shop", "weight": ]"#.to_owned(),
            Some(Kind::PollEmpty) => String::new(),
            Some(Kind::PollHuge) => format!("[{}]", " ".repeat(1_100_000)),
            _ => script.body,
        };
        if reading.fault.is_none() && script.etag.is_some() && known == script.etag.as_deref() {
            let etag = script.etag.unwrap_or_default();
            let head = format!("HTTP/1.1 304 Not Modified\r\netag: {etag}\r\n\r\n");
            out.extend_from_slice(head.as_bytes());
            return false;
        }
        if let (None, Some(means), true) = (reading.fault, &script.means, awaited) {
            self.told.push((script.etag.clone(), means.clone()));
        }
        let length = body.len();
        let mut head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n");
        head.push_str("content-type: application/json\r\n");
        if let (Some(etag), None) = (&script.etag, reading.fault) {
            head.push_str(&format!("etag: {etag}\r\n"));
        }
        head.push_str("\r\n");
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(body.as_bytes());
        if reading.fault == Some(Kind::PollCut) {
            out.truncate(out.len() - body.len() / 2 - 1);
            conn.sender.then(Then::Close);
        }
        false
    }

    /// Answers a poll for a document. False if it never does.
    pub(super) fn answer_page(
        &self,
        scene: &mut Scene<'_>,
        conn: &mut Conn,
        reading: &Reading,
        target: &str,
    ) -> bool {
        let text = self.pages.get(target).map_or("", String::as_str);
        if let Some(kind) = reading.fault {
            scene.net.faults.observed(kind);
        }
        let half = text.len() / 2;
        let (status, body) = match reading.fault {
            Some(Kind::PollMute) => return false,
            Some(Kind::PollWrongStatus) => ("500 Failed", DECOY_TEXT.to_owned()),
            Some(Kind::PollGarbage) if scene.net.faults.chance.one_in(2) => {
                let whole = text.char_indices().map(|(at, _)| at).find(|at| *at >= half);
                ("200 OK", format!("{}\n}}{{", &text[..whole.unwrap_or(0)]))
            }
            Some(Kind::PollGarbage) => {
                ("200 OK", (*scene.net.faults.chance.pick(&GARBAGE)).to_owned())
            }
            Some(Kind::PollEmpty) => ("200 OK", " \n".to_owned()),
            Some(Kind::PollHuge) => ("200 OK", format!("[{}]", " ".repeat(1_100_000))),
            _ => ("200 OK", text.to_owned()),
        };
        let out = conn.sender.buffer();
        let length = body.len();
        out.extend_from_slice(format!("HTTP/1.1 {status}\r\n").as_bytes());
        out.extend_from_slice(format!("content-length: {length}\r\n\r\n").as_bytes());
        out.extend_from_slice(body.as_bytes());
        if reading.fault == Some(Kind::PollCut) {
            out.truncate(out.len() - length / 2 - 1);
            conn.sender.then(Then::Close);
        }
        true
    }
}
