//! Certificates in use, those that expire first on top.

use super::Date;
use super::html::{Html, Tone};
use super::list::Wish;
use crate::tls::Listed;
use crate::worker::internal::Sight;

const DAY: i64 = 86_400;
/// Less than this many days left is worth a look.
const SOON: i64 = 14;
const NAMES_MAX: usize = 6;

pub(super) fn write(html: &mut Html, sight: &Sight<'_>, wish: &Wish) {
    let mut all: Vec<&Listed> = sight.view.certificates.iter().collect();
    all.sort_by_key(|listed| listed.info.not_after);
    let page = wish.page(all.len(), |at| {
        let info = &all[at].info;
        let names = std::iter::once(info.common_name.as_str()).chain(names(all[at]));
        wish.admits("", &names.chain([&*all[at].label]).collect::<Vec<_>>())
    });
    html.raw("<h1>Certificates</h1>");
    page.form(html, wish, &[]);
    html.raw(
        "<table><thead><tr><th>Names</th><th>Is</th><th>Expires</th><th class=\"n\">Days left",
    );
    html.raw("</th><th>From</th></tr></thead><tbody>");
    let now = i64::try_from(sight.stats.started.seconds_at(sight.now)).unwrap_or(i64::MAX);
    page.rows.iter().for_each(|at| row(html, all[*at], now));
    html.raw("</tbody></table>");
    page.pager(html, wish);
}

fn names(listed: &Listed) -> impl Iterator<Item = &str> {
    listed.info.dns_names.iter().chain(&listed.info.uris).map(String::as_str)
}

fn row(html: &mut Html, listed: &Listed, now: i64) {
    let info = &listed.info;
    html.raw("<tr>").cell("Names");
    let mut any = false;
    for name in names(listed).take(NAMES_MAX) {
        html.raw(if any { ", " } else { "" }).clipped(name, 100);
        any = true;
    }
    for address in info.addresses.iter().take(NAMES_MAX) {
        html.raw(if any { ", " } else { "" }).text(address);
        any = true;
    }
    if !any {
        html.clipped(&info.common_name, 100);
    }
    html.raw("</td>").cell("Is").pill(Tone::Quiet, listed.role.name()).raw("</td>");
    let nanos = u64::try_from(info.not_after).unwrap_or(0).saturating_mul(1_000_000_000);
    html.cell("Expires").text(Date(nanos)).raw("</td><td class=\"n\" data-label=\"Days left\">");
    let days = (info.not_after - now).div_euclid(DAY);
    let tone = match days {
        ..0 => Tone::Bad,
        0..SOON => Tone::Warning,
        _ => Tone::Good,
    };
    html.pill(tone, days).raw("</td>").cell("From").raw("<code>").clipped(&listed.label, 160);
    html.raw("</code></td></tr>");
}
