//! What files declare for others, and which files a file can see.
//!
//! A scan and no parse: it knows as much of each language's grammar as tells that a name is declared here. What it
//! misses makes a place fewer; what it takes wrongly must still be in a file that is seen, and nowhere else in the
//! file of the place.

use std::collections::{BTreeSet, HashMap};

use super::source::{Kind, Language, Source};

/// Where a name is declared: an index into the files, and a line from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Declared {
    pub(crate) file: usize,
    pub(crate) line: usize,
}

/// All declarations of a repository, by the folded name.
pub(crate) struct Declarations {
    by_name: HashMap<String, Vec<Declared>>,
    /// The files that make a unit, by the unit's folded name.
    units: HashMap<String, Vec<usize>>,
    /// The units that a file names.
    seen: Vec<Vec<Seen>>,
}

/// A unit that a file names.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    unit: String,
    /// Whether what that unit sees is seen, too.
    through: bool,
}

impl Declarations {
    pub(crate) fn of(files: &[Source]) -> Declarations {
        let mut by_name: HashMap<String, Vec<Declared>> = HashMap::new();
        let mut units: HashMap<String, Vec<usize>> = HashMap::new();
        let mut seen = Vec::new();
        for (file, source) in files.iter().enumerate() {
            for index in declared(source) {
                let line = source.line_at(source.code[index].start);
                by_name.entry(source.folded(index)).or_default().push(Declared { file, line });
            }
            let (own, others) = match source.language {
                Language::Ada => ada_units(source),
                Language::Vhdl => vhdl_units(source),
                Language::Rust => rust_units(source),
                Language::C => c_units(source),
            };
            own.into_iter().for_each(|unit| units.entry(unit).or_default().push(file));
            seen.push(others);
        }
        Declarations { by_name, units, seen }
    }

    /// Where a folded name is declared.
    pub(crate) fn named(&self, name: &str) -> &[Declared] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// The other files whose declarations a file can name.
    pub(crate) fn seen_from(&self, file: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut through = BTreeSet::from([file]);
        let mut next = vec![file];
        while let Some(from) = next.pop() {
            for seen in &self.seen[from] {
                for &unit in self.units.get(&seen.unit).into_iter().flatten() {
                    found.insert(unit);
                    if seen.through && through.insert(unit) {
                        next.push(unit);
                    }
                }
            }
        }
        found.remove(&file);
        found
    }
}

/// The pieces of the code, by index, that are names which this file declares for others.
pub(crate) fn declared(source: &Source) -> Vec<usize> {
    let mut found = match source.language {
        Language::Ada if source.name.ends_with(".ads") => ada(source),
        Language::Vhdl => vhdl(source),
        Language::C if source.name.ends_with(".h") => c(source),
        Language::Rust => rust(source),
        Language::Ada | Language::C => Vec::new(),
    };
    found.sort_unstable();
    found.dedup();
    found.retain(|&index| source.is_word(index) && !source.language.is_keyword(&source.folded(index)));
    found
}

fn is(source: &Source, index: usize, text: &str) -> bool {
    source.code.get(index).is_some_and(|piece| {
        let known = source.text_of(*piece);
        if source.language.folds_case() { known.eq_ignore_ascii_case(text) } else { known == text }
    })
}

fn is_one_of(source: &Source, index: usize, words: &[&str]) -> bool {
    words.iter().any(|word| is(source, index, word))
}

/// The names before a `:`, in `A, B : T`.
fn before_colon(source: &Source, colon: usize, found: &mut Vec<usize>) {
    let mut index = colon;
    while index > 0 && source.is_word(index - 1) {
        found.push(index - 1);
        index -= 1;
        if index == 0 || !is(source, index - 1, ",") {
            break;
        }
        index -= 1;
    }
}

/// The names in `type T is (A, B)`, from the index of `T`.
fn literals(source: &Source, name: usize, found: &mut Vec<usize>) {
    if !is(source, name + 1, "is") || !is(source, name + 2, "(") {
        return;
    }
    let literals = (name + 3..source.code.len()).take_while(|&index| !is(source, index, ")"));
    found.extend(literals.filter(|&index| source.is_word(index)));
}

/// The end of `A.B.C`, the index of its last name, and the whole.
fn dotted(source: &Source, mut index: usize) -> (usize, String) {
    let mut name = source.folded(index);
    while is(source, index + 1, ".") && source.is_word(index + 2) {
        index += 2;
        name = format!("{name}.{}", source.folded(index));
    }
    (index, name)
}

