//! Diagnostics: U2. Whatever is left out has one, at the place where it was wanted, and none is
//! there without a reason.

use super::{Oracle, Verdict};
use crate::home;
use crate::model::services::{Offered, Services, What, Works};
use crate::plan::{Document, Matcher, Router, Strategy};
use engine::base::diag::Diagnostic;
use engine::base::time::Time;
use std::collections::BTreeSet;

/// A child of which the newest answer to a poll is no good, or may be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failing {
    pub child: String,
    /// Certainly, and not just perhaps.
    pub surely: bool,
}

/// What diagnostics there have to be.
#[derive(Debug, Default)]
struct Expected {
    /// One at least at any of these places.
    needed: Vec<Vec<String>>,
    /// Also allowed.
    allowed: BTreeSet<String>,
}

/// Judges the diagnostics of an instance with this document and these children.
pub fn judge(
    diagnostics: &[Diagnostic],
    document: &Document,
    children: &[Offered],
    failing: &[Failing],
    now: Time,
    verdict: &mut Verdict,
) {
    let expected = Expected::of(document, children, failing);
    let told: BTreeSet<&str> = diagnostics.iter().map(|at| at.path.as_str()).collect();
    for places in &expected.needed {
        if !places.iter().any(|place| told.contains(place.as_str())) {
            verdict.add(Oracle::U2, now, || format!("nothing is told of {places:?}: {told:?}"));
        }
    }
    for diagnostic in diagnostics {
        let here = |places: &Vec<String>| places.contains(&diagnostic.path);
        if !expected.needed.iter().any(here) && !expected.allowed.contains(&diagnostic.path) {
            verdict.add(Oracle::U2, now, || format!("told without a reason: {diagnostic:?}"));
        }
    }
}

impl Expected {
    fn of(document: &Document, children: &[Offered], failing: &[Failing]) -> Self {
        let services = Services::of(document, children);
        let mut expected = Self::default();
        expected.add_services(&services);
        for router in &document.routers {
            expected.add_router(router, document, &services);
        }
        if !document.tls.is_empty() {
            // Secrets are logged where there are any, so that control machines can be listened to.
            expected.needed.push(vec![String::new()]);
        }
        for alias in &services.clashes {
            expected.needed.push(vec![format!("{alias}@multicluster")]);
        }
        for Failing { child, surely } in failing {
            let place = format!("hub.providers.multicluster.children.{child}");
            if *surely {
                expected.needed.push(vec![place]);
            } else {
                expected.allowed.insert(place);
            }
        }
        expected
    }

    fn add_services(&mut self, services: &Services) {
        let path = |name: &str| format!("http.services.{}", home::bare(name));
        let in_circle = services.list.iter().filter(|service| service.in_circle);
        let circle: Vec<String> = in_circle.map(|service| path(&service.name)).collect();
        if !circle.is_empty() {
            self.needed.push(circle);
        }
        let written = services.list.iter().filter(|service| service.name.ends_with(home::suffix()));
        for service in written.filter(|service| !service.in_circle) {
            let path = path(&service.name);
            if service.what == What::Weighted(Vec::new()) {
                self.needed.push(vec![format!("{path}.weighted.services")]);
            }
            if let What::Balancer { servers, .. } = &service.what
                && service.strategy == Strategy::Two
                && servers.iter().any(|(_, weight)| *weight > 1)
            {
                self.needed.push(vec![format!("{path}.loadBalancer.strategy")]);
            }
            for ((_, member), place) in service.members.iter().zip(&service.places) {
                if services.works(*member) == Works::Nothing {
                    self.needed.push(vec![format!("{path}.{place}")]);
                }
            }
        }
    }

    fn add_router(&mut self, router: &Router, document: &Document, services: &Services) {
        let path = format!("http.routers.{}", router.name);
        let broken = router.rule.iter().flatten();
        if broken.clone().any(|term| matches!(term.matcher, Matcher::Broken(_))) {
            self.needed.push(vec![format!("{path}.rule")]);
            // A router that cannot be placed is told of once.
            self.allowed.insert(format!("{path}.service"));
            self.allowed.insert(format!("{path}.middlewares"));
            return;
        }
        let known = |name: &String| document.middlewares.iter().any(|at| at.name == *name);
        if !router.middlewares.iter().all(known) {
            self.needed.push(vec![format!("{path}.middlewares")]);
        }
        let service = crate::model::qualified(&router.service);
        // Of a service that is there and does not work, its own places tell.
        if services.find(&service).is_none() {
            self.needed.push(vec![format!("{path}.service")]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Kind, Service, Term};

    fn document() -> Document {
        let router = Router {
            name: "r".into(),
            rule: vec![vec![Term::is(Matcher::PathPrefix("/".into()))]],
            priority: None,
            entries: Vec::new(),
            middlewares: vec!["none".into()],
            service: "none".into(),
            uplinks: Vec::new(),
        };
        let failover = Kind::Failover {
            main: "shop@multicluster".into(),
            fallback: "bank@multicluster".into(),
            errors: false,
        };
        Document {
            routers: vec![router],
            services: vec![Service::new("both", failover)],
            ..Document::default()
        }
    }

    const ALL: [&str; 4] = [
        "http.services.both.failover.service",
        "http.services.both.failover.fallback",
        "http.routers.r.middlewares",
        "http.routers.r.service",
    ];

    #[track_caller]
    fn check(told: &[&str], violations: usize) {
        let problem = |path: &&str| Diagnostic::error("missing", *path, "text");
        let told: Vec<Diagnostic> = told.iter().map(problem).collect();
        let mut verdict = Verdict::default();
        judge(&told, &document(), &[], &[], Time::ZERO, &mut verdict);
        assert_eq!(verdict.all().len(), violations, "{:?}", verdict.all());
    }

    #[test]
    fn silence_and_idle_talk_are_noticed() {
        check(&ALL, 0);
        for silent in 0..ALL.len() {
            let told: Vec<&str> = (0..ALL.len()).filter(|n| *n != silent).map(|n| ALL[n]).collect();
            check(&told, 1);
        }
        check(&[&ALL[..], &["http.routers.other.service"]].concat(), 1);
    }
}
