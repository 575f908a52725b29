//! Repair as a way: [`languages::Rounds`] says what is drawn, fixed and checked next.

use std::ops::Range;

use languages::{Limits, Rounds, Want};

use crate::{
    run::{Draws, Heard, Method, Procedure, Step},
    suite::{Form, Question, Task},
};

/// The version of what [`languages::fixes`] and [`Rounds`] do: a part of the way's name, so that answers of another are not
/// taken for its own.
const VERSION: u32 = 5;

/// Draws, mechanical fixes and spans drawn anew, with the compiler's words only.
#[derive(Clone, Debug)]
pub struct Repair {
    /// How much is tried; its seed is the run's.
    pub limits: Limits,
}

impl Method for Repair {
    fn name(&self) -> String {
        let Limits { candidates_max, fixes_max, spans_max, span_tokens_max, temperature, agree, .. } =
            &self.limits;
        let agree = if *agree > 1 { format!("agree={agree},") } else { String::new() };
        format!(
            "repair-{candidates_max}@{temperature},{agree}fixes={fixes_max},spans={spans_max}x{span_tokens_max},rules={VERSION}"
        )
    }

    fn begin(&self, task: &Task, form: Form, draws: Draws) -> Box<dyn Procedure> {
        let unit = task.unit(form, "");
        let (prefix, suffix) = (&unit.text[..unit.hole.start], &unit.text[unit.hole.end..]);
        // What stands around the hole is the suite's, and stays.
        let limits = Limits { clauses: false, ..self.limits.clone() };
        let question = task.question(form);
        let stops = match &question {
            Question::Complete { stop, .. } => stop.clone(),
            Question::Fill { .. } | Question::Chat { .. } => Vec::new(),
        };
        Box::new(Repairing {
            rounds: Rounds::new(unit.language, prefix, suffix, limits),
            around: prefix.len()..suffix.len(),
            question,
            stops,
            draws,
            drawn: 0,
            task: task.clone(),
            form,
        })
    }
}

struct Repairing {
    rounds: Rounds,
    /// Bytes before the hole, and behind it.
    around: Range<usize>,
    question: Question,
    stops: Vec<String>,
    draws: Draws,
    drawn: u32,
    task: Task,
    form: Form,
}

impl Procedure for Repairing {
    fn next(&mut self, heard: Heard<'_>) -> Step {
        match heard {
            Heard::Nothing => {}
            Heard::Drawn(drawn) => {
                // As the suite cuts it, where it is an answer to the suite's question.
                let is_span = matches!(self.rounds.want(), Want::Draw(draw) if draw.is_span);
                if is_span {
                    self.rounds.drawn(&drawn.text);
                } else {
                    let unit = self.task.unit(self.form, &drawn.text);
                    self.rounds.drawn(&unit.text[unit.hole]);
                }
            }
            Heard::Opinion(said) if matches!(self.rounds.want(), Want::Drive(_)) => match said {
                Ok(said) => self.rounds.driven(said),
                Err(_) => self.rounds.not_driven(),
            },
            Heard::Opinion(Ok(said)) => self.rounds.checked(said),
            // Without a compiler nothing can be repaired.
            Heard::Opinion(Err(_)) => return Step::Done { answer: self.best() },
        }
        match self.rounds.want() {
            Want::Done(_) => Step::Done { answer: self.best() },
            Want::Check(text) => Step::Check { answer: self.answer(text) },
            Want::Drive(text) => Step::Drive { answer: self.answer(text) },
            Want::Draw(draw) => {
                let mut sampling = self.draws.candidate(self.drawn);
                if self.drawn > 0 {
                    sampling.temperature = draw.temperature;
                }
                self.drawn += 1;
                let question = if draw.is_span {
                    Question::Fill {
                        prefix: draw.prefix.clone(),
                        suffix: draw.suffix.clone(),
                        single_line: false,
                    }
                } else {
                    self.question.clone()
                };
                Step::Draw { question, sampling, tokens_max: draw.is_span.then_some(draw.tokens_max) }
            }
        }
    }
}

impl Repairing {
    fn best(&self) -> String {
        match self.rounds.want() {
            Want::Done(Some(best)) => self.answer(&best.text),
            Want::Check(text) => self.answer(text),
            _ => self.rounds.rounds().last().map(|round| self.answer(&round.text)).unwrap_or_default(),
        }
    }

    /// What stands in the hole. A suite's stop words are moved by a blank, or the text would be cut there.
    fn answer(&self, text: &str) -> String {
        let end = text.len().saturating_sub(self.around.end);
        let mut answer = text.get(self.around.start..end).unwrap_or_default().to_owned();
        for stop in &self.stops {
            if let Some(rest) = stop.strip_prefix('\n').filter(|rest| rest.starts_with(' ')) {
                answer = answer.replace(stop, &format!("\n {rest}"));
            }
        }
        answer
    }
}

impl From<Repair> for crate::run::Way {
    fn from(repair: Repair) -> Self {
        crate::run::Way::Other(std::sync::Arc::new(repair))
    }
}

#[cfg(test)]
mod tests {
    use languages::Diagnostic;
    use protocol::worker::Sampling;

    use super::*;
    use crate::run::{Drawn, Way};

    fn error(line: u32, column: u32, message: &str) -> Diagnostic {
        let message = message.to_owned();
        Diagnostic {
            severity: languages::Severity::Error,
            line: Some(line),
            column: Some(column),
            file: None,
            message,
        }
    }

    #[test]
    fn a_missing_semicolon_is_mended_without_another_draw() {
        let line = br#"{"id": "g", "language": "ada", "file_name": "p.adb", "prefix": "procedure P is\nbegin\n   ", "suffix": "\nend P;\n"}"#;
        let task = crate::suite::Suite::parse("s", line).unwrap().tasks.remove(0);
        let way = Way::from(Repair { limits: Limits::default() });
        assert!(way.name().starts_with("repair-4@0.6"));
        let Way::Other(method) = way else { panic!() };
        let draws = Draws::new(Sampling::GREEDY, &task.id, 0);
        let mut procedure = method.begin(&task, Form::Completion, draws);
        let step = procedure.next(Heard::Nothing);
        assert!(matches!(step, Step::Draw { question: Question::Fill { .. }, .. }), "{step:?}");
        let drawn = Drawn { text: "null".to_owned(), ..Drawn::default() };
        assert_eq!(procedure.next(Heard::Drawn(&drawn)), Step::Check { answer: "null".to_owned() });
        let said = [error(3, 8, "missing \";\"")];
        let Step::Check { answer } = procedure.next(Heard::Opinion(Ok(&said))) else { panic!() };
        assert_eq!(answer, "null;");
        assert_eq!(procedure.next(Heard::Opinion(Ok(&[]))), Step::Done { answer: "null;".to_owned() });
    }
}
