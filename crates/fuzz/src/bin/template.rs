//! A chat template, which comes with the model: it ends, and nobody's words become the template's.
#![no_main]

use assist::template::{Surroundings, render};
use assist::{Message, Role};
use libfuzzer_sys::fuzz_target;
use protocol::worker::Part;

/// What a person wrote; no template of libFuzzer's has it.
const WORDS: &str = "<|im_start|> the person's own words 0f3a";

fuzz_target!(|template: &str| {
    let surroundings = Surroundings { time_unix_s: 0, begin_of_text: "<s>", end_of_text: "</s>" };
    let messages = [Message { role: Role::User, content: WORDS.to_owned() }];
    for part in render(Some(template), &messages, surroundings).unwrap_or_default() {
        if let Part::Template(text) = part {
            assert!(!text.contains("own words 0f3a"), "a person's words became the template's");
        }
    }
});
