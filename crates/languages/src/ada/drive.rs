//! How a unit behaves: its visible subprograms are called with inputs that are drawn from one seed, always the same, so
//! that two texts can be compared, and so that a contract that does not hold is found. What is right beyond its contracts
//! is not known to it.

mod bench;
mod declarations;

use sha2::{Digest as _, Sha256};

use super::check::{Words, accepts_switch, specification_name};
use crate::Language;
use crate::check::{Diagnostic, Plan, Severity, Unit, Written, digest, directories, switches};
use declarations::declarations;

const UNIT: &str = "unit.ada";
const BENCH: &str = "cloister_drive";
/// What a line of the bench's own begins with: what comes of a call, and with what it was called, and what it raised.
const OUTPUTS: &str = "outputs ";
const INPUTS: &str = "inputs ";
const RAISED: &str = "raised ";
/// Exceptions of the language's own checks.
const PREDEFINED: [&str; 3] = ["CONSTRAINT_ERROR", "PROGRAM_ERROR", "STORAGE_ERROR"];
/// From here on, numbers are larger.
const LARGER: &str = "larger";
/// From here on, what is kept from call to call is as it was at the beginning.
const AFRESH: &str = "afresh";
/// Calls that are told before one that failed, where something is kept.
const HISTORY_MAX: usize = 3;
/// The inputs do not fulfil the precondition of what was called: that says nothing of the unit.
const REFUSED: &str = "refused";
/// Its text speaks of SPARK: then nothing predefined may be raised.
const SPARK: &str = "spark";
/// What is said of a call that takes too long.
pub(crate) const NO_RETURN: &str = "no return within its time";
/// What is said where so many calls raise what the language predefines, of all: at least one of so many.
pub(crate) const CALLS_RAISE: &str = " calls raise ";
const RAISING_SHARE: usize = 3;
/// Units that are longer are not driven.
const TEXT_BYTES_MAX: usize = 256 << 10;
/// Failures that are told of one run.
const FAILURES_MAX: usize = 4;
/// Of what a program wrote, at most so much is read.
const LINES_MAX: usize = 20_000;

