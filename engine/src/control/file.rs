//! The file provider: when to read, and which reading to believe.
//!
//! A change is read after a short pause, and once more after another: two readings must agree, so
//! that a file that is being written is not taken for a shorter one. Applied configurations are
//! `providersThrottleDuration` apart, the first one excepted.
//!
//! ```text
//!   Idle ──hint──▶ Pausing ──▶ Reading ──differs──▶ Pausing ──▶ Reading ──agrees──▶ applied
//! ```

use crate::base::diag::Diagnostic;
use crate::base::limits::ControlLimits;
use crate::base::mark::Mark;
use crate::base::time::{Span, Time};
use crate::boundary::Document;
use crate::view::stats::Stats;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct FileProvider {
    path: String,
    watch: bool,
    limits: ControlLimits,
    stats: Arc<Stats>,
    throttle: Span,
    phase: Phase,
    /// Something may have changed since the reading under way began.
    hinted: bool,
    /// The last reading, if it is not believed yet.
    candidate: Option<Reading>,
    /// Readings in a row that disagreed.
    disagreed: u32,
    /// The last reading that was believed, good or bad.
    believed: Option<Reading>,
    /// The newest good text of every file.
    good: BTreeMap<String, String>,
    next_apply: Time,
    /// What is in effect is not what the files say.
    wrong: bool,
}

type Reading = Result<Vec<Document>, String>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Idle,
    Pausing { until: Time },
    Reading,
}

/// What to do about a reading.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Nothing new, or not to be believed yet.
    Wait,
    /// A new state of the files: hand it to the parser, and tell [`FileProvider::judged`].
    Judge(Vec<Document>),
    /// Nothing could be read.
    Refuse(Diagnostic),
}

impl FileProvider {
    pub(super) fn new(
        path: &str,
        watch: bool,
        throttle: Span,
        limits: ControlLimits,
        stats: Arc<Stats>,
        now: Time,
    ) -> Self {
        Self {
            path: path.to_owned(),
            watch,
            limits,
            stats,
            throttle,
            phase: Phase::Pausing { until: now },
            hinted: false,
            candidate: None,
            disagreed: 0,
            believed: None,
            good: BTreeMap::new(),
            next_apply: now,
            wrong: false,
        }
    }

