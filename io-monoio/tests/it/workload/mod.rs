//! Clusters that know one another by what a Workload API tells them: real gateways, real sockets,
//! and an agent for each.

mod agent;

use crate::world::{Client, Folder, until};
use agent::Agent;
use engine::base::limits::{ControlLimits, Limits};
use engine::base::time::Span;
use engine::config::fixed_from_file;
use io_monoio::gateway::{self, Handle, Options, Sinks};
use io_monoio::helper::Sink;
use io_monoio::runtime::Runtime;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

type Ca = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Ca {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ca::self_signed(params, KeyPair::generate().expect("a key")).expect("a root")
}

/// A message of protocol buffers: numbers and contents of its fields.
fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, content) in fields {
        out.push(number << 3 | 2);
        let mut len = content.len();
        while len > 0x7f {
            out.push(u8::try_from(len & 0x7f).expect("seven bits") | 0x80);
            len >>= 7;
        }
        out.push(u8::try_from(len).expect("seven bits"));
        out.extend_from_slice(content);
    }
    out
}

fn id(name: &str) -> String {
    format!("spiffe://a.example/{name}")
}

/// What an agent tells a workload of this name.
fn told(name: &str, signer: &Ca, bundle: &[&Ca]) -> Vec<u8> {
    let id = id(name);
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.subject_alt_names.push(SanType::URI(id.as_str().try_into().expect("a URI")));
    let key = KeyPair::generate().expect("a key");
    let cert = params.signed_by(&key, signer).expect("a certificate");
    let bundle: Vec<u8> = bundle.iter().flat_map(|ca| ca.der().to_vec()).collect();
    let key = key.serialize_der();
    let first = message(&[(1, id.as_bytes()), (2, cert.der()), (3, &key), (4, &bundle)]);
    message(&[(1, &first)])
}

/// Answers with the callers that it hears of.
fn workload() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                let (mut callers, mut line) = (String::new(), String::new());
                while stream.read_line(&mut line).is_ok_and(|count| count > 0) {
                    if let Some(("X-Tieline-Callers", value)) = line.trim_end().split_once(": ") {
                        value.clone_into(&mut callers);
                    }
                    if line == "\r\n" {
                        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}", callers.len());
                        let whole = format!("{head}\r\n\r\n{}", std::mem::take(&mut callers));
                        if stream.get_mut().write_all(whole.as_bytes()).is_err() {
                            return;
                        }
                    }
                    line.clear();
                }
            });
        }
    });
    address
}

/// A gateway and its agent.
struct Cluster {
    name: &'static str,
    agent: Option<Agent>,
    gateway: Handle,
    socket: String,
    folder: Folder,
}

/// The door of a child, for callers of these ids.
fn door(ids: &str) -> String {
    format!(
        "  uplinkEntryPoints:\n    up: {{address: '127.0.0.1:0', asDefault: true, \
         tieline: {{spiffe: {{ids: [{ids}]}}}}}}\n"
    )
}

/// The way to a child that has to be this one. Every request is a handshake.
fn way(to: &Cluster) -> String {
    let (address, id) = (to.address("up"), id(to.name));
    format!(
        "  providers:\n    multicluster:\n      pollInterval: 100ms\n      children:\n        \
         c:\n          address: https://{address}\n          serversTransport: \
         {{maxIdleConnsPerHost: -1, disableHTTP2: true, spiffe: {{ids: ['{id}']}}}}\n"
    )
}

