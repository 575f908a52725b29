//! Plays [`languages::Rounds`] over standard input and output, for whoever measures it with a model and a compiler of
//! their own: a line of JSON in, a line out.
//!
//! In: `{"new": {"language", "prefix", "suffix", "candidates", "fixes", "spans"}}`, `{"drawn": "text"}`,
//! `{"checked": [{"severity", "line", "column", "message"}]}`. Out: `{"draw": {…}}`, `{"check": "text"}` or
//! `{"done": {"text", "errors", "stub", "rounds": […]}}`.

use std::io::{BufRead, Write};

use languages::{Diagnostic, Language, Limits, RoundKind, Rounds, Severity, Want};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rounds: Option<Rounds> = None;
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let input: Value = serde_json::from_str(&line?)?;
        if let Some(new) = input.get("new") {
            let text = |field: &str| new[field].as_str().unwrap_or_default();
            let count =
                |field: &str| new[field].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
            let language = Language::from_name(text("language")).ok_or("no such language")?;
            let limits = Limits {
                candidates_max: count("candidates"),
                fixes_max: count("fixes"),
                spans_max: count("spans"),
                ..Limits::default()
            };
            rounds = Some(Rounds::new(language, text("prefix"), text("suffix"), limits));
        }
        let rounds = rounds.as_mut().ok_or("the first line has no `new`")?;
        if let Some(answer) = input["drawn"].as_str() {
            rounds.drawn(answer);
        }
        if let Some(remarks) = input["checked"].as_array() {
            rounds.checked(&remarks.iter().map(diagnostic).collect::<Vec<_>>());
        }
        writeln!(output, "{}", wanted(rounds))?;
        output.flush()?;
    }
    Ok(())
}

fn diagnostic(remark: &Value) -> Diagnostic {
    let number = |field: &str| remark[field].as_u64().and_then(|number| u32::try_from(number).ok());
    Diagnostic {
        severity: if remark["severity"] == "error" { Severity::Error } else { Severity::Warning },
        line: number("line"),
        column: number("column"),
        file: None,
        message: remark["message"].as_str().unwrap_or_default().to_owned(),
    }
}

fn wanted(rounds: &Rounds) -> Value {
    match rounds.want() {
        Want::Draw(draw) => json!({"draw": {
            "prefix": draw.prefix, "suffix": draw.suffix, "temperature": draw.temperature, "seed": draw.seed,
            "tokens_max": draw.tokens_max, "is_span": draw.is_span,
        }}),
        Want::Check(text) | Want::Drive(text) => json!({"check": text}),
        Want::Done(best) => {
            let rounds = rounds.rounds().iter().map(|round| {
                let kind = match &round.kind {
                    RoundKind::Drawn(number) => json!({"drawn": number}),
                    RoundKind::Fixed(what) => json!({"fixed": what}),
                    RoundKind::Finished => json!("finished"),
                    RoundKind::Span => json!("span"),
                };
                json!({"kind": kind, "errors": round.errors, "first": round.first, "text": round.text})
            });
            json!({"done": {
                "text": best.map(|best| best.text.as_str()), "errors": best.map(|best| best.errors),
                "stub": best.map(|best| best.stub),
                "rounds": rounds.collect::<Vec<Value>>(),
            }})
        }
    }
}
