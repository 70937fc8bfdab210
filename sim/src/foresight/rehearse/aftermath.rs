//! What becomes of routes when a way to a child falls: the documents in a world in which whoever
//! dials that child is refused, while connections that stand go on, as they do when certificates
//! expire.

use super::Moment;
use crate::foresight::documents::Documents;
use crate::foresight::stage::Stage;
use crate::terrain::Way;
use engine::base::time::Span;
use engine::view::Destination;
use std::collections::BTreeSet;

pub(super) struct Aftermath {
    stage: Stage,
    /// Longer than any poll or probe takes to tell.
    watched: Span,
    stopped: BTreeSet<String>,
}

impl Aftermath {
    pub(super) fn new(documents: &Documents) -> Self {
        let stage = Stage::settled(documents);
        let bounds = crate::foresight::bounds::timings(documents, &stage);
        let longest = bounds.into_iter().max().unwrap_or(Span::ZERO);
        let mut aftermath =
            Self { stage, watched: longest.times(2) + Span::secs(60), stopped: BTreeSet::new() };
        aftermath.stopped = aftermath.without_service();
        aftermath
    }

    /// What follows, and the routers that serve nobody any more.
    pub(super) fn fall(&mut self, parent: &str, child: &str) -> (Vec<Moment>, Vec<String>) {
        let Some(zone) = self.zone(parent, child) else { return Default::default() };
        let start = self.stage.net.now;
        self.stage.watch.moments.clear();
        self.stage.net.terrain.set_way(zone, Way::Refused);
        self.stage.run_until(start + self.watched, |_| false);
        let moments = self.stage.watch.moments.iter().map(|moment| Moment {
            after: moment.at.since(start),
            place: moment.place.clone(),
            what: moment.what.clone(),
        });
        let moments = moments.collect();
        let now = self.without_service();
        let stops = now.difference(&self.stopped).cloned().collect();
        self.stopped = now;
        (moments, stops)
    }

    pub(super) fn stand(&mut self, parent: &str, child: &str) {
        let Some(zone) = self.zone(parent, child) else { return };
        self.stage.net.terrain.set_way(zone, Way::Open);
        self.stage.run_until(self.stage.net.now + self.watched, |_| false);
        self.stopped = self.without_service();
    }

    fn zone(&self, parent: &str, child: &str) -> Option<usize> {
        let above = if parent == "parent" { String::new() } else { format!("{parent}/") };
        let name = format!("{above}{child}");
        let ends = |place: &&crate::foresight::stage::Place| {
            place.name == name || place.name.ends_with(&format!("/{name}"))
        };
        self.stage.places.iter().find(ends).map(|place| place.zone)
    }

    /// Routers of the parent whose service cannot serve.
    fn without_service(&self) -> BTreeSet<String> {
        let Some(view) = self.stage.processes[0].view.clone() else { return BTreeSet::new() };
        let mut stopped = BTreeSet::new();
        for entry in &view.entries {
            let engine::view::Offer::Routes(routes) = &entry.offer else { continue };
            let secure = entry.secure.iter().map(|secure| &secure.routes);
            for route in secure.chain([routes]).flat_map(|table| table.iter()) {
                let Destination::Service(service) = &route.to else { continue };
                if view.services.get(service.0).is_some_and(|node| !node.up) {
                    stopped.insert(route.name.to_string());
                }
            }
        }
        stopped
    }
}
