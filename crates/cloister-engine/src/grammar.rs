//! What an answer is held to: JSON that a schema admits, token by token, by llguidance.
//!
//! A schema may come from anybody: what it costs to read it and to find the tokens that may follow is limited, and one that
//! says what is not understood is refused, since an answer that passes over it would look as if it had obeyed.

use std::fmt::Display;
use std::sync::Arc;

use llama::Model;
use llguidance::api::{ParserLimits, TopLevelGrammar};
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, SimpleVob, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use protocol::worker::Token;
use serde_json::{Value, json};

use crate::vocabulary::Vocabulary;

/// Kept of what llguidance says of a schema, in characters.
const MESSAGE_MAX: usize = 300;

/// Expressions of a schema: each `pattern`, each `format`, each of `patternProperties`. What several admit together is found in
/// memory of two to their number, which no fuel counts: 16 take 16 MiB, 20 took gigabytes.
const EXPRESSIONS_MAX: usize = 12;

/// What a schema may cost. Of fuel some 50,000 are spent a millisecond while it is read, and 14,000 for each token.
const LIMITS: ParserLimits = ParserLimits {
    max_items_in_row: 2000,
    initial_lexer_fuel: 1_000_000,
    step_lexer_fuel: 200_000,
    step_max_items: 50_000,
    max_lexer_states: 20_000,
    max_grammar_size: 100_000,
    precompute_large_lexemes: false,
    verbose_errors: false,
};

/// Makes grammars for a model's vocabulary, which is read when the first is wanted.
#[derive(Default)]
pub(crate) struct Grammars {
    made: Option<Made>,
}

struct Made {
    factory: ParserFactory,
    ends: Arc<[Token]>,
}

/// What one generation is held to, as far as it has come.
pub(crate) struct Grammar {
    matcher: Matcher,
    /// Tokens that end a generation.
    ends: Arc<[Token]>,
}

/// The tokens that may follow.
pub(crate) struct Admitted {
    tokens: SimpleVob,
    ends: Arc<[Token]>,
    may_end: bool,
}

impl Grammars {
    /// Of a JSON Schema. An error says what is wrong with it.
    pub(crate) fn of_schema(
        &mut self,
        model: &Model,
        vocabulary: &Vocabulary,
        schema: &str,
    ) -> Result<Grammar, String> {
        let Made { factory, ends } = match &mut self.made {
            Some(made) => made,
            none => none.insert(Made::of(model, vocabulary)?),
        };
        let mut schema: Value =
            serde_json::from_str(schema).map_err(|error| format!("the schema is not JSON: {error}"))?;
        if expressions(&schema) > EXPRESSIONS_MAX {
            return Err(unheld(&format!("it has more than {EXPRESSIONS_MAX} of `pattern` and `format`")));
        }
        schema.as_object_mut().ok_or("the schema is no object")?.insert(
            "x-guidance".to_owned(),
            // A model that may write blanks anywhere may write nothing else.
            json!({"whitespace_flexible": false, "item_separator": ", ?", "key_separator": ": ?"}),
        );
        let parser = factory.create_parser(TopLevelGrammar::from_json_schema(schema));
        let parser = parser.map_err(|error| unheld(&error))?;
        Ok(Grammar { matcher: Matcher::new(Ok(parser)), ends: Arc::clone(ends) })
    }
}

impl Made {
    fn of(model: &Model, vocabulary: &Vocabulary) -> Result<Made, String> {
        let tokens = 0..Token::try_from(model.vocabulary()).unwrap_or(Token::MAX);
        let ends: Arc<[Token]> = tokens.clone().filter(|token| model.ends_generation(*token)).collect();
        let first = ends.first().and_then(|token| u32::try_from(*token).ok());
        let end = first.ok_or("the model has no token that ends a text")?;
        let words: Vec<Vec<u8>> = tokens.map(|token| vocabulary.piece(token).to_vec()).collect();
        let info = TokRxInfo::new(u32::try_from(words.len()).unwrap_or(u32::MAX), end);
        let env: TokEnv = Arc::new(ApproximateTokEnv::new(TokTrie::from(&info, &words)));
        let slices = llguidance::earley::SlicedBiasComputer::json_slices();
        let mut factory = ParserFactory::new(&env, InferenceCapabilities::default(), &slices)
            .map_err(|error| unheld(&error))?;
        *factory.quiet().limits_mut() = LIMITS;
        Ok(Made { factory, ends })
    }
}

impl Grammar {
    /// Whether the text may go on with this token, or end where the token says so.
    pub(crate) fn admits(&mut self, token: Token) -> Result<bool, String> {
        if self.ends.contains(&token) {
            return self.may_end();
        }
        let Ok(token) = u32::try_from(token) else { return Ok(false) };
        Ok(self.matcher.validate_tokens(&[token]).map_err(|error| unheld(&error))? == 1)
    }

    /// All tokens that may follow. Dearer than to ask for one.
    pub(crate) fn admitted(&mut self) -> Result<Admitted, String> {
        let tokens = self.matcher.compute_mask_or_eos().map_err(|error| unheld(&error))?;
        Ok(Admitted { tokens, ends: Arc::clone(&self.ends), may_end: self.may_end()? })
    }

    fn may_end(&mut self) -> Result<bool, String> {
        Ok(self.matcher.is_stopped() || self.matcher.is_accepting().map_err(|error| unheld(&error))?)
    }

    /// Goes on by a token that is admitted, and says whether nothing may follow it.
    pub(crate) fn advance(&mut self, token: Token) -> Result<bool, String> {
        let token = u32::try_from(token).unwrap_or(u32::MAX);
        match self.matcher.try_consume_tokens(&[token]).map_err(|error| unheld(&error))? {
            1 => Ok(self.matcher.is_stopped()),
            _ => Err(unheld(&"a token was chosen that it does not admit")),
        }
    }
}

impl Admitted {
    pub(crate) fn has(&self, token: Token) -> bool {
        if self.ends.contains(&token) {
            return self.may_end;
        }
        u32::try_from(token).is_ok_and(|token| self.tokens.is_allowed(token))
    }
}

fn expressions(schema: &Value) -> usize {
    match schema {
        Value::Object(object) => object
            .iter()
            .map(|(name, value)| {
                let own = match (name.as_str(), value) {
                    ("pattern" | "format", Value::String(_)) => 1,
                    ("patternProperties", Value::Object(each)) => each.len(),
                    _ => 0,
                };
                own + expressions(value)
            })
            .sum(),
        Value::Array(array) => array.iter().map(expressions).sum(),
        _ => 0,
    }
}

/// What llguidance says, on one line.
fn unheld(error: &impl Display) -> String {
    let text = error.to_string();
    let line = text.chars().map(|char| if char.is_control() { ' ' } else { char });
    format!("the schema cannot be held to: {}", line.take(MESSAGE_MAX).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_counted_wherever_they_are() {
        let schema = json!({
            "properties": {"pattern": {"type": "string", "pattern": "a"}, "b": {"anyOf": [{"format": "date"}, true]}},
            "patternProperties": {"^a": {}, "^b": {"pattern": "c"}},
        });
        assert_eq!(expressions(&schema), 5);
    }
}
