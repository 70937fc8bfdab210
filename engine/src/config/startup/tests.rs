//! Static documents and what is said about them.

use super::*;
use crate::base::time::Span;
use crate::config::fixed::{Child, IdleConns, Multicluster, OnStale, Transport};

fn said(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn check(document: &str, expected: &str) -> Fixed {
    let (fixed, diagnostics) = fixed_from_file("s.yml", document);
    assert_eq!(said(&diagnostics), expected, "{document}");
    fixed
}

const PARENT: &str = "\
hub:
  providers:
    multicluster:
      enabled: true
      pollInterval: 5
      pollTimeout: 2s
      children:
        cluster-2:
          address: \"http://child2.example.com:9443\"
          serversTransport:
            maxIdleConnsPerHost: -1
            forwardingTimeouts:
              dialTimeout: 1s
          tieline:
            onStale: {policy: decay, after: 1m, over: 30s}
        cluster-1:
          address: \"http://child1.example.com:9443\"
";

#[test]
fn the_parent_of_the_provider_page_over_clear_text() {
    let fixed = check(PARENT, "");
    let Some(Multicluster { poll_interval, poll_timeout, children }) = fixed.multicluster else {
        panic!("the provider is on");
    };
    assert_eq!((poll_interval, poll_timeout), (Span::secs(5), Span::secs(2)));
    let names: Vec<&str> = children.iter().map(|child| child.name.as_str()).collect();
    assert_eq!(names, ["cluster-1", "cluster-2"]);
    let Child { address, transport, on_stale, .. } = &children[1];
    assert_eq!(address.to_string(), "http://child2.example.com:9443");
    assert_eq!(
        *transport,
        Transport { idle: IdleConns::NoReuse, dial_timeout: Span::secs(1), ..Transport::default() }
    );
    assert_eq!(*on_stale, OnStale::Decay { after: Span::secs(60), over: Span::secs(30) });
}
