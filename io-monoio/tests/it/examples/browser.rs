//! The dashboard in a real browser: what it shows of a parent and its children, that it moves while
//! requests go on, and that the browser has nothing to complain of.

use super::Stage;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// The browser that `TIELINE_BROWSER` names: Chromium, or one that takes its flags.
struct Browser {
    program: String,
    /// Of the user who is made up for this.
    profile: PathBuf,
}

impl Browser {
    fn new(folder: &Path) -> Self {
        let program = std::env::var("TIELINE_BROWSER").expect("TIELINE_BROWSER names a browser");
        Self { program, profile: folder.join("browser") }
    }

    fn run(&self, url: &str, flags: &[&str]) -> Output {
        let output = Command::new(&self.program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-sync"])
            .args(["--disable-component-update", "--hide-scrollbars", "--enable-logging=stderr"])
            .arg(format!("--user-data-dir={}", self.profile.display()))
            .args(flags)
            .arg(url)
            .stdin(Stdio::null())
            .output()
            .expect("the browser starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// The page as it is after so much of its own time, and what the console says.
    fn page(&self, url: &str, millis: u32) -> (String, Vec<String>) {
        let budget = format!("--virtual-time-budget={millis}");
        let output = self.run(url, &["--dump-dom", &budget]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let lines = said.lines().filter(|line| line.contains(":CONSOLE")).map(str::to_owned);
        (String::from_utf8_lossy(&output.stdout).into_owned(), lines.collect())
    }

    /// The size of a picture of a page. One colour takes next to nothing.
    fn picture(&self, url: &str, window: &str, to: &Path) -> u64 {
        let (size, file) =
            (format!("--window-size={window}"), format!("--screenshot={}", to.display()));
        self.run(url, &[&size, &file]);
        to.metadata().expect("there is a picture").len()
    }
}

#[track_caller]
fn shows(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "{part} in {page}");
    }
}

/// The number that a page shows under a name.
#[track_caller]
fn number(page: &str, of: &str) -> u64 {
    let mark = format!("data-of=\"{of}\" value=\"");
    let at = page.find(&mark).unwrap_or_else(|| panic!("{mark} in {page}")) + mark.len();
    page[at..].split('"').next().and_then(|text| text.parse().ok()).expect("a number")
}

#[test]
#[ignore = "needs a browser: name it in TIELINE_BROWSER"]
fn the_dashboard_shows_a_parent_and_its_children_as_they_are() {
    let stage = Stage::set("weighted", 1, "yml");
    let browser = Browser::new(stage.folder());
    // A console that says nothing must be one that we hear.
    let (_, said) = browser.page("data:text/html,<script>console.error('seen')</script>", 100);
    assert!(said.iter().any(|line| line.contains("seen")), "{said:?}");

    let root = format!("http://127.0.0.1:{}", stage.api_port());
    let quiet = |path: &str, millis| quiet(&browser, &root, path, millis);
    let first = quiet("/", 500);
    shows(&first, &["<title>Overview · Tieline</title>", ">cluster-1</text>", ">cluster-2</text>"]);
    let children = quiet("/dashboard/children", 500);
    assert_eq!(children.matches(">alive</span>").count(), 2, "{children}");
    assert_eq!(number(&children, "child cluster-1"), 0);

    assert_eq!(stage.served(100, "/", &[]), (90, 10));
    let children = quiet("/dashboard/children", 500);
    shows(&children, &["<dd>90.0 %</dd>", "<dd>10.0 %</dd>"]);
    assert_eq!(number(&children, "child cluster-1"), 90);
    let service = quiet("/dashboard/services/banking@multicluster", 500);
    shows(&service, &["<b>90.0 %</b>", "<b>10.0 %</b>", "weight 90", "weight 10"]);
    for path in ["routers", "services", "middlewares", "certificates", "diagnostics"] {
        quiet(&format!("/dashboard/{path}"), 500);
    }
    let found = quiet("/dashboard/routers?search=bank", 500);
    shows(&found, &["value=\"bank\"", ">banking@file</a>", "1 found"]);

    moves(&stage, &browser);
    pictures(&stage, &browser, &root);
}

/// A page of which the console says nothing.
#[track_caller]
fn quiet(browser: &Browser, root: &str, path: &str, millis: u32) -> String {
    let (page, said) = browser.page(&format!("{root}{path}"), millis);
    assert_eq!(said, [""; 0], "{path}");
    assert!(page.contains("<footer>"), "{path}: {page}");
    page
}

/// While requests go on the script exchanges the middle of the page, and says how fast they come.
/// The browser's time is not ours: it skips what it would only wait for. So whatever it asks for
/// comes by a way on which clients of the parent are served first.
fn moves(stage: &Stage, browser: &Browser) {
    let way = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = way.local_addr().expect("it is bound");
    let over = AtomicBool::new(false);
    let moved = thread::scope(|scope| {
        scope.spawn(|| {
            for browser in way.incoming().take_while(|_| !over.load(Ordering::Relaxed)) {
                let Ok(browser) = browser else { continue };
                scope.spawn(move || pass_on(stage, &browser));
            }
        });
        let moved = quiet(browser, &format!("http://{address}"), "/dashboard/children", 10_000);
        over.store(true, Ordering::Relaxed);
        TcpStream::connect(address).expect("it listens");
        moved
    });
    assert!(number(&moved, "child cluster-1") > 90, "{moved}");
    shows(&moved, &["<span class=\"rate\">+"]);
}

/// What a browser asks of the dashboard, each time after some requests of other clients.
fn pass_on(stage: &Stage, browser: &TcpStream) {
    let dashboard = TcpStream::connect((Ipv4Addr::LOCALHOST, stage.api_port())).expect("it serves");
    thread::scope(|scope| {
        scope.spawn(|| {
            // Whoever leaves first takes the other along.
            let _ = io::copy(&mut &dashboard, &mut &*browser);
            let _ = browser.shutdown(Shutdown::Both);
        });
        let mut bytes = [0; 4_096];
        while let Ok(count @ 1..) = (&mut &*browser).read(&mut bytes) {
            stage.served(5, "/", &[]);
            if (&mut &dashboard).write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = dashboard.shutdown(Shutdown::Both);
    });
}

fn pictures(stage: &Stage, browser: &Browser, root: &str) {
    let at = |name: &str| stage.folder().join(name);
    for (window, name) in [("1280,900", "wide.png"), ("390,900", "narrow.png")] {
        let blank = browser.picture("about:blank", window, &at("blank.png"));
        let drawn = browser.picture(&format!("{root}/dashboard/"), window, &at(name));
        assert!(drawn > 5 * blank, "{name} has {drawn} bytes, nothing at all {blank}");
    }
}
