//! The gateway that is judged: a process of its own, with one route to the origin.

use crate::transport::HOST;
use rustls::pki_types::CertificateDer;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(20);

pub struct Gateway {
    pub clear: SocketAddr,
    pub secure: SocketAddr,
    pub certificate: CertificateDer<'static>,
    process: Child,
    folder: PathBuf,
}

impl Gateway {
    pub async fn start(program: &str, origin: SocketAddr) -> Self {
        let folder = std::env::temp_dir().join(format!("tieline-h2spec-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("the folder for temporary files is writable");
        let pair = rcgen::generate_simple_self_signed([HOST.to_owned()]).expect("a certificate");
        let at = |name: &str| folder.join(name).display().to_string();
        let write = |name, text: String| fs::write(folder.join(name), text).expect("a new file");
        write("cert.pem", pair.cert.pem());
        write("key.pem", pair.signing_key.serialize_pem());
        write(
            "dynamic.yml",
            format!(
                "http:
  routers:
    clear: {{rule: 'PathPrefix(`/`)', service: origin}}
    secure: {{rule: 'PathPrefix(`/`)', service: origin, tls: {{}}}}
  services:
    origin: {{loadBalancer: {{servers: [{{url: 'http://{origin}'}}]}}}}
tls:
  certificates: [{{certFile: '{}', keyFile: '{}'}}]
",
                at("cert.pem"),
                at("key.pem")
            ),
        );
        let [clear, secure] = free_ports();
        let process = Command::new(program)
            .arg("run")
            .arg(format!("--entryPoints.clear.address={clear}"))
            .arg(format!("--entryPoints.secure.address={secure}"))
            .arg(format!("--providers.file.filename={}", at("dynamic.yml")))
            .args(["--providers.file.watch=false", "--tieline.workers=1"])
            .stdout(Stdio::null())
            .spawn()
            .expect("the gateway starts");
        let certificate = pair.cert.der().clone();
        let gateway = Self { clear, secure, certificate, process, folder };
        gateway.wait().await;
        gateway
    }

    /// Until a request finds its way to the origin.
    async fn wait(&self) {
        let end = Instant::now() + PATIENCE;
        while ask(self.clear).await.is_none() {
            assert!(Instant::now() < end, "the gateway does not serve within {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Something if the answer is 200.
async fn ask(address: SocketAddr) -> Option<()> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    answer.starts_with(b"HTTP/1.1 200").then_some(())
}

/// Ports that were free a moment ago.
fn free_ports() -> [SocketAddr; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("it is bound"))
}
