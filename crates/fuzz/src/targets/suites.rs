//! What a model is measured with: suites of tasks, with the units that an answer makes of them, and reports.

use qualify::report::Report;
use qualify::suite::{Form, Suite};

/// Tasks whose units are made.
const TASKS: usize = 4;
/// An answer with what cuts one: fences, ends and stop words.
const ANSWER: &str = "Here:\n```vhdl\nbegin\n  y <= a;\nend architecture;\n```\n   end Twice;\n";

pub(crate) fn run(bytes: &[u8]) {
    if let Ok(suite) = Suite::parse("fuzz", bytes) {
        assert!(!suite.tasks.is_empty(), "a suite without tasks is refused");
        for task in suite.tasks.iter().take(TASKS) {
            for form in [Form::Completion, Form::Chat] {
                let _question = task.question(form);
                let unit = task.unit(form, ANSWER);
                let hole = unit.text.get(unit.hole.clone()).expect("the hole is in the text");
                assert_eq!(task.unit(form, hole), unit, "what stands in the hole makes the same unit");
            }
        }
    }
    if let Ok(report) = Report::from_json(bytes) {
        let again = report.to_json().expect("a report is written");
        assert_eq!(Report::from_json(&again).ok().as_ref(), Some(&report), "a report says the same again");
        assert!(!report.to_html().contains("<script"), "no markup of a stranger's");
    }
}
