//! What a model is worth on a suite, written down: as JSON, whose bytes can be signed, and as one file of HTML for people.
//!
//! Shares are of tasks that were judged; what was not judged is counted beside them, by its reason. The HTML holds no
//! script and names nothing outside of itself.

use std::{collections::BTreeMap, fmt::Write as _};

use protocol::{Digest, worker::Sampling};
use serde::{Deserialize, Serialize};

use crate::{
    answers::Answer,
    judge::Verdict,
    run::{Ran, Settings},
    statistics::{Paired, Proportion, paired, pass_at_k, percentile, proportion},
    suite::{Form, Kind, Suite},
};

/// The version of the JSON. Another is refused.
pub const VERSION: u32 = 1;
/// The longest report in bytes.
pub const REPORT_BYTES_MAX: usize = 64 << 20;

/// What the caller knows.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// For people.
    pub title: String,
    /// The model's name.
    pub model: String,
    /// The machine: processor, cores, memory, kernel.
    pub machine: String,
    /// [`crate::judge::Place::toolchains`].
    pub toolchains: Vec<String>,
    /// When, as RFC 3339.
    pub made_at: String,
}

/// Ways on one suite with one model. Two with the same fields have the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// For people.
    pub title: String,
    /// When, as RFC 3339.
    pub made_at: String,
    /// The suite's name.
    pub suite: String,
    /// SHA-256 of the suite's file.
    pub suite_digest: Digest,
    /// Its kind.
    pub kind: Kind,
    /// Its tasks.
    pub tasks: usize,
    /// How tasks with two forms were asked.
    pub form: Form,
    /// The model's name.
    pub model: String,
    /// SHA-256 of its weights.
    pub model_digest: Digest,
    /// What names the engine's build.
    pub engine: String,
    /// The machine, in words.
    pub machine: String,
    /// The compilers and simulators that judged, with their versions.
    pub toolchains: Vec<String>,
    /// The run's seed.
    pub seed: u64,
    /// In the order in which they were added.
    pub ways: Vec<WayResult>,
    /// Each later way with the first, which is what it is to be better than.
    pub comparisons: Vec<Comparison>,
}

/// One way on all tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WayResult {
    /// [`crate::run::Way::name`].
    pub way: String,
    /// How tokens were chosen; the seed is the run's.
    pub sampling: Sampling,
    /// Answers for each task.
    pub samples: u32,
    /// Tokens of an answer at most.
    pub tokens_max: u32,
    /// Whether every answer that there should be is there and was judged.
    pub complete: bool,
    /// Tasks with an answer that was judged.
    pub judged: usize,
    /// Answers that were not judged, by the reason.
    pub not_judged: BTreeMap<String, usize>,
    /// Answers for which the way would have asked a compiler and could not, by the reason.
    pub unchecked: BTreeMap<String, usize>,
    /// The share of tasks that one answer passes, with an interval over tasks.
    pub pass_at_1: Proportion,
    /// The chance that one of k answers passes, as far as there were as many.
    pub pass_at_k: BTreeMap<u32, f64>,
    /// The share of tasks whose answer compiles, likewise.
    pub compiles: Proportion,
    /// Of a sequence while it has its turn, prompts included.
    pub tokens_per_second: f64,
    /// Tokens of all draws.
    pub tokens: u64,
    /// Draws for each answer, on average.
    pub draws: f64,
    /// Milliseconds of an answer with all its draws: the median.
    pub ms_median: u64,
    /// Likewise, that 95 % are no greater than.
    pub ms_95th: u64,
    /// For each task in the suite's order: its id, and the verdict of each of its answers.
    pub outcomes: Vec<(String, Vec<Verdict>)>,
}

/// A way and the first one on those tasks that both have one judged answer of or more: the first answers count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// The first way.
    pub first: String,
    /// The other.
    pub second: String,
    /// Tasks passed.
    pub passed: Paired,
    /// What the second adds to the share of tasks passed.
    pub passed_gain: f64,
    /// Tasks that compile.
    pub compiles: Paired,
    /// What the second adds to the share of tasks that compile.
    pub compiles_gain: f64,
}

