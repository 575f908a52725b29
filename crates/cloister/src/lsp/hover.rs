//! Where the last suggestion came from, for who points at it.

use serde_json::{Value, json};

use super::chat::sources;
use super::server::{Event, Server};
use super::types::OfPosition;
use super::wire::RequestId;
use crate::findings;

/// Sources that are named.
const SOURCES_SHOWN: usize = 8;

impl Server {
    /// The answer where it is known that there is none; otherwise it comes later.
    pub(super) fn hover(&mut self, id: &RequestId, params: &OfPosition) -> Option<Value> {
        let uri = &params.text_document.uri;
        let none = Some(Value::Null);
        let Some(document) = self.documents.get(uri) else { return none };
        let offset = document.offset(params.position, self.facts.encoding);
        let Some((suggestion, (start, end))) = self.suggestions.at(uri, offset) else { return none };
        let range = document.range(start, end.min(document.text().len()), self.facts.encoding);
        let record = suggestion.record;
        let by = match suggestion.deployment.as_str() {
            "" => String::new(),
            deployment => format!(", by `{}`", code(deployment)),
        };
        let mut head = vec![format!("**Cloister**, record {record}{by}")];
        let found: Vec<String> = findings::lines(&suggestion.findings);
        let found = found.into_iter().map(|line| format!("`{}`", code(&line)));
        head.extend(found);
        let (client, asked) = (self.client.clone(), id.clone());
        let spawned = self.spawn(id, async move {
            let sources = sources(&client, record).await;
            if sources.is_empty() {
                head.push("No source of the team's was in the prompt.".to_owned());
            }
            for source in sources.iter().take(SOURCES_SHOWN) {
                head.push(format!("from `{}`", code(source["heading"].as_str().unwrap_or_default())));
            }
            let value = head.join("\n\n");
            let result = json!({ "contents": { "kind": "markdown", "value": value }, "range": range });
            Event::Answered { id: asked, result: Ok(result), mark: None, error: None }
        });
        match spawned {
            Ok(later) => later,
            Err(_) => none,
        }
    }
}

/// What others wrote, inside of backquotes.
fn code(text: &str) -> String {
    text.chars().map(|c| if c == '`' || c.is_control() { '\'' } else { c }).collect()
}
