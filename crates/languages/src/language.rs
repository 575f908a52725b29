//! The languages, and how a file's is told.

use crate::check::Checker;
use crate::cpp;
use crate::lexis::Lexis;
use crate::outline::Outline;

/// The one list of languages, in the order in which they are tried. What is said of a language stands in its pack.
macro_rules! languages {
    ($($(#[doc = $doc:literal])+ $variant:ident: $pack:ident,)+) => {
        /// A language that there is a pack for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Language {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Language {
            /// All of them.
            pub const ALL: [Language; [$(stringify!($variant)),+].len()] = [$(Language::$variant),+];

            pub(crate) fn pack(self) -> &'static Pack {
                match self {
                    $(Language::$variant => &crate::$pack::PACK,)+
                }
            }
        }
    };
}

languages! {
    /// Ada, and SPARK, which is a part of it.
    Ada: ada,
    /// VHDL.
    Vhdl: vhdl,
    /// Verilog and SystemVerilog.
    Verilog: verilog,
    /// C.
    C: c,
    /// C++.
    Cpp: cpp,
    /// Rust.
    Rust: rust,
    /// Python.
    Python: python,
    /// Fortran, free or fixed form.
    Fortran: fortran,
    /// Assembly of any machine.
    Assembly: assembly,
    /// COBOL.
    Cobol: cobol,
    /// Pascal, and Object Pascal.
    Pascal: pascal,
}

/// What all packs have, grammar or not.
pub(crate) struct Pack {
    pub(crate) name: &'static str,
    /// Other names, such as editors give: lower-case.
    pub(crate) aliases: &'static [&'static str],
    /// Endings of file names, lower-case, without the dot.
    pub(crate) extensions: &'static [&'static str],
    /// What the beginning of a file without a telling name has in it, lower-case.
    pub(crate) telling: &'static [&'static str],
    pub(crate) lexis: Lexis,
    pub(crate) outline: fn(&mut Outline<'_>),
    /// The words of which one begins a whole unit, lower-case; none: whatever begins with may be one.
    pub(crate) unit_begins: &'static [&'static str],
    /// The first is asked while a person types.
    pub(crate) checkers: &'static [Checker],
    /// Whether a site may hand that switch to the language's checkers: one that changes what is legal or warned of,
    /// and names no file and no program.
    pub(crate) accepts_switch: fn(&str) -> bool,
}

/// So much of a file's beginning is looked at.
const BEGINNING_BYTES: usize = 4096;

impl Language {
    /// The language of the file at `path` that begins with `beginning` (a few KiB are enough): by its ending,
    /// and by its words where the ending says nothing or not all.
    pub fn detect(path: &str, beginning: &str) -> Option<Language> {
        let file_name = path.rsplit(['/', '\\']).next().unwrap_or(path);
        let extension = file_name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        let beginning = &beginning[..beginning.floor_char_boundary(BEGINNING_BYTES)];
        let Some(extension) = extension else { return by_words(beginning) };
        if extension == "h" {
            return Some(if cpp::is_header(beginning) { Language::Cpp } else { Language::C });
        }
        // Coq's files end so too.
        if extension == "v" && beginning.contains("Require ") && !beginning.contains("module") {
            return None;
        }
        Language::ALL.into_iter().find(|language| language.pack().extensions.contains(&extension.as_str()))
    }

    /// Its name in indexes and settings: lower-case.
    pub fn name(self) -> &'static str {
        self.pack().name
    }

    /// The language of that name or of one that editors give it, in any case.
    pub fn from_name(name: &str) -> Option<Language> {
        let name = name.trim().to_ascii_lowercase();
        Language::ALL.into_iter().find(|language| {
            let pack = language.pack();
            pack.name == name || pack.aliases.contains(&name.as_str())
        })
    }

    /// Whether identifiers that differ in case only are the same.
    pub fn folds_case(self) -> bool {
        self.pack().lexis.folds_case
    }

    /// What begins a comment that ends with its line.
    pub fn line_comment(self) -> &'static str {
        self.pack().lexis.line_comments.first().copied().unwrap_or_default()
    }

    /// Whether a site's rules may hand that switch to the language's checkers.
    pub fn accepts_switch(self, switch: &str) -> bool {
        (self.pack().accepts_switch)(switch)
    }
}

fn by_words(beginning: &str) -> Option<Language> {
    if let Some(line) = beginning.lines().next().filter(|line| line.starts_with("#!")) {
        return line.contains("python").then_some(Language::Python);
    }
    let beginning = beginning.to_ascii_lowercase();
    Language::ALL
        .into_iter()
        .find(|language| language.pack().telling.iter().any(|words| beginning.contains(words)))
}

/// The name as indexes keep it: lower-case where the language folds case.
pub fn fold(language: Language, name: &str) -> String {
    match language.folds_case() {
        true if name.is_ascii() => name.to_ascii_lowercase(),
        true => name.to_lowercase(),
        false => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::Language;

    #[test]
    fn keywords_are_sorted() {
        for language in Language::ALL {
            let pack = language.pack();
            assert!(pack.lexis.keywords.is_sorted(), "{}: {:?}", pack.name, {
                let keywords = pack.lexis.keywords;
                keywords.windows(2).find(|two| two[0] > two[1])
            });
        }
    }
}
