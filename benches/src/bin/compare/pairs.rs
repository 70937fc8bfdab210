//! A parent and its child as one peer: what the way between them costs both.

use super::peers::{PROXY_CPU, Process, beside, free_port};
use super::setups::Folder;

/// The two processes, the parent first.
pub(crate) fn start(secure: bool, origin: u16, folder: &Folder) -> Result<[Process; 2], String> {
    let name = if secure { "secure" } else { "clear" };
    let (uplink, web) = (free_port()?, free_port()?);
    let program = beside("tieline")?;
    let run = |role: &str, fixed: String, routes: String, port: u16| {
        let routes = folder.file(&format!("{name}-{role}-routes.yml"), &routes)?;
        let files = format!("providers: {{file: {{filename: '{routes}', watch: false}}}}\n");
        let fixed = folder.file(&format!("{name}-{role}.yml"), &(fixed + &files))?;
        Process::start(PROXY_CPU, &program, &["run", "--configFile", &fixed], port)
    };
    let (fixed, routes) = child(secure, uplink, origin, folder);
    let child = run("child", fixed, routes, uplink)?;
    let (fixed, routes) = parent(secure, web, uplink, folder);
    let parent = run("parent", fixed, routes, web)?;
    Ok([parent, child])
}

fn child(secure: bool, uplink: u16, origin: u16, folder: &Folder) -> (String, String) {
    let http = if secure { ", http: {tls: {options: parents}}" } else { "" };
    let fixed = format!(
        "
hub:
  uplinkEntryPoints:
    multicluster: {{address: '127.0.0.1:{uplink}', asDefault: true{http}}}
  providers: {{multicluster: {{}}}}
tieline: {{workers: 1}}
"
    );
    let (certificate, key, ca) =
        (folder.at("server.crt"), folder.at("server.key"), folder.at("ca.crt"));
    let routes = format!(
        "
http:
  uplinks: {{bank: {{}}}}
  routers:
    bank: {{rule: 'PathPrefix(`/`)', uplinks: [bank], service: origin}}
  services:
    origin: {{loadBalancer: {{servers: [{{url: 'http://127.0.0.1:{origin}'}}]}}}}
tls:
  certificates: [{{certFile: '{certificate}', keyFile: '{key}'}}]
  options:
    parents:
      minVersion: VersionTLS13
      clientAuth: {{caFiles: ['{ca}'], clientAuthType: RequireAndVerifyClientCert}}
"
    );
    (fixed, if secure { routes } else { routes.split("tls:\n").next().unwrap_or("").to_owned() })
}

fn parent(secure: bool, web: u16, uplink: u16, folder: &Folder) -> (String, String) {
    let (scheme, transport) = if secure {
        let [ca, certificate, key] = ["ca.crt", "parent.crt", "parent.key"].map(|it| folder.at(it));
        let pair = format!("{{certFile: '{certificate}', keyFile: '{key}'}}");
        let transport = format!("{{rootCAs: ['{ca}'], certificates: [{pair}]}}");
        ("https", format!(", serversTransport: {transport}"))
    } else {
        ("http", String::new())
    };
    let fixed = format!(
        "
entryPoints: {{web: {{address: '127.0.0.1:{web}'}}}}
hub:
  providers:
    multicluster:
      children:
        one: {{address: '{scheme}://127.0.0.1:{uplink}'{transport}}}
tieline: {{workers: 1}}
"
    );
    let routes = "
http:
  routers:
    bank: {rule: 'PathPrefix(`/`)', service: bank@multicluster}
";
    (fixed, routes.to_owned())
}
