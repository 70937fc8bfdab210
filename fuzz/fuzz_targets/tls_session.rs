//! TLS sessions: strange bytes are refused alike wherever they are cut; and whatever happens to
//! records on their way, what is heard is the beginning of what was said, and all of it if nothing
//! happened. Chance comes from the input, so that a finding is found again.

#![no_main]

use engine::base::prng::Prng;
use engine::config::tls::{ClientTls, ServerTls, Trust};
use engine::tls::{
    Connector, Crypto, Door, H2, HTTP_1, Identity, Roots, Session, Shelf, Tickets, Trouble, policy,
};
use libfuzzer_sys::fuzz_target;
use sim::secure::authority::{Authority, Wanted};
use sim::secure::crypto;
use std::collections::BTreeMap;
use std::sync::Arc;

const HOST: &str = "shop.test";
const CLIENT: usize = 0;
const SERVER: usize = 1;

fuzz_target!(|data: &[u8]| {
    let [mode, seed, rest @ ..] = data else { return };
    match mode % 3 {
        0 => strange(CLIENT, *seed, rest),
        1 => strange(SERVER, *seed, rest),
        _ => Talk::new(*seed).play(rest),
    }
});

/// Who both sides are.
struct House {
    crypto: Crypto,
    roots: Roots,
    door: Arc<Door>,
}

thread_local! {
    static HOUSE: House = House::new();
}

impl House {
    fn new() -> Self {
        let crypto = Crypto::of(crypto::provider(), crypto::key);
        let signed = Wanted::new(&[HOST]).signed();
        let (cert, key) = (signed.cert.as_bytes(), signed.key.as_bytes());
        let mut shelf = Shelf::default();
        shelf.put(&Identity::read(&crypto, cert, key).expect("an identity"));
        let tickets = Tickets::new(&crypto);
        let options = ServerTls::new("default");
        let shelf = Arc::new(shelf);
        let default = policy(&crypto, &options, None, &shelf, tickets.as_ref());
        let default = Arc::new(default.expect("plain options"));
        let root = Authority::Old.root();
        let roots = Roots::read(std::iter::once(root.as_bytes())).expect("a root");
        Self { crypto, roots, door: Arc::new(Door { default, by_host: BTreeMap::new() }) }
    }

    /// A client that remembers no session: what it says does not depend on inputs before.
    fn client(&self) -> Session {
        let settings = ClientTls { trust: Trust::Roots(Vec::new()), ..ClientTls::default() };
        let connector = Connector::new(&self.crypto, &settings, Some(&self.roots), &[]);
        let connector = connector.expect("plain settings");
        Session::client(&connector, HOST, &[H2, HTTP_1]).expect("a name")
    }
}

/// What is drawn from here on depends on the input alone: the house, which draws too, stands first.
fn begin(seed: u8) {
    HOUSE.with(|_| ());
    crypto::seed(seed.into());
}

fn session(side: usize) -> Session {
    HOUSE.with(|house| match side {
        CLIENT => house.client(),
        _ => Session::server(Arc::clone(&house.door)),
    })
}

/// Nobody but us has ever heard of these bytes.
fn strange(side: usize, seed: u8, bytes: &[u8]) {
    let heard = |cut: &mut dyn FnMut(usize) -> usize| {
        begin(seed);
        let (mut session, mut rest, mut plain) = (session(side), bytes, Vec::new());
        let mut fed = Ok(());
        while !rest.is_empty() && fed.is_ok() {
            let (piece, behind) = rest.split_at(cut(rest.len()));
            rest = behind;
            fed = session.feed(piece, &mut |bytes| {
                plain.extend_from_slice(bytes);
                true
            });
        }
        assert!(plain.is_empty() && !session.is_ready());
        let mut words = Vec::new();
        session.write_to(&mut words).expect("a vector takes every byte");
        (fed, words)
    };
    let whole = heard(&mut |left| left);
    assert_eq!(whole, heard(&mut |_| 1));
    let mut chance = Prng::new(seed.into());
    let mut some = |left: usize| 1 + usize::try_from(chance.below(left as u64)).unwrap();
    assert_eq!(whole, heard(&mut some));
}

/// One direction: who speaks has the same number.
#[derive(Default)]
struct Way {
    said: Vec<u8>,
    wire: Vec<u8>,
    heard: Vec<u8>,
    /// Something happened to it.
    touched: bool,
}