impl Report {
    /// One without any way.
    #[must_use]
    pub fn new(suite: &Suite, settings: &Settings, facts: Facts) -> Report {
        Report {
            version: VERSION,
            title: facts.title,
            made_at: facts.made_at,
            suite: suite.name.clone(),
            suite_digest: suite.digest,
            kind: suite.kind,
            tasks: suite.tasks.len(),
            form: settings.form,
            model: facts.model,
            model_digest: settings.model,
            engine: settings.engine.clone(),
            machine: facts.machine,
            toolchains: facts.toolchains,
            seed: settings.sampling.seed,
            ways: Vec::new(),
            comparisons: Vec::new(),
        }
    }

    /// Adds what came of a run, of the same suite, model, form and seed, and compares it with the first. `ks` says for
    /// which k a pass@k is told.
    pub fn add(&mut self, suite: &Suite, settings: &Settings, ran: &Ran, ks: &[u32]) {
        let result = WayResult::of(suite, settings, ran, ks);
        if let Some(first) = self.ways.first() {
            self.comparisons.push(Comparison::of(first, &result));
        }
        self.ways.push(result);
    }

    /// The bytes that are signed.
    pub fn to_json(&self) -> Result<Vec<u8>, ReportError> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|source| ReportError::Json { source })?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads one of this version.
    pub fn from_json(bytes: &[u8]) -> Result<Report, ReportError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        if bytes.len() > REPORT_BYTES_MAX {
            return Err(ReportError::TooLong);
        }
        let json = |source| ReportError::Json { source };
        let Versioned { version } = serde_json::from_slice(bytes).map_err(json)?;
        if version != VERSION {
            return Err(ReportError::Version { version });
        }
        serde_json::from_slice(bytes).map_err(json)
    }

    /// One file for people.
    #[must_use]
    pub fn to_html(&self) -> String {
        let mut html = String::new();
        self.write_html(&mut html);
        html
    }
}

impl WayResult {
    fn of(suite: &Suite, settings: &Settings, ran: &Ran, ks: &[u32]) -> WayResult {
        let mut of_task: BTreeMap<&str, Vec<&Answer>> = BTreeMap::new();
        for answer in &ran.answers {
            of_task.entry(&answer.key.task).or_default().push(answer);
        }
        let outcomes: Vec<(String, Vec<Verdict>)> = suite
            .tasks
            .iter()
            .filter_map(|task| {
                let answers = of_task.get(task.id.as_str())?;
                Some((task.id.clone(), answers.iter().map(|answer| answer.verdict.clone()).collect()))
            })
            .collect();
        let mut not_judged = BTreeMap::new();
        let mut unchecked = BTreeMap::new();
        for answer in &ran.answers {
            if let Verdict::NotJudged { reason } = &answer.verdict {
                *not_judged.entry(reason.clone()).or_default() += 1;
            }
            if let Some(reason) = &answer.unchecked {
                *unchecked.entry(reason.clone()).or_default() += 1;
            }
        }
        // Judged, passed and compiling answers of each task that has one judged.
        let counts: Vec<(u32, u32, u32)> = outcomes
            .iter()
            .map(|(_, verdicts)| {
                let count = |is: fn(&Verdict) -> bool| {
                    u32::try_from(verdicts.iter().filter(|verdict| is(verdict)).count()).unwrap_or(u32::MAX)
                };
                (count(Verdict::is_judged), count(|one| *one == Verdict::Passed), count(Verdict::compiles))
            })
            .filter(|(judged, ..)| *judged > 0)
            .collect();
        let share = |part: u32, of: u32| f64::from(part) / f64::from(of);
        let passed: f64 = counts.iter().map(|(judged, passed, _)| share(*passed, *judged)).sum();
        let compiling: f64 = counts.iter().map(|(judged, _, compiling)| share(*compiling, *judged)).sum();
        let at_k = ks.iter().filter_map(|k| {
            let of_tasks: Option<Vec<f64>> =
                counts.iter().map(|(judged, passed, _)| pass_at_k(*judged, *passed, *k)).collect();
            let of_tasks = of_tasks.filter(|of_tasks| !of_tasks.is_empty())?;
            Some((*k, of_tasks.iter().sum::<f64>() / of_tasks.len() as f64))
        });
        // What the model did not answer took no time that is known.
        let drawn: Vec<&Answer> = ran.answers.iter().filter(|answer| answer.draws > 0).collect();
        let tokens: u64 = drawn.iter().map(|answer| answer.tokens).sum();
        let all_ms: u64 = drawn.iter().map(|answer| answer.ms).sum();
        let draws: u64 = drawn.iter().map(|answer| u64::from(answer.draws)).sum();
        let ms: Vec<u64> = drawn.iter().map(|answer| answer.ms).collect();
        WayResult {
            way: settings.way_name(),
            sampling: settings.sampling,
            samples: settings.samples.max(1),
            tokens_max: settings.tokens_max,
            complete: ran.complete && not_judged.is_empty(),
            judged: counts.len(),
            not_judged,
            unchecked,
            pass_at_1: proportion(passed, counts.len()),
            pass_at_k: at_k.collect(),
            compiles: proportion(compiling, counts.len()),
            tokens_per_second: tokens as f64 * 1000.0 / all_ms.max(1) as f64,
            tokens,
            draws: draws as f64 / drawn.len().max(1) as f64,
            ms_median: percentile(&ms, 50).unwrap_or(0),
            ms_95th: percentile(&ms, 95).unwrap_or(0),
            outcomes,
        }
    }

