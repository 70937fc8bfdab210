//! A client that speaks HTTP/2: each request has a stream of its own, many at a time.

use super::{Client, Conn, LISTEN, TRICKLE, note_sent, write_body, write_head};
use crate::actors::Scene;
use crate::actors::h2::frames::{CANCEL, NO_ERROR, REFUSED_STREAM};
use crate::actors::h2::session::{Event, Session};
use crate::actors::h2::translator::Translator;
use crate::actors::sender::{Flushed, Sender, Then};
use crate::actors::server::draw_window;
use crate::fault::Kind;
use crate::ledger::{BodyKind, Ended, ProbeId};
use crate::net::Event as Happening;
use crate::oracle::Oracle;
use crate::plan::Asking;
use crate::secure::wardrobe::Leg;
use crate::wire::{EndId, Read};
use engine::base::time::{Span, Time};
use engine::boundary::Close;
use std::collections::BTreeMap;

#[derive(Debug)]
pub(super) struct Line {
    pub(super) end: EndId,
    pub(super) entry: u16,
    pub(super) leg: Leg,
    session: Session,
    pub(super) out: Sender,
    streams: BTreeMap<u32, (Conn, Translator)>,
    /// Sends no more requests.
    pub(super) last: bool,
    pub(super) deaf: bool,
    pub(super) trickle: Option<usize>,
    rude: Option<Kind>,
    leave_after: Option<u64>,
    seen: u64,
    begun: Time,
}

/// Streams that a client has at once.
const AT_ONCE: usize = 30;

impl Line {
    pub(super) fn new(scene: &mut Scene<'_>, end: EndId, entry: u16, leg: Leg) -> Self {
        let leave = scene.net.faults.strikes(Kind::ClientLeaves);
        let leave_after = leave.then(|| scene.net.faults.chance.size(20_000));
        Self {
            end,
            entry,
            leg,
            session: Session::new(true, draw_window(scene, end)),
            out: Sender::default(),
            streams: BTreeMap::new(),
            last: false,
            deaf: false,
            trickle: None,
            rude: None,
            leave_after,
            seen: 0,
            begun: scene.net.now,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.streams.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        let most = usize::try_from(self.session.streams_max).unwrap_or(usize::MAX);
        self.session.open() >= most.min(AT_ONCE)
    }

    pub(super) fn probes(&self) -> impl Iterator<Item = ProbeId> {
        self.streams.values().flat_map(|(conn, _)| conn.open.iter().copied())
    }

    pub(super) fn listen(&mut self) {
        self.deaf = false;
    }

    fn collect(&mut self, scene: &mut Scene<'_>) {
        for (number, (conn, translator)) in &mut self.streams {
            translator.send(&mut self.session, *number, &mut conn.sender);
            note_sent(scene, conn);
        }
        self.out.buffer().append(&mut self.session.out);
    }
}

impl Client {
    pub(super) fn send_on_line(&mut self, scene: &mut Scene<'_>, asking: &Asking) {
        let line = self.line.as_mut().expect("connected before");
        let (mut meant, want) = asking.draw(scene.workload, line.entry);
        meant.old_version = false;
        let last = asking.draw_last(scene.workload);
        let (now, calm) = (scene.net.now, scene.calm);
        let probe = scene.ledger.open(self.actor, line.entry, meant, want);
        (probe.started, probe.calm) = (now, calm);
        (probe.leg, probe.link) = (line.leg, line.end.link);
        (probe.oldest, probe.oldest_epoch) = (scene.book.oldest, scene.book.oldest_epoch);
        probe.rude = line.rude;
        let (id, meant) = (probe.id, probe.meant.clone());
        let mut conn = Conn::new(line.end, line.entry);
        let out = conn.sender.buffer();
        write_head(out, id, &meant, false, false);
        conn.heads.push_back((out.len(), id));
        write_body(out, id, &meant, scene.workload);
        conn.ends.push_back((out.len(), id));
        conn.open.push_back(id);
        line.last |= last;
        let told = meant.body == BodyKind::Length;
        let rude = be_rude(self.actor, scene, line, (&mut conn, told));
        if let Some(kind) = rude {
            scene.net.faults.observed(kind);
            line.rude = Some(kind);
            for open in line.probes().chain([id]) {
                scene.ledger.get_mut(open).expect("an open probe").rude = Some(kind);
            }
        }
        let scheme = if line.leg.tls { "https" } else { "http" };
        let mut translator = Translator::of_request(meant.method, scheme);
        let stream = translator.send(&mut line.session, 0, &mut conn.sender);
        if stream == 0 {
            // It broke off within its head, and so never was.
            return scene.ledger.end(id, now, Ended::Left);
        }
        line.streams.insert(stream, (conn, translator));
    }

    pub(super) fn go_on_line(&mut self, scene: &mut Scene<'_>) {
        let Some(mut line) = self.line.take() else { return };
        if self.exchange_on(scene, &mut line) {
            self.line = Some(line);
            return;
        }
        if self.left > 0 || scene.calm {
            self.wake(scene, Span::millis(5));
        }
    }

