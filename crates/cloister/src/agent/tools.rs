//! The tools, and what becomes of a call. A refusal is a sentence for the model; nothing of it ends the run.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::tree::Listing;
use super::{Agent, Consent, Step};
use crate::commands::Session;
use crate::consent;
use crate::decision::{self, Choice};
use crate::failure::{Failure, with_causes};
use crate::hunks::Change;

/// Bytes of a call's arguments.
const ARGUMENTS_BYTES_MAX: usize = 64 << 10;
/// Bytes of a result.
const RESULT_BYTES_MAX: usize = 8 << 10;
/// Lines of a file at once, where none are named.
const LINES_MAX: usize = 200;
/// Lines that a search finds.
const FOUND_MAX: usize = 50;
/// Bytes of a line that is found.
const LINE_BYTES_MAX: usize = 200;

/// An edit that was proposed.
#[derive(Debug, Serialize)]
pub(crate) struct Edited {
    path: String,
    record: Option<u64>,
    choice: &'static str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    path: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    path: String,
    #[serde(default)]
    first_line: Option<usize>,
    #[serde(default)]
    last_line: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    text: String,
    #[serde(default)]
    path: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Propose {
    path: String,
    #[serde(default)]
    old_text: String,
    new_text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {}

impl Agent<'_> {
    /// The tools in OpenAI's form.
    pub(super) fn offered(&self) -> Vec<Value> {
        let text = |what: &str| json!({"type": "string", "description": what});
        let line = |what: &str| json!({"type": "integer", "minimum": 1, "description": what});
        let tool = |name: &str, what: &str, properties: Value, required: &[&str]| {
            let parameters = json!({"type": "object", "properties": properties, "required": required});
            json!({"type": "function", "function": {"name": name, "description": what, "parameters": parameters}})
        };
        let mut tools = vec![
            tool(
                "list_files",
                "Lists the files, or those in a directory.",
                json!({"path": text("The directory")}),
                &[],
            ),
            tool(
                "read_file",
                "Reads lines of a file.",
                json!({"path": text("The file"), "first_line": line("From 1"), "last_line": line("The last line")}),
                &["path"],
            ),
            tool(
                "search_text",
                "Finds lines that have exactly this text.",
                json!({"text": text("The text"), "path": text("Only in this directory")}),
                &["text"],
            ),
            tool(
                "propose_edit",
                "Proposes to replace a text of a file, which must be in it exactly once, by another. Without old_text: a new file.",
                json!({"path": text("The file"), "old_text": text("As it is now, whole lines"), "new_text": text("As it should be")}),
                &["path", "new_text"],
            ),
        ];
        if self.checker.is_some() {
            tools.push(tool("check", "Compiles or tests the files as they are now.", json!({}), &[]));
        }
        tools
    }

    /// Does a call: what the model is told. The inner error is a refusal.
    pub(super) async fn call(
        &self,
        session: &mut Session,
        name: &str,
        arguments: &str,
        step: &Step<'_>,
        edits: &mut Vec<Edited>,
    ) -> Result<Result<String, String>, Failure> {
        if arguments.len() > ARGUMENTS_BYTES_MAX {
            return Ok(Err(format!("the arguments are longer than {ARGUMENTS_BYTES_MAX} bytes")));
        }
        let result = match name {
            "list_files" => read(arguments).and_then(|list| self.list(&list)),
            "read_file" => read(arguments).and_then(|read| self.read_file(&read)),
            "search_text" => read(arguments).and_then(|search| self.search(&search)),
            "check" => read(arguments).and_then(|_: Check| self.check()),
            "propose_edit" => {
                let change = read(arguments).and_then(|propose| self.change(&propose));
                match change {
                    Ok(change) => return self.edit(session, &change, step, edits).await,
                    Err(refusal) => Err(refusal),
                }
            }
            _ => Err("there is no such tool".to_owned()),
        };
        Ok(result.map(cut))
    }

    fn list(&self, list: &List) -> Result<String, String> {
        let Listing { files, is_cut } = self.tree.files(&list.path).map_err(|error| error.to_string())?;
        let names: Vec<&str> = files.iter().filter_map(|file| file.as_path().to_str()).collect();
        let more = if is_cut { "\nand more" } else { "" };
        Ok(if names.is_empty() { "no files".to_owned() } else { names.join("\n") + more })
    }

    fn read_file(&self, read: &Read) -> Result<String, String> {
        let text = self.tree.path(&read.path).and_then(|path| self.tree.read(&path));
        let text = text.map_err(|error| error.to_string())?;
        let first = read.first_line.unwrap_or(1).max(1);
        let last = read.last_line.unwrap_or(first.saturating_add(LINES_MAX - 1));
        let lines: Vec<&str> = text.lines().collect();
        let shown = lines.iter().enumerate().skip(first - 1).take(last.saturating_sub(first - 1));
        let shown: String = shown.map(|(number, line)| format!("{}: {line}\n", number + 1)).collect();
        Ok(format!("{} has {} lines\n{shown}", read.path, lines.len()))
    }

    fn search(&self, search: &Search) -> Result<String, String> {
        if search.text.trim().is_empty() || search.text.contains('\n') {
            return Err("the text must be a part of one line".to_owned());
        }
        let mut found = String::new();
        let mut count = 0;
        let Listing { files, is_cut } = self.tree.files(&search.path).map_err(|error| error.to_string())?;
        for file in files {
            // What is no text has no lines.
            let Ok(text) = self.tree.read(&file) else { continue };
            let file = file.as_path().display();
            for (number, line) in text.lines().enumerate().filter(|(_, line)| line.contains(&search.text)) {
                let line = &line[..line.floor_char_boundary(LINE_BYTES_MAX.min(line.len()))];
                found.push_str(&format!("{file}:{}: {line}\n", number + 1));
                count += 1;
                if count >= FOUND_MAX {
                    return Ok(found + "and maybe more\n");
                }
            }
        }
        if found.is_empty() {
            found.push_str("nothing was found");
        }
        if is_cut {
            found.push_str("\nnot all files were searched: name a directory");
        }
        Ok(found)
    }

    fn check(&self) -> Result<String, String> {
        let checker = self.checker.as_ref().ok_or("there is no such tool")?;
        checker.run(&self.tree).map_err(|error| with_causes(&error).join(": "))
    }

    /// What a proposal would change.
    fn change(&self, propose: &Propose) -> Result<Change, String> {
        let Propose { path, old_text, new_text } = propose;
        let inside = self.tree.path(path).map_err(|error| error.to_string())?;
        let name = inside.as_path().to_str().unwrap_or(path);
        if old_text.is_empty() {
            if new_text.is_empty() {
                return Err("an empty file is not made".to_owned());
            }
            return match self.tree.read(&inside) {
                Err(super::tree::TreeError::Missing) => Ok(Change::of_new_file(name, new_text.clone())),
                Ok(_) => Err("the file is there: give old_text, as it stands in it".to_owned()),
                Err(error) => Err(error.to_string()),
            };
        }
        let old = self.tree.read(&inside).map_err(|error| error.to_string())?;
        match old.matches(old_text.as_str()).count() {
            0 => Err("old_text is not in the file: read it again".to_owned()),
            1 => {
                let new = old.replacen(old_text.as_str(), new_text, 1);
                if new == old {
                    Err("nothing would change".to_owned())
                } else {
                    Ok(Change::new(name, old, new))
                }
            }
            count => Err(format!("old_text is in the file {count} times: give more of what is around it")),
        }
    }

    /// Asks about a change, and does what is decided.
    async fn edit(
        &self,
        session: &mut Session,
        change: &Change,
        step: &Step<'_>,
        edits: &mut Vec<Edited>,
    ) -> Result<Result<String, String>, Failure> {
        let taken = match self.consent {
            Consent::Ask => consent::ask(change, &mut session.output)?,
            Consent::Editor(link) => {
                vec![link.allows(step.call, self.tree.root(), change).await?; change.len()]
            }
            Consent::All | Consent::None => {
                if self.shows_changes {
                    change.show(&mut session.output)?;
                }
                vec![matches!(self.consent, Consent::All); change.len()]
            }
        };
        let mut choice = Choice::of(&taken);
        let mut result = match choice {
            Choice::Accepted => Ok("taken".to_owned()),
            Choice::PartlyAccepted => Ok("a part of it was taken: read the file again".to_owned()),
            Choice::Rejected | Choice::Shown => Ok("not taken by the person".to_owned()),
        };
        if choice != Choice::Rejected {
            let old = (!change.is_new_file()).then(|| change.old());
            let path = self.tree.path(change.path());
            let written = path.and_then(|path| self.tree.write(&path, old, &change.with(&taken)));
            if let Err(error) = written {
                choice = Choice::Shown;
                result = Err(error.to_string());
            }
        } else if matches!(self.consent, Consent::None) {
            choice = Choice::Shown;
        }
        let told = Some((change, taken.as_slice()));
        let client = &self.settings.client;
        decision::tell(client, step.mark, choice, told, Some(change.path()), &mut session.output).await;
        let record = step.mark.record.map(|record| record.0);
        edits.push(Edited { path: change.path().to_owned(), record, choice: choice.word() });
        Ok(result)
    }
}

fn read<'a, T: Deserialize<'a>>(arguments: &'a str) -> Result<T, String> {
    let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
    serde_json::from_str(arguments).map_err(|error| format!("the arguments are not understood: {error}"))
}

/// A result within its limit.
fn cut(mut result: String) -> String {
    if result.len() > RESULT_BYTES_MAX {
        result.truncate(result.floor_char_boundary(RESULT_BYTES_MAX));
        result.push_str("\n[cut off here: ask for less at once]");
    }
    result
}
