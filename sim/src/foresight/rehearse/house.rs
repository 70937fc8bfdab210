//! One process as its documents and the files that they name make it: its view, compiled by the
//! compiler that serves, with a clock of its own that can be set to any second.

use crate::foresight::documents::Written;
use engine::base::id::EntryId;
use engine::base::limits::ControlLimits;
use engine::base::prng::Prng;
use engine::base::secret::Secret;
use engine::base::time::Wall;
use engine::config::fixed::Provider;
use engine::config::spiffe::Source;
use engine::config::tls::{ClientTls, Trust};
use engine::config::{Setting, dynamic_in, tls};
use engine::tls::{CertificateInfo, Connector, Crypto, Door, H2, HTTP_1, Role, Session};
use engine::view::compile::Compiler;
use engine::view::stats::Stats;
use engine::view::{Cover, View};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct House {
    crypto: Crypto,
    compiler: Compiler,
    pub(super) view: View,
    /// Identities come from an agent, which is not asked.
    pub(super) by_agent: bool,
    pub(super) gives_tickets: bool,
    /// Certificates for whoever comes in.
    pub(super) shown: BTreeSet<String>,
}

/// How a process comes to its children.
#[derive(Debug)]
pub(super) enum Way {
    Clear,
    Tls(Arc<Connector>),
    Unusable(String),
}

impl House {
    /// Reads every file that the documents name; what cannot be read is a problem.
    pub(super) fn new(written: &Written, now: u64, wrong: &mut Vec<String>) -> Self {
        let fixed = Arc::new(written.fixed.clone());
        let texts = written.dynamic.iter().filter_map(|document| {
            document.text.as_ref().ok().map(|text| (document.path.as_str(), text.as_str()))
        });
        let setting = Setting::of(&fixed, Provider::File);
        let reading = dynamic_in(&texts.collect::<Vec<_>>(), &setting);
        let bad = reading.diagnostics.iter().filter(|problem| problem.is_error());
        wrong.extend(bad.map(ToString::to_string));
        let crypto = Crypto::default();
        crypto.clock.set(now);
        let entries = fixed.entry_points.len() + fixed.uplink_entry_points.len();
        let entries = u16::try_from(entries).unwrap_or(u16::MAX);
        let stats = Arc::new(Stats::new(1, entries, Wall(0)));
        let (limits, mut prng) = (ControlLimits::default(), Prng::new(1));
        let own = Arc::clone(&fixed);
        let mut compiler = Compiler::with(crypto.clone(), own, limits, stats, &mut prng);
        let files = tls::files(&fixed, &reading.dynamic);
        for path in &files {
            let content = read(&written.file, path);
            if let Err(why) = &content
                && !tls::SYSTEM_ROOTS.contains(&&**path)
            {
                wrong.push(format!("{}: {path}: {why}", written.file));
            }
            compiler.set_file(path, content);
        }
        compiler.set_files(files);
        let certificates = &reading.dynamic;
        let certificates =
            certificates.certificates.iter().chain(&certificates.default_certificate);
        let shown = certificates.map(|it| it.pair.cert.label().to_owned()).collect();
        compiler.set_dynamic(reading.dynamic);
        let built = compiler.build().map(|build| build.view);
        let view = built.unwrap_or_else(|| compiler.view().clone());
        let by_agent = matches!(fixed.spiffe, Some(Source::Workload(_)));
        let gives_tickets = compiler.gives_tickets();
        Self { crypto, compiler, view, by_agent, gives_tickets, shown }
    }

    pub(super) fn set_clock(&self, seconds: u64) {
        self.crypto.clock.set(seconds);
    }

    pub(super) fn way_to(&mut self, child: &engine::config::fixed::Child) -> Way {
        match self.compiler.cover(&child.address, &child.transport) {
            Cover::Clear => Way::Clear,
            Cover::Tls(connector) => {
                // Certificates that only this way needs are known from now on.
                if let Some(build) = self.compiler.build() {
                    self.view = build.view;
                }
                Way::Tls(connector)
            }
            Cover::Unusable(why) => Way::Unusable(why.to_string()),
        }
    }

