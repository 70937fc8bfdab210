//! TLS: until when certificates are good, what clients agreed on, and what came to nothing.

use super::page::{Kind, Page};
use crate::config::tls::Suite;
use crate::tls::Refusal;
use crate::worker::internal::Sight;
use std::collections::BTreeMap;

pub(super) fn write(sight: &Sight<'_>, page: &mut Page) {
    certificates(sight, page);
    requests(sight, page);
    refused(sight, page);
}

fn certificates(sight: &Sight<'_>, page: &mut Page) {
    page.family(
        "traefik_tls_certs_not_after",
        Kind::Gauge,
        "When a certificate expires, in seconds since 1970.",
    );
    let mut shown = BTreeMap::new();
    for listed in sight.view.certificates.iter() {
        let info = &listed.info;
        let sans = info.dns_names.join(",");
        let key = (info.common_name.clone(), info.serial.clone(), sans);
        shown.insert(key, u64::try_from(info.not_after).unwrap_or(0));
    }
    for ((name, serial, sans), not_after) in shown {
        page.row(&[("cn", &name), ("serial", &serial), ("sans", &sans)]).number(not_after);
    }
}

fn requests(sight: &Sight<'_>, page: &mut Page) {
    page.family(
        "traefik_entrypoint_requests_tls_total",
        Kind::Counter,
        "Requests over TLS, by what was agreed on.",
    );
    for (at, entry) in sight.view.entries.iter().enumerate() {
        for suite in Suite::ALL {
            let workers = sight.stats.workers.iter();
            let counts = workers.filter_map(|worker| worker.secure_requests.get(at));
            let count = counts.map(|counts| counts[*suite as usize].get()).sum();
            if count > 0 {
                let labels = [
                    ("tls_version", suite.version().name()),
                    ("tls_cipher", suite.name()),
                    ("entrypoint", &entry.settings.name),
                ];
                page.row(&labels).number(count);
            }
        }
    }
}

/// Only causes that there were.
fn refused(sight: &Sight<'_>, page: &mut Page) {
    page.family(
        "tieline_tls_handshakes_refused_total",
        Kind::Counter,
        "TLS handshakes of requests that came to nothing, by the other side and the cause.",
    );
    let workers = &sight.stats.workers;
    for cause in Refusal::ALL {
        let at = *cause as usize;
        let clients = workers.iter().map(|worker| worker.refused_clients[at].get()).sum();
        let servers = workers.iter().map(|worker| worker.refused_servers[at].get()).sum();
        for (with, count) in [("client", clients), ("server", servers)] {
            let count: u64 = count;
            if count > 0 {
                page.row(&[("with", with), ("cause", cause.code())]).number(count);
            }
        }
    }
}
