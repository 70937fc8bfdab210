//! The fields that tell a server which certificate its client showed. Where a route has them, they
//! come from nobody else.

use super::Step;
use crate::config::typed::{CertificateFacts, PassClientCert};

pub const CERT: &str = "X-Forwarded-Tls-Client-Cert";
pub const INFO: &str = "X-Forwarded-Tls-Client-Cert-Info";

/// Whether a field of this name, or of one that servers may take for it, is written by the step.
pub(super) fn owns(pass: &PassClientCert, name: &[u8]) -> bool {
    let is = |field: &str| {
        let same = |(a, b): (u8, &u8)| a.eq_ignore_ascii_case(b) || (a == b'-' && *b == b'_');
        field.len() == name.len() && field.bytes().zip(name).all(same)
    };
    (pass.pem && is(CERT)) || (pass.facts.is_some() && is(INFO))
}

/// Whether the certificate is wanted, and what else; the innermost step that says it counts.
pub fn wanted(steps: &[Step]) -> (bool, Option<&CertificateFacts>) {
    let all = || {
        steps
            .iter()
            .rev()
            .filter_map(|it| if let Step::ClientCert(it) = it { Some(it) } else { None })
    };
    (all().any(|pass| pass.pem), all().find_map(|pass| pass.facts.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_owns_what_servers_may_take_for_its_fields() {
        let own =
            |pem, facts: bool| PassClientCert { pem, facts: facts.then(CertificateFacts::default) };
        for (field, pem, facts) in [(CERT, true, false), (INFO, false, true)] {
            let owned = [field.to_owned(), field.to_lowercase(), field.replace('-', "_")];
            for name in owned.iter().map(String::as_bytes) {
                assert!(owns(&own(pem, facts), name) && owns(&own(true, true), name));
                assert!(!owns(&own(facts, pem), name) && !owns(&own(false, false), name));
            }
            for other in [field.replace('-', "."), format!("{field}s"), field.replace('X', "Y")] {
                assert!(!owns(&own(true, true), other.as_bytes()), "{other}");
            }
        }
    }
}
