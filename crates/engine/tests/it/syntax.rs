//! Answers that are held to a language's syntax, by a model that would rather write another's.

use engine::{Order, Worker, WorkerError};
use protocol::worker::{Failure, Sampling, Syntax};
use testkit::places;

use super::{Generated, generate, launched, order, settings, tokens};

/// What stands before the answer in its file.
const ADA: &str = "procedure Sum (Items : Numbers; Total : out Integer) is\nbegin\n   ";
const VHDL: &str = "entity e is\nend;\narchitecture a of e is\n  signal q, d : bit;\nbegin\n  ";
/// What the model sees: it goes on in C.
const C: &str = "int sum(const int *items, int n) {\n    int total = 0;\n    ";

async fn held(
    worker: &Worker,
    prompt: &str,
    syntax: Option<(&str, &str)>,
    sampling: Sampling,
) -> Result<Generated, WorkerError> {
    let syntax =
        syntax.map(|(language, before)| Syntax { language: language.to_owned(), before: before.to_owned() });
    let prompt = tokens(worker, prompt).await;
    generate(worker, Order { sampling, tokens_max: 64, syntax, digest_rows: true, ..order(prompt) }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_go_on_as_the_language_does() {
    let launched = launched(places::CODER, &settings());
    let worker = Worker::connect(launched.socket).await.unwrap().0;
    let free = held(&worker, C, None, Sampling::GREEDY).await.unwrap();
    assert!(free.text.contains("for (") && free.text.contains("++"), "{free:?}");

    let drawn = |seed| Sampling { temperature: 1.0, seed, ..Sampling::GREEDY };
    for sampling in [Sampling::GREEDY, drawn(1), drawn(2)] {
        for (language, before) in [("ada", ADA), ("vhdl", VHDL)] {
            let answer = held(&worker, C, Some((language, before)), sampling).await.unwrap();
            // Remarks may say anything.
            let code = answer.text.split("/*").next().unwrap_or_default();
            let code: String = code.lines().filter_map(|line| line.split("--").next()).collect();
            assert!(!code.trim().is_empty(), "{language}: {answer:?}");
            assert!(!code.contains(['{', '}', '[', '!', '%']), "{language}: {answer:?}");
            // The same again.
            assert_eq!(held(&worker, C, Some((language, before)), sampling).await.unwrap().rows, answer.rows);
        }
    }

    // Of Ada that is nearly right, what is wrong.
    let nearly = held(&worker, ADA, None, Sampling::GREEDY).await.unwrap();
    assert!(nearly.text.contains("for Item in Items do") && !nearly.text.contains("end loop"), "{nearly:?}");
    let right = held(&worker, ADA, Some(("ada", ADA)), Sampling::GREEDY).await.unwrap();
    assert!(right.text.contains("for Item in Items loop") && right.text.contains("end loop;"), "{right:?}");
    // Behind what is not of the language, and what is too long to be read, it goes on as it is.
    for before in [C, &format!("{}{ADA}", "--  Nothing.\n".repeat(3000))] {
        let other = held(&worker, C, Some(("ada", before)), Sampling::GREEDY).await.unwrap();
        assert_eq!(other.text, free.text);
    }
    let unknown = held(&worker, C, Some(("klingon", "")), Sampling::GREEDY).await;
    assert!(
        matches!(&unknown, Err(WorkerError::Failed(Failure::Invalid(why))) if why.contains("klingon")),
        "{unknown:?}"
    );
}

/// The prompt's last word is chosen again, and stands at the end of what is read, too.
#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_word_is_healed() {
    let launched = launched(places::CODER, &settings());
    let worker = Worker::connect(launched.socket).await.unwrap().0;
    let before = format!("{ADA}Total := 0;\n   for I in Items'Ran");
    let prompt = tokens(&worker, &before).await;
    let syntax = Some(Syntax { language: "ada".to_owned(), before: before.clone() });
    let answer = generate(&worker, Order { heal: true, syntax, ..order(prompt) }).await.unwrap();
    assert!(answer.text.starts_with("ge loop"), "{answer:?}");
}
