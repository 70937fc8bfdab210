//! Ranges of addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A range of addresses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Cidr {
    pub addr: IpAddr,
    pub bits: u8,
}

impl Cidr {
    /// `10.0.0.0/8`, or one address. Bits after the prefix are cleared; an IPv6 form of an IPv4
    /// address is that IPv4 address.
    pub fn parse(text: &str) -> Option<Self> {
        let (addr, bits) = match text.split_once('/') {
            Some((addr, bits)) => (addr.parse().ok()?, Some(decimal(bits)?)),
            None => (text.parse::<IpAddr>().ok()?, None),
        };
        let width: u8 = if addr.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        if bits > width {
            return None;
        }
        match (addr, addr.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(v4)) if bits >= 96 => Some(Self::of(v4.into(), bits - 96)),
            _ => Some(Self::of(addr, bits)),
        }
    }

    fn of(addr: IpAddr, bits: u8) -> Self {
        let addr = match addr {
            IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & mask(32, bits).1).into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & mask(128, bits).0).into(),
        };
        Self { addr, bits }
    }

    pub fn contains(&self, addr: IpAddr) -> bool {
        match (self.addr, addr.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (own.to_bits() ^ other.to_bits()) & mask(32, self.bits).1 == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                (own.to_bits() ^ other.to_bits()) & mask(128, self.bits).0 == 0
            }
            _ => false,
        }
    }
}

/// The leading `bits` of a word of `width` bits, as a wide and as a narrow word.
fn mask(width: u8, bits: u8) -> (u128, u32) {
    let wide = u128::MAX.checked_shl(u32::from(128 - bits)).unwrap_or(0);
    let narrow = u32::MAX.checked_shl(u32::from(width.min(32).saturating_sub(bits))).unwrap_or(0);
    (wide, narrow)
}

fn decimal(text: &str) -> Option<u8> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn range(text: &str, shown: &str) {
        let parsed = Cidr::parse(text).map_or_else(|| "none".to_owned(), |range| range.to_string());
        assert_eq!(parsed, shown, "{text}");
    }

    #[test]
    fn ranges_are_masked_and_wrong_ones_refused() {
        range("10.1.2.3", "10.1.2.3/32");
        range("10.1.2.3/8", "10.0.0.0/8");
        range("0.0.0.0/0", "0.0.0.0/0");
        range("2001:db8::1/32", "2001:db8::/32");
        range("::1", "::1/128");
        range("::ffff:10.1.2.3/104", "10.0.0.0/8");
        range("10.1.2.3/33", "none");
        range("10.1.2.3/+8", "none");
        range("10.1.2", "none");
        range("", "none");
    }

    #[test]
    fn a_range_contains_its_addresses_in_both_spellings() {
        let contains = |range: &str, addr: &str| {
            let range = Cidr::parse(range).expect("the range parses");
            range.contains(addr.parse().expect("the address parses"))
        };
        assert!(contains("10.0.0.0/8", "10.255.0.1"));
        assert!(contains("10.0.0.0/8", "::ffff:10.255.0.1"));
        assert!(!contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("0.0.0.0/0", "11.0.0.1"));
        assert!(!contains("0.0.0.0/0", "::1"));
        assert!(contains("::/0", "::1"));
        assert!(contains("2001:db8::/33", "2001:db8:7fff::1"));
        assert!(!contains("2001:db8::/33", "2001:db8:8000::1"));
    }
}