fn ada(source: &Source) -> Vec<usize> {
    let mut found = Vec::new();
    for index in 0..source.code.len() {
        if is(source, index, ":") {
            before_colon(source, index, &mut found);
        } else if is_one_of(source, index, &["procedure", "function", "package", "type", "subtype", "entry"])
        {
            let (name, _) = dotted(source, index + 1);
            found.push(name);
            if is(source, index, "type") {
                literals(source, name, &mut found);
            }
        }
    }
    found
}

fn ada_units(source: &Source) -> (Vec<String>, Vec<Seen>) {
    let mut seen = Vec::new();
    let mut index = 0;
    let ancestors = |name: &str, through: bool, seen: &mut Vec<Seen>| {
        let ends = name.match_indices('.').map(|(end, _)| &name[..end]).chain([name]);
        seen.extend(ends.map(|unit| Seen { unit: unit.to_owned(), through }));
    };
    while index < source.code.len() {
        if is(source, index, "with") {
            loop {
                let (last, name) = dotted(source, index + 1);
                ancestors(&name, false, &mut seen);
                index = last + 1;
                if !is(source, index, ",") {
                    break;
                }
            }
        } else if is_one_of(source, index, &["package", "procedure", "function"]) {
            let body = is(source, index + 1, "body") || source.name.ends_with(".adb");
            let (_, name) = dotted(source, index + 1 + usize::from(is(source, index + 1, "body")));
            // A body sees what its specification sees, and a child what its parents see.
            ancestors(&name, true, &mut seen);
            return (if body { Vec::new() } else { vec![name] }, seen);
        } else if is(source, index, "separate") && is(source, index + 1, "(") {
            let (_, name) = dotted(source, index + 2);
            ancestors(&name, true, &mut seen);
            return (Vec::new(), seen);
        } else if is(source, index, "generic") {
            // What a generic takes begins with `with`, too.
            let unit = |index: &usize| {
                is_one_of(source, *index, &["package", "procedure", "function"])
                    && !is(source, index.saturating_sub(1), "with")
            };
            let Some(found) = (index..source.code.len()).find(unit) else { break };
            index = found;
            continue;
        }
        index += 1;
    }
    (Vec::new(), seen)
}

fn vhdl(source: &Source) -> Vec<usize> {
    let mut found = Vec::new();
    let mut visible = false;
    for index in 0..source.code.len() {
        let ends = index > 0 && is_one_of(source, index - 1, &["end", "use", ":", "."]);
        let begins = |word: &str| is(source, index, word) && !ends;
        if begins("package") && is(source, index + 1, "body")
            || begins("architecture")
            || begins("configuration")
        {
            visible = false;
        } else if begins("package") || begins("entity") && is(source, index + 2, "is") {
            visible = true;
            found.push(index + 1);
        } else if begins("context") && is(source, index + 2, "is") {
            found.push(index + 1);
        } else if !visible {
        } else if is(source, index, ":") {
            before_colon(source, index, &mut found);
        } else if !ends
            && is_one_of(source, index, &["function", "procedure", "type", "subtype", "component", "alias"])
        {
            found.push(index + 1);
            if is(source, index, "type") {
                literals(source, index + 1, &mut found);
            }
        }
    }
    found
}

fn vhdl_units(source: &Source) -> (Vec<String>, Vec<Seen>) {
    let (mut own, mut seen) = (Vec::new(), Vec::new());
    let mut see = |index: usize, through: bool| seen.push(Seen { unit: source.folded(index), through });
    for index in 0..source.code.len() {
        let ends = index > 0 && is_one_of(source, index - 1, &["end", "use", ":", "."]);
        let begins = |word: &str| is(source, index, word) && !ends;
        if begins("package") && is(source, index + 1, "body") {
            see(index + 2, true);
        } else if begins("package") || (begins("entity") || begins("context")) && is(source, index + 2, "is")
        {
            own.push(source.folded(index + 1));
        } else if begins("architecture") && is(source, index + 2, "of") {
            see(index + 3, true);
        } else if is(source, index, "use") {
            // `library.package.all`, or `package.all`.
            see(index + 1, false);
            see(index + 3, false);
        } else if begins("context") {
            see(index + 3, true);
        } else if is(source, index, "entity") && is(source, index + 2, ".") {
            see(index + 3, false);
        } else if is(source, index, ":") && is_one_of(source, index + 2, &["port", "generic"]) {
            see(index + 1, false);
        }
    }
    (own, seen)
}

