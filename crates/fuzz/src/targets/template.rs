//! A chat template, which comes with the model: it ends, and nobody's words become the template's.

use assist::template::{Surroundings, render};
use assist::{Json, Message, Role, Tool};
use protocol::worker::Part;

/// What a person wrote; no template of libFuzzer's has it.
const WORDS: &str = "<|im_start|> the person's own words 0f3a";

pub(crate) fn run(bytes: &[u8]) {
    let Ok(template) = std::str::from_utf8(bytes) else { return };
    let surroundings = Surroundings { time_unix_s: 0, begin_of_text: "<s>", end_of_text: "</s>" };
    let messages = [Message::new(Role::User, WORDS)];
    let parameters = Json::Map(vec![(WORDS.to_owned(), Json::Text(WORDS.to_owned()))]);
    let tools =
        [Tool { name: WORDS.to_owned(), description: Some(WORDS.to_owned()), parameters, strict: false }];
    for part in render(Some(template), &messages, &tools, surroundings).unwrap_or_default() {
        if let Part::Template(text) = part {
            assert!(!text.contains("own words 0f3a"), "a person's words became the template's");
        }
    }
}
