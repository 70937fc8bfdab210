//! A driver for one control machine, with a virtual clock and everybody it talks to. It keeps the
//! contract between machine and driver, and checks that the machine does.

use crate::frames::{Ear, frame};
use crate::secure_servers::BROKEN;
use engine::base::id::{ConnId, JobId};
use engine::base::limits::ControlLimits;
use engine::base::mark::Mark;
use engine::base::secret::Secret;
use engine::base::time::{Span, Time, Wall};
use engine::boundary::{
    Answer, Batch, Document, Effect, Fault, Input, Job, Lent, Machine, OpId, OpKind, Outcome,
    Report,
};
use engine::config::fixed::Fixed;
use engine::control::Control;
use engine::h2::frame::{Kind, PREFACE};
use engine::tls::{Door, Session};
use engine::view::View;
use engine::view::stats::Stats;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What somebody at an address does with a connection.
#[derive(Clone, Debug)]
pub(crate) enum Host {
    Refuse,
    /// Packets vanish.
    BlackHole,
    /// Takes the request and says nothing.
    Silent,
    /// Takes the request and ends the connection.
    HangUp,
    /// Answers with these bytes; the connection stays open.
    Says(String),
    /// Answers with these bytes and ends the connection.
    SaysAndEnds(String),
    /// An uplink entry point that knows its entity tags.
    Uplinks {
        etag: String,
        body: String,
    },
    /// Answers by request target; everything else is 404.
    Site(BTreeMap<String, String>),
    /// Speaks HTTP/2: answers what it hears of a request with frames for stream 1, which go to
    /// the stream of the request.
    Streams(fn(&str) -> Vec<Vec<u8>>),
    /// Speaks TLS: answers with these bytes and, in one write with them, a record that nobody
    /// sealed.
    SaysAndBreaks(Arc<Door>, String),
}

#[derive(Debug)]
struct Conn {
    to: SocketAddr,
    open: bool,
    ops: Vec<OpKind>,
    received: Vec<u8>,
    answer: VecDeque<u8>,
    ended: bool,
    closing: bool,
    ear: Ear,
    /// What was heard of a request so far.
    heard: String,
    /// With those that speak TLS.
    session: Option<Session>,
}

pub(crate) struct Desk {
    pub(crate) control: Control,
    pub(crate) now: Time,
    pub(crate) hosts: BTreeMap<SocketAddr, Host>,
    pub(crate) names: BTreeMap<String, Result<Vec<IpAddr>, String>>,
    pub(crate) files: Result<Vec<Document>, String>,
    /// Certificates, keys and roots by path.
    pub(crate) secrets: BTreeMap<String, Secret>,
    /// Every request: when, to whom, and its bytes.
    pub(crate) requests: Vec<(Time, SocketAddr, String)>,
    pub(crate) dials: Vec<(Time, SocketAddr)>,
    pub(crate) loads: u32,
    pub(crate) log: String,
    pub(crate) views: Vec<Arc<View>>,
    pub(crate) finished: bool,
    /// No read gets a page.
    pub(crate) starved: bool,
    /// The resolver answers nothing.
    pub(crate) mute_resolver: bool,
    /// Descriptors that connections may take.
    pub(crate) descriptors: usize,
    /// Bytes taken by one write, at most.
    pub(crate) write_max: usize,
    /// Bytes given to one read, at most.
    pub(crate) read_max: usize,
    stats: Arc<Stats>,
    conns: BTreeMap<ConnId, Conn>,
    inputs: VecDeque<Input>,
    jobs: Vec<JobId>,
}

impl Desk {
    pub(crate) fn new(fixed: Fixed) -> Self {
        Self::with_limits(fixed, ControlLimits::default())
    }

    pub(crate) fn with_limits(fixed: Fixed, limits: ControlLimits) -> Self {
        let stats = Arc::new(Stats::new(1, 1, Wall(0)));
        let control = Control::new(Arc::new(fixed), limits, Arc::clone(&stats), 7, Time::ZERO);
        let view = control.view();
        Self {
            control,
            now: Time::ZERO,
            hosts: BTreeMap::new(),
            names: BTreeMap::new(),
            files: Err("no such file".into()),
            secrets: BTreeMap::new(),
            requests: Vec::new(),
            dials: Vec::new(),
            loads: 0,
            log: String::new(),
            views: vec![view],
            finished: false,
            starved: false,
            mute_resolver: false,
            descriptors: usize::MAX,
            write_max: usize::MAX,
            read_max: usize::MAX,
            stats,
            conns: BTreeMap::new(),
            inputs: VecDeque::new(),
            jobs: Vec::new(),
        }
    }

