//! Children as the parent sees them.

use super::Compiler;
use crate::base::id::{ChildId, ServiceId};
use crate::view::model::Definition;
use crate::view::{ChildUplink, ChildView};
use std::sync::Arc;

impl Compiler {
    /// Remembers that a child's part of the view shows this service.
    pub(super) fn note_child(&mut self, id: ServiceId) {
        if let Some(Definition::Child { child, .. }) = &self.slots.get(id).definition
            && let Some(child) = self.children.get_mut(usize::from(child.0))
        {
            child.dirty = true;
        }
    }

    pub(super) fn refresh_children(&mut self) {
        self.refresh_names();
        for at in 0..self.children.len() {
            if !std::mem::take(&mut self.children[at].dirty) {
                continue;
            }
            let id = ChildId(u16::try_from(at).expect("children are numbered by 16 bits"));
            let view = self.child_view(id);
            match self.view.children.get_mut(at) {
                Some(old) if old.uplinks == view.uplinks => {}
                Some(old) => {
                    *old = Arc::new(view);
                    self.pending.changed = true;
                }
                None => {
                    self.view.children.push(Arc::new(view));
                    self.pending.changed = true;
                }
            }
        }
    }

    fn child_view(&mut self, id: ChildId) -> ChildView {
        let uplink =
            |(advert, service): (&Arc<crate::uplink::advert::Advert>, ServiceId)| ChildUplink {
                name: Arc::clone(&advert.name),
                weight: advert.weight.get(),
                standing: self.slots.standing(service),
                service,
            };
        let uplinks = self.offers.of_child(id).map(uplink).collect();
        let child = &self.children[usize::from(id.0)];
        ChildView {
            id,
            name: Arc::clone(&child.name),
            address: child.address.to_string(),
            stats: Arc::clone(&child.stats),
            uplinks,
        }
    }
}