    /// The first judged answer of each task.
    fn firsts(&self) -> BTreeMap<&str, &Verdict> {
        let firsts = self.outcomes.iter().filter_map(|(id, verdicts)| {
            Some((id.as_str(), verdicts.iter().find(|verdict| verdict.is_judged())?))
        });
        firsts.collect()
    }
}

impl Comparison {
    fn of(first: &WayResult, second: &WayResult) -> Comparison {
        let (a, b) = (first.firsts(), second.firsts());
        let pairs: Vec<(&Verdict, &Verdict)> =
            a.iter().filter_map(|(id, verdict)| Some((*verdict, *b.get(id)?))).collect();
        let pair = |is: fn(&Verdict) -> bool| paired(pairs.iter().map(|(a, b)| (is(a), is(b))));
        let gain = |of: &Paired| (of.only_second as f64 - of.only_first as f64) / pairs.len().max(1) as f64;
        let passed = pair(|verdict| *verdict == Verdict::Passed);
        let compiles = pair(Verdict::compiles);
        Comparison {
            first: first.way.clone(),
            second: second.way.clone(),
            passed_gain: gain(&passed),
            passed,
            compiles_gain: gain(&compiles),
            compiles,
        }
    }
}

const STYLE: &str = "body{font:15px/1.45 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}\
    table{border-collapse:collapse;margin:1em 0}th,td{border:1px solid #ccc;padding:.25em .6em;text-align:left;vertical-align:top}\
    td.n{text-align:right;font-variant-numeric:tabular-nums}code{font-size:90%;word-break:break-all}.warn{background:#fff3cd;padding:.5em 1em}";

/// Pixels of the chart.
const LABEL_WIDTH: usize = 190;
const BAR_WIDTH: f64 = 420.0;
const ROW_HEIGHT: usize = 44;

impl Report {
    fn write_html(&self, html: &mut String) {
        // Writing to a String does not fail.
        let _ = write!(
            html,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
             <title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n<table>\n",
            title = escape(&self.title)
        );
        let facts: [(&str, String); 11] = [
            ("Suite", format!("{} ({} tasks)", self.suite, self.tasks)),
            ("Digest of the suite", self.suite_digest.to_string()),
            ("Kind of tasks", word(&self.kind)),
            ("Form of questions", word(&self.form)),
            ("Model", self.model.clone()),
            ("Digest of the model", self.model_digest.to_string()),
            ("Engine", self.engine.clone()),
            ("Machine", self.machine.clone()),
            ("Toolchains", self.toolchains.join("; ")),
            ("Seed", self.seed.to_string()),
            ("Made", self.made_at.clone()),
        ];
        for (name, value) in facts {
            let _ = writeln!(html, "<tr><th>{name}</th><td><code>{}</code></td></tr>", escape(&value));
        }
        html.push_str("</table>\n");
        for way in self.ways.iter().filter(|way| !way.complete) {
            let reasons: String = way
                .not_judged
                .iter()
                .map(|(reason, count)| format!("; {count} not judged: {}", escape(reason)))
                .collect();
            let _ = writeln!(
                html,
                "<p class=\"warn\">{}: not complete, {} of {} tasks judged{reasons}.</p>",
                escape(&way.way),
                way.judged,
                self.tasks
            );
        }
        for way in &self.ways {
            for (reason, count) in &way.unchecked {
                let _ = writeln!(
                    html,
                    "<p class=\"warn\">{}: {count} answers were chosen without a compiler: {}.</p>",
                    escape(&way.way),
                    escape(reason)
                );
            }
        }
        self.write_chart(html);
        self.write_ways(html);
        self.write_comparisons(html);
        self.write_outcomes(html);
        html.push_str("</body></html>\n");
    }

