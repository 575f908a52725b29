//! What a text's words alone tell, without a grammar: what it imports, what it declares, and which scopes are
//! open at a place. Each pack has a function that walks the lexemes once and notes it here.

use std::ops::Range;

use crate::language::Language;
use crate::lexis::{Kind, Lexeme, Lexer};

/// So many imports of a text are kept.
const IMPORTS_MAX: usize = 512;
/// So many scopes may be open; deeper ones are not seen.
const SCOPES_MAX: usize = 256;

/// A qualified name has so many lexemes.
const NAME_LEXEMES_MAX: usize = 64;

/// The lexemes of a text and what was noted of them.
pub(crate) struct Outline<'t> {
    pub(crate) language: Language,
    pub(crate) text: &'t str,
    pub(crate) lexemes: Vec<Lexeme>,
    /// Scopes open here are asked for.
    cursor: usize,
    pub(crate) imports: Vec<String>,
    /// Lexemes of the imports: what is named there is named nowhere else yet.
    pub(crate) import_spans: Vec<Range<usize>>,
    /// Words that declare something.
    pub(crate) declared: Vec<usize>,
    open: Vec<Scope>,
    /// The scopes open at the cursor, outermost first, once it was passed.
    at_cursor: Option<Vec<Scope>>,
    pub(crate) unit: Option<String>,
}

/// What is open between its begin and its end.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// None of a plain block.
    pub(crate) name: Option<String>,
    /// Whether its statements have begun.
    pub(crate) begun: bool,
    /// Its column, where indentation closes it.
    pub(crate) column: usize,
}

impl<'t> Outline<'t> {
    /// Of the text, with the scopes that are open at `cursor` (a byte).
    pub(crate) fn new(language: Language, text: &'t str, cursor: usize) -> Outline<'t> {
        let pack = language.pack();
        let mut lexemes = Vec::with_capacity(text.len() / 6);
        lexemes.extend(Lexer::new(&pack.lexis, text));
        let mut outline = Outline {
            language,
            text,
            lexemes,
            cursor,
            imports: Vec::new(),
            import_spans: Vec::new(),
            declared: Vec::new(),
            open: Vec::new(),
            at_cursor: None,
            unit: None,
        };
        (pack.outline)(&mut outline);
        outline
    }

    pub(crate) fn len(&self) -> usize {
        self.lexemes.len()
    }

    pub(crate) fn kind(&self, at: usize) -> Option<Kind> {
        self.lexemes.get(at).map(|lexeme| lexeme.kind)
    }

    /// What the lexeme is as written, nothing behind the end.
    pub(crate) fn written(&self, at: usize) -> &'t str {
        self.lexemes.get(at).map_or("", |lexeme| &self.text[lexeme.start..lexeme.end])
    }

    /// As indexes keep it.
    pub(crate) fn folded(&self, at: usize) -> String {
        crate::fold(self.language, self.written(at))
    }

    pub(crate) fn is_word(&self, at: usize) -> bool {
        self.kind(at) == Some(Kind::Word)
    }

    /// Whether the lexeme is that keyword (lower-case where case is folded).
    pub(crate) fn is(&self, at: usize, keyword: &str) -> bool {
        self.is_any(at, &[keyword])
    }

    pub(crate) fn is_any(&self, at: usize, keywords: &[&str]) -> bool {
        if self.kind(at) != Some(Kind::Keyword) {
            return false;
        }
        let written = self.written(at).as_bytes();
        let folds_case = self.language.folds_case();
        keywords.iter().map(|keyword| keyword.as_bytes()).any(|keyword| {
            keyword.len() == written.len()
                && (folds_case && keyword.eq_ignore_ascii_case(written) || keyword == written)
        })
    }

    pub(crate) fn symbol(&self, at: usize, symbol: u8) -> bool {
        self.kind(at) == Some(Kind::Symbol(symbol))
    }

    /// Whether two symbols stand side by side, `=` and `>` for instance.
    pub(crate) fn symbols(&self, at: usize, first: u8, second: u8) -> bool {
        self.symbol(at, first)
            && self.symbol(at + 1, second)
            && self.lexemes[at].end == self.lexemes[at + 1].start
    }

    /// Whether the lexeme is the first of its line.
    pub(crate) fn begins_line(&self, at: usize) -> bool {
        let Some(lexeme) = self.lexemes.get(at) else { return false };
        let from = match at {
            0 => 0,
            _ => self.lexemes[at - 1].end,
        };
        at == 0 || self.text.as_bytes()[from..lexeme.start].contains(&b'\n')
    }

    /// How far the lexeme is from the begin of its line, in bytes.
    pub(crate) fn column(&self, at: usize) -> usize {
        let start = self.lexemes.get(at).map_or(0, |lexeme| lexeme.start);
        self.text.as_bytes()[..start].iter().rev().take(256).take_while(|byte| **byte != b'\n').count()
    }

    /// Whether a word before qualifies this one, or a tick makes it an attribute.
    pub(crate) fn is_qualified(&self, at: usize) -> bool {
        at > 0 && {
            let qualifier = self.language.pack().lexis.qualifier.as_bytes();
            match (qualifier, self.kind(at - 1)) {
                ([single], Some(Kind::Symbol(before))) => *single == before,
                ([first, second], _) => at > 1 && self.symbols(at - 2, *first, *second),
                _ => false,
            }
        }
    }

    /// Where the qualified name that begins with the word at `at` ends: behind its last lexeme.
    pub(crate) fn name_end(&self, at: usize) -> usize {
        let step = self.language.pack().lexis.qualifier.len();
        let mut end = at + 1;
        while end - at < NAME_LEXEMES_MAX
            && self.is_word(end - 1)
            && matches!(self.kind(end + step), Some(Kind::Word | Kind::Text))
            && self.is_qualified(end + step)
        {
            end += step + 1;
        }
        end
    }

