//! Taking over what the files say.

use super::file::{Complete, Verdict};
use super::machine::Control;
use crate::base::diag::Diagnostic;
use crate::base::line::{Level, LogLine};
use crate::base::secret::Secret;
use crate::base::time::Time;
use crate::boundary::Document;
use crate::config::fixed::Fixed;
use crate::config::typed::Dynamic;
use crate::config::{Reading, Setting, dynamic_in, tls};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A configuration that is good, before it takes effect.
#[derive(Debug)]
pub(super) struct Staged {
    dynamic: Dynamic,
    files: BTreeSet<Arc<str>>,
    problems: Vec<Diagnostic>,
    complete: Complete,
}

impl Control {
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
        let files = tls::files(&self.fixed, &reading.dynamic);
        let staged = Staged { dynamic: reading.dynamic, files, problems, complete };
        let mut wanted = tls::files(&self.fixed, &Dynamic::default());
        wanted.extend(self.publisher.files().iter().cloned());
        wanted.extend(staged.files.iter().cloned());
        self.want_files(wanted);
        self.staged = Some(staged);
        self.apply_staged(now);
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
        self.publisher.set_dynamic(staged.dynamic);
        self.publisher.applied(staged.problems, staged.complete, now);
        self.say_reloaded(staged.complete, now);
    }

    /// Nothing took effect.
    fn refused(&mut self, problems: Vec<Diagnostic>, now: Time) {
        self.publisher.refused(problems, now);
        let text = "dynamic configuration refused, the last good one stays in effect";
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
    let setting = Setting { syntax: fixed.rule_syntax, environment: fixed.environment.clone() };
    dynamic_in(&texts.collect::<Vec<_>>(), &setting)
}

fn explain(mut problem: Diagnostic, kept: bool) -> Diagnostic {
    if problem.is_error() && kept {
        problem.text.push_str("; the file's last good content stays in effect");
    }
    problem
}