struct Talk {
    sessions: [Session; 2],
    ways: [Way; 2],
    trouble: [Option<Trouble>; 2],
    closed: [bool; 2],
    /// Somebody took leave before both had agreed: who did listens no more, and who hears of it
    /// gives up.
    deserted: bool,
}

impl Talk {
    fn new(seed: u8) -> Self {
        begin(seed);
        Self {
            sessions: [session(CLIENT), session(SERVER)],
            ways: [Way::default(), Way::default()],
            trouble: [None; 2],
            closed: [false; 2],
            deserted: false,
        }
    }

    /// Each two bytes tell what happens next, and how much of it.
    fn play(mut self, script: &[u8]) {
        for pair in script.chunks_exact(2) {
            let (what, much) = (pair[0], usize::from(pair[1]));
            let side = usize::from(what & 1);
            match what / 2 % 8 {
                0 | 1 => self.say(side, 1 + much * 9),
                2 => self.deliver(side, 1 + much * 7),
                3 => self.deliver(side, usize::MAX),
                4 => self.close(side),
                how => self.touch(side, how, much),
            }
        }
        self.finish();
    }

    fn say(&mut self, side: usize, count: usize) {
        let session = &mut self.sessions[side];
        if self.closed[side] || self.trouble[side].is_some() || !session.is_ready() {
            return;
        }
        let from = self.ways[side].said.len();
        let text: Vec<u8> = (from..from + count).map(|at| (at % 251) as u8).collect();
        let taken = session.seal(std::iter::once(text.as_slice()));
        self.ways[side].said.extend_from_slice(&text[..taken]);
    }

    /// Whoever has taken leave is not lied to any more: the library's debug build asserts that
    /// nothing is wrong with what comes behind our own notice.
    fn may_touch(&self, side: usize) -> bool {
        !self.closed[1 - side]
    }

    fn close(&mut self, side: usize) {
        if !self.ways[1 - side].touched {
            self.deserted |= !self.sessions[side].is_ready();
            self.sessions[side].close();
            self.closed[side] = true;
        }
    }

    fn write(&mut self, side: usize) {
        let wire = &mut self.ways[side].wire;
        self.sessions[side].write_to(wire).expect("a vector takes every byte");
    }

    fn touch(&mut self, side: usize, how: u8, much: usize) {
        self.write(side);
        let may = self.may_touch(side);
        let way = &mut self.ways[side];
        let length = way.wire.len();
        if length == 0 || !may {
            return;
        }
        way.touched = true;
        match how {
            5 => way.wire[much % length] ^= 1 << (much % 8),
            6 => drop(way.wire.drain(..1 + much % length)),
            _ => {
                let again: Vec<u8> = way.wire[..1 + much % length].to_vec();
                way.wire.splice(..0, again);
            }
        }
    }

    /// What `side` has written goes on its way, as much as that.
    fn deliver(&mut self, side: usize, most: usize) {
        self.write(side);
        let (way, to) = (&mut self.ways[side], 1 - side);
        let count = way.wire.len().min(most);
        let piece: Vec<u8> = way.wire.drain(..count).collect();
        let before = way.heard.len();
        let fed = self.sessions[to].feed(&piece, &mut |bytes| {
            way.heard.extend_from_slice(bytes);
            true
        });
        assert!(way.said.starts_with(&way.heard), "more was heard than said");
        if let Some(trouble) = self.trouble[to] {
            assert_eq!((way.heard.len(), fed), (before, Ok(())), "after {trouble:?}");
        }
        self.trouble[to] = self.trouble[to].or(fed.err());
    }

    /// Everything arrives. Where nothing was touched, all of it was heard.
    fn finish(&mut self) {
        loop {
            (0..2).for_each(|side| self.write(side));
            let left = self.ways.iter().any(|way| !way.wire.is_empty());
            (0..2).for_each(|side| self.deliver(side, usize::MAX));
            if !left {
                break;
            }
        }
        if !self.deserted && self.ways.iter().all(|way| !way.touched) {
            assert_eq!(self.trouble, [None; 2]);
            assert!(self.ways.iter().all(|way| way.heard == way.said));
            let noticed = [CLIENT, SERVER].map(|side| self.sessions[side].is_closed_by_peer());
            if self.closed == [false; 2] {
                assert!(self.sessions.iter().all(Session::is_ready));
                assert_eq!(noticed, [false; 2]);
            }
        }
    }
}
