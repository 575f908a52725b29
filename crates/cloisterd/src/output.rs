//! What commands say: data on standard output, talk on standard error. A closed pipe is no error.

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

/// Between two turns of what shows that something goes on.
const TICK: Duration = Duration::from_millis(200);

/// An error with what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(crate) struct Hinted {
    error: String,
    hint: String,
    #[source]
    cause: Option<Box<dyn Error>>,
}

impl Hinted {
    pub(crate) fn new(error: impl Into<String>, hint: impl Into<String>) -> Hinted {
        Hinted { error: error.into(), hint: hint.into(), cause: None }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> &str {
        &self.hint
    }

    /// The same, with what caused it.
    pub(crate) fn because(self, cause: impl Error + 'static) -> Hinted {
        Hinted { cause: Some(Box::new(cause)), ..self }
    }
}

/// A line of data.
pub(crate) fn line(text: &str) -> std::io::Result<()> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// A line of talk.
pub(crate) fn say(text: &str) {
    let _closed = writeln!(std::io::stderr().lock(), "{text}");
}

/// An error, its causes and its hint.
pub(crate) fn report(error: &(dyn Error + 'static)) {
    let mut text = format!("error: {error}");
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(&format!("\n  because: {source}"));
        cause = source.source();
    }
    if let Some(hinted) = error.downcast_ref::<Hinted>().filter(|hinted| !hinted.hint.is_empty()) {
        text.push_str(&format!("\n  hint: {}", hinted.hint));
    }
    say(&text);
}

/// An error and its causes on one line, for who is told of it by another process.
pub(crate) fn on_one_line(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(&format!(": {source}"));
        cause = source.source();
    }
    text
}

/// A JSON document for scripts, or rows for people.
pub(crate) fn document(value: &Value, json: bool) -> std::io::Result<()> {
    if json {
        return line(&value.to_string());
    }
    match value {
        Value::Array(rows) if rows.is_empty() => {
            say("none");
            Ok(())
        }
        Value::Array(rows) => rows.iter().try_for_each(|row| line(&fields(row))),
        other => line(&serde_json::to_string_pretty(other).unwrap_or_else(|_| other.to_string())),
    }
}

fn fields(row: &Value) -> String {
    let Value::Object(entries) = row else { return row.to_string() };
    let field = |(name, value): (&String, &Value)| match value {
        Value::String(text) => format!("{name}={text}"),
        other => format!("{name}={other}"),
    };
    entries.iter().map(field).collect::<Vec<_>>().join("  ")
}

/// A bar for long work on bytes; silent where nobody looks.
pub(crate) fn progress(what: &str) -> ProgressBar {
    bar(what, "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}")
}

/// A bar for long work on things that are counted.
pub(crate) fn counted(what: &str) -> ProgressBar {
    bar(what, "{msg} [{bar:30}] {pos}/{len} {eta}")
}

/// For long work of which nobody knows how much it is.
pub(crate) fn counting(what: &str, things: &str) -> ProgressBar {
    let bar = bar(what, &format!("{{spinner}} {{msg}} {{pos}} {things}, {{elapsed}}"));
    bar.enable_steady_tick(TICK);
    bar
}

fn bar(what: &str, template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar
}
