//! What the site's compilers say of an answer, in its place.
//!
//! A completion is looked at in the file as it would be after insertion, and what was wrong there before does not count.
//! It waits no longer than a limit: what comes later is recorded all the same, in a leaf of its own, and a checker that
//! was too slow the last time is not waited for at all. Of a chat, each code block that is a whole unit is looked at.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::checks::NotChecked;
use identity::{Asking, Verb};
use languages::{Checker, Diagnostic, Language, Project, Rules, Severity, Unit, Written};
use ledger::{CheckOutcome, Commitment, Event, Opening, Receipt, Salts};
use protocol::RecordNumber;
use protocol::check::{Against, Order, Ran, TEXT_BYTES_MAX};
use protocol::context::SourceFacts;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::context::{may_read, repository_name};
use crate::{Ask, House, Refusal, Request};

/// Code blocks of an answer that are looked at.
const BLOCKS_MAX: usize = 8;
/// So long a whole text waits for what a compiler needs of its source, once after a start: the library of a large project.
const PREPARED_IN: Duration = Duration::from_secs(60);
const PREPARED_POLL: Duration = Duration::from_millis(500);
/// Remarks that an answer and its record carry.
const REMARKS_MAX: usize = 50;

/// What one checker said of an answer, or of one code block of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// The language's name.
    pub language: String,
    /// The checker's name.
    pub checker: String,
    /// Its version, as it states it; empty when it was not run.
    pub version: String,
    /// What came of it.
    pub outcome: CheckOutcome,
    /// Why it was not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it claims when it has no objection, and no more.
    pub claims: String,
    /// Lines of the answer that were looked at, from 1: all of a completion, a block of a chat.
    pub lines: (u32, u32),
    /// Other files that it was checked against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<Against>,
    /// Errors that the answer brings.
    pub errors: u32,
    /// Errors that were there without it.
    pub errors_before: u32,
    /// What was said of it: the answer's errors first.
    pub remarks: Vec<Remark>,
    /// Milliseconds that it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
    /// What it needs was being made still.
    #[serde(skip)]
    is_early: bool,
    #[serde(skip)]
    command: Vec<String>,
    /// It still runs, and is recorded when it ends.
    #[serde(skip)]
    is_pending: bool,
}

/// One remark of a checker's, by the answer's own lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// `error`, `warning` or `note`.
    pub severity: &'static str,
    /// The line of the answer, from 1; `None` when it is about what stands around it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The byte in that line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// Another file that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// In the checker's words.
    pub message: String,
}

/// How long checkers took, the last time.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    took: Mutex<HashMap<(&'static str, Option<String>), Duration>>,
}

/// One text that is to be looked at.
#[derive(Clone)]
struct Text {
    language: Language,
    file_name: Option<String>,
    path: Option<String>,
    /// The text, and the answer's part of it in bytes.
    text: String,
    answer: Range<usize>,
    /// Lines of the answer, from 1.
    lines: (u32, u32),
    /// The text without the answer, where there is one.
    before: Option<String>,
    source: Option<String>,
}

/// What whole texts that are made from draws are, and stand in.
pub(crate) struct Whole<'a> {
    /// Their language.
    pub(crate) language: Language,
    /// Of their file; empty where there is none.
    pub(crate) path: &'a str,
    /// The source that the file belongs to.
    pub(crate) source: Option<&'a SourceFacts>,
}

impl Whole<'_> {
    fn text(&self, text: &str) -> Text {
        let path = Some(self.path).filter(|path| !path.is_empty());
        Text {
            language: self.language,
            file_name: path.map(file_name),
            path: path.map(str::to_owned),
            answer: 0..text.len(),
            lines: (1, 1 + line_breaks(text.trim_end_matches('\n'))),
            before: None,
            text: text.to_owned(),
            source: self.source.map(|source| source.name.clone()),
        }
    }
}

impl House {
    /// The source that a repository's name is of, of those that this person may read.
    pub(crate) fn source_of(&self, repository: Option<&str>, asking: &Asking<'_>) -> Option<SourceFacts> {
        let name = repository_name(repository?);
        let views = self.context.views(|source| may_read(asking, Verb::ReadSource, source));
        let view = views.into_iter().find(|view| view.name == name)?;
        Some(SourceFacts {
            name: view.name,
            readers: Vec::new(),
            labels: view.labels,
            rules_file: view.rules_file,
        })
    }