    pub(crate) fn host(&mut self, address: &str, host: Host) {
        self.hosts.insert(address.parse().expect("an address"), host);
    }

    pub(crate) fn file(&mut self, text: &str) {
        self.files = Ok(vec![document("dynamic.yml", text)]);
        self.inputs.push_back(Input::Changed);
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.inputs.push_back(input);
        self.settle();
    }

    pub(crate) fn report(&mut self, report: Report) {
        self.input(Input::Report(report));
    }

    /// Lets time pass, event by event.
    pub(crate) fn run(&mut self, span: Span) {
        let until = self.now + span;
        self.settle();
        for _ in 0..1_000_000 {
            let next = self.control.deadline().map(|deadline| deadline.at);
            match next.filter(|at| *at <= until) {
                Some(at) => self.now = at.max(self.now),
                None => {
                    self.now = until;
                    return self.settle();
                }
            }
            self.settle();
        }
        panic!("time does not pass");
    }

    pub(crate) fn run_secs(&mut self, secs: u64) {
        self.run(Span::secs(secs));
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.control.deadline().map(|deadline| deadline.at)
    }

    pub(crate) fn view(&self) -> &View {
        self.views.last().expect("there is a first view")
    }

    pub(crate) fn hits(&self, mark: Mark) -> u64 {
        self.stats.control.marks.count(mark)
    }

    /// Lines of the log so far that contain `text`.
    pub(crate) fn said(&self, text: &str) -> usize {
        self.log.lines().filter(|line| line.contains(text)).count()
    }

    pub(crate) fn requests_to(&self, address: &str) -> usize {
        let address: SocketAddr = address.parse().expect("an address");
        self.requests.iter().filter(|(_, to, _)| *to == address).count()
    }

