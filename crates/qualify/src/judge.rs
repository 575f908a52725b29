//! Whether an answer passes: it is compiled and run with the suite's tests, in jails of its own.
//!
//! What a task's program wrote, and how it ended, is a stranger's. So a program's own exit does not make it pass where it
//! could end before its tests do (Ada, Python): behind the tests a line is written that depends on the answer, and that
//! line has to come. A program that reads its own source could still forge it; nothing here guards against a model that
//! was made to deceive this judge.

use std::path::{Path, PathBuf};

use jail::{
    spawn::Exit,
    tool::{End, Launcher, Limits, Outcome},
};
use languages::{Language, Project, Rules, Severity, Unit};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    check::{self, NotRun},
    suite::{Ada, Body, Form, General, Infilling, Kind, SourceUnit, Suite, Task, Vhdl},
    tool::{Run, Scratch, first_line, need, plain, succeeded, with_causes},
};

/// What each of an answer's runs may use, if a caller does not say otherwise.
pub const LIMITS: Limits = Limits {
    wall_ms_max: 20_000,
    cpu_s_max: 30,
    memory_bytes_max: 4 << 30,
    file_bytes_max: 64 << 20,
    open_files_max: 256,
    processes_max: 64,
    output_bytes_max: 1 << 20,
};

/// What an answer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict", deny_unknown_fields)]
pub enum Verdict {
    /// It does what the tests ask.
    Passed,
    /// It compiles and does not.
    Failed {
        /// What was seen, on one line.
        reason: String,
    },
    /// It is not legal.
    DoesNotCompile {
        /// The first thing the compiler said.
        diagnostic: String,
    },
    /// It did not end in its time.
    TimedOut,
    /// Nothing can be said of the answer; a fault of this machine's or of the model's service.
    NotJudged {
        /// Why, on one line.
        reason: String,
    },
}

impl Verdict {
    /// Whether the answer was legal, as far as it was judged.
    #[must_use]
    pub fn compiles(&self) -> bool {
        matches!(self, Verdict::Passed | Verdict::Failed { .. } | Verdict::TimedOut)
    }

    /// Whether it says something about the answer.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        !matches!(self, Verdict::NotJudged { .. })
    }

    fn failed(reason: impl Into<String>) -> Verdict {
        Verdict::Failed { reason: reason.into() }
    }
}

/// A unit as a checker sees it.
fn checked<'a>(unit: &'a SourceUnit, project: &'a Project, rules: &'a Rules) -> Unit<'a> {
    Unit { language: unit.language, file_name: Some(&unit.file_name), text: &unit.text, project, rules }
}

/// Where and how tools are run.
#[derive(Clone, Debug)]
pub struct Place {
    /// The caller's own program as the launcher of tools.
    pub launcher: Launcher<'static>,
    /// A directory in which each run has a folder of its own while it lasts.
    pub scratch_root: PathBuf,
    /// What each of an answer's runs may use.
    pub limits: Limits,
}

impl Place {
    /// With [`LIMITS`].
    #[must_use]
    pub fn new(launcher: Launcher<'static>, scratch_root: &Path) -> Place {
        Place { launcher, scratch_root: scratch_root.to_owned(), limits: LIMITS }
    }

    /// Compiles an answer to a task, runs it with the tests, and says what it is. Waits for at most two
    /// runs.
    #[must_use]
    pub fn judge(&self, task: &Task, form: Form, answer: &str) -> Verdict {
        let unit = task.unit(form, answer);
        let verdict = match &task.body {
            Body::Ada(ada) => self.ada(ada, &unit),
            Body::Vhdl(vhdl) => self.vhdl(vhdl, &unit),
            Body::Infilling(infilling) => self.python(infilling, &unit),
            Body::General(general) if general.build.is_empty() => self.by_its_checker(&unit),
            Body::General(general) => self.general(general, &unit),
            Body::Probe(probe) => Ok(probe.judge(answer)),
        };
        verdict.unwrap_or_else(|not_run| match not_run {
            NotRun::TimedOut { .. } => Verdict::TimedOut,
            not_run => Verdict::NotJudged { reason: with_causes(&not_run) },
        })
    }