    /// What checkers say in time. What comes later is recorded when it comes.
    pub(crate) async fn check(
        self: &Arc<Self>,
        request: &Request,
        source: Option<&SourceFacts>,
        answer: &str,
        record: RecordNumber,
    ) -> Vec<Check> {
        let wait_ms = match request.ask {
            Ask::Chat { .. } => self.limits.chat_check_ms_max,
            Ask::Complete { .. } | Ask::Fill { .. } => self.limits.completion_check_ms_max,
        };
        let wait = Duration::from_millis(wait_ms.into());
        let texts = texts(request, source.map(|source| source.name.as_str()), answer);
        let mut waiting = Vec::new();
        for text in texts {
            let Some(checker) = self.checker(text.language) else { continue };
            let pace = (checker.name, text.source.clone());
            let in_time = self.pace.took(&pace).is_none_or(|took| took <= wait);
            let unanswered = Check::not_run(&text, checker, String::new());
            let (sender, receiver) = oneshot::channel();
            let house = Arc::clone(self);
            tokio::spawn(async move {
                let started = tokio::time::Instant::now();
                let (check, _) = house.judge(&text, checker).await;
                house.pace.note(pace, started.elapsed());
                if let Err(late) = sender.send(check) {
                    house.write_check(record, &late).await.err().inspect(|refusal| {
                        tracing::error!(%record, %refusal, "a late check is not recorded");
                    });
                }
            });
            waiting.push((receiver, unanswered, if in_time { wait } else { Duration::ZERO }));
        }
        let deadline = tokio::time::Instant::now() + wait;
        let mut checks = Vec::new();
        for (mut receiver, unanswered, wait) in waiting {
            let until = if wait.is_zero() { tokio::time::Instant::now() } else { deadline };
            let in_time = tokio::time::timeout_at(until, &mut receiver).await;
            receiver.close();
            // It may have come between the two.
            let check = in_time.ok().and_then(Result::ok).or_else(|| receiver.try_recv().ok());
            checks.push(check.unwrap_or_else(|| {
                let reason = format!("no answer within {wait_ms} ms: its record follows");
                Check { reason: Some(reason), is_pending: true, ..unanswered }
            }));
        }
        checks
    }

    /// What a checker says of a whole text that was made from a record's draw; its leaf is durable when this returns.
    pub(crate) async fn look_at(
        &self,
        whole: &Whole<'_>,
        text: &str,
        record: RecordNumber,
    ) -> Result<(Check, Vec<Diagnostic>), Refusal> {
        let unknown = || {
            let message = format!("no checker of {} is known", whole.language.name());
            Refusal::new(crate::RefusalKind::Invalid, message).of(record)
        };
        let (mut checks, said) = self.opinions(whole, text).await.ok_or_else(unknown)?;
        for check in &checks {
            self.write_check(record, check).await?;
        }
        // Where the further one did not run, its leaf says so, and the first one's word is what there is.
        let last = checks.iter().rposition(|check| check.reason.is_none()).unwrap_or(0);
        Ok((checks.swap_remove(last), said))
    }

    /// What is said of a whole text: by the first checker of its language, and where that has nothing against it by the further
    /// one, if it is one for it. `None`: there is no checker of that language.
    pub(crate) async fn opinions(
        &self,
        whole: &Whole<'_>,
        text: &str,
    ) -> Option<(Vec<Check>, Vec<Diagnostic>)> {
        let text = whole.text(text);
        let checker = self.checker(text.language)?;
        let (mut check, mut said) = self.judge(&text, checker).await;
        let began = tokio::time::Instant::now();
        while check.is_early && began.elapsed() < PREPARED_IN {
            tokio::time::sleep(PREPARED_POLL).await;
            (check, said) = self.judge(&text, checker).await;
        }
        let is_clean = check.reason.is_none() && !said.iter().any(|one| one.severity == Severity::Error);
        let mut checks = vec![check];
        let (project, rules) = (Project::default(), Rules::default());
        let further = Language::further_checker(&text.unit(&text.text, &project, &rules));
        if let Some(further) = further.filter(|_| is_clean)
            && let Some((deeper, more)) = self.look(&text, further).await
        {
            checks.push(deeper);
            said.extend(more);
        }
        Some((checks, said))
    }

