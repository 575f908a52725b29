//! `report.html`: the period at a glance, in one file that loads nothing.

use super::{Group, Scope, Summary, chart, day, html, moment, period, verify_line};

/// A period of more days has a bar a month.
const DAYS_MAX: u64 = 62;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

const STYLE: &str = "body{font:16px/1.5 sans-serif;color:#1a1a1a;background:#fff;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1,h2{line-height:1.2}table{border-collapse:collapse;margin:1rem 0}caption{text-align:left;font-weight:bold;padding:.3rem 0}\
th,td{border:1px solid #767676;padding:.3rem .6rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}\
td.number{text-align:right}svg{max-width:100%;height:auto}svg text{font:13px sans-serif;fill:#1a1a1a}\
svg rect{fill:#1f4e79}pre{background:#f2f2f2;padding:.8rem;white-space:pre-wrap;overflow-wrap:anywhere}";

/// The page.
pub(super) fn page(scope: &Scope, summary: &Summary) -> String {
    let origin = html::text(&scope.origin);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Ledger {origin}, {period}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>What the ledger {origin} shows of {period}</h1>\n\
         <p>Made by {software} on {made}, from {size} leaves under a signed checkpoint. Times are UTC. Counts are of \
         leaves, which hold no prompt, context or answer.</p>\n\
         <h2>Check it</h2>\n<p>In this folder:</p>\n<pre>{line}</pre>\n",
        period = period(summary),
        software = html::text(&scope.software),
        made = moment(scope.made.time_unix_ms),
        size = scope.size,
        line = html::text(&verify_line(scope)),
    );
    gaps(&mut page, summary);
    let requests = requests(summary);
    section(&mut page, "Use", "Requests by time", "when", &requests);
    section(&mut page, "Ends of requests", "Results by outcome", "outcome", &owned(&summary.outcomes));
    let models = owned(&summary.deployments);
    section(&mut page, "Models", "Requests by deployment and weights", "deployment", &models);
    section(&mut page, "Persons", "Requests by person", "person", &owned(&summary.persons));
    section(
        &mut page,
        "Decisions",
        "What became of answers, as editors say",
        "choice",
        &owned(&summary.decisions),
    );
    section(&mut page, "Checks", "What checkers said", "checker", &owned(&summary.checks));
    section(&mut page, "Logins", "Credentials that were shown", "outcome", &owned(&summary.logins));
    section(&mut page, "Refusals", "Refused requests by reason", "reason", &owned(&summary.refusals));
    section(
        &mut page,
        "Administration",
        "Administration by action",
        "action",
        &owned(&summary.administration),
    );
    section(&mut page, "Clock", "State of the clock when it was asked", "state", &owned(&summary.clock));
    kinds(&mut page, summary);
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn owned(group: &Group) -> Vec<(String, u64)> {
    group.rows().into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

/// Requests by day, days without one included; of a long period by month.
fn requests(summary: &Summary) -> Vec<(String, u64)> {
    let first = summary.from_unix_ms / DAY_MS;
    let last = summary.to_unix_ms.saturating_sub(1) / DAY_MS;
    if last.saturating_sub(first) < DAYS_MAX {
        let count = |day| summary.days.get(&day).copied().unwrap_or(0);
        return (first..=last).map(|number| (day(number * DAY_MS), count(number))).collect();
    }
    let mut months: Vec<(String, u64)> = Vec::new();
    for (number, count) in &summary.days {
        let month: String = day(number * DAY_MS).chars().take("2026-11".len()).collect();
        match months.last_mut().filter(|(last, _)| *last == month) {
            Some((_, sum)) => *sum += count,
            None => months.push((month, *count)),
        }
    }
    months
}

fn section(page: &mut String, heading: &str, caption: &str, column: &str, rows: &[(String, u64)]) {
    page.push_str(&format!("<h2>{heading}</h2>\n"));
    if rows.iter().all(|(_, count)| *count == 0) {
        page.push_str("<p>None in this period.</p>\n");
        return;
    }
    page.push_str(&chart::bars(caption, rows));
    page.push_str(&format!(
        "<table>\n<caption>{caption}</caption>\n<tr><th scope=\"col\">{column}</th><th scope=\"col\">count</th></tr>\n"
    ));
    for (name, count) in rows {
        let name = html::text(name);
        page.push_str(&format!("<tr><th scope=\"row\">{name}</th><td class=\"number\">{count}</td></tr>\n"));
    }
    page.push_str("</table>\n");
}

fn gaps(page: &mut String, summary: &Summary) {
    page.push_str(
        "<h2>Gaps</h2>\n<table>\n<caption>What is missing or odd</caption>\n\
         <tr><th scope=\"col\">sort</th><th scope=\"col\">count</th><th scope=\"col\">where</th></tr>\n",
    );
    for (sort, count, listed) in summary.gaps.rows() {
        let places: Vec<String> = listed
            .iter()
            .map(|gap| match gap.index {
                Some(index) => format!("leaf {index}: {}", html::text(&gap.what)),
                None => html::text(&gap.what),
            })
            .collect();
        let more = count.saturating_sub(listed.len() as u64);
        let more = if more > 0 { format!("<br>and {more} more") } else { String::new() };
        page.push_str(&format!(
            "<tr><th scope=\"row\">{}</th><td class=\"number\">{count}</td><td>{}{more}</td></tr>\n",
            html::text(sort),
            places.join("<br>"),
        ));
    }
    page.push_str("</table>\n");
}

fn kinds(page: &mut String, summary: &Summary) {
    page.push_str(
        "<h2>Leaves</h2>\n<table>\n<caption>Leaves of the period by kind; docs/ledger.md of Cloister says what each \
         holds</caption>\n<tr><th scope=\"col\">kind</th><th scope=\"col\">count</th><th scope=\"col\">first</th>\
         <th scope=\"col\">last</th></tr>\n",
    );
    for (name, kind) in &summary.kinds {
        page.push_str(&format!(
            "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td></tr>\n",
            html::text(name),
            kind.count,
            kind.first,
            kind.last,
        ));
    }
    page.push_str("</table>\n");
}