    /// What the site's own compiler says of a unit, with its project's files beside it: no tests are seen.
    pub fn opinion(&self, unit: &SourceUnit) -> Result<Vec<languages::Diagnostic>, NotRun> {
        self.beside_its_files(unit, |unit| check::opinion(&self.launcher, &self.scratch_root, unit))
    }

    /// How a unit behaves, likewise.
    pub fn behaviour(&self, unit: &SourceUnit) -> Result<Vec<languages::Diagnostic>, NotRun> {
        self.beside_its_files(unit, |unit| check::behaviour(&self.launcher, &self.scratch_root, unit))
    }

    fn beside_its_files<T>(
        &self,
        unit: &SourceUnit,
        what: impl FnOnce(&Unit<'_>) -> Result<T, NotRun>,
    ) -> Result<T, NotRun> {
        let files = if unit.files.is_empty() { None } else { Some(Scratch::new(&self.scratch_root)?) };
        let mut project = Project::default();
        if let Some(files) = &files {
            for (name, text) in &unit.files {
                files.write(name, text)?;
                let path = files.path().join(name);
                project.directories.extend(path.parent().map(Path::to_owned));
            }
            project.directories.sort_unstable();
            project.directories.dedup();
        }
        let rules = Rules::default();
        if let Some(declared) = Language::declared_in(&checked(unit, &project, &rules)) {
            let is_it = |(name, _): &&(String, String)| name.rsplit('/').next() == Some(declared.as_str());
            project.specification = unit.files.iter().find(is_it).map(|(_, text)| text.clone());
        }
        what(&checked(unit, &project, &rules))
    }

    /// What the toolchains that judge a suite say of their versions, for a report: `gnatmake: GNATMAKE 12.2.0`, or why not.
    #[must_use]
    pub fn toolchains(&self, suite: &Suite) -> Vec<String> {
        let programs: Vec<(&str, Vec<&str>)> = match suite.kind {
            Kind::Ada => vec![("gnatmake", vec!["--version"])],
            Kind::Vhdl => vec![("ghdl", vec!["--version"]), ("iverilog", vec!["-V"])],
            Kind::Infilling => vec![("python3", vec!["--version"])],
            Kind::Probe => Vec::new(),
            Kind::General => {
                let checkers = suite.tasks.first().map(|task| task.language().checkers()).unwrap_or_default();
                let first = checkers.first();
                first
                    .and_then(|one| Some((*one.programs.first()?, one.version.to_vec())))
                    .into_iter()
                    .collect()
            }
        };
        let version = |(program, arguments): (&str, Vec<&str>)| {
            let said = Scratch::new(&self.scratch_root)
                .and_then(|scratch| self.step(&scratch, program, &arguments, false));
            match said {
                Ok(outcome) => format!("{program}: {}", first_line(&[&outcome.stdout, &outcome.stderr])),
                Err(not_run) => with_causes(&not_run),
            }
        };
        programs.into_iter().map(version).collect()
    }

    fn ada(&self, ada: &Ada, unit: &SourceUnit) -> Result<Verdict, NotRun> {
        need(&["gnatchop", "gnatmake", "gcc"], "gnat")?;
        let ends = last_line(unit);
        let scratch = Scratch::new(&self.scratch_root)?;
        let program = format!(
            "{}{}\nwith Main;\nwith Ada.Text_IO;\nprocedure Judged is\nbegin\n   Main;\n   Ada.Text_IO.Put_Line (\"{ends}\");\nend Judged;\n",
            unit.text,
            ada.tests()
        );
        scratch.write("answer.ada", &program)?;
        let script = "gnatchop -q -w answer.ada && gnatmake -q -gnata -gnat2022 -gnatws judged.adb";
        let built = self.step(&scratch, "sh", &["-c", script], false)?;
        if let Some(verdict) = not_built(&built) {
            return Ok(verdict);
        }
        Ok(tested(&self.step(&scratch, "./judged", &[], true)?, &ends))
    }

    fn python(&self, infilling: &Infilling, unit: &SourceUnit) -> Result<Verdict, NotRun> {
        need(&["python3"], "python3")?;
        let ends = last_line(unit);
        let scratch = Scratch::new(&self.scratch_root)?;
        let program = format!(
            "{}\n{}\ncheck({})\nprint(\"{ends}\")\n",
            unit.text, infilling.test, infilling.entry_point
        );
        scratch.write("answer.py", &unit.text)?;
        scratch.write("program.py", &program)?;
        let parse = "import ast, sys\ntry:\n    ast.parse(open('answer.py', encoding='utf-8').read(), 'answer.py')\n\
                     except (SyntaxError, ValueError) as error:\n    sys.exit(f'{type(error).__name__}: {error}')\n";
        let parsed = self.step(&scratch, "python3", &["-I", "-c", parse], false)?;
        if let Some(verdict) = not_built(&parsed) {
            return Ok(verdict);
        }
        Ok(tested(&self.step(&scratch, "python3", &["-I", "-B", "program.py"], false)?, &ends))
    }

    fn vhdl(&self, vhdl: &Vhdl, unit: &SourceUnit) -> Result<Verdict, NotRun> {
        need(&["ghdl"], "ghdl")?;
        need(&["iverilog", "vvp"], "iverilog")?;
        let scratch = Scratch::new(&self.scratch_root)?;
        scratch.write("answer.vhd", &unit.text)?;
        scratch.write("wrapper.v", &vhdl.verilog_wrapper)?;
        scratch.write("testbench.sv", &vhdl.testbench_verilog)?;
        scratch.write("reference.sv", &vhdl.reference_verilog)?;
        let analysed = self.step(&scratch, "ghdl", &["-a", "--std=08", "answer.vhd"], false)?;
        if let Some(verdict) = not_built(&analysed) {
            return Ok(verdict);
        }
        // Nothing of the answer's runs before the last step, so the codes are the script's own. GHDL writes the ports of
        // the top as the source spells them, and the wrapper has them in lower case; VHDL does not tell these apart.
        let script = r"
            ghdl --synth --std=08 --out=verilog TopModule > synthesized.v || exit 91
            tr A-Z a-z < synthesized.v | sed -E 's/\bmodule +topmodule\b/module vhdl_top/' > answer.v || exit 92
            cat wrapper.v >> answer.v || exit 92
            iverilog -g2012 -s tb -o simulation answer.v testbench.sv reference.sv || exit 93
            exec vvp -n simulation
        ";
        let simulated = self.step(&scratch, "sh", &["-c", script], false)?;
        let said = String::from_utf8_lossy(&simulated.stdout.bytes);
        let found = said.lines().find(|line| line.starts_with("Mismatches: "));
        let doubt = match vhdl.roundtrip.as_str() {
            "ok" => String::new(),
            other => format!(" (the reference itself does not survive the conversion: {other})"),
        };
        let words = first_line(&[&simulated.stderr]);
        Ok(match (simulated.end, found) {
            (End::TimedOut, _) => Verdict::TimedOut,
            (End::Exited(Exit::Code(91)), _) => {
                Verdict::failed(format!("does not synthesize: {words}{doubt}"))
            }
            (End::Exited(Exit::Code(92)), _) => {
                Verdict::NotJudged { reason: format!("cannot convert: {words}") }
            }
            (End::Exited(Exit::Code(93)), _) => {
                Verdict::failed(format!("does not fit the test bench: {words}{doubt}"))
            }
            (End::Exited(Exit::Code(0)), Some(line)) if line.starts_with("Mismatches: 0 in ") => {
                Verdict::Passed
            }
            (_, Some(line)) => Verdict::failed(plain(line) + &doubt),
            (end, None) => Verdict::failed(format!("the simulation {}{doubt}", ended(end))),
        })
    }

    fn by_its_checker(&self, unit: &SourceUnit) -> Result<Verdict, NotRun> {
        let diagnostics = self.opinion(unit)?;
        Ok(match diagnostics.iter().find(|diagnostic| diagnostic.severity == Severity::Error) {
            Some(error) => Verdict::DoesNotCompile { diagnostic: plain(&error.message) },
            None => Verdict::Passed,
        })
    }

    fn general(&self, general: &General, unit: &SourceUnit) -> Result<Verdict, NotRun> {
        let scratch = Scratch::new(&self.scratch_root)?;
        for file in &general.files {
            scratch.write(&file.name, &file.text)?;
        }
        scratch.write(&general.file_name, &unit.text)?;
        let built = self.command(&scratch, &general.build)?;
        if let Some(verdict) = not_built(&built) {
            return Ok(verdict);
        }
        let Some(run) = &general.run else { return Ok(Verdict::Passed) };
        let outcome = self.command(&scratch, run)?;
        if outcome.end == End::TimedOut {
            return Ok(Verdict::TimedOut);
        }
        if !succeeded(&outcome) {
            return Ok(Verdict::failed(how_it_failed(&outcome)));
        }
        let written = String::from_utf8_lossy(&outcome.stdout.bytes);
        Ok(match &general.expect_stdout {
            Some(_) if outcome.stdout.cut => Verdict::failed("it writes too much"),
            Some(expected) if expected.trim_end() != written.trim_end() => {
                Verdict::failed(format!("it writes something else: {}", first_line(&[&outcome.stdout])))
            }
            _ => Verdict::Passed,
        })
    }

    fn command(&self, scratch: &Scratch, words: &[String]) -> Result<Outcome, NotRun> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (program, arguments) = words.split_first().unwrap_or((&"true", &[]));
        self.step(scratch, program, arguments, true)
    }