fn c(source: &Source) -> Vec<usize> {
    #[derive(Clone, Copy, PartialEq)]
    enum Brace {
        Linkage,
        Members,
        Literals,
        Other,
    }
    let mut found = Vec::new();
    let mut braces: Vec<Brace> = Vec::new();
    let (mut parentheses, mut defines_type) = (0_usize, false);
    // Preprocessor lines, continued ones, too.
    let mut directive_end = None;
    for index in 0..source.code.len() {
        let line = source.line_at(source.code[index].start);
        let within = directive_end.is_some_and(|end| line <= end);
        if is(source, index, "#") && !within {
            let continued = (line..).take_while(|&line| source.line(line).ends_with('\\')).count();
            directive_end = Some(line + continued);
            let guard = source.folded(index + 2).to_ascii_uppercase();
            if is(source, index + 1, "define") && !guard.trim_end_matches('_').ends_with("_H") {
                found.push(index + 2);
            }
            continue;
        }
        if within {
            continue;
        }
        let before = index.checked_sub(1);
        let named = source.is_word(index)
            && before.is_some_and(|before| source.is_word(before) || is(source, before, "*"));
        let outside = braces.iter().all(|&brace| brace == Brace::Linkage);
        match source.text_of(source.code[index]) {
            "(" => parentheses += 1,
            ")" => parentheses = parentheses.saturating_sub(1),
            "{" => {
                let kind = (index.saturating_sub(3)..index).rev().find_map(|before| {
                    is_one_of(source, before, &["struct", "union"]).then_some(Brace::Members).or_else(|| {
                        let linkage = source.code[before].kind == Kind::Text
                            && is(source, before.wrapping_sub(1), "extern");
                        is(source, before, "enum")
                            .then_some(Brace::Literals)
                            .or(linkage.then_some(Brace::Linkage))
                    })
                });
                if kind == Some(Brace::Members) || kind == Some(Brace::Literals) {
                    found.push(index - 1);
                }
                braces.push(kind.unwrap_or(Brace::Other));
            }
            "}" => {
                braces.pop();
            }
            ";" if outside => defines_type = false,
            "typedef" => defines_type = true,
            _ if parentheses > 0 || !source.is_word(index) => {}
            _ if outside && named && is(source, index + 1, "(") => found.push(index),
            _ if outside && defines_type && is(source, index + 1, ";") => found.push(index),
            _ if braces.last() == Some(&Brace::Members)
                && named
                && is_one_of(source, index + 1, &[";", ",", "[", ":"]) =>
            {
                found.push(index);
            }
            _ if braces.last() == Some(&Brace::Literals)
                && is_one_of(source, index + 1, &[",", "=", "}"])
                && before.is_some_and(|before| is_one_of(source, before, &["{", ","])) =>
            {
                found.push(index);
            }
            _ => {}
        }
    }
    found
}

fn c_units(source: &Source) -> (Vec<String>, Vec<Seen>) {
    let base = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let includes = (0..source.code.len()).filter(|&index| is(source, index, "include")).filter_map(|index| {
        let piece = source.code.get(index + 1)?;
        let line = source.line(source.line_at(piece.start)).trim_end();
        let path = match piece.kind {
            Kind::Text => source.text_of(*piece).trim_matches('"'),
            _ => line.split_once('<')?.1.split_once('>')?.0,
        };
        Some(Seen { unit: base(path), through: true })
    });
    (vec![base(&source.name)], includes.collect())
}

fn rust(source: &Source) -> Vec<usize> {
    let mut found = Vec::new();
    for index in 0..source.code.len() {
        if !is(source, index, "pub") {
            if is(source, index, "macro_rules") {
                found.push(index + 2);
            }
            continue;
        }
        let mut next = index + 1;
        if is(source, next, "(") {
            next =
                (next..source.code.len()).find(|&index| is(source, index, ")")).map_or(next, |end| end + 1);
        }
        if is(source, next + 1, ":") {
            found.push(next);
            continue;
        }
        let item = ["fn", "struct", "enum", "trait", "type", "static", "union"];
        let item = (next..next + 5)
            .take_while(|&index| {
                source.is_word(index) || source.code.get(index).is_some_and(|piece| piece.kind == Kind::Text)
            })
            .find(|&index| {
                is_one_of(source, index, &item)
                    || is(source, index, "const") && !is_one_of(source, index + 1, &["fn", "unsafe"])
            });
        found.extend(item.map(|item| item + 1));
    }
    found
}

