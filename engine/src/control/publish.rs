//! From what is known to a view: the compiler is told of changes as they come, and one build takes
//! them all. Whatever is only shown, and decides nothing, is added as status.

use super::companions;
use super::file::Complete;
use super::machine::Control;
use crate::base::diag::Diagnostic;
use crate::base::id::{ChildId, ServerId};
use crate::base::limits::ControlLimits;
use crate::base::line::{Level, LogLine};
use crate::base::mutant::{Mutant, planted};
use crate::base::prng::Prng;
use crate::base::secret::Secret;
use crate::base::time::Time;
use crate::config::fixed::{Authority, Fixed, Transport};
use crate::config::typed::Dynamic;
use crate::service::stale::Freshness;
use crate::service::standing::Health;
use crate::tls::Crypto;
use crate::uplink::advert::Advert;
use crate::view::compile::{Build, Compiler, NameChanges};
use crate::view::past::{Known, Moment, Past, Written};
use crate::view::stats::{ChildStats, Stats};
use crate::view::status::Judged;
use crate::view::status::{ChildStatus, ServerStatus, Status};
use crate::view::{Cover, ServerNode, View};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Publisher {
    compiler: Compiler,
    status: Status,
    view: Arc<View>,
    /// The driver has not taken the newest view.
    fresh: bool,
    /// The driver was told.
    rung: bool,
    /// Something is known that the newest view does not show.
    dirty: bool,
    /// The list of problems may read differently.
    problems_dirty: bool,
    /// The next build says what a new configuration kept and dropped.
    report_wanted: bool,
    /// When the next view may follow.
    open_at: Time,
    /// What is wrong with the documents.
    documents: Vec<Diagnostic>,
    /// What is wrong with what they mean together.
    compiled: Arc<[Diagnostic]>,
    /// What the newest view is made of.
    known: Known,
    past: Past,
}

impl Publisher {
    pub(super) fn new(
        crypto: Crypto,
        fixed: Arc<Fixed>,
        limits: ControlLimits,
        stats: Arc<Stats>,
        prng: &mut Prng,
    ) -> Self {
        let compiler = Compiler::with(crypto, fixed, limits, stats, prng);
        Self {
            view: Arc::new(compiler.view().clone()),
            compiler,
            status: Status::default(),
            fresh: false,
            rung: false,
            dirty: true,
            problems_dirty: true,
            report_wanted: false,
            open_at: Time::ZERO,
            documents: Vec::new(),
            compiled: Arc::default(),
            known: Known { documents: Some(Arc::default()), ..Known::default() },
            past: Past::default(),
        }
    }

    pub(super) fn check(&self) {
        self.compiler.check();
    }

