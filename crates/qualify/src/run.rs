//! Drives a model through a suite in one way, a bounded number of tasks at once, and goes on where a run ended.
//!
//! A way is a [`Procedure`] for each task: a state machine without I/O that says what is to be done next and hears what
//! came of it. Two are here, plain and best of n; others come in as [`Way::Other`].

use std::{collections::BTreeMap, fmt, future::Future, sync::Arc};

use languages::{Diagnostic, Language, Severity};
use protocol::{Digest, worker::Sampling};
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::{Semaphore, watch},
    task::{JoinError, JoinSet},
};

use crate::{
    answers::{Answer, Answers, AnswersError, Key},
    judge::{Place, Verdict},
    suite::{Form, Question, Suite, Task},
    tool::with_causes,
};

/// Added to a way's name where answers are held to a syntax.
const SYNTAX: &str = "+syntax";
/// Steps of a procedure for one task.
pub const STEPS_MAX: usize = 256;
/// So many tasks in a row without an answer of the model's end a run: it is gone.
pub const UNANSWERED_MAX: u32 = 32;

/// What answers questions. Closures that return a future are models.
pub trait Model: Send + Sync + 'static {
    /// One answer of at most `tokens_max` tokens, held to a language's syntax where the engine knows it; an error says why
    /// there is none.
    fn draw(
        &self,
        question: Question,
        sampling: Sampling,
        tokens_max: u32,
        syntax: Option<Language>,
    ) -> impl Future<Output = Result<Drawn, String>> + Send;
}

impl<F, A> Model for F
where
    F: Fn(Question, Sampling, u32, Option<Language>) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Drawn, String>> + Send,
{
    fn draw(
        &self,
        question: Question,
        sampling: Sampling,
        tokens_max: u32,
        syntax: Option<Language>,
    ) -> impl Future<Output = Result<Drawn, String>> + Send {
        self(question, sampling, tokens_max, syntax)
    }
}

/// What a model answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drawn {
    /// The text.
    pub text: String,
    /// Its tokens.
    pub tokens: u32,
    /// Milliseconds for the prompt and the answer, without waiting for a turn.
    pub ms: u64,
}

/// How a task is answered.
#[derive(Clone)]
pub enum Way {
    /// The first answer.
    Plain,
    /// The first answer whose unit the compiler finds no error in, else the first of those with fewest errors. The first is
    /// drawn as a plain one would be; so whatever compiles plainly stays as it is.
    BestOf {
        /// Answers at most, from 1.
        n: u32,
        /// With which those after the first are drawn.
        temperature: f32,
    },
    /// Somebody else's.
    Other(Arc<dyn Method>),
}

/// A way that is made elsewhere, such as repair.
pub trait Method: Send + Sync + 'static {
    /// Its name with all that its answers depend on: `repair-2@0.2`. A part of [`Key`].
    fn name(&self) -> String;

    /// For one task.
    fn begin(&self, task: &Task, form: Form, draws: Draws) -> Box<dyn Procedure>;
}

/// The state of one task.
pub trait Procedure: Send {
    /// What to do next, after what came of the step before.
    fn next(&mut self, heard: Heard<'_>) -> Step;
}

/// What came of a step.
#[derive(Debug)]
pub enum Heard<'a> {
    /// There was none: begin.
    Nothing,
    /// [`Step::Draw`]: the answer.
    Drawn(&'a Drawn),
    /// [`Step::Check`] or [`Step::Drive`]: what was said, or why nothing.
    Opinion(Result<&'a [Diagnostic], &'a str>),
}

/// What is done next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Asks the model.
    Draw {
        /// What.
        question: Question,
        /// How.
        sampling: Sampling,
        /// Tokens of the answer at most; the run's where there are none.
        tokens_max: Option<u32>,
    },
    /// Asks the compiler about the unit of an answer.
    Check {
        /// The answer.
        answer: String,
    },
    /// Has the unit of an answer driven, to see how it behaves.
    Drive {
        /// The answer.
        answer: String,
    },
    /// Ends.
    Done {
        /// What is judged.
        answer: String,
    },
}

/// How the candidates of one sample of a task are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draws {
    sampling: Sampling,
    seed: SampleSeed,
}

