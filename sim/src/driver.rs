//! The loop of every driver, without a clock or a socket of its own: inputs in, deadlines fired,
//! effects carried out.

use crate::fault::Kind;
use crate::net::Net;
use crate::oracle::Oracle;
use engine::base::time::{Span, Time};
use engine::boundary::{Effect, Input, Machine};

/// Steps that end with a deadline in the past, in a row, before it counts as a busy loop.
const SPINS_MAX: u32 = 2;

/// What a call of [`step`] leaves to its caller.
#[derive(Debug, Default)]
pub struct Errands {
    /// Effects that do not concern sockets.
    pub effects: Vec<Effect>,
    todo: Vec<Effect>,
    /// Inputs handled and ticks that were due, so far.
    pub steps: u64,
    /// Epoch of the newest view handed over in this call.
    pub view: u64,
}

/// Calls a machine: at most `batch` of its inputs, then its deadlines, then its effects.
pub fn step(net: &mut Net, host: u16, machine: &mut dyn Machine, batch: usize, out: &mut Errands) {
    let now = net.now + net.ports[host as usize].ahead;
    out.view = 0;
    if net.ports[host as usize].wake > net.now {
        return;
    }
    net.ports[host as usize].wake = Time::NEVER;
    let mut handled = 0;
    while handled < batch
        && let Some(input) = net.ports[host as usize].inbox.pop_front()
    {
        net.trace.input(host, now, &input);
        net.ports[host as usize].hear(&input);
        if let Input::View(view) = &input {
            out.view = out.view.max(view.epoch);
        }
        machine.handle(input, now);
        handled += 1;
    }
    if machine.deadline().is_some_and(|deadline| deadline.at <= now) {
        out.steps += 1;
    }
    machine.tick(now);
    out.steps += handled as u64;
    machine.effects(&mut out.todo);
    let idle = handled == 0 && out.todo.is_empty();
    for effect in out.todo.drain(..) {
        net.trace.effect(host, now, &effect);
        if !net.perform(host, effect, machine) {
            out.effects.push(effect);
        }
    }
    arm(net, host, machine, idle);
}

fn arm(net: &mut Net, host: u16, machine: &dyn Machine, idle: bool) {
    let ahead = net.ports[host as usize].ahead;
    let now = net.now + ahead;
    if !net.ports[host as usize].inbox.is_empty() {
        net.wake_at(host, net.now);
    }
    let Some(deadline) = machine.deadline() else { return };
    let spins = &mut net.ports[host as usize].idle_spins;
    *spins = if deadline.at <= now && idle { *spins + 1 } else { 0 };
    if *spins >= SPINS_MAX {
        net.verdict.add(Oracle::R3, now, || {
            format!("machine {host}: the deadline {deadline:?} stays in the past")
        });
        return;
    }
    if deadline.at == Time::NEVER {
        return;
    }
    let mut at = deadline.at - ahead;
    if net.faults.strikes(Kind::LateTick) {
        net.faults.observed(Kind::LateTick);
        at = at + Span::micros(net.faults.chance.size(4_000_000));
    }
    net.wake_at(host, at.max(net.now + Span::from_nanos(1)));
}