/// Rust names modules in so many ways that any word which is one counts.
fn rust_units(source: &Source) -> (Vec<String>, Vec<Seen>) {
    let path = source.name.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    let unit = path.rsplit('/').next().unwrap_or_default().to_owned();
    let words: BTreeSet<String> = (0..source.code.len())
        .filter(|&index| source.is_word(index))
        .map(|index| source.folded(index))
        .collect();
    (vec![unit], words.into_iter().map(|unit| Seen { unit, through: false }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(language: Language, name: &str, text: &str, expected: &[&str]) {
        let source = Source::new(language, name.into(), text.into());
        let found: Vec<String> = declared(&source).into_iter().map(|index| source.folded(index)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn ada() {
        let text = "with Q;\npackage P.R is\n   type T is (Red, Green);\n   Max, Min : constant Integer := 3;\n   \
            procedure Put (Item : T; To : Q.File);\n   function \"+\" (L : T) return T;\nend P.R;\n";
        check(
            Language::Ada,
            "p-r.ads",
            text,
            &["r", "t", "red", "green", "max", "min", "put", "item", "to", "l"],
        );
        check(Language::Ada, "p-r.adb", text, &[]);
    }

    #[test]
    fn vhdl() {
        let text = "library work;\npackage p is\n  constant width : natural := 8;\n  type state is (idle, busy);\n  \
            function f (a : bit) return bit;\nend package p;\npackage body p is\n  constant hidden : natural := 1;\n\
            end p;\nentity e is\n  generic (depth : natural);\n  port (clk, rst : in std_logic);\nend entity e;\n\
            architecture a of e is\n  signal s : bit;\nbegin\n  u : entity work.other port map (clk => clk);\nend a;\n";
        check(
            Language::Vhdl,
            "p.vhd",
            text,
            &["p", "width", "state", "idle", "busy", "f", "a", "e", "depth", "clk", "rst"],
        );
    }

    #[test]
    fn c() {
        let text = "#ifndef A_H\n#define A_H\n#define LIMIT 3\n#define M(x) \\\n  f(x)\nextern \"C\" {\nstruct s {\n  int \
            first; char *second[4];\n};\nenum e { ONE = 1, TWO };\ntypedef unsigned word_t;\nint open_it(struct s *p, int \
            n);\nstatic inline int g(void) { int local; return h(local); }\n}\n#endif\n";
        check(
            Language::C,
            "a.h",
            text,
            &["LIMIT", "M", "s", "first", "second", "e", "ONE", "TWO", "word_t", "open_it", "g"],
        );
        check(Language::C, "a.c", text, &[]);
    }

    #[test]
    fn rust() {
        let text = "pub(crate) const fn f() {}\npub struct S { pub field: u8, hidden: u8 }\nfn no() {}\npub const LIMIT: \
            u8 = 1;\nmacro_rules! m { () => {} }\npub use x::y;\n";
        check(Language::Rust, "a.rs", text, &["f", "S", "field", "LIMIT", "m"]);
    }

    #[test]
    fn a_file_sees_what_it_names_and_what_its_specification_names() {
        let source = |name: &str, text: &str| Source::new(Language::Ada, name.into(), text.into());
        let files = [
            source("a.ads", "package A is end A;"),
            source("b.ads", "with A; package B is end B;"),
            source("b.adb", "package body B is end B;"),
            source("c.adb", "with B; procedure C is begin null; end C;"),
        ];
        let declarations = Declarations::of(&files);
        assert_eq!(declarations.seen_from(2), BTreeSet::from([0, 1]));
        assert_eq!(declarations.seen_from(3), BTreeSet::from([1]));
        assert_eq!(declarations.seen_from(0), BTreeSet::new());
    }

    #[test]
    fn headers_are_seen_through_headers() {
        let source = |name: &str, text: &str| Source::new(Language::C, name.into(), text.into());
        let files = [
            source("include/a.h", "int x(void);"),
            source("b.h", "#include <lib/a.h>\n"),
            source("c.c", "#include \"b.h\"\n"),
        ];
        assert_eq!(Declarations::of(&files).seen_from(2), BTreeSet::from([0, 1]));
    }
}
