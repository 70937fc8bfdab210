//! Counting in Redis, for all gateways that ask the same one: what is asked, and what the answer
//! means.
//!
//! A bucket is one key with one number: when it will be full again, in microseconds of the clock
//! of Redis. A script moves it on, so that however many ask at once, each sees what those before
//! have left; no clock of a gateway plays a part.

use super::passing::Whose;
use super::rate::{Grant, Rate};
use super::resp;
use crate::base::digest::{hex_digits, sha256};
use crate::base::id::TargetId;
use crate::base::text::decimal;
use crate::base::time::Span;
use crate::config::typed::{Redis, Source};
use std::sync::Arc;

/// Answers whether there was a token, and after how many microseconds it or another is there.
/// The key goes when its bucket is full.
pub const SCRIPT: &str = "\
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local interval, ahead, patience = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full = tonumber(redis.call('GET', KEYS[1]) or '0')
local wait = math.max(full - now - ahead, 0)
if wait > patience then
  return {0, wait}
end
full = math.max(full, now) + interval
local left = string.format('%.0f', math.ceil((full - now) / 1000))
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', left)
return {1, wait}
";

/// What all our keys begin with.
const PREFIX: &str = "tieline:rate:";

/// Where one middleware counts.
#[derive(Clone, Debug)]
pub struct Ledger {
    pub redis: Arc<Redis>,
    pub target: TargetId,
    /// How the names of its buckets begin: all gateways with a middleware of this name share them.
    lead: Arc<str>,
}

impl Ledger {
    pub fn new(middleware: &str, redis: Arc<Redis>, target: TargetId) -> Self {
        Self { redis, target, lead: format!("{PREFIX}{middleware}:").into() }
    }

    /// Whether it and another can be asked on one connection.
    pub fn is_beside(&self, other: &Self) -> bool {
        let same = Arc::ptr_eq(&self.redis, &other.redis) || self.redis == other.redis;
        self.target == other.target && same
    }

    /// The name of a bucket. Fields of requests may be secrets, so they are told by their hash.
    pub(super) fn write_bucket(&self, whose: Whose<'_>, source: &Source, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(self.lead.as_bytes());
        match (whose, source) {
            (Whose::Address(ip), _) => {
                out.extend_from_slice(ip.to_canonical().to_string().as_bytes());
            }
            (Whose::Text(text), Source::Header(_)) => out.extend(hex_digits(&sha256(text))),
            (Whose::Text(text), Source::Host | Source::Ip(_)) => out.extend_from_slice(text),
        }
    }
}

/// What is said first on a connection: who we are, which database is meant, and what will be
/// asked. The answer to the last is the name of the script.
pub fn greeting(redis: &Redis) -> (Vec<u8>, u8) {
    let mut out = Vec::new();
    let mut commands = 1;
    let password = redis.password.reveal();
    if !password.is_empty() {
        let user = redis.username.as_bytes();
        match user.is_empty() {
            true => resp::put(&mut out, &[b"AUTH", password]),
            false => resp::put(&mut out, &[b"AUTH", user, password]),
        }
        commands += 1;
    }
    if redis.db > 0 {
        let db = redis.db.to_string();
        resp::put(&mut out, &[b"SELECT", db.as_bytes()]);
        commands += 1;
    }
    resp::put(&mut out, &[b"SCRIPT", b"LOAD", SCRIPT.as_bytes()]);
    (out, commands)
}

/// Asks for a token; `script` is its name, or nothing where Redis has forgotten it.
pub fn question(rate: &Rate, bucket: &[u8], script: Option<&[u8]>, out: &mut Vec<u8>) {
    let [interval, ahead, patience] = rate.micros();
    let mut room = [[0; 20]; 3];
    let [one, two, three] = &mut room;
    let numbers = [decimal(interval, 1, one), decimal(ahead, 1, two), decimal(patience, 1, three)];
    let [interval, ahead, patience] = numbers;
    let (command, script): (&[u8], &[u8]) = match script {
        Some(name) => (b"EVALSHA", name),
        None => (b"EVAL", SCRIPT.as_bytes()),
    };
    resp::put(out, &[command, script, b"1", bucket, interval, ahead, patience]);
}

