//! `cloister/chat`: a conversation, for a panel of the editor's.

use client::{ChatEvent, ChatRequest, Client, ClientError, Findings, Mark, Message};
use serde::Deserialize;
use serde_json::{Value, json};

use super::paths;
use super::server::{Event, Server, record_of, response_error};
use super::types::Range;
use super::wire::{INVALID_PARAMS, RequestId, ResponseError};
use crate::commands::search_heading;
use crate::fences::fence;
use crate::file;

/// Messages of a conversation.
const MESSAGES_MAX: usize = 256;
/// Bytes of all of them, with files.
const BYTES_MAX: usize = 2 << 20;
/// Files beside a message.
const FILES_MAX: usize = 16;
/// Bytes of such a file.
const FILE_BYTES_MAX: u64 = 256 << 10;

#[derive(Deserialize)]
pub(super) struct Chat {
    /// Names it in `cloister/chatText`.
    id: String,
    messages: Vec<Message>,
    /// The document that the person is in.
    #[serde(default)]
    uri: Option<String>,
    /// A part of it, to go with the last message.
    #[serde(default)]
    selection: Option<Range>,
    /// Documents that go with the last message.
    #[serde(default)]
    files: Vec<String>,
    #[serde(default)]
    deployment: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Explain {
    record: u64,
}

/// A conversation's answer, whole.
pub(super) struct Said {
    pub(super) mark: Mark,
    pub(super) deployment: String,
    pub(super) text: String,
    pub(super) stop: String,
    pub(super) findings: Findings,
}

/// Asks, and hears each piece of the answer.
pub(super) async fn converse(
    client: &Client,
    request: &ChatRequest,
    mut heard: impl FnMut(&str),
) -> Result<Said, ClientError> {
    let mut stream = client.chat(request).await?;
    let mut text = String::new();
    loop {
        match stream.next().await? {
            ChatEvent::Text(more) => {
                heard(&more);
                text.push_str(&more);
            }
            ChatEvent::End { deployment, stop, usage: _, findings } => {
                return Ok(Said { mark: stream.mark().clone(), deployment, text, stop, findings });
            }
        }
    }
}

/// What of the team's sources went into a prompt, without its text: from the record.
pub(super) async fn sources(client: &Client, record: u64) -> Vec<Value> {
    let Ok(document) = client.get::<Value>(&format!("/v1/cloister/records/{record}")).await else {
        // The answer stands without them.
        return Vec::new();
    };
    let body = &document.value["body"];
    let passages = body["context_text"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let Some(Value::Array(passages)) = passages else { return Vec::new() };
    let theirs = passages.into_iter().filter(|passage| passage["source"].is_string());
    theirs
        .map(|mut passage| {
            let heading = search_heading(&passage);
            if let Some(passage) = passage.as_object_mut() {
                passage.remove("text");
                passage.insert("heading".to_owned(), json!(heading));
            }
            passage
        })
        .collect()
}

impl Server {
    pub(super) fn chat(&mut self, id: &RequestId, params: Chat) -> Result<Option<Value>, ResponseError> {
        let wrong = |what: &str| ResponseError::new(INVALID_PARAMS, what);
        let Chat { id: name, mut messages, uri, selection, files, deployment } = params;
        if messages.len() > MESSAGES_MAX {
            return Err(wrong("params.messages: there are more than 256"));
        }
        if files.len() > FILES_MAX {
            return Err(wrong("params.files: there are more than 16"));
        }
        let last = messages.last_mut().filter(|last| last.role == "user");
        let last = last.ok_or_else(|| wrong("params.messages: the last one must be of the role `user`"))?;
        if let (Some(uri), Some(selection)) = (&uri, selection) {
            let path = self.path_said(uri);
            let document = self.documents.get(uri).ok_or_else(|| wrong("params.uri: it is not open"))?;
            let (start, end) = document.offsets(selection, self.facts.encoding);
            let first = selection.start.line + 1;
            let heading = format!("{path}, from line {first}");
            append(&mut last.content, &heading, &document.language, &document.text()[start..end]);
        }
        for file in &files {
            let (language, text) = self.file_text(file)?;
            append(&mut last.content, &self.path_said(file), &language, &text);
        }
        if messages.iter().map(|message| message.content.len()).sum::<usize>() > BYTES_MAX {
            return Err(wrong("params.messages: they are longer than 2 MiB, with their files"));
        }
        let request = ChatRequest {
            model: deployment.or_else(|| self.deployment.clone()),
            messages,
            max_tokens: None,
            temperature: 0.0,
            seed: None,
            subject: uri.and_then(|uri| self.subject(&uri)),
        };
        let (client, outgoing, asked) = (self.client.clone(), self.outgoing.clone(), id.clone());
        self.spawn(id, async move {
            let heard = |text: &str| {
                outgoing.notify("cloister/chatText", &json!({ "id": name, "text": text }));
            };
            match converse(&client, &request, heard).await {
                Ok(said) => {
                    let record = record_of(&said.mark);
                    let sources = match said.mark.record {
                        Some(record) => sources(&client, record.0).await,
                        None => Vec::new(),
                    };
                    let Findings { checks, provenance } = said.findings;
                    let result = json!({
                        "record": record,
                        "deployment": said.deployment,
                        "text": said.text,
                        "stop": said.stop,
                        "findings": { "checks": checks, "provenance": provenance, "sources": sources },
                    });
                    Event::Answered { id: asked, result: Ok(result), mark: Some(said.mark), error: None }
                }
                Err(error) => {
                    let result = Err(response_error(&error));
                    Event::Answered { id: asked, result, mark: None, error: Some(error) }
                }
            }
        })
    }

    /// `cloister/explain`.
    pub(super) fn explain(
        &mut self,
        id: &RequestId,
        params: &Explain,
    ) -> Result<Option<Value>, ResponseError> {
        let (client, asked, record) = (self.client.clone(), id.clone(), params.record);
        self.spawn(id, async move {
            let document = client.get::<Value>(&format!("/v1/cloister/records/{record}")).await;
            let result = document.map(|document| document.value).map_err(|error| response_error(&error));
            Event::Answered { id: asked, result, mark: None, error: None }
        })
    }

    /// How a document is named in a prompt: as in its repository.
    pub(super) fn path_said(&mut self, uri: &str) -> String {
        let path = self.subject(uri).and_then(|subject| subject.path);
        path.or_else(|| self.documents.get(uri).map(super::documents::Document::name))
            .or_else(|| Some(paths::of_uri(uri)?.file_name()?.to_str()?.to_owned()))
            .unwrap_or_default()
    }

    /// An open document's text, or else the file's.
    fn file_text(&self, uri: &str) -> Result<(String, String), ResponseError> {
        let wrong = |what: String| ResponseError::new(INVALID_PARAMS, what);
        if let Some(document) = self.documents.get(uri) {
            return Ok((document.language.clone(), document.text().to_owned()));
        }
        let path = paths::of_uri(uri).ok_or_else(|| wrong("params.files: this is no file".to_owned()))?;
        let text = file::read_text(&path, FILE_BYTES_MAX)
            .map_err(|failure| wrong(format!("params.files: {}", failure.message())))?;
        Ok((String::new(), text))
    }
}

/// Adds a text to a message, as fenced code below its name.
fn append(message: &mut String, heading: &str, language: &str, text: &str) {
    let fence = fence(text);
    message.push_str(&format!("\n\n{heading}:\n{fence}{language}\n{}\n{fence}", text.trim_end_matches('\n')));
}
