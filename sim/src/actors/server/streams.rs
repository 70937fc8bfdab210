//! Connections of HTTP/2 to a server: to it each stream is a connection of its own.

use super::{Conn, Reading, Server, State};
use crate::actors::Scene;
use crate::actors::h2::frames::{CANCEL, INTERNAL_ERROR, NO_ERROR, PROTOCOL_ERROR};
use crate::actors::h2::session::{Event, Session};
use crate::actors::h2::translator::Translator;
use crate::actors::sender::{Flushed, Sender};
use crate::fault::Kind;
use crate::oracle::Oracle;
use crate::secure::wardrobe::Leg;
use crate::wire::{EndId, Read};
use engine::boundary::Close;
use std::collections::BTreeMap;

#[derive(Debug)]
pub(super) struct Line {
    session: Session,
    out: Sender,
    streams: BTreeMap<u32, (Conn, Translator)>,
    tls: bool,
}

const WINDOWS: [u32; 3] = [65_535, 20_000, 1_000_000];
const SMALL_WINDOWS: [u32; 3] = [300, 3_000, 10_000];

/// What the other side may send before it is granted more.
pub(crate) fn draw_window(scene: &mut Scene<'_>, end: EndId) -> u32 {
    if scene.net.faults.strikes(Kind::SmallWindow) {
        scene.net.faults.observed(Kind::SmallWindow);
        scene.net.wound(end, Kind::SmallWindow);
        return *scene.net.faults.chance.pick(&SMALL_WINDOWS);
    }
    *scene.net.chance.pick(&WINDOWS)
}

impl Line {
    pub(super) fn conns(&self) -> impl Iterator<Item = &Conn> {
        self.streams.values().map(|(conn, _)| conn)
    }

    pub(super) fn is_stuck(&self) -> bool {
        self.conns().any(|conn| conn.deaf || matches!(conn.state, State::Mute))
    }

    fn is_busy(&self) -> bool {
        self.conns().any(|conn| matches!(conn.state, State::Thinking(_))) || self.out.pending() > 0
    }

    /// Moves what streams want to say into frames.
    fn collect(&mut self) {
        for (number, (conn, translator)) in &mut self.streams {
            translator.send(&mut self.session, *number, &mut conn.sender);
        }
        let session = &self.session;
        self.streams.retain(|number, _| !session.is_over(*number));
        self.out.buffer().append(&mut self.session.out);
    }
}

