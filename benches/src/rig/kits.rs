//! The kits that are measured: plain requests, and what each feature adds to one.

use super::{Kit, Speech};

const STATIC: &str = "
entryPoints: {web: {address: '127.0.0.1:80'}}
providers: {file: {filename: 'd.yml'}}
";
const UNRECORDED_STATIC: &str = "
entryPoints: {web: {address: '127.0.0.1:80'}}
providers: {file: {filename: 'd.yml'}}
tieline: {recording: false}
";
const OBSERVED: &str = "
entryPoints: {web: {address: '127.0.0.1:80'}}
providers: {file: {filename: 'd.yml'}}
accessLog: {format: json}
metrics: {prometheus: {addRoutersLabels: true}}
";

/// A route with a path middleware to two children by weight.
const WEIGHTED: &str = "
http:
  routers:
    api: {rule: 'Host(`api.example.com`) && PathPrefix(`/api`)', service: east}
    banking: {rule: 'PathPrefix(`/banking`)', service: banking, middlewares: [strip]}
  middlewares:
    strip: {stripPrefix: {prefixes: [/banking]}}
  services:
    banking:
      weighted: {services: [{name: east, weight: 90}, {name: west, weight: 10}]}
    east: {loadBalancer: {servers: [{url: 'http://127.0.0.1:9001'}]}}
    west: {loadBalancer: {servers: [{url: 'http://127.0.0.1:9002'}]}}
";
const H2C: &str = "
http:
  routers:
    banking: {rule: 'PathPrefix(`/banking`)', service: banking}
  services:
    banking: {loadBalancer: {servers: [{url: 'h2c://127.0.0.1:9001'}]}}
";
const STICKY: &str = "
http:
  routers:
    banking: {rule: 'PathPrefix(`/banking`)', service: banking}
  services:
    banking:
      weighted:
        sticky: {cookie: {name: side}}
        services: [{name: east, weight: 1}, {name: west, weight: 1}]
    east:
      loadBalancer:
        sticky: {cookie: {name: server}}
        servers: [{url: 'http://127.0.0.1:9001'}, {url: 'http://127.0.0.1:9002'}]
    west:
      loadBalancer:
        sticky: {cookie: {name: server}}
        servers: [{url: 'http://127.0.0.1:9003'}, {url: 'http://127.0.0.1:9004'}]
";
const P2C: &str = "
http:
  routers:
    banking: {rule: 'PathPrefix(`/banking`)', service: banking}
  services:
    banking:
      loadBalancer:
        strategy: p2c
        servers: [{url: 'http://127.0.0.1:9001'}, {url: 'http://127.0.0.1:9002'}]
";
const HRW: &str = "
http:
  routers:
    banking: {rule: 'PathPrefix(`/banking`)', service: banking}
  services:
    banking:
      loadBalancer:
        strategy: hrw
        servers: [{url: 'http://127.0.0.1:9001'}, {url: 'http://127.0.0.1:9002'}]
";
const LEAST_TIME: &str = "
http:
  routers:
    banking: {rule: 'PathPrefix(`/banking`)', service: banking}
  services:
    banking:
      loadBalancer:
        strategy: leasttime
        servers: [{url: 'http://127.0.0.1:9001'}, {url: 'http://127.0.0.1:9002'}]
";
/// Everything that counts or remembers, and what edits fields, before one server.
const STATEFUL: &str = "
http:
  routers:
    banking:
      rule: 'PathPrefix(`/banking`)'
      service: banking
      middlewares: [known, calm, few, password, marked, strip]
  middlewares:
    known: {ipAllowList: {sourceRange: [192.0.2.0/24]}}
    calm: {rateLimit: {average: 1000000, burst: 1000000}}
    few: {inFlightReq: {amount: 1000}}
    password:
      basicAuth:
        users: ['bank:$2y$05$Zr3JrfJmXvNnxhm0R7jvYuh4bRZGXgx5TzDhUEbfCGQnXcXxvQb4m']
    marked:
      headers:
        customRequestHeaders: {X-Marked: '1'}
        customResponseHeaders: {X-Marked: '2', Server: ''}
    strip: {stripPrefix: {prefixes: [/banking]}}
  services:
    banking: {loadBalancer: {servers: [{url: 'http://127.0.0.1:9001'}]}}
";

/// What recording costs is the difference to [`PLAIN`].
pub const UNRECORDED: Kit = Kit { name: "unrecorded", fixed: UNRECORDED_STATIC, ..PLAIN };
pub const PLAIN: Kit = Kit {
    name: "plain",
    fixed: STATIC,
    dynamic: WEIGHTED,
    clients: Speech::Http1,
    origins: Speech::Http1,
    more: "",
};
pub const LOGGED: Kit = Kit { name: "logged and counted", fixed: OBSERVED, ..PLAIN };
pub const STREAMS: Kit = Kit { name: "HTTP/2 clients", clients: Speech::Http2(4), ..PLAIN };
pub const STREAMS_OBSERVED: Kit =
    Kit { name: "HTTP/2 clients, logged and counted", fixed: OBSERVED, ..STREAMS };
pub const UPSTREAMS: Kit =
    Kit { name: "HTTP/2 origins", dynamic: H2C, origins: Speech::Http2(1), ..PLAIN };
pub const BOTH: Kit = Kit { name: "HTTP/2 on both sides", clients: Speech::Http2(4), ..UPSTREAMS };

/// All of them.
pub const ALL: [Kit; 12] = [
    PLAIN,
    LOGGED,
    STREAMS,
    STREAMS_OBSERVED,
    UPSTREAMS,
    BOTH,
    Kit { name: "sticky sessions", dynamic: STICKY, ..PLAIN },
    Kit { name: "sticky sessions of HTTP/2 clients", dynamic: STICKY, ..STREAMS },
    Kit { name: "strategy p2c", dynamic: P2C, ..PLAIN },
    Kit { name: "strategy hrw", dynamic: HRW, ..PLAIN },
    Kit { name: "strategy leasttime", dynamic: LEAST_TIME, ..PLAIN },
    Kit {
        name: "middlewares with state",
        dynamic: STATEFUL,
        more: "Authorization: Basic YmFuazpzZWNyZXQ=\r\n",
        ..PLAIN
    },
];
