//! The loop over turmoil: inputs to the machine, its effects to sockets and the other machines of
//! its host. It decides nothing.

use super::ports::Ports;
use super::stage::Stage;
use crate::oracle::Oracle;
use engine::base::time::{Span, Time};
use engine::boundary::{Answer, Deadline, Document, Effect, Input, Job, Machine};
use engine::view::View;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::task::spawn_local;
use tokio::time::sleep;

/// Wakes the one task that listens.
#[derive(Debug, Default)]
pub(super) struct Bell(RefCell<Option<Waker>>);

impl Bell {
    pub(super) fn listen(&self, cx: &Context<'_>) {
        *self.0.borrow_mut() = Some(cx.waker().clone());
    }

    pub(super) fn ring(&self) {
        if let Some(waker) = self.0.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// What a machine has yet to be told.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    queue: RefCell<Vec<Input>>,
    bell: Bell,
}

impl Inbox {
    pub(super) fn push(&self, input: Input) {
        self.queue.borrow_mut().push(input);
        self.bell.ring();
    }

    pub(super) fn take(&self) -> Vec<Input> {
        self.queue.take()
    }
}

/// The newest view of a host, for its start.
#[derive(Debug, Default)]
pub(super) struct Newest {
    view: RefCell<Option<Arc<View>>>,
    bell: Bell,
}

impl Newest {
    /// The first view that `good` accepts.
    pub(super) async fn when(&self, good: impl Fn(&View) -> bool) -> Arc<View> {
        poll_fn(|cx| match &*self.view.borrow() {
            Some(view) if good(view) => Poll::Ready(Arc::clone(view)),
            _ => {
                self.bell.listen(cx);
                Poll::Pending
            }
        })
        .await
    }
}

/// Where a machine sits: its number, its sockets and its neighbours.
pub(super) struct Seat {
    pub(super) stage: Rc<Stage>,
    pub(super) number: u16,
    pub(super) inbox: Rc<Inbox>,
    pub(super) ports: Rc<Ports>,
    /// Of the control machine.
    pub(super) control: Rc<Inbox>,
    /// Of the workers; only the control machine publishes.
    pub(super) workers: Vec<Rc<Inbox>>,
    pub(super) newest: Rc<Newest>,
    /// What the host's configuration file says.
    pub(super) document: String,
    pub(super) spins: Cell<u32>,
}

/// Calls between two sweeps of a machine's invariants.
const SWEEP_EVERY: u32 = 32;
/// The runtime's timers count milliseconds.
const STEP: Span = Span::millis(1);
/// Turns in a row with a deadline in the past and nothing to do, before it counts as a busy loop.
const SPINS_MAX: u32 = 3;

impl Seat {
    pub(super) fn new(
        stage: &Rc<Stage>,
        number: u16,
        ports: Rc<Ports>,
        control: Rc<Inbox>,
    ) -> Self {
        Self {
            stage: Rc::clone(stage),
            number,
            inbox: Rc::clone(&ports.inbox),
            ports,
            control,
            workers: Vec::new(),
            newest: Rc::default(),
            document: String::new(),
            spins: Cell::new(0),
        }
    }

    fn perform<M: Machine>(&self, effect: Effect, machine: &mut M) {
        match effect {
            Effect::Accept { conn, listener } => self.ports.accept(conn, listener),
            Effect::Connect { conn, to } => self.ports.connect(conn, to),
            Effect::Recv { conn } => self.ports.recv(conn, machine.lend(conn)),
            Effect::Send { conn } => {
                let mut batch = Vec::new();
                machine.gather(conn, &mut batch);
                self.ports.send(conn, batch);
            }
            Effect::Shut { conn } => self.ports.shut(conn),
            Effect::Close { conn, .. } => self.ports.close(conn),
            Effect::StopListening { listener } => self.ports.stop_listening(listener),
            Effect::Publish => self.publish(machine.published()),
            Effect::Report(report) => self.control.push(Input::Report(report)),
            Effect::Offer => {
                let offer = machine.offered();
                offer.into_iter().for_each(|offer| self.control.push(Input::Offer(offer)));
            }
            Effect::Job { job } => {
                let what = machine.job(job).expect("a machine has every job that it announces");
                let (inbox, answer) = (Rc::clone(&self.inbox), self.answer(what));
                spawn_local(async move {
                    sleep(Duration::from_millis(2)).await;
                    inbox.push(Input::Job { job, answer });
                });
            }
            Effect::Log => {
                let mut lines = Vec::new();
                machine.log(&mut lines);
                self.stage.trace.borrow_mut().fold_bytes(&lines);
            }
            Effect::Finished => {}
        }
    }

    /// Every worker gets the view after a while of its own.
    fn publish(&self, view: Option<Arc<View>>) {
        let view = view.expect("a machine has the view that it announces");
        for worker in &self.workers {
            let (worker, view) = (Rc::clone(worker), Arc::clone(&view));
            let delay = Duration::from_millis(self.stage.chance.borrow_mut().below(12));
            spawn_local(async move {
                sleep(delay).await;
                worker.push(Input::View(view));
            });
        }
        *self.newest.view.borrow_mut() = Some(view);
        self.newest.bell.ring();
    }

    fn answer(&self, job: Job) -> Answer {
        match job {
            Job::Resolve { host } => Answer::Resolved(self.stage.resolve(&host)),
            Job::Read { .. } => Answer::Read(Err("no such file".into())),
            Job::Verify { .. } => unreachable!("no site asks for passwords"),
            Job::Load { path } => {
                Answer::Loaded(Ok(vec![Document { path, text: Ok(self.document.clone()) }]))
            }
        }
    }

    /// Until something has come in, or the deadline is due.
    async fn wait(&self, deadline: Option<Deadline>, now: Time, idle: bool) {
        let at = deadline.map_or(Time::NEVER, |deadline| deadline.at);
        self.spins.set(if idle && at <= now { self.spins.get() + 1 } else { 0 });
        if self.spins.get() == SPINS_MAX {
            self.stage.violation(Oracle::R3, || {
                format!("machine {}: {deadline:?} stays in the past", self.number)
            });
        }
        let span = at.since(now).max(STEP).min(Span::secs(3600));
        let mut sleep = pin!(sleep(Duration::from_nanos(span.nanos())));
        poll_fn(|cx| {
            if !self.inbox.queue.borrow().is_empty() {
                return Poll::Ready(());
            }
            self.inbox.bell.listen(cx);
            sleep.as_mut().poll(cx)
        })
        .await;
    }
}

/// Drives `machine` until it has finished.
pub(super) async fn run<M: Machine>(mut machine: M, seat: Seat) {
    let (mut todo, mut calls) = (Vec::new(), 0_u32);
    loop {
        let now = seat.stage.now();
        let inputs = seat.inbox.take();
        let idle = inputs.is_empty();
        for input in inputs {
            seat.stage.trace.borrow_mut().input(seat.number, now, &input);
            machine.handle(input, now);
        }
        machine.tick(now);
        machine.effects(&mut todo);
        let idle = idle && todo.is_empty();
        let finished = todo.contains(&Effect::Finished);
        for effect in todo.drain(..) {
            seat.stage.trace.borrow_mut().effect(seat.number, now, &effect);
            seat.perform(effect, &mut machine);
        }
        calls += 1;
        if calls.is_multiple_of(SWEEP_EVERY) {
            machine.check();
        }
        if finished {
            return;
        }
        seat.wait(machine.deadline(), now, idle).await;
    }
}