    /// The qualified name of these lexemes, folded, without white space.
    pub(crate) fn name(&self, span: Range<usize>) -> String {
        crate::fold(self.language, &span.map(|at| self.written(at)).collect::<String>())
    }

    pub(crate) fn import(&mut self, name: String) {
        if !name.is_empty() && self.imports.len() < IMPORTS_MAX && !self.imports.contains(&name) {
            self.imports.push(name);
        }
    }

    pub(crate) fn declare(&mut self, at: usize) {
        self.declared.push(at);
    }

    /// Words with commas between them.
    pub(crate) fn declare_list(&mut self, first: usize) {
        let mut at = first;
        while self.is_word(at) {
            self.declare(at);
            if !self.symbol(at + 1, b',') {
                return;
            }
            at += 2;
        }
    }

    /// Whether the word is one that names nothing: an attribute of Ada or VHDL, a directive of C.
    pub(crate) fn names_nothing(&self, at: usize) -> bool {
        at > 0
            && match self.language {
                Language::Ada | Language::Vhdl => self.symbol(at - 1, b'\''),
                Language::C | Language::Cpp => self.symbol(at - 1, b'#'),
                _ => false,
            }
    }

    /// The first word of the qualified name that ends with the word at `at`.
    pub(crate) fn name_begin(&self, at: usize) -> usize {
        let step = self.language.pack().lexis.qualifier.len() + 1;
        let mut first = at;
        while first >= step
            && self.is_qualified(first)
            && self.is_word(first - step)
            && at - first < NAME_LEXEMES_MAX
        {
            first -= step;
        }
        first
    }

    /// Notes the first name only: the library unit that is around all.
    pub(crate) fn note_unit(&mut self, name: String) {
        self.unit.get_or_insert(name);
    }

    /// Called before the lexeme at `at` is looked at.
    pub(crate) fn pass(&mut self, at: usize) {
        if self.at_cursor.is_none() && self.lexemes.get(at).is_some_and(|lexeme| lexeme.start >= self.cursor)
        {
            self.at_cursor = Some(self.open.clone());
        }
    }

    pub(crate) fn open(&mut self, name: Option<String>, begun: bool, column: usize) {
        if self.open.len() < SCOPES_MAX {
            self.open.push(Scope { name, begun, column });
        }
    }

    pub(crate) fn innermost(&mut self) -> Option<&mut Scope> {
        self.open.last_mut()
    }

    /// Closes the innermost scope, or all down to that of the name. A name that is not open closes nothing: its
    /// begin is out of sight.
    pub(crate) fn close(&mut self, name: Option<&str>) {
        match name {
            None => drop(self.open.pop()),
            Some(name) => {
                let found = self.open.iter().rposition(|scope| {
                    scope.name.as_deref().is_some_and(|open| {
                        open == name || open.rsplit('.').next() == name.rsplit('.').next()
                    })
                });
                if let Some(found) = found {
                    self.open.truncate(found);
                }
            }
        }
    }

    /// Closes scopes that a line at this column ends.
    pub(crate) fn close_from_column(&mut self, column: usize) {
        while self.open.last().is_some_and(|scope| scope.column >= column) {
            self.open.pop();
        }
    }

    /// Names of the scopes open at the cursor, innermost first.
    pub(crate) fn enclosing(&self) -> Vec<String> {
        let scopes = self.at_cursor.as_ref().unwrap_or(&self.open);
        scopes.iter().rev().filter_map(|scope| scope.name.clone()).collect()
    }
}

/// What languages without a pack of rules share: words that declare the name behind them, words that open
/// a scope of that name, and words that close one.
pub(crate) struct Plain {
    pub(crate) imports: &'static [&'static str],
    pub(crate) opens: &'static [&'static str],
    pub(crate) closes: &'static [&'static str],
    pub(crate) declares: &'static [&'static str],
}

/// The outline by such words.
pub(crate) fn plain(outline: &mut Outline<'_>, words: &Plain) {
    let mut at = 0;
    while at < outline.len() {
        outline.pass(at);
        if outline.is_any(at, words.imports) {
            let next = at + 1;
            if outline.is_word(next) {
                outline.import(outline.folded(next));
            } else if outline.kind(next) == Some(Kind::Text) {
                outline.import(outline.written(next).trim_matches(['"', '\'']).to_owned());
            }
            outline.import_spans.push(at..next + 1);
        } else if outline.is_any(at, words.closes) {
            outline.close(None);
            // `end subroutine x`
            while outline.is_any(at + 1, words.opens) || outline.is_any(at + 1, words.closes) {
                at += 1;
            }
        } else if outline.is_any(at, words.opens) || outline.is_any(at, words.declares) {
            let opens = outline.is_any(at, words.opens);
            let mut name = at + 1;
            // `function automatic [7:0] f`, `wire signed [7:0] w`: past other keywords and ranges, within limits.
            while name < at + 24
                && !outline.is_word(name)
                && !outline.symbol(name, b';')
                && name < outline.len()
            {
                if outline.symbol(name, b'[') {
                    while name < at + 24 && name < outline.len() && !outline.symbol(name, b']') {
                        name += 1;
                    }
                }
                name += 1;
            }
            if outline.is_word(name) {
                outline.declare(name);
                if opens {
                    let folded = outline.folded(name);
                    outline.note_unit(folded.clone());
                    outline.open(Some(folded), true, 0);
                }
            }
        }
        at += 1;
    }
}
