mod agent_trace;
mod cyclonedx;
mod sarif;
mod trailers;

use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;
use lineage::approval::Keys;
use lineage::grade::Grade;

use super::Session;
use crate::failure::{EXIT_FAILED, Failure};
use crate::output::Colour;
use crate::review::{self, Approvals, History, Ledger, Reviewed, Row, Selection, Table, notes};

/// Says which lines of a change came from the assistant, by which answer, and what is known of it
///
/// Lines are compared with a slice of the ledger by their content: no hook, note or message of a commit is believed. A
/// line that is not found is unknown; nothing says that a person wrote it. Whoever has the slice can test guesses of
/// what was answered: docs/pipelines.md.
///
/// Exit codes: 0 all lines were graded, 1 the slice is not believed or a file could not be read, 2 the arguments are
/// wrong. What may go in is for `cloister gate` to say.
#[derive(clap::Args)]
pub(crate) struct Review {
    #[command(flatten)]
    ledger: Ledger,
    #[command(flatten)]
    selection: Selection,
    /// A folder of approvals, beside those in the repository; may be repeated
    #[arg(long, value_name = "DIR")]
    approvals: Vec<PathBuf>,
    /// Also ranges that are unknown or common
    #[arg(long)]
    all: bool,
    /// Show the lines
    #[arg(long, conflicts_with_all = ["json", "sarif"])]
    diff: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "sarif")]
    json: bool,
    /// Print SARIF 2.1.0, for review tools
    #[arg(long)]
    sarif: bool,
    /// Print a note in the Git AI standard's form: pipe it to `git notes --ref=ai add -f -F -`
    #[arg(long, requires = "commit", conflicts_with_all = ["json", "sarif", "diff"])]
    note: bool,
    /// Print a trace record (Agent Trace 0.1.0)
    #[arg(long, requires = "commit", conflicts_with_all = ["json", "sarif", "diff", "note"])]
    agent_trace: bool,
    /// Print trailers for the commit's message, one for each model, under the name that the site has for them
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true,
        default_missing_value = "Assisted-by", requires = "commit",
        conflicts_with_all = ["json", "sarif", "diff", "note", "agent_trace"])]
    trailers: Option<String>,
    /// Print a bill of materials (CycloneDX 1.5 or later, JSON) with the lines of the assistant added to it
    #[arg(long, value_name = "SBOM.json",
        conflicts_with_all = ["json", "sarif", "diff", "note", "agent_trace", "trailers"])]
    cyclonedx: Option<PathBuf>,
    /// An attestation that the bill of materials is to refer to, with its digest, by its file's name
    #[arg(long, value_name = "FILE", requires = "cyclonedx")]
    attestation: Option<PathBuf>,
}

