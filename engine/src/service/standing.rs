//! How well something is known to serve, from a server's probe up through the tree of services.

use serde::{Deserialize, Serialize};

/// The verdict of an active check.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub enum Health {
    /// No probe has ended yet, or the check cannot be carried out.
    #[default]
    Unknown,
    Up,
    Down,
}

impl Health {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// Worst to best. A balancer uses its members of the best standing and no others, so that what is
/// not known to be up takes requests only while nothing known to be up is left.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Standing {
    /// Takes nothing.
    #[default]
    Down,
    /// Not checked yet, and its child has not been heard of for long.
    UnknownStale,
    Unknown,
    /// Up, but its child has not been heard of for long.
    UpStale,
    Up,
}

impl Standing {
    pub fn of(health: Health) -> Self {
        match health {
            Health::Unknown => Self::Unknown,
            Health::Up => Self::Up,
            Health::Down => Self::Down,
        }
    }

    /// One step back, for a child whose polls fail.
    #[must_use]
    pub fn demoted(self) -> Self {
        match self {
            Self::Up => Self::UpStale,
            Self::Unknown => Self::UnknownStale,
            Self::Down | Self::UnknownStale | Self::UpStale => self,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::UnknownStale => "unknown, stale",
            Self::Unknown => "unknown",
            Self::UpStale => "up, stale",
            Self::Up => "up",
        }
    }

    /// Whether anything may be sent there at all.
    pub fn serves(self) -> bool {
        self != Self::Down
    }

    /// The standing of a balancer with these members, each with its weight.
    pub fn best(members: impl IntoIterator<Item = (Self, u32)>) -> Self {
        members
            .into_iter()
            .filter(|(_, weight)| *weight > 0)
            .map(|(standing, _)| standing)
            .max()
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balancer_stands_as_its_best_member_that_has_weight() {
        for (members, expected) in [
            (vec![], Standing::Down),
            (vec![(Standing::Up, 0)], Standing::Down),
            (vec![(Standing::Up, 0), (Standing::Unknown, 1)], Standing::Unknown),
            (vec![(Standing::Down, 9), (Standing::UpStale, 1)], Standing::UpStale),
            (vec![(Standing::Unknown, 9), (Standing::UpStale, 1)], Standing::UpStale),
        ] {
            assert_eq!(Standing::best(members.clone()), expected, "{members:?}");
        }
    }
}
