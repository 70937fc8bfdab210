//! Taking over what the files say.

use super::file::{Complete, Verdict};
use super::machine::Control;
use super::remote::Remote;
use super::rest::Rest;
use crate::base::diag::Diagnostic;
use crate::base::line::{Level, LogLine};
use crate::base::secret::Secret;
use crate::base::time::Time;
use crate::boundary::Document;
use crate::config::fixed::{Fixed, Provider};
use crate::config::typed::Dynamic;
use crate::config::{Reading, Setting, dynamic_in, merged, redact, tls};
use crate::view::past::Written;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A configuration that is good, before it takes effect.
#[derive(Debug)]
pub(super) struct Staged {
    dynamic: Dynamic,
    files: BTreeSet<Arc<str>>,
    problems: Vec<Diagnostic>,
    complete: Complete,
    /// What it was read from, without secrets.
    written: Option<Arc<[Written]>>,
}

/// What one provider says.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) dynamic: Dynamic,
    pub(super) problems: Vec<Diagnostic>,
    pub(super) complete: Complete,
}

/// What the providers say, where there are several.
#[derive(Debug, Default)]
pub(super) struct Layers {
    file: Option<Layer>,
    http: Option<Layer>,
    rest: Option<Layer>,
    /// Why the last reading of the files did not take effect.
    refused: Vec<Diagnostic>,
    /// What the files say, without secrets.
    written: Option<Arc<[Written]>>,
}

impl Layers {
    /// All of it as one configuration.
    fn merged(&self, fixed: &Fixed) -> Layer {
        let mut layers: Vec<(u8, &Layer)> = Vec::new();
        layers.extend(self.file.as_ref().map(|layer| (fixed.rank(Provider::File), layer)));
        layers.extend(self.http.as_ref().map(|layer| (fixed.rank(Provider::Http), layer)));
        layers.extend(self.rest.as_ref().map(|layer| (fixed.rank(Provider::Rest), layer)));
        layers.sort_by_key(|(rank, _)| *rank);
        let parts: Vec<&Dynamic> = layers.iter().map(|(_, layer)| &layer.dynamic).collect();
        let (dynamic, clashes) = merged(&parts);
        let mut problems = self.refused.clone();
        problems.extend(layers.iter().flat_map(|(_, layer)| layer.problems.iter().cloned()));
        problems.extend(clashes);
        let whole = self.refused.is_empty()
            && layers.iter().all(|(_, layer)| layer.complete == Complete::Yes);
        let complete = if whole { Complete::Yes } else { Complete::No };
        Layer { dynamic, problems, complete }
    }
}

impl Control {
    /// What a provider says takes effect, together with what the others said last.
    pub(super) fn take_over(&mut self, provider: Provider, layer: Layer, now: Time) {
        let mut layer = layer;
        let several = self.has_several();
        if several {
            match provider {
                Provider::File => {
                    self.layers.file = Some(layer);
                    self.layers.refused.clear();
                }
                Provider::Http => self.layers.http = Some(layer),
                Provider::Rest => self.layers.rest = Some(layer),
            }
            layer = self.layers.merged(&self.fixed);
        }
        let Layer { dynamic, problems, complete } = layer;
        let files = tls::files(&self.fixed, &dynamic);
        // What several providers say together is no document.
        let written = self.layers.written.clone().filter(|_| !several);
        let staged = Staged { dynamic, files, problems, complete, written };
        let mut wanted = tls::files(&self.fixed, &Dynamic::default());
        wanted.extend(self.publisher.files().iter().cloned());
        wanted.extend(staged.files.iter().cloned());
        self.want_files(wanted);
        self.staged = Some(staged);
        self.apply_staged(now);
    }

    /// Whether there are others beside the files.
    fn has_several(&self) -> bool {
        self.remote.is_some() || self.rest.is_some()
    }

    pub(super) fn on_loaded(&mut self, reading: Result<Vec<Document>, String>, now: Time) {
        let Some(file) = &mut self.file else { return };
        match file.on_loaded(reading, now) {
            Verdict::Wait => {}
            Verdict::Refuse(problem) => {
                self.refused(vec![problem], now);
            }
            Verdict::Judge(documents) => self.judge_documents(&documents, now),
        }
    }

