//! What can be done with a piece of code: offered as code actions, done as commands. Edits are handed to the editor, which
//! may ask the person; words are shown beside.

use std::io::Write;
use std::path::Path;

use client::{ChatRequest, Client, ClientError, Findings, Mark, Message, Subject};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::chat::{Said, converse};
use super::documents::{Document, Encoding};
use super::paths;
use super::prompts;
use super::server::{Event, Server, record_of, response_error};
use super::suggestions::{Choice, Told};
use super::types::{self, CodeAction, Diagnostic, Range};
use super::wire::{INVALID_PARAMS, REQUEST_FAILED, RequestId, ResponseError};
use crate::{cursor, findings};

/// Lines that a declaration goes on for, where nothing is selected.
const DECLARATION_LINES_MAX: usize = 24;
/// Bytes of what an action is about.
const SELECTION_BYTES_MAX: usize = 16 << 10;
/// Diagnostics of one place that are offered to be mended.
const DIAGNOSTICS_MAX: usize = 4;

/// Something that can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Explain,
    GenerateBody,
    WriteContract,
    WriteTest,
    Fix,
    Document,
}

impl Action {
    pub(super) const ALL: [Action; 6] = [
        Action::Explain,
        Action::GenerateBody,
        Action::WriteContract,
        Action::WriteTest,
        Action::Fix,
        Action::Document,
    ];

    pub(super) fn command(self) -> &'static str {
        match self {
            Action::Explain => "cloister.explain",
            Action::GenerateBody => "cloister.generateBody",
            Action::WriteContract => "cloister.writeContract",
            Action::WriteTest => "cloister.writeTest",
            Action::Fix => "cloister.fixDiagnostic",
            Action::Document => "cloister.document",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Action::Explain => "Explain",
            Action::GenerateBody => "Generate the body from its specification",
            Action::WriteContract => "Write a contract",
            Action::WriteTest => "Write a test",
            Action::Fix => "Fix",
            Action::Document => "Document",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Action::Explain | Action::WriteTest => "source",
            Action::GenerateBody | Action::WriteContract | Action::Document => "refactor.rewrite",
            Action::Fix => "quickfix",
        }
    }
}

/// The argument of an action's command.
#[derive(Deserialize, Serialize)]
struct About {
    uri: String,
    range: Range,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    diagnostic: Option<Diagnostic>,
}

/// What an action brought.
pub(super) struct Done {
    plan: Plan,
    mark: Mark,
    deployment: String,
    text: String,
    /// What goes to the beginning of the file.
    clauses: String,
    findings: Findings,
}

/// What an action is about, as it was when it began.
#[derive(Clone)]
struct Plan {
    action: Action,
    uri: String,
    version: i64,
    /// Bytes that the result takes the place of; of a body: where it goes.
    start: usize,
    end: usize,
}

/// Requests of ours that an editor answers.
pub(super) enum Sent {
    /// Progress may be told under this token.
    Progress { token: String },
    /// An edit that a person may refuse.
    Edit { record: u64 },
    /// A document that is to be shown; what to say where it cannot be.
    Show { path: String },
}

/// Progress that is told: of which request, and whether the editor knows of it.
pub(super) struct Progress {
    id: RequestId,
    title: &'static str,
    is_begun: bool,
}

