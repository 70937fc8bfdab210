//! A report as one page that needs nothing else: plots are inline SVG.

use super::report::{Report, millis, percent, seconds};
use engine::base::time::Span;
use std::fmt::Write;

const WIDTH: u64 = 900;
const HEIGHT: u64 = 180;
const COLOURS: [&str; 8] =
    ["#3366aa", "#dd8833", "#449966", "#aa4466", "#7755aa", "#998833", "#448899", "#777777"];

const STYLE: &str = "body{font:15px/1.4 sans-serif;max-width:920px;margin:2em auto;padding:0 1em}\
    svg{width:100%;background:#f7f7f7}table{border-collapse:collapse}\
    td,th{padding:2px 12px 2px 0;text-align:left;vertical-align:top}\
    td.n{text-align:right;font-variant-numeric:tabular-nums}\
    h2{font-size:1.1em;margin:1.5em 0 .3em}";

impl Report {
    /// The whole page.
    pub fn html(&self) -> String {
        let mut out = String::new();
        let title = format!(
            "{} at {} requests/s, seed {}",
            self.options.length, self.options.rate, self.options.seed
        );
        out.push_str("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">");
        let _ = write!(out, "<title>Foresight: {title}</title><style>{STYLE}</style>");
        let _ = write!(out, "<h1>Foresight</h1><p>{}</p>", escaped(&title));
        self.share_plot(&mut out);
        self.failure_plot(&mut out);
        self.latency_plot(&mut out);
        self.tables(&mut out);
        out.push_str("</html>\n");
        out
    }

    fn plot(&self, out: &mut String, title: &str, body: &str) {
        let _ = write!(
            out,
            "<h2>{title}</h2><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             aria-label=\"{title}\">{body}</svg>"
        );
    }

    /// Where interval `at` begins.
    fn x(&self, at: usize) -> u64 {
        at as u64 * WIDTH / self.figures.slots.len() as u64
    }

    fn bar(&self, body: &mut String, at: usize, (top, height): (u64, u64), colour: &str) {
        let (x, next) = (self.x(at), self.x(at + 1));
        let width = next - x;
        let _ = write!(
            body,
            "<rect x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" fill=\"{colour}\"/>"
        );
    }

    fn share_plot(&self, out: &mut String) {
        let mut body = String::new();
        let served = self.served();
        for (at, slot) in self.figures.slots.iter().enumerate() {
            let mut below = 0;
            for (number, place) in served.iter().enumerate() {
                let from = HEIGHT * below / slot.requests.max(1);
                below += slot.places[*place];
                let to = HEIGHT * below / slot.requests.max(1);
                let colour = COLOURS[number % COLOURS.len()];
                self.bar(&mut body, at, (HEIGHT - to, to - from), colour);
            }
        }
        self.plot(out, "Who answered", &body);
        out.push_str("<p>");
        for (number, place) in served.iter().enumerate() {
            let colour = COLOURS[number % COLOURS.len()];
            let name = escaped(&self.places[*place].name);
            let _ = write!(out, "<span style=\"color:{colour}\">&#9632;</span> {name} &nbsp;");
        }
        out.push_str("</p>");
    }

    fn failure_plot(&self, out: &mut String) {
        let most = self.figures.slots.iter().map(|slot| slot.failed).max().unwrap_or(0).max(1);
        let mut body = String::new();
        for (at, slot) in self.figures.slots.iter().enumerate() {
            let height = HEIGHT * slot.failed / most;
            self.bar(&mut body, at, (HEIGHT - height, height), "#bb2222");
        }
        self.plot(out, &format!("Failed requests, up to {most} an interval"), &body);
    }

    fn latency_plot(&self, out: &mut String) {
        let quantile = |slot: &super::figures::Slot, permille| {
            slot.durations.quantile(permille).map_or(0, Span::nanos)
        };
        let slots = &self.figures.slots;
        let most = slots.iter().map(|slot| quantile(slot, 990)).max().unwrap_or(0).max(1);
        let mut body = String::new();
        for (permille, colour) in [(990, "#dd8833"), (500, "#3366aa")] {
            body.push_str("<polyline fill=\"none\" stroke-width=\"2\" points=\"");
            for (at, slot) in slots.iter().enumerate() {
                let height = u128::from(HEIGHT) * u128::from(quantile(slot, permille));
                let height = u64::try_from(height / u128::from(most)).unwrap_or(HEIGHT);
                let _ = write!(body, "{},{} ", self.x(at), HEIGHT - height);
            }
            let _ = write!(body, "\" stroke=\"{colour}\"/>");
        }
        let top = millis(Some(Span::from_nanos(most)));
        self.plot(out, &format!("Latency, p50 below p99, up to {top} ms"), &body);
    }

    fn tables(&self, out: &mut String) {
        let whole = self.figures.whole();
        out.push_str("<h2>Sums</h2><table>");
        let mut row = |name: &str, value: &str| {
            let _ = write!(out, "<tr><th>{}<td>{}", escaped(name), escaped(value));
        };
        row("requests", &whole.requests.to_string());
        for at in self.served() {
            let share = percent(whole.places[at], whole.requests);
            row(&self.places[at].name, &format!("{share} %"));
        }
        for (status, count) in &self.figures.statuses {
            let name = if *status == 0 { "no answer".to_owned() } else { status.to_string() };
            row(&name, &count.to_string());
        }
        for (name, permille) in [("p50", 500), ("p99", 990), ("p99.9", 999)] {
            row(name, &format!("{} ms", millis(whole.durations.quantile(permille))));
        }
        let burn = percent(whole.failed, self.allowed().max(1));
        row("error budget", &format!("{burn} % of {} allowed failures", self.allowed()));
        out.push_str("</table><h2>Timeline</h2><table>");
        for moment in &self.moments {
            let _ = write!(
                out,
                "<tr><td class=\"n\">{}<td>{}<td>{}",
                seconds(moment.at, self.start),
                escaped(&moment.place),
                escaped(&moment.what)
            );
        }
        out.push_str("</table>");
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
