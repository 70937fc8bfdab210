//! Places that a simulation must reach. A mark is hit where something rare happens; the swarm
//! fails when a mark was never hit, and a scenario asserts its own. Counting is always compiled
//! in, costs about a nanosecond, and production shows it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! marks {
    ($($name:ident $doc:literal,)*) => {
        /// A rare place in the engine, named by what happened there.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Mark { $(#[doc = $doc] $name,)* }

        impl Mark {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            pub const fn about(self) -> &'static str {
                match self { $(Self::$name => $doc,)* }
            }
        }
    };
}

marks! {
    AliasClash "two offers of children would have had one name",
    MemberLeftOut "a service left out a member that cannot serve",
    PeriodScaled "weights were too large for one exact period",
    ServiceCycle "a service referred to itself",
    StaleServes "only children that were not heard of for long could serve",
    UnknownServes "only servers whose check had not answered could serve",
    ShortWriteResumed "a write took less than was offered and went on later",
}

/// How often each mark was hit, by one machine.
#[derive(Debug)]
pub struct Marks([AtomicU64; Mark::ALL.len()]);

impl Default for Marks {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; Mark::ALL.len()])
    }
}

impl Marks {
    #[inline]
    pub fn hit(&self, mark: Mark) {
        let count = &self.0[mark as usize];
        count.store(count.load(Relaxed) + 1, Relaxed);
    }

    pub fn count(&self, mark: Mark) -> u64 {
        self.0[mark as usize].load(Relaxed)
    }
}
