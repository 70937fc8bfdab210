//! What every proxy is told: a clear port, one for TLS, one for HTTP/2 on clear text, all before
//! the same origin.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::fs;
use std::path::{Path, PathBuf};

/// Where a proxy listens.
#[derive(Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) clear: u16,
    pub(crate) tls: u16,
    pub(crate) http2: u16,
}

/// A folder with the files of a run: an authority, and certificates by it for ECDSA P-256.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("tieline-compare-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(|error| error.to_string())?;
        let folder = Self(path);
        if !folder.0.join("ca.crt").exists() {
            folder.certify().map_err(|error| error.to_string())?;
        }
        Ok(folder)
    }

    /// Writes a file; its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> Result<String, String> {
        fs::write(self.0.join(name), text).map_err(|error| error.to_string())?;
        Ok(self.at(name))
    }

    pub(crate) fn at(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn certify(&self) -> Result<(), Box<dyn std::error::Error>> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let write = |name: &str, text: String| fs::write(Path::new(&self.0).join(name), text);
        for (name, host) in [("server", "127.0.0.1"), ("parent", "parent.example")] {
            let key = KeyPair::generate()?;
            let params = CertificateParams::new(vec![host.to_owned()])?;
            let certificate = params.signed_by(&key, &authority)?.pem();
            write(&format!("{name}.pem"), certificate.clone() + &key.serialize_pem())?;
            write(&format!("{name}.crt"), certificate)?;
            write(&format!("{name}.key"), key.serialize_pem())?;
        }
        write("ca.crt", authority.pem())?;
        Ok(())
    }
}

/// The static document; the routes lie in the file at `routes`.
pub(crate) fn tieline(ports: Ports, routes: &str) -> String {
    let Ports { clear, tls, http2 } = ports;
    format!(
        "
entryPoints:
  web: {{address: '127.0.0.1:{clear}'}}
  secure: {{address: '127.0.0.1:{tls}'}}
  streams: {{address: '127.0.0.1:{http2}'}}
providers: {{file: {{filename: '{routes}', watch: false}}}}
tieline: {{workers: 1}}
"
    )
}

pub(crate) fn tieline_routes(origin: u16, folder: &Folder) -> String {
    let (certificate, key) = (folder.at("server.crt"), folder.at("server.key"));
    format!(
        "
http:
  routers:
    all: {{rule: 'PathPrefix(`/`)', service: origin}}
    secure: {{rule: 'PathPrefix(`/`)', service: origin, tls: {{}}}}
  services:
    origin:
      loadBalancer: {{serversTransport: wide, servers: [{{url: 'http://127.0.0.1:{origin}'}}]}}
  serversTransports:
    # As many as the others are told to keep.
    wide: {{maxIdleConnsPerHost: 1024}}
tls:
  stores: {{default: {{defaultCertificate: {{certFile: '{certificate}', keyFile: '{key}'}}}}}}
"
    )
}

pub(crate) fn nginx(ports: Ports, origin: u16, folder: &Folder) -> String {
    let Ports { clear, tls, http2 } = ports;
    let (certificate, key) = (folder.at("server.crt"), folder.at("server.key"));
    let pid = folder.at("nginx.pid");
    format!(
        "
worker_processes 1;
pid {pid};
error_log /dev/null;
daemon off;
worker_rlimit_nofile 65536;
events {{ worker_connections 32768; }}
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_requests 100000000;
  keepalive_timeout 300s;
  client_max_body_size 0;
  proxy_max_temp_file_size 0;
  proxy_request_buffering off;
  http2_max_concurrent_streams 128;
  upstream origin {{
    server 127.0.0.1:{origin};
    keepalive 1024;
    keepalive_requests 100000000;
  }}
  server {{
    listen 127.0.0.1:{clear} backlog=4096;
    listen 127.0.0.1:{http2} http2 backlog=4096;
    listen 127.0.0.1:{tls} ssl backlog=4096;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.3;
    ssl_session_tickets off;
    ssl_session_cache off;
    location / {{
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}
}}
"
    )
}

pub(crate) fn haproxy(ports: Ports, origin: u16, folder: &Folder) -> String {
    let Ports { clear, tls, http2 } = ports;
    let pair = folder.at("server.pem");
    format!(
        "
global
  nbthread 1
  maxconn 9000
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 60s
  timeout http-keep-alive 300s
  option http-keep-alive
  http-reuse always
  option forwardfor
frontend web
  bind 127.0.0.1:{clear}
  bind 127.0.0.1:{tls} ssl crt {pair} ssl-min-ver TLSv1.3 no-tls-tickets
  bind 127.0.0.1:{http2} proto h2
  default_backend origin
backend origin
  server one 127.0.0.1:{origin} pool-max-conn 1024
"
    )
}