    fn write_chart(&self, html: &mut String) {
        let height = self.ways.len() * ROW_HEIGHT + 30;
        let width = LABEL_WIDTH as f64 + BAR_WIDTH + 70.0;
        let _ = writeln!(
            html,
            "<h2>Passed (dark) and compiled (light), with 95 % intervals</h2>\n\
             <svg role=\"img\" aria-label=\"Shares of tasks passed and compiled\" width=\"{width}\" height=\"{height}\" \
             font-family=\"sans-serif\" font-size=\"13\">"
        );
        for (row, way) in self.ways.iter().enumerate() {
            let y = row * ROW_HEIGHT;
            let label: String = way.way.chars().take(26).collect();
            let _ = writeln!(html, "<text x=\"0\" y=\"{}\">{}</text>", y + 20, escape(&label));
            write_bar(html, y + 4, &way.pass_at_1, "#1f5a96");
            write_bar(html, y + 21, &way.compiles, "#a9c9e8");
        }
        let axis = self.ways.len() * ROW_HEIGHT;
        for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let x = LABEL_WIDTH as f64 + tick * BAR_WIDTH;
            let _ = writeln!(
                html,
                "<line x1=\"{x}\" x2=\"{x}\" y1=\"0\" y2=\"{axis}\" stroke=\"#ddd\"/>\
                 <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{} %</text>",
                axis + 18,
                tick * 100.0
            );
        }
        html.push_str("</svg>\n");
    }

    fn write_ways(&self, html: &mut String) {
        html.push_str(
            "<table>\n<tr><th>Way</th><th>Judged</th><th>pass@1</th><th>pass@k</th><th>Compiles</th><th>Draws</th>\
             <th>Tokens/s</th><th>Median, 95th (ms)</th><th>Sampling</th></tr>\n",
        );
        for way in &self.ways {
            let at_k: Vec<String> =
                way.pass_at_k.iter().map(|(k, value)| format!("@{k}: {}", percent(*value))).collect();
            let sampling = &way.sampling;
            let _ = writeln!(
                html,
                "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td><td class=\"n\">{}</td>\
                 <td class=\"n\">{:.2}</td><td class=\"n\">{:.1}</td><td class=\"n\">{}, {}</td>\
                 <td>{} a task, temperature {}, top-k {}, top-p {}, min-p {}, at most {} tokens</td></tr>",
                escape(&way.way),
                way.judged,
                with_interval(&way.pass_at_1),
                at_k.join(", "),
                with_interval(&way.compiles),
                way.draws,
                way.tokens_per_second,
                way.ms_median,
                way.ms_95th,
                way.samples,
                sampling.temperature,
                sampling.top_k,
                sampling.top_p,
                sampling.min_p,
                way.tokens_max,
            );
        }
        html.push_str("</table>\n");
    }

    fn write_comparisons(&self, html: &mut String) {
        if self.comparisons.is_empty() {
            return;
        }
        html.push_str(
            "<h2>Gains, on the same tasks</h2>\n<table>\n<tr><th>Ways</th><th>Of</th><th>Gain</th><th>Only the first</th>\
             <th>Only the second</th><th>p (McNemar, exact)</th></tr>\n",
        );
        for comparison in &self.comparisons {
            let rows = [
                ("passed", comparison.passed_gain, &comparison.passed),
                ("compiles", comparison.compiles_gain, &comparison.compiles),
            ];
            for (of, gain, paired) in rows {
                let _ = writeln!(
                    html,
                    "<tr><td>{} → {}</td><td>{of}</td><td class=\"n\">{:+.1} points</td><td class=\"n\">{}</td>\
                     <td class=\"n\">{}</td><td class=\"n\">{:.4}</td></tr>",
                    escape(&comparison.first),
                    escape(&comparison.second),
                    gain * 100.0,
                    paired.only_first,
                    paired.only_second,
                    paired.p
                );
            }
        }
        html.push_str("</table>\n");
    }

    fn write_outcomes(&self, html: &mut String) {
        for way in &self.ways {
            let _ = writeln!(
                html,
                "<details><summary>Tasks, {}</summary>\n<table>\n<tr><th>Task</th><th>Verdicts</th></tr>",
                escape(&way.way)
            );
            for (id, verdicts) in &way.outcomes {
                let said: Vec<String> = verdicts.iter().map(|verdict| escape(&in_words(verdict))).collect();
                let _ = writeln!(html, "<tr><td>{}</td><td>{}</td></tr>", escape(id), said.join("<br>"));
            }
            html.push_str("</table></details>\n");
        }
    }
}

