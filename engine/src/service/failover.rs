//! Which side of a failover serves: the better known one, the main side when they are alike.

use super::standing::Standing;
use crate::base::mutant::{Mutant, planted};

/// Which side of a failover takes requests now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    Main,
    Fallback,
    Neither,
}

impl Side {
    pub fn of(main: Standing, fallback: Standing) -> Self {
        match () {
            () if !main.max(fallback).serves() => Self::Neither,
            () if main >= fallback || planted(Mutant::FailoverStays) => Self::Main,
            () => Self::Fallback,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Standing::{Down, Unknown, Up, UpStale};

    #[test]
    fn main_serves_unless_the_fallback_is_known_better() {
        for (main, fallback, side) in [
            (Up, Up, Side::Main),
            (Up, Down, Side::Main),
            (Down, Up, Side::Fallback),
            (Down, Down, Side::Neither),
            (Unknown, Down, Side::Main),
            (Unknown, Unknown, Side::Main),
            (Unknown, Up, Side::Fallback),
            (UpStale, Up, Side::Fallback),
            (Down, Unknown, Side::Fallback),
        ] {
            assert_eq!(Side::of(main, fallback), side, "{main:?} {fallback:?}");
        }
    }
}