impl Server {
    /// What can be done at a place.
    pub(super) fn code_actions(&self, params: &CodeAction) -> Value {
        let uri = &params.text_document.uri;
        if self.documents.get(uri).is_none() {
            return json!([]);
        }
        let wanted = |action: Action| {
            let is_kind = |kind: &String| {
                action
                    .kind()
                    .strip_prefix(kind.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            params.context.only.as_ref().is_none_or(|only| only.iter().any(is_kind))
        };
        let offer = |action: Action, title: String, about: &About| {
            let command = json!({ "title": title, "command": action.command(), "arguments": [about] });
            json!({ "title": title, "kind": action.kind(), "command": command })
        };
        let mut offered = Vec::new();
        let diagnostics = params.context.diagnostics.iter().take(DIAGNOSTICS_MAX);
        for diagnostic in diagnostics.filter(|_| wanted(Action::Fix)) {
            let about =
                About { uri: uri.clone(), range: diagnostic.range, diagnostic: Some(diagnostic.clone()) };
            let what: String = diagnostic.message.chars().take(60).filter(|c| !c.is_control()).collect();
            let mut one = offer(Action::Fix, format!("Cloister: fix: {what}"), &about);
            one["diagnostics"] = json!([diagnostic]);
            offered.push(one);
        }
        let others = Action::ALL.into_iter().filter(|action| *action != Action::Fix && wanted(*action));
        let about = About { uri: uri.clone(), range: params.range, diagnostic: None };
        offered.extend(others.map(|action| offer(action, format!("Cloister: {}", action.title()), &about)));
        Value::Array(offered)
    }

    /// Does one, beside the loop.
    pub(super) fn act(
        &mut self,
        id: &RequestId,
        command: &str,
        argument: Value,
    ) -> Result<Option<Value>, ResponseError> {
        let action = Action::ALL.into_iter().find(|action| action.command() == command);
        let action = action.ok_or_else(|| {
            ResponseError::new(INVALID_PARAMS, format!("params.command: there is no {command}"))
        })?;
        let About { uri, range, diagnostic } = types::params(argument)?;
        let (path, subject) = (self.path_said(&uri), self.subject(&uri));
        let document = self
            .documents
            .get(&uri)
            .ok_or_else(|| ResponseError::new(INVALID_PARAMS, "params.uri: the document is not open"))?;
        let (start, end) = extent(document, action, range, self.facts.encoding);
        if end - start > SELECTION_BYTES_MAX {
            return Err(ResponseError::new(REQUEST_FAILED, "that is too much at once: select less"));
        }
        let text = document.text();
        let plan = Plan { action, uri: uri.clone(), version: document.version, start, end };
        let (client, model, asked) = (self.client.clone(), self.deployment.clone(), id.clone());
        let answered = if action == Action::GenerateBody {
            let body = json!({
                "prefix": format!("{}\n", &text[..end]),
                "suffix": &text[end..],
                "instruction": "The body of what is declared above, as its specification says.",
                "model": model,
                "cloister": subject,
            });
            let plan = Plan { start: end, ..plan };
            self.spawn(id, async move {
                let done = generate(&client, &body, plan).await;
                Event::Acted { id: asked, done: Box::new(done) }
            })
        } else {
            let about = prompts::Subject {
                path: &path,
                language: &document.language,
                before: &text[..start],
                lines: &text[start..end],
                behind: &text[end..],
                diagnostic: diagnostic.as_ref().map(|diagnostic| diagnostic.message.as_str()),
            };
            let message = Message { role: "user".to_owned(), content: prompts::message(action, &about) };
            let request = request(model, message, subject);
            self.spawn(id, async move {
                let done = converse(&client, &request, |_| {}).await.map(|said| done(plan, said));
                Event::Acted { id: asked, done: Box::new(done) }
            })
        };
        if answered.is_ok() {
            self.begin_progress(id, action.title());
        }
        answered
    }

    /// An action has ended.
    pub(super) fn acted(&mut self, id: &RequestId, done: Result<Done, ClientError>) {
        self.end_progress(id);
        let done = match done {
            Ok(done) => done,
            Err(error) => {
                self.failed(&error, false);
                return self.outgoing.answer(id, Err(response_error(&error)));
            }
        };
        self.reached();
        self.keep_receipt(&done.mark);
        self.outgoing.answer(id, Ok(json!({ "record": record_of(&done.mark) })));
        if done.plan.action == Action::Explain {
            self.show_words(&done);
        } else {
            self.hand_edit(done);
        }
    }

    /// Words go into a file that the editor shows beside.
    fn show_words(&mut self, done: &Done) {
        let record = done.mark.record.map(|record| format!("Record {record}, ")).unwrap_or_default();
        let found = findings::lines(&done.findings);
        let found: String = found.iter().map(|line| format!("\n\n`{}`", line.replace('`', "'"))).collect();
        let page = format!("{}\n\n---\n\n{record}by `{}`.{found}\n", done.text.trim_end(), done.deployment);
        let written = if self.facts.show_document { temporary(&page) } else { None };
        let Some(path) = written else { return self.outgoing.show(3, &page) };
        let Some(uri) = paths::uri_of(Path::new(&path)) else { return self.outgoing.show(3, &page) };
        self.send("window/showDocument", &json!({ "uri": uri, "takeFocus": false }), Sent::Show { path });
    }

    fn hand_edit(&mut self, done: Done) {
        let Done { plan, mark, deployment, text, clauses, findings } = done;
        let Some(document) =
            self.documents.get(&plan.uri).filter(|document| document.version == plan.version)
        else {
            return self
                .outgoing
                .show(2, "Cloister: the document was changed meanwhile; nothing was written");
        };
        let code = if plan.action == Action::GenerateBody { text.trim_end() } else { prompts::code(&text) };
        if code.trim().is_empty() {
            return self.outgoing.show(2, "Cloister: the model had nothing to write");
        }
        let record = mark.record.map_or(0, |record| record.0);
        let ends_with_crlf = cursor::ends_lines_with_crlf(document.text());
        let as_file = |text: &str| if ends_with_crlf { text.replace('\n', "\r\n") } else { text.to_owned() };
        let annotation = |edit: Value| {
            let mut edit = edit;
            if self.facts.change_annotations && self.facts.document_changes {
                edit["annotationId"] = json!("cloister");
            }
            edit
        };
        let mut shown = None;
        let changes = if plan.action == Action::WriteTest {
            let beside = document.path.as_deref().and_then(test_file).filter(|_| self.facts.create_files);
            let Some(uri) = beside.and_then(|path| paths::uri_of(&path)) else {
                let page = format!("```\n{code}\n```\n");
                let path = temporary(&page).filter(|_| self.facts.show_document);
                let uri = path.as_ref().and_then(|path| paths::uri_of(Path::new(path)));
                return match (path, uri) {
                    (Some(path), Some(uri)) => {
                        self.send("window/showDocument", &json!({ "uri": uri }), Sent::Show { path });
                    }
                    _ => self.outgoing.show(3, &page),
                };
            };
            let edit =
                annotation(json!({ "range": Range::default(), "newText": as_file(&format!("{code}\n")) }));
            vec![
                json!({ "kind": "create", "uri": uri, "options": { "ignoreIfExists": true } }),
                json!({ "textDocument": { "uri": uri, "version": null }, "edits": [edit] }),
            ]
        } else {
            let original = &document.text()[plan.start..plan.end];
            let text = match plan.action {
                Action::GenerateBody => format!("\n{code}"),
                _ => prompts::indented_as(original, code),
            };
            shown = Some((plan.start, text.clone()));
            let range = document.range(plan.start, plan.end, self.facts.encoding);
            let mut edits = vec![annotation(json!({ "range": range, "newText": as_file(&text) }))];
            if !clauses.is_empty() {
                let start = Range::default();
                edits.push(annotation(json!({ "range": start, "newText": as_file(&clauses) })));
            }
            vec![json!({ "textDocument": { "uri": plan.uri, "version": plan.version }, "edits": edits })]
        };
        if let Some((start, text)) = shown {
            self.suggestions.add(record, deployment.clone(), text, findings.clone());
            self.suggestions.showing(record, document, start, 0);
        } else {
            self.suggestions.add(record, deployment.clone(), code.to_owned(), findings.clone());
        }
        let label = format!("Cloister: {}", plan.action.title());
        let by = match deployment.as_str() {
            "" => format!("record {record}"),
            deployment => format!("record {record}, by {deployment}"),
        };
        let edit = self.workspace_edit(changes, &label, &by);
        self.send("workspace/applyEdit", &json!({ "label": label, "edit": edit }), Sent::Edit { record });
        let found = findings::lines(&findings);
        if !found.is_empty() {
            self.outgoing.show(3, &found.join("\n"));
        }
    }

    fn workspace_edit(&self, changes: Vec<Value>, label: &str, description: &str) -> Value {
        if self.facts.document_changes {
            let mut edit = json!({ "documentChanges": changes });
            if self.facts.change_annotations {
                edit["changeAnnotations"] = json!({
                    "cloister": { "label": label, "needsConfirmation": true, "description": description },
                });
            }
            return edit;
        }
        let changes = changes.into_iter().filter_map(|change| {
            let uri = change["textDocument"]["uri"].as_str()?.to_owned();
            Some((uri, change["edits"].clone()))
        });
        json!({ "changes": Value::Object(changes.collect()) })
    }

    /// The editor answered a request of ours.
    pub(super) fn response(&mut self, id: &RequestId, result: Result<Value, Value>) {
        let Some(sent) = self.sent.remove(id) else { return };
        match (sent, result) {
            (Sent::Progress { token }, Ok(_)) => {
                if let Some(progress) = self.progress.get_mut(&token) {
                    progress.is_begun = true;
                    let value = json!({ "kind": "begin", "title": progress.title, "cancellable": true });
                    self.outgoing.notify("$/progress", &json!({ "token": token, "value": value }));
                }
            }
            (Sent::Progress { token }, Err(_)) => {
                self.progress.remove(&token);
            }
            (Sent::Edit { record }, result) => {
                let is_applied = result.is_ok_and(|result| result["applied"] == true);
                let choice = if is_applied { Choice::Accepted } else { Choice::Rejected };
                let uri = self.suggestions.uri(record).map(str::to_owned);
                let document = uri.and_then(|uri| self.documents.get(&uri));
                if let Told::Post(decision) = self.suggestions.told(record, choice, None, document) {
                    self.post(decision);
                }
            }
            (Sent::Show { path }, result) => {
                if !result.is_ok_and(|result| result["success"] == true) {
                    self.outgoing.show(3, &format!("Cloister: the answer is in {path}"));
                }
            }
        }
    }

    fn begin_progress(&mut self, id: &RequestId, title: &'static str) {
        if !self.facts.progress {
            return;
        }
        self.number += 1;
        let token = format!("cloister-{}", self.number);
        self.send(
            "window/workDoneProgress/create",
            &json!({ "token": token }),
            Sent::Progress { token: token.clone() },
        );
        self.progress.insert(token, Progress { id: id.clone(), title, is_begun: false });
    }

    pub(super) fn end_progress(&mut self, id: &RequestId) {
        let outgoing = &self.outgoing;
        self.progress.retain(|token, progress| {
            if progress.id == *id && progress.is_begun {
                outgoing.notify("$/progress", &json!({ "token": token, "value": { "kind": "end" } }));
            }
            progress.id != *id
        });
    }

    /// The person ends what is in progress.
    pub(super) fn cancel_progress(&mut self, token: &Value) {
        let id =
            token.as_str().and_then(|token| self.progress.get(token)).map(|progress| progress.id.clone());
        if let Some(id) = id {
            self.cancel(&id);
        }
    }
}

/// The bytes that an action is about: whole lines; where nothing is selected, the declaration that begins there.
fn extent(document: &Document, action: Action, range: Range, encoding: Encoding) -> (usize, usize) {
    let (start, end) = document.whole_lines(range, encoding);
    if range.start != range.end || action == Action::Fix {
        return (start, end);
    }
    let text = document.text();
    let mut reached = end;
    for (count, line) in text[start..].split_inclusive('\n').take(DECLARATION_LINES_MAX).enumerate() {
        let shown = line.trim_end();
        let line_end = if count == 0 { start + shown.len() } else { reached + shown.len() };
        let last_word = shown.rsplit(char::is_whitespace).next().unwrap_or_default();
        if shown.ends_with([';', '{', ':', '}']) || last_word.eq_ignore_ascii_case("is") {
            return (start, line_end.max(end));
        }
        reached = if count == 0 { start + line.len() } else { reached + line.len() };
    }
    (start, end)
}

fn request(model: Option<String>, message: Message, subject: Option<Subject>) -> ChatRequest {
    ChatRequest { model, messages: vec![message], max_tokens: None, temperature: 0.0, seed: None, subject }
}

fn done(plan: Plan, said: Said) -> Done {
    let Said { mark, deployment, text, stop: _, findings } = said;
    Done { plan, mark, deployment, text, clauses: String::new(), findings }
}

async fn generate(client: &Client, body: &Value, plan: Plan) -> Result<Done, ClientError> {
    #[derive(Deserialize)]
    struct Generated {
        text: String,
        #[serde(default)]
        clauses: String,
        record: u64,
        #[serde(flatten)]
        findings: Findings,
    }
    let answer = client.post::<Generated>("/v1/cloister/generate", body).await?;
    let Generated { text, clauses, record, findings } = answer.value;
    let mut mark = answer.mark;
    mark.record = Some(protocol::RecordNumber(record));
    Ok(Done { plan, mark, deployment: String::new(), text, clauses, findings })
}

/// `stack.adb` has its test in `stack_test.adb`; none where there is such a file already.
fn test_file(path: &Path) -> Option<std::path::PathBuf> {
    let (stem, extension) = (path.file_stem()?.to_str()?, path.extension()?.to_str()?);
    let beside = path.with_file_name(format!("{stem}_test.{extension}"));
    (!beside.exists()).then_some(beside)
}

/// A page in the folder of temporary files, readable by its owner only; the system clears it away.
fn temporary(page: &str) -> Option<String> {
    let mut file = tempfile::Builder::new().prefix("cloister-").suffix(".md").tempfile().ok()?;
    file.write_all(page.as_bytes()).ok()?;
    let (_, path) = file.keep().ok()?;
    path.to_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::documents::Documents;
    use super::super::types::{Position, TextDocumentItem};
    use super::*;

    #[track_caller]
    fn check_extent(text: &str, line: u32, expected: &str) {
        let mut documents = Documents::default();
        let uri = "file:///a.adb".to_owned();
        documents.open(TextDocumentItem { uri, language_id: "ada".into(), version: 1, text: text.into() });
        let document = documents.get("file:///a.adb").unwrap();
        let at = Position { line, character: 2 };
        let (start, end) =
            extent(document, Action::WriteContract, Range { start: at, end: at }, Encoding::Utf16);
        assert_eq!(&text[start..end], expected);
    }

    #[test]
    fn a_declaration_is_whole() {
        check_extent(
            "a;\n  function F\n    (X : T)\n    return T;\nb;\n",
            1,
            "  function F\n    (X : T)\n    return T;",
        );
        check_extent("procedure P is\nbegin\n", 0, "procedure P is");
        check_extent("int f(int x) {\r\n}\r\n", 0, "int f(int x) {");
        check_extent("word", 0, "word");
    }

    #[test]
    fn tests_stand_beside() {
        assert_eq!(test_file(Path::new("/x/stack.adb")).unwrap(), Path::new("/x/stack_test.adb"));
        assert_eq!(test_file(Path::new("/x/Makefile")), None);
    }
}