    /// Whether a reading was believed.
    pub(super) fn is_heard(&self) -> bool {
        self.believed.is_some()
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The files may have changed.
    pub(super) fn hint(&mut self, now: Time) {
        match self.phase {
            Phase::Idle | Phase::Pausing { .. } => self.pause(now + self.limits.file_debounce),
            Phase::Reading => self.hinted = true,
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        match self.phase {
            Phase::Pausing { until } => Some(until),
            Phase::Idle | Phase::Reading => None,
        }
    }

    /// True if the files are to be read now.
    pub(super) fn tick(&mut self, now: Time) -> bool {
        match self.phase {
            Phase::Pausing { until } if until <= now => {
                self.phase = Phase::Reading;
                self.hinted = false;
                true
            }
            Phase::Pausing { .. } | Phase::Idle | Phase::Reading => false,
        }
    }

    pub(super) fn on_loaded(&mut self, reading: Reading, now: Time) -> Verdict {
        self.phase = Phase::Idle;
        if self.hinted {
            self.pause(now + self.limits.file_debounce);
        }
        if self.believed.as_ref() == Some(&reading) {
            self.candidate = None;
            self.disagreed = 0;
            self.retry(now);
            return Verdict::Wait;
        }
        if self.believed.is_some() && self.candidate.as_ref() != Some(&reading) {
            if self.candidate.is_some() {
                self.stats.control.marks.hit(Mark::ReadingsDisagreed);
            }
            self.candidate = Some(reading);
            let factor = 1 << self.disagreed.min(5);
            self.disagreed += 1;
            self.pause(now + self.limits.file_settle.times(factor));
            return Verdict::Wait;
        }
        if now < self.next_apply {
            self.candidate = Some(reading);
            self.pause(self.next_apply);
            return Verdict::Wait;
        }
        self.believe(reading, now)
    }

    fn believe(&mut self, reading: Reading, now: Time) -> Verdict {
        self.candidate = None;
        self.disagreed = 0;
        self.believed = Some(reading.clone());
        match reading {
            Err(why) => self.refuse("unreadable", &why, now),
            Ok(documents) if documents.is_empty() && !self.good.is_empty() => {
                let help = "to serve nothing on purpose, leave one file with only a comment";
                let mut verdict = self.refuse("no-files", "no configuration file left", now);
                if let Verdict::Refuse(problem) = &mut verdict {
                    help.clone_into(&mut problem.help);
                }
                verdict
            }
            Ok(documents) => Verdict::Judge(documents),
        }
    }

    fn refuse(&mut self, code: &'static str, why: &str, now: Time) -> Verdict {
        self.stats.control.marks.hit(Mark::FilesRefused);
        self.wrong = true;
        self.retry(now);
        let kept = if self.good.is_empty() { "" } else { "; the last good configuration stays" };
        Verdict::Refuse(Diagnostic::error(code, "", format!("{why}{kept}")).at(&self.path, 0, 0))
    }

    /// What is to be parsed: of every file its text, or its last good one where the text is not to
    /// be used; and what is wrong with the files as such.
    pub(super) fn usable(&self, documents: &[Document]) -> (Vec<Document>, Vec<Diagnostic>) {
        let mut problems = Vec::new();
        let mut usable = Vec::new();
        for document in documents {
            let good = self.good.get(&document.path);
            let problem = match &document.text {
                Err(why) => Some(("unreadable", why.clone(), "")),
                Ok(text) if text.trim().is_empty() && good.is_some() => Some((
                    "empty-file",
                    "the file is empty".to_owned(),
                    "to take everything in it away on purpose, leave only a comment",
                )),
                Ok(_) => None,
            };
            let Some((code, text, help)) = problem else {
                usable.push(document.clone());
                continue;
            };
            let kept = if good.is_some() { "; its last good content stays in effect" } else { "" };
            let problem = Diagnostic::error(code, "", format!("{text}{kept}"));
            problems.push(problem.at(&document.path, 0, 0).help(help));
            usable.extend(good.map(|text| self.document(&document.path, text)));
        }
        (usable, problems)
    }

    /// The last good state of a file that does not parse.
    pub(super) fn last_good(&self, path: &str) -> Option<Document> {
        self.good.get(path).map(|text| self.document(path, text))
    }

    fn document(&self, path: &str, text: &str) -> Document {
        debug_assert!(self.good.contains_key(path), "only good texts are brought back");
        Document { path: path.to_owned(), text: Ok(text.to_owned()) }
    }

    /// What was parsed took effect; `complete` if nothing had to be brought back.
    pub(super) fn judged(&mut self, in_effect: &[Document], complete: Complete, now: Time) {
        self.good = in_effect
            .iter()
            .filter_map(|document| {
                document.text.as_ref().ok().map(|text| (document.path.clone(), text.clone()))
            })
            .collect();
        self.next_apply = now + self.throttle;
        self.wrong = complete == Complete::No;
        if self.wrong {
            self.stats.control.marks.hit(Mark::LastGoodFileUsed);
        }
        self.retry(now);
    }

    /// Nothing of what was parsed can take effect.
    pub(super) fn judged_useless(&mut self, now: Time) {
        self.wrong = true;
        self.retry(now);
    }

    /// Looks again at what is wrong, although nobody said that it changed.
    fn retry(&mut self, now: Time) {
        if self.wrong && self.watch && self.phase == Phase::Idle {
            self.pause(now + self.limits.file_retry);
        }
    }

    fn pause(&mut self, until: Time) {
        let until = match self.phase {
            Phase::Pausing { until: earlier } => earlier.min(until),
            Phase::Idle | Phase::Reading => until,
        };
        self.phase = Phase::Pausing { until };
    }
}

/// Whether everything that was read could be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Complete {
    Yes,
    No,
}
