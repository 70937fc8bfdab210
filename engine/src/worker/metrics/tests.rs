//! The page of a small gateway after a few requests.

use crate::base::time::Time;
use crate::config::fixed::{Fixed, Prometheus};
use crate::view::stats::{MirrorSkip, Stats};
use crate::view::status::{ChildPhase, ChildStatus, Health, Reloads, ServerStatus, Status};
use crate::view::{ChildUplink, View};
use crate::worker::accounts::Accounts;
use crate::worker::fixture::{WALL, record, route, server, view};
use crate::worker::internal::{Ask, Sight, answer};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

fn measured() -> (View, Arc<Stats>) {
    let mut view = view();
    view.fixed = Arc::new(Fixed {
        prometheus: Some(Prometheus {
            buckets_micros: vec![5_000, 1_200_000],
            entry_point: "traefik".to_owned(),
            manual_routing: false,
            entry_point_labels: true,
            router_labels: true,
            service_labels: true,
        }),
        ..Fixed::default()
    });
    (view, Arc::new(Stats::new(2, 1, WALL)))
}

#[track_caller]
fn check(view: &View, stats: &Stats, expected: &[&str], absent: &[&str]) {
    let ask = Ask { method: b"GET", path: b"/metrics", query: b"" };
    let sight = Sight { view, stats, now: Time::from_nanos(9_000_000_000), draining: false };
    let answer = answer(crate::view::Internal::Prometheus, &ask, &sight);
    let text = String::from_utf8(answer.body).expect("text");
    for line in expected {
        assert!(text.lines().any(|l| l == *line), "no line {line} in\n{text}");
    }
    for part in absent {
        assert!(!text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn requests_of_all_workers_add_up() {
    let (view, stats) = measured();
    let (route, server) = (route(false), server(1));
    for (worker, status) in [(0, 200), (1, 200), (1, 503)] {
        let mut record = record(&view, &route, &server);
        record.status = status;
        record.retries = 1;
        Accounts::new(Arc::clone(&stats), worker, &view.fixed).finished(&record);
    }
    let entry = "code=\"200\",method=\"GET\",protocol=\"http\",entrypoint=\"web\"";
    let service =
        "code=\"503\",method=\"GET\",protocol=\"http\",service=\"shop-west@multicluster\"";
    check(
        &view,
        &stats,
        &[
            "# TYPE traefik_entrypoint_requests_total counter",
            &format!("traefik_entrypoint_requests_total{{{entry}}} 2"),
            &format!(
                "traefik_entrypoint_request_duration_seconds_bucket{{{entry},le=\"0.005\"}} 0"
            ),
            &format!("traefik_entrypoint_request_duration_seconds_bucket{{{entry},le=\"1.2\"}} 2"),
            &format!("traefik_entrypoint_request_duration_seconds_bucket{{{entry},le=\"+Inf\"}} 2"),
            &format!("traefik_entrypoint_request_duration_seconds_sum{{{entry}}} 0.024000002"),
            &format!("traefik_entrypoint_responses_bytes_total{{{entry}}} 2000"),
            &format!("traefik_service_requests_total{{{service}}} 1"),
            &format!("traefik_service_requests_bytes_total{{{service}}} 3"),
            "traefik_service_retries_total{service=\"shop-west@multicluster\"} 3",
            "tieline_child_request_duration_seconds_count{child=\"west\"} 3",
            "tieline_child_request_duration_seconds{child=\"west\",quantile=\"0.5\"} 0.01024",
        ],
        &["service=\"shop-east@multicluster\""],
    );
}

#[test]
fn internal_requests_do_not_count() {
    let (view, stats) = measured();
    let (route, server) = (route(true), server(1));
    let accounts = Accounts::new(Arc::clone(&stats), 0, &view.fixed);
    accounts.finished(&record(&view, &route, &server));
    check(&view, &stats, &[], &["traefik_entrypoint_requests_total{"]);
}

#[test]
fn mirrors_count_at_their_service_alone() {
    let (view, stats) = measured();
    let accounts = Accounts::new(Arc::clone(&stats), 0, &view.fixed);
    let (route, server) = (route(false), server(0));
    let mut record = record(&view, &route, &server);
    (record.method, record.status) = (b"PROPFIND", 204);
    record.service = Some(crate::base::id::ServiceId(1));
    accounts.mirrored(&record);
    accounts.mine().mirror_skipped(MirrorSkip::BodyTooLarge);
    let labels = "code=\"204\",method=\"EXTENSION_METHOD\",protocol=\"http\"";
    check(
        &view,
        &stats,
        &[
            &format!(
                "traefik_service_requests_total{{{labels},service=\"shop-east@multicluster\"}} 1"
            ),
            "tieline_mirrors_skipped_total{reason=\"body_too_large\"} 1",
        ],
        &["traefik_entrypoint_requests_total{", "child=\"east\",quantile"],
    );
}

#[test]
fn children_and_servers_show_their_state() {
    let (mut view, stats) = measured();
    let mut status = Status {
        reloads: Reloads {
            applied: 3,
            refused: 1,
            last_refused: true,
            applied_at: Some(Time::from_nanos(2_500_000_000)),
            ..Reloads::default()
        },
        ..Status::default()
    };
    for (child, phase) in [(0, ChildPhase::Fresh), (1, ChildPhase::Stale)] {
        let known = ChildStatus { phase, since: Time::ZERO, error: String::new() };
        status.children.set(child, Some(Arc::new(known)));
    }
    let down = ServerStatus {
        health: Health::Down,
        ejected: false,
        since: Time::ZERO,
        reason: "connection refused".to_owned(),
    };
    status.servers.set(1, Some(Arc::new(down)));
    view.status = Arc::new(status);
    let east = Arc::get_mut(&mut view.children[0]).expect("nobody else holds it");
    east.uplinks.push(ChildUplink {
        name: "shop".into(),
        weight: 90,
        standing: crate::view::Standing::Up,
        service: crate::base::id::ServiceId(1),
    });
    east.stats.last_good.store(4_000_000_000, Relaxed);
    east.stats.polls_ok.store(5, Relaxed);
    east.stats.polls_unchanged.store(3, Relaxed);
    stats.workers[1].clients[0].add(5);
    stats.workers[0].clients[0].add(2);
    stats.workers[1].requests.add(30);
    stats.workers[0].requests.add(10);
    stats.workers[0].dialed.add(1);
    stats.workers[1].reused.add(7);
    check(
        &view,
        &stats,
        &[
            "traefik_config_reloads_total 3",
            "traefik_config_last_reload_success 1700000002.5",
            "tieline_config_refused_total 1",
            "tieline_config_last_refused 1",
            "traefik_open_connections{entrypoint=\"web\",protocol=\"TCP\"} 7",
            "traefik_service_server_up{service=\"shop-west@multicluster\",\
             url=\"http://127.0.0.1:9101\"} 0",
            "tieline_child_poll_total{child=\"east\",result=\"ok\"} 2",
            "tieline_child_poll_total{child=\"east\",result=\"unchanged\"} 3",
            "tieline_child_up{child=\"east\"} 1",
            "tieline_child_up{child=\"west\"} 0",
            "tieline_child_last_success_timestamp_seconds{child=\"east\"} 1700000004",
            "tieline_child_age_seconds{child=\"east\"} 5",
            "tieline_child_uplinks{child=\"east\"} 1",
            "tieline_uplink_weight{child=\"east\",uplink=\"shop\"} 90",
            "tieline_upstream_reuse_ratio 0.875",
            "tieline_worker_skew_ratio 1.5",
        ],
        &["tieline_child_age_seconds{child=\"west\"}", "server_up{service=\"shop-east"],
    );
}

#[test]
fn without_metrics_nothing_is_told_apart() {
    let (mut view, stats) = measured();
    view.fixed = Arc::default();
    let (route, server) = (route(false), server(1));
    let accounts = Accounts::new(Arc::clone(&stats), 0, &view.fixed);
    accounts.finished(&record(&view, &route, &server));
    assert_eq!(view.entries[0].stats.iter().count(), 0);
    assert_eq!(view.children[1].stats.latency.spread().count, 1);
}

#[test]
fn handshakes_and_requests_over_tls_are_told_apart() {
    let (view, stats) = measured();
    let (route, server) = (route(false), server(1));
    let mut record = record(&view, &route, &server);
    record.suite = Some(crate::config::tls::Suite::Aes256);
    Accounts::new(Arc::clone(&stats), 0, &view.fixed).finished(&record);
    let refusal = crate::tls::Refusal::Expired;
    stats.workers[0].refused_servers[refusal as usize].add(2);
    stats.workers[1].refused_servers[refusal as usize].add(1);
    check(
        &view,
        &stats,
        &[
            "traefik_entrypoint_requests_tls_total{tls_version=\"1.3\",\
             tls_cipher=\"TLS_AES_256_GCM_SHA384\",entrypoint=\"web\"} 1",
            "tieline_tls_handshakes_refused_total{with=\"server\",cause=\"certificate-expired\"} 3",
        ],
        &["with=\"client\""],
    );
}
