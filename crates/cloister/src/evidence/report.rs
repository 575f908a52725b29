//! The report for people: the same document in HTML, without script and whatever it would load, and in Markdown. Both are
//! functions of the document alone, so that whoever verifies it makes them anew and compares.

use std::fmt::Write as _;

use super::Evidence;
use crate::commands::{short, when};
use crate::review::{Answer, Decided};

const STYLE: &str = "body{font:15px/1.45 sans-serif;margin:2em auto;max-width:72em;padding:0 1em;color:#1a1a1a;background:#fff}\
table{border-collapse:collapse;width:100%;margin:.5em 0 1.5em}th,td{border:1px solid #bbb;padding:.3em .5em;text-align:left;\
vertical-align:top}th{background:#f0f0f0}code{font-family:monospace;overflow-wrap:anywhere}.refused{color:#a00000;font-weight:bold}\
@media print{body{margin:0;max-width:none}}";

/// What the report says, apart from how it is written.
struct Section {
    title: String,
    says: Vec<String>,
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Section {
    fn said(title: impl Into<String>, says: Vec<String>) -> Section {
        Section { title: title.into(), says, head: Vec::new(), rows: Vec::new() }
    }
}

fn sections(evidence: &Evidence) -> Vec<Section> {
    let mut sections = vec![summary(evidence)];
    sections.extend(files(evidence));
    if !evidence.not_graded.is_empty() {
        sections.push(Section {
            title: "Files without grades".to_owned(),
            says: vec!["Nothing is said of their lines.".to_owned()],
            head: vec!["file", "why"],
            rows: evidence.not_graded.iter().map(|(path, why)| vec![path.clone(), why.to_string()]).collect(),
        });
    }
    sections.push(approvals(evidence));
    if !evidence.void_approvals.is_empty() {
        let row = |void: &crate::review::Refused| vec![void.file.clone(), void.why.clone()];
        sections.push(Section {
            title: "Approvals that count for nothing".to_owned(),
            says: Vec::new(),
            head: vec!["file", "why"],
            rows: evidence.void_approvals.iter().map(row).collect(),
        });
    }
    sections.push(models(evidence));
    sections.push(Section::said("How to verify this", vec![
        "On any machine with the program cloister, without a network and without the server: `cloister ledger verify FOLDER --key SIGNER.pem --policy log.policy`, with the signer's public key and the log's policy as you were handed them otherwise. It names each file that was changed, is missing or was added, checks that each leaf is in the log, and that this report says what the leaves say.".to_owned(),
        "What rests on the signer's word: which lines are which answer's (`cloister review --tag` grades them again, from the repository and a slice), that no leaf about an answer was left out, and, where the folder has no slice, what of an answer matches known code.".to_owned(),
    ]));
    sections
}

fn summary(evidence: &Evidence) -> Section {
    let (ai, total) = evidence.counted();
    let Evidence { release, head, tree, slice, .. } = evidence;
    let mut says = vec![
        format!("Release {release}: commit {head}, tree {tree}."),
        format!("Written {} by cloister {}.", when(evidence.made_unix_ms), evidence.cloister),
        format!(
            "{ai} of {total} lines are the assistant's, or look so. By {} records of the log {}, {} leaves, a slice of {}.",
            slice.records,
            slice.origin,
            slice.leaves,
            when(slice.made_unix_ms)
        ),
    ];
    says.push(match &evidence.gate {
        None => "No policy of a gate was asked.".to_owned(),
        Some(gate) => {
            let refused = evidence
                .ranges
                .iter()
                .filter(|range| range.decision.as_ref().is_some_and(|decision| !decision.allowed));
            let outcome = if gate.passed { "passed" } else { "REFUSED" };
            format!("The gate: {outcome}, {} ranges refused, by the policy {}.", refused.count(), gate.policy)
        }
    });
    let rows = evidence.lines.iter().map(|(grade, lines)| vec![grade.clone(), lines.to_string()]);
    Section {
        title: format!("Release {release}: lines of the assistant"),
        says,
        head: vec!["grade", "lines"],
        rows: rows.collect(),
    }
}

fn files(evidence: &Evidence) -> Vec<Section> {
    let ranges: Vec<&Decided> = evidence.of_the_assistant().collect();
    let by_file = ranges.chunk_by(|one, other| one.row.path == other.row.path);
    by_file
        .map(|ranges| Section {
            title: ranges[0].row.path.clone(),
            says: Vec::new(),
            head: vec!["lines", "grade", "answer", "model", "check", "known code", "approved by", "gate"],
            rows: ranges.iter().map(|range| chain(range)).collect(),
        })
        .collect()
}

/// A range with all that is known of the answer it is of.
fn chain(range: &Decided) -> Vec<String> {
    let row = &range.row;
    let place =
        if row.first == row.last { row.first.to_string() } else { format!("{}-{}", row.first, row.last) };
    let grade = format!("{}, {} % kept", row.grade.name(), row.kept_percent);
    let mut cells = vec![place, grade];
    match &row.answer {
        Some(answer) => cells.extend(of_answer(answer)),
        None => cells.extend(["none".to_owned(), String::new(), String::new(), String::new()]),
    }
    let by: Vec<&str> = row.approved_by.iter().map(String::as_str).collect();
    cells.push(if by.is_empty() { "nobody".to_owned() } else { by.join(", ") });
    cells.push(match &range.decision {
        None => "not asked".to_owned(),
        Some(decision) if decision.allowed => "passed".to_owned(),
        Some(decision) => {
            let rule = |rule: &gate::Rule| match rule.reason.as_str() {
                "" => rule.id.clone(),
                reason => format!("{}: {reason}", rule.id),
            };
            let mut why: Vec<String> = decision.rules.iter().map(rule).collect();
            why.extend(decision.errors.iter().map(|error| format!("could not be evaluated: {error}")));
            if why.is_empty() {
                why.push("no rule permits it".to_owned());
            }
            format!("REFUSED by {}", why.join("; "))
        }
    });
    cells
}

fn of_answer(answer: &Answer) -> [String; 4] {
    let decided = answer.decided_unix_ms.map(|time| format!(" {}", when(time))).unwrap_or_default();
    let leaves: Vec<String> = answer.leaves.iter().map(u64::to_string).collect();
    let said = format!(
        "record {}, asked by {} {}; {}{decided}; leaves {}",
        answer.record,
        answer.prompted_by,
        when(answer.asked_unix_ms),
        answer.decision,
        leaves.join(", "),
    );
    let model = answer.model.as_deref().map_or("an upstream engine", short);
    let model = format!("{} of {model}, template {}", answer.deployment, short(&answer.template));
    let mut known: Vec<String> = answer
        .findings
        .iter()
        .map(|finding| format!("{} ({}): {}", finding.kind, finding.action, finding.licences.join(", ")))
        .collect();
    if !answer.compared {
        known.push("not compared with all of it".to_owned());
    } else if known.is_empty() {
        known.push("no match".to_owned());
    }
    [said, model, answer.check.clone().into_owned(), known.join("; ")]
}

fn approvals(evidence: &Evidence) -> Section {
    let row = |approved: &super::Approved| {
        let places = approved.places.iter().map(|(first, last)| format!("{first}-{last}"));
        vec![
            approved.path.clone(),
            places.collect::<Vec<_>>().join(", "),
            approved.person.clone(),
            approved.key.clone(),
            approved.file.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = evidence.approvals.iter().map(row).collect();
    Section {
        title: "Approvals".to_owned(),
        says: if rows.is_empty() { vec!["There is none.".to_owned()] } else { Vec::new() },
        head: vec!["file", "lines", "person", "key", "signature"],
        rows,
    }
}

fn models(evidence: &Evidence) -> Section {
    let mut models = std::collections::BTreeMap::<(String, String), u64>::new();
    for range in evidence.of_the_assistant() {
        if let Some(answer) = &range.row.answer {
            let model = answer.model.clone().unwrap_or_else(|| "an upstream engine".to_owned());
            let lines = u64::from(range.row.last - range.row.first) + 1;
            *models.entry((model, answer.deployment.clone())).or_default() += lines;
        }
    }
    let leaves: Vec<String> = evidence.context.iter().map(u64::to_string).collect();
    let mut says = vec![format!(
        "Leaves about keys that approve and about models that were qualified or withdrawn: {}.",
        if leaves.is_empty() { "none".to_owned() } else { leaves.join(", ") }
    )];
    says.extend(
        evidence.qualified.iter().map(|report| format!("Report for {}: {}.", report.language, report.file)),
    );
    Section {
        title: "Models".to_owned(),
        says,
        head: vec!["model", "deployment", "lines, with common ones between them"],
        rows: models
            .into_iter()
            .map(|((model, deployment), lines)| vec![model, deployment, lines.to_string()])
            .collect(),
    }
}

/// A page that stands by itself: it loads nothing, and no browser lets it.
pub(super) fn html(evidence: &Evidence) -> String {
    let mut page = String::from("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.push_str(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n",
    );
    let title = escaped(&format!("Release {}", evidence.release));
    page.push_str(&format!("<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"));
    for (at, section) in sections(evidence).iter().enumerate() {
        let level = if at == 0 { 1 } else { 2 };
        page.push_str(&format!("<h{level}>{}</h{level}>\n", escaped(&section.title)));
        for text in &section.says {
            page.push_str(&format!("<p>{}</p>\n", escaped(text)));
        }
        if section.rows.is_empty() {
            continue;
        }
        page.push_str("<table>\n<thead><tr>");
        section.head.iter().for_each(|head| page.push_str(&format!("<th scope=\"col\">{head}</th>")));
        page.push_str("</tr></thead>\n<tbody>\n");
        for row in &section.rows {
            page.push_str("<tr>");
            for cell in row {
                let class = if cell.starts_with("REFUSED") { " class=\"refused\"" } else { "" };
                page.push_str(&format!("<td{class}>{}</td>", escaped(cell)));
            }
            page.push_str("</tr>\n");
        }
        page.push_str("</tbody>\n</table>\n");
    }
    page.push_str("</body>\n</html>\n");
    page
}

/// Texts of others: whatever could be markup is written out, and what turns the direction of writing is shown.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            hidden if is_hidden(hidden) => drop(write!(out, "[U+{:04X}]", u32::from(hidden))),
            other => out.push(other),
        }
    }
    out
}

