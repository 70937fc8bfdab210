//! Load over HTTP/2: on each connection so many requests at a time, each followed by the next.

use super::frames::Frames;
use super::load::Load;
use super::pipe::Pipe;
use std::io::{Error, Result};
use std::time::Instant;

/// One connection until the time is up, or until it breaks.
pub(super) async fn run(load: &Load) -> Result<()> {
    let mut pipe = Pipe::open(load.target, load.tls.as_ref()).await?;
    if !pipe.speaks(b"h2") {
        return Err(Error::other("no HTTP/2"));
    }
    let scheme = if load.tls.is_some() { "https" } else { "http" };
    let mut frames = Frames::new(&load.path, scheme);
    let mut asked: Vec<(u32, Instant)> = Vec::new();
    let mut stays = true;
    while stays || !asked.is_empty() {
        let going = load.begun.elapsed() < load.duration;
        while going && stays && asked.len() < load.streams as usize {
            asked.push((frames.ask(), Instant::now()));
        }
        if asked.is_empty() {
            return Ok(());
        }
        if !frames.out.is_empty() {
            let mut sent = pipe.send(std::mem::take(&mut frames.out)).await?;
            sent.clear();
            frames.out = sent;
        }
        let mut heard = std::mem::take(&mut frames.heard);
        let received = pipe.receive(&mut heard).await;
        frames.heard = heard;
        received?;
        stays &= frames.hear(|done| {
            if let Some(at) = asked.iter().position(|(stream, _)| *stream == done.stream) {
                let (_, begun) = asked.swap_remove(at);
                load.counts.add(done.fine, begun);
            }
        });
    }
    Ok(())
}
