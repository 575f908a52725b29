//! What of a unit can be called from outside, as its words declare it.

use std::ops::RangeInclusive;

use super::super::check::Words;
use crate::lexis::Kind;

/// Subprograms of a unit that are driven, and types that are read.
const SUBPROGRAMS_MAX: usize = 16;
const TYPES_MAX: usize = 200;
/// Parameters of one, and components of a record.
const PARTS_MAX: usize = 12;
/// Packages that are looked at, and words of a formal part.
const PACKAGES_MAX: usize = 64;
const FORMAL_WORDS_MAX: usize = 400;

/// What is called, and the types of what it is called with.
pub(super) struct Declarations<'t> {
    /// The library unit, to be named in a context clause.
    pub(super) unit: String,
    /// Whether its text speaks of SPARK: then nothing predefined may be raised.
    pub(super) is_spark: bool,
    /// A type comes behind those that it is made of.
    pub(super) types: Vec<Type<'t>>,
    pub(super) subprograms: Vec<Subprogram<'t>>,
    /// Those of them that are called first, since they give what is kept a value.
    pub(super) initialisers: Vec<usize>,
}

/// A type whose values can be drawn and shown.
pub(super) struct Type<'t> {
    /// As the bench names it.
    pub(super) name: String,
    pub(super) shape: Shape<'t>,
}

/// What its values are. Numbers are places in [`Declarations::types`].
#[derive(Clone)]
pub(super) enum Shape<'t> {
    Discrete,
    Character,
    /// Floating and fixed point.
    Real,
    Text,
    Unbounded,
    /// Of one dimension or two.
    Array {
        dimensions: Vec<Dimension>,
        element: usize,
    },
    Record(Vec<(&'t str, usize)>),
    /// A private type: its values are not drawn; an object of it is kept from call to call, and beside it another.
    Kept {
        is_limited: bool,
    },
}

#[derive(Clone)]
pub(super) enum Dimension {
    /// `Index range <>`.
    Open(usize),
    /// As its type says.
    Closed,
}

pub(super) struct Subprogram<'t> {
    /// As the text has it.
    pub(super) name: &'t str,
    /// As the bench calls it.
    pub(super) qualified: String,
    pub(super) parameters: Vec<Parameter<'t>>,
    /// `None`: a procedure.
    pub(super) result: Option<usize>,
    /// Of its declaration, contracts included, from 1.
    pub(super) lines: RangeInclusive<usize>,
}

pub(super) struct Parameter<'t> {
    pub(super) name: &'t str,
    pub(super) of: usize,
    pub(super) is_read: bool,
    pub(super) is_written: bool,
}

/// Of the first package specification whose body is there, too, or of a subprogram that is a library unit. `None`: there
/// is nothing that can be called.
pub(super) fn declarations<'t>(words: &Words<'t>) -> Option<Declarations<'t>> {
    let mut reader = Reader { words, package: None, types: Vec::new() };
    let (unit, subprograms) = reader.package().or_else(|| reader.library_subprogram())?;
    // `SPARK_Mode => Off`, or `pragma SPARK_Mode (Off)`.
    let is_off = |at: usize| (at + 2..at + 4).any(|at| reader.is_word(at, "off"));
    let is_spark = (0..words.lexemes.len()).any(|at| reader.is_word(at, "spark_mode") && !is_off(at));
    let (subprograms, initialisers) = reader.with_values(subprograms);
    let found = Declarations { unit, is_spark, types: reader.types, subprograms, initialisers };
    (!found.subprograms.is_empty() && !found.unit.eq_ignore_ascii_case(super::BENCH)).then_some(found)
}

struct Reader<'w, 't> {
    words: &'w Words<'t>,
    /// What its declarations are named by.
    package: Option<String>,
    types: Vec<Type<'t>>,
}

