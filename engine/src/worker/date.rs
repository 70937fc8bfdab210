//! The `Date` of our answers and of relayed ones without it (RFC 9110 §6.6.1), written anew each
//! second.

use crate::base::text::http_date;
use crate::base::time::{Time, Wall};

const SECOND: u64 = 1_000_000_000;

#[derive(Debug)]
pub(super) struct Date {
    wall: Wall,
    /// Since 1970: the second that `line` is of.
    second: Option<u64>,
    line: Vec<u8>,
}

impl Date {
    pub(super) fn new(wall: Wall) -> Self {
        Self { wall, second: None, line: Vec::with_capacity(64) }
    }

    /// The field line as of `now`.
    pub(super) fn line(&mut self, now: Time) -> &[u8] {
        let nanos = self.wall.at(now);
        let second = nanos / SECOND;
        if self.second != Some(second) {
            self.second = Some(second);
            self.line.clear();
            self.line.extend_from_slice(b"Date: ");
            http_date(nanos, &mut self.line);
            self.line.extend_from_slice(b"\r\n");
        }
        &self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_follows_the_clock() {
        let mut date = Date::new(Wall(784_111_776 * SECOND));
        let mut check = |nanos: u64, text: &str| {
            let line = date.line(Time::from_nanos(nanos));
            assert_eq!(line.escape_ascii().to_string(), format!("Date: {text}\\r\\n"));
        };
        check(SECOND, "Sun, 06 Nov 1994 08:49:37 GMT");
        check(2 * SECOND - 1, "Sun, 06 Nov 1994 08:49:37 GMT");
        check(2 * SECOND, "Sun, 06 Nov 1994 08:49:38 GMT");
        check(86_400 * SECOND, "Mon, 07 Nov 1994 08:49:36 GMT");
    }
}