/// Of the run's seed, the task and the sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SampleSeed([u8; 32]);

impl Draws {
    /// Of one sample of a task. The seed of `run` is the run's.
    #[must_use]
    pub fn new(run: Sampling, task: &str, sample: u32) -> Draws {
        let mut hash = Sha256::new();
        hash.update(b"cloister qualify seed\0");
        hash.update(run.seed.to_le_bytes());
        hash.update(sample.to_le_bytes());
        hash.update(task.as_bytes());
        Draws { sampling: run, seed: SampleSeed(hash.finalize().into()) }
    }

    /// As the run has it, with the seed of one candidate: a function of the run's seed, the task's id, the sample and the
    /// candidate, which counts from 0.
    #[must_use]
    pub fn candidate(&self, candidate: u32) -> Sampling {
        let hash = Sha256::new().chain_update(self.seed.0).chain_update(candidate.to_le_bytes()).finalize();
        let mut seed = [0; 8];
        seed.copy_from_slice(&hash[..8]);
        Sampling { seed: u64::from_le_bytes(seed), ..self.sampling }
    }
}

impl Way {
    /// Its name with all that its answers depend on.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Way::Plain => "plain".to_owned(),
            Way::BestOf { n, temperature } => format!("best-of-{n}@{temperature}"),
            Way::Other(method) => method.name(),
        }
    }

    fn begin(&self, task: &Task, form: Form, draws: Draws) -> Box<dyn Procedure> {
        let best_of = |n, temperature| {
            Box::new(BestOf {
                question: task.question(form),
                draws,
                n,
                temperature,
                drawn: 0,
                answer: String::new(),
                best: None,
            })
        };
        match self {
            Way::Plain => best_of(1, 0.0),
            Way::BestOf { n, temperature } => best_of((*n).max(1), *temperature),
            Way::Other(method) => method.begin(task, form, draws),
        }
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// Plain, too: the best of one is not checked.
struct BestOf {
    question: Question,
    draws: Draws,
    n: u32,
    temperature: f32,
    drawn: u32,
    /// The newest.
    answer: String,
    /// The best with its errors.
    best: Option<(usize, String)>,
}

impl Procedure for BestOf {
    fn next(&mut self, heard: Heard<'_>) -> Step {
        match heard {
            Heard::Nothing => {}
            Heard::Drawn(drawn) if self.n == 1 => return Step::Done { answer: drawn.text.clone() },
            Heard::Drawn(drawn) => {
                self.answer.clone_from(&drawn.text);
                return Step::Check { answer: drawn.text.clone() };
            }
            // Without a compiler no candidate is better than the first.
            Heard::Opinion(Err(_)) => {
                let answer =
                    self.best.take().map_or_else(|| std::mem::take(&mut self.answer), |(_, best)| best);
                return Step::Done { answer };
            }
            Heard::Opinion(Ok(diagnostics)) => {
                let errors = errors(diagnostics);
                if self.best.as_ref().is_none_or(|(fewest, _)| errors < *fewest) {
                    self.best = Some((errors, std::mem::take(&mut self.answer)));
                }
                if errors == 0 || self.drawn >= self.n {
                    return Step::Done { answer: self.best.take().map(|(_, best)| best).unwrap_or_default() };
                }
            }
        }
        let mut sampling = self.draws.candidate(self.drawn);
        if self.drawn > 0 {
            sampling.temperature = self.temperature;
        }
        self.drawn += 1;
        Step::Draw { question: self.question.clone(), sampling, tokens_max: None }
    }
}

/// How many of them are errors.
fn errors(diagnostics: &[Diagnostic]) -> usize {
    diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
}

/// What a run is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How tasks with two forms are asked.
    pub form: Form,
    /// How they are answered.
    pub way: Way,
    /// Whether answers are held to the syntax of the task's language.
    pub syntax: bool,
    /// How tokens are chosen; its seed is the run's.
    pub sampling: Sampling,
    /// Answers that are judged for each task, from 1: pass@k needs at least k, and a temperature.
    pub samples: u32,
    /// Tokens of an answer at most.
    pub tokens_max: u32,
    /// SHA-256 of the model's weights.
    pub model: Digest,
    /// What names the engine's build, such as the digest of its program.
    pub engine: String,
    /// Questions that the model has at once.
    pub slots: usize,
    /// Compilers and tests that run at once: the machine's cores.
    pub judges: usize,
}

