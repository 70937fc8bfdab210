//! What a head asks of the connection itself: to stay or close, to switch protocols, to wait for
//! 100 (RFC 9110 §7.6.1, §7.8, §10.1.1).

use super::blame::What;
use super::fields::{self, Field, Known};

/// Options named in one head before the request is refused: each is looked up among all fields.
const NOMINATED_MAX: u32 = 32;

/// The options of `Connection`, gathered line by line.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Options {
    pub close: bool,
    pub keep_alive: bool,
    pub upgrade: bool,
    /// How many fields are named to end at this hop.
    nominated: u32,
}

impl Options {
    /// Notes a `Connection` line.
    pub fn on_connection(&mut self, value: &[u8]) -> Result<(), What> {
        for option in fields::list(value) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else {
                self.nominated += 1;
                if self.nominated > NOMINATED_MAX {
                    return Err(What::TooManyOptions);
                }
            }
        }
        Ok(())
    }

    /// The fields named in `Connection`, as a set of bits by position.
    pub fn nominated(self, all: &[Field<'_>]) -> u128 {
        if self.nominated == 0 {
            return 0;
        }
        let mut set = 0;
        for line in all.iter().filter(|field| Known::of(field.name) == Some(Known::Connection)) {
            for option in fields::list(line.value) {
                for (at, field) in all.iter().enumerate() {
                    let named = field.name.as_bytes().eq_ignore_ascii_case(option);
                    if named && !fields::survives_nomination(field.name) {
                        set |= 1 << at;
                    }
                }
            }
        }
        set
    }
}

/// The protocol that `Upgrade` offers, if one may be switched to. HTTP/2 is not: an origin that
/// switches to it would be spoken to past every route.
pub fn upgrade_to(value: &[u8]) -> Option<&str> {
    let value = std::str::from_utf8(fields::trim(value)).ok()?;
    let mut offers = value.split(',').map(|offer| offer.trim_matches([' ', '\t']));
    let http2 = |offer: &str| {
        offer.eq_ignore_ascii_case("h2c")
            || offer.eq_ignore_ascii_case("h2")
            || offer.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("http/"))
    };
    (!value.is_empty() && !offers.any(http2)).then_some(value)
}

/// Whether the protocol is WebSocket.
pub fn is_websocket(upgrade: &str) -> bool {
    upgrade.eq_ignore_ascii_case("websocket")
}

/// Whether the answer of the origin speaks the protocol that was asked for (RFC 9110 §7.8: it may
/// choose among those offered).
pub fn switched_as_asked(asked: &str, answered: &str) -> bool {
    !answered.is_empty()
        && asked
            .split(',')
            .any(|offer| offer.trim_matches([' ', '\t']).eq_ignore_ascii_case(answered))
}

/// Checks an `Expect` line: only `100-continue` is known.
pub fn expect_continue(value: &[u8]) -> Result<(), What> {
    if value.eq_ignore_ascii_case(b"100-continue") { Ok(()) } else { Err(What::Expectation) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &[&str], expected: &str) {
        let mut options = Options::default();
        lines.iter().try_for_each(|line| options.on_connection(line.as_bytes())).expect("options");
        let mut all: Vec<Field<'_>> =
            lines.iter().map(|line| Field { name: "Connection", value: line.as_bytes() }).collect();
        for name in ["Host", "X-Token", "X-Forwarded-For", "Cookie"] {
            all.push(Field { name, value: b"1" });
        }
        let set = options.nominated(&all);
        let named: Vec<_> = all
            .iter()
            .enumerate()
            .filter(|(at, _)| set >> at & 1 == 1)
            .map(|(_, field)| field.name)
            .collect();
        let Options { close, keep_alive, upgrade, .. } = options;
        assert_eq!(format!("{close} {keep_alive} {upgrade} {named:?}"), expected, "{lines:?}");
    }

    #[test]
    fn options_of_a_connection() {
        check(&[""], "false false false []");
        check(&["Close"], "true false false []");
        check(&["keep-alive, Upgrade"], "false true true []");
        check(&["keep-alive", "close"], "true true false []");
        check(&["x-token, cookie"], r#"false false false ["X-Token", "Cookie"]"#);
        check(&["close, x-TOKEN"], r#"true false false ["X-Token"]"#);
        check(&["host, x-forwarded-for, nothing"], "false false false []");
        check(&["connection"], r#"false false false ["Connection"]"#);
    }

    #[test]
    fn too_many_nominations_are_refused() {
        let mut options = Options::default();
        assert_eq!(options.on_connection("x,".repeat(32).as_bytes()), Ok(()));
        assert_eq!(options.on_connection(b"x"), Err(What::TooManyOptions));
    }

    #[test]
    fn http2_cannot_be_switched_to() {
        assert_eq!(upgrade_to(b"websocket"), Some("websocket"));
        assert_eq!(upgrade_to(b" SPDY/3.1, foo "), Some("SPDY/3.1, foo"));
        for refused in ["h2c", "H2C", "websocket, h2c", "HTTP/2.0", "h2", "", " "] {
            assert_eq!(upgrade_to(refused.as_bytes()), None, "{refused}");
        }
    }

    #[test]
    fn the_answer_must_be_among_the_offers() {
        assert!(switched_as_asked("websocket", "WebSocket"));
        assert!(switched_as_asked("a, b", "b"));
        assert!(!switched_as_asked("websocket", ""));
        assert!(!switched_as_asked("websocket", "other"));
    }

    #[test]
    fn only_100_continue_can_be_expected() {
        assert_eq!(expect_continue(b"100-Continue"), Ok(()));
        assert_eq!(expect_continue(b"tea"), Err(What::Expectation));
        assert_eq!(expect_continue(b""), Err(What::Expectation));
    }
}