    pub(super) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view)
    }

    pub(super) fn child_stats(&self, child: ChildId) -> Arc<ChildStats> {
        self.compiler.child_stats(child).map(Arc::clone).unwrap_or_default()
    }

    pub(super) fn take(&mut self) -> Option<Arc<View>> {
        self.rung = false;
        std::mem::take(&mut self.fresh).then(|| Arc::clone(&self.view))
    }

    /// The first view is asked for, not announced, and the next one may follow at once.
    pub(super) fn hand_over_first(&mut self, now: Time) {
        self.fresh = false;
        self.open_at = now;
    }

    /// Whether the driver is to be told of a view; true once until it takes it.
    pub(super) fn rings(&mut self) -> bool {
        let rings = self.fresh && !self.rung;
        self.rung |= rings;
        rings
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.dirty.then_some(self.open_at)
    }

    /// `written` is what it was read from, if that is to be kept.
    pub(super) fn set_dynamic(&mut self, dynamic: Dynamic, written: Option<Arc<[Written]>>) {
        self.dirty = true;
        self.report_wanted = true;
        self.known.documents = written;
        self.compiler.set_dynamic(dynamic);
    }

    /// How a server at this address is reached.
    pub(super) fn cover(&mut self, address: &Authority, transport: &Transport) -> Cover {
        let cover = self.compiler.cover(address, transport);
        self.dirty |= !self.compiler.is_secure_settled();
        cover
    }

    /// Whether what was read of certificates, keys and roots has taken effect.
    pub(super) fn is_secure_settled(&self) -> bool {
        self.compiler.is_secure_settled()
    }

    pub(super) fn set_files(&mut self, files: BTreeSet<Arc<str>>) {
        self.compiler.set_files(files);
        self.dirty |= !self.compiler.is_secure_settled();
    }

    /// Files of the configuration in effect.
    pub(super) fn files(&self) -> &BTreeSet<Arc<str>> {
        self.compiler.files()
    }

    pub(super) fn set_file(&mut self, path: &Arc<str>, content: Result<Secret, String>) {
        self.compiler.set_file(path, content);
        self.dirty |= !self.compiler.is_secure_settled();
    }

    pub(super) fn set_workload(&mut self, told: Result<Secret, String>) {
        self.compiler.set_workload(told);
        self.dirty |= !self.compiler.is_secure_settled();
    }

    pub(super) fn rotate_tickets(&mut self) {
        self.compiler.rotate_tickets();
        self.dirty |= !self.compiler.is_secure_settled();
    }

    /// Without tickets there is nothing to rotate.
    pub(super) fn ticket_deadline(&self, at: Time) -> Option<Time> {
        self.compiler.gives_tickets().then_some(at)
    }

    pub(super) fn set_adverts(&mut self, child: ChildId, adverts: Vec<Advert>) {
        self.dirty = true;
        *place(&mut self.known.adverts, child) = adverts.as_slice().into();
        self.compiler.set_adverts(child, adverts);
    }

    pub(super) fn set_freshness(&mut self, child: ChildId, freshness: Freshness) {
        self.dirty = true;
        *place(&mut self.known.freshness, child) = freshness;
        self.compiler.set_freshness(child, freshness);
    }

    pub(super) fn set_health(&mut self, server: ServerId, health: Health) {
        self.dirty = true;
        self.compiler.set_health(server, health);
    }

    pub(super) fn set_ejected(&mut self, server: ServerId, ejected: bool) {
        self.dirty = true;
        self.compiler.set_ejected(server, ejected);
    }

    pub(super) fn set_addresses(&mut self, host: &str, addrs: &[IpAddr]) {
        self.dirty = true;
        self.compiler.set_addresses(host, addrs.to_vec());
    }

    pub(super) fn set_child_status(&mut self, child: ChildId, status: ChildStatus) {
        self.dirty = true;
        self.problems_dirty = true;
        self.status.children.set(child.0.into(), Some(Arc::new(status)));
    }

    pub(super) fn set_server_status(&mut self, server: ServerId, status: Option<ServerStatus>) {
        self.dirty = true;
        self.status.servers.set(server.0, status.map(Arc::new));
    }

    pub(super) fn applied(&mut self, problems: Vec<Diagnostic>, complete: Complete, now: Time) {
        let reloads = &mut self.status.reloads;
        reloads.applied += 1;
        reloads.applied_at = Some(now);
        reloads.last_refused = complete == Complete::No;
        if reloads.last_refused {
            reloads.refused += 1;
            reloads.refused_at = Some(now);
        }
        self.set_document_problems(problems);
    }

    /// The last good configuration stays in effect, and so do its own problems.
    pub(super) fn refused(&mut self, problems: Vec<Diagnostic>, now: Time) {
        let reloads = &mut self.status.reloads;
        reloads.refused += 1;
        reloads.refused_at = Some(now);
        reloads.last_refused = true;
        self.set_document_problems(problems);
    }

    /// Something else than documents of files was refused.
    pub(super) fn refused_more(&mut self, now: Time) {
        let reloads = &mut self.status.reloads;
        reloads.refused += 1;
        reloads.refused_at = Some(now);
        reloads.last_refused = true;
        self.problems_changed();
    }

    /// What became of a document that a worker was given.
    pub(super) fn set_judged(&mut self, worker: u16, judged: Judged) {
        let offers = &mut self.status.offers;
        let at = usize::from(worker);
        if offers.len() <= at {
            offers.resize(at + 1, Judged::default());
        }
        offers[at] = judged;
        self.dirty = true;
    }

    pub(super) fn problems_changed(&mut self) {
        self.dirty = true;
        self.problems_dirty = true;
    }

    fn set_document_problems(&mut self, problems: Vec<Diagnostic>) {
        self.dirty = true;
        self.problems_dirty = true;
        self.documents = problems;
    }

    /// The service of a server and how the view knows it.
    pub(super) fn server(&self, server: ServerId) -> (Arc<str>, Option<Arc<ServerNode>>) {
        let view = self.compiler.view();
        let Some(service) = self.compiler.service_of(server) else { return ("".into(), None) };
        let Some(node) = view.services.get(service.0) else { return ("".into(), None) };
        let found = companions::servers_of(view, service).iter().find(|node| node.id == server);
        (Arc::clone(&node.name), found.map(Arc::clone))
    }

    /// Servers that stand in for this one.
    pub(super) fn companions(&self, server: ServerId) -> Vec<ServerId> {
        let service = self.compiler.service_of(server);
        service.map(|it| companions::of(self.compiler.view(), it, server)).unwrap_or_default()
    }
}

