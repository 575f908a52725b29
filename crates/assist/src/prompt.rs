//! From what is asked to the parts of a token-exact prompt.

mod chat;
mod window;

use engine::{Deployment, Worker, WorkerError};
use protocol::worker::{FillTokens, Part, Token};
use retrieval::{Found, Passage};

use crate::template::{self, Surroundings, TemplateError};
use crate::{Ask, Extra, ToolChoice, walk};

/// Tokens of a hole's surroundings at most, beside other files: what a plain CPU reads in a few seconds.
const SURROUNDINGS_TOKENS: usize = 2048;
/// Of those, the share for the text behind the hole, where both are long.
const SUFFIX_SHARE: usize = 4;
/// Bytes that a token of code has at least, nearly always.
const TOKEN_BYTES: usize = 3;
/// The name that stands for the repository until retrieval knows a better one.
const REPOSITORY_NAME: &str = "project";

/// A prompt, ready for the engine.
pub(crate) struct Prompt {
    pub(crate) tokens: Vec<Token>,
    /// Bytes of the surroundings that were left out to make it fit.
    pub(crate) bytes_left_out: u64,
    /// Which of the passages that were found are in it, the most useful first.
    chosen: Vec<usize>,
    /// Tokens that they take.
    pub(crate) context_tokens: usize,
}

/// How much fits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rooms {
    /// Tokens of the prompt, where it can be cut.
    pub(crate) whole: usize,
    /// Tokens of passages that were found.
    pub(crate) context: usize,
}

impl Prompt {
    fn new(tokens: Vec<Token>) -> Prompt {
        Prompt { tokens, bytes_left_out: 0, chosen: Vec::new(), context_tokens: 0 }
    }

    /// The passages in it, the most useful first.
    pub(crate) fn chosen<'a>(&self, found: &'a Found) -> impl Iterator<Item = &'a Passage> {
        self.chosen.iter().filter_map(|&index| found.passages.get(index)).collect::<Vec<_>>().into_iter()
    }

    /// The passages for which there was no room, the most useful first.
    pub(crate) fn left_out<'a>(&self, found: &'a Found) -> impl Iterator<Item = &'a Passage> {
        let left_out = |(index, passage)| (!self.chosen.contains(&index)).then_some(passage);
        found.passages.iter().enumerate().filter_map(left_out)
    }

    /// Whether none of the passages was left out.
    pub(crate) fn holds_all(&self, passages: &[Passage]) -> bool {
        self.chosen.len() == passages.len()
    }

    /// Its tokens.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.tokens.len()).unwrap_or(u32::MAX)
    }
}

/// Why there is no prompt.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PromptError {
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("this model has no fill-in-the-middle tokens: use a model that has them, or chat")]
    NoFill,
    #[error("nothing makes this model call a tool: `tool_choice` can only be auto or none here")]
    Choice,
    #[error("the prompt is empty")]
    Empty,
    #[error(transparent)]
    Worker(#[from] WorkerError),
}

/// The token-exact prompt; a hole's surroundings are cut to the room, a conversation never is. Of the passages, which come
/// most useful first, as many are taken as fit.
pub(crate) async fn build(
    deployment: &Deployment,
    ask: &Ask,
    passages: &[Passage],
    time_unix_s: i64,
    rooms: Rooms,
) -> Result<Prompt, PromptError> {
    let ready = &deployment.ready;
    let mut begin: Vec<Part> = ready.begin_of_text.map(Part::Token).into_iter().collect();
    let prompt = match ask {
        Ask::Chat { messages, tools } => {
            let surroundings = Surroundings {
                time_unix_s,
                begin_of_text: &ready.begin_of_text_spelling,
                end_of_text: &ready.end_of_text_spelling,
            };
            let template = ready.model.chat_template.as_deref();
            let format = walk::tool_format(&deployment.facts, ready);
            // A model that knows no tools may go without, where it need not call one.
            let offered = if format.is_some() { tools.offered.as_slice() } else { &[] };
            let opening = format.map_or_else(
                || (tools.choice == ToolChoice::Auto).then(Vec::new),
                |format| format.opening(tools),
            );
            let opening = opening.ok_or(PromptError::Choice)?;
            let with = chat::fitting(&deployment.worker, messages, offered, passages, rooms).await?;
            let parts = template::render(template, &with.messages, offered, surroundings)?;
            // A template that spells the begin-of-text token itself must not get a second one.
            let spelled = !ready.begin_of_text_spelling.is_empty()
                && matches!(parts.first(), Some(Part::Template(text)) if text.starts_with(&ready.begin_of_text_spelling));
            if spelled {
                begin.clear();
            }
            begin.extend(parts);
            begin.extend(opening);
            let tokens = deployment.worker.tokenize(begin).await?;
            Prompt { chosen: with.chosen, context_tokens: with.tokens, ..Prompt::new(tokens) }
        }
        Ask::Complete { prompt } => {
            begin.push(Part::Template(prompt.clone()));
            Prompt::new(deployment.worker.tokenize(begin).await?)
        }
        Ask::Fill { prefix, suffix, extra } => {
            let fill = ready.fill.ok_or(PromptError::NoFill)?;
            fill_prompt(&deployment.worker, fill, begin, [prefix, suffix], extra, passages, rooms).await?
        }
    };
    if prompt.tokens.is_empty() { Err(PromptError::Empty) } else { Ok(prompt) }
}