    /// Which certificate a client meets, at each entry point for clients and by each name that it
    /// may ask for there: one of those that certificates have, or none of them.
    pub(super) fn greetings(&self) -> Vec<Greeting> {
        let settings = ClientTls { trust: Trust::DangerAnybody, ..ClientTls::default() };
        let Ok(anybody) = Connector::new(&self.crypto, &settings, None, &[]) else {
            return Vec::new();
        };
        let listed = self.view.certificates.iter().filter(|it| it.role == Role::Identity);
        let mut names: BTreeSet<String> = listed.flat_map(|listed| listed.info.names()).collect();
        names.insert(NOBODY.to_owned());
        let clients = self.view.entries.iter().take(self.view.fixed.entry_points.len());
        let mut all = Vec::new();
        for entry in clients {
            let Some(secure) = &entry.secure else { continue };
            for name in &names {
                let met = greet(&anybody, &name.replacen('*', "any", 1), &secure.door);
                let entry = entry.settings.name.clone();
                all.extend(met.map(|met| Greeting { entry, met }));
            }
        }
        all
    }

    /// Where clients by TLS come in at this port.
    pub(super) fn door(&self, port: u16) -> Option<Arc<Door>> {
        let entry = self.view.entries.iter().find(|it| it.settings.address.port() == port)?;
        debug_assert_eq!(self.view.entries[usize::from(entry.id.0)].id, EntryId(entry.id.0));
        entry.secure.as_ref().map(|secure| Arc::clone(&secure.door))
    }
}

/// As the process would find it: from where it is started, which is here or beside its document.
fn read(by: &str, path: &str) -> Result<Secret, String> {
    let beside = Path::new(by).parent().unwrap_or_else(|| Path::new("")).join(path);
    let at = if beside.exists() { beside.as_path() } else { Path::new(path) };
    fs::read(at).map(Secret::new).map_err(|error| error.to_string())
}

/// What a client meets at an entry point.
#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) entry: String,
    pub(super) met: CertificateInfo,
}

/// A name that no certificate is for.
const NOBODY: &str = "nobody.invalid";

/// What a client is shown that asks for this name. It may be turned away all the same.
fn greet(anybody: &Connector, name: &str, door: &Arc<Door>) -> Option<CertificateInfo> {
    let mut client = Session::client(anybody, name, &[H2, HTTP_1]).ok()?;
    let mut server = Session::server(Arc::clone(door));
    for _ in 0..2 {
        let asked = pass(&mut client, &mut server);
        if asked.and_then(|()| pass(&mut server, &mut client)).is_err() {
            break;
        }
    }
    client.met()
}

/// One handshake from beginning to end, in memory.
pub(super) fn handshake(connector: &Connector, host: &str, door: &Arc<Door>) -> Result<(), String> {
    let told = |who: &str, why: String| format!("{who}: {why}");
    let client = Session::client(connector, host, &[H2, HTTP_1]);
    let mut client = client.map_err(|refusal| told("the parent", refusal.to_string()))?;
    let mut server = Session::server(Arc::clone(door));
    // A handshake takes two turns, and the tickets after it one more.
    for _ in 0..8 {
        pass(&mut client, &mut server).map_err(|why| told("the child", why))?;
        pass(&mut server, &mut client).map_err(|why| told("the parent", why))?;
    }
    if client.is_ready() && server.is_ready() { Ok(()) } else { Err("it does not end".to_owned()) }
}

fn pass(from: &mut Session, to: &mut Session) -> Result<(), String> {
    let mut wire = Vec::new();
    from.write_to(&mut wire).map_err(|error| error.to_string())?;
    to.feed(&wire, &mut |_| true).map_err(|trouble| match trouble {
        engine::tls::Trouble::Refused(refusal) => refusal.to_string(),
        engine::tls::Trouble::NoRoom => "no room".to_owned(),
    })
}
