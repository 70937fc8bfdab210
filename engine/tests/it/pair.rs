//! A worker between scripted clients and scripted servers, on a clock that the play moves. Every
//! operation completes as soon as it can; the invariants are swept after every input.

use crate::plan::Plan;
use engine::base::id::{ConnId, JobId, ListenerId};
use engine::base::limits::Limits;
use engine::base::mark::Mark;
use engine::base::prng::Prng;
use engine::base::time::{Span, Time, Wall};
use engine::boundary::{
    Answer, Batch, Close, Effect, Fault, Input, Job, Lent, Machine, Offer, OpId, OpKind, Outcome,
    Report,
};
use engine::view::View;
use engine::view::stats::Stats;
use engine::worker::{Census, Setup, Worker};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// How the date begins that a worker gives an answer: its clock starts in 1970.
const WORKERS_DATE: &str = "Date: Thu, 01 Jan 1970 00:";

/// One end of a connection, as the play holds it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct End(ConnId);

/// What becomes of a connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dial {
    Accept,
    Refuse,
    Hang,
    NoDescriptors,
}

#[derive(Debug, Default)]
struct Socket {
    /// On its way to the worker.
    incoming: VecDeque<u8>,
    /// The play's end has ended its half.
    fin: bool,
    /// The play's end has reset the connection.
    reset: bool,
    /// What the worker wrote and the play has not looked at.
    written: Vec<u8>,
    /// The play does not read.
    deaf: bool,
    /// What the worker writes fails.
    plugged: bool,
    shut: bool,
    closed: Option<Close>,
    /// Its dial fails: there is no socket, unless the worker closes before it hears so.
    refused: bool,
    pending: Vec<OpKind>,
    dialed: Option<SocketAddr>,
}

pub(crate) struct Pair {
    worker: Worker,
    now: Time,
    sockets: BTreeMap<ConnId, Socket>,
    accepts: VecDeque<(ConnId, ListenerId)>,
    inputs: VecDeque<(OpId, Outcome)>,
    dials: Vec<End>,
    clients: Vec<End>,
    /// Asked for, and not answered yet.
    jobs: VecDeque<(JobId, Job)>,
    seen: usize,
    pub(crate) dial: Dial,
    /// Addresses that refuse whatever `dial` says.
    pub(crate) refusing: Vec<SocketAddr>,
    pub(crate) read_max: usize,
    pub(crate) write_max: usize,
    pub(crate) reports: Vec<Report>,
    /// Documents for the control machine.
    pub(crate) offers: Vec<Offer>,
    pub(crate) finished: u32,
    stopped: Vec<ListenerId>,
    stats: Arc<Stats>,
    pub(crate) log: String,
    /// Lets chance decide what completes when, and how much of it.
    pub(crate) chance: Option<Prng>,
}

/// So few large pages, and no others to speak of.
pub(crate) fn few_pages(large_pages_max: u32) -> Limits {
    Limits {
        small_page_bytes: 16,
        middle_pages_max: 0,
        large_page_bytes: 128,
        large_pages_max,
        idle_large_pages: large_pages_max,
        ..Limits::default()
    }
}

