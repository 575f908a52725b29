//! Whole runs, with a model that is a table.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use languages::Limits;
use protocol::{Digest, worker::Sampling};
use qualify::{
    answers::Answers,
    judge::Verdict,
    repair::Repair,
    report::{Facts, Report},
    run::{Drawn, Ran, RunError, Settings, Way, run},
    suite::{Form, Question, Suite},
};
use tokio::sync::watch;

use crate::{Ground, Test, tasks};

pub(crate) const TESTS: &[Test] = &[
    ("a run goes on where it was stopped", || {
        let ground = Ground::new();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        let suite = many();
        let (model, asked) = model(|_, _| Ok("    m = 2 * n\n".to_owned()));
        let (stop, stopped) = watch::channel(false);
        let once = drive(&ground, &suite, &model, settings(Way::Plain), &path, stopped, &mut |done| {
            let _sent = stop.send(done == 2);
        })
        .unwrap();
        assert!(!once.complete && once.answers.len() == 2, "{once:?}");
        let before = asked.load(Ordering::SeqCst);
        let again = plainly(&ground, &suite, &model, settings(Way::Plain), &path).unwrap();
        assert!(again.complete && again.answers.iter().all(|answer| answer.verdict == Verdict::Passed));
        let ids: Vec<&str> = again.answers.iter().map(|answer| answer.key.task.as_str()).collect();
        assert_eq!(ids, ["a", "b", "c", "d", "e", "f"]);
        assert!(asked.load(Ordering::SeqCst) <= before + 4);
        let before = asked.load(Ordering::SeqCst);
        let third = plainly(&ground, &suite, &model, settings(Way::Plain), &path).unwrap();
        assert_eq!((third.answers, asked.load(Ordering::SeqCst)), (again.answers, before));
    }),
    ("a model that is gone ends a run, and one that refuses a question does not", || {
        let ground = Ground::new();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        let suite = many();
        let (refusing, _) = model(|number, _| {
            if number == 0 {
                Err("the prompt is too long".to_owned())
            } else {
                Ok("    m = 2 * n\n".to_owned())
            }
        });
        let ran = plainly(&ground, &suite, &refusing, settings(Way::Plain), &path).unwrap();
        let not_judged: Vec<_> = ran.answers.iter().filter(|answer| !answer.verdict.is_judged()).collect();
        assert!(ran.complete && not_judged.len() == 1, "{ran:?}");
        // It is asked again.
        let (answering, asked) = model(|_, _| Ok("    m = 2 * n\n".to_owned()));
        let ran = plainly(&ground, &suite, &answering, settings(Way::Plain), &path).unwrap();
        assert!(ran.answers.iter().all(|answer| answer.verdict == Verdict::Passed));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        let (gone, _) = model(|_, _| Err("gone".to_owned()));
        let many_samples = Settings { samples: 6, tokens_max: 9, ..settings(Way::Plain) };
        let error = plainly(&ground, &suite, &gone, many_samples, &path).unwrap_err();
        assert!(matches!(error, RunError::NoModel { reason } if reason.contains("gone")));
    }),
    ("best of n takes what compiles, and the report says what that gains", || {
        let ground = Ground::new();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        let suite = tasks::ada();
        // Plain answers are greedy, the others not.
        let (model, _) = model(|_, sampling| {
            let name = if sampling.temperature == 0.0 { "Unknown" } else { "2 * N" };
            Ok(format!(" is\n   begin\n      return {name};"))
        });
        let plain = plainly(&ground, &suite, &model, settings(Way::Plain), &path).unwrap();
        let way = Way::BestOf { n: 3, temperature: 0.6 };
        let best = plainly(&ground, &suite, &model, settings(way.clone()), &path).unwrap();
        assert!(matches!(plain.answers[0].verdict, Verdict::DoesNotCompile { .. }));
        let answer = &best.answers[0];
        assert_eq!(
            (&answer.verdict, answer.draws, answer.errors),
            (&Verdict::Passed, 2, Some(0)),
            "{answer:?}"
        );
        let mut report = Report::new(
            &suite,
            &settings(Way::Plain),
            Facts {
                title: "T".into(),
                model: "m".into(),
                machine: "a machine".into(),
                toolchains: ground.place.toolchains(&suite),
                made_at: "now".into(),
            },
        );
        report.add(&suite, &settings(Way::Plain), &plain, &[1]);
        report.add(&suite, &settings(way), &best, &[1]);
        assert!(report.toolchains[0].starts_with("gnatmake: GNATMAKE "), "{:?}", report.toolchains);
        assert_eq!(report.comparisons.len(), 1);
        let comparison = &report.comparisons[0];
        assert_eq!(
            (comparison.passed_gain, comparison.compiles_gain, comparison.passed.only_second),
            (1.0, 1.0, 1)
        );
        let bytes = report.to_json().unwrap();
        assert_eq!(Report::from_json(&bytes).unwrap(), report);
    }),
    ("of answers that the compiler takes, what enough of them behave like is taken", || {
        let ground = Ground::new();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        let suite = tasks::vhdl();
        let run = |agree| {
            let (model, _) = model(|number, _| {
                let value = ["a", "not a", "a nand a", "b"][usize::try_from(number).unwrap()];
                Ok(format!("begin\n  y <= {value};"))
            });
            let way = Repair { limits: Limits { agree, ..Limits::default() } };
            let ran = plainly(&ground, &suite, &model, settings(way.into()), &path).unwrap();
            let answer = &ran.answers[0];
            (answer.verdict == Verdict::Passed, answer.draws, answer.text.clone())
        };
        assert_eq!(run(1), (false, 1, "begin\n  y <= a;".to_owned()));
        assert_eq!(run(2), (true, 3, "begin\n  y <= not a;".to_owned()));
    }),
    ("without a checker the first answer stays, and says why", || {
        let ground = Ground::new();
        let folder = tempfile::tempdir().unwrap();
        let suite = many();
        let language = suite.tasks[0].language();
        let (model, asked) = model(|_, _| Ok("    m = = n\n".to_owned()));
        let way = settings(Way::BestOf { n: 3, temperature: 0.6 });
        let ran = plainly(&ground, &suite, &model, way, &folder.path().join("answers.jsonl")).unwrap();
        let draws = if language.checkers().is_empty() { 6 } else { 18 };
        assert_eq!(asked.load(Ordering::SeqCst), draws);
        for answer in &ran.answers {
            assert_eq!(answer.unchecked.is_some(), language.checkers().is_empty(), "{answer:?}");
            assert!(matches!(answer.verdict, Verdict::DoesNotCompile { .. }));
        }
    }),
    ("a run may hold answers to the syntax of the task's language, and such answers are kept apart", || {
        let ground = Ground::new();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        let suite = tasks::ada();
        let held: Arc<std::sync::Mutex<Vec<Option<languages::Language>>>> = Arc::default();
        let noted = Arc::clone(&held);
        let model: Arc<Answer> = Arc::new(Box::new(move |_, _, _, syntax| {
            noted.lock().unwrap().push(syntax);
            std::future::ready(Ok(Drawn { text: "2 * N".to_owned(), tokens: 10, ms: 5 }))
        }));
        let free = settings(Way::Plain);
        let syntax = Settings { syntax: true, ..settings(Way::Plain) };
        assert_eq!([free.way_name(), syntax.way_name()], ["plain", "plain+syntax"]);
        for settings in [&free, &syntax, &syntax] {
            plainly(&ground, &suite, &model, settings.clone(), &path).unwrap();
        }
        assert_eq!(*held.lock().unwrap(), [None, Some(languages::Language::Ada)]);
    }),
];

