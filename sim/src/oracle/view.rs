//! Which view each worker uses, and since when: V1 and V2.

use super::{Oracle, Verdict};
use engine::base::time::{Span, Time};

/// Longer than a publication takes while nothing goes wrong.
pub const REACHED_WITHIN: Span = Span::secs(1);

/// The epochs that each worker has used, oldest first, by the number of its machine.
#[derive(Debug, Default)]
pub struct Epochs(Vec<Vec<(Time, u64)>>);

impl Epochs {
    /// A worker that was handed views up to `handed` has been called, and uses `used`.
    pub fn observe(&mut self, host: u16, handed: u64, used: u64, now: Time, verdict: &mut Verdict) {
        let at = usize::from(host);
        if at >= self.0.len() {
            self.0.resize_with(at + 1, Vec::new);
        }
        let last = self.0[at].last().map(|(_, epoch)| *epoch);
        if used != handed {
            verdict.add(Oracle::V1, now, || {
                format!("worker {host} uses epoch {used} and was handed {handed}")
            });
        }
        if last.is_some_and(|last| used < last) {
            verdict.add(Oracle::V1, now, || {
                format!("worker {host} went back from epoch {last:?} to {used}")
            });
        }
        if last != Some(used) {
            self.0[at].push((now, used));
        }
    }

    /// What a worker used at an instant; nought if it did not run yet.
    pub fn at(&self, host: u16, time: Time) -> u64 {
        let used = self.0.get(usize::from(host)).map_or(&[][..], Vec::as_slice);
        let until = used.partition_point(|(since, _)| *since <= time);
        until.checked_sub(1).map_or(0, |at| used[at].1)
    }

    /// V2: a request is routed by no view that its worker had replaced when the head was complete,
    /// and V1: by none that it was not handed yet. `head_sent` is when the last byte of the head
    /// was on its way, which is earlier.
    pub fn judge_line(
        &self,
        host: u16,
        epoch: u64,
        head_sent: Option<Time>,
        now: Time,
        verdict: &mut Verdict,
    ) {
        let newest = self.at(host, now);
        if epoch > newest {
            verdict.add(Oracle::V1, now, || {
                format!("worker {host} routed by epoch {epoch} and was handed {newest}")
            });
        }
        let Some(sent) = head_sent else { return };
        let then = self.at(host, sent);
        if epoch < then {
            verdict.add(Oracle::V2, now, || {
                format!(
                    "worker {host} routed by epoch {epoch} what was sent at {sent}, when it used \
                     {then}"
                )
            });
        }
    }

    /// V1 in quiet times: a worker uses the newest view once it must have reached it.
    pub fn judge_quiet(&self, host: u16, newest: (Time, u64), now: Time, verdict: &mut Verdict) {
        let (published, epoch) = newest;
        let used = self.at(host, now);
        if used != epoch && published + REACHED_WITHIN <= now {
            verdict.add(Oracle::V1, now, || {
                format!("worker {host} uses epoch {used}, and {epoch} came at {published}")
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO + Span::millis(millis)
    }

    /// What a worker used, what its log said, and what is wrong with that.
    #[track_caller]
    fn check(used: &[(u64, u64, u64)], line: (u64, u64), expected: &[Oracle]) {
        let (mut epochs, mut verdict) = (Epochs::default(), Verdict::default());
        for (when, handed, epoch) in used {
            epochs.observe(3, *handed, *epoch, at(*when), &mut verdict);
        }
        let (sent, epoch) = line;
        epochs.judge_line(3, epoch, Some(at(sent)), at(900), &mut verdict);
        let found: Vec<Oracle> = verdict.all().iter().map(|violation| violation.oracle).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_false_history_of_views_is_noticed() {
        let fine = [(0, 1, 1), (100, 2, 2), (500, 5, 5)];
        check(&fine, (50, 1), &[]);
        check(&fine, (50, 5), &[]);
        check(&fine, (100, 1), &[Oracle::V2]);
        check(&fine, (600, 2), &[Oracle::V2]);
        check(&fine, (600, 6), &[Oracle::V1]);
        check(&[(0, 1, 1), (100, 2, 1)], (0, 1), &[Oracle::V1]);
        check(&[(0, 5, 5), (100, 4, 4)], (0, 5), &[Oracle::V1, Oracle::V1]);
    }

    #[test]
    fn a_worker_that_never_hears_of_the_newest_view_is_noticed() {
        let (mut epochs, mut verdict) = (Epochs::default(), Verdict::default());
        epochs.observe(0, 1, 1, at(0), &mut verdict);
        epochs.judge_quiet(0, (at(100), 2), at(1_000), &mut verdict);
        assert!(verdict.is_clean());
        epochs.judge_quiet(0, (at(100), 2), at(1_100), &mut verdict);
        assert!(!verdict.is_clean());
    }
}
