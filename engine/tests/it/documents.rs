//! Views for plays, compiled from documents as the control machine does it.

use engine::base::limits::ControlLimits;
use engine::base::prng::Prng;
use engine::base::secret::Secret;
use engine::base::time::Wall;
use engine::config;
use engine::view::compile::Compiler;
use engine::view::stats::Stats;
use engine::view::status::Health;
use engine::view::{NodeKind, View};
use std::sync::Arc;

const STATIC: &str = "entryPoints: {web: {address: \":80\"}}";

/// One entry point; every request goes to the service `top`, unless the document says otherwise.
pub(crate) struct Documents {
    compiler: Compiler,
}

impl Documents {
    /// From what stands below `http.services`.
    #[track_caller]
    pub(crate) fn new(services: &str) -> Self {
        Self::whole(&whole(services))
    }

    /// From a whole document.
    #[track_caller]
    pub(crate) fn whole(text: &str) -> Self {
        let (fixed, problems) = config::fixed_from_file("static.yml", STATIC);
        assert_eq!(problems, []);
        let stats = Arc::new(Stats::new(1, 0, Wall::default()));
        let compiler =
            Compiler::new(Arc::new(fixed), ControlLimits::default(), stats, &mut Prng::new(1));
        let mut documents = Self { compiler };
        documents.write_whole(text);
        documents
    }

    /// The document changes.
    #[track_caller]
    pub(crate) fn write(&mut self, services: &str) {
        self.write_whole(&whole(services));
    }

    #[track_caller]
    fn write_whole(&mut self, text: &str) {
        let reading = config::dynamic(&[("d.yml", text)]);
        assert_eq!(reading.diagnostics, [], "{text}");
        self.compiler.set_dynamic(reading.dynamic);
    }

    /// A check of the server at `url` ends.
    pub(crate) fn health(&mut self, url: &str, health: Health) {
        let mut found = Vec::new();
        for node in self.compiler.view().services.iter() {
            if let NodeKind::Balancer { servers, .. } = &node.kind {
                found.extend(servers.iter().filter(|at| &*at.url == url).map(|at| at.id));
            }
        }
        assert!(!found.is_empty(), "no server {url}");
        found.into_iter().for_each(|server| self.compiler.set_health(server, health));
    }

    /// A file is read, or cannot be.
    pub(crate) fn file(&mut self, path: &str, content: Result<&str, &str>) {
        let content = content.map(|text| Secret::new(text.as_bytes())).map_err(str::to_owned);
        self.compiler.set_file(&path.into(), content);
    }

    /// What stands wrong, as people read it.
    pub(crate) fn problems(&mut self) -> Vec<String> {
        let build = self.compiler.build();
        let told = build.map(|build| build.diagnostics).unwrap_or_default();
        told.iter().map(|problem| format!("{}: {}", problem.path, problem.text)).collect()
    }

    pub(crate) fn view(&mut self) -> Arc<View> {
        self.compiler.build();
        self.compiler.check();
        Arc::new(self.compiler.view().clone())
    }
}

fn whole(services: &str) -> String {
    format!(
        "http:\n  routers: {{r: {{rule: PathPrefix(`/`), service: top}}}}\n  services:\n{services}"
    )
}