/// What the script said. None if it cannot have said so.
pub fn grant(passes: i64, wait_micros: i64) -> Option<Grant> {
    let wait = u64::try_from(wait_micros).ok()?;
    let wait = Span::from_nanos(wait.saturating_mul(1_000));
    match (passes, wait) {
        (1, Span::ZERO) => Some(Grant::Now),
        (1, wait) => Some(Grant::After(wait)),
        (0, wait) => Some(Grant::Refused(wait)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;
    use crate::config::fixed::{Authority, Transport};

    fn redis(username: &str, password: &str, db: u32) -> Redis {
        Redis {
            endpoint: Authority::default(),
            username: username.to_owned(),
            password: Secret::new(password.as_bytes()),
            db,
            transport: Transport::default(),
        }
    }

    #[test]
    fn a_connection_begins_with_who_we_are_and_what_is_meant() {
        let begins = |redis: &Redis, expected: &str, commands: u8| {
            let (bytes, count) = greeting(redis);
            let text = String::from_utf8(bytes).expect("text");
            assert!(text.starts_with(expected), "{text}");
            assert!(text.contains("$4\r\nLOAD\r\n"), "{text}");
            assert_eq!(count, commands);
        };
        begins(&redis("", "", 0), "*3\r\n$6\r\nSCRIPT\r\n", 1);
        begins(&redis("", "pw", 0), "*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n*3\r\n", 2);
        begins(&redis("me", "pw", 0), "*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$2\r\npw\r\n*3\r\n", 2);
        begins(&redis("", "", 7), "*2\r\n$6\r\nSELECT\r\n$1\r\n7\r\n*3\r\n", 2);
    }

    #[test]
    fn those_share_a_connection_that_say_the_same_to_the_same_redis() {
        let ledger = |name: &str, redis: Redis, target: u32| {
            Ledger::new(name, Arc::new(redis), TargetId(target))
        };
        let one = ledger("a@file", redis("me", "pw", 0), 3);
        assert!(one.is_beside(&one.clone()));
        assert!(one.is_beside(&ledger("b@file", redis("me", "pw", 0), 3)));
        for other in [
            ledger("a@file", redis("me", "pw", 0), 4),
            ledger("a@file", redis("you", "pw", 0), 3),
            ledger("a@file", redis("me", "other", 0), 3),
            ledger("a@file", redis("me", "pw", 1), 3),
        ] {
            assert!(!one.is_beside(&other), "{other:?}");
        }
    }

    #[test]
    fn buckets_are_named_by_middleware_and_source_and_fields_are_hashed() {
        let ledger = Ledger::new("a@file", Arc::new(redis("", "", 0)), TargetId(0));
        let name = |whose, source: &Source| {
            let mut out = Vec::new();
            ledger.write_bucket(whose, source, &mut out);
            String::from_utf8(out).expect("text")
        };
        let ip = Whose::Address("::ffff:192.0.2.7".parse().expect("an address"));
        let header = Source::Header("Authorization".to_owned());
        assert_eq!(name(ip, &Source::Host), "tieline:rate:a@file:192.0.2.7");
        assert_eq!(name(Whose::Text(b"shop"), &Source::Host), "tieline:rate:a@file:shop");
        let hashed = name(Whose::Text(b"hunter2"), &header);
        assert_eq!(hashed.len(), "tieline:rate:a@file:".len() + 64);
        assert!(!hashed.contains("hunter2"));
        assert_ne!(hashed, name(Whose::Text(b"hunter3"), &header));
    }

    #[test]
    fn answers_that_no_script_gives_are_none() {
        assert_eq!(grant(1, 0), Some(Grant::Now));
        assert_eq!(grant(1, 1_500), Some(Grant::After(Span::from_nanos(1_500_000))));
        assert_eq!(grant(0, 2_000_000), Some(Grant::Refused(Span::secs(2))));
        assert_eq!(grant(0, i64::MAX), Some(Grant::Refused(Span::from_nanos(u64::MAX))));
        assert_eq!(grant(2, 0), None);
        assert_eq!(grant(1, -1), None);
    }
}
