//! What happens next while an answer is made that the compiler takes: a draw from the model, a check, mechanical fixes,
//! a repair of the smallest span, another draw. It asks nobody itself: whoever holds the model and the compiler does what
//! [`Rounds::want`] says and feeds back what came of it. The same inputs make the same rounds.
//!
//! The order: a greedy draw; its [`fixes`], each compiled; the statement of the first error drawn anew, with the
//! compiler's words above it as a comment that is not kept; further draws at a temperature, each with its fixes. The
//! first text without an error that is whole ends it, after what [`finish`] mends of it, if the compiler takes that, too.
//! Where several draws have to agree, each such text is driven, and further ones are drawn, until so many behave the same.

use std::ops::Range;

use crate::repair::Draft;
use crate::{Diagnostic, Language, Severity, ada, finish, fixes, is_unfinished, trim};

/// How much is tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Draws of the whole hole, the greedy one included: at least one is made.
    pub candidates_max: u32,
    /// Goes of mechanical fixes for each draw.
    pub fixes_max: u32,
    /// Spans drawn anew, in all.
    pub spans_max: u32,
    /// Of a draw of the whole hole.
    pub tokens_max: u32,
    /// Of a span.
    pub span_tokens_max: u32,
    /// Of every draw but the first of the hole and of each span.
    pub temperature: f32,
    /// Of the first draw; each further one has the next.
    pub seed: u64,
    /// Whether context clauses may be put before the unit.
    pub clauses: bool,
    /// Draws that must come to the same behaviour before it is taken, where what is written can be driven; if there are not
    /// so many, what most come to. 1: the first clean text is taken.
    pub agree: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            candidates_max: 4,
            fixes_max: 6,
            spans_max: 1,
            tokens_max: 320,
            span_tokens_max: 64,
            temperature: 0.6,
            seed: 0,
            clauses: true,
            agree: 1,
        }
    }
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Want<'a> {
    /// To have the model write: [`Rounds::drawn`] takes it.
    Draw(&'a Draw),
    /// To have the compiler look at this text: [`Rounds::checked`] takes what it said.
    Check(&'a str),
    /// To have this text driven, by [`Language::driver`]: [`Rounds::driven`] takes what it said, or [`Rounds::not_driven`].
    Drive(&'a str),
    /// Nothing more. `None`: no draw was ever fed back.
    Done(Option<&'a Best>),
}

/// A text for the model to write between two others.
#[derive(Clone, Debug, PartialEq)]
pub struct Draw {
    /// Before it.
    pub prefix: String,
    /// Behind it.
    pub suffix: String,
    /// 0: greedy.
    pub temperature: f32,
    /// For the sampler.
    pub seed: u64,
    /// Of the answer.
    pub tokens_max: u32,
    /// Whether it is a span of what was drawn before, not the whole hole.
    pub is_span: bool,
}

/// The text that is best so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Best {
    /// The whole unit.
    pub text: String,
    /// What of it stands in the hole.
    pub hole: Range<usize>,
    /// How many errors the compiler named; 0 when it took it.
    pub errors: u32,
    /// Whether a part only stands for what the model did not write, as of [`crate::Fixed::stub`], the compiler foresees
    /// that it fails, or it [`is_unfinished`].
    pub stub: bool,
    /// Which of [`Rounds::rounds`] it came of.
    pub round: usize,
}

/// How many clean draws there were, and how many of them behave like the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// Draws that came to a clean text.
    pub clean: u32,
    /// Of them, those that behave like the best, itself included.
    pub agree: u32,
}

/// Where a text came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoundKind {
    /// Drawn for the whole hole, the first being 0.
    Drawn(u32),
    /// Fixes of the text of the round before.
    Fixed(Vec<&'static str>),
    /// The clean text of the round before, by [`finish`]: it is the better one if it is clean, too.
    Finished,
    /// A span was drawn anew.
    Span,
}

/// One text that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// Where it came from.
    pub kind: RoundKind,
    /// The whole unit.
    pub text: String,
    /// How many errors the compiler named.
    pub errors: u32,
    /// Its first words on it.
    pub first: Option<String>,
}