impl Pair {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self::with(plan, Limits::default())
    }

    pub(crate) fn with(plan: &Plan, limits: Limits) -> Self {
        Self::of(plan.view(), limits)
    }

    pub(crate) fn of(view: Arc<View>, limits: Limits) -> Self {
        Self::at(view, limits, Wall(0))
    }

    /// Begins at a time of day.
    pub(crate) fn at(view: Arc<View>, limits: Limits, wall: Wall) -> Self {
        let stats = Arc::new(Stats::new(1, 4, wall));
        let setup = Setup { limits, index: 0, wall, view, stats: Arc::clone(&stats) };
        let mut pair = Self {
            worker: Worker::new(setup),
            now: Time::ZERO,
            sockets: BTreeMap::new(),
            accepts: VecDeque::new(),
            inputs: VecDeque::new(),
            dials: Vec::new(),
            clients: Vec::new(),
            jobs: VecDeque::new(),
            seen: 0,
            dial: Dial::Accept,
            refusing: Vec::new(),
            read_max: usize::MAX,
            write_max: usize::MAX,
            reports: Vec::new(),
            offers: Vec::new(),
            finished: 0,
            stopped: Vec::new(),
            stats,
            log: String::new(),
            chance: None,
        };
        pair.run();
        pair
    }

    /// A client connects, if an accept waits.
    pub(crate) fn try_open(&mut self) -> Option<End> {
        (!self.accepts.is_empty()).then(|| self.open())
    }

    /// A client connects.
    pub(crate) fn open(&mut self) -> End {
        self.open_from([192, 0, 2, 7])
    }

    /// A client connects to the entry point of this number.
    pub(crate) fn open_at(&mut self, entry: u16) -> End {
        let at = self.accepts.iter().position(|(_, listener)| listener.0 == entry);
        let accept = at.and_then(|at| self.accepts.remove(at)).expect("an accept waits");
        self.accepts.push_front(accept);
        self.open()
    }

    /// The job that was asked for first, if any.
    pub(crate) fn job(&mut self) -> Option<(JobId, Job)> {
        self.jobs.pop_front()
    }

    pub(crate) fn finish_job(&mut self, job: JobId, answer: Answer) {
        self.give(Input::Job { job, answer });
        self.run();
    }

    /// The client that connected last.
    pub(crate) fn last_client(&self) -> End {
        self.clients.last().copied().expect("a client connected")
    }

    /// A client connects from an address.
    pub(crate) fn open_from(&mut self, address: impl Into<IpAddr>) -> End {
        let (id, _) = self.accepts.pop_front().expect("an accept waits");
        self.clients.push(End(id));
        let peer = SocketAddr::new(address.into(), 40_000);
        self.sockets.insert(id, Socket::default());
        self.inputs.push_back((op(id, OpKind::Accept), Outcome::Accepted { peer }));
        self.run();
        End(id)
    }

    pub(crate) fn fail_accept(&mut self, fault: Fault) {
        let (id, _) = self.accepts.pop_front().expect("an accept waits");
        self.inputs.push_back((op(id, OpKind::Accept), Outcome::Failed(fault)));
        self.run();
    }

    pub(crate) fn waiting_accepts(&self) -> usize {
        self.accepts.len()
    }

    pub(crate) fn send(&mut self, end: End, bytes: impl AsRef<[u8]>) {
        let socket = self.sockets.get_mut(&end.0).expect("an open end");
        socket.incoming.extend(bytes.as_ref());
        self.run();
    }

    /// Sends byte by byte, each as a read of its own.
    pub(crate) fn trickle(&mut self, end: End, bytes: impl AsRef<[u8]>) {
        for byte in bytes.as_ref() {
            self.send(end, [*byte]);
        }
    }

    /// Ends the play's half.
    pub(crate) fn fin(&mut self, end: End) {
        self.sockets.get_mut(&end.0).expect("an open end").fin = true;
        self.run();
    }

    pub(crate) fn reset(&mut self, end: End) {
        self.sockets.get_mut(&end.0).expect("an open end").reset = true;
        self.run();
    }

    /// From now on the play's end reads nothing, or reads again.
    pub(crate) fn deafen(&mut self, end: End, deaf: bool) {
        self.sockets.get_mut(&end.0).expect("an open end").deaf = deaf;
        self.run();
    }

    /// From now on nothing can be written to this end, though it may still speak.
    pub(crate) fn plug(&mut self, end: End) {
        self.sockets.get_mut(&end.0).expect("an open end").plugged = true;
    }

    /// What the worker wrote since the last call, without the dates that it gave answers.
    pub(crate) fn got(&mut self, end: End) -> String {
        let whole = self.whole(end);
        let lines = whole.split_inclusive("\r\n");
        lines.filter(|line| !line.starts_with(WORKERS_DATE)).collect()
    }

    /// The same, of answers that each must have such a date.
    #[track_caller]
    pub(crate) fn own(&mut self, end: End) -> String {
        let whole = self.whole(end);
        let dates = whole.split_inclusive("\r\n").filter(|line| line.starts_with(WORKERS_DATE));
        assert_eq!(dates.count(), whole.matches("HTTP/1.1 ").count(), "{whole}");
        self.sockets.get_mut(&end.0).expect("an end").written = whole.into_bytes();
        self.got(end)
    }

    /// What the worker wrote since the last call, as text.
    pub(crate) fn whole(&mut self, end: End) -> String {
        String::from_utf8_lossy(&self.got_bytes(end)).into_owned()
    }

    /// What the worker wrote since the last call, byte for byte.
    pub(crate) fn got_bytes(&mut self, end: End) -> Vec<u8> {
        let socket = self.sockets.get_mut(&end.0).expect("an end");
        std::mem::take(&mut socket.written)
    }

    /// How the worker ended its side: nothing, `shut`, `closed`, `aborted`.
    pub(crate) fn ended(&self, end: End) -> &'static str {
        let socket = &self.sockets[&end.0];
        match (socket.closed, socket.shut) {
            (Some(Close::Gentle), _) => "closed",
            (Some(Close::Abort), _) => "aborted",
            (None, true) => "shut",
            (None, false) => "",
        }
    }

    /// Whether the worker reads from this end.
    pub(crate) fn is_read(&self, end: End) -> bool {
        self.sockets[&end.0].pending.contains(&OpKind::Recv)
    }

    /// The next connection to a server that was dialed.
    #[track_caller]
    pub(crate) fn dialed(&mut self) -> End {
        let end = *self.dials.get(self.seen).expect("a further server was dialed");
        self.seen += 1;
        end
    }

    /// As [`Pair::dialed`], if there was one.
    pub(crate) fn try_dialed(&mut self) -> Option<End> {
        (self.seen < self.dials.len()).then(|| self.dialed())
    }

    /// The connection to a server that was dialed last.
    pub(crate) fn last_dialed(&self) -> End {
        *self.dials.last().expect("a server was dialed")
    }

    pub(crate) fn address(&self, end: End) -> SocketAddr {
        self.sockets[&end.0].dialed.expect("a server's end")
    }

    #[track_caller]
    pub(crate) fn no_dial(&self) {
        assert_eq!(self.dials.len(), self.seen, "no further server was dialed");
    }

    /// Finishes a dial that hangs.
    pub(crate) fn connect(&mut self, end: End) {
        self.inputs.push_back((op(end.0, OpKind::Connect), Outcome::Connected));
        let socket = self.sockets.get_mut(&end.0).expect("an end");
        socket.pending.retain(|kind| *kind != OpKind::Connect);
        self.run();
    }

    /// Time goes by; every deadline on the way fires in its turn.
    pub(crate) fn pass(&mut self, span: Span) {
        let until = self.now + span;
        while let Some(due) = self.worker.deadline().filter(|due| due.at <= until) {
            self.now = self.now.max(due.at);
            self.worker.tick(self.now);
            self.worker.check();
            self.run();
            let next = self.worker.deadline();
            assert!(next.is_none_or(|next| next.at > self.now), "{next:?} is in the past");
        }
        self.now = until;
    }

    pub(crate) fn publish(&mut self, plan: &Plan) {
        self.publish_view(plan.view());
    }

    pub(crate) fn publish_view(&mut self, view: Arc<View>) {
        self.give(Input::View(view));
        self.run();
    }

    pub(crate) fn drain(&mut self, grace: Span) {
        self.give(Input::Drain { by: self.now + grace });
        self.run();
    }

    pub(crate) fn count(&self, mark: Mark) -> u64 {
        self.stats.workers[0].marks.count(mark)
    }

    /// Bytes of heads that the worker keeps beside its pages.
    pub(crate) fn grown_heads(&self) -> u64 {
        self.worker.holdings().head_bytes
    }

    pub(crate) fn stats(&self) -> &Stats {
        &self.stats
    }

    /// One request on a fresh client connection, answered by a fresh server connection with
    /// `response`; what the client got.
    pub(crate) fn exchange(&mut self, request: &str, response: &str) -> String {
        let client = self.open();
        self.send(client, request);
        let origin = self.dialed();
        self.send(origin, response);
        self.got(client)
    }

    /// A request that must be answered without a server.
    #[track_caller]
    pub(crate) fn answer(&mut self, request: &str) -> String {
        let client = self.open();
        self.send(client, request);
        self.no_dial();
        self.own(client)
    }

    /// As [`Pair::nothing_more`], with clients that speak TLS: what they are told at the end is
    /// not looked at.
    #[track_caller]
    pub(crate) fn nothing_more_of(&mut self, secure: &[End]) {
        for end in secure {
            self.fin(*end);
        }
        self.sockets.values_mut().for_each(|socket| socket.written.clear());
        self.nothing_more();
    }

    /// No client has bytes to look at, and everything that was opened ends when its peer goes.
    #[track_caller]
    pub(crate) fn nothing_more(&mut self) {
        self.no_dial();
        let open: Vec<ConnId> = self.sockets.keys().copied().collect();
        for id in &open {
            let socket = self.sockets.get_mut(id).expect("listed");
            if socket.dialed.is_none() {
                let left = String::from_utf8_lossy(&socket.written);
                assert_eq!(left, "", "{id:?} has unread bytes");
            }
            socket.fin = true;
            socket.deaf = false;
        }
        self.run();
        self.pass(Span::secs(600));
        for id in &open {
            assert!(self.is_over(*id), "{id:?} was never closed");
        }
    }

    fn give(&mut self, input: Input) {
        self.worker.handle(input, self.now);
        self.worker.check();
    }

    fn run(&mut self) {
        for _ in 0..100_000 {
            let mut effects = Vec::new();
            self.worker.effects(&mut effects);
            let quiet = effects.is_empty();
            effects.into_iter().for_each(|effect| self.perform(effect));
            let moved = self.complete();
            let count = self.inputs.len() as u64;
            let at = self.chance.as_mut().map_or(0, |chance| chance.below(count));
            match self.inputs.remove(usize::try_from(at).expect("a small number")) {
                Some((op, outcome)) => self.give(Input::Done { op, outcome }),
                None if quiet && !moved => return,
                None => {}
            }
        }
        panic!("the worker does not come to rest");
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Accept { conn, listener } => {
                assert!(!self.stopped.contains(&listener), "no accept after the end");
                self.accepts.push_back((conn, listener));
            }
            Effect::Connect { conn, to } => self.on_connect(conn, to),
            Effect::Recv { conn } => self.start(conn, OpKind::Recv),
            Effect::Send { conn } => self.start(conn, OpKind::Send),
            Effect::Shut { conn } => {
                let socket = self.sockets.get_mut(&conn).expect("a socket");
                assert!(!socket.pending.contains(&OpKind::Send), "no end while writing");
                socket.shut = true;
                self.inputs.push_back((op(conn, OpKind::Shut), Outcome::Shut));
            }
            Effect::Close { conn, how } => self.on_close(conn, how),
            Effect::StopListening { listener } => {
                self.stopped.push(listener);
                while let Some((id, _)) = self.accepts.pop_front() {
                    let failed = Outcome::Failed(Fault::Cancelled);
                    self.inputs.push_back((op(id, OpKind::Accept), failed));
                }
            }
            Effect::Report(report) => self.reports.push(report),
            Effect::Offer => self.offers.extend(self.worker.offered()),
            Effect::Log => {
                let mut lines = Vec::new();
                self.worker.log(&mut lines);
                self.log.push_str(&String::from_utf8_lossy(&lines));
            }
            Effect::Finished => self.finished += 1,
            Effect::Job { job } => {
                let what = self.worker.job(job).expect("a job was announced");
                self.jobs.push_back((job, what));
            }
            Effect::Publish => panic!("not a worker's effect"),
        }
    }

    fn on_connect(&mut self, conn: ConnId, to: SocketAddr) {
        let mut socket = Socket { dialed: Some(to), ..Socket::default() };
        let dial = if self.refusing.contains(&to) { Dial::Refuse } else { self.dial };
        let outcome = match dial {
            Dial::Accept => Some(Outcome::Connected),
            Dial::Refuse => Some(Outcome::Failed(Fault::Refused)),
            Dial::NoDescriptors => Some(Outcome::Failed(Fault::NoDescriptors)),
            Dial::Hang => None,
        };
        if matches!(outcome, Some(Outcome::Failed(_))) {
            socket.refused = true;
        }
        match outcome {
            Some(outcome) => self.inputs.push_back((op(conn, OpKind::Connect), outcome)),
            None => socket.pending.push(OpKind::Connect),
        }
        let before = self.sockets.insert(conn, socket);
        assert!(
            before.is_none_or(|before| before.closed.is_some() || before.refused),
            "a slot has one tenant"
        );
        self.dials.push(End(conn));
    }

    fn start(&mut self, conn: ConnId, kind: OpKind) {
        let socket = self.sockets.get_mut(&conn).expect("a socket");
        assert!(socket.closed.is_none(), "{conn:?} is closed");
        assert!(!socket.pending.contains(&kind), "{conn:?} does one {kind:?} at a time");
        socket.pending.push(kind);
    }

    fn on_close(&mut self, conn: ConnId, how: Close) {
        let socket = self.sockets.get_mut(&conn).expect("a socket");
        assert!(socket.closed.is_none(), "{conn:?} is closed once");
        socket.closed = Some(how);
        for kind in std::mem::take(&mut socket.pending) {
            self.inputs.push_back((op(conn, kind), Outcome::Failed(Fault::Cancelled)));
        }
        self.inputs.push_back((op(conn, OpKind::Close), Outcome::Closed));
    }

    /// Completes what can complete; false if nothing could.
    fn complete(&mut self) -> bool {
        let ready: Vec<OpId> = self
            .sockets
            .iter()
            .flat_map(|(id, socket)| socket.pending.iter().map(|kind| op(*id, *kind)))
            .filter(|op| self.is_ready(*op))
            .collect();
        let ready: Vec<OpId> = ready.into_iter().filter(|_| self.happens()).collect();
        for op in &ready {
            let outcome = match op.kind {
                OpKind::Recv => self.receive(op.conn),
                OpKind::Send => self.take(op.conn),
                OpKind::Accept | OpKind::Connect | OpKind::Shut | OpKind::Close => continue,
            };
            let socket = self.sockets.get_mut(&op.conn).expect("a socket");
            socket.pending.retain(|kind| *kind != op.kind);
            self.inputs.push_back((*op, outcome));
        }
        !ready.is_empty()
    }

    fn happens(&mut self) -> bool {
        self.chance.as_mut().is_none_or(|chance| !chance.one_in(3))
    }

    /// Bytes of pages that somebody holds.
    pub(crate) fn held_bytes(&self) -> u64 {
        let (census, limits) = (self.worker.census(), Limits::default());
        let held = [
            (census.small_pages, limits.small_page_bytes),
            (census.middle_pages, limits.middle_page_bytes),
            (census.large_pages, limits.large_page_bytes),
        ];
        held.iter().map(|(pages, bytes)| u64::from(*pages) * u64::from(*bytes)).sum()
    }

    pub(crate) fn census(&self) -> Census {
        self.worker.census()
    }

    pub(crate) fn is_open(&self, end: End) -> bool {
        !self.is_over(end.0)
    }

    /// Ends of servers that were dialed and are open.
    pub(crate) fn origins(&self) -> Vec<End> {
        self.dials.iter().copied().filter(|end| self.is_open(*end)).collect()
    }

    fn is_over(&self, id: ConnId) -> bool {
        self.sockets[&id].closed.is_some() || self.sockets[&id].refused
    }

    fn is_ready(&self, op: OpId) -> bool {
        let socket = &self.sockets[&op.conn];
        match op.kind {
            OpKind::Recv => !socket.incoming.is_empty() || socket.fin || socket.reset,
            OpKind::Send => socket.reset || !socket.deaf,
            OpKind::Accept | OpKind::Connect | OpKind::Shut | OpKind::Close => false,
        }
    }

    fn receive(&mut self, conn: ConnId) -> Outcome {
        let socket = self.sockets.get_mut(&conn).expect("a socket");
        if socket.reset {
            return Outcome::Failed(Fault::Reset);
        }
        let Some(mut lent) = self.worker.lend(conn) else {
            return Outcome::Failed(Fault::NoPages);
        };
        let pages = match &mut lent {
            Lent::One(page) => std::slice::from_mut(page),
            Lent::Many(pages) => pages.as_mut_slice(),
        };
        let mut left = draw(&mut self.chance, self.read_max);
        for page in pages {
            let count = page.spare().min(left).min(socket.incoming.len());
            let bytes: Vec<u8> = socket.incoming.drain(..count).collect();
            page.append(&bytes);
            left -= count;
        }
        Outcome::Received(lent)
    }

    fn take(&mut self, conn: ConnId) -> Outcome {
        let mut batch = Batch::new();
        self.worker.gather(conn, &mut batch);
        let socket = self.sockets.get_mut(&conn).expect("a socket");
        if socket.reset || socket.plugged {
            return Outcome::Failed(Fault::Reset);
        }
        let most = draw(&mut self.chance, self.write_max);
        let mut left = most;
        for chunk in &batch {
            let count = chunk.len().min(left);
            socket.written.extend_from_slice(&chunk.bytes()[..count]);
            left -= count;
        }
        let sent = most - left;
        Outcome::Sent(u32::try_from(sent).expect("a small write"))
    }
}

/// Mostly a little, sometimes everything.
fn draw(chance: &mut Option<Prng>, most: usize) -> usize {
    let Some(chance) = chance else { return most };
    let little = usize::try_from(1 + chance.below(200)).expect("a small number");
    if chance.one_in(4) { most } else { little.min(most) }
}

fn op(conn: ConnId, kind: OpKind) -> OpId {
    OpId { conn, kind }
}