    pub(crate) fn codes(&self) -> Vec<&'static str> {
        self.view().status.diagnostics.iter().map(|problem| problem.code).collect()
    }

    /// Connections that the driver still holds.
    pub(crate) fn open_conns(&self) -> usize {
        self.conns.len()
    }

    /// Somebody ends every connection to `address`.
    pub(crate) fn end_conns(&mut self, address: &str) {
        let address: SocketAddr = address.parse().expect("an address");
        let ids: Vec<ConnId> = self.conns.keys().copied().collect();
        for id in ids {
            let conn = self.conns.get_mut(&id).expect("it was just listed");
            if conn.to == address {
                conn.ended = true;
                self.feed(id);
            }
        }
    }

    /// Hands over what has happened until nothing more does.
    pub(crate) fn settle(&mut self) {
        for _ in 0..100_000 {
            while let Some(input) = self.inputs.pop_front() {
                self.control.handle(input, self.now);
                self.control.check();
            }
            self.control.tick(self.now);
            self.control.check();
            let mut effects = Vec::new();
            self.control.effects(&mut effects);
            if effects.is_empty() && self.inputs.is_empty() {
                return;
            }
            for effect in effects {
                self.perform(effect);
            }
        }
        panic!("the machine never rests");
    }

    fn perform(&mut self, effect: Effect) {
        assert!(!self.finished || effect == Effect::Log, "{effect:?} after the end");
        match effect {
            Effect::Connect { conn, to } => self.connect(conn, to),
            Effect::Recv { conn } => {
                self.begin(conn, OpKind::Recv);
                self.feed(conn);
            }
            Effect::Send { conn } => self.send(conn),
            Effect::Close { conn, .. } => self.close(conn),
            Effect::Job { job } => self.answer(job),
            Effect::Publish => {
                let view = self.control.published().expect("a view was announced");
                assert!(view.epoch > self.view().epoch, "epochs only grow");
                self.views.push(view);
            }
            Effect::Log => {
                let mut lines = Vec::new();
                self.control.log(&mut lines);
                self.log.push_str(std::str::from_utf8(&lines).expect("lines are text"));
            }
            Effect::Finished => self.finished = true,
            Effect::Accept { .. }
            | Effect::Shut { .. }
            | Effect::StopListening { .. }
            | Effect::Report(_)
            | Effect::Offer => panic!("the control machine has no use for {effect:?}"),
        }
    }

    fn connect(&mut self, id: ConnId, to: SocketAddr) {
        self.dials.push((self.now, to));
        let conn = Conn {
            to,
            open: false,
            ops: vec![OpKind::Connect],
            received: Vec::new(),
            answer: VecDeque::new(),
            ended: false,
            closing: false,
            ear: Ear::default(),
            heard: String::new(),
            session: None,
        };
        let old = self.conns.insert(id, conn);
        assert!(old.is_none(), "{id:?} was used twice");
        if self.conns.len() > self.descriptors {
            self.conns.remove(&id);
            return self.push(id, OpKind::Connect, Outcome::Failed(Fault::NoDescriptors));
        }
        match self.hosts.get(&to) {
            Some(Host::BlackHole) => {}
            None | Some(Host::Refuse) => {
                self.conns.remove(&id);
                self.push(id, OpKind::Connect, Outcome::Failed(Fault::Refused));
            }
            Some(_) => {
                self.conns.get_mut(&id).expect("just made").open = true;
                self.done(id, OpKind::Connect, Outcome::Connected);
            }
        }
    }

    fn send(&mut self, id: ConnId) {
        self.begin(id, OpKind::Send);
        let mut batch = Batch::new();
        self.control.gather(id, &mut batch);
        let bytes: Vec<u8> = batch.iter().flat_map(|chunk| chunk.bytes().to_vec()).collect();
        assert!(!bytes.is_empty(), "a write has bytes");
        let taken = bytes.len().min(self.write_max);
        let conn = self.conns.get_mut(&id).expect("an open connection");
        conn.received.extend_from_slice(&bytes[..taken]);
        if let Some(Host::Streams(answer)) = self.hosts.get(&conn.to) {
            let answer = *answer;
            self.done(id, OpKind::Send, Outcome::Sent(u32::try_from(taken).expect("small")));
            return self.serve_stream(id, answer);
        }
        if let Some(Host::SaysAndBreaks(door, answer)) = self.hosts.get(&conn.to).cloned() {
            self.done(id, OpKind::Send, Outcome::Sent(u32::try_from(taken).expect("small")));
            return self.serve_sealed(id, door, &answer);
        }
        let complete = conn.received.ends_with(b"\r\n\r\n");
        self.done(id, OpKind::Send, Outcome::Sent(u32::try_from(taken).expect("small")));
        if complete {
            self.serve(id);
        }
    }

    fn serve(&mut self, id: ConnId) {
        let conn = self.conns.get_mut(&id).expect("an open connection");
        let request = String::from_utf8(std::mem::take(&mut conn.received)).expect("text");
        let host = self.hosts.get(&conn.to).cloned().unwrap_or(Host::HangUp);
        self.requests.push((self.now, conn.to, request.clone()));
        let (answer, ends) = match host {
            Host::Refuse
            | Host::BlackHole
            | Host::HangUp
            | Host::Streams(_)
            | Host::SaysAndBreaks(..) => (String::new(), true),
            Host::Silent => (String::new(), false),
            Host::Says(answer) => (answer, false),
            Host::SaysAndEnds(answer) => (answer, true),
            Host::Uplinks { etag, body } => {
                let unchanged = request.contains(&format!("If-None-Match: {etag}\r\n"));
                let head = format!("ETag: {etag}\r\n");
                if unchanged {
                    (format!("HTTP/1.1 304 Not Modified\r\n{head}\r\n"), false)
                } else {
                    (ok(&head, &body), false)
                }
            }
            Host::Site(pages) => {
                let target = request.split(' ').nth(1).unwrap_or_default();
                let missing = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
                (pages.get(target).cloned().unwrap_or_else(|| missing.to_owned()), false)
            }
        };
        let conn = self.conns.get_mut(&id).expect("an open connection");
        conn.answer.extend(answer.as_bytes());
        conn.ended |= ends;
        self.feed(id);
    }

    fn serve_stream(&mut self, id: ConnId, answer: fn(&str) -> Vec<Vec<u8>>) {
        let conn = self.conns.get_mut(&id).expect("an open connection");
        if conn.received.starts_with(PREFACE) {
            conn.received.drain(..PREFACE.len());
            conn.answer.extend(frame(Kind::Settings, 0, 0, &[]));
        } else if PREFACE.starts_with(&conn.received) {
            return;
        }
        for line in conn.ear.hear(&std::mem::take(&mut conn.received)) {
            conn.heard.push_str(&line);
            let Some(heard) = conn.heard.strip_suffix(" end") else { continue };
            let (stream, _) = heard.split_once(' ').expect("a stream and what it says");
            let stream = stream.parse::<u32>().expect("a number").to_be_bytes();
            self.requests.push((self.now, conn.to, heard.to_owned()));
            for mut frame in answer(heard) {
                if frame[5..9] == 1u32.to_be_bytes() {
                    frame[5..9].copy_from_slice(&stream);
                }
                conn.answer.extend(frame);
            }
            conn.heard.clear();
        }
        self.feed(id);
    }

    fn serve_sealed(&mut self, id: ConnId, door: Arc<Door>, answer: &str) {
        let conn = self.conns.get_mut(&id).expect("an open connection");
        let session = conn.session.get_or_insert_with(|| Session::server(door));
        let heard = &mut conn.heard;
        let came = std::mem::take(&mut conn.received);
        let mut sink = |bytes: &[u8]| {
            heard.push_str(&String::from_utf8_lossy(bytes));
            true
        };
        session.feed(&came, &mut sink).expect("the machine keeps to TLS");
        let asked = heard.ends_with("\r\n\r\n");
        if asked && !answer.is_empty() {
            assert_eq!(session.seal(std::iter::once(answer.as_bytes())), answer.len());
        }
        let mut out = Vec::new();
        session.write_to(&mut out).expect("a vector takes every byte");
        if asked {
            out.extend_from_slice(BROKEN);
            self.requests.push((self.now, conn.to, std::mem::take(heard)));
        }
        conn.answer.extend(out);
        self.feed(id);
    }

    /// Somebody says these bytes on every connection to `address`.
    pub(crate) fn says(&mut self, address: &str, bytes: &[u8]) {
        let address: SocketAddr = address.parse().expect("an address");
        let ids: Vec<ConnId> = self.conns.keys().copied().collect();
        for id in ids {
            let conn = self.conns.get_mut(&id).expect("it was just listed");
            if conn.to == address {
                conn.answer.extend(bytes);
                self.feed(id);
            }
        }
        self.settle();
    }

    /// Completes a read if there is something to read.
    fn feed(&mut self, id: ConnId) {
        let conn = self.conns.get_mut(&id).expect("an open connection");
        let idle = conn.answer.is_empty() && !conn.ended;
        if idle || conn.closing || !conn.ops.contains(&OpKind::Recv) {
            return;
        }
        let Some(lent) = self.control.lend(id).filter(|_| !self.starved) else {
            return self.done(id, OpKind::Recv, Outcome::Failed(Fault::NoPages));
        };
        let Lent::One(mut page) = lent else { panic!("control reads page by page") };
        let conn = self.conns.get_mut(&id).expect("an open connection");
        let count = conn.answer.len().min(page.spare()).min(self.read_max);
        let bytes: Vec<u8> = conn.answer.drain(..count).collect();
        page.append(&bytes);
        self.done(id, OpKind::Recv, Outcome::Received(Lent::One(page)));
    }

    fn close(&mut self, id: ConnId) {
        let conn = self.conns.get_mut(&id).expect("only what may be open is closed");
        assert!(!conn.closing, "{id:?} is closed once");
        conn.closing = true;
        for kind in std::mem::take(&mut conn.ops) {
            self.push(id, kind, Outcome::Failed(Fault::Cancelled));
        }
        self.push(id, OpKind::Close, Outcome::Closed);
        self.conns.remove(&id);
    }

    fn answer(&mut self, job: JobId) {
        assert!(!self.jobs.contains(&job), "jobs have numbers of their own");
        self.jobs.push(job);
        let answer = match self.control.job(job).expect("a job was announced") {
            Job::Resolve { .. } if self.mute_resolver => return,
            Job::Resolve { host } => {
                let known = self.names.get(&host).cloned();
                Answer::Resolved(known.unwrap_or_else(|| Err("no such host".into())))
            }
            Job::Read { path } => {
                let content = self.secrets.get(&*path).cloned();
                Answer::Read(content.ok_or_else(|| "no such file".into()))
            }
            Job::Load { .. } => {
                self.loads += 1;
                Answer::Loaded(self.files.clone())
            }
            Job::Verify { .. } => panic!("the control machine compares no passwords"),
        };
        self.inputs.push_back(Input::Job { job, answer });
    }

    fn begin(&mut self, id: ConnId, kind: OpKind) {
        let conn = self.conns.get_mut(&id).expect("operations are asked of connections");
        assert!(conn.open && !conn.ops.contains(&kind), "{kind:?} of {id:?} is asked for once");
        conn.ops.push(kind);
    }

    fn done(&mut self, id: ConnId, kind: OpKind, outcome: Outcome) {
        let conn = self.conns.get_mut(&id).expect("an operation belongs to a connection");
        conn.ops.retain(|op| *op != kind);
        self.push(id, kind, outcome);
    }

    fn push(&mut self, conn: ConnId, kind: OpKind, outcome: Outcome) {
        self.inputs.push_back(Input::Done { op: OpId { conn, kind }, outcome });
    }
}

pub(crate) fn document(path: &str, text: &str) -> Document {
    Document { path: path.into(), text: Ok(text.into()) }
}

/// A 200 with more header lines and a body.
pub(crate) fn ok(head: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{head}Content-Length: {}\r\n\r\n{body}", body.len())
}

pub(crate) fn status(code: u16) -> String {
    format!("HTTP/1.1 {code} X\r\nContent-Length: 0\r\n\r\n")
}
