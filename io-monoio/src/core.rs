//! The loop: inputs to the machine, its effects to the sockets and the other threads. It decides
//! nothing.

use crate::bell::{self, Inbox};
use crate::clock::Clock;
use crate::links::Links;
use crate::ports::Ports;
use crate::slot::Mailbox;
use engine::base::time::{Span, Time};
use engine::boundary::{Deadline, Effect, Machine};
use monoio::io::AsyncReadRent;
use monoio::net::UnixStream;
use monoio::time::Sleep;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Drives `machine` until it has finished. To be spawned, not blocked on: a main future that is
/// woken makes the runtime enter the kernel once more per turn than a task does.
pub(crate) async fn run<M: Machine>(
    mut machine: M,
    ports: Rc<Ports>,
    links: Links,
    clock: Clock,
    heard: UnixStream,
) {
    let hearing = monoio::spawn(hear(heard));
    let mut timer = Timer::new();
    let (mut slots, mut batch, mut todo) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let mut finished = false;
        ports.run_called(&mut slots);
        let now = clock.now();
        if links.mailbox.is_waiting() {
            links.mailbox.collect(&mut batch);
            batch.drain(..).for_each(|input| machine.handle(input, now));
        }
        ports.inbox.collect(&mut batch);
        batch.drain(..).for_each(|input| machine.handle(input, now));
        machine.tick(now);
        machine.effects(&mut todo);
        for effect in todo.drain(..) {
            finished |= effect == Effect::Finished;
            perform(effect, &mut machine, &ports, &links);
        }
        ports.run_asked();
        if finished {
            break;
        }
        if !ports.inbox.is_empty() && monoio::utils::is_legacy() {
            // What epoll could do at once is done, and may be again: others have their turn first.
            monoio::spawn(async {}).await;
        }
        timer.arm(machine.deadline(), now);
        wait(&ports.inbox, &links.mailbox, &mut timer).await;
    }
    ports.release().await;
    links.mailbox.hang_up();
    hearing.await;
}

fn perform<M: Machine>(effect: Effect, machine: &mut M, ports: &Rc<Ports>, links: &Links) {
    match effect {
        Effect::Accept { conn, listener } => ports.accept(conn, listener),
        Effect::Connect { conn, to } => ports.connect(conn, to),
        Effect::Recv { conn } => ports.recv(conn, machine),
        Effect::Send { conn } => ports.send(conn, machine),
        Effect::Shut { conn } => ports.shut(conn),
        Effect::Close { conn, how } => ports.close(conn, how),
        Effect::StopListening { listener } => ports.stop_listening(listener),
        Effect::Job { job } => links.job(job, machine.job(job)),
        Effect::Publish => links.publish(machine.published()),
        Effect::Report(report) => links.report(report),
        Effect::Offer => links.offer(machine.offered()),
        Effect::Log => links.log(|out| machine.log(out)),
        Effect::Finished => {}
    }
}

/// Parks until an operation has finished, something was posted, or the timer is due.
async fn wait(inbox: &Inbox, mailbox: &Mailbox, timer: &mut Timer) {
    poll_fn(|cx| {
        if !inbox.is_empty() || bell::is_anybody_called() || mailbox.is_waiting() {
            return Poll::Ready(());
        }
        bell::listen(cx);
        timer.poll(cx)
    })
    .await;
    bell::silence();
}

/// Rings the loop whenever another thread has left something.
async fn hear(mut heard: UnixStream) {
    let mut buffer = vec![0_u8; 64];
    loop {
        let (result, back) = heard.read(buffer).await;
        match result {
            Ok(0) | Err(_) => return,
            Ok(_) => bell::ring(),
        }
        buffer = back;
    }
}

/// One sleep for all deadlines of a machine.
struct Timer {
    sleep: Pin<Box<Sleep>>,
    armed: Option<Time>,
}

impl Timer {
    /// The runtime's timers count milliseconds.
    const STEP: Span = Span::millis(1);

    fn new() -> Self {
        Self { sleep: Box::pin(monoio::time::sleep(Duration::ZERO)), armed: None }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.armed.is_none() {
            return Poll::Pending;
        }
        let due = self.sleep.as_mut().poll(cx);
        if due.is_ready() {
            self.armed = None;
        }
        due
    }

    /// A deadline that moved later leaves the sleep as it is: it ends early, which costs one
    /// turn, where moving it would cost something on every turn.
    fn arm(&mut self, deadline: Option<Deadline>, now: Time) {
        let Some(deadline) = deadline else { return };
        let at = deadline.at.max(now + Self::STEP);
        if self.armed.is_none_or(|armed| at < armed) {
            let after = Duration::from_nanos(at.since(now).nanos()).min(Duration::from_secs(3600));
            self.sleep.as_mut().reset(monoio::time::Instant::now() + after);
            self.armed = Some(at);
        }
    }
}