    /// How a whole text behaves, in the same way: nothing is said of one that does not end. `None`: it cannot be driven.
    pub(crate) async fn drive(
        &self,
        whole: &Whole<'_>,
        text: &str,
        record: RecordNumber,
    ) -> Result<Option<Vec<Diagnostic>>, Refusal> {
        let text = whole.text(text);
        let (project, rules) = (Project::default(), Rules::default());
        let Some(driver) = Language::driver(&text.unit(&text.text, &project, &rules)) else {
            return Ok(None);
        };
        let Some((check, said)) = self.look(&text, driver).await else { return Ok(None) };
        self.write_check(record, &check).await?;
        Ok(Some(said))
    }

    /// The first checker whose programs are here, or else the first, which then says what is missing.
    fn checker(&self, language: Language) -> Option<&'static Checker> {
        let toolchains = self.checkers.toolchains();
        let is_here = |checker: &&Checker| {
            let of = |toolchain: &&protocol::check::Toolchain| {
                toolchain.checker == checker.name && toolchain.language == language.name()
            };
            toolchains.iter().find(of).is_some_and(|toolchain| toolchain.version.is_some())
        };
        let checkers = language.checkers();
        checkers.iter().find(is_here).or(checkers.first())
    }

    /// One text's check by a checker that every such text is for.
    async fn judge(&self, text: &Text, checker: &'static Checker) -> (Check, Vec<Diagnostic>) {
        let nothing = || (Check::not_run(text, checker, NotChecked::NothingToSay.to_string()), Vec::new());
        self.look(text, checker).await.unwrap_or_else(nothing)
    }

    /// One text's check, and that of the text without the answer beside it. `None`: the checker is none for it.
    async fn look(&self, text: &Text, checker: &'static Checker) -> Option<(Check, Vec<Diagnostic>)> {
        let order = |of: &str| Order {
            id: 0,
            language: text.language.name().to_owned(),
            checker: checker.name.to_owned(),
            file_name: text.file_name.clone(),
            path: text.path.clone(),
            text: of.to_owned(),
            source: text.source.clone(),
        };
        let (project, rules) = (Project::default(), Rules::default());
        let unit = text.unit(&text.text, &project, &rules);
        if let Some(said) = checker.refuse(&unit) {
            return Some((Check::refused(text, checker, said.clone()), vec![said]));
        }
        let run = async |of: &str| -> Result<(Ran, Vec<Diagnostic>), NotChecked> {
            let ran = self.checkers.check(order(of)).await?;
            let written = Written { stdout: &ran.stdout, stderr: &ran.stderr, succeeded: ran.succeeded };
            let said = checker.read(&text.unit(of, &project, &rules), &written);
            Ok((ran, said))
        };
        let before = async {
            match &text.before {
                Some(before) => run(before).await.map(|(_, said)| said),
                None => Ok(Vec::new()),
            }
        };
        let (after, before) = tokio::join!(run(&text.text), before);
        let ((ran, after), before) = match (after, before) {
            (Ok(after), Ok(before)) => (after, before),
            (Err(NotChecked::NothingToSay), _) => return None,
            (Err(error), _) | (_, Err(error)) => {
                let is_early = matches!(error, NotChecked::NotYet(_));
                let check = Check::not_run(text, checker, error.to_string());
                return Some((Check { is_early, ..check }, Vec::new()));
            }
        };
        let version = self.checkers.toolchains().into_iter().find(|toolchain| {
            toolchain.checker == checker.name && toolchain.language == text.language.name()
        });
        let version = version.and_then(|toolchain| toolchain.version);
        let check = Check::ran(text, checker, version, ran, &before, &after);
        Some((check, after))
    }

    /// Writes what was said down; all of it durable when this returns.
    pub(crate) async fn write_checks(&self, record: RecordNumber, checks: &[Check]) -> Result<(), Refusal> {
        for check in checks.iter().filter(|check| !check.is_pending) {
            self.write_check(record, check).await?;
        }
        Ok(())
    }

    async fn write_check(&self, record: RecordNumber, check: &Check) -> Result<Receipt, Refusal> {
        let salt = self.salt()?;
        let text = serde_json::to_string(check).map_err(crate::walk::unwritable)?;
        let count = |severity: &str| {
            let count = check.remarks.iter().filter(|remark| remark.severity == severity).count();
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        let leaf = ledger::Check {
            record: record.0,
            checker: check.checker.clone(),
            version: check.version.clone(),
            command: check.command.clone(),
            outcome: check.outcome,
            errors: check.errors,
            warnings: count("warning"),
            notes: count("note"),
            diagnostics: Commitment::new(&salt, text.as_bytes()),
        };
        let opening = Opening {
            salts: Salts { diagnostics: Some(salt), ..Salts::default() },
            diagnostics_text: Some(text),
            ..Opening::default()
        };
        let body = serde_json::to_vec(&opening).map_err(crate::walk::unwritable)?;
        self.append(Event::Check(Box::new(leaf)), Some(body)).await.map_err(|refusal| refusal.of(record))
    }
}

