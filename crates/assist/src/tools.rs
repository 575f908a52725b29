//! Tools that a client offers to a model, and the calls that a model writes.
//!
//! A model calls a tool by writing so in its answer, in a form that its publisher chose: [`ToolFormat`]. [`CallReader`]
//! reads an answer as it comes and tells text from calls. Nothing is called here: that is the client's.

mod json_calls;
mod reader;

use protocol::worker::Part;
use serde::{Deserialize, Serialize};

use crate::Json;

pub use reader::{CallReader, Piece};

/// A function that the model may ask for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does, for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON schema of its arguments.
    pub parameters: Json,
    /// Whether a call that must be made is held to that schema, and refused where the engine cannot.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
}

/// A call that a model made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// What the result names it by.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// A JSON object, as text.
    pub arguments: String,
}

/// The tools of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tools {
    /// In the client's order.
    pub offered: Vec<Tool>,
    /// Whether one must be called.
    pub choice: ToolChoice,
}

/// Whether a tool must be called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoice {
    /// As the model likes.
    #[default]
    Auto,
    /// Some tool.
    Required,
    /// This one.
    Named(String),
}

impl Tools {
    /// Whether there is a tool of that name.
    pub fn has(&self, name: &str) -> bool {
        self.offered.iter().any(|tool| tool.name == name)
    }

    /// Those that can be called.
    pub fn callable(&self) -> impl Iterator<Item = &Tool> {
        let named = match &self.choice {
            ToolChoice::Named(name) => Some(name),
            ToolChoice::Auto | ToolChoice::Required => None,
        };
        self.offered.iter().filter(move |tool| named.is_none_or(|name| tool.name == *name))
    }

    /// The one tool that can be called, where there is one.
    fn only(&self) -> Option<&str> {
        match (&self.choice, self.offered.as_slice()) {
            (ToolChoice::Named(name), _) => Some(name),
            (ToolChoice::Required, [only]) => Some(&only.name),
            _ => None,
        }
    }
}

/// How a model writes calls, and whether its engine can hold it to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToolFormat {
    style: Style,
    is_held: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// `<tool_call>{"name": …, "arguments": {…}}</tool_call>`, as Hermes and Qwen 2.5 were trained.
    Tagged,
    /// A JSON object alone, or in a code block: what models of templates that say nothing else mostly do.
    Bare,
}

impl ToolFormat {
    /// What a chat template teaches; `None` where it knows no tools. `holds_schemas` says whether the engine can hold an
    /// answer to a JSON Schema.
    pub fn of_template(template: Option<&str>, holds_schemas: bool) -> Option<ToolFormat> {
        let template = template.filter(|template| template.contains("tools"))?;
        let style = if template.contains(json_calls::TAG) { Style::Tagged } else { Style::Bare };
        Some(ToolFormat { style, is_held: holds_schemas })
    }

    fn is_tagged(self) -> bool {
        self.style == Style::Tagged
    }

    /// The beginning of the answer, where a tool must be called. `None` where neither a beginning nor the engine can see to
    /// it that a call follows.
    pub(crate) fn opening(self, tools: &Tools) -> Option<Vec<Part>> {
        match (self.style, &tools.choice) {
            (_, ToolChoice::Auto) => Some(Vec::new()),
            (Style::Tagged, _) if self.is_held => Some(json_calls::tag()),
            (Style::Tagged, _) => Some(json_calls::opening(tools.only())),
            (Style::Bare, _) => self.is_held.then(Vec::new),
        }
    }

    /// What the answer is held to behind [`opening`](ToolFormat::opening): a JSON Schema.
    pub(crate) fn schema(self, tools: &Tools) -> Option<String> {
        (self.is_held && tools.choice != ToolChoice::Auto).then(|| json_calls::schema(tools))
    }
}
