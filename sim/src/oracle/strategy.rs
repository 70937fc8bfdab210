//! Choices that turns alone do not make: C1 for `p2c`, `hrw` and `leasttime`. Nobody without a
//! weight or known to be down is chosen; who serves a client by its address, and between which two
//! a ticket leaves the choice, is worked out again from what the documentation says.

use engine::base::prng::Prng;
use engine::config::typed::Strategy;
use std::net::IpAddr;

/// What a log line and the model know of a choice.
#[derive(Clone, Copy, Debug)]
pub struct Picked<'a> {
    pub strategy: Strategy,
    pub ticket: u64,
    pub turn: u16,
    /// By position; 0 of those that take nothing.
    pub weights: &'a [u32],
    /// By position, as written.
    pub names: &'a [&'a str],
    /// Unknown if the line names no request of a client.
    pub client: Option<IpAddr>,
}

pub fn problem(picked: &Picked<'_>) -> Option<String> {
    let Picked { strategy, ticket, turn, weights, names, client } = *picked;
    let turn = usize::from(turn);
    if weights.get(turn).is_none_or(|weight| *weight == 0) {
        return Some(format!("of the weights {weights:?} none is of member {turn}"));
    }
    let (expected, of) = match (strategy, client) {
        (Strategy::P2c, _) => (pair(ticket, weights), format!("ticket {ticket}")),
        (Strategy::Hrw, Some(client)) => (preferred(client, weights, names), client.to_string()),
        (Strategy::Hrw, None) | (Strategy::LeastTime | Strategy::Wrr, _) => return None,
    };
    (!expected.contains(&turn)).then(|| format!("member {turn}, but {of} means {expected:?}"))
}

/// The two that a ticket names among those that take requests; the only one, if there is one.
pub(super) fn pair(ticket: u64, weights: &[u32]) -> Vec<usize> {
    let taking: Vec<usize> = (0..weights.len()).filter(|at| weights[*at] > 0).collect();
    let count = taking.len() as u64;
    if count < 2 {
        return taking;
    }
    let mut chance = Prng::new(ticket);
    let (one, two) = (chance.below(count), chance.below(count));
    let two = if two == one { (one + 1) % count } else { two };
    [one, two].map(|at| taking[usize::try_from(at).expect("below a length")]).to_vec()
}

/// Rendezvous hashing: the highest of `weight / -ln(draw)`, where the draw between 0 and 1 comes
/// from the address and the name. Several if they are too close to tell by this arithmetic.
fn preferred(client: IpAddr, weights: &[u32], names: &[&str]) -> Vec<usize> {
    let score = |(weight, name): (&u32, &&str)| {
        let draw = fnv1a(format!("{client}{name}").as_bytes()) as f64 / 2f64.powi(64);
        if *weight == 0 { f64::MIN } else { f64::from(*weight) / -draw.ln() }
    };
    let scores: Vec<f64> = weights.iter().zip(names).map(score).collect();
    let best = scores.iter().copied().fold(f64::MIN, f64::max);
    let near = |at: &usize| scores[*at] >= best * (1.0 - 1e-9);
    (0..scores.len()).filter(near).collect()
}

fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_member_that_leaves_moves_only_its_own_clients() {
        let names = ["http://a", "http://b", "http://c"];
        for n in 0..=255 {
            let client = IpAddr::from([10, 9, 0, n]);
            let before = preferred(client, &[2, 1, 1], &names);
            let after = preferred(client, &[2, 0, 1], &names);
            assert!(before == [1] || before == after, "{client}: {before:?}, then {after:?}");
        }
    }

    #[test]
    fn members_without_a_weight_are_never_chosen() {
        let picked = Picked {
            strategy: Strategy::P2c,
            ticket: 5,
            turn: 1,
            weights: &[1, 0, 3],
            names: &["a", "b", "c"],
            client: None,
        };
        assert!(problem(&picked).is_some());
        assert!((0..50).all(|ticket| pair(ticket, &[1, 0, 3]).iter().all(|at| *at != 1)));
        assert!((0..50).all(|ticket| problem(&Picked { turn: 2, ticket, ..picked }).is_none()));
    }
}