/// What is wrong with the unit is told by its own compilation; what is wrong with the bench, or takes
/// long because the project is large, is no fault of the unit. The bench may use the processor for three seconds and take five.
const DRIVE: &str = r#"
mkdir units || exit 3
gnatchop -gnat2022 -q -w -r "$1" units || exit 1
shift
cd units || exit 3
gcc -c -gnata -gnat2022 -gnatws "$@" ./*.adb || exit 1
timeout -s KILL 10 gnatmake -q -gnata -gnat2022 -gnatws "$@" -I. ../cloister_drive.adb >bench.log 2>&1 || { echo "bench" ; exit 0; }
ulimit -t 3
timeout -s KILL 5 ./cloister_drive
exit 0
"#;

/// `None`: no body of the text is of a subprogram that can be called with drawn inputs.
pub(super) fn plan(unit: &Unit<'_>) -> Option<Plan> {
    let sources = Sources::of(unit)?;
    let bench = bench::bench(&declarations(&sources.words())?, &sources.specification_name);
    let arguments = ["-c", DRIVE, "sh", UNIT];
    let mut plan = Plan::of(unit, UNIT, "sh", &arguments)
        .with(directories(unit.project, "-I"))
        .with(switches(unit, accepts_switch));
    plan.files.push((format!("{BENCH}.adb"), bench));
    plan.executes = true;
    Some(plan)
}

/// Whether there may be a plan: a specification that is another file is not seen here.
pub(super) fn may_run(unit: &Unit<'_>) -> bool {
    let is_apart = unit.project.specification.is_none() && specification_name(unit).is_some();
    unit.file_name.is_some() && is_apart || plan(unit).is_some()
}

/// What a unit consists of: its specification, where that is a file of its own, before its own text.
struct Sources {
    text: String,
    /// The file of the declarations that are called, as GNAT names it in its messages.
    specification_name: String,
}

impl Sources {
    fn of(unit: &Unit<'_>) -> Option<Sources> {
        let apart =
            unit.project.specification.as_deref().and_then(|text| Some((text, specification_name(unit)?)));
        let (specification, specification_name) = apart.unwrap_or(("", UNIT.to_owned()));
        let text = format!("{specification}\n{}", unit.text);
        // Lines of a text alone are its own.
        let text = if specification.is_empty() { unit.text.to_owned() } else { text };
        (text.len() <= TEXT_BYTES_MAX).then_some(Sources { text, specification_name })
    }

    fn words(&self) -> Words<'_> {
        Words::of(Language::Ada, &self.text)
    }
}

/// One note: how many calls there were, and a digest of all that came of them. Before it an error for what was claimed and
/// does not hold, and a warning where nothing could be called.
pub(super) fn read(unit: &Unit<'_>, written: &Written<'_>) -> Vec<Diagnostic> {
    let remark = |severity, message: &str| Diagnostic { severity, ..Diagnostic::error(message) };
    if !written.succeeded {
        let said = String::from_utf8_lossy(written.stderr);
        let first = said.lines().find(|line| line.contains("error"));
        return first.map(|line| remark(Severity::Error, line)).into_iter().collect();
    }
    let said = String::from_utf8_lossy(written.stdout);
    let lines_max = u32::try_from(unit.text.lines().count()).unwrap_or(u32::MAX);
    let mut run = Run { lines_max, ..Run::default() };
    for line in said.lines().take(LINES_MAX) {
        run.line(line);
    }
    let mut all = run.failures;
    if run.calls == 0 && all.is_empty() && run.inputs.is_none() {
        all.push(remark(Severity::Warning, "none of its subprograms could be called with drawn inputs"));
        return all;
    }
    if let Some(inputs) = run.inputs {
        run.hash.update(b"no return\n");
        // What takes ever longer may be right.
        if !run.is_larger {
            all.push(remark(Severity::Warning, &format!("{NO_RETURN}: {inputs}")));
        }
    }
    if let Some((raises, first)) = run.raised.filter(|(raises, _)| raises * RAISING_SHARE >= run.calls) {
        all.push(remark(Severity::Warning, &format!("{raises} of {}{CALLS_RAISE}{first}", run.calls)));
    }
    let digest = digest(run.hash);
    all.push(remark(Severity::Note, &format!("outputs of {} calls: {digest}", run.calls)));
    all
}

/// What was read of a run so far.
#[derive(Default)]
struct Run {
    lines_max: u32,
    is_spark: bool,
    failures: Vec<Diagnostic>,
    hash: Sha256,
    calls: usize,
    /// How many of them raised what the language predefines, and what the first of these says.
    raised: Option<(usize, String)>,
    /// Of the call that did not come back yet.
    inputs: Option<String>,
    /// Calls that came back since what is kept was as at the beginning; `None` where nothing is kept.
    history: Option<Vec<String>>,
    /// Whether larger numbers are drawn already.
    is_larger: bool,
}

impl Run {
    fn line(&mut self, line: &str) {
        if let Some(inputs) = line.strip_prefix(INPUTS) {
            self.inputs = Some(inputs.to_owned());
        } else if line == LARGER {
            self.is_larger = true;
        } else if line == SPARK {
            self.is_spark = true;
        } else if line == AFRESH {
            self.history = Some(Vec::new());
        } else if line == REFUSED {
            self.inputs = None;
        } else if let Some(raised) = line.strip_prefix(RAISED) {
            let inputs = self.inputs.take().unwrap_or_default();
            let told = self.told(&inputs);
            let (name, message) = raised.split_once(" : ").unwrap_or((raised, ""));
            if PREDEFINED.contains(&name) {
                let says = || (0, format!("{name}: {message}, with {told}"));
                self.raised.get_or_insert_with(says).0 += 1;
            }
            if let Some(failure) = self.failure(name, message, &told) {
                let is_known =
                    |one: &Diagnostic| claim_of(one) == claim_of(&failure) && one.line == failure.line;
                if self.failures.len() < FAILURES_MAX && !self.failures.iter().any(is_known) {
                    self.failures.push(failure);
                }
            }
            self.came_back(inputs);
            self.hash.update(name.as_bytes());
            self.hash.update(b"\n");
        } else {
            if line.starts_with(OUTPUTS) {
                let inputs = self.inputs.take().unwrap_or_default();
                self.came_back(inputs);
            }
            self.hash.update(line.as_bytes());
            self.hash.update(b"\n");
        }
    }

    fn came_back(&mut self, inputs: String) {
        self.calls += 1;
        self.history.iter_mut().for_each(|history| history.push(inputs.clone()));
    }

    /// A call's inputs, and which calls came before it.
    fn told(&self, inputs: &str) -> String {
        let history = self.history.as_deref().unwrap_or_default();
        let newest = &history[history.len().saturating_sub(HISTORY_MAX)..];
        let calls: Vec<&str> = newest.iter().map(|call| call.trim_end()).collect();
        if calls.is_empty() {
            return inputs.to_owned();
        }
        let earlier = if history.len() > newest.len() { "…; " } else { "" };
        format!("{}, after {earlier}{}", inputs.trim_end(), calls.join("; "))
    }

    /// What an exception says against the unit, such as `failed postcondition from unit.ada:5`, or `unit.ada:12 overflow check
    /// failed`.
    fn failure(&self, name: &str, message: &str, inputs: &str) -> Option<Diagnostic> {
        let is_claim = name.ends_with("ASSERT_FAILURE") || name.ends_with("ASSERTION_ERROR");
        if !(is_claim || self.is_spark && PREDEFINED.contains(&name)) {
            return None;
        }
        let place = message.split_once(&format!("{UNIT}:")).map(|(_, behind)| {
            let digits = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
            &behind[..digits]
        });
        let line = place.and_then(|digits| digits.parse().ok());
        let line = line.filter(|line| (1..=self.lines_max).contains(line));
        // What is in another file is told in words.
        let what = place.map_or(message.to_owned(), |digits| {
            let place = format!("{UNIT}:{digits}");
            message.replace(&format!(" from {place}"), "").replace(&place, "")
        });
        let what = match (is_claim, what.trim()) {
            (true, "") => "failed assertion".to_owned(),
            (true, what) => what.to_owned(),
            (false, what) => format!("raises {name}: {what}"),
        };
        Some(Diagnostic { line, ..Diagnostic::error(&format!("{what}, with {inputs}")) })
    }
}

/// What failed, less with what.
fn claim_of(diagnostic: &Diagnostic) -> &str {
    diagnostic.message.split_once(", with ").map_or(diagnostic.message.as_str(), |(claim, _)| claim)
}
