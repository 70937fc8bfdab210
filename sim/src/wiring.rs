//! Over what everybody is met in a run: in clear text or over TLS, by HTTP/1.1 or HTTP/2. Most
//! runs are clear and plain, because handshakes cost.

use crate::entropy::Stream;
use crate::plan::Document;
use crate::secure::authority::{Authority, Wanted};
use crate::secure::wardrobe::{Leg, Look};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// One in this many runs is not all clear and plain.
const RARITY: u64 = 12;
const ORIGINS: usize = 12;
const CHILDREN: usize = 4;

/// The host that clients of TLS ask for.
pub const HOST: &str = "shop.test";

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wiring {
    /// Anything but clear text and HTTP/1.1 is spoken somewhere.
    pub on: bool,
    /// Entry points of the parent where TLS is spoken.
    pub entries: [bool; 2],
    /// Clients may speak HTTP/2.
    pub two: bool,
    /// Parent and children know one another over TLS by ids of SPIFFE.
    pub spiffe: bool,
    /// By position among the servers.
    origins: [Leg; ORIGINS],
    children: [Leg; CHILDREN],
}

impl Default for Wiring {
    fn default() -> Self {
        let (origins, children) = ([Leg::default(); ORIGINS], [Leg::default(); CHILDREN]);
        Self { on: false, entries: [false; 2], two: false, spiffe: false, origins, children }
    }
}

impl Wiring {
    pub fn draw(chance: &mut Stream) -> Self {
        if !chance.one_in(RARITY) { Self::default() } else { Self::drawn(chance) }
    }

    /// One that is not all clear and plain.
    pub fn drawn(chance: &mut Stream) -> Self {
        let mut wiring = Self { on: true, two: !chance.one_in(4), ..Self::default() };
        wiring.entries = [chance.one_in(2), chance.one_in(2)];
        for leg in &mut wiring.origins {
            *leg = *chance.pick(&Leg::ALL);
        }
        for leg in &mut wiring.children {
            *leg = *chance.pick(&Leg::ALL);
        }
        wiring.spiffe = chance.one_in(2);
        wiring
    }

    /// The same pair of legs everywhere.
    pub fn of(client: Leg, server: Leg) -> Self {
        Self {
            on: true,
            entries: [client.tls; 2],
            two: client.two,
            spiffe: false,
            origins: [server; ORIGINS],
            children: [server; CHILDREN],
        }
    }

    pub fn origin(&self, position: usize) -> Leg {
        self.origins.get(position).copied().unwrap_or_default()
    }

    pub fn child(&self, number: usize) -> Leg {
        self.children.get(number).copied().unwrap_or_default()
    }

    /// No connection is ever a tunnel.
    pub fn multiplexes(&self) -> bool {
        self.two || self.origins.iter().chain(&self.children).any(|leg| leg.two)
    }

    /// The scheme of a server's URL.
    pub fn scheme(leg: Leg) -> &'static str {
        match (leg.tls, leg.two) {
            (true, _) => "https",
            (false, true) => "h2c",
            (false, false) => "http",
        }
    }
}

/// The trust domain of all.
const DOMAIN: &str = "cluster.test";

/// Whom this name stands for.
pub fn id(name: &str) -> String {
    format!("spiffe://{DOMAIN}/{name}")
}

/// Somebody whom nobody lists who meets this name, be it for the id or for the trust domain.
pub fn wrong_id(name: &str) -> String {
    match number(name) {
        Some(child) if is_listed(child) => id("elsewhere"),
        _ => format!("spiffe://elsewhere.test/{name}"),
    }
}

/// The parent knows this child by its id, and not by its trust domain.
fn is_listed(child: usize) -> bool {
    child.is_multiple_of(2)
}

fn number(name: &str) -> Option<usize> {
    name.strip_prefix("child-")?.parse().ok()
}

/// What a server shows that is reached over `leg`. Of servers, children alone have ids.
pub fn look(leg: Leg, name: &str, ip: IpAddr, spiffe: bool) -> Look {
    let mut look = Look::new(leg, &[&format!("{name}.test"), &ip.to_string()]);
    look.shown.id = (spiffe && number(name).is_some()).then(|| id(name));
    look
}

/// What an instance shows to clients, and to servers.
pub fn shown(name: &str, ip: IpAddr, spiffe: bool) -> Wanted {
    let names = match name {
        "parent" => Wanted::new(&[HOST, "other.test", "parent.test"]),
        name => Wanted::new(&[&ip.to_string(), &format!("{name}.test")]),
    };
    Wanted { id: spiffe.then(|| id(name)), ..names }
}

/// Files of an instance, as its operator puts them there.
pub fn files(shown: &Wanted, trusted: &[Authority]) -> BTreeMap<String, Arc<str>> {
    let signed = shown.signed();
    let roots: String = trusted.iter().map(|at| at.root().to_string()).collect();
    [("/own.pem", signed.cert), ("/own.key", signed.key), ("/ca.pem", roots.into())]
        .map(|(path, text)| (path.to_owned(), text))
        .into()
}

/// Settings of TLS that make a transport.
pub const TRANSPORT: &str = ", rootCAs: [/ca.pem], certificates: [{certFile: /own.pem, \
     keyFile: /own.key}]";

/// Who an instance is by SPIFFE: a part of its static document.
pub fn source(spiffe: bool) -> String {
    let bundle = format!("{{trustDomain: {DOMAIN}, caFiles: [/ca.pem]}}");
    let files = format!("certFile: /own.pem, keyFile: /own.key, bundles: [{bundle}]");
    if spiffe { format!("spiffe: {{tieline: {{{files}}}}}\n") } else { String::new() }
}

/// Settings of TLS for a child, which say who it has to be: one by its id, one by its trust domain.
pub fn transport_to(child: usize) -> String {
    let who = match is_listed(child) {
        true => format!("ids: [\"{}\"]", id(&format!("child-{child}"))),
        false => format!("trustDomain: {DOMAIN}"),
    };
    format!(", spiffe: {{{who}}}")
}

/// Who may call a child: a part of its uplink entry point.
pub fn callers(child: usize) -> String {
    let who = match is_listed(child) {
        true => format!("trustDomain: {DOMAIN}"),
        false => format!("ids: [\"{}\"]", id("parent")),
    };
    format!("      tieline: {{spiffe: {{{who}}}}}\n")
}

/// The part of a dynamic document that is about certificates.
pub fn document(document: &mut Document) {
    document.tls = "tls:\n  certificates:\n  - {certFile: /own.pem, keyFile: /own.key}\n  \
         stores:\n    default:\n      \
         defaultCertificate: {certFile: /own.pem, keyFile: /own.key}\n  options:\n    \
         parents:\n      clientAuth: {caFiles: [/ca.pem]}\n"
        .into();
}