impl<'t> Reader<'_, 't> {
    fn package(&mut self) -> Option<(String, Vec<Subprogram<'t>>)> {
        let words = self.words;
        let count = words.lexemes.len();
        let bodies: Vec<String> = (0..count)
            .filter(|at| words.is(*at, "package") && words.is(at + 1, "body"))
            .take(PACKAGES_MAX)
            .filter_map(|at| Some(words.name(at + 2)?.0))
            .collect();
        let is_specification =
            |at: &usize| words.is(*at, "package") && !words.is(at + 1, "body") && !self.is_generic(*at);
        let (at, behind) = (0..count).filter(is_specification).take(PACKAGES_MAX).find_map(|at| {
            let (name, behind) = words.name(at + 1)?;
            bodies.contains(&name).then_some((at, behind))
        })?;
        let is = (behind..words.behind_semicolon(behind)).find(|at| words.is(*at, "is"))?;
        let unit = self.source(at + 1, behind - 1)?;
        self.package = Some(unit.to_owned());
        let subprograms = self.visible(is + 1);
        Some((unit.to_owned(), subprograms))
    }

    /// Whether a formal part stands before it.
    fn is_generic(&self, at: usize) -> bool {
        let before = (0..at).rev().take(FORMAL_WORDS_MAX).take_while(|at| !self.words.is(*at, "end"));
        before.into_iter().any(|at| self.words.is(at, "generic"))
    }

    /// The declarations from there on, up to a private part or the end; what has an end of its own is passed over.
    fn visible(&mut self, mut at: usize) -> Vec<Subprogram<'t>> {
        const ENDS: [&str; 3] = ["private", "end", "begin"];
        const NESTED: [&str; 4] = ["package", "generic", "protected", "task"];
        let words = self.words;
        let mut found = Vec::new();
        let is_over = |at: usize| at >= words.lexemes.len() || ENDS.iter().any(|word| words.is(at, word));
        while !is_over(at) && found.len() < 2 * SUBPROGRAMS_MAX && self.types.len() < TYPES_MAX {
            let mut behind = words.behind_semicolon(at);
            if words.is(at, "type") || words.is(at, "subtype") {
                if let Some(record) = self.record(at) {
                    behind = record;
                } else {
                    self.type_declaration(at);
                }
            } else if words.is(at, "function") || words.is(at, "procedure") {
                found.extend(self.subprogram(at, behind));
            } else if NESTED.iter().any(|word| words.is(at, word)) {
                match self.behind_nested(at) {
                    Some(nested) => behind = nested,
                    None => break,
                }
            }
            at = behind.max(at + 1);
        }
        found
    }

    /// Behind a nested package, protected unit or task, or a generic one; `None` where its end cannot be told.
    fn behind_nested(&self, mut at: usize) -> Option<usize> {
        let words = self.words;
        if words.is(at, "generic") {
            at += 1;
            while !["package", "function", "procedure"].iter().any(|word| words.is(at, word)) {
                at = Some(words.behind_semicolon(at)).filter(|behind| *behind < words.lexemes.len())?;
            }
            if !words.is(at, "package") {
                return Some(words.behind_semicolon(at));
            }
        }
        let (_, behind) = words.name(at + 1 + usize::from(words.is(at + 1, "type")))?;
        let semicolon = words.behind_semicolon(behind);
        // `task T;`, `package P renames Q;`, `package P is new G (…);`
        let is = (behind..semicolon).find(|at| words.is(*at, "is"));
        let Some(is) = is.filter(|is| !(words.is(at, "package") && words.is(is + 1, "new"))) else {
            return Some(semicolon);
        };
        let name = self.word(behind - 1)?;
        // Before any body: there it would be another's.
        let end = (is..words.lexemes.len())
            .take_while(|at| !words.is(*at, "body"))
            .find(|at| words.is(*at, "end") && self.is_word(at + 1, name))?;
        Some(words.behind_semicolon(end))
    }

    /// Those whose private types have a value from the beginning, and which of them give it where the type itself does not.
    fn with_values(&self, mut all: Vec<Subprogram<'t>>) -> (Vec<Subprogram<'t>>, Vec<usize>) {
        let is_kept = |of: usize| matches!(self.types[of].shape, Shape::Kept { .. });
        all.retain(|one| {
            let kept = |of: usize| one.parameters.iter().filter(|parameter| parameter.of == of).count();
            // There are two objects of each, and one of what cannot be copied.
            (0..self.types.len()).all(|of| match self.types[of].shape {
                Shape::Kept { is_limited: true } => kept(of) <= 1 && one.result != Some(of),
                Shape::Kept { is_limited: false } => kept(of) <= 2,
                _ => true,
            })
        });
        all.truncate(SUBPROGRAMS_MAX);
        let gives = |one: &Subprogram<'_>, of: usize| {
            let mut parameters = one.parameters.iter().filter(|parameter| is_kept(parameter.of));
            let is_out = |parameter: &Parameter<'_>| parameter.of == of && !parameter.is_read;
            match one.result {
                Some(result) => result == of && parameters.next().is_none(),
                None => parameters.next().is_some_and(is_out) && parameters.next().is_none(),
            }
        };
        let without = |of: &usize| is_kept(*of) && !self.has_value(&self.types[*of].name);
        let needed: Vec<usize> = (0..self.types.len()).filter(without).collect();
        let has_giver = |of: &usize| all.iter().any(|one| gives(one, *of));
        let (given, never): (Vec<usize>, Vec<usize>) = needed.into_iter().partition(has_giver);
        all.retain(|one| {
            !never.iter().any(|of| {
                one.result == Some(*of) || one.parameters.iter().any(|parameter| parameter.of == *of)
            })
        });
        let first = |of: &usize| all.iter().position(|one| gives(one, *of));
        let initialisers = given.iter().filter_map(first).collect();
        (all, initialisers)
    }

    /// Whether an object of a private type has a value where it is declared: by its full declaration, each component has.
    fn has_value(&self, qualified: &str) -> bool {
        let words = self.words;
        let name = qualified.rsplit('.').next().unwrap_or(qualified);
        let is_it =
            |at: &usize| words.is(*at, "type") && self.is_word(at + 1, name) && words.is(at + 2, "is");
        let Some(full) = (0..words.lexemes.len()).filter(is_it).nth(1) else { return false };
        if words.is(full + 3, "access") {
            return true;
        }
        let semicolon = words.behind_semicolon(full);
        let Some(record) = (full + 3..semicolon).find(|at| words.is(*at, "record")) else { return false };
        if words.is(record - 1, "null") {
            return true;
        }
        let mut at = record + 1;
        while !words.is(at, "end") {
            let behind = words.behind_semicolon(at);
            let has_value = (at..behind).any(|at| words.symbol(at, b':') && words.symbol(at + 1, b'='));
            if !has_value && !words.is(at, "null") || behind <= at {
                return false;
            }
            at = behind;
        }
        true
    }

    /// A body that is the first of the text's units, and has no package.
    fn library_subprogram(&mut self) -> Option<(String, Vec<Subprogram<'t>>)> {
        let words = self.words;
        let mut at = 0;
        while ["with", "use", "pragma", "limited"].iter().any(|word| words.is(at, word)) {
            at = words.behind_semicolon(at);
        }
        if !words.is(at, "function") && !words.is(at, "procedure") {
            return None;
        }
        let is = (at..words.behind_semicolon(at)).find(|at| words.is(*at, "is"))?;
        let subprogram = self.subprogram(at, is)?;
        // What only writes is a program.
        let is_program = subprogram.parameters.is_empty() && subprogram.result.is_none();
        (!is_program).then(|| (subprogram.qualified.clone(), vec![subprogram]))
    }

    fn subprogram(&mut self, at: usize, behind: usize) -> Option<Subprogram<'t>> {
        let words = self.words;
        let name = self.word(at + 1)?;
        let mut next = at + 2;
        let mut parameters = Vec::new();
        if words.symbol(next, b'(') {
            next += 1;
            loop {
                next = self.parameters(next, &mut parameters)?;
                if words.symbol(next, b')') {
                    break;
                }
                next += 1;
            }
            next += 1;
        }
        let mut result = None;
        if words.is(next, "return") {
            let (of, after) = self.mark(next + 1)?;
            (result, next) = (Some(of), after);
        }
        if words.is(at, "function") != result.is_some()
            || words.is(next, "is") && words.is(next + 1, "abstract")
        {
            return None;
        }
        let line = |byte: usize| 1 + words.text[..byte].matches('\n').count();
        let lines = line(words.lexemes[at].start)..=line(words.lexemes.get(behind - 1)?.start);
        let qualified = self.qualified(name);
        Some(Subprogram { name, qualified, parameters, result, lines })
    }

    /// `A, B : in out Mark := Default`, up to its `;` or `)`.
    fn parameters(&mut self, mut at: usize, all: &mut Vec<Parameter<'t>>) -> Option<usize> {
        let words = self.words;
        let mut names = vec![self.word(at)?];
        at += 1;
        while words.symbol(at, b',') {
            names.push(self.word(at + 1)?);
            at += 2;
        }
        if !words.symbol(at, b':') {
            return None;
        }
        at += 1;
        if words.is(at, "aliased") {
            at += 1;
        }
        let has_in = words.is(at, "in");
        at += usize::from(has_in);
        let is_written = words.is(at, "out");
        at += usize::from(is_written);
        let (of, mut at) = self.mark(at)?;
        // A default is none of ours: each is given a value.
        if words.symbol(at, b':') {
            let mut depth = 0usize;
            while !(depth == 0 && (words.symbol(at, b';') || words.symbol(at, b')'))) {
                depth += usize::from(words.symbol(at, b'('));
                depth = depth.saturating_sub(usize::from(words.symbol(at, b')')));
                at += 1;
                words.lexemes.get(at)?;
            }
        }
        if !words.symbol(at, b';') && !words.symbol(at, b')') {
            return None;
        }
        let is_read = has_in || !is_written;
        all.extend(names.into_iter().map(|name| Parameter { name, of, is_read, is_written }));
        (all.len() <= PARTS_MAX).then_some(at)
    }

    /// `type R is record … end record;`: what is behind it, if it is one.
    fn record(&mut self, at: usize) -> Option<usize> {
        let words = self.words;
        let is = (at..words.behind_semicolon(at)).find(|at| words.is(*at, "is"))?;
        let record = (is + 1..is + 4).find(|at| words.is(*at, "record"))?;
        let end =
            (record..words.lexemes.len()).find(|at| words.is(*at, "end") && words.is(at + 1, "record"))?;
        let behind = words.behind_semicolon(end);
        // One with discriminants, a parent or variants is not drawn.
        if is == at + 2 && record == is + 1 {
            let name = self.word(at + 1)?;
            if let Some(components) = self.components(record + 1, end) {
                let name = self.qualified(name);
                self.types.push(Type { name, shape: Shape::Record(components) });
            }
        }
        Some(behind)
    }

    fn components(&mut self, mut at: usize, end: usize) -> Option<Vec<(&'t str, usize)>> {
        let mut all = Vec::new();
        while at < end {
            let mut parameters = Vec::new();
            at = self.parameters(at, &mut parameters)? + 1;
            for one in parameters {
                // Its bounds are not known.
                if !self.is_definite(one.of) {
                    return None;
                }
                all.push((one.name, one.of));
            }
        }
        (!all.is_empty() && all.len() <= PARTS_MAX).then_some(all)
    }

    fn type_declaration(&mut self, at: usize) -> Option<()> {
        let words = self.words;
        let name = self.word(at + 1)?;
        if !words.is(at + 2, "is") {
            return None;
        }
        let of = at + 3;
        let shape = if words.symbol(of, b'(') || words.is(of, "range") || words.is(of, "mod") {
            Shape::Discrete
        } else if words.is(of, "digits") || words.is(of, "delta") {
            Shape::Real
        } else if words.is(of, "array") {
            self.array(of + 1)?
        } else if ["private", "tagged", "limited"].iter().any(|word| words.is(of, word)) {
            let mut at = of + usize::from(words.is(of, "tagged"));
            let is_limited = words.is(at, "limited");
            at += usize::from(is_limited);
            if !words.is(at, "private") {
                return None;
            }
            Shape::Kept { is_limited }
        } else {
            let of = of + usize::from(words.is(of, "new"));
            let (of, behind) = self.mark(of)?;
            // One that is constrained no longer has the shape of what it is of.
            if words.symbol(behind, b'(') || words.is(behind, "with") {
                let is_scalar = matches!(self.types[of].shape, Shape::Discrete | Shape::Real);
                if !is_scalar || words.symbol(behind, b'(') {
                    return None;
                }
            }
            match &self.types[of].shape {
                // One that is derived has operations of its own.
                Shape::Unbounded if words.is(at, "type") => return None,
                Shape::Kept { .. } => return None,
                shape => shape.clone(),
            }
        };
        let name = self.qualified(name);
        self.types.push(Type { name, shape });
        Some(())
    }

    /// Behind `array`.
    fn array(&mut self, at: usize) -> Option<Shape<'t>> {
        let words = self.words;
        if !words.symbol(at, b'(') {
            return None;
        }
        let mut next = at + 1;
        let mut dimensions = Vec::new();
        loop {
            let open = self.mark(next).filter(|(_, behind)| {
                words.is(*behind, "range") && words.symbol(behind + 1, b'<') && words.symbol(behind + 2, b'>')
            });
            if let Some((of, behind)) = open {
                dimensions.push(Dimension::Open(of));
                next = behind + 3;
            } else {
                dimensions.push(Dimension::Closed);
                let mut depth = 0usize;
                while depth > 0 || !words.symbol(next, b',') && !words.symbol(next, b')') {
                    depth += usize::from(words.symbol(next, b'('));
                    depth = depth.saturating_sub(usize::from(words.symbol(next, b')')));
                    next += 1;
                    words.lexemes.get(next)?;
                }
            }
            if words.symbol(next, b')') {
                break;
            }
            next += 1;
        }
        if dimensions.len() > 2 || !words.is(next + 1, "of") {
            return None;
        }
        let is_open = |one: &Dimension| matches!(one, Dimension::Open(_));
        if dimensions.iter().any(is_open) && !dimensions.iter().all(is_open) {
            return None;
        }
        let of = next + 2 + usize::from(words.is(next + 2, "aliased"));
        let (element, behind) = self.mark(of)?;
        let is_whole = words.symbol(behind, b';') || words.is(behind, "with");
        (is_whole && self.is_definite(element)).then_some(Shape::Array { dimensions, element })
    }

    /// Whether an object of it needs no bounds, and can be drawn.
    fn is_definite(&self, of: usize) -> bool {
        match &self.types[of].shape {
            Shape::Text | Shape::Kept { .. } => false,
            Shape::Array { dimensions, .. } => {
                !dimensions.iter().any(|one| matches!(one, Dimension::Open(_)))
            }
            _ => true,
        }
    }

    /// The type that a name there stands for, and what is behind the name.
    fn mark(&mut self, at: usize) -> Option<(usize, usize)> {
        let words = self.words;
        let mut behind = at + 1;
        self.word(at)?;
        while words.symbol(behind, b'.') {
            self.word(behind + 1)?;
            behind += 2;
        }
        if words.symbol(behind, b'\'') {
            return None;
        }
        let name = self.source(at, behind - 1)?;
        Some((self.type_of(name)?, behind))
    }

    fn type_of(&mut self, name: &str) -> Option<usize> {
        let own = self.qualified(name);
        let is = |one: &Type<'_>| one.name.eq_ignore_ascii_case(&own) || one.name.eq_ignore_ascii_case(name);
        if let Some(known) = self.types.iter().rposition(is) {
            return Some(known);
        }
        let (name, shape) = predefined(name)?;
        let known = self.types.iter().position(|one| one.name == name);
        Some(known.unwrap_or_else(|| {
            self.types.push(Type { name, shape });
            self.types.len() - 1
        }))
    }

    fn qualified(&self, name: &str) -> String {
        self.package.as_ref().map_or(name.to_owned(), |package| format!("{package}.{name}"))
    }

    fn source(&self, first: usize, last: usize) -> Option<&'t str> {
        let (first, last) = (self.words.lexemes.get(first)?, self.words.lexemes.get(last)?);
        let source = self.words.text.get(first.start..last.end)?;
        // It is written into the bench.
        let is_plain = source.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
        is_plain.then_some(source)
    }

    fn word(&self, at: usize) -> Option<&'t str> {
        self.words.lexemes.get(at).filter(|lexeme| lexeme.kind == Kind::Word)?;
        self.source(at, at)
    }

    fn is_word(&self, at: usize, word: &str) -> bool {
        self.word(at).is_some_and(|found| found.eq_ignore_ascii_case(word))
    }
}

/// Of the language's own types, the last part of the name tells which, and how the bench names it.
fn predefined(name: &str) -> Option<(String, Shape<'static>)> {
    let last = name.rsplit('.').next()?.to_ascii_lowercase();
    let (name, shape) = match last.as_str() {
        "integer" | "natural" | "positive" | "boolean" | "short_integer" | "long_integer"
        | "long_long_integer" => (format!("Standard.{last}"), Shape::Discrete),
        "character" => ("Standard.character".to_owned(), Shape::Character),
        "float" | "long_float" => (format!("Standard.{last}"), Shape::Real),
        "string" => ("Standard.string".to_owned(), Shape::Text),
        "unbounded_string" => ("Ada.Strings.Unbounded.Unbounded_String".to_owned(), Shape::Unbounded),
        "integer_8" | "integer_16" | "integer_32" | "integer_64" | "unsigned_8" | "unsigned_16"
        | "unsigned_32" | "unsigned_64" => (format!("Interfaces.{last}"), Shape::Discrete),
        _ => return None,
    };
    Some((name, shape))
}