    fn step(
        &self,
        scratch: &Scratch,
        program: &str,
        arguments: &[&str],
        executes: bool,
    ) -> Result<Outcome, NotRun> {
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        scratch.run(
            &self.launcher,
            &Run { program, arguments: &arguments, executes, read_only: &[], limits: self.limits },
        )
    }
}

/// What is written behind the tests: the answer cannot hold it, since it is a digest of the answer.
fn last_line(unit: &SourceUnit) -> String {
    format!("judged {}", protocol::digest::hex(Sha256::digest(unit.text.as_bytes()).as_slice()))
}

fn not_built(outcome: &Outcome) -> Option<Verdict> {
    match outcome.end {
        End::TimedOut => Some(Verdict::TimedOut),
        _ if succeeded(outcome) => None,
        _ => {
            let said = String::from_utf8_lossy(&outcome.stderr.bytes);
            // Some tell warnings, or where they are, before the error.
            let error = said.lines().find(|line| line.contains("error") || line.contains("Error")).map(plain);
            let diagnostic = error.unwrap_or_else(|| first_line(&[&outcome.stderr, &outcome.stdout]));
            let diagnostic = if diagnostic.is_empty() { ended(outcome.end) } else { diagnostic };
            Some(Verdict::DoesNotCompile { diagnostic })
        }
    }
}

