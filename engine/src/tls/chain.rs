//! The certificates that a client showed, in the words of two fields that servers of Traefik's
//! users read.

use super::der::{CertificateInfo, Name};
use crate::base::base64;
use crate::base::text::number;
use crate::config::typed::{CertificateFacts, NamePart};
use rustls::pki_types::CertificateDer;
use std::net::IpAddr;

/// Its own one first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chain(Box<[Link]>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Link {
    der: Box<[u8]>,
    info: CertificateInfo,
}

impl Chain {
    /// Nothing if it showed none, or its own one cannot be read.
    pub fn of(certificates: &[CertificateDer<'_>]) -> Option<Self> {
        let link = |der: &CertificateDer<'_>| {
            Some(Link { der: der.as_ref().into(), info: CertificateInfo::read(der)? })
        };
        let links: Option<Box<[Link]>> = certificates.iter().map(link).collect();
        links.filter(|links| !links.is_empty()).map(Self)
    }

    /// The certificates as PEM without its lines.
    pub fn write_pem(&self, out: &mut Vec<u8>) {
        for (at, link) in self.0.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            base64::encode(&link.der, out);
        }
    }

    /// What they say of themselves, escaped like a value in a query.
    pub fn write_facts(&self, wanted: &CertificateFacts, out: &mut Vec<u8>) {
        for (at, link) in self.0.iter().enumerate() {
            if at > 0 {
                escape(b",", out);
            }
            link.info.write_facts(wanted, out);
        }
    }
}

impl CertificateInfo {
    fn write_facts(&self, wanted: &CertificateFacts, out: &mut Vec<u8>) {
        let start = out.len();
        write_name(out, start, "Subject", &self.subject, &wanted.subject);
        write_name(out, start, "Issuer", &self.issuer, &wanted.issuer);
        if wanted.serial_number {
            fact(out, start, "SerialNumber", |out| escape(self.serial.as_bytes(), out));
        }
        for (key, time, wanted) in
            [("NB", self.not_before, wanted.not_before), ("NA", self.not_after, wanted.not_after)]
        {
            if wanted {
                fact(out, start, key, |out| number(time.cast_unsigned(), out));
            }
        }
        if wanted.sans && self.sans_len() > 0 {
            fact(out, start, "SAN", |out| self.write_sans(out));
        }
    }

    fn sans_len(&self) -> usize {
        self.dns_names.len() + self.emails.len() + self.addresses.len() + self.uris.len()
    }

    fn write_sans(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let next = |out: &mut Vec<u8>| {
            if out.len() > start {
                escape(b",", out);
            }
        };
        for name in self.dns_names.iter().chain(&self.emails) {
            next(out);
            escape(name.as_bytes(), out);
        }
        for address in self.addresses.iter().map(IpAddr::to_canonical) {
            next(out);
            escape(address.to_string().as_bytes(), out);
        }
        for uri in &self.uris {
            next(out);
            escape(uri.as_bytes(), out);
        }
    }
}

fn write_name(out: &mut Vec<u8>, start: usize, key: &str, name: &Name, wanted: &[NamePart]) {
    let mut parts = wanted.iter().flat_map(|part| values(name, *part)).peekable();
    if parts.peek().is_none() {
        return;
    }
    fact(out, start, key, |out| {
        let begin = out.len();
        for (part, value) in parts {
            if out.len() > begin {
                escape(b",", out);
            }
            escape(part.short().as_bytes(), out);
            escape(b"=", out);
            escape(value.as_bytes(), out);
        }
    });
}

/// What a name says of one part; of those that there is one of, the last.
fn values(name: &Name, wanted: NamePart) -> impl Iterator<Item = (NamePart, &str)> {
    let of_part = move |(part, value): &&(NamePart, String)| *part == wanted && !value.is_empty();
    let all = name.iter().filter(of_part);
    let single = matches!(wanted, NamePart::CommonName | NamePart::SerialNumber);
    let skipped = if single { all.clone().count().saturating_sub(1) } else { 0 };
    all.skip(skipped).map(|(part, value)| (*part, value.as_str()))
}

