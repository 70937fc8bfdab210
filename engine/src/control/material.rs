//! Files of certificates, keys and roots: which are wanted, and when they are read again. Whoever
//! replaces one need not tell: all are looked at every so often.

use crate::base::time::{Span, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Material {
    age_max: Span,
    files: BTreeMap<Arc<str>, Seen>,
    /// When all are read again.
    next: Time,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Seen {
    Never { reading: bool },
    Once { reading: bool },
}

impl Material {
    pub(super) fn new(age_max: Span) -> Self {
        Self { age_max, files: BTreeMap::new(), next: Time::ZERO }
    }

    /// Wants these files, and no others any more.
    pub(super) fn want(&mut self, files: &BTreeSet<Arc<str>>) {
        self.files.retain(|path, _| files.contains(path));
        for path in files {
            self.files.entry(Arc::clone(path)).or_insert(Seen::Never { reading: false });
        }
    }

    /// Files may have changed.
    pub(super) fn hint(&mut self, at: Time) {
        self.next = self.next.min(at);
    }

    /// Whether everything that is wanted was read at least once.
    pub(super) fn is_complete(&self) -> bool {
        self.files.values().all(|seen| matches!(seen, Seen::Once { .. }))
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let unread = Seen::Never { reading: false };
        if self.files.values().any(|seen| *seen == unread) {
            return Some(Time::ZERO);
        }
        (!self.files.is_empty()).then_some(self.next)
    }

    /// Files to read now.
    pub(super) fn due(&mut self, now: Time) -> Vec<Arc<str>> {
        let all = self.next <= now;
        if all {
            self.next = now + self.age_max;
        }
        let mut due = Vec::new();
        for (path, seen) in &mut self.files {
            match seen {
                Seen::Never { reading } => {
                    if !std::mem::replace(reading, true) {
                        due.push(Arc::clone(path));
                    }
                }
                Seen::Once { reading } => {
                    if all && !std::mem::replace(reading, true) {
                        due.push(Arc::clone(path));
                    }
                }
            }
        }
        due
    }

    /// A reading has ended; false if nobody wants the file any more.
    pub(super) fn on_read(&mut self, path: &Arc<str>) -> bool {
        let Some(seen) = self.files.get_mut(path) else { return false };
        *seen = Seen::Once { reading: false };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_when_they_are_new_and_again_when_they_are_old() {
        let names = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect();
        let at = |seconds| Time::ZERO + Span::secs(seconds);
        let mut material = Material::new(Span::secs(10));
        assert!(material.is_complete() && material.deadline().is_none());
        material.want(&names(&["a", "b"]));
        assert_eq!((material.deadline(), material.due(at(1)).len()), (Some(Time::ZERO), 2));
        assert!(material.due(at(2)).is_empty() && !material.is_complete());
        assert!(material.on_read(&"a".into()) && material.on_read(&"b".into()));
        assert!(material.is_complete());
        material.want(&names(&["b", "c"]));
        assert_eq!(material.due(at(3)), [Arc::from("c")]);
        assert!(!material.on_read(&"a".into()));
        assert_eq!(material.due(at(11)), [Arc::from("b")]);
        assert_eq!(material.deadline(), Some(at(21)));
        material.hint(at(12));
        assert_eq!(material.deadline(), Some(at(12)));
    }
}
