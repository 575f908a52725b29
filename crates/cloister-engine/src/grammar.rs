//! What an answer is held to, token by token, by llguidance: JSON that a schema admits, or a language's syntax.
//!
//! A schema may come from anybody: what it costs to read it and to find the tokens that may follow is limited, and one that
//! says what is not understood is refused, since an answer that passes over it would look as if it had obeyed.
//!
//! A syntax is ours, and a help: where a text is not as it has it, or costs too much, the answer goes on without it.

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

/// The languages whose syntax is known.
static SYNTAXES: [(&str, &str); 2] =
    [("ada", include_str!("syntax/ada.lark")), ("vhdl", include_str!("syntax/vhdl.lark"))];

/// Bytes before an answer that are read by a syntax: some 10 ms for each 1,000.
const BEFORE_BYTES_MAX: usize = 32 << 10;

/// Makes grammars for a model's vocabulary, which is read when the first is wanted.
#[derive(Default)]
pub(crate) struct Grammars {
    made: Option<Made>,
}

struct Made {
    factory: ParserFactory,
    ends: Arc<[Token]>,
    /// Of each of [`SYNTAXES`] that was wanted, where nothing is written yet.
    syntaxes: [Option<Matcher>; SYNTAXES.len()],
}

/// What one generation is held to, as far as it has come.
pub(crate) struct Grammar {
    matcher: Matcher,
    /// Tokens that end a generation.
    ends: Arc<[Token]>,
    /// Whether it is a help that ends where it cannot go on: an answer may end anywhere, and then goes on without.
    pub(crate) is_help: bool,
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
        let Made { factory, ends, .. } = self.made(model, vocabulary)?;
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
        Ok(Grammar { matcher: Matcher::new(Ok(parser)), ends: Arc::clone(ends), is_help: false })
    }

    /// Of a language, behind a text. None where the text is not as the syntax has it, or too long.
    pub(crate) fn of_syntax(
        &mut self,
        model: &Model,
        vocabulary: &Vocabulary,
        language: &str,
        before: &str,
    ) -> Result<Option<Grammar>, String> {
        let known = SYNTAXES.iter().position(|(name, _)| *name == language);
        let known = known.ok_or_else(|| format!("no syntax is known of {}", language.escape_debug()))?;
        if before.len() > BEFORE_BYTES_MAX {
            return Ok(None);
        }
        let made = self.made(model, vocabulary)?;
        let (matcher, read) = made.read(known, before);
        let is_read = read == before.len();
        Ok(is_read.then(|| Grammar { matcher, ends: Arc::clone(&made.ends), is_help: true }))
    }

    fn made(&mut self, model: &Model, vocabulary: &Vocabulary) -> Result<&mut Made, String> {
        match &mut self.made {
            Some(made) => Ok(made),
            none => Ok(none.insert(Made::of(model, vocabulary)?)),
        }
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
        Made::of_words(Arc::new(ApproximateTokEnv::new(TokTrie::from(&info, &words))), ends)
    }

    fn of_words(env: TokEnv, ends: Arc<[Token]>) -> Result<Made, String> {
        let slices = llguidance::earley::SlicedBiasComputer::json_slices();
        let mut factory = ParserFactory::new(&env, InferenceCapabilities::default(), &slices)
            .map_err(|error| unheld(&error))?;
        *factory.quiet().limits_mut() = LIMITS;
        Ok(Made { factory, ends, syntaxes: [None, None] })
    }

    /// Goes through a text by one of [`SYNTAXES`], and says how many of its bytes are as that has it.
    fn read(&mut self, syntax: usize, text: &str) -> (Matcher, usize) {
        let fresh = match &mut self.syntaxes[syntax] {
            Some(matcher) => matcher,
            none => {
                let grammar = TopLevelGrammar::from_lark(SYNTAXES[syntax].1.to_owned());
                none.insert(Matcher::new(self.factory.create_parser(grammar)))
            }
        };
        let mut matcher = fresh.deep_clone();
        let words = self.factory.tok_env().tok_trie();
        let tokens = words.greedy_tokenize(text.as_bytes());
        let read = matcher.try_consume_tokens(&tokens).unwrap_or(0);
        (matcher, tokens.iter().take(read).map(|token| words.token_len(*token)).sum())
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
        Ok(self.is_help
            || self.matcher.is_stopped()
            || self.matcher.is_accepting().map_err(|error| unheld(&error))?)
    }

    /// Goes on by a token that is admitted, and says whether nothing may follow it.
    pub(crate) fn advance(&mut self, token: Token) -> Result<bool, String> {
        let token = u32::try_from(token).unwrap_or(u32::MAX);
        match self.matcher.try_consume_tokens(&[token]).map_err(|error| unheld(&error))? {
            1 => Ok(!self.is_help && self.matcher.is_stopped()),
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

    /// A vocabulary of bytes.
    fn bytes() -> Made {
        let env: TokEnv = ApproximateTokEnv::single_byte_env();
        Made::of_words(env, Arc::new([])).unwrap()
    }

    /// Each text, and how much of it is as the syntax has it.
    fn read_all(syntax: usize, texts: &[(&str, &str)]) {
        let mut made = bytes();
        for (good, bad) in texts {
            let (mut matcher, read) = made.read(syntax, &[*good, *bad].concat());
            assert_eq!(read, good.len(), "{good:?} {bad:?} {:?}", matcher.get_error());
            assert!(!bad.is_empty() || matcher.is_accepting().unwrap(), "{good:?} does not end");
        }
    }

    #[test]
    fn ada_as_it_is_and_as_it_is_not() {
        read_all(
            0,
            &[
                ("procedure P is begin S := S & 'a' & Character'('b'); X := T'First; end P;", ""),
                ("procedure P is begin return X in 1 .. 2 and then not Y; end P;", ""),
                ("procedure P is begin for I in 1..N loop X := X + 1 ", "end loop; end P;"),
                ("procedure P is begin X ", "+= 1; end P;"),
                ("procedure P is begin S := 'a", "bc'; end P;"),
                ("procedure P is X : Integer; A :", "= 1; begin null; end P;"),
                ("procedure P is begin if X =", "= 1 then null; end if; end P;"),
                ("procedure P is begin if X then null; endif", "; end P;"),
                ("procedure P is begin if X then null; elif", " Y then null; end if; end P;"),
                ("procedure P is begin if X then null; else if Y then null; end if; end ", "P;"),
                ("procedure P is begin A", "[1] := 2; end P;"),
                ("procedure P is X : Integer; fo", "r I in 1 .. 2 loop null; end loop; begin null; end P;"),
                ("procedure P is X_1 : Integer; Y_", " : Integer; begin null; end P;"),
                ("procedure P is begin Sum :", " Integer; end P;"),
                ("procedure P is begin loop exit when A and B ", "or C; end loop; end P;"),
            ],
        );
    }

    #[test]
    fn vhdl_as_it_is_and_as_it_is_not() {
        read_all(
            1,
            &[
                ("architecture a of b is begin x <= y when s = '1' else z; end;", ""),
                (
                    "architecture a of b is begin g: for i in 0 to 3 generate x(i) <= a(i); end generate; end;",
                    "",
                ),
                ("architecture a of b is begin u: entity work.c port map (a => b, c => open); end;", ""),
                (
                    "architecture a of b is begin x <= std_logic_vector(unsigned(a) + 1) & b(3 downto 0); end;",
                    "",
                ),
                ("architecture a of b is begin if s ", "then x <= y; end if; end;"),
                ("architecture a of b is begin process(clk) begin q <= d ", "end process; end a;"),
                ("architecture a of b is signal s : std_logic; begin signal", " t : std_logic;"),
                ("architecture a of b is begin process(clk) s", "ignal q : std_logic; begin"),
                ("architecture a of b is begin x <= a &", "& b; end;"),
                ("architecture a of b is begin x ", "= a; end;"),
                ("architecture a of b is begin x <= a and b ", "or c; end;"),
                ("architecture a of b is begin x <= a ?", " b : c; end;"),
            ],
        );
    }

    /// Of what the toolchains' own libraries say, all but what is left out so that a model is not led astray.
    #[test]
    fn real_code_is_read_to_its_end() {
        let folders = [
            (0, "/usr/lib/gcc/x86_64-linux-gnu/12/adainclude", ["adb", "ads"]),
            (1, "/usr/lib/ghdl/src", ["vhdl", "vhd"]),
        ];
        for (syntax, folder, endings) in folders {
            let mut made = bytes();
            let (mut all, mut unread) = (0, Vec::new());
            for entry in files_below(folder) {
                let is_code =
                    entry.extension().is_some_and(|ending| endings.iter().any(|one| ending == *one));
                let text = std::fs::read_to_string(&entry).ok();
                let Some(text) = text.filter(|text| is_code && text.len() < 8 << 10) else { continue };
                let (mut matcher, read) = made.read(syntax, &text);
                all += 1;
                if read < text.len() || !matcher.is_accepting().unwrap() {
                    unread.push(format!("{}:{}", entry.display(), text[..read].lines().count()));
                }
            }
            assert!(all > 10 && unread.len() * 40 < all, "{folder}: {all}, not read: {unread:#?}");
        }
    }

    fn files_below(folder: &str) -> Vec<std::path::PathBuf> {
        let (mut folders, mut files) = (vec![std::path::PathBuf::from(folder)], Vec::new());
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("`cargo xtask setup` installs the toolchains") {
                let path = entry.expect("a folder can be read").path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files
    }
}
