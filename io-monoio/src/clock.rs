//! The only clock: what every thread of a gateway calls now.

use engine::base::time::{Time, Wall};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Started once per gateway and copied to its threads, so that their times compare.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    wall: Wall,
}

impl Clock {
    pub fn start() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = Wall(u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX));
        Self { start: Instant::now(), wall }
    }

    #[inline]
    pub fn now(&self) -> Time {
        let nanos = self.start.elapsed().as_nanos();
        Time::from_nanos(u64::try_from(nanos).expect("no process runs for 584 years"))
    }

    /// The wall clock as of [`Time::ZERO`].
    pub fn wall(&self) -> Wall {
        self.wall
    }
}