/// The state between two steps.
#[derive(Clone, Debug)]
pub struct Rounds {
    language: Language,
    prefix: String,
    suffix: String,
    limits: Limits,
    rounds: Vec<Round>,
    best: Option<Best>,
    best_line: u32,
    /// The newest draw of the whole hole, and the clean text that came of it so far.
    drawn: String,
    clean: Option<Best>,
    candidates: Vec<Candidate>,
    step: Step,
    draws: u32,
    spans: u32,
    fixes: u32,
}

#[derive(Clone, Debug)]
enum Step {
    Draw { draw: Draw, into: Option<Span> },
    Check { kind: RoundKind, text: String, hole: Range<usize>, stub: bool },
    Drive { best: Best },
    Done,
}

/// A clean text, and how it behaves.
#[derive(Clone, Debug)]
struct Candidate {
    /// The draw that it came of.
    drawn: String,
    best: Best,
    /// `None`: it breaks off, or leaves an output without a value, and behaves like no other.
    behaviour: Option<String>,
    /// Draws of the same text.
    draws: u32,
}

/// Bytes of a text that are drawn anew.
#[derive(Clone, Debug)]
struct Span {
    text: String,
    hole: Range<usize>,
    bytes: Range<usize>,
    stub: bool,
}

/// Of an answer.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// A hint has no more bytes.
const HINT_BYTES_MAX: usize = 120;
/// An answer to a span may have so many more lines than the span.
const SPAN_LINES_MORE: usize = 4;

impl Rounds {
    /// For a hole between the two texts, which together with the answer are a whole unit.
    pub fn new(language: Language, prefix: &str, suffix: &str, limits: Limits) -> Rounds {
        let first = Draw {
            prefix: prefix.to_owned(),
            suffix: suffix.to_owned(),
            temperature: 0.0,
            seed: limits.seed,
            tokens_max: limits.tokens_max,
            is_span: false,
        };
        Rounds {
            language,
            prefix: prefix.to_owned(),
            suffix: suffix.to_owned(),
            limits,
            rounds: Vec::new(),
            best: None,
            best_line: 0,
            drawn: String::new(),
            clean: None,
            candidates: Vec::new(),
            step: Step::Draw { draw: first, into: None },
            draws: 1,
            spans: 0,
            fixes: 0,
        }
    }

