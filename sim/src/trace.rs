//! What every machine was told and what it wanted, folded into one number, and as text if asked.

use engine::base::time::Time;
use engine::boundary::{Answer, Effect, Input, Lent, Outcome};
use std::fmt;

/// The history of a run.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    events: u64,
    text: Text,
}

/// What happens to lines.
#[derive(Debug)]
pub enum Text {
    Off,
    /// Nor is anything folded.
    Deaf,
    Kept(Vec<(Time, String)>),
    /// To standard output as they come, each with the hash so far.
    Printed,
}

impl Trace {
    pub fn new(text: Text) -> Self {
        Self { hash: 0x51_7c_c1_b7_27_22_0a_95, events: 0, text }
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn events(&self) -> u64 {
        self.events
    }

    pub fn lines(self) -> Vec<(Time, String)> {
        match self.text {
            Text::Kept(lines) => lines,
            Text::Off | Text::Deaf | Text::Printed => Vec::new(),
        }
    }

    #[inline]
    pub fn fold(&mut self, word: u64) {
        self.hash = (self.hash.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    pub fn fold_bytes(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.fold(u64::from_le_bytes(word.try_into().expect("eight bytes")));
        }
        let mut last = [0; 8];
        last[..words.remainder().len()].copy_from_slice(words.remainder());
        self.fold(u64::from_le_bytes(last));
        self.fold(bytes.len() as u64);
    }

    /// A line, made only if somebody reads it.
    pub fn note(&mut self, now: Time, line: impl FnOnce() -> String) {
        match &mut self.text {
            Text::Off | Text::Deaf => {}
            Text::Kept(lines) => lines.push((now, format!("{now} {:6} {}", self.events, line()))),
            Text::Printed => {
                let (hash, events) = (self.hash, self.events);
                emit(format_args!("{now} {events:6} {hash:016x} {}", line()));
            }
        }
    }

    pub fn input(&mut self, host: u16, now: Time, input: &Input) {
        if matches!(self.text, Text::Deaf) {
            return;
        }
        self.events += 1;
        self.fold(now.nanos());
        self.fold(u64::from(host));
        self.fold_input(input);
        self.note(now, || format!("machine {host} <- {}", Shown(input)));
    }

    pub fn effect(&mut self, host: u16, now: Time, effect: &Effect) {
        if matches!(self.text, Text::Deaf) {
            return;
        }
        self.fold(u64::from(host) | 1 << 32);
        self.fold_effect(effect);
        self.note(now, || format!("machine {host} -> {effect:?}"));
    }

    fn fold_input(&mut self, input: &Input) {
        match input {
            Input::Done { op, outcome } => {
                self.fold(u64::from(op.conn.slot) << 32 | u64::from(op.conn.generation));
                self.fold(op.kind as u64);
                self.fold_outcome(outcome);
            }
            Input::View(view) => self.fold(view.epoch),
            Input::Report(report) => self.fold_debug(report),
            Input::Offer(offer) => self.fold_debug(offer),
            Input::Job { job, answer } => {
                self.fold(job.0);
                self.fold_answer(answer);
            }
            Input::Workload(told) => self.fold_debug(told),
            Input::Changed => self.fold(7),
            Input::Drain { by } => self.fold(by.nanos()),
        }
    }

    fn fold_outcome(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Accepted { peer } => self.fold_debug(peer),
            Outcome::Received(Lent::One(page)) => self.fold_bytes(page.bytes()),
            Outcome::Received(Lent::Many(pages)) => {
                pages.iter().for_each(|page| self.fold_bytes(page.bytes()));
            }
            Outcome::Sent(count) => self.fold(u64::from(*count)),
            Outcome::Failed(fault) => self.fold_debug(fault),
            Outcome::Connected | Outcome::Shut | Outcome::Closed => self.fold(3),
        }
    }

    fn fold_answer(&mut self, answer: &Answer) {
        match answer {
            Answer::Resolved(addrs) => self.fold_debug(addrs),
            Answer::Loaded(Ok(documents)) => {
                for document in documents {
                    self.fold_bytes(document.path.as_bytes());
                    let text = document.text.as_ref().unwrap_or_else(|why| why);
                    self.fold_bytes(text.as_bytes());
                }
            }
            Answer::Loaded(Err(why)) | Answer::Read(Err(why)) => self.fold_bytes(why.as_bytes()),
            Answer::Read(Ok(content)) => self.fold_bytes(content.reveal()),
            Answer::Verified(right) => self.fold(u64::from(*right)),
        }
    }

    fn fold_effect(&mut self, effect: &Effect) {
        let conn = |tag: u64, conn: &engine::base::id::ConnId| {
            tag << 60 | u64::from(conn.slot) << 28 | u64::from(conn.generation)
        };
        match effect {
            Effect::Recv { conn: id } => self.fold(conn(1, id)),
            Effect::Send { conn: id } => self.fold(conn(2, id)),
            Effect::Shut { conn: id } => self.fold(conn(3, id)),
            Effect::Close { conn: id, how } => self.fold(conn(4, id) ^ (*how as u64) << 56),
            Effect::Accept { conn: id, listener } => {
                self.fold(conn(5, id) ^ u64::from(listener.0) << 48);
            }
            Effect::Connect { .. }
            | Effect::StopListening { .. }
            | Effect::Job { .. }
            | Effect::Publish
            | Effect::Report(_)
            | Effect::Offer
            | Effect::Log
            | Effect::Finished => self.fold_debug(effect),
        }
    }

    fn fold_debug(&mut self, what: &impl fmt::Debug) {
        let mut folding = Folding(self);
        fmt::write(&mut folding, format_args!("{what:?}")).expect("folding never fails");
    }
}

#[expect(clippy::print_stdout, reason = "a trace that is asked for goes to standard output")]
fn emit(line: fmt::Arguments<'_>) {
    println!("{line}");
}

struct Folding<'a>(&'a mut Trace);

impl fmt::Write for Folding<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.fold_bytes(text.as_bytes());
        Ok(())
    }
}

/// An input as a line: bytes as text, views as their epoch.
struct Shown<'a>(&'a Input);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Input::Done { op, outcome: Outcome::Received(lent) } => {
                write!(f, "{:?} Recv {} bytes ", op.conn, lent.bytes())?;
                match lent {
                    Lent::One(page) => write!(f, "{}", page.bytes().escape_ascii()),
                    Lent::Many(pages) => write!(f, "in {} pages", pages.len()),
                }
            }
            Input::Done { op, outcome } => write!(f, "{:?} {:?} {outcome:?}", op.conn, op.kind),
            Input::View(view) => write!(f, "View {}", view.epoch),
            Input::Job { .. }
            | Input::Report(_)
            | Input::Offer(_)
            | Input::Workload(_)
            | Input::Changed
            | Input::Drain { .. } => write!(f, "{:?}", self.0),
        }
    }
}