/// How far a run is.
#[derive(Clone, Debug)]
pub struct Progress<'a> {
    /// Answers that there are, those of an earlier run among them.
    pub done: usize,
    /// Answers that there will be.
    pub all: usize,
    /// Of those that there are.
    pub passed: usize,
    /// The newest.
    pub answer: &'a Answer,
    /// Whether it is of an earlier run.
    pub known: bool,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Ran {
    /// In the order of the suite, and of samples within a task. Not all, where it was stopped.
    pub answers: Vec<Answer>,
    /// Whether all are there.
    pub complete: bool,
}

/// Answers and judges all tasks of a suite that `kept` has not yet. It ends when all is done, when `stop` becomes true
/// (what is under way is left, what was answered is kept), or with an error. An answer that could not be judged in an
/// earlier run is judged again, and a question that the model did not answer is asked again.
pub async fn run<M: Model>(
    suite: &Suite,
    model: Arc<M>,
    settings: &Settings,
    place: &Place,
    kept: &mut Answers,
    mut progress: impl FnMut(&Progress<'_>),
    mut stop: watch::Receiver<bool>,
) -> Result<Ran, RunError> {
    let samples = settings.samples.max(1);
    let all = suite.tasks.len() * usize::try_from(samples).unwrap_or(usize::MAX);
    let work = Arc::new(Work {
        model,
        settings: settings.clone(),
        place: place.clone(),
        slots: Semaphore::new(settings.slots.max(1)),
        judges: Semaphore::new(settings.judges.max(1)),
    });
    let mut waiting =
        suite.tasks.iter().flat_map(|task| (0..samples).map(move |sample| (task, sample))).enumerate();
    let at_once = settings.slots.max(1) + settings.judges.max(1);
    let mut jobs: JoinSet<(usize, Answer)> = JoinSet::new();
    let mut done: BTreeMap<usize, Answer> = BTreeMap::new();
    let mut passed = 0;
    let mut unanswered = 0;
    let mut stoppable = true;
    while done.len() < all {
        if *stop.borrow() {
            break;
        }
        let next = if jobs.len() < at_once { waiting.next() } else { None };
        let (number, answer, known) = if let Some((number, (task, sample))) = next {
            let draws = Draws::new(settings.sampling, &task.id, sample);
            let key = settings.key(suite, task, draws);
            match kept.get(&key) {
                Some(answer) if answer.verdict.is_judged() => (number, answer.clone(), true),
                before => {
                    let (work, task, before) = (Arc::clone(&work), task.clone(), before.cloned());
                    jobs.spawn(async move { (number, work.answer(&task, draws, key, before).await) });
                    continue;
                }
            }
        } else {
            tokio::select! {
                joined = jobs.join_next() => match joined {
                    Some(joined) => {
                        let (number, answer) = joined.map_err(|source| RunError::Job { source })?;
                        (number, answer, false)
                    }
                    None => break,
                },
                changed = stop.changed(), if stoppable => {
                    // A caller that let go of its end will not stop this run.
                    stoppable = changed.is_ok();
                    continue;
                }
            }
        };
        if !known {
            // Without a draw there is nothing to keep: the question is asked again in another run.
            if answer.draws > 0 {
                kept.add(answer.clone())?;
                unanswered = 0;
            } else if let Verdict::NotJudged { reason } = &answer.verdict {
                unanswered += 1;
                if unanswered == UNANSWERED_MAX {
                    return Err(RunError::NoModel { reason: reason.clone() });
                }
            }
        }
        passed += usize::from(answer.verdict == Verdict::Passed);
        progress(&Progress { done: done.len() + 1, all, passed, answer: &answer, known });
        done.insert(number, answer);
    }
    jobs.abort_all();
    Ok(Ran { complete: done.len() == all, answers: done.into_values().collect() })
}

impl Settings {
    fn key(&self, suite: &Suite, task: &Task, draws: Draws) -> Key {
        Key {
            task: task.id.clone(),
            suite: suite.digest,
            model: self.model,
            engine: self.engine.clone(),
            form: task.question(self.form).form().to_owned(),
            sampling: draws.candidate(0),
            tokens_max: self.tokens_max,
            way: self.way_name(),
        }
    }

    /// The way's name with all that its answers depend on: a part of [`Key`].
    #[must_use]
    pub fn way_name(&self) -> String {
        self.way.name() + if self.syntax { SYNTAX } else { "" }
    }
}

/// What all jobs of a run share.
struct Work<M> {
    model: Arc<M>,
    settings: Settings,
    place: Place,
    slots: Semaphore,
    judges: Semaphore,
}

impl<M: Model> Work<M> {
    async fn answer(&self, task: &Task, draws: Draws, key: Key, before: Option<Answer>) -> Answer {
        let mut answer = match before {
            Some(before) => before,
            None => match self.drawn(task, draws, key).await {
                Ok(answer) => answer,
                Err(answer) => return *answer,
            },
        };
        let (form, text) = (self.settings.form, answer.text.clone());
        let judged = self.blocking(task, move |place, task| place.judge(task, form, &text)).await;
        answer.verdict = judged.unwrap_or_else(|reason| Verdict::NotJudged { reason });
        answer
    }

    /// Goes the procedure's way. An error is an answer that has no text.
    async fn drawn(&self, task: &Task, draws: Draws, key: Key) -> Result<Answer, Box<Answer>> {
        let form = self.settings.form;
        let not_judged = |reason| Verdict::NotJudged { reason };
        let mut answer = Answer {
            key,
            text: String::new(),
            verdict: not_judged("the way came to no end".to_owned()),
            draws: 0,
            tokens: 0,
            ms: 0,
            errors: None,
            unchecked: None,
        };
        let syntax = self.settings.syntax.then(|| task.unit(form, "").language);
        let mut procedure = self.settings.way.begin(task, form, draws);
        let mut step = procedure.next(Heard::Nothing);
        // Errors of the answers that were checked: the way may end with any of them.
        let mut checked: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..STEPS_MAX {
            step = match step {
                Step::Draw { question, sampling, tokens_max } => {
                    let turn = self.slots.acquire().await;
                    let tokens_max = tokens_max.unwrap_or(self.settings.tokens_max);
                    let drawn = self.model.draw(question, sampling, tokens_max, syntax).await;
                    drop(turn);
                    match drawn {
                        Ok(drawn) => {
                            answer.draws += 1;
                            answer.tokens += u64::from(drawn.tokens);
                            answer.ms += drawn.ms;
                            procedure.next(Heard::Drawn(&drawn))
                        }
                        Err(reason) => {
                            // Half a way is none: it is gone again, from its beginning.
                            answer.draws = 0;
                            answer.verdict = not_judged(format!("the model gave no answer: {reason}"));
                            return Err(Box::new(answer));
                        }
                    }
                }
                Step::Check { answer: text } => {
                    let unit = task.unit(form, &text);
                    let opinion = self.blocking(task, move |place, _| {
                        place.opinion(&unit).map_err(|error| with_causes(&error))
                    });
                    match opinion.await.and_then(|opinion| opinion) {
                        Ok(diagnostics) => {
                            checked.insert(text, u32::try_from(errors(&diagnostics)).unwrap_or(u32::MAX));
                            procedure.next(Heard::Opinion(Ok(&diagnostics)))
                        }
                        Err(reason) => {
                            answer.unchecked = Some(reason.clone());
                            procedure.next(Heard::Opinion(Err(&reason)))
                        }
                    }
                }
                Step::Drive { answer: text } => {
                    let unit = task.unit(form, &text);
                    let behaviour = self.blocking(task, move |place, _| {
                        place.behaviour(&unit).map_err(|error| with_causes(&error))
                    });
                    match behaviour.await.and_then(|behaviour| behaviour) {
                        Ok(said) => procedure.next(Heard::Opinion(Ok(&said))),
                        Err(reason) => procedure.next(Heard::Opinion(Err(&reason))),
                    }
                }
                Step::Done { answer: text } => {
                    answer.errors = checked.get(&text).copied();
                    answer.text = text;
                    return Ok(answer);
                }
            };
        }
        answer.draws = 0;
        Err(Box::new(answer))
    }

    /// On a thread that lives as long as the tool, when there is a core for it.
    async fn blocking<T: Send + 'static>(
        &self,
        task: &Task,
        what: impl FnOnce(&Place, &Task) -> T + Send + 'static,
    ) -> Result<T, String> {
        let turn = self.judges.acquire().await;
        let (place, task) = (self.place.clone(), task.clone());
        let came = tokio::task::spawn_blocking(move || what(&place, &task)).await;
        drop(turn);
        came.map_err(|error| error.to_string())
    }
}