/// `key="…"`, behind a semicolon if it is not the first.
fn fact(out: &mut Vec<u8>, start: usize, key: &str, value: impl FnOnce(&mut Vec<u8>)) {
    if out.len() > start {
        escape(b";", out);
    }
    escape(key.as_bytes(), out);
    escape(b"=\"", out);
    value(out);
    escape(b"\"", out);
}

fn escape(text: &[u8], out: &mut Vec<u8>) {
    const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
    for &byte in text {
        match byte {
            b' ' => out.push(b'+'),
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => out.push(byte),
            byte => {
                let digit = |four: u8| DIGITS[usize::from(four)];
                out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair, SanType};

    fn chain() -> Chain {
        let names = ["a.example", "10.0.0.1", "::ffff:10.0.0.2", "2001:db8::7"];
        let mut params = CertificateParams::new(names.map(str::to_owned).to_vec()).expect("names");
        params.not_before = rcgen::date_time_ymd(2020, 2, 29);
        params.not_after = rcgen::date_time_ymd(2060, 1, 1);
        params.serial_number = Some(vec![1, 0].into());
        let uri = "spiffe://example/a".try_into().expect("a URI");
        let email = "a@b.example".try_into().expect("an address");
        params.subject_alt_names.push(SanType::URI(uri));
        params.subject_alt_names.push(SanType::Rfc822Name(email));
        let name = &mut params.distinguished_name;
        *name = rcgen::DistinguishedName::new();
        name.push(DnType::CommonName, "A \u{e4} & b, c");
        name.push(DnType::OrganizationName, "O");
        name.push(DnType::OrganizationalUnitName, "U");
        name.push(DnType::CountryName, "FR");
        name.push(DnType::StateOrProvinceName, "S");
        name.push(DnType::LocalityName, "L");
        name.push(DnType::CustomDnType(vec![2, 5, 4, 5]), "123");
        let component = vec![0, 9, 2342, 19_200_300, 100, 1, 25];
        let value = DnValue::Ia5String("example".try_into().expect("a text"));
        name.push(DnType::CustomDnType(component), value);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Chain::of(&[certificate.der().clone()]).expect("it can be read")
    }

    fn facts(wanted: &CertificateFacts) -> String {
        let mut out = Vec::new();
        chain().write_facts(wanted, &mut out);
        String::from_utf8(out).expect("a text").replace("%22", "\"").replace("%3D", "=")
    }

    #[test]
    fn what_is_wanted_is_told_in_a_fixed_order() {
        let all = CertificateFacts {
            not_after: true,
            not_before: true,
            sans: true,
            serial_number: true,
            subject: NamePart::ALL.to_vec(),
            issuer: vec![NamePart::Country, NamePart::CommonName],
        };
        assert_eq!(
            facts(&all),
            "Subject=\"DC=example%2CC=FR%2CST=S%2CL=L%2CO=O%2COU=U%2CSN=123%2CCN=A+%C3%A4+%26+b\
             %2C+c\"%3BIssuer=\"C=FR%2CCN=A+%C3%A4+%26+b%2C+c\"%3BSerialNumber=\"256\"%3B\
             NB=\"1582934400\"%3BNA=\"2840140800\"%3BSAN=\"a.example%2Ca%40b.example%2C10.0.0.1\
             %2C10.0.0.2%2C2001%3Adb8%3A%3A7%2Cspiffe%3A%2F%2Fexample%2Fa\""
        );
        let none = CertificateFacts::default();
        assert_eq!(facts(&none), "");
        assert_eq!(facts(&CertificateFacts { not_after: true, ..none }), "NA=\"2840140800\"");
    }

    #[test]
    fn several_certificates_are_told_one_after_another() {
        let Chain(links) = chain();
        let twice = Chain([links.clone(), links.clone()].concat().into());
        let (mut one, mut two) = (Vec::new(), Vec::new());
        Chain(links).write_pem(&mut one);
        twice.write_pem(&mut two);
        assert_eq!(two, [&one[..], b",", &one].concat());
        let wanted = CertificateFacts { serial_number: true, ..CertificateFacts::default() };
        let mut out = Vec::new();
        twice.write_facts(&wanted, &mut out);
        assert_eq!(out, b"SerialNumber%3D%22256%22%2CSerialNumber%3D%22256%22");
        assert_eq!(Chain::of(&[]), None);
        assert_eq!(Chain::of(&[vec![1, 2, 3].into()]), None);
    }
}
