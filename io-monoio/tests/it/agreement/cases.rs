//! What goes wrong, and the documents that it happens to.

use std::fs;
use std::path::{Path, PathBuf};

/// What happens to the child `eu`, from [`FROM`] to [`UNTIL`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum What {
    /// Its process is killed, and started again.
    Crash,
    /// Its process is stopped as it is: connections are taken, and nothing answers.
    Hang,
    /// Its server takes so many milliseconds longer.
    Slow(u64),
    /// Its server answers 503.
    Error,
    /// It answers polls with what is no JSON, and everything else as before.
    Garbage,
    /// Its document gives it another weight, for good.
    ChildEdit,
    /// The document of the parent turns shares around, for good.
    ParentEdit,
}

/// What tells that it was noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sign {
    Shares,
    /// The parent says that it hears nothing from the child.
    Phase,
    /// Nothing is to be noticed.
    None,
}

pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) what: What,
    pub(super) host: &'static str,
    pub(super) sign: Sign,
    number: u16,
}

/// `eu` while it is up.
const DESK: &str = "desk.example";
/// Both, as the children say: nine to one.
const SHOP: &str = "shop.example";
/// Both, as the parent says: nine to one.
const BULK: &str = "bulk.example";

pub(super) const CASES: [Case; 9] = [
    case(0, "`eu` crashes, `us` stands by", What::Crash, DESK, Sign::Shares),
    case(1, "`eu` crashes, `us` shares with it", What::Crash, SHOP, Sign::Shares),
    case(2, "`eu` hangs", What::Hang, DESK, Sign::Shares),
    case(3, "its server takes 3 s more", What::Slow(3_000), DESK, Sign::Shares),
    case(4, "its server takes 300 ms more", What::Slow(300), SHOP, Sign::None),
    case(5, "its server answers 503", What::Error, DESK, Sign::Shares),
    case(6, "it answers polls with garbage", What::Garbage, SHOP, Sign::Phase),
    case(7, "`eu` gives itself 1 instead of 9", What::ChildEdit, SHOP, Sign::Shares),
    case(8, "the parent turns 9 to 1 around", What::ParentEdit, BULK, Sign::Shares),
];

const fn case(number: u16, name: &'static str, what: What, host: &'static str, sign: Sign) -> Case {
    Case { name, what, host, sign, number }
}

/// Of checks and of polls.
pub(super) const INTERVAL_MILLIS: u64 = 2_000;
pub(super) const TIMEOUT_MILLIS: u64 = 1_000;
pub(super) const EU_WEIGHT: u32 = 9;
pub(super) const RATE: u64 = 40;
/// Seconds after the first request.
pub(super) const FROM: u64 = 5;
pub(super) const UNTIL: u64 = 12;
pub(super) const LENGTH: u64 = 18;
/// From the change to when shares are what they will be: an interval and a timeout, and slack.
pub(super) const MOVED: u64 = 4;

impl What {
    /// Whether it is over at [`UNTIL`].
    pub(super) fn ends(self) -> bool {
        !matches!(self, Self::ChildEdit | Self::ParentEdit)
    }

    /// As a line of a scenario.
    fn line(self) -> String {
        let window = format!("{FROM}s..{UNTIL}s");
        match self {
            Self::Crash => format!("crash eu {window}"),
            Self::Hang => format!("blackhole eu {window}"),
            Self::Slow(by) => format!("slow eu {window} by {by}ms"),
            Self::Error => format!("error eu {window} with 503"),
            Self::Garbage => format!("poll-garbage eu {window}"),
            Self::ChildEdit => format!("reload eu edited/eu-dynamic.yml at {FROM}s"),
            Self::ParentEdit => format!("reload edited/parent-dynamic.yml at {FROM}s"),
        }
    }
}

/// Documents, scenario and logs of a case.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) ports: Ports,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Ports(u16);

impl Ports {
    pub(super) fn web(self) -> u16 {
        self.0
    }

    pub(super) fn api(self) -> u16 {
        self.0 + 1
    }

    pub(super) fn child(self, name: &str) -> u16 {
        self.0 + if name == "eu" { 2 } else { 3 }
    }

    pub(super) fn origin(self, name: &str) -> u16 {
        self.0 + if name == "eu" { 4 } else { 5 }
    }
}