    fn judge_documents(&mut self, documents: &[Document], now: Time) {
        let Some(file) = &mut self.file else { return };
        let (mut usable, mut problems) = file.usable(documents);
        let mut complete = if problems.is_empty() { Complete::Yes } else { Complete::No };
        let fixed = Arc::clone(&self.fixed);
        let mut reading = parse(&usable, &fixed);
        if !reading.complete {
            complete = Complete::No;
            let broken =
                |document: &Document| !parse(std::slice::from_ref(document), &fixed).complete;
            let mut in_effect = Vec::new();
            for document in usable {
                if !broken(&document) {
                    in_effect.push(document);
                    continue;
                }
                let kept = file.last_good(&document.path);
                let about = reading.diagnostics.iter().filter(|it| it.file == document.path);
                problems.extend(about.cloned().map(|it| explain(it, kept.is_some())));
                in_effect.extend(kept);
            }
            usable = in_effect;
            reading = parse(&usable, &fixed);
        }
        problems.append(&mut reading.diagnostics);
        if complete == Complete::No && usable.is_empty() {
            file.judged_useless(now);
            return self.refused(problems, now);
        }
        file.judged(&usable, complete, now);
        self.layers.written = self.written(&usable);
        let layer = Layer { dynamic: reading.dynamic, problems, complete };
        self.take_over(Provider::File, layer, now);
    }

    /// Certificates, keys and roots to be read and watched.
    pub(super) fn want_files(&mut self, files: BTreeSet<Arc<str>>) {
        self.material.want(&files);
        self.publisher.set_files(files);
    }

    pub(super) fn on_read(&mut self, path: &Arc<str>, content: Result<Secret, String>, now: Time) {
        if self.material.on_read(path) {
            self.publisher.set_file(path, content);
        }
        self.apply_staged(now);
    }

    /// Identities of SPIFFE. What was good last stays while nobody tells.
    pub(super) fn on_workload(&mut self, told: Result<Secret, String>, now: Time) {
        let line = match &told {
            Ok(_) => LogLine::new(Level::Info, now, "the Workload API told identities"),
            Err(why) => {
                let text = "the Workload API tells nothing, the last good identity stays";
                LogLine::new(Level::Error, now, text).field("cause", why.clone())
            }
        };
        self.journal.say(line);
        self.publisher.set_workload(told);
    }

    /// A configuration takes effect once its files were read: nobody is shown another certificate
    /// in between.
    fn apply_staged(&mut self, now: Time) {
        if !self.material.is_complete() {
            return;
        }
        let Some(staged) = self.staged.take() else { return };
        self.want_files(staged.files);
        self.publisher.set_dynamic(staged.dynamic, staged.written);
        let refused = self.remote.as_ref().is_some_and(Remote::is_refused)
            || self.rest.as_ref().is_some_and(Rest::is_refused);
        let complete = if refused { Complete::No } else { staged.complete };
        self.publisher.applied(staged.problems, complete, now);
        self.say_reloaded(complete, now);
    }

    /// Documents as they may be told, if they are to be and are not too large for it.
    fn written(&self, documents: &[Document]) -> Option<Arc<[Written]>> {
        let texts = || documents.iter().filter_map(|it| Some((&it.path, it.text.as_ref().ok()?)));
        let bytes: usize = texts().map(|(_, text)| text.len()).sum();
        if !self.fixed.tieline.recording || bytes > self.limits.written_bytes as usize {
            return None;
        }
        let key = self.publisher.view().key;
        let setting = Setting::of(&self.fixed, Provider::File);
        let written = texts().filter_map(|(path, text)| {
            Some((path.clone(), redact::text(path, text, key, &setting)?))
        });
        Some(written.collect())
    }

    /// Nothing took effect.
    fn refused(&mut self, mut problems: Vec<Diagnostic>, now: Time) {
        if self.has_several() {
            self.layers.refused.clone_from(&problems);
            let others = self.layers.http.iter().chain(&self.layers.rest);
            problems.extend(others.flat_map(|layer| layer.problems.clone()));
        }
        self.publisher.refused(problems, now);
        let text = "dynamic configuration refused, nothing changes";
        self.journal.say(LogLine::new(Level::Error, now, text));
    }

    fn say_reloaded(&mut self, complete: Complete, now: Time) {
        match complete {
            Complete::Yes => self.journal.info(now, "dynamic configuration applied", &[]),
            Complete::No => {
                let text = "dynamic configuration applied in part, the rest is the last good one";
                self.journal.say(LogLine::new(Level::Error, now, text));
            }
        }
    }
}

fn parse(documents: &[Document], fixed: &Fixed) -> Reading {
    let texts = documents.iter().filter_map(|document| {
        document.text.as_ref().ok().map(|text| (document.path.as_str(), text.as_str()))
    });
    let setting = Setting::of(fixed, Provider::File);
    dynamic_in(&texts.collect::<Vec<_>>(), &setting)
}

fn explain(mut problem: Diagnostic, kept: bool) -> Diagnostic {
    if problem.is_error() && kept {
        problem.text.push_str("; the file's last good content stays in effect");
    }
    problem
}
