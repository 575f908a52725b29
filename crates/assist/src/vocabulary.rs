//! What a deployment's vocabulary and template make of a text or a conversation. No model runs and nothing is
//! answered, so nothing goes into the ledger but a refusal.

use identity::{Credential, Verb};
use protocol::worker::{Part, Token};

use crate::template::{self, Surroundings};
use crate::walk::refusal_of;
use crate::{Assist, Message, Refusal, RefusalKind};

/// Bytes of a text whose tokens are asked for.
pub const TOKENIZED_BYTES_MAX: usize = 1 << 20;
/// Tokens whose text is asked for.
pub const SPELLED_TOKENS_MAX: usize = 1 << 18;

/// A question, and who asks.
#[derive(Clone, Debug)]
pub struct Spell {
    /// Who says they ask.
    pub credential: Credential,
    /// Which surface and dialect it came by.
    pub dialect: &'static str,
    /// The deployment's alias; `None` takes the first.
    pub deployment: Option<String>,
    /// What is asked.
    pub spelling: Spelling,
}

/// What is asked of a vocabulary.
#[derive(Clone, PartialEq, Eq)]
pub enum Spelling {
    /// The tokens of a text.
    Tokens {
        /// At most [`TOKENIZED_BYTES_MAX`] bytes.
        text: String,
        /// Whether special tokens spelled in it are those tokens.
        special: bool,
        /// Whether the token that the model wants before every prompt comes first.
        begin: bool,
        /// Whether each token's bytes are told.
        pieces: bool,
    },
    /// The text of tokens, at most [`SPELLED_TOKENS_MAX`].
    Text {
        /// In order.
        tokens: Vec<Token>,
    },
    /// The text that the deployment's template makes of a conversation.
    Prompt {
        /// In order.
        messages: Vec<Message>,
    },
}

/// A person's own words: never in a log line.
impl std::fmt::Debug for Spelling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Spelling::Tokens { .. } => "Tokens(…)",
            Spelling::Text { .. } => "Text(…)",
            Spelling::Prompt { .. } => "Prompt(…)",
        })
    }
}

/// What a vocabulary says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spelled {
    /// Of [`Spelling::Tokens`].
    Tokens {
        /// In order.
        tokens: Vec<Token>,
        /// Each one's bytes, which may be a part of a character; empty where they were not asked for.
        pieces: Vec<Vec<u8>>,
    },
    /// Of [`Spelling::Text`] and [`Spelling::Prompt`].
    Text(String),
}

impl Assist {
    /// Asks a deployment's vocabulary or template, for a person who may use the deployment.
    pub async fn spell(&self, asked: Spell) -> Result<Spelled, Refusal> {
        let Spell { credential, dialect, deployment, spelling } = asked;
        let house = &self.house;
        let principal = house.identify(&credential, dialect)?;
        let deployment = house.deployment(dialect, deployment.as_deref(), &principal)?;
        house.authorise(&house.asking(&principal, dialect), Verb::Complete, &deployment).await?;
        let _place = house.admit(dialect, &principal)?;
        let (worker, ready) = (&deployment.worker, &deployment.ready);
        match spelling {
            Spelling::Tokens { text, special, begin, pieces } => {
                if text.len() > TOKENIZED_BYTES_MAX {
                    return Err(too_long(format!("the text is longer than {TOKENIZED_BYTES_MAX} bytes")));
                }
                let first = ready.begin_of_text.filter(|_| begin).map(Part::Token);
                let text = if special { Part::Template(text) } else { Part::Text(text) };
                let parts = first.into_iter().chain([text]).collect();
                let tokens = worker.tokenize(parts).await.map_err(|error| refusal_of(&error))?;
                let alone = tokens.iter().filter(|_| pieces).map(|&token| vec![token]).collect();
                let pieces = match pieces {
                    true => worker.spell_all(alone).await.map_err(|error| refusal_of(&error))?,
                    false => Vec::new(),
                };
                Ok(Spelled::Tokens { tokens, pieces })
            }
            Spelling::Text { tokens } => {
                if tokens.len() > SPELLED_TOKENS_MAX {
                    return Err(too_long(format!("there are more than {SPELLED_TOKENS_MAX} tokens")));
                }
                let spelled = worker.spell_all(vec![tokens]).await.map_err(|error| refusal_of(&error))?;
                Ok(Spelled::Text(String::from_utf8_lossy(&spelled.concat()).into_owned()))
            }
            Spelling::Prompt { messages } => {
                let surroundings = Surroundings {
                    time_unix_s: (house.outside.now_unix_s)(),
                    begin_of_text: &ready.begin_of_text_spelling,
                    end_of_text: &ready.end_of_text_spelling,
                };
                let parts =
                    template::render(ready.model.chat_template.as_deref(), &messages, &[], surroundings)
                        .map_err(|error| Refusal::new(RefusalKind::Invalid, error.to_string()))?;
                let texts = parts.into_iter().filter_map(|part| match part {
                    Part::Text(text) | Part::Template(text) => Some(text),
                    Part::Token(_) => None,
                });
                Ok(Spelled::Text(texts.collect()))
            }
        }
    }
}

fn too_long(message: String) -> Refusal {
    Refusal::new(RefusalKind::Invalid, message)
}