impl Server {
    pub(super) fn begin_line(&mut self, scene: &mut Scene<'_>, end: EndId, came: &[u8]) {
        if scene.net.faults.strikes(Kind::ProtocolBroken) {
            scene.net.wound(end, Kind::ProtocolBroken);
            // As much as there is room for.
            let _ = scene.net.write(end, b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
            return scene.net.close(end, Close::Gentle);
        }
        let mut session = Session::new(false, draw_window(scene, end));
        session.feed(came);
        let (out, streams) = (Sender::default(), BTreeMap::new());
        let mut line = Line { session, out, streams, tls: self.look.is_some() };
        if self.take_events(scene, end, &mut line) {
            self.keep_line(scene, end, line);
        }
    }

    pub(super) fn keep_line(&mut self, scene: &mut Scene<'_>, end: EndId, mut line: Line) {
        if self.go_on_line(scene, end, &mut line) {
            self.lines.insert(end, line);
        }
    }

    pub(super) fn wake_stream(&mut self, scene: &mut Scene<'_>, line: &mut Line, number: u32) {
        let Some((conn, _)) = line.streams.get_mut(&number) else { return };
        if let Some(reading) = conn.state.thought() {
            self.answer(scene, conn, reading);
        }
    }

    fn go_on_line(&mut self, scene: &mut Scene<'_>, end: EndId, line: &mut Line) -> bool {
        let mut bytes = [0; 4_096];
        loop {
            self.be_odd(scene, line);
            line.collect();
            if line.session.leaving {
                scene.net.wound(end, Kind::GoesAway);
            }
            if line.out.flush(scene.net, end) == Flushed::Gone {
                return false;
            }
            match scene.net.read(end, &mut bytes) {
                Read::Bytes(count) => {
                    line.session.feed(&bytes[..count]);
                    if !self.take_events(scene, end, line) {
                        return false;
                    }
                }
                Read::Nothing => return true,
                Read::End if line.is_busy() => return true,
                Read::End | Read::Reset => {
                    scene.net.close(end, Close::Gentle);
                    return false;
                }
            }
        }
    }

    /// Streams are cut and connections left now and then.
    fn be_odd(&self, scene: &mut Scene<'_>, line: &mut Line) {
        if line.streams.is_empty() {
            return;
        }
        if !line.session.leaving && scene.net.faults.strikes(Kind::GoesAway) {
            scene.net.faults.observed(Kind::GoesAway);
            line.session.go_away(NO_ERROR);
        }
        let busy = |conn: &Conn| matches!(conn.state, State::Reading(_) | State::Thinking(_));
        let found = line.streams.iter().find(|(_, (conn, _))| busy(conn)).map(|(at, _)| *at);
        let Some(number) = found else { return };
        if scene.net.faults.strikes(Kind::StreamsCut) {
            let code = *scene.net.faults.chance.pick(&[INTERNAL_ERROR, CANCEL, PROTOCOL_ERROR]);
            let (conn, _) = line.streams.remove(&number).expect("just seen");
            self.blame(scene, &conn, Kind::StreamsCut);
            line.session.reset(number, code);
        }
    }

    /// False when the connection is over.
    fn take_events(&mut self, scene: &mut Scene<'_>, end: EndId, line: &mut Line) -> bool {
        loop {
            let event = match line.session.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => return true,
                Err(bad) => {
                    let name = &self.name;
                    let text = || format!("{name} was sent what is no HTTP/2: {bad}");
                    scene.net.verdict.add(Oracle::H4, scene.net.now, text);
                    scene.net.close(end, Close::Abort);
                    return false;
                }
            };
            if let Err(bad) = self.on_event(scene, end, line, event) {
                let name = &self.name;
                let text = || format!("{name} was sent a malformed request: {bad}");
                scene.net.verdict.add(Oracle::H4, scene.net.now, text);
            }
        }
    }

    fn on_event(
        &mut self,
        scene: &mut Scene<'_>,
        end: EndId,
        line: &mut Line,
        event: Event,
    ) -> Result<(), String> {
        let leg = Leg { tls: line.tls, two: true };
        let (number, ended) = match event {
            Event::Fields { stream, fields, ended } => {
                let new = || (Conn { leg, stream, ..Conn::default() }, Translator::default());
                let (conn, translator) = line.streams.entry(stream).or_insert_with(new);
                let scheme = fields.iter().find(|(name, _)| name == ":scheme");
                let right = if line.tls { "https" } else { "http" };
                if scheme.is_some_and(|(_, scheme)| scheme != right) {
                    return Err(format!("{scheme:?} instead of {right}"));
                }
                let text = translator.request(&fields, ended)?;
                if !self.on_bytes(scene, end, conn, &text) {
                    line.session.reset(stream, PROTOCOL_ERROR);
                }
                (stream, ended)
            }
            Event::Data { stream, data, ended } => {
                let Some((conn, translator)) = line.streams.get_mut(&stream) else {
                    line.session.take(stream, data.len());
                    return Ok(());
                };
                let text = translator.content(&data, ended);
                if !self.on_bytes(scene, end, conn, &text) {
                    line.session.reset(stream, PROTOCOL_ERROR);
                }
                if !conn.deaf {
                    line.session.take(stream, data.len());
                }
                (stream, ended)
            }
            Event::Reset { stream, .. } => {
                line.streams.remove(&stream);
                return Ok(());
            }
            Event::GoingAway { .. } => return Ok(()),
        };
        let conn = line.streams.get(&number).map(|(conn, _)| conn);
        match conn.map(|conn| &conn.state) {
            Some(State::Reading(Reading { whole: false, .. })) if ended => {
                Err("it ends before what was announced".into())
            }
            _ => Ok(()),
        }
    }
}
