//! What `/metrics` shows: Traefik's names where it has them, ours for children, workers and what
//! was given up. All workers' shards are added up here, by whoever is asked.

mod breakers;
mod children;
mod page;
mod requests;
mod secure;
#[cfg(test)]
mod tests;
mod workers;

use super::internal::{Answer, Sight};
use crate::base::diag::Severity;
use crate::view::NodeKind;
use crate::view::stats::Count;
use crate::view::status::Health;
use page::{Kind, Page};

pub(super) fn answer(sight: &Sight<'_>) -> Answer {
    let mut page = Page::default();
    configuration(sight, &mut page);
    connections(sight, &mut page);
    requests::write(sight, &mut page);
    secure::write(sight, &mut page);
    breakers::write(sight, &mut page);
    servers(sight, &mut page);
    children::write(sight, &mut page);
    workers::write(sight, &mut page);
    Answer {
        status: 200,
        content_type: "text/plain; version=0.0.4; charset=utf-8",
        fields: Vec::new(),
        body: page.finish(),
    }
}

fn configuration(sight: &Sight<'_>, page: &mut Page) {
    let status = &sight.view.status;
    page.family("traefik_config_reloads_total", Kind::Counter, "Configurations taken into use.");
    page.row(&[]).number(status.reloads.applied);
    page.family(
        "traefik_config_last_reload_success",
        Kind::Gauge,
        "When the configuration in use was taken into use, in seconds since 1970.",
    );
    let applied = status.reloads.applied_at.map_or(0, |at| sight.stats.started.at(at));
    page.row(&[]).seconds(applied);
    page.family(
        "tieline_config_refused_total",
        Kind::Counter,
        "Configurations that were refused and left the last good one in use.",
    );
    page.row(&[]).number(status.reloads.refused);
    page.family(
        "tieline_config_last_refused",
        Kind::Gauge,
        "1 while the newest configuration is refused.",
    );
    page.row(&[]).number(status.reloads.last_refused.into());
    page.family("tieline_diagnostics", Kind::Gauge, "Problems of the configuration in use.");
    for (severity, label) in [(Severity::Error, "error"), (Severity::Warning, "warning")] {
        let same = status.diagnostics.iter().filter(|d| d.severity == severity);
        page.row(&[("severity", label)]).number(same.count() as u64);
    }
    page.family("process_start_time_seconds", Kind::Gauge, "When the process started.");
    page.row(&[]).seconds(sight.stats.started.0);
}

fn connections(sight: &Sight<'_>, page: &mut Page) {
    page.family("traefik_open_connections", Kind::Gauge, "Open client connections.");
    for (at, entry) in sight.view.entries.iter().enumerate() {
        let open = sight.stats.workers.iter().filter_map(|worker| worker.clients.get(at));
        let labels = [("entrypoint", &*entry.settings.name), ("protocol", "TCP")];
        page.row(&labels).number(open.map(Count::get).sum());
    }
}

/// Servers with a check; one without is not known to be up or down.
fn servers(sight: &Sight<'_>, page: &mut Page) {
    page.family("traefik_service_server_up", Kind::Gauge, "1 for a server that is up, else 0.");
    for node in sight.view.services.iter() {
        let NodeKind::Balancer { servers, .. } = &node.kind else { continue };
        for server in servers {
            let Some(status) = sight.view.status.servers.get(server.id.0) else { continue };
            let up = status.health != Health::Down && !status.ejected;
            page.row(&[("service", &node.name), ("url", &server.url)]).number(up.into());
        }
    }
}