    /// What is to be done next.
    pub fn want(&self) -> Want<'_> {
        match &self.step {
            Step::Draw { draw, .. } => Want::Draw(draw),
            Step::Check { text, .. } => Want::Check(text),
            Step::Drive { best } => Want::Drive(&best.text),
            Step::Done => Want::Done(self.best.as_ref()),
        }
    }

    /// The best of what was checked so far.
    pub fn best(&self) -> Option<&Best> {
        self.best.as_ref()
    }

    /// All texts that were checked, in their order.
    pub fn rounds(&self) -> &[Round] {
        &self.rounds
    }

    /// What the model wrote: 64 KiB of it are read. Without effect unless a draw is wanted.
    pub fn drawn(&mut self, answer: &str) {
        let Step::Draw { into, .. } = &self.step else { return };
        let answer = &answer[..answer.floor_char_boundary(ANSWER_BYTES_MAX)];
        let (text, hole, kind, stub) = match into {
            None => {
                let answer = trim(self.language, &self.prefix, answer, &self.suffix);
                let hole = self.prefix.len()..self.prefix.len() + answer.len();
                self.fixes = 0;
                let text = format!("{}{answer}{}", self.prefix, self.suffix);
                let is_it = |known: &&mut Candidate| known.drawn == text || known.best.text == text;
                if let Some(known) = self.candidates.iter_mut().find(is_it) {
                    known.draws += 1;
                    return self.agreed();
                }
                self.drawn.clone_from(&text);
                self.clean = None;
                (text, hole, RoundKind::Drawn(self.draws - 1), false)
            }
            Some(Span { text, hole, bytes, stub }) => {
                let old = &text[bytes.clone()];
                let lines_max = old.lines().count() + SPAN_LINES_MORE;
                let answer = trim(self.language, "", answer, "");
                let answer = answer.trim().lines().take(lines_max).collect::<Vec<_>>().join("\n");
                let hole = hole.start..hole.end.saturating_sub(old.len()) + answer.len();
                let text = format!("{}{answer}{}", &text[..bytes.start], &text[bytes.end..]);
                (text, hole, RoundKind::Span, *stub)
            }
        };
        if self.rounds.iter().any(|round| round.text == text) {
            return self.another();
        }
        self.step = Step::Check { kind, text, hole, stub };
    }

    /// What the compiler said of it. Without effect unless a check is wanted.
    pub fn checked(&mut self, diagnostics: &[Diagnostic]) {
        let Step::Check { kind, text, hole, stub } = self.step.clone() else { return };
        self.step = Step::Done;
        let mut errors: Vec<&Diagnostic> = Vec::new();
        for diagnostic in diagnostics.iter().filter(|one| one.severity == Severity::Error) {
            if !errors.contains(&diagnostic) {
                errors.push(diagnostic);
            }
        }
        let count = u32::try_from(errors.len()).unwrap_or(u32::MAX);
        let first = errors.first();
        let line = first.and_then(|error| error.line).unwrap_or(0);
        let stub_before = stub;
        let is_doubtful = count == 0
            && (diagnostics.iter().any(foresees_failure)
                || is_unfinished(self.language, &text, hole.clone()));
        let stub = stub || is_doubtful;
        // Few errors, no stub, and the first error far behind.
        let rank = (count, stub, std::cmp::Reverse(line));
        let is_finished = kind == RoundKind::Finished;
        let better = self.best.as_ref().is_none_or(|best| {
            let other = (best.errors, best.stub, std::cmp::Reverse(self.best_line));
            rank < other || is_finished && rank == other
        });
        self.rounds.push(Round {
            kind,
            text: text.clone(),
            errors: count,
            first: first.map(|error| error.message.clone()),
        });
        if better {
            let round = self.rounds.len() - 1;
            self.best = Some(Best { text: text.clone(), hole: hole.clone(), errors: count, stub, round });
            self.best_line = line;
        }
        if count == 0 && !stub {
            let round = self.rounds.len() - 1;
            self.clean = Some(Best { text: text.clone(), hole: hole.clone(), errors: 0, stub, round });
        }
        if count == 0 {
            if !is_finished && let Some(finished) = finish(self.language, &text, hole, self.limits.clauses) {
                let (text, hole, kind) = (finished.text, finished.hole, RoundKind::Finished);
                self.step = Step::Check { kind, text, hole, stub: stub_before };
            } else {
                self.settle();
            }
            return;
        }
        if is_finished {
            return self.settle();
        }
        if self.fixes < self.limits.fixes_max
            && let Some(fixed) = fixes(self.language, &text, hole.clone(), diagnostics, self.limits.clauses)
            && !self.rounds.iter().any(|round| round.text == fixed.text)
        {
            self.fixes += 1;
            let stub = stub_before || fixed.stub;
            self.step =
                Step::Check { kind: RoundKind::Fixed(fixed.what), text: fixed.text, hole: fixed.hole, stub };
            return;
        }
        if !self.span(&text, &hole, stub, diagnostics) {
            self.another();
        }
    }

    /// What the driver said of it: an error or a warning is no behaviour, and neither is silence. Without effect unless a text is to be driven.
    pub fn driven(&mut self, diagnostics: &[Diagnostic]) {
        let Step::Drive { best } = self.step.clone() else { return };
        let breaks_off = diagnostics.iter().any(|one| one.severity != Severity::Note);
        let behaviour = diagnostics.first().filter(|_| !breaks_off).map(|note| note.message.clone());
        self.candidates.push(Candidate { drawn: self.drawn.clone(), best, behaviour, draws: 1 });
        self.agreed();
    }

    /// That it cannot be driven: then the first clean text is taken. Without effect unless a text is to be driven.
    pub fn not_driven(&mut self) {
        let Step::Drive { best } = self.step.clone() else { return };
        self.best = Some(best);
        self.step = Step::Done;
    }

    /// How many draws the best is like; `None` where none was driven.
    pub fn agreement(&self) -> Option<Agreement> {
        let best = self.leading()?;
        let clean = self.candidates.iter().map(|one| one.draws).sum();
        Some(Agreement { clean, agree: self.alike(best) })
    }

    /// A draw came to its end: with a clean text or without.
    fn settle(&mut self) {
        match self.clean.take() {
            // What only stands for an answer is one when there is no better.
            None => self.another(),
            Some(best) if self.limits.agree > 1 => self.step = Step::Drive { best },
            Some(_) => self.step = Step::Done,
        }
    }

    /// Takes what enough draws agree on, or has another drawn.
    fn agreed(&mut self) {
        match self.leading() {
            Some(leading) if leading.behaviour.is_some() && self.alike(leading) >= self.limits.agree => {
                self.conclude();
            }
            _ => self.another(),
        }
    }

    /// The first of those that most draws behave like.
    fn leading(&self) -> Option<&Candidate> {
        self.candidates.iter().rev().max_by_key(|one| (one.behaviour.is_some(), self.alike(one)))
    }

    /// Draws that behave like it, itself included.
    fn alike(&self, one: &Candidate) -> u32 {
        let alike = |other: &&Candidate| match &one.behaviour {
            Some(behaviour) => other.behaviour.as_ref() == Some(behaviour),
            None => other.drawn == one.drawn,
        };
        self.candidates.iter().filter(alike).map(|other| other.draws).sum()
    }

    fn conclude(&mut self) {
        if let Some(leading) = self.leading() {
            self.best = Some(leading.best.clone());
        }
        self.step = Step::Done;
    }

    /// Has the statement of the text's first error drawn anew.
    fn span(&mut self, text: &str, hole: &Range<usize>, stub: bool, diagnostics: &[Diagnostic]) -> bool {
        if self.spans >= self.limits.spans_max {
            return false;
        }
        let draft = Draft::new(self.language, text, hole.clone(), false);
        let reports = draft.reports(diagnostics);
        let Some(report) = reports.first() else { return false };
        let Some(span) = statement(&draft, report.token) else { return false };
        let message = report.messages.join("; ").replace(char::is_control, " ");
        let message = &message[..message.floor_char_boundary(HINT_BYTES_MAX)];
        let indentation = draft.indentation(span.start);
        let prefix = format!(
            "{}{} error: {message}\n{indentation}",
            &text[..span.start],
            self.language.line_comment()
        );
        let draw = Draw {
            prefix,
            suffix: text[span.end..].to_owned(),
            temperature: if self.spans == 0 { 0.0 } else { self.limits.temperature },
            seed: self.limits.seed.wrapping_add(u64::from(self.spans)),
            tokens_max: self.limits.span_tokens_max,
            is_span: true,
        };
        self.spans += 1;
        self.fixes = 0;
        let into = Span { text: text.to_owned(), hole: hole.clone(), bytes: span, stub };
        self.step = Step::Draw { draw, into: Some(into) };
        true
    }

    /// Has the whole hole drawn once more, while there are draws left.
    fn another(&mut self) {
        if self.draws >= self.limits.candidates_max {
            return self.conclude();
        }
        let draw = Draw {
            prefix: self.prefix.clone(),
            suffix: self.suffix.clone(),
            temperature: self.limits.temperature,
            seed: self.limits.seed.wrapping_add(u64::from(self.draws)),
            tokens_max: self.limits.tokens_max,
            is_span: false,
        };
        self.draws += 1;
        self.step = Step::Draw { draw, into: None };
    }
}

