//! What people and choices need to know of a certificate, read from its DER encoding (X.690; RFC
//! 5280 §4.1). It decides nothing about trust.

use crate::base::spiffe::SpiffeId;
use crate::config::typed::NamePart;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a certificate says about itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CertificateInfo {
    pub common_name: String,
    pub subject: Name,
    pub issuer: Name,
    /// In decimal.
    pub serial: String,
    pub dns_names: Vec<String>,
    pub emails: Vec<String>,
    pub uris: Vec<String>,
    pub addresses: Vec<IpAddr>,
    /// Seconds since 1970.
    pub not_before: i64,
    pub not_after: i64,
}

/// The parts of a distinguished name that are known here, in its order.
pub(super) type Name = Vec<(NamePart, String)>;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const BMP_STRING: u8 = 0x1e;
/// RFC 4519 §2.4.
const DOMAIN_COMPONENT: &[u8] = &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// Values one after another.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], rest) = self.0.split_first_chunk::<2>()?;
        let (len, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The next value, which must be of this kind.
    fn want(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }
}

impl<'a> Iterator for Der<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.next()
    }
}

impl CertificateInfo {
    /// `None` if this is no certificate.
    pub fn read(der: &[u8]) -> Option<Self> {
        let mut all = Der(Der(der).want(SEQUENCE)?);
        let mut body = Der(all.want(SEQUENCE)?);
        if body.0.first() == Some(&VERSION) {
            body.want(VERSION)?;
        }
        let serial = decimal(body.want(INTEGER)?);
        body.want(SEQUENCE)?;
        let issuer = name(body.want(SEQUENCE)?);
        let mut validity = Der(body.want(SEQUENCE)?);
        let subject = name(body.want(SEQUENCE)?);
        let common_name = subject.iter().find(|(part, _)| *part == NamePart::CommonName);
        let mut info = Self {
            common_name: common_name.map(|(_, name)| name.clone()).unwrap_or_default(),
            subject,
            issuer,
            serial,
            not_before: time(validity.next()?)?,
            not_after: time(validity.next()?)?,
            ..Self::default()
        };
        body.want(SEQUENCE)?;
        for (tag, content) in body {
            if tag == EXTENSIONS {
                info.read_extensions(content)?;
            }
        }
        all.want(SEQUENCE)?;
        all.want(BIT_STRING)?;
        Some(info)
    }

    fn read_extensions(&mut self, content: &[u8]) -> Option<()> {
        for (tag, extension) in Der(Der(content).want(SEQUENCE)?) {
            let mut extension = Der(extension);
            let oid = extension.want(OID).filter(|_| tag == SEQUENCE)?;
            if oid != SUBJECT_ALT_NAME {
                continue;
            }
            let value = extension.find(|(tag, _)| *tag == OCTET_STRING)?.1;
            for (tag, name) in Der(Der(value).want(SEQUENCE)?) {
                let text = || std::str::from_utf8(name).ok().map(str::to_owned);
                match tag {
                    0x81 => self.emails.extend(text()),
                    0x82 => self.dns_names.extend(text()),
                    // One that is no text still counts.
                    0x86 => self.uris.push(String::from_utf8_lossy(name).into_owned()),
                    0x87 => self.addresses.extend(address(name)),
                    _ => {}
                }
            }
        }
        Some(())
    }

    /// An X.509 SVID has exactly one URI, and it is an id.
    pub fn spiffe_id(&self) -> Option<SpiffeId> {
        match self.uris.as_slice() {
            [uri] => SpiffeId::parse(uri).ok(),
            _ => None,
        }
    }

    /// Names that a client may ask for: those that it vouches for, else the common name.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.dns_names.clone();
        names.extend(self.addresses.iter().map(IpAddr::to_string));
        if names.is_empty() && !self.common_name.is_empty() {
            names.push(self.common_name.clone());
        }
        names.iter_mut().for_each(|name| name.make_ascii_lowercase());
        names
    }
}

/// The encodings of values one after another, each whole.
pub(super) fn split(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let mut rest = Der(bytes);
        rest.want(SEQUENCE)?;
        let (whole, behind) = bytes.split_at(bytes.len() - rest.0.len());
        found.push(whole);
        bytes = behind;
    }
    Some(found)
}

fn name(content: &[u8]) -> Name {
    let sets = Der(content).filter(|(tag, _)| *tag == SET);
    let attribute = |(_, attribute): (u8, &[u8])| {
        let mut attribute = Der(attribute);
        let part = part(attribute.want(OID)?)?;
        attribute.next().map(|(tag, value)| (part, text(tag, value)))
    };
    sets.flat_map(|(_, set)| Der(set)).filter_map(attribute).collect()
}

/// RFC 5280, appendix A.1.
fn part(oid: &[u8]) -> Option<NamePart> {
    Some(match oid {
        DOMAIN_COMPONENT => NamePart::DomainComponent,
        [0x55, 0x04, 3] => NamePart::CommonName,
        [0x55, 0x04, 5] => NamePart::SerialNumber,
        [0x55, 0x04, 6] => NamePart::Country,
        [0x55, 0x04, 7] => NamePart::Locality,
        [0x55, 0x04, 8] => NamePart::Province,
        [0x55, 0x04, 10] => NamePart::Organization,
        [0x55, 0x04, 11] => NamePart::OrganizationalUnit,
        _ => return None,
    })
}

