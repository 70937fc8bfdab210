//! T2: a capsule of an instance is sound, and every decision in it is taken again alike by the
//! views that it was taken by.

use super::{Oracle, Verdict};
use crate::gateway::Gateway;
use engine::base::time::Time;
use engine::worker::capsule::{read, text, write};
use engine::worker::replay::{Change, Stage, Told, replay};

/// Judges what an instance has recorded since it began; how many requests came out alike.
pub fn judge(gateway: &Gateway, now: Time, verdict: &mut Verdict) -> u64 {
    let Some((_, view)) = gateway.views.last_key_value() else { return 0 };
    let Some(written) = write(view, &gateway.stats, now) else { return 0 };
    match again(&written) {
        Ok(told) => {
            if let Some(first) = told.different.first() {
                verdict.add(Oracle::T2, now, || {
                    format!(
                        "{}: {} of {} requests, the first {} ({}): recorded {:?}, replayed {:?}",
                        gateway.instance.name,
                        told.different.len(),
                        told.requests,
                        first.request.line(),
                        first.what,
                        first.recorded,
                        first.replayed,
                    )
                });
            }
            told.identical
        }
        Err(why) => {
            verdict.add(Oracle::T2, now, || format!("{}: {why}", gateway.instance.name));
            0
        }
    }
}

fn again(written: &str) -> Result<Told, String> {
    let capsule = read(written).map_err(|broken| broken.to_string())?;
    if text(&capsule) != written {
        return Err("a capsule that was read is written otherwise".to_owned());
    }
    let stage = Stage::new(&capsule, Change::default())?;
    replay(&capsule, &stage, true)
}