/// Whether the compiler takes the text and says that it will fail when it runs.
fn foresees_failure(remark: &Diagnostic) -> bool {
    const WORDS: &[&str] = &[
        "will be raised at run time",
        "infinite recursion",
        "constraints don't match target",
        ada::NO_RETURN,
        ada::CALLS_RAISE,
    ];
    remark.severity == Severity::Warning && WORDS.iter().any(|words| remark.message.contains(words))
}

/// Words that a statement or a declaration stands behind.
const BEFORE: &[&str] = &[";", "then", "loop", "begin", "is", "else", "declare", "generate", "=>", "record"];

/// The bytes of the statement around the token, within the hole: `None` where there is none.
fn statement(draft: &Draft<'_>, token: usize) -> Option<Range<usize>> {
    let hole = draft.hole_tokens();
    let token = token.min(hole.end.checked_sub(1)?).max(hole.start);
    let mut start = token;
    while start > hole.start && !draft.is_any(start - 1, BEFORE) {
        start -= 1;
    }
    let mut end = token;
    while end + 1 < hole.end && !draft.is_any(end, &[";", "then", "loop", "begin", "is", "generate"]) {
        end += 1;
    }
    let span = draft.start(start)..draft.end(end);
    (!span.is_empty() && draft.hole.start <= span.start && span.end <= draft.hole.end).then_some(span)
}
