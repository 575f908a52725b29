//! Whole units and bodies: drawn, looked at by the compiler, mended by its words, and drawn again, until it has nothing
//! against one or enough was tried.
//!
//! [`languages::Rounds`] decides what comes next; here it is done. Each draw is a request like any other, with its own
//! record; what the compiler says of a draw, and of each text that was mended from it, is a check of that record.

use languages::{Language, Limits, Rounds, Want};
use protocol::RecordNumber;
use protocol::worker::{Sampling, Until};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::checks::{Check, Whole};
use crate::provenance::Traced;
use crate::{
    Ask, Assist, Findings, Message, Parameters, PassagePlace, Refusal, RefusalKind, Request, Role, Tools,
};

/// The surface of generation, by which policies tell it from completion.
pub const DIALECT: &str = "cloister.generate";

/// Draws of one request at most,
pub const CANDIDATES_MAX: u32 = 16;
/// goes of mechanical fixes for each,
pub const FIXES_MAX: u32 = 12;
/// and spans that are drawn anew.
pub const SPANS_MAX: u32 = 8;
/// Steps that may wait for their reader.
const STEPS_MAX: usize = 16;

/// What is to be generated.
#[derive(Clone, Debug)]
pub struct Generate {
    /// Who asks, what about, and with which context. Its ask is a [`Ask::Fill`]: the text before the hole and behind it.
    pub request: Request,
    /// The language; told by the path, or the text, when absent.
    pub language: Option<Language>,
    /// What is wanted, in words: it becomes a comment before the hole.
    pub instruction: Option<String>,
    /// How much is tried.
    pub limits: Limits,
}

/// How far it is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A text was looked at.
    Round(Round),
    /// It ended.
    Done(Generated),
}

/// One text that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    /// The record of the draw that it comes from.
    pub record: RecordNumber,
    /// `drawn`, `mended`, `finished` or `span`.
    pub kind: &'static str,
    /// What was mended, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mended: Vec<&'static str>,
    /// Errors that it has.
    pub errors: u32,
    /// The first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
}

/// The best of all that was tried.
#[derive(Clone, Debug, Serialize)]
pub struct Generated {
    /// What fills the hole.
    pub text: String,
    /// The whole unit; differs outside the hole by context clauses only.
    pub unit: String,
    /// Context clauses that were put before what was there.
    pub clauses: String,
    /// The record of the draw that it comes from.
    pub record: RecordNumber,
    /// What was found out about it.
    #[serde(flatten)]
    pub findings: Findings,
    /// How many draws behave like it, where they were driven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<Agreement>,
    /// All that was tried.
    pub rounds: Vec<Round>,
}

/// Draws that the compiler had nothing against, and how many of them behave like the one that is shown.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Agreement {
    /// Clean draws.
    pub clean: u32,
    /// Those that behave the same, the one that is shown included.
    pub agree: u32,
}

impl Assist {
    /// Generates; the steps come as they are made, and a refusal is the last. Dropping the receiver ends it after the draw
    /// that is under way.
    pub fn generate(&self, generate: Generate) -> mpsc::Receiver<Result<Step, Refusal>> {
        let (sender, receiver) = mpsc::channel(STEPS_MAX);
        let assist = self.clone();
        tokio::spawn(async move {
            let request = generate.request.clone();
            let mut sources = Vec::new();
            let last = match assist.rounds(generate, &sender, &mut sources).await {
                Ok(generated) => assist.traced(&request, generated, sources).await.map(Step::Done),
                Err(refusal) => Err(refusal),
            };
            let _gone = sender.send(last).await;
        });
        receiver
    }

    /// What was mended is another text than any draw, and is compared with known code once more.
    async fn traced(
        &self,
        request: &Request,
        generated: Generated,
        sources: Vec<PassagePlace>,
    ) -> Result<Generated, Refusal> {
        let principal = self.house.identify(&request.credential, request.dialect)?;
        let known =
            self.house.known(request, &self.house.asking(&principal, request.dialect), std::iter::empty())?;
        let Traced { provenance, withheld } = known.trace(&generated.text).await?;
        if let Some(withheld) = withheld {
            return Err(withheld.refusal(generated.record));
        }
        let findings = Findings { provenance, sources, ..generated.findings };
        Ok(Generated { findings, ..generated })
    }