    /// False when the connection is over.
    fn exchange_on(&mut self, scene: &mut Scene<'_>, line: &mut Line) -> bool {
        let mut bytes = [0; 4_096];
        loop {
            line.collect(scene);
            if line.out.flush(scene.net, line.end) == Flushed::Gone {
                return self.line_over(scene, line, Ended::Reset);
            }
            if line.deaf {
                return true;
            }
            let how = match scene.net.read(line.end, &mut bytes) {
                Read::Bytes(count) => {
                    line.seen += count as u64;
                    line.session.feed(&bytes[..count]);
                    if !self.take_events(scene, line) {
                        return false;
                    }
                    if line.leave_after.is_some_and(|after| line.seen > after) {
                        return self.leave_line(scene, line);
                    }
                    if line.last && line.is_idle() {
                        line.session.go_away(NO_ERROR);
                        line.collect(scene);
                        line.out.flush(scene.net, line.end);
                        scene.net.close(line.end, Close::Gentle);
                        return false;
                    }
                    continue;
                }
                Read::Nothing => return true,
                Read::End => Ended::Closed,
                Read::Reset => Ended::Reset,
            };
            scene.net.close(line.end, Close::Gentle);
            return self.line_over(scene, line, how);
        }
    }

    fn leave_line(&mut self, scene: &mut Scene<'_>, line: &mut Line) -> bool {
        scene.net.faults.observed(Kind::ClientLeaves);
        line.leave_after = None;
        if scene.net.faults.chance.one_in(2)
            && let Some((number, (conn, _))) = line.streams.pop_first()
        {
            line.session.reset(number, CANCEL);
            for id in conn.open {
                scene.ledger.end(id, scene.net.now, Ended::Left);
            }
            return true;
        }
        let how = if scene.net.faults.chance.one_in(2) { Close::Abort } else { Close::Gentle };
        for id in line.probes().collect::<Vec<_>>() {
            scene.ledger.end(id, scene.net.now, Ended::Left);
        }
        scene.net.close(line.end, how);
        false
    }

    fn line_over(&mut self, scene: &mut Scene<'_>, line: &mut Line, how: Ended) -> bool {
        for (_, (mut conn, _)) in std::mem::take(&mut line.streams) {
            self.over(scene, &mut conn, how);
        }
        false
    }

    /// False when the connection is over.
    fn take_events(&mut self, scene: &mut Scene<'_>, line: &mut Line) -> bool {
        loop {
            let done = match line.session.next_event() {
                Ok(Some(event)) => self.on_event(scene, line, event),
                Ok(None) => return true,
                Err(bad) => Err(bad),
            };
            if let Err(bad) = done {
                if let Some(status) = line.session.plain_answer() {
                    // There was no room to learn what is spoken.
                    for id in line.probes().collect::<Vec<_>>() {
                        let probe = scene.ledger.get_mut(id).expect("an open probe");
                        probe.plainly = Some((line.begun, status));
                    }
                    scene.net.close(line.end, Close::Abort);
                    return self.line_over(scene, line, Ended::Closed);
                }
                let actor = self.actor;
                scene.net.verdict.add(Oracle::H1, scene.net.now, || {
                    format!("client {actor} was sent what is no HTTP/2: {bad}")
                });
                scene.net.close(line.end, Close::Abort);
                return self.line_over(scene, line, Ended::Cut);
            }
        }
    }

    fn on_event(
        &mut self,
        scene: &mut Scene<'_>,
        line: &mut Line,
        event: Event,
    ) -> Result<(), String> {
        let (number, ended) = match event {
            Event::Fields { stream, fields, ended } => {
                let Some((conn, translator)) = line.streams.get_mut(&stream) else { return Ok(()) };
                let text = translator.answer(&fields, ended)?;
                self.on_bytes(scene, conn, &text)?;
                (stream, ended)
            }
            Event::Data { stream, data, ended } => {
                line.session.take(stream, data.len());
                let Some((conn, translator)) = line.streams.get_mut(&stream) else { return Ok(()) };
                let text = translator.content(&data, ended);
                self.on_bytes(scene, conn, &text)?;
                (stream, ended)
            }
            Event::Reset { stream, code } => {
                if let Some((mut conn, _)) = line.streams.remove(&stream) {
                    let unseen = code == REFUSED_STREAM && conn.status == 0;
                    let how = if unseen { Ended::Skipped } else { Ended::Reset };
                    self.over(scene, &mut conn, how);
                }
                return Ok(());
            }
            Event::GoingAway { last, code } => {
                line.last = true;
                for (_, (mut conn, _)) in line.streams.split_off(&(last + 1)) {
                    self.over(scene, &mut conn, Ended::Skipped);
                }
                return if code == NO_ERROR { Ok(()) } else { Err(format!("go away: {code}")) };
            }
        };
        if ended && let Some((mut conn, _)) = line.streams.remove(&number) {
            // Whoever is answered need not say the rest.
            line.session.reset(number, CANCEL);
            self.over(scene, &mut conn, Ended::Closed);
        }
        Ok(())
    }
}

fn be_rude(
    actor: u16,
    scene: &mut Scene<'_>,
    line: &mut Line,
    (conn, told): (&mut Conn, bool),
) -> Option<Kind> {
    let faults = &mut scene.net.faults;
    if faults.strikes(Kind::ClientTrickles) {
        let step = usize::try_from(faults.chance.between(1, 60)).expect("small");
        line.trickle = Some(step);
        line.out.gate = Some(line.out.written() + step);
        scene.net.after(Span::millis(5), Happening::Timer { actor, token: TRICKLE });
        Some(Kind::ClientTrickles)
    } else if faults.strikes(Kind::ClientDeaf) {
        line.deaf = true;
        let pause = Span::millis(faults.chance.between(100, 20_000));
        scene.net.after(pause, Happening::Timer { actor, token: LISTEN });
        Some(Kind::ClientDeaf)
    } else if told && faults.strikes(Kind::ClientHalfCloses) {
        // Without a length nobody could tell that something is missing.
        conn.leave_out(scene);
        conn.sender.then(Then::Shut);
        Some(Kind::ClientHalfCloses)
    } else {
        None
    }
}