/// Where something is kept for a child.
fn place<T: Default + Clone>(all: &mut Vec<T>, child: ChildId) -> &mut T {
    let at = usize::from(child.0);
    if all.len() <= at {
        all.resize(at + 1, T::default());
    }
    &mut all[at]
}

impl Control {
    /// Publishes what has changed, unless the last view is too young.
    pub(super) fn publish(&mut self, now: Time) {
        if !self.publisher.dirty || now < self.publisher.open_at {
            return;
        }
        self.publisher.dirty = false;
        let view = match self.publisher.compiler.build() {
            Some(build) => self.take_build(build, now),
            None => self.publisher.compiler.view_again(),
        };
        self.refresh_problems(now);
        self.publisher.status.reloads.awaited = self.awaits_providers();
        let publisher = &mut self.publisher;
        let status = Arc::new(publisher.status.clone());
        let view = View { status, ..view };
        if self.fixed.tieline.recording {
            let moment = Moment { at: now, known: publisher.known.clone(), view: view.clone() };
            publisher.past.add(moment, self.limits.moments_kept, self.limits.written_kept);
        }
        publisher.view = Arc::new(View { past: publisher.past.clone(), ..view });
        publisher.fresh = true;
        publisher.open_at = now + self.limits.publish_gap;
    }

    /// Whether some provider has not said anything yet, or what it said is about to take effect.
    fn awaits_providers(&self) -> bool {
        self.file.as_ref().is_some_and(|file| !file.is_heard())
            || self.remote.as_ref().is_some_and(|remote| !remote.is_heard())
            || self.staged.is_some()
    }

    fn take_build(&mut self, build: Build, now: Time) -> View {
        let publisher = &mut self.publisher;
        publisher.problems_dirty |= !build.probes.is_empty();
        if publisher.compiled != build.diagnostics {
            publisher.compiled = build.diagnostics;
            publisher.problems_dirty = true;
        }
        for line in &build.report {
            let line = LogLine::new(Level::Info, now, "state changed").field("what", line);
            self.journal.say(line);
        }
        if std::mem::take(&mut publisher.report_wanted) {
            publisher.status.reloads.report = build.report.into();
        }
        self.change_checks(build.probes, build.passives, now);
        self.change_names(&build.names, now);
        build.view
    }

    fn change_names(&mut self, names: &NameChanges, now: Time) {
        for host in &names.dropped {
            let is_own = self.children.iter().any(|child| child.address.host == *host)
                || self.remote.as_ref().is_some_and(|remote| remote.is_at(host));
            if !is_own {
                self.names.unwant(host);
            }
        }
        for host in &names.wanted {
            self.names.want(host, now);
            if let super::names::Known::Addrs(addrs) = self.names.known(host) {
                self.publisher.set_addresses(host, &addrs);
            }
        }
    }

    /// Puts the list of problems together, and says aloud which are new.
    fn refresh_problems(&mut self, now: Time) {
        if !std::mem::take(&mut self.publisher.problems_dirty) {
            return;
        }
        let mut problems = self.publisher.documents.clone();
        if !planted(Mutant::DiagnosticLost) {
            problems.extend_from_slice(&self.publisher.compiled);
        }
        self.checks.diagnose(&mut problems);
        let old: BTreeSet<&Diagnostic> = self.publisher.status.diagnostics.iter().collect();
        for problem in problems.iter().filter(|problem| !old.contains(problem)) {
            let level = if problem.is_error() { Level::Error } else { Level::Warn };
            let line = LogLine::new(level, now, "configuration problem");
            self.journal.say(line.field("problem", problem.to_string()));
        }
        for child in &self.children {
            child.diagnose(&mut problems);
        }
        if let Some(remote) = &self.remote {
            remote.diagnose(&mut problems);
        }
        if let Some(rest) = &self.rest {
            rest.diagnose(&mut problems);
        }
        self.ledgers.diagnose(&self.publisher.view, &mut problems);
        self.publisher.status.diagnostics = problems.into();
    }
}