impl Review {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let name = self.trailers.as_deref().map(trailers::name).transpose()?;
        let bill = self.cyclonedx.as_deref().map(cyclonedx::read).transpose()?;
        let history = History::open(&self.selection.repository)?;
        let change = history.change(&self.selection.wanted())?;
        let reviewed = review::review(&self.ledger, change)?;
        let keys = Keys::of(reviewed.slice.context.iter().map(|(_, leaf)| leaf));
        let approvals = Approvals::read(&history, reviewed.change.tree, &self.approvals, &keys)?;
        let table = Table::new(&reviewed, &approvals);
        if self.json {
            session.output.json(&table)?;
        } else if self.note {
            session.output.text(&notes::write(&table))?;
        } else if self.agent_trace {
            let ranges = review::decided(&table, &reviewed, &history, None);
            session.output.json(&agent_trace::record(&table, &ranges))?;
        } else if let Some(name) = name {
            session.output.text(&trailers::text(name, &table, &reviewed.slice))?;
        } else if let Some(bill) = bill {
            let ranges = review::decided(&table, &reviewed, &history, None);
            let attestation = self.attestation.as_deref().map(cyclonedx::reference).transpose()?;
            session.output.json(&cyclonedx::annotated(bill, &table, &ranges, attestation)?)?;
        } else if self.sarif {
            session.output.json(&sarif::document(&table))?;
        } else {
            show(session, &table, self.all)?;
            if self.diff {
                lines(session, &reviewed)?;
            }
        }
        if self.selection.is_commit() && !self.note {
            compare(session, &history, &reviewed, &table);
        }
        for (path, why) in &table.not_graded {
            session.output.complain(&format!("{path}: its lines are not graded: {why}"));
        }
        let whole = review::is_whole(&table.not_graded);
        Ok(if whole { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
    }
}

/// Says where a note of the commit tells otherwise: it was forged, copied from another commit, or is old.
fn compare(session: &mut Session, history: &History, reviewed: &Reviewed, table: &Table) {
    let note = history.note(notes::REFERENCE, reviewed.change.head, notes::NOTE_BYTES_MAX);
    let note = note.map(|note| String::from_utf8_lossy(&note).into_owned());
    for difference in note.map(|note| notes::compare(&note, table)).unwrap_or_default() {
        session.output.complain(&format!("the note in {} is not believed: {difference}", notes::REFERENCE));
    }
}

/// The table for people.
pub(super) fn show(session: &mut Session, table: &Table, all: bool) -> Result<(), Failure> {
    let mut path = "";
    for row in table.ranges.iter().filter(|row| all || row.grade.is_ai()) {
        if row.path != path {
            path = &row.path;
            session.output.line(path)?;
        }
        session.output.line(line(row))?;
    }
    for void in &table.void_approvals {
        session.output.complain(&format!("{}: counts for nothing: {}", void.file, void.why));
    }
    let counts: Vec<String> = table.lines.iter().map(|(grade, lines)| format!("{lines} {grade}")).collect();
    let counts = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
    let source = &table.slice;
    session.output.say(format!(
        "lines: {counts}; by {} records of {}, a slice of {}",
        source.records,
        source.origin,
        when(source.made_unix_ms),
    ));
    Ok(())
}

/// A range in one line.
fn line(row: &Row) -> String {
    let place =
        if row.first == row.last { row.first.to_string() } else { format!("{}-{}", row.first, row.last) };
    let kept =
        if row.grade == Grade::AiModified { format!(" {} % kept", row.kept_percent) } else { String::new() };
    let mut line = format!("  {place:<12}{}{kept}", row.grade.name());
    if let Some(answer) = &row.answer {
        let model = answer.model.as_deref().map_or("upstream", |model| short(model));
        line.push_str(&format!(
            " · record {} · {} · {} of {model} · check: {} · {}",
            answer.record, answer.prompted_by, answer.deployment, answer.check, answer.decision,
        ));
        if let Some(time) = answer.decided_unix_ms {
            line.push_str(&format!(" {}", when(time)));
        }
        for finding in &answer.findings {
            line.push_str(&format!(" · {} known code ({})", finding.kind, finding.licences.join(", ")));
        }
        if !answer.compared {
            line.push_str(" · not compared with known code");
        }
    }
    if row.grade.is_ai() {
        let by: Vec<&str> = row.approved_by.iter().map(String::as_str).collect();
        line.push_str(" · ");
        line.push_str(&if by.is_empty() {
            "not approved".to_owned()
        } else {
            format!("approved by {}", by.join(", "))
        });
    }
    line
}

/// The lines with their grades in front.
fn lines(session: &mut Session, reviewed: &Reviewed) -> Result<(), Failure> {
    for (file, graded) in reviewed.change.files.iter().zip(&reviewed.graded) {
        session.output.line(format_args!("+++ {}", file.path))?;
        for ((number, text), graded) in file.lines.iter().zip(graded) {
            let (letter, colour) = mark(graded.grade);
            let record = graded.record.map(|record| reviewed.slice.records[record].number.to_string());
            let line = format!("{letter} {:>8} {number:>6} + {text}", record.unwrap_or_default());
            session.output.coloured(colour, &line)?;
        }
    }
    Ok(())
}

/// A grade's letter and colour.
pub(super) fn mark(grade: Grade) -> (char, Colour) {
    match grade {
        Grade::AiVerbatim => ('A', Colour::Magenta),
        Grade::AiModified => ('m', Colour::Blue),
        Grade::MatchesAi => ('?', Colour::Yellow),
        Grade::HumanObserved => ('h', Colour::Green),
        Grade::Common => ('.', Colour::None),
        Grade::Unknown => (' ', Colour::None),
    }
}

pub(crate) fn short(digest: &str) -> &str {
    digest.strip_prefix("sha256:").and_then(|digits| digits.get(..12)).unwrap_or(digest)
}

pub(crate) fn when(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| unix_ms.to_string(), |time| time.strftime("%Y-%m-%dT%H:%MZ").to_string())
}