/// Six tasks like the one of Python.
fn many() -> Suite {
    let one = r#"{"task_id": "ID", "entry_point": "twice", "prompt": "def twice(n):\n", "suffix": "    return m\n",
        "canonical_solution": "", "test": "def check(candidate):\n    assert candidate(2) == 4\n"}"#;
    let lines: String = "abcdef"
        .chars()
        .map(|id| one.replace("ID", &id.to_string()).replace("\n        ", "") + "\n")
        .collect();
    Suite::parse("many", lines.as_bytes()).unwrap()
}

fn settings(way: Way) -> Settings {
    Settings {
        form: Form::Completion,
        way,
        sampling: Sampling { seed: 7, ..Sampling::GREEDY },
        syntax: false,
        samples: 1,
        tokens_max: 64,
        model: Digest([1; 32]),
        engine: "a table".to_owned(),
        slots: 1,
        judges: 1,
    }
}

type Answer = Box<
    dyn Fn(Question, Sampling, u32, Option<languages::Language>) -> std::future::Ready<Result<Drawn, String>>
        + Send
        + Sync,
>;

/// A model that answers by its question's number, and how often it was asked.
fn model(
    answer: impl Fn(u32, Sampling) -> Result<String, String> + Send + Sync + 'static,
) -> (Arc<Answer>, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&asked);
    let model: Answer = Box::new(move |_, sampling, _, _| {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        std::future::ready(answer(number, sampling).map(|text| Drawn { text, tokens: 10, ms: 5 }))
    });
    (Arc::new(model), asked)
}

fn plainly(
    ground: &Ground,
    suite: &Suite,
    model: &Arc<Answer>,
    settings: Settings,
    path: &std::path::Path,
) -> Result<Ran, RunError> {
    drive(ground, suite, model, settings, path, watch::channel(false).1, &mut |_| {})
}

fn drive(
    ground: &Ground,
    suite: &Suite,
    model: &Arc<Answer>,
    settings: Settings,
    path: &std::path::Path,
    stop: watch::Receiver<bool>,
    seen: &mut dyn FnMut(usize),
) -> Result<Ran, RunError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut answers = Answers::open(path).unwrap();
    runtime.block_on(run(
        suite,
        Arc::clone(model),
        &settings,
        &ground.place,
        &mut answers,
        |progress| seen(progress.done),
        stop,
    ))
}