impl Folder {
    pub(super) fn new(case: &Case) -> Self {
        let name = format!("tieline-agreement-{}-{}", std::process::id(), case.number);
        let folder =
            Self { path: std::env::temp_dir().join(name), ports: Ports(17_000 + case.number * 10) };
        fs::create_dir_all(folder.path.join("edited")).expect("temporary files can be written");
        folder.write("parent.yml", &parent(folder.ports));
        folder.write("parent-dynamic.yml", &parent_dynamic(9, 1));
        folder.write("edited/parent-dynamic.yml", &parent_dynamic(1, 9));
        let written = if case.what == What::Garbage { &["us"][..] } else { &["eu", "us"] };
        for name in written {
            folder.write(&format!("{name}.yml"), &child(name, folder.ports));
            let weight = if *name == "eu" { EU_WEIGHT } else { 1 };
            let text = child_dynamic(folder.ports.origin(name), weight);
            folder.write(&format!("{name}-dynamic.yml"), &text);
        }
        folder.write("edited/eu-dynamic.yml", &child_dynamic(folder.ports.origin("eu"), 1));
        folder.write("scenario.txt", &scenario(case));
        folder
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.path.join(name), text).expect("temporary files can be written");
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The documents as they are before anything happens.
    pub(super) fn documents(&self) -> Vec<PathBuf> {
        let all = ["parent", "eu", "us"].into_iter();
        let all = all.flat_map(|name| [format!("{name}.yml"), format!("{name}-dynamic.yml")]);
        all.map(|name| self.file(&name)).filter(|path| Path::exists(path)).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // Nothing depends on it.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn parent(ports: Ports) -> String {
    let (every, timeout) = (INTERVAL_MILLIS, TIMEOUT_MILLIS);
    let [web, api, eu, us] = [ports.web(), ports.api(), ports.child("eu"), ports.child("us")];
    format!(
        "entryPoints:
  web:
    address: '127.0.0.1:{web}'
  traefik:
    address: '127.0.0.1:{api}'
hub:
  providers:
    multicluster:
      pollInterval: {every}ms
      pollTimeout: {timeout}ms
      children:
        eu:
          address: 'http://127.0.0.1:{eu}'
        us:
          address: 'http://127.0.0.1:{us}'
providers:
  file:
    filename: parent-dynamic.yml
api:
  insecure: true
tieline:
  workers: 1
"
    )
}

fn parent_dynamic(eu: u32, us: u32) -> String {
    format!(
        "http:
  routers:
    desk:
      rule: Host(`{DESK}`)
      service: desk
    shop:
      rule: Host(`{SHOP}`)
      service: shop@multicluster
    bulk:
      rule: Host(`{BULK}`)
      service: bulk
  services:
    desk:
      failover:
        service: shop-eu@multicluster
        fallback: shop-us@multicluster
    bulk:
      weighted:
        services:
          - name: shop-eu@multicluster
            weight: {eu}
          - name: shop-us@multicluster
            weight: {us}
"
    )
}

fn child(name: &str, ports: Ports) -> String {
    format!(
        "hub:
  uplinkEntryPoints:
    multicluster:
      address: '127.0.0.1:{}'
      asDefault: true
  providers:
    multicluster: {{}}
providers:
  file:
    filename: {name}-dynamic.yml
tieline:
  workers: 1
",
        ports.child(name)
    )
}

fn child_dynamic(origin: u16, weight: u32) -> String {
    format!(
        "http:
  uplinks:
    shop:
      weight: {weight}
      healthCheck:
        path: /
        interval: {INTERVAL_MILLIS}ms
        timeout: {TIMEOUT_MILLIS}ms
  routers:
    shop:
      rule: PathPrefix(`/`)
      uplinks: [shop]
      service: shop
  services:
    shop:
      loadBalancer:
        servers:
          - url: 'http://127.0.0.1:{origin}'
"
    )
}

/// What `eu` offers where it is played.
pub(super) fn advert() -> String {
    format!(
        r#"[{{"name": "shop", "entryPoints": [], "weight": {EU_WEIGHT}, "healthCheck":
         {{"path": "/", "interval": "{INTERVAL_MILLIS}ms", "timeout": "{TIMEOUT_MILLIS}ms"}}}}]"#
    )
}

/// Everybody is near, as on loopback.
fn scenario(case: &Case) -> String {
    let mut text = format!("request http://{}/\n{}\n", case.host, case.what.line());
    for child in ["eu", "us"] {
        text.push_str(&format!("latency {child} 50us\nservice {child} 100us\n"));
    }
    if case.what == What::Garbage {
        let (every, timeout) = (INTERVAL_MILLIS, TIMEOUT_MILLIS);
        text.push_str(&format!("weight eu {EU_WEIGHT}\n"));
        text.push_str(&format!("health eu every {every}ms timeout {timeout}ms\n"));
    }
    text
}
