//! One of our instances as a host: the control machine first, which reads the configuration, then
//! the workers, on listeners that they share.

use super::driver::{Inbox, Newest, Seat, run};
use super::ports::{Listener, Ports};
use super::stage::Stage;
use crate::oracle::Oracle;
use engine::base::limits::{ControlLimits, Limits};
use engine::base::time::Wall;
use engine::boundary::Machine;
use engine::config::fixed_from_file;
use engine::control::Control;
use engine::view::View;
use engine::view::stats::Stats;
use engine::worker::{Setup, Worker};
use std::future::{Future, poll_fn};
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use tokio::task::{JoinHandle, spawn_local};
use turmoil::net::TcpListener;

/// What an instance is started with.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    /// Its machines are numbered from ten times this.
    pub(super) number: u16,
    pub(super) workers: u16,
    pub(super) startup: String,
    pub(super) document: String,
}

/// A life of an instance; ends only with the host, or when a machine panics.
pub(super) async fn live(stage: Rc<Stage>, instance: Instance) -> turmoil::Result {
    let Instance { number, workers, startup, document } = instance;
    let (fixed, problems) = fixed_from_file("startup.yml", &startup);
    if !problems.is_empty() {
        stage.violation(Oracle::U2, || format!("instance {number} has {problems:?}"));
    }
    let entries = fixed.entry_points.len() + fixed.uplink_entry_points.len();
    let entries = u16::try_from(entries).expect("few entry points");
    let stats = Arc::new(Stats::new(workers, entries, Wall(0)));
    stage.stats.borrow_mut().push(Arc::clone(&stats));
    let listeners: Vec<Rc<Listener>> = (0..entries).map(|_| Rc::default()).collect();
    let inboxes: Vec<Rc<Ports>> = (0..workers).map(|_| Ports::new(listeners.clone())).collect();
    let seed = stage.plan.seed ^ u64::from(number) << 32 ^ stage.now().nanos();
    let limits = ControlLimits::default();
    let control = Control::new(Arc::new(fixed), limits, Arc::clone(&stats), seed, stage.now());
    let ports = Ports::new(Vec::new());
    let own: Rc<Inbox> = Rc::clone(&ports.inbox);
    let newest: Rc<Newest> = Rc::default();
    let seat = Seat {
        workers: inboxes.iter().map(|ports| Rc::clone(&ports.inbox)).collect(),
        newest: Rc::clone(&newest),
        document,
        ..Seat::new(&stage, number * 10, ports, Rc::clone(&own))
    };
    let mut machines = vec![start(control, seat)];
    let view = newest.when(has_read).await;
    judge_view(&stage, number, &view);
    for (entry, listener) in view.entries.iter().zip(&listeners) {
        let address = (Ipv4Addr::UNSPECIFIED, entry.settings.address.port());
        let socket = TcpListener::bind(address).await?;
        spawn_local(Rc::clone(listener).serve(socket));
    }
    for (index, ports) in (0..).zip(inboxes) {
        let (view, stats) = (Arc::clone(&view), Arc::clone(&stats));
        let setup = Setup { limits: Limits::default(), index, wall: Wall(0), view, stats };
        let seat = Seat::new(&stage, number * 10 + 1 + index, ports, Rc::clone(&own));
        machines.push(start(Worker::new(setup), seat));
    }
    ends(machines).await
}

fn start<M: Machine + 'static>(machine: M, seat: Seat) -> JoinHandle<()> {
    spawn_local(run(machine, seat))
}

fn has_read(view: &View) -> bool {
    let reloads = &view.status.reloads;
    reloads.applied + reloads.refused > 0
}

/// The documents of this level are without a problem.
fn judge_view(stage: &Stage, number: u16, view: &View) {
    if view.status.reloads.refused > 0 {
        stage.violation(Oracle::U2, || format!("instance {number} refuses its document"));
    }
}

/// A machine that ends has panicked, since nobody drains these.
async fn ends(mut machines: Vec<JoinHandle<()>>) -> turmoil::Result {
    poll_fn(|cx| {
        for machine in &mut machines {
            if let Poll::Ready(ended) = Pin::new(machine).poll(cx) {
                return Poll::Ready(ended);
            }
        }
        Poll::Pending
    })
    .await?;
    Ok(())
}