impl Cluster {
    /// `hub` is what stands under that key; everything goes to `service`.
    fn start(name: &'static str, first: Vec<u8>, hub: &str, service: &str, more: &str) -> Self {
        let folder = Folder::new();
        let socket = folder.path("agent.sock");
        let agent = Agent::start(&socket, Ok(first));
        let uplinks = if hub.contains("uplinkEntryPoints") { ", uplinks: [shop]" } else { "" };
        let offers = if uplinks.is_empty() { "" } else { "  uplinks: {shop: {}}\n" };
        let dynamic = format!(
            "http:\n{offers}  routers:\n    r: {{rule: PathPrefix(`/`), service: '{service}'\
             {uplinks}}}\n{more}"
        );
        let dynamic = folder.write("dynamic.yml", &dynamic);
        let web = if uplinks.is_empty() {
            "web: {address: '127.0.0.1:0', asDefault: true}, "
        } else {
            ""
        };
        let text = format!(
            "spiffe: {{workloadAPIAddr: 'unix://{socket}'}}\nentryPoints: {{{web}traefik: \
             {{address: '127.0.0.1:0'}}}}\nhub:\n{hub}api: {{insecure: true}}\nmetrics: \
             {{prometheus: {{}}}}\nproviders: {{file: {{filename: '{dynamic}'}}}}\ntieline: \
             {{workers: 1}}\n"
        );
        let (mut fixed, problems) = fixed_from_file("static.yml", &text);
        assert_eq!(problems, [], "{text}");
        fixed.throttle = Span::millis(10);
        let options = Options {
            runtime: Runtime::default(),
            pin: false,
            limits: Limits::default(),
            control_limits: ControlLimits::default(),
            sinks: Some(Sinks { access: Sink::Nowhere, event: Sink::Nowhere }),
            danger_key_log: None,
        };
        let gateway = gateway::start(fixed, &options).unwrap_or_else(|error| panic!("{error}"));
        Self { name, agent: Some(agent), gateway, socket, folder }
    }

    fn child(first: Vec<u8>, ids: &str) -> Self {
        let hub = format!("{}  providers: {{multicluster: {{}}}}\n", door(ids));
        let servers = format!("[{{url: 'http://{}'}}]", workload());
        let more = format!("  services: {{s: {{loadBalancer: {{servers: {servers}}}}}}}\n");
        Self::start("child", first, &hub, "s", &more)
    }

    fn address(&self, entry: &str) -> SocketAddr {
        self.gateway.address(entry).expect("it is configured")
    }

    fn page(&self, path: &str) -> String {
        Client::connect(self.address("traefik")).get(path).text()
    }

    fn tell(&self, told: Vec<u8>) {
        self.agent.as_ref().expect("it lives").tell(Ok(told));
    }

    /// How many roots it trusts, and serial numbers of its certificates.
    fn roots(&self) -> usize {
        self.page("/api/tieline/certificates").matches("\"role\":\"root\"").count()
    }

    /// Handshakes that it refused for this cause.
    fn refused(&self, cause: &str) -> u64 {
        let page = self.page("/metrics");
        let lines = page.lines().filter(|line| {
            line.starts_with("tieline_tls_handshakes_refused_total") && line.contains(cause)
        });
        lines.map(|line| line.rsplit(' ').next().and_then(|it| it.parse().ok()).unwrap_or(0)).sum()
    }

    fn end(self) {
        self.gateway.drain();
        assert!(self.gateway.join().is_ok(), "no thread panicked");
        drop((self.agent, self.folder));
    }
}

fn ask(parent: &Cluster) -> (u16, String) {
    let answer = Client::connect(parent.address("web")).get("/");
    (answer.status, answer.text())
}

/// The parent of a middle of a child.
fn family(ca: &Ca) -> [Cluster; 3] {
    let child = Cluster::child(told("child", ca, &[ca]), "'spiffe://a.example/middle'");
    let hub = format!("{}{}", door("'spiffe://a.example/parent'"), way(&child));
    let first = told("middle", ca, &[ca]);
    let middle = Cluster::start("middle", first, &hub, "shop@multicluster", "");
    let hub = way(&middle);
    let first = told("parent", ca, &[ca]);
    let parent = Cluster::start("parent", first, &hub, "shop@multicluster", "");
    [parent, middle, child]
}

const ALL: &str = "anonymous, spiffe://a.example/parent, spiffe://a.example/middle";

