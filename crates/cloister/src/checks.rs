//! What the server's compilers said of an answer, for people.

use client::Check;

/// Remarks that a person is shown; the record has all.
const REMARKS_SHOWN: usize = 10;

/// A line for each checker, and one for each remark behind it.
pub(crate) fn lines(checks: &[Check]) -> Vec<String> {
    checks.iter().flat_map(lines_of).collect()
}

fn lines_of(check: &Check) -> Vec<String> {
    let name = [check.checker.as_str(), check.version.as_str()].join(" ");
    let name = printable(name.trim_end());
    let place = match check.lines {
        (first, last) if first == last => format!("line {first}"),
        (first, last) => format!("lines {first} to {last}"),
    };
    let mut head = match check.outcome.as_str() {
        "passed" => format!("[{name} · {place}: no objection ({})", printable(&check.claims)),
        "failed" if check.errors == 1 => format!("[{name} · {place}: 1 error"),
        "failed" => format!("[{name} · {place}: {} errors", check.errors),
        _ => {
            let reason = check.reason.as_deref().unwrap_or("the server does not say why");
            format!("[{name} · {place}: not checked: {}", printable(reason))
        }
    };
    if check.errors_before > 0 {
        head.push_str(&format!(" · {} were there before", check.errors_before));
    }
    head.push(']');
    let remarks = check.remarks.iter().take(REMARKS_SHOWN).map(|remark| {
        let place = match (remark.line, remark.column, &remark.file) {
            (Some(line), Some(column), _) => format!("{line}:{column}: "),
            (Some(line), None, _) => format!("{line}: "),
            (None, _, Some(file)) => format!("{}: ", printable(file)),
            (None, _, None) => "around it: ".to_owned(),
        };
        format!("  {place}{}: {}", printable(&remark.severity), printable(&remark.message))
    });
    let more = check.remarks.len().saturating_sub(REMARKS_SHOWN);
    let more = (more > 0).then(|| format!("  and {more} more: `cloister explain` shows them"));
    std::iter::once(head).chain(remarks).chain(more).collect()
}

/// A compiler quotes what it reads: nothing of it steers a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use client::Remark;

    use super::*;

    #[test]
    fn in_words() {
        let remark = Remark {
            severity: "error".into(),
            line: Some(3),
            column: Some(7),
            file: None,
            message: "missing \";\"\u{1b}[2J".into(),
        };
        let failed = Check {
            checker: "gnat".into(),
            version: "12.2.0".into(),
            outcome: "failed".into(),
            lines: (1, 4),
            errors: 1,
            errors_before: 2,
            remarks: vec![remark],
            ..Check::default()
        };
        let passed =
            Check { outcome: "passed".into(), claims: "legal".into(), lines: (2, 2), ..failed.clone() };
        let passed = Check { remarks: Vec::new(), errors_before: 0, ..passed };
        let missing = Check { outcome: "not_run".into(), version: String::new(), ..passed.clone() };
        let missing = Check { reason: Some("gcc is not installed here".into()), ..missing };
        assert_eq!(
            lines(&[failed, passed, missing]),
            [
                "[gnat 12.2.0 · lines 1 to 4: 1 error · 2 were there before]",
                "  3:7: error: missing \";\"\u{fffd}[2J",
                "[gnat 12.2.0 · line 2: no objection (legal)]",
                "[gnat · line 2: not checked: gcc is not installed here]",
            ]
        );
    }
}