impl Pace {
    fn took(&self, what: &(&'static str, Option<String>)) -> Option<Duration> {
        self.took.lock().unwrap_or_else(PoisonError::into_inner).get(what).copied()
    }

    fn note(&self, what: (&'static str, Option<String>), took: Duration) {
        self.took.lock().unwrap_or_else(PoisonError::into_inner).insert(what, took);
    }
}

/// The texts that an answer makes. None where its language is not known.
fn texts(request: &Request, source: Option<&str>, answer: &str) -> Vec<Text> {
    let path = request.subject.path.as_deref();
    match &request.ask {
        Ask::Fill { prefix, suffix, .. } => {
            let Some(language) = Language::detect(path.unwrap_or_default(), prefix) else {
                return Vec::new();
            };
            let text = format!("{prefix}{answer}{suffix}");
            if text.len() > TEXT_BYTES_MAX || answer.is_empty() {
                return Vec::new();
            }
            vec![Text {
                language,
                file_name: path.map(file_name),
                path: path.map(str::to_owned),
                answer: prefix.len()..prefix.len() + answer.len(),
                lines: (1, 1 + line_breaks(answer)),
                before: Some(format!("{prefix}{suffix}")),
                text,
                source: source.map(str::to_owned),
            }]
        }
        Ask::Chat { .. } => languages::fenced(answer)
            .into_iter()
            .filter_map(|block| {
                let text = answer.get(block.text.clone())?;
                let language = block.language?;
                // A fragment alone is no unit, and its errors would be none of its own.
                if !languages::is_whole_unit(language, text) || text.len() > TEXT_BYTES_MAX {
                    return None;
                }
                let first = 1 + line_breaks(answer.get(..block.text.start)?);
                Some(Text {
                    language,
                    file_name: None,
                    path: None,
                    answer: 0..text.len(),
                    lines: (first, first + line_breaks(text.trim_end_matches('\n'))),
                    before: None,
                    text: text.to_owned(),
                    source: source.map(str::to_owned),
                })
            })
            .take(BLOCKS_MAX)
            .collect(),
        // What is asked may hold a model's own tokens: it is no file's text.
        Ask::Complete { .. } => Vec::new(),
    }
}

fn file_name(path: &str) -> String {
    path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned()
}

fn line_breaks(text: &str) -> u32 {
    u32::try_from(text.bytes().filter(|byte| *byte == b'\n').count()).unwrap_or(u32::MAX)
}

impl Text {
    fn unit<'a>(&'a self, text: &'a str, project: &'a Project, rules: &'a Rules) -> Unit<'a> {
        Unit { language: self.language, file_name: self.file_name.as_deref(), text, project, rules }
    }
}

impl Check {
    fn not_run(text: &Text, checker: &Checker, reason: String) -> Check {
        Check {
            language: text.language.name().to_owned(),
            checker: checker.name.to_owned(),
            version: String::new(),
            outcome: CheckOutcome::NotRun,
            reason: Some(reason),
            claims: checker.claims.to_owned(),
            lines: text.lines,
            against: None,
            errors: 0,
            errors_before: 0,
            remarks: Vec::new(),
            ms: None,
            is_early: false,
            command: Vec::new(),
            is_pending: false,
        }
    }

    /// Nothing was run: the text must not even be handed to the program.
    fn refused(text: &Text, checker: &Checker, said: Diagnostic) -> Check {
        let remarks = vec![Place::of(text).remark(said)];
        let outcome = CheckOutcome::Failed;
        Check { outcome, reason: None, errors: 1, remarks, ..Check::not_run(text, checker, String::new()) }
    }

    fn ran(
        text: &Text,
        checker: &Checker,
        version: Option<String>,
        ran: Ran,
        before: &[Diagnostic],
        after: &[Diagnostic],
    ) -> Check {
        let place = Place::of(text);
        let said = languages::new_diagnostics(before, after, place.first..place.last);
        let errors = said.iter().filter(|one| one.severity == Severity::Error).count();
        let errors_before = before.iter().filter(|one| one.severity == Severity::Error).count();
        let mut remarks: Vec<(Severity, Remark)> =
            said.into_iter().map(|one| (one.severity, place.remark(one))).collect();
        remarks.sort_by_key(|(severity, _)| *severity);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        // An error that was there before can keep the checker from looking further.
        let has_errors = after.iter().any(|one| one.severity == Severity::Error);
        let claims = match has_errors && errors == 0 {
            true => "no error that was not there before; the file has errors of its own",
            false => checker.claims,
        };
        Check {
            claims: claims.to_owned(),
            version: version.unwrap_or_default(),
            outcome: if errors == 0 { CheckOutcome::Passed } else { CheckOutcome::Failed },
            reason: None,
            against: Some(ran.against),
            errors: count(errors),
            errors_before: count(errors_before),
            remarks: remarks.into_iter().map(|(_, remark)| remark).take(REMARKS_MAX).collect(),
            ms: Some(ran.ms),
            command: ran.command,
            ..Check::not_run(text, checker, String::new())
        }
    }
}

/// Where an answer stands in a text: lines from 1, and bytes before it on its first line.
struct Place {
    first: u32,
    last: u32,
    bytes_before: u32,
    /// Bytes up to its end on its last line.
    bytes_at_end: u32,
    /// The first line of the answer that the text's part is.
    offset: u32,
}

impl Place {
    fn of(text: &Text) -> Place {
        let before = text.text.get(..text.answer.start).unwrap_or_default();
        let first = 1 + line_breaks(before);
        let bytes_before = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
        let until = text.text.get(..text.answer.end).unwrap_or_default();
        let bytes_at_end = until.len() - until.rfind('\n').map_or(0, |at| at + 1);
        let count = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let within = line_breaks(text.text.get(text.answer.clone()).unwrap_or_default());
        Place {
            first,
            last: first + within,
            bytes_before: count(bytes_before),
            bytes_at_end: count(bytes_at_end),
            offset: text.lines.0,
        }
    }

    fn remark(&self, said: Diagnostic) -> Remark {
        // What stands beside the answer on its first and its last line is not the answer's.
        let is_beside = |line: u32| {
            let before = line == self.first && said.column.is_some_and(|column| column <= self.bytes_before);
            let behind =
                line == self.last && said.column.is_some_and(|column| column > self.bytes_at_end + 1);
            before || behind
        };
        let line = said.line.filter(|line| (self.first..=self.last).contains(line) && !is_beside(*line));
        let on_first = line == Some(self.first);
        let column = said.column.filter(|_| line.is_some());
        let column = column.map(|column| if on_first { column - self.bytes_before } else { column });
        Remark {
            severity: match said.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Note => "note",
            },
            line: line.map(|line| line - self.first + self.offset),
            column,
            file: said.file,
            message: said.message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_are_placed_in_the_answer() {
        let text = "procedure P is\nbegin\n   X := 1;\n   nul;\nend P;\n";
        let start = text.find(":= 1").unwrap();
        let of = Text {
            language: Language::Ada,
            file_name: None,
            path: None,
            text: text.to_owned(),
            answer: start..text.find("l;\nend").unwrap(),
            lines: (1, 2),
            before: None,
            source: None,
        };
        let place = Place::of(&of);
        let at = |line, column| {
            let said = Diagnostic {
                severity: Severity::Error,
                line: Some(line),
                column: Some(column),
                file: None,
                message: String::new(),
            };
            let remark = place.remark(said);
            (remark.line, remark.column)
        };
        // `X` stands before it, `:=` begins it, `nu` is its end, and `l;` stands behind.
        assert_eq!(at(3, 4), (None, None));
        assert_eq!(at(3, 6), (Some(1), Some(1)));
        assert_eq!(at(4, 4), (Some(2), Some(4)));
        assert_eq!(at(4, 7), (None, None));
        assert_eq!(at(5, 1), (None, None));
    }
}