fn write_bar(html: &mut String, y: usize, share: &Proportion, colour: &str) {
    let x = |value: f64| LABEL_WIDTH as f64 + value.clamp(0.0, 1.0) * BAR_WIDTH;
    let middle = y + 7;
    let (low, high) = (x(share.low), x(share.high));
    let _ = writeln!(
        html,
        "<rect x=\"{LABEL_WIDTH}\" y=\"{y}\" width=\"{:.1}\" height=\"14\" fill=\"{colour}\"/>\
         <path d=\"M{low:.1} {middle}H{high:.1}M{low:.1} {}v8M{high:.1} {}v8\" stroke=\"#d9480f\" fill=\"none\"/>\
         <text x=\"{:.1}\" y=\"{}\">{}</text>",
        x(share.value) - LABEL_WIDTH as f64,
        middle - 4,
        middle - 4,
        high + 6.0,
        y + 12,
        percent(share.value)
    );
}

fn in_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Passed => "passed".to_owned(),
        Verdict::Failed { reason } => format!("failed: {reason}"),
        Verdict::DoesNotCompile { diagnostic } => format!("does not compile: {diagnostic}"),
        Verdict::TimedOut => "did not end in its time".to_owned(),
        Verdict::NotJudged { reason } => format!("not judged: {reason}"),
    }
}

fn percent(value: f64) -> String {
    format!("{:.1} %", value * 100.0)
}

fn with_interval(share: &Proportion) -> String {
    format!("{} ({:.1} to {:.1})", percent(share.value), share.low * 100.0, share.high * 100.0)
}

/// The word that JSON has for it.
fn word<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|value| Some(value.as_str()?.to_owned())).unwrap_or_default()
}

