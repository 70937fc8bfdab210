//! The configuration files of the demo, as a user would write them, in a folder of their own.

use std::fs;
use std::io::Result;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where the demo's gateways listen.
pub(crate) struct Ports {
    pub(crate) web: u16,
    pub(crate) admin: u16,
    /// Uplink entry points of cluster-1, cluster-2, cluster-3.
    pub(crate) uplinks: [u16; 3],
}

/// The folder with one sub-folder per gateway. Removed when dropped.
pub(crate) struct Files {
    root: PathBuf,
}

impl Files {
    pub(crate) fn create() -> Result<Self> {
        let root = std::env::temp_dir().join(format!("tieline-demo-{}", std::process::id()));
        fs::create_dir_all(&root)?;
        Ok(Self { root })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Static and dynamic documents of the parent; the static one's path.
    pub(crate) fn parent(&self, ports: &Ports) -> Result<PathBuf> {
        let folder = self.folder("parent")?;
        self.canary(90, 10)?;
        write(&folder.join("dynamic").join("routes.yml"), ROUTES)?;
        let children: String = (1..)
            .zip(ports.uplinks)
            .map(|(n, port)| {
                format!("        cluster-{n}:\n          address: \"http://127.0.0.1:{port}\"\n")
            })
            .collect();
        let text = format!(
            "entryPoints:\n  web:\n    address: \"127.0.0.1:{}\"\n  traefik:\n    address: \
             \"127.0.0.1:{}\"\napi:\n  insecure: true\nping: {{}}\nmetrics:\n  prometheus: {{}}\n\
             providers:\n  providersThrottleDuration: 100ms\n  file:\n    directory: \"{}\"\n\
             hub:\n  providers:\n    multicluster:\n      pollInterval: 1s\n      \
             pollTimeout: 1s\n      children:\n{children}",
            ports.web,
            ports.admin,
            folder.join("dynamic").display(),
        );
        let path = folder.join("traefik.yml");
        write(&path, &text)?;
        Ok(path)
    }

    /// The canary service of the parent, with its weights.
    pub(crate) fn canary(&self, first: u32, second: u32) -> Result<()> {
        let text = format!(
            "http:\n  services:\n    banking-canary:\n      weighted:\n        services:\n          \
             - name: banking-cluster-1@multicluster\n            weight: {first}\n          \
             - name: banking-cluster-2@multicluster\n            weight: {second}\n"
        );
        write(&self.folder("parent")?.join("dynamic").join("canary.yml"), &text)
    }

    /// Static and dynamic documents of child `n`; the static one's path.
    pub(crate) fn child(
        &self,
        n: usize,
        port: u16,
        weight: u32,
        origin: SocketAddr,
    ) -> Result<PathBuf> {
        let folder = self.folder(&format!("cluster-{n}"))?;
        let dynamic = format!(
            "http:\n  uplinks:\n    banking:\n      weight: {weight}\n      healthCheck:\n        \
             path: /health\n        interval: 1s\n        timeout: 1s\n  routers:\n    \
             banking:\n      rule: \"PathPrefix(`/`)\"\n      service: banking\n      uplinks:\n        \
             - banking\n  services:\n    banking:\n      loadBalancer:\n        \
             servers:\n          - url: \"http://{origin}\"\n"
        );
        write(&folder.join("dynamic.yml"), &dynamic)?;
        let text = format!(
            "hub:\n  uplinkEntryPoints:\n    multicluster:\n      address: \
             \"127.0.0.1:{port}\"\n      asDefault: true\n  providers:\n    multicluster: {{}}\nproviders:\n  file:\n    \
             filename: \"{}\"\n",
            folder.join("dynamic.yml").display(),
        );
        let path = folder.join("traefik.yml");
        write(&path, &text)?;
        Ok(path)
    }

    fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.root.join(name);
        fs::create_dir_all(folder.join("dynamic"))?;
        Ok(folder)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // Left-over files in the temporary folder harm nobody.
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Writes beside and renames, so that a watcher never reads half a file.
fn write(path: &Path, text: &str) -> Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, text)?;
    fs::rename(&beside, path)
}

const ROUTES: &str = r#"http:
  routers:
    banking:
      rule: "PathPrefix(`/banking`)"
      entryPoints:
        - web
      service: banking@multicluster
      middlewares:
        - strip-banking
    banking-primary:
      rule: "PathPrefix(`/banking`) && Header(`X-Route-To`, `primary`)"
      entryPoints:
        - web
      service: banking-cluster-1@multicluster
      middlewares:
        - strip-banking
    canary:
      rule: "PathPrefix(`/canary`)"
      service: banking-canary
    failover:
      rule: "PathPrefix(`/failover`)"
      service: banking-failover
    mirrored:
      rule: "PathPrefix(`/mirrored`)"
      service: banking-mirrored
  middlewares:
    strip-banking:
      stripPrefix:
        prefixes:
          - "/banking"
  services:
    banking-failover:
      failover:
        service: banking-cluster-1@multicluster
        fallback: banking-cluster-2@multicluster
    banking-mirrored:
      mirroring:
        service: banking-cluster-1@multicluster
        mirrors:
          - name: banking-cluster-2@multicluster
            percent: 10
"#;
