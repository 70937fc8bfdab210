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
    /// By position among the servers.
    origins: [Leg; ORIGINS],
    children: [Leg; CHILDREN],
}

impl Default for Wiring {
    fn default() -> Self {
        let (origins, children) = ([Leg::default(); ORIGINS], [Leg::default(); CHILDREN]);
        Self { on: false, entries: [false; 2], two: false, origins, children }
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
        wiring
    }

    /// The same pair of legs everywhere.
    pub fn of(client: Leg, server: Leg) -> Self {
        Self {
            on: true,
            entries: [client.tls; 2],
            two: client.two,
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

/// What a server shows that is reached over `leg`.
pub fn look(leg: Leg, name: &str, ip: IpAddr) -> Look {
    Look::new(leg, &[&format!("{name}.test"), &ip.to_string()])
}

/// What an instance shows to clients, and to servers.
pub fn shown(name: &str, ip: IpAddr) -> Wanted {
    match name {
        "parent" => Wanted::new(&[HOST, "other.test", "parent.test"]),
        name => Wanted::new(&[&ip.to_string(), &format!("{name}.test")]),
    }
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

/// The part of a dynamic document that is about certificates.
pub fn document(document: &mut Document) {
    document.tls = "tls:\n  certificates:\n  - {certFile: /own.pem, keyFile: /own.key}\n  \
         stores:\n    default:\n      \
         defaultCertificate: {certFile: /own.pem, keyFile: /own.key}\n  options:\n    \
         parents:\n      clientAuth: {caFiles: [/ca.pem]}\n"
        .into();
}