/// The same in Markdown.
pub(super) fn text(evidence: &Evidence) -> String {
    let mut text = String::new();
    for (at, section) in sections(evidence).iter().enumerate() {
        let level = if at == 0 { "#" } else { "##" };
        text.push_str(&format!("{level} {}\n\n", plain(&section.title)));
        section.says.iter().for_each(|said| text.push_str(&format!("{}\n\n", plain(said))));
        if section.rows.is_empty() {
            continue;
        }
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let head: Vec<String> = section.head.iter().map(|head| (*head).to_owned()).collect();
        text.push_str(&line(&head));
        text.push_str(&line(&vec!["---".to_owned(); head.len()]));
        for row in &section.rows {
            let cells: Vec<String> = row.iter().map(|cell| plain(cell)).collect();
            text.push_str(&line(&cells));
        }
        text.push('\n');
    }
    text
}

/// Nothing of a text of others is markup, a cell's end or a new line.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '|' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '&' => out.extend(['\\', character]),
            hidden if is_hidden(hidden) => drop(write!(out, "\\[U+{:04X}\\]", u32::from(hidden))),
            other => out.push(other),
        }
    }
    out
}

fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_others_are_no_markup() {
        assert_eq!(
            escaped("<a href=\"x\">&'\u{202e}\n"),
            "&lt;a href=&quot;x&quot;&gt;&amp;&#39;[U+202E][U+000A]"
        );
        assert_eq!(plain("a|b\n# _c_"), "a\\|b\\[U+000A\\]\\# \\_c\\_");
    }
}