fn text(tag: u8, bytes: &[u8]) -> String {
    if tag != BMP_STRING {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let (units, _) = bytes.as_chunks::<2>();
    let units: Vec<u16> = units.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
    String::from_utf16_lossy(&units)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(|it| IpAddr::V4(Ipv4Addr::from(it)));
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(|it| IpAddr::V6(Ipv6Addr::from(it)))).ok()
}

/// A positive integer of any length.
fn decimal(bytes: &[u8]) -> String {
    let mut digits = vec![0u8];
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            let value = u32::from(*digit) * 256 + carry;
            *digit = u8::try_from(value % 10).expect("a digit");
            carry = value / 10;
        }
        while carry > 0 {
            digits.push(u8::try_from(carry % 10).expect("a digit"));
            carry /= 10;
        }
    }
    digits.iter().rev().map(|digit| char::from(b'0' + digit)).collect()
}

/// RFC 5280 §4.1.2.5: always in UTC, with seconds.
fn time((tag, text): (u8, &[u8])) -> Option<i64> {
    let digits = text.strip_suffix(b"Z")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let two = |at: usize| {
        Some(i64::from(digits.get(at)? - b'0') * 10 + i64::from(digits.get(at + 1)? - b'0'))
    };
    let (year, at) = match (tag, digits.len()) {
        (UTC_TIME, 12) => {
            (two(0).map(|year| if year < 50 { 2000 + year } else { 1900 + year })?, 2)
        }
        (GENERALIZED_TIME, 14) => (two(0)? * 100 + two(2)?, 4),
        _ => return None,
    };
    let (month, day) = (two(at)?, two(at + 2)?);
    let in_range = (1..=12).contains(&month) && (1..=31).contains(&day);
    let seconds = two(at + 4)? * 3600 + two(at + 6)? * 60 + two(at + 8)?;
    in_range.then(|| days(year, month, day) * 86_400 + seconds)
}

/// Days since 1970 of a date of the Gregorian calendar, counted in years that begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month < 3);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year
        - 719_468
}

/// Year, month and day of a number of days since 1970.
pub(super) fn date(days: i64) -> (i32, u8, u8) {
    let mut year = 1970 + days.div_euclid(366);
    while self::days(year + 1, 1, 1) <= days {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| self::days(year, *month, 1) <= days).unwrap_or(1);
    let day = days - self::days(year, month, 1) + 1;
    let small = |value: i64| u8::try_from(value).expect("a month or a day");
    (i32::try_from(year).unwrap_or(i32::MAX), small(month), small(day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_days_agree() {
        assert_eq!(days(1970, 1, 1), 0);
        assert_eq!(days(2000, 3, 1), 11_017);
        for day in (0..60_000).step_by(7).chain(11_010..11_030) {
            let (year, month, of_month) = date(day);
            assert_eq!(days(year.into(), month.into(), of_month.into()), day, "{day}");
        }
    }

    #[test]
    fn times_are_read_in_both_forms() {
        let read = |tag, text: &str| time((tag, text.as_bytes()));
        assert_eq!(read(UTC_TIME, "700101000001Z"), Some(1));
        assert_eq!(read(UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(read(GENERALIZED_TIME, "20500101000000Z"), Some(2_524_608_000));
        for bad in ["700101000001", "7001010000Z", "701301000000Z", "7001a1000000Z"] {
            assert_eq!(read(UTC_TIME, bad), None, "{bad}");
        }
    }

    #[test]
    fn integers_of_any_length_are_written_in_decimal() {
        assert_eq!(decimal(&[0]), "0");
        assert_eq!(decimal(&[1, 0]), "256");
        assert_eq!(decimal(&[0xff; 16]), u128::MAX.to_string());
    }

    #[test]
    fn a_certificate_cut_anywhere_is_no_certificate() {
        let mut params =
            rcgen::CertificateParams::new(vec!["a.example".to_owned(), "10.0.0.1".to_owned()])
                .expect("names");
        params.not_before = rcgen::date_time_ymd(2020, 2, 29);
        params.not_after = rcgen::date_time_ymd(2060, 1, 1);
        params.serial_number = Some(vec![1, 0].into());
        params.distinguished_name.push(rcgen::DnType::CommonName, "a");
        let uri = "spiffe://example/a".try_into().expect("a URI");
        params.subject_alt_names.push(rcgen::SanType::URI(uri));
        let key = rcgen::KeyPair::generate().expect("a key");
        let cert = params.self_signed(&key).expect("a certificate");
        let info = CertificateInfo::read(cert.der()).expect("a certificate");
        assert_eq!(info.names(), ["a.example", "10.0.0.1"]);
        assert_eq!((&*info.common_name, &*info.serial), ("a", "256"));
        assert_eq!(info.uris, ["spiffe://example/a"]);
        assert_eq!((info.not_before, info.not_after), (1_582_934_400, 2_840_140_800));
        for len in 0..cert.der().len() {
            assert_eq!(CertificateInfo::read(&cert.der()[..len]), None, "{len} bytes");
        }
    }
}
