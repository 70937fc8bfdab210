//! Routers under routers: who is under whom, and where that leads nowhere.

use super::references::{cycle, groups};
use super::typed::Router;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Routers between a request and its service. People write two.
pub const LAYERS_MAX: usize = 8;

/// Who is under whom.
#[derive(Debug, Default)]
pub struct Layers<'a> {
    /// By parent, in order of names.
    children: BTreeMap<&'a str, Vec<&'a Arc<Router>>>,
    misplaced: BTreeMap<&'a str, Misplaced>,
}

/// Why a router cannot do what it was written for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Misplaced {
    /// There is no router of this name.
    NoParent(String),
    /// Leads back to itself: the names on the way, the first repeated at the end.
    Cycle(Vec<Arc<str>>),
    /// Under too many others.
    TooDeep,
    /// It names a service, and others are under it.
    ServiceAndChildren(String),
    /// It names no service, and nobody is under it.
    NoService,
}

impl Misplaced {
    /// The field to look at.
    pub fn field(&self) -> &'static str {
        match self {
            Self::NoParent(_) | Self::Cycle(_) | Self::TooDeep => "parentRefs",
            Self::ServiceAndChildren(_) | Self::NoService => "service",
        }
    }

    pub fn code(&self) -> &'static str {
        match self {
            Self::NoParent(_) => "unknown-router",
            Self::Cycle(_) => "router-cycle",
            Self::TooDeep => "deep-router",
            Self::ServiceAndChildren(_) => "several-kinds",
            Self::NoService => "missing",
        }
    }

    pub fn text(&self) -> String {
        match self {
            Self::NoParent(name) => format!("there is no router {name}"),
            Self::Cycle(names) => format!("routers are under each other: {}", names.join(" -> ")),
            Self::TooDeep => format!("it is under more than {LAYERS_MAX} others"),
            Self::ServiceAndChildren(child) => {
                format!("a router that others are under, such as {child}, names no service")
            }
            Self::NoService => "a router names a service".to_owned(),
        }
    }
}

impl<'a> Layers<'a> {
    pub fn new(routers: &'a [Arc<Router>]) -> Self {
        let mut layers = Self::default();
        if routers.iter().any(|router| !router.parents.is_empty()) {
            layers.arrange(routers);
        }
        for router in routers {
            let below = layers.children.get(router.name.as_str());
            let misplaced = match below.and_then(|list| list.first()) {
                Some(child) if !router.service.is_empty() => {
                    Misplaced::ServiceAndChildren(child.name.clone())
                }
                None if router.service.is_empty() => Misplaced::NoService,
                Some(_) | None => continue,
            };
            layers.misplaced.entry(&router.name).or_insert(misplaced);
        }
        layers
    }

    fn arrange(&mut self, routers: &'a [Arc<Router>]) {
        let index: BTreeMap<&str, usize> =
            (0..).zip(routers).map(|(at, router)| (&*router.name, at)).collect();
        let above: Vec<Vec<Option<usize>>> = routers
            .iter()
            .map(|router| router.parents.iter().map(|it| index.get(&**it).copied()).collect())
            .collect();
        let mut depths = vec![0; routers.len()];
        for group in groups(&above) {
            let first = group[0];
            if group.len() > 1 || above[first].contains(&Some(first)) {
                let way = cycle(&group, &above);
                let names: Vec<Arc<str>> =
                    way.into_iter().map(|at| routers[at].name.as_str().into()).collect();
                for at in group {
                    self.misplaced.insert(&routers[at].name, Misplaced::Cycle(names.clone()));
                }
                continue;
            }
            let router = &routers[first];
            let depth = above[first].iter().flatten().map(|at| depths[*at] + 1).max();
            depths[first] = depth.unwrap_or(0);
            let lost = router.parents.iter().find(|name| !index.contains_key(&***name));
            if let Some(lost) = lost {
                self.misplaced.insert(&router.name, Misplaced::NoParent(lost.clone()));
            } else if depths[first] > LAYERS_MAX {
                self.misplaced.insert(&router.name, Misplaced::TooDeep);
            }
        }
        for router in routers {
            for parent in &router.parents {
                if let Some(at) = index.get(&**parent) {
                    self.children.entry(&routers[*at].name).or_default().push(router);
                }
            }
        }
    }

    /// Routers under this one.
    pub fn under(&self, name: &str) -> &[&'a Arc<Router>] {
        self.children.get(name).map_or(&[], Vec::as_slice)
    }

    pub fn misplaced(&self, name: &str) -> Option<&Misplaced> {
        self.misplaced.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a:svc` names a service, `b<a` is under `a`.
    #[track_caller]
    fn check(written: &str, expected: &str) {
        let mut routers: Vec<Arc<Router>> = written.split(' ').map(router).collect();
        routers.sort_by(|a, b| a.name.cmp(&b.name));
        let layers = Layers::new(&routers);
        let told = |router: &Arc<Router>| {
            let misplaced = layers.misplaced(&router.name)?;
            Some(format!("{}: {}", router.name, misplaced.text()))
        };
        let told: Vec<String> = routers.iter().filter_map(told).collect();
        assert_eq!(told.join("; "), expected, "{written}");
    }

    fn router(word: &str) -> Arc<Router> {
        let (word, service) = word.split_once(':').unwrap_or((word, ""));
        let (name, parents) = word.split_once('<').unwrap_or((word, ""));
        let parents = parents.split(',').filter(|it| !it.is_empty()).map(str::to_owned).collect();
        let (name, service) = (name.to_owned(), service.to_owned());
        Arc::new(Router { name, service, parents, ..Router::default() })
    }

    #[test]
    fn routers_have_their_places_and_those_without_one_say_why() {
        check("a b<a:s", "");
        check("a b<a c<a,b:s", "");
        check("a:s b<a:s", "a: a router that others are under, such as b, names no service");
        check("a", "a: a router names a service");
        check("b<a:s", "b: there is no router a");
        check(
            "a<b b<a c<a:s",
            "a: routers are under each other: a -> b -> a; \
             b: routers are under each other: a -> b -> a",
        );
        check("a<a:s", "a: routers are under each other: a -> a");
        check(
            "r0 r1<r0 r2<r1 r3<r2 r4<r3 r5<r4 r6<r5 r7<r6 r8<r7 r9<r8:s",
            "r9: it is under more than 8 others",
        );
    }
}