/// Prefix, suffix, middle, in the order the models were trained with; other files in front: first what was found, the
/// most useful last, then what the client sent, oldest first, as many of the newest as fit.
///
/// The hole begins some lines above the cursor ([`window`]), and what stands between its beginning and the
/// cursor is given as the beginning of what fills it: so a keystroke changes only the prompt's last tokens,
/// and the entries of all before them are reused, those of the text behind the hole, too.
async fn fill_prompt(
    worker: &Worker,
    fill: FillTokens,
    begin: Vec<Part>,
    [prefix, suffix]: [&String; 2],
    extra: &[Extra],
    passages: &[Passage],
    rooms: Rooms,
) -> Result<Prompt, PromptError> {
    let tokens_room = rooms.whole;
    let surroundings = SURROUNDINGS_TOKENS.min(tokens_room);
    let window = window::of(prefix, suffix, surroundings * TOKEN_BYTES, SUFFIX_SHARE);
    let mut left_out = prefix.len() + suffix.len() - window.len();
    let text = |text: &str| Part::Text(text.to_owned());
    let repository = fill.repository.map(Part::Token).into_iter();
    let opening = repository.flat_map(|token| [token, Part::Text(format!("{REPOSITORY_NAME}\n"))]);
    let mut texts = vec![
        begin,
        vec![text(window.before)],
        vec![text(window.behind)],
        vec![text(window.typed)],
        opening.collect(),
    ];
    if let Some(file) = fill.file {
        let file = |text: String| vec![Part::Token(file), Part::Text(text)];
        texts.push(file("current\n".to_owned()));
        texts.extend(extra.iter().rev().map(|extra| file(format!("{}\n{}", extra.file_name, extra.text))));
        texts.extend(
            passages.iter().map(|found| file(format!("{}\n{}\n", found.path, found.text.trim_end()))),
        );
    }
    // One exchange for all: a wait for each would be felt.
    let mut tokens = worker.tokenize_all(texts).await?.into_iter();
    let mut next = || tokens.next().unwrap_or_default();
    let [begin, before, behind, mut typed, opening, closing] = std::array::from_fn(|_| next());

    // Unusually dense text: cut where it just fits.
    let room = tokens_room.saturating_sub(begin.len() + 3);
    typed.drain(..typed.len().saturating_sub(room));
    let (before_kept, behind_kept) = share(before.len(), behind.len(), room - typed.len());
    let mut room = room - typed.len() - before_kept - behind_kept;

    let mut files = Vec::new();
    for extra in extra.iter().rev() {
        let Some(file) = tokens.next() else { break };
        if file.len() > room {
            left_out += extra.text.len();
            continue;
        }
        room -= file.len();
        files.push(file);
    }
    // The opening and the current file's name go with any of them.
    let mut context_room = rooms.context.min(room.saturating_sub(opening.len() + closing.len()));
    let (mut chosen, mut context_tokens) = (Vec::new(), 0);
    for (index, file) in tokens.enumerate() {
        if file.len() > context_room {
            continue;
        }
        context_room -= file.len();
        room -= file.len();
        context_tokens += file.len();
        chosen.push(index);
        files.push(file);
    }
    if !files.is_empty() && opening.len() + closing.len() <= room {
        files.push(opening);
        files.insert(0, closing);
    }

    let mut tokens = begin;
    tokens.extend(files.into_iter().rev().flatten());
    tokens.push(fill.prefix);
    tokens.extend(&before[before.len() - before_kept..]);
    tokens.push(fill.suffix);
    tokens.extend(&behind[..behind_kept]);
    tokens.push(fill.middle);
    tokens.extend(typed);
    Ok(Prompt { tokens, bytes_left_out: left_out as u64, chosen, context_tokens })
}

/// How many tokens of the prefix's end and of the suffix's beginning are kept.
fn share(prefix: usize, suffix: usize, room: usize) -> (usize, usize) {
    if prefix + suffix <= room {
        return (prefix, suffix);
    }
    let suffix_kept = suffix.min((room / SUFFIX_SHARE).max(room.saturating_sub(prefix)));
    (prefix.min(room - suffix_kept), suffix_kept)
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn surroundings_share_the_room() {
        assert_eq!(share(10, 10, 100), (10, 10));
        assert_eq!(share(1000, 1000, 100), (75, 25));
        assert_eq!(share(1000, 5, 100), (95, 5));
        assert_eq!(share(5, 1000, 100), (5, 95));
        assert_eq!(share(5, 5, 0), (0, 0));
    }
}