/// Why a run ended early. What was answered is kept.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Answers cannot be kept.
    #[error(transparent)]
    Answers(#[from] AnswersError),
    /// [`UNANSWERED_MAX`] tasks in a row.
    #[error("{UNANSWERED_MAX} questions in a row had no answer, the last of them because: {reason}")]
    NoModel {
        /// The last reason.
        reason: String,
    },
    /// A defect.
    #[error("a task's work ended unexpectedly")]
    Job {
        /// The cause.
        #[source]
        source: JoinError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(severity: Severity) -> Diagnostic {
        Diagnostic { severity, line: None, column: None, file: None, message: String::new() }
    }

    fn best_of(n: u32) -> Box<dyn Procedure> {
        let task = crate::suite::Suite::parse(
            "s",
            br#"{"id": "g", "language": "ada", "file_name": "p.adb", "prefix": "a", "suffix": "b"}"#,
        )
        .unwrap()
        .tasks
        .remove(0);
        let draws = Draws::new(Sampling::GREEDY, &task.id, 0);
        Way::BestOf { n, temperature: 0.5 }.begin(&task, Form::Completion, draws)
    }

    /// What the best of some answers with so many errors each is, and how many were drawn.
    fn check(n: u32, answers: &[usize]) -> (usize, usize) {
        let mut procedure = best_of(n);
        let mut step = procedure.next(Heard::Nothing);
        let mut drawn = 0;
        loop {
            step = match step {
                Step::Draw { sampling, .. } => {
                    assert_eq!(sampling.temperature, if drawn == 0 { 0.0 } else { 0.5 });
                    drawn += 1;
                    procedure.next(Heard::Drawn(&Drawn { text: (drawn - 1).to_string(), ..Drawn::default() }))
                }
                Step::Check { answer } => {
                    let number: usize = answer.parse().unwrap();
                    let mut said = vec![error(Severity::Error); answers[number]];
                    said.push(error(Severity::Warning));
                    procedure.next(Heard::Opinion(Ok(&said)))
                }
                Step::Drive { answer } => panic!("{answer}"),
                Step::Done { answer } => return (answer.parse().unwrap(), drawn),
            }
        }
    }

    #[test]
    fn the_best_is_the_first_clean_one_or_that_with_fewest_errors() {
        assert_eq!(check(4, &[0, 0, 0, 0]), (0, 1));
        assert_eq!(check(4, &[3, 1, 0, 0]), (2, 3));
        assert_eq!(check(4, &[3, 1, 2, 1]), (1, 4));
        assert_eq!(check(1, &[3]), (0, 1));
    }

    #[test]
    fn without_a_compiler_the_first_answer_stays() {
        let mut procedure = best_of(4);
        procedure.next(Heard::Nothing);
        procedure.next(Heard::Drawn(&Drawn { text: "first".to_owned(), ..Drawn::default() }));
        let step = procedure.next(Heard::Opinion(Err("no compiler")));
        assert_eq!(step, Step::Done { answer: "first".to_owned() });
    }

    #[test]
    fn seeds_are_of_the_run_the_task_the_sample_and_the_candidate() {
        let seed = |run, task, sample, candidate| {
            Draws::new(Sampling { seed: run, ..Sampling::GREEDY }, task, sample).candidate(candidate).seed
        };
        let all = [
            seed(1, "a", 0, 0),
            seed(2, "a", 0, 0),
            seed(1, "b", 0, 0),
            seed(1, "a", 1, 0),
            seed(1, "a", 0, 1),
        ];
        let different: std::collections::HashSet<u64> = all.into_iter().collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(all[0], seed(1, "a", 0, 0));
    }
}
