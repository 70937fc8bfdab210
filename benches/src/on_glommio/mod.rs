//! A second driver: the machines of the gateway on glommio, unchanged. It exists to show that they
//! do not know their runtime, and to be compared. One thread carries the control machine and one
//! worker; it decides as little as the production driver does.

#[cfg(test)]
mod conformance;
mod inbox;
mod port;
mod ports;

use engine::base::limits::{ControlLimits, Limits};
use engine::base::time::{Span, Time};
use engine::boundary::{Deadline, Effect, Input, Job, Machine};
use engine::config::fixed::Fixed;
use engine::control::Control;
use engine::view::View;
use engine::view::stats::Stats;
use engine::worker::{Setup, Worker};
use futures_lite::future::poll_fn;
use glommio::timer::Timer;
use glommio::{LocalExecutorBuilder, Placement, PoolPlacement};
use inbox::Inbox;
use io_monoio::clock::Clock;
use io_monoio::helper;
use ports::Ports;
use std::future::Future;
use std::io::{self, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::task::{Context, Poll};
use std::time::Duration;

/// Serves `fixed` on this thread until `stop` says so or has nobody left, then drains.
pub fn serve(fixed: Fixed, stop: Receiver<()>) -> io::Result<()> {
    // One thread waits for `stop`, the other reads files and resolves names.
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .ring_depth(1024)
        .blocking_thread_pool_placement(PoolPlacement::Unbound(2))
        .make()?;
    executor.run(gateway(Arc::new(fixed), stop))
}

async fn gateway(fixed: Arc<Fixed>, stop: Receiver<()>) -> io::Result<()> {
    let clock = Clock::start();
    let entries = fixed.entry_points.len() + fixed.uplink_entry_points.len();
    let entries = u16::try_from(entries).unwrap_or(u16::MAX);
    let stats = Arc::new(Stats::new(1, entries, clock.wall()));
    let seed = 1;
    let control =
        Control::new(fixed.clone(), ControlLimits::default(), stats.clone(), seed, clock.now());
    let (to_control, to_worker) = (Rc::new(Inbox::default()), Rc::new(Inbox::default()));
    let links = Links { control: to_control.clone(), worker: to_worker.clone() };
    let sockets = Ports::new(to_control.clone(), Vec::new());
    let controlling = glommio::spawn_local(drive(control, sockets, links.clone(), clock));

    let view = first_reading(&to_worker, &fixed).await;
    let addresses = view.entries.iter().map(|entry| entry.settings.address);
    let sockets = Ports::listening(to_worker.clone(), addresses)?;
    let setup = Setup { limits: Limits::default(), index: 0, wall: clock.wall(), view, stats };
    let working = glommio::spawn_local(drive(Worker::new(setup), sockets, links, clock));

    // Whether it was told or lost its sender: it is time.
    let _ = glommio::executor().spawn_blocking(move || stop.recv()).await;
    to_worker.put(Input::Drain { by: clock.now() + Span::secs(10) });
    working.await;
    to_control.put(Input::Drain { by: Time::ZERO });
    controlling.await;
    Ok(())
}

/// The first view that knows what the configuration files say.
async fn first_reading(inbox: &Inbox, fixed: &Fixed) -> Arc<View> {
    let mut batch = Vec::new();
    loop {
        inbox.filled().await;
        inbox.collect(&mut batch);
        for input in batch.drain(..) {
            if let Input::View(view) = input {
                let reloads = &view.status.reloads;
                if fixed.file.is_none() || reloads.applied + reloads.refused > 0 {
                    return view;
                }
            }
        }
    }
}

/// Where effects go that are not sockets.
#[derive(Clone)]
struct Links {
    control: Rc<Inbox>,
    worker: Rc<Inbox>,
}

/// Drives `machine` until it has finished.
async fn drive<M: Machine>(mut machine: M, ports: Rc<Ports>, links: Links, clock: Clock) {
    let mut alarm = Alarm::default();
    let (mut batch, mut todo) = (Vec::new(), Vec::new());
    let mut finished = false;
    while !finished {
        let now = clock.now();
        ports.inbox.collect(&mut batch);
        batch.drain(..).for_each(|input| machine.handle(input, now));
        machine.tick(now);
        machine.effects(&mut todo);
        for effect in todo.drain(..) {
            finished |= effect == Effect::Finished;
            perform(effect, &mut machine, &ports, &links);
        }
        if !finished {
            alarm.set(machine.deadline(), now);
            poll_fn(|cx| match ports.inbox.poll(cx) {
                Poll::Pending => alarm.poll(cx),
                ready @ Poll::Ready(()) => ready,
            })
            .await;
        }
    }
    ports.release().await;
}

fn perform<M: Machine>(effect: Effect, machine: &mut M, ports: &Rc<Ports>, links: &Links) {
    match effect {
        Effect::Accept { conn, listener } => ports.accept(conn, listener),
        Effect::Connect { conn, to } => ports.connect(conn, to),
        Effect::Recv { conn } => ports.recv(conn, machine.lend(conn)),
        Effect::Send { conn } => ports.send(conn, |batch| machine.gather(conn, batch)),
        Effect::Shut { conn } => ports.shut(conn),
        Effect::Close { conn, how } => ports.close(conn, how),
        Effect::StopListening { listener } => ports.stop_listening(listener),
        Effect::Job { job } => {
            let what = machine.job(job).expect("a machine has every job that it announces");
            glommio::spawn_local(answer(job, what, ports.inbox.clone())).detach();
        }
        Effect::Publish => {
            let view = machine.published().expect("a machine has the view that it announces");
            links.worker.put(Input::View(view));
        }
        Effect::Report(report) => links.control.put(Input::Report(report)),
        Effect::Offer => {
            machine.offered().into_iter().for_each(|it| links.control.put(Input::Offer(it)));
        }
        Effect::Log => {
            let mut lines = Vec::new();
            machine.log(&mut lines);
            // A log that cannot be written has nobody left to tell.
            drop(io::stderr().write_all(&lines));
        }
        Effect::Finished => {}
    }
}

async fn answer(job: engine::base::id::JobId, what: Job, inbox: Rc<Inbox>) {
    let answer = glommio::executor().spawn_blocking(move || helper::perform(what)).await;
    inbox.put(Input::Job { job, answer });
}

/// One timer for all deadlines of a machine.
#[derive(Default)]
struct Alarm {
    at: Option<Time>,
    timer: Option<Timer>,
}

impl Alarm {
    /// A deadline that moved later leaves the timer as it is: one turn too many costs less.
    fn set(&mut self, deadline: Option<Deadline>, now: Time) {
        let Some(Deadline { at, .. }) = deadline else { return };
        if self.at.is_none_or(|armed| at < armed) {
            self.at = Some(at);
            self.timer = Some(Timer::new(Duration::from_nanos(at.since(now).nanos())));
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(timer) = &mut self.timer else { return Poll::Pending };
        let due = Pin::new(timer).poll(cx);
        if due.is_ready() {
            *self = Self::default();
        }
        due.map(drop)
    }
}