    /// `sources` get the passages that any draw's prompt had.
    async fn rounds(
        &self,
        generate: Generate,
        steps: &mpsc::Sender<Result<Step, Refusal>>,
        sources: &mut Vec<PassagePlace>,
    ) -> Result<Generated, Refusal> {
        let Generate { request, language, instruction, mut limits } = generate;
        let Ask::Fill { prefix, suffix, extra } = &request.ask else {
            return Err(Refusal::new(RefusalKind::Invalid, "only a hole can be generated".to_owned()));
        };
        let path = request.subject.path.as_deref().unwrap_or_default();
        let language = language.or_else(|| Language::detect(path, prefix)).ok_or_else(|| {
            let message = "the language is not known: name it, or a file whose name tells it";
            Refusal::new(RefusalKind::Invalid, message.to_owned())
        })?;
        // A whole unit is asked for as a person would; a hole is filled.
        let chat = instruction
            .as_deref()
            .filter(|_| prefix.trim().is_empty() && suffix.trim().is_empty())
            .map(|instruction| conversation(language, instruction));
        let prefix = &match &instruction {
            Some(instruction) if chat.is_none() => instructed(language, prefix, instruction),
            _ => prefix.clone(),
        };
        let principal = self.house.identify(&request.credential, request.dialect)?;
        // A place for all of it, beside those of its draws.
        let _place = self.house.admit(request.dialect, &principal)?;
        let source = self.house.source_of(
            request.subject.repository.as_deref(),
            &self.house.asking(&principal, request.dialect),
        );
        let deployment = self.house.deployment(request.dialect, request.deployment.as_deref(), &principal)?;
        if deployment.ready.fill.is_none() {
            // A statement is drawn anew by filling a hole.
            limits.spans_max = 0;
        }
        let whole = Whole { language, path, source: source.as_ref() };
        let mut rounds = Rounds::new(language, prefix, suffix, limits);
        let mut views: Vec<Round> = Vec::new();
        // Of the newest draw, and the check of each round.
        let mut record = None;
        let mut checks: Vec<Check> = Vec::new();
        loop {
            if steps.is_closed() {
                return Err(Refusal::broken());
            }
            match rounds.want() {
                Want::Draw(draw) => {
                    let parameters = Parameters {
                        sampling: Sampling {
                            temperature: draw.temperature,
                            seed: draw.seed,
                            ..request.parameters.sampling
                        },
                        tokens_max: Some(draw.tokens_max),
                        until: Until::End,
                        syntax: Some(language),
                        ..request.parameters.clone()
                    };
                    let ask = match &chat {
                        Some(messages) if !draw.is_span => {
                            Ask::Chat { messages: messages.clone(), tools: Tools::default() }
                        }
                        _ => Ask::Fill {
                            prefix: draw.prefix.clone(),
                            suffix: draw.suffix.clone(),
                            extra: extra.clone(),
                        },
                    };
                    let is_chat = matches!(ask, Ask::Chat { .. });
                    // It is looked at here, once it is trimmed.
                    let asked = Request { ask, parameters, check: false, ..request.clone() };
                    let answer = tokio::select! {
                        answer = self.answer(asked) => answer,
                        // Dropped, it ends.
                        () = steps.closed() => return Err(Refusal::broken()),
                    };
                    let answer = match answer {
                        Ok(answer) => answer,
                        // What there is already is worth more than the reason why there is no more.
                        Err(refusal) => {
                            let best =
                                rounds.best().and_then(|best| generated(best, prefix, &checks, &views));
                            return best.ok_or(refusal);
                        }
                    };
                    record = Some(answer.record);
                    for place in answer.findings.sources {
                        if !sources.contains(&place) {
                            sources.push(place);
                        }
                    }
                    rounds.drawn(if is_chat { block(language, &answer.text) } else { &answer.text });
                }
                Want::Check(text) => {
                    let record = record.ok_or_else(Refusal::broken)?;
                    let looked = self.house.look_at(&whole, text, record).await?;
                    let (check, said) = looked;
                    let is_checked = check.reason.is_none();
                    checks.push(check);
                    if !is_checked {
                        // Without a compiler there are no further rounds: what it looked at last is answered, or else the
                        // draw, which nobody looked at.
                        let best = rounds.best().and_then(|best| generated(best, prefix, &checks, &views));
                        let unchecked = || unchecked(text, [prefix, suffix], record, checks.pop());
                        return best.or_else(unchecked).ok_or_else(Refusal::broken);
                    }
                    rounds.checked(&said);
                    let Some(last) = rounds.rounds().last() else { return Err(Refusal::broken()) };
                    let view = view(last, record);
                    views.push(view.clone());
                    if steps.send(Ok(Step::Round(view))).await.is_err() {
                        return Err(Refusal::broken());
                    }
                }
                Want::Drive(text) => {
                    let record = record.ok_or_else(Refusal::broken)?;
                    match self.house.drive(&whole, text, record).await? {
                        Some(said) => rounds.driven(&said),
                        None => rounds.not_driven(),
                    }
                }
                Want::Done(best) => {
                    let best = best.and_then(|best| generated(best, prefix, &checks, &views));
                    let agreement =
                        rounds.agreement().map(|one| Agreement { clean: one.clean, agree: one.agree });
                    return best.map(|best| Generated { agreement, ..best }).ok_or_else(Refusal::broken);
                }
            }
        }
    }
}

