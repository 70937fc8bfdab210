//! What the documents of some worlds say beyond the core of the dialect, drawn from a stream of its
//! own: the rest of a world stays what its seed says.

use crate::entropy::Stream;
use crate::home;
use crate::oracle::breaker::Settings;
use crate::plan::{Document, Key, Kind, Middleware, Service, Step, Strategy};
use crate::site::Site;

/// One in this many worlds chooses servers otherwise than by turns alone.
const STRATEGIES: u64 = 4;
/// One in this many has a signed cookie for a service and all that is below.
const SIGNED: u64 = 6;
/// One in this many has circuit breakers.
const BREAKERS: u64 = 5;
/// One in this many has them before services.
const FUSES: u64 = 4;
/// One in this many has its documents from a server.
const ASKERS: u64 = 8;
/// One in this many compresses.
const SQUEEZERS: u64 = 12;

/// Adds to a world what it has of this.
pub fn enrich(chance: &mut Stream, site: &mut Site) {
    if chance.one_in(ASKERS) && !site.control_tight && !site.tight {
        site.ask_for_documents(chance);
    }
    home::settle(site.home);
    if chance.one_in(STRATEGIES) {
        draw_strategies(chance, &mut site.parent.document);
    }
    if chance.one_in(SIGNED) {
        draw_signed(chance, &mut site.parent.document);
    }
    site.asking.cookies = site.parent.document.cookies();
    if chance.one_in(BREAKERS) {
        draw_breakers(chance, &mut site.parent.document);
    }
    if chance.one_in(FUSES) {
        draw_fuses(chance, &mut site.parent.document);
    }
    if chance.one_in(SQUEEZERS) {
        draw_squeezers(chance, &mut site.parent.document);
        site.asking.codings = true;
    }
}

fn draw_strategies(chance: &mut Stream, document: &mut Document) {
    for service in document.services.iter_mut().filter(|service| service.name != "shadow") {
        service.strategy = match service.kind {
            Kind::Balancer { .. } => *chance.pick(&[
                Strategy::Two,
                Strategy::Client,
                Strategy::LeastTime,
                Strategy::Turns,
            ]),
            Kind::Weighted(_) => *chance.pick(&[Strategy::Client, Strategy::Turns]),
            Kind::Failover { .. } | Kind::Mirroring { .. } => Strategy::Turns,
        };
    }
}

fn draw_settings(chance: &mut Stream, inner: bool) -> Settings {
    Settings { network: chance.one_in(3), percent: *chance.pick(&[50, 30, 10]), inner }
}

/// Before whatever else a router has: it hears of every answer.
fn draw_breakers(chance: &mut Stream, document: &mut Document) {
    let kind = Step::Break(draw_settings(chance, false));
    document.middlewares.push(Middleware { name: "breaker".into(), kind });
    for router in document.routers.iter_mut().filter(|router| router.name.starts_with('r')) {
        if !chance.one_in(3) {
            router.middlewares.insert(0, "breaker".into());
        }
    }
}

/// Before whatever else a service has. Trees stand over load balancers only, so that what one
/// keeps off was counted by nobody who stands before the choice that is made again.
fn draw_fuses(chance: &mut Stream, document: &mut Document) {
    let kind = Step::Break(draw_settings(chance, true));
    document.middlewares.push(Middleware { name: "fuse".into(), kind });
    for service in &mut document.services {
        let (leaf, tree) = (service.name.starts_with("lb"), service.name.starts_with("tree"));
        if leaf && !chance.one_in(3) || tree && chance.one_in(4) {
            service.middlewares.insert(0, "fuse".into());
        }
    }
}

fn draw_squeezers(chance: &mut Stream, document: &mut Document) {
    document.middlewares.push(Middleware { name: "squeeze".into(), kind: Step::Squeeze });
    for router in document.routers.iter_mut().filter(|router| router.name.starts_with('r')) {
        if !chance.one_in(3) {
            router.middlewares.push("squeeze".into());
        }
    }
}

fn draw_signed(chance: &mut Stream, document: &mut Document) {
    let may = |service: &&mut Service| match service.kind {
        Kind::Balancer { .. } => service.name != "shadow",
        Kind::Weighted(_) => service.strategy == Strategy::Turns,
        Kind::Failover { .. } | Kind::Mirroring { .. } => false,
    };
    let mut able: Vec<&mut Service> = document.services.iter_mut().filter(may).collect();
    // Those over others come last, and more is decided there.
    let back = usize::try_from(chance.below(2)).expect("small");
    let at = able.len().saturating_sub(1 + back);
    if let Some(service) = able.get_mut(at) {
        service.signed = Some(*chance.pick(&[Key::Told, Key::Filed]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Entropy, RunId};

    #[test]
    fn every_part_is_drawn_now_and_then_and_none_always() {
        let mut found = [0; 7];
        for seed in 0..200 {
            let mut entropy = Entropy::new(RunId::new(seed));
            let mut site = crate::site::draw(&mut entropy.topology, false);
            enrich(&mut entropy.dialect, &mut site);
            let document = &site.parent.document;
            let by_address = |at: &Service| at.strategy == Strategy::Client;
            let parts = [
                document.services.iter().any(by_address),
                document.services.iter().any(|at| at.strategy == Strategy::LeastTime),
                document.routers.iter().any(|at| document.breaker_of(&at.name).is_some()),
                document.services.iter().any(|at| document.breaker_before(&at.name).is_some()),
                document.signed().is_some(),
                site.asking.codings,
                site.librarian.is_some(),
            ];
            found.iter_mut().zip(parts).for_each(|(sum, part)| *sum += u32::from(part));
        }
        assert!(found.iter().all(|sum| (5..100).contains(sum)), "{found:?}");
    }
}
