//! Sweeps what must hold between slots, servers, targets and the view.

use super::Compiler;
use crate::base::id::{ServerId, TargetId};
use std::collections::BTreeMap;

impl Compiler {
    /// Panics if an invariant is broken. For simulation and debug builds.
    pub fn check(&self) {
        self.secure.claims.check();
        let mut seats: BTreeMap<ServerId, u32> = BTreeMap::new();
        let mut defined = 0;
        for (id, slot) in self.slots.iter() {
            let names = &self.registry.services;
            let references = slot.parents.len() + slot.routers.len() + slot.pages;
            let owners =
                usize::from(slot.definition.is_some()) + usize::from(self.offers.holds(id));
            let holds = names.holds(id.0) as usize;
            assert_eq!(holds, references + owners, "holds on {}", slot.name);
            defined += usize::from(slot.definition.is_some());
            for below in slot.shape.services() {
                let parents = &self.slots.get(below).parents;
                assert!(parents.contains(&id), "{} knows that {} refers to it", below.0, id.0);
            }
            for server in slot.shape.servers() {
                *seats.entry(server).or_default() += 1;
            }
            let is_shown = self.view.services.get(id.0).is_some();
            assert!(holds > 0 || !is_shown, "{} is shown although nobody holds it", slot.name);
            let is_due = !self.slots.is_settled() || slot.name.is_empty();
            assert!(is_shown || holds == 0 || is_due, "{} is held and not shown", slot.name);
        }
        assert_eq!(self.slots.by_name.len(), defined, "every defined service has its name");
        self.check_servers(&seats);
    }

    fn check_servers(&self, seats: &BTreeMap<ServerId, u32>) {
        let (servers, targets) = self.registry.counts();
        assert_eq!(servers, seats.len(), "every server has a seat");
        for (server, seats) in seats {
            assert_eq!(self.registry.server_holds(*server), *seats, "seats of {server:?}");
        }
        let mut uses: BTreeMap<TargetId, u32> = BTreeMap::new();
        for target in self.servers.targets().chain(self.asked.iter().copied()) {
            *uses.entry(target).or_default() += 1;
        }
        assert_eq!(targets, uses.len(), "every target has a server, or somebody who asks it");
        assert_eq!(self.view.targets.iter().count(), uses.len(), "every target is shown");
        for (target, uses) in uses {
            assert_eq!(self.registry.target_holds(target), uses, "servers at {target:?}");
        }
    }
}
