//! The fields of an index. One kind of document a class: files, the pieces of their text, the names that they define, and
//! what is left out.

use languages::tokens;
use tantivy::schema::{Field, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{Token, TokenStream, Tokenizer, TokenizerManager};

/// The version of this layout and of what is put into it: an index of another one is made anew.
pub(crate) const FORMAT: u32 = 1;

const CODE: &str = "code";

/// A file that is in the index.
pub(crate) const FILE: &str = "file";
/// A piece of a file's text.
pub(crate) const CHUNK: &str = "chunk";
/// A name that a file defines.
pub(crate) const DEFINITION: &str = "definition";
/// A file that is not in the index.
pub(crate) const LEFT_OUT: &str = "left_out";
/// Beside that: it was not even read.
pub(crate) const LISTED: &str = "listed";
/// Beside that of a piece: it looks as if it addressed the assistant.
pub(crate) const SUSPICIOUS: &str = "suspicious";

#[derive(Clone, Debug)]
pub(crate) struct Fields {
    pub(crate) schema: Schema,
    /// [`FILE`], [`CHUNK`], [`DEFINITION`] or [`LEFT_OUT`].
    pub(crate) class: Field,
    pub(crate) path: Field,
    /// Of a file: what changes when its content does. Of what is left out: the reason.
    pub(crate) id: Field,
    /// Language or format.
    pub(crate) language: Field,
    /// Folded names that a definition is found by: the simple one, and the qualified one.
    pub(crate) symbol: Field,
    /// Folded names that a piece defines.
    pub(crate) defines: Field,
    /// Folded names that a piece uses.
    pub(crate) uses: Field,
    /// Folded names of the library units of the file.
    pub(crate) unit: Field,
    /// Of a piece its text, headings, name and path; of a definition its name, what a caller needs, and its comment.
    pub(crate) body: Field,
    pub(crate) kind: Field,
    /// Qualified, as spelled.
    pub(crate) name: Field,
    /// Lines, from 1; of a document without lines, 0.
    pub(crate) first: Field,
    pub(crate) last: Field,
    /// Of a piece its text; of a definition what a caller needs of it.
    pub(crate) text: Field,
    pub(crate) comment: Field,
    pub(crate) is_body: Field,
    /// Where in a document: page, label, place and headings, as JSON.
    pub(crate) place: Field,
    /// What in the text addresses the assistant.
    pub(crate) suspicious: Field,
    /// Bytes of a file's text.
    pub(crate) bytes: Field,
}

impl Fields {
    pub(crate) fn new() -> Fields {
        let mut builder = Schema::builder();
        // Names are looked up, not ranked by their frequency.
        let names = || {
            let indexing =
                TextFieldIndexing::default().set_tokenizer("raw").set_index_option(IndexRecordOption::Basic);
            TextOptions::default().set_indexing_options(indexing.set_fieldnorms(false))
        };
        let searched = TextOptions::default().set_indexing_options(
            TextFieldIndexing::default()
                .set_tokenizer(CODE)
                .set_index_option(IndexRecordOption::WithFreqs)
                .set_fieldnorms(true),
        );
        Fields {
            class: builder.add_text_field("class", STRING | STORED),
            path: builder.add_text_field("path", STRING | STORED),
            id: builder.add_text_field("id", STORED),
            language: builder.add_text_field("language", STORED),
            symbol: builder.add_text_field("symbol", names()),
            defines: builder.add_text_field("defines", names()),
            uses: builder.add_text_field("uses", names()),
            unit: builder.add_text_field("unit", names().set_stored()),
            body: builder.add_text_field("body", searched),
            kind: builder.add_text_field("kind", STORED),
            name: builder.add_text_field("name", STORED),
            first: builder.add_u64_field("first", STORED),
            last: builder.add_u64_field("last", STORED),
            text: builder.add_text_field("text", STORED),
            comment: builder.add_text_field("comment", STORED),
            is_body: builder.add_u64_field("is_body", STORED),
            place: builder.add_text_field("place", STORED),
            suspicious: builder.add_text_field("suspicious", STORED),
            bytes: builder.add_u64_field("bytes", STORED),
            schema: builder.build(),
        }
    }
}

/// Every index is read and written with these.
pub(crate) fn tokenizers() -> TokenizerManager {
    let manager = TokenizerManager::new();
    // "default" is asked for where a field is only stored.
    for name in ["raw", "default"] {
        manager.register(name, tantivy::tokenizer::RawTokenizer::default());
    }
    manager.register(CODE, Code::default());
    manager
}

/// Identifiers, whole and in parts, without case.
#[derive(Clone, Default)]
struct Code {
    tokens: Vec<Token>,
}

struct CodeTokens<'a> {
    tokens: &'a mut Vec<Token>,
    /// One more than the current token's index.
    next: usize,
}

impl Tokenizer for Code {
    type TokenStream<'a> = CodeTokens<'a>;

    fn token_stream<'a>(&'a mut self, text: &str) -> CodeTokens<'a> {
        self.tokens.clear();
        self.tokens.extend(tokens(text).map(|token| Token {
            offset_from: token.offset_from,
            offset_to: token.offset_to,
            position: token.position,
            text: token.text,
            position_length: 1,
        }));
        CodeTokens { tokens: &mut self.tokens, next: 0 }
    }
}

impl TokenStream for CodeTokens<'_> {
    fn advance(&mut self) -> bool {
        let more = self.next < self.tokens.len();
        self.next += usize::from(more);
        more
    }

    fn token(&self) -> &Token {
        &self.tokens[self.next - 1]
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.tokens[self.next - 1]
    }
}
