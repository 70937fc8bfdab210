//! Which requests are mirrored: Traefik's counter in closed form, so that any number of cores
//! agree from the ticket alone.
use crate::base::mutant::{Mutant, planted};

/// Whether the request with this ticket goes to a mirror that takes `percent` of all. The first
/// request is mirrored, and of every hundred exactly `percent` are.
#[inline]
pub fn is_mirrored(ticket: u64, percent: u8) -> bool {
    let percent = if planted(Mutant::MirrorsMore) { percent.saturating_add(10) } else { percent };
    let percent = u64::from(percent.min(100));
    let t = ticket % 100;
    ((t + 1) * percent).div_ceil(100) != (t * percent).div_ceil(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_a_counter_that_lags_behind_the_percentage() {
        for percent in 0..=100u8 {
            let (mut total, mut mirrored) = (0u64, 0u64);
            for ticket in 0..1_000 {
                total += 1;
                let due = mirrored * 100 < total * u64::from(percent);
                mirrored += u64::from(due);
                assert_eq!(is_mirrored(ticket, percent), due, "{percent}% at {ticket}");
            }
            assert_eq!(mirrored, 10 * u64::from(percent));
        }
    }

    #[test]
    fn the_last_ticket_is_as_good_as_any() {
        assert!(is_mirrored(u64::MAX, 100) && !is_mirrored(u64::MAX, 0));
    }
}