/// Of a program that writes `ends` behind its tests.
fn tested(outcome: &Outcome, ends: &str) -> Verdict {
    match outcome.end {
        End::TimedOut => Verdict::TimedOut,
        _ if !succeeded(outcome) => Verdict::failed(how_it_failed(outcome)),
        _ if outcome.stdout.cut => Verdict::failed("it writes too much"),
        _ if String::from_utf8_lossy(&outcome.stdout.bytes).trim_end().ends_with(ends) => Verdict::Passed,
        _ => Verdict::failed("it ended before its tests did"),
    }
}

/// What tells most: the last line of a traceback, the first of anything else.
fn how_it_failed(outcome: &Outcome) -> String {
    let said = String::from_utf8_lossy(&outcome.stderr.bytes);
    let words = if said.starts_with("Traceback") {
        said.lines().rfind(|line| !line.trim().is_empty()).map(plain).unwrap_or_default()
    } else {
        first_line(&[&outcome.stderr])
    };
    if words.is_empty() { format!("it {}", ended(outcome.end)) } else { words }
}

fn ended(end: End) -> String {
    match end {
        End::TimedOut => "did not end in its time".to_owned(),
        End::Exited(Exit::Code(code)) => format!("ended with status {code}"),
        End::Exited(Exit::Signal(signal)) => format!("was ended by signal {signal}"),
    }
}

/// Programs that judging a language's tasks needs, which a caller may look for before a long run: what is missing.
#[must_use]
pub fn missing(tasks: &[Task]) -> Option<String> {
    let needs: &[(&[&str], &str)] = match tasks.first().map(|task| &task.body)? {
        Body::Ada(_) => &[(&["gnatchop", "gnatmake", "gcc"], "gnat")],
        Body::Vhdl(_) => &[(&["ghdl"], "ghdl"), (&["iverilog", "vvp"], "iverilog")],
        Body::Infilling(_) => &[(&["python3"], "python3")],
        Body::General(_) | Body::Probe(_) => &[],
    };
    needs.iter().find_map(|(programs, package)| need(programs, package).err()).map(|error| error.to_string())
}
