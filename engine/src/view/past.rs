//! Views of the last while, each with what it was made of: so that what was decided by one can be
//! decided again.

use super::View;
use crate::base::time::Time;
use crate::service::stale::Freshness;
use crate::uplink::advert::Advert;
use std::collections::VecDeque;
use std::sync::Arc;

/// A document in effect: its path, and its content without secrets.
pub type Written = (String, String);

/// What the configuration and the children were at one time.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Nothing if they are too large to be kept.
    pub documents: Option<Arc<[Written]>>,
    /// By `ChildId`.
    pub adverts: Vec<Arc<[Advert]>>,
    /// By `ChildId`.
    pub freshness: Vec<Freshness>,
}

/// A view and what it was made of, besides the health of servers, which its status has.
#[derive(Debug)]
pub struct Moment {
    pub at: Time,
    pub known: Known,
    /// Without a past of its own.
    pub view: View,
}

/// The newest moments, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Past(pub VecDeque<Arc<Moment>>);

impl Past {
    /// Adds a moment and forgets the oldest beyond `most`, and those of earlier configurations than
    /// the last `written`.
    pub fn add(&mut self, moment: Moment, most: u32, written: u32) {
        self.0.push_back(Arc::new(moment));
        let mut configurations = 0;
        let mut later: Option<&Arc<Moment>> = None;
        let kept = self.0.iter().rev().take_while(|moment| {
            let same = later.is_some_and(|later| later.known.has_documents_of(&moment.known));
            configurations += u32::from(!same);
            later = Some(moment);
            configurations <= written.max(1)
        });
        let kept = kept.count().min(most.max(1) as usize);
        self.0.drain(..self.0.len() - kept);
    }
}

impl Known {
    pub fn has_documents_of(&self, other: &Self) -> bool {
        match (&self.documents, &other.documents) {
            (Some(one), Some(two)) => Arc::ptr_eq(one, two),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}