/// For text and for attributes in quotes. Control characters, which HTML does not allow, are shown as their picture.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(' '),
            other if other.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Why a report cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// It is no report.
    #[error("not a report of a qualification")]
    Json {
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// Another version.
    #[error("the report has version {version}; this program reads {VERSION}")]
    Version {
        /// Its version.
        version: u32,
    },
    /// More than [`REPORT_BYTES_MAX`].
    #[error("a report has at most {REPORT_BYTES_MAX} bytes")]
    TooLong,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{answers::Key, run::Way};

    const HOSTILE: &str = "<script>alert(\"1\")</script>&'\u{7}";

    fn suite() -> Suite {
        let line = |id: &str| {
            serde_json::json!({"id": id, "language": "ada", "file_name": "p.adb", "prefix": "", "suffix": ""})
                .to_string()
        };
        Suite::parse(HOSTILE, [line("a"), line("b"), line("<b>")].join("\n").as_bytes()).unwrap()
    }

    fn settings(way: Way, samples: u32) -> Settings {
        Settings {
            form: Form::Completion,
            way,
            syntax: false,
            sampling: Sampling { seed: u64::MAX, temperature: 0.2, ..Sampling::GREEDY },
            samples,
            tokens_max: 8,
            model: Digest([3; 32]),
            engine: HOSTILE.to_owned(),
            slots: 1,
            judges: 1,
        }
    }

    fn ran(verdicts: &[(&str, Verdict)], complete: bool) -> Ran {
        let answers = verdicts.iter().zip(0..).map(|((task, verdict), seed)| Answer {
            key: Key {
                task: (*task).to_owned(),
                suite: Digest([1; 32]),
                model: Digest([3; 32]),
                engine: String::new(),
                form: "fill".to_owned(),
                sampling: Sampling { seed, ..Sampling::GREEDY },
                tokens_max: 8,
                way: String::new(),
            },
            text: String::new(),
            verdict: verdict.clone(),
            draws: 1,
            tokens: 10,
            ms: 100 * (seed + 1),
            errors: None,
            unchecked: None,
        });
        Ran { answers: answers.collect(), complete }
    }

    fn report() -> Report {
        let failed = || Verdict::Failed { reason: HOSTILE.to_owned() };
        let illegal = || Verdict::DoesNotCompile { diagnostic: HOSTILE.to_owned() };
        let lost = || Verdict::NotJudged { reason: HOSTILE.to_owned() };
        let facts = Facts {
            title: HOSTILE.to_owned(),
            model: HOSTILE.to_owned(),
            machine: HOSTILE.to_owned(),
            toolchains: vec![HOSTILE.to_owned()],
            made_at: HOSTILE.to_owned(),
        };
        let mut report = Report::new(&suite(), &settings(Way::Plain, 2), facts);
        let plain = [
            ("a", Verdict::Passed),
            ("a", failed()),
            ("b", illegal()),
            ("b", illegal()),
            ("<b>", lost()),
            ("<b>", lost()),
        ];
        report.add(&suite(), &settings(Way::Plain, 2), &ran(&plain, true), &[1, 2, 3]);
        let best = [("a", Verdict::Passed), ("b", Verdict::TimedOut), ("<b>", Verdict::Passed)];
        let way = Way::BestOf { n: 4, temperature: 0.6 };
        report.add(&suite(), &settings(way, 1), &ran(&best, true), &[1]);
        report
    }

    #[test]
    fn numbers_are_those_of_the_answers() {
        let report = report();
        let plain = &report.ways[0];
        assert_eq!((plain.judged, plain.complete), (2, false));
        assert_eq!(plain.not_judged, BTreeMap::from([(HOSTILE.to_owned(), 2)]));
        assert_eq!((plain.pass_at_1.value, plain.compiles.value), (0.25, 0.5));
        assert_eq!(plain.pass_at_k, BTreeMap::from([(1, 0.25), (2, 0.5)]));
        assert_eq!((plain.tokens, plain.ms_median, plain.ms_95th), (60, 300, 600));
        assert!((plain.tokens_per_second - 60.0 / 2.1).abs() < 1e-9);
        // Only tasks with judged answers of both: `a` and `b`.
        let comparison = &report.comparisons[0];
        assert_eq!((comparison.passed.both, comparison.passed.neither, comparison.passed_gain), (1, 1, 0.0));
        assert_eq!((comparison.compiles.only_second, comparison.compiles_gain), (1, 0.5));
        assert!(report.ways[1].complete);
    }

    #[test]
    fn json_is_read_as_it_was_written_and_other_versions_are_refused() {
        let report = report();
        let bytes = report.to_json().unwrap();
        assert_eq!(Report::from_json(&bytes).unwrap(), report);
        assert_eq!(Report::from_json(&bytes).unwrap().to_json().unwrap(), bytes);
        let other = String::from_utf8(bytes).unwrap().replacen("\"version\": 1", "\"version\": 2", 1);
        assert!(matches!(Report::from_json(other.as_bytes()), Err(ReportError::Version { version: 2 })));
        assert!(matches!(Report::from_json(b"{}"), Err(ReportError::Json { .. })));
    }

    #[test]
    fn html_holds_no_foreign_markup_and_names_nothing_outside() {
        let html = report().to_html();
        assert!(!html.contains("<script") && !html.contains("<b>") && !html.contains('\u{7}'));
        assert!(html.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;\u{fffd}"));
        for outside in ["http:", "https:", "src=", "href=", "url(", "@import", "<link", "<iframe"] {
            assert!(!html.contains(outside), "{outside}");
        }
        for expected in ["<svg", "not complete, 2 of 3 tasks judged", "&lt;b&gt;", "25.0 % (", "+50.0 points"]
        {
            assert!(html.contains(expected), "{expected}");
        }
    }
}