/// What a person would ask for a whole unit.
fn conversation(language: Language, instruction: &str) -> Vec<Message> {
    let name = language.name();
    let system = format!(
        "You write {name}. Answer with one complete, compilable {name} source file in one code block, and nothing else."
    );
    vec![Message::new(Role::System, system), Message::new(Role::User, instruction)]
}

/// The first code block of an answer that is in the language or says none; the whole answer where there is none.
fn block(language: Language, answer: &str) -> &str {
    let blocks = languages::fenced(answer);
    let block = blocks.iter().find(|block| block.language.is_none_or(|of| of == language));
    block.and_then(|block| answer.get(block.text.clone())).unwrap_or(answer)
}

/// The text before the hole, with what is wanted as a comment on lines of its own.
fn instructed(language: Language, prefix: &str, instruction: &str) -> String {
    let line = prefix.rfind('\n').map_or(prefix, |at| &prefix[at + 1..]);
    // Behind other words of the line, the comment begins a new one.
    let (begin, indentation) = match line.trim().is_empty() {
        true => ("", line),
        false => ("\n", ""),
    };
    let lines: Vec<String> = instruction
        .lines()
        .map(|words| format!("{} {}\n{indentation}", language.line_comment(), words.trim()))
        .collect();
    [prefix, begin, &lines.concat()].concat()
}

/// The best text, as it is answered.
fn found(check: Option<Check>) -> Findings {
    Findings { checks: check.into_iter().collect(), ..Findings::default() }
}

fn generated(best: &languages::Best, prefix: &str, checks: &[Check], rounds: &[Round]) -> Option<Generated> {
    let clauses = best.hole.start.checked_sub(prefix.len()).and_then(|end| best.text.get(..end));
    Some(Generated {
        text: best.text.get(best.hole.clone())?.to_owned(),
        unit: best.text.clone(),
        clauses: clauses.unwrap_or_default().to_owned(),
        record: rounds.get(best.round)?.record,
        findings: found(checks.get(best.round).cloned()),
        agreement: None,
        rounds: rounds.to_vec(),
    })
}

/// The first draw, where nobody could look at it.
fn unchecked(
    text: &str,
    around: [&String; 2],
    record: RecordNumber,
    check: Option<Check>,
) -> Option<Generated> {
    let [prefix, suffix] = around;
    Some(Generated {
        text: text.strip_prefix(prefix.as_str())?.strip_suffix(suffix.as_str())?.to_owned(),
        unit: text.to_owned(),
        clauses: String::new(),
        record,
        findings: found(check),
        agreement: None,
        rounds: Vec::new(),
    })
}

fn view(round: &languages::Round, record: RecordNumber) -> Round {
    let (kind, mended) = match &round.kind {
        languages::RoundKind::Drawn(_) => ("drawn", Vec::new()),
        languages::RoundKind::Fixed(what) => ("mended", what.clone()),
        languages::RoundKind::Finished => ("finished", Vec::new()),
        languages::RoundKind::Span => ("span", Vec::new()),
    };
    Round { record, kind, mended, errors: round.errors, first: round.first.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_is_a_comment_before_the_hole() {
        let text = instructed(Language::Ada, "begin\n   ", "Push the item.\nRaise when full.");
        assert_eq!(text, "begin\n   -- Push the item.\n   -- Raise when full.\n   ");
        let answer = "Here:\n```ada\nprocedure P;\n```\nDone.";
        assert_eq!(block(Language::Ada, answer), "procedure P;\n");
        assert_eq!(block(Language::Ada, "procedure P;"), "procedure P;");
        assert_eq!(instructed(Language::C, "", "A stack"), "// A stack\n");
        assert_eq!(instructed(Language::Ada, "X := ", "the depth"), "X := \n-- the depth\n");
    }
}