#[test]
fn roots_change_under_load_without_a_failed_handshake() {
    let (old, new) = (authority(), authority());
    let family = family(&old);
    let parent = &family[0];
    until(&(200, ALL.to_owned()), || ask(parent));
    let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let load = {
        let (over, asked, address) = (over.clone(), asked.clone(), parent.address("web"));
        thread::spawn(move || {
            let mut client = Client::connect(address);
            let mut failed = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let answer = client.get("/");
                asked.fetch_add(1, Ordering::Relaxed);
                if (answer.status, answer.text()) != (200, ALL.to_owned()) {
                    failed.push(answer);
                }
            }
            failed
        })
    };
    let some_more = || {
        let before = asked.load(Ordering::Relaxed);
        until(&true, || asked.load(Ordering::Relaxed) >= before + 50);
    };
    for (signer, bundle) in [(&old, vec![&old, &new]), (&new, vec![&old, &new]), (&new, vec![&new])]
    {
        for cluster in &family {
            let serial = || cluster.page("/api/tieline/certificates");
            let before = serial();
            cluster.tell(told(cluster.name, signer, &bundle));
            until(&true, || serial() != before && cluster.roots() == bundle.len());
            some_more();
        }
    }
    over.store(true, Ordering::Relaxed);
    let failed = load.join().expect("the load goes on");
    assert_eq!(failed, [], "of {asked:?}");
    for cluster in &family {
        assert_eq!(cluster.refused("cause="), 0, "{}", cluster.name);
    }
    family.into_iter().for_each(Cluster::end);
}

#[test]
fn an_identity_outlives_the_agent_that_told_it() {
    let ca = authority();
    let mut family = family(&ca);
    until(&(200, ALL.to_owned()), || ask(&family[0]));
    for cluster in &mut family {
        cluster.agent = None;
        let complaint = format!("the Workload API at unix://{}", cluster.socket);
        until(&true, || {
            let page = cluster.page("/api/tieline/diagnostics");
            page.contains(&complaint) && page.contains("what was good last stays in use")
        });
    }
    assert_eq!(ask(&family[0]), (200, ALL.to_owned()));
    let again = told("parent", &ca, &[&ca]);
    let socket = family[0].socket.clone();
    family[0].agent = Some(Agent::start(&socket, Ok(again)));
    until(&false, || family[0].page("/api/tieline/diagnostics").contains("Workload API"));
    assert_eq!(ask(&family[0]), (200, ALL.to_owned()));
    family.into_iter().for_each(Cluster::end);
}

#[test]
fn a_parent_that_is_not_listed_is_refused_and_told_why() {
    let ca = authority();
    let [parent, middle, child] = family(&ca);
    until(&(200, ALL.to_owned()), || ask(&parent));
    parent.tell(told("stranger", &ca, &[&ca]));
    until(&true, || {
        let page = parent.page("/api/tieline/children");
        page.contains("the other side") && ask(&parent).0 == 502
    });
    assert!(middle.refused("wrong-identity") > 0);
    parent.agent.as_ref().expect("it lives").tell(Err("7"));
    let told_why = "no identity is issued to us (status 7: )";
    until(&true, || parent.page("/api/tieline/diagnostics").contains(told_why));
    parent.tell(told("parent", &ca, &[&ca]));
    until(&(200, ALL.to_owned()), || ask(&parent));
    [parent, middle, child].into_iter().for_each(Cluster::end);
}

#[test]
fn a_workload_api_may_be_an_address_and_may_come_late() {
    let ca = authority();
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("it is bound");
    drop(free);
    let text = format!(
        "spiffe: {{workloadAPIAddr: 'tcp://{address}'}}\nentryPoints: {{traefik: {{address: \
         '127.0.0.1:0'}}}}\napi: {{insecure: true}}\ntieline: {{workers: 1}}\n\
         serversTransport: {{spiffe: {{}}}}\n"
    );
    let (fixed, problems) = fixed_from_file("static.yml", &text);
    assert_eq!(problems, []);
    let sinks = Some(Sinks { access: Sink::Nowhere, event: Sink::Nowhere });
    let options = Options { sinks, ..Options::default() };
    let gateway = gateway::start(fixed, &options).unwrap_or_else(|error| panic!("{error}"));
    let pages = gateway.address("traefik").expect("it is configured");
    let shows = || {
        let page = Client::connect(pages).get("/api/tieline/certificates").text();
        page.contains("spiffe://a.example/late")
    };
    assert!(!shows());
    let _agent = Agent::start(&address.to_string(), Ok(told("late", &ca, &[&ca])));
    until(&true, shows);
    gateway.drain();
    assert!(gateway.join().is_ok(), "no thread panicked");
}
