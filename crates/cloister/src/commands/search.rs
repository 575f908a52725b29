use std::process::ExitCode;

use serde_json::{Value, json};

use super::{Session, wait};
use crate::failure::Failure;

/// Searches what the team knows: the sources that you may read
///
/// Without a flag, passages with the words, best first. What was asked, and what was shown, is in the ledger.
#[derive(clap::Args)]
pub(crate) struct Search {
    /// Words, or a name with --definition or --references
    #[arg(value_name = "WORDS", required_unless_present = "sources")]
    words: Vec<String>,
    /// Show where the name is defined
    #[arg(long, conflicts_with_all = ["references", "sources"])]
    definition: bool,
    /// Show what uses the name
    #[arg(long, conflicts_with = "sources")]
    references: bool,
    /// List the sources that you may read
    #[arg(long)]
    sources: bool,
    /// Only in this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Results at most
    #[arg(long, short = 'n', default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    count: u32,
    /// Print the server's answer as JSON
    #[arg(long)]
    json: bool,
}

impl Search {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let words = self.words.join(" ");
        let count = self.count;
        let question = if self.sources {
            json!({ "sources": true })
        } else if self.definition {
            json!({ "definition": words, "count": count })
        } else if self.references {
            json!({ "references": words, "count": count })
        } else {
            json!({ "search": words, "source": self.source, "count": count })
        };
        let settings = session.settings()?;
        let answer = wait(async {
            Ok(settings.client.post::<Value>("/v1/cloister/context", &question).await?.value)
        })?;
        if self.json {
            session.output.json(&answer)?;
            return Ok(ExitCode::SUCCESS);
        }
        let results = answer["results"].as_array().cloned().unwrap_or_default();
        if results.is_empty() {
            session.output.say("nothing was found in the sources that you may read");
        }
        for result in &results {
            session.output.text(&shown(result))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A result for people: where it stands, then its text.
pub(crate) fn shown(result: &Value) -> String {
    let text = |name: &str| result[name].as_str().unwrap_or_default();
    if result["path"].is_null() {
        let files = result["files"].as_u64().map(|files| format!("  {files} files")).unwrap_or_default();
        return format!("{}{files}  {}\n", text("source"), short(text("revision")));
    }
    let body = if result["signature"].is_string() { text("signature") } else { text("text") };
    let mut shown = format!("{}\n", heading(result));
    for line in body.trim_end().lines() {
        shown.push_str(&format!("    {line}\n"));
    }
    shown.push('\n');
    shown
}

/// Where a result stands: source, path, lines or page and heading, and the commit.
pub(crate) fn heading(result: &Value) -> String {
    let text = |name: &str| result[name].as_str().unwrap_or_default();
    let mut heading = format!("{}/{}", text("source"), text("path"));
    let (first, last) = (&result["first_line"], &result["last_line"]);
    if first.as_u64().unwrap_or(0) > 0 {
        heading.push_str(&format!(":{first}-{last}"));
    }
    if let Some(page) = result["page"].as_u64() {
        heading.push_str(&format!(", page {page}"));
    }
    if !text("place").is_empty() {
        heading.push_str(&format!(", {}", text("place")));
    }
    if let Some(under) = result["headings"].as_array().and_then(|all| all.last()).and_then(Value::as_str) {
        heading.push_str(&format!(", under \"{under}\""));
    }
    if !text("revision").is_empty() {
        heading.push_str(&format!("  at {}", short(text("revision"))));
    }
    if !text("name").is_empty() {
        heading.push_str(&format!("  {}", text("name")));
    }
    heading
}

fn short(revision: &str) -> &str {
    revision.get(..12).unwrap_or(revision)
}

/// Why a passage was chosen, in words; the shape is that of `retrieval::Why`.
pub(crate) fn why(passage: &Value) -> String {
    let reason = |why: &Value| match why {
        Value::String(word) => match word.as_str() {
            "similar" => "has words in common".to_owned(),
            "rules" => "is the repository's coding rules".to_owned(),
            other => other.to_owned(),
        },
        Value::Object(one) => {
            let (kind, what) = one.iter().next().map(|(k, v)| (k.as_str(), v.as_str())).unwrap_or_default();
            let what = what.unwrap_or_default();
            match kind {
                "defines" => format!("defines {what}"),
                "type_of" => format!("is the type {what} of what stands at the cursor"),
                "declares" => format!("declares {what}, which is being written"),
                "needed_by" => format!("is named by {what}"),
                "in_unit" => format!("is in {what}"),
                "uses" => format!("uses {what}"),
                "named" => format!("{what} is named"),
                other => format!("{other} {what}"),
            }
        }
        _ => String::new(),
    };
    let mut reasons: Vec<String> = passage["why"].as_array().into_iter().flatten().map(reason).collect();
    reasons.dedup();
    reasons.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let code = json!({"source": "s", "path": "a.ads", "first_line": 3, "last_line": 9, "revision": "0123456789abcdef",
            "name": "A.B"});
        assert_eq!(heading(&code), "s/a.ads:3-9  at 0123456789ab  A.B");
        let page = json!({"source": "s", "path": "icd.pdf", "first_line": 0, "last_line": 0, "page": 7,
            "headings": ["1 Scope", "1.2 Units"], "revision": ""});
        assert_eq!(heading(&page), "s/icd.pdf, page 7, under \"1.2 Units\"");
        assert_eq!(
            why(&json!({"why": [{"defines": "trim"}, "similar"]})),
            "defines trim; has words in common"
        );
    }
}
