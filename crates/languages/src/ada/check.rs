//! GNAT's opinion, syntax and semantics without code; and GNATprove's, where a site has it.

use super::drive;
use crate::Language;
use crate::check::{
    Checker, Columns, Diagnostic, Format, Plan, Purpose, Severity, Unit, Written, directories,
    is_plain_switch, remarks, switches,
};
use crate::lexis::{Kind, Lexeme, Lexer};

pub(super) const CHECKERS: &[Checker] = &[
    Checker {
        name: "gnat",
        programs: PROGRAMS,
        package: "gnat",
        claims: "legal by the language's rules; contracts are not proved; not elaborated, not run",
        version: &["-dumpfullversion"],
        refuse: None,
        purpose: Purpose::Judge,
        plan,
        library: None,
        read,
    },
    Checker {
        name: "gnatprove",
        programs: &["gnatprove", "gnatchop"],
        package: "gnatprove (Debian has none: Alire and AdaCore do)",
        claims: "each check that is said to be proved is; what is not named was not looked at; not run",
        version: &["--version"],
        refuse: None,
        purpose: Purpose::Judge,
        plan: plan_proof,
        library: None,
        read: read_proof,
    },
    Checker {
        name: "gnat-run",
        programs: PROGRAMS,
        package: "gnat",
        claims: "what could be called of its visible subprograms was, with drawn inputs that fulfil preconditions, and no contract or \
                 assertion failed; with other inputs one may; not proved",
        version: &["-dumpfullversion"],
        refuse: None,
        purpose: Purpose::Run(drive::may_run),
        plan: drive::plan,
        library: None,
        read: drive::read,
    },
];

const PROGRAMS: &[&str] = &["gcc", "gnatchop", "gnatmake"];

const SWITCHES: [&str; 5] = ["-c", "-gnatc", "-gnat2022", "-gnatef", "-gnatec=gnat.adc"];
const PRAGMAS: &str = "gnat.adc";
const SEVERAL: &str = "unit.ada";

/// Splits several units, and has each looked at. With `-r`, GNAT speaks of the lines of the one file. What gnatchop says
/// of syntax comes again from the compiler, and is read once. A specification is looked at with its body.
const CHOPPED: &str = r#"
mkdir units || exit 3
gnatchop -gnat2022 -q -w -r "$1" units
status=$?
shift
chopped=
for unit in units/*.ads units/*.adb; do
    [ -e "$unit" ] || continue
    case $unit in *.ads) [ -e "${unit%s}b" ] && continue ;; esac
    chopped=yes
    gcc -Iunits "$@" "$unit" || status=1
done
[ "$chopped" ] || exit 1
exit $status
"#;

/// Chops as above, and has all checks of the units tried.
const PROVED: &str = r#"
mkdir units || exit 3
gnatchop -gnat2022 -q -w -r "$1" units || exit 1
cd units && set -- *.ad[sb] && cd ..
gnatprove -P unit.gpr -q -j1 --mode=all --level=1 --report=all --output=oneline -u "$@"
"#;

fn plan(unit: &Unit<'_>) -> Option<Plan> {
    let mut arguments: Vec<&str> = SWITCHES.to_vec();
    if unit.rules.pragmas.is_empty() {
        arguments.pop();
    }
    let mut plan = match file_name(unit) {
        Some(file_name) => {
            let plan = Plan::of(unit, &file_name, "gcc", &arguments).with(more(unit));
            plan.with([file_name])
        }
        None => {
            let script = ["-c", CHOPPED, "sh", SEVERAL];
            let arguments = arguments.iter().map(|argument| (*argument).to_owned());
            Plan::of(unit, SEVERAL, "sh", &script).with(arguments).with(more(unit))
        }
    };
    if !unit.rules.pragmas.is_empty() {
        plan.files.push((PRAGMAS.to_owned(), unit.rules.pragmas.join("\n") + "\n"));
    }
    Some(plan)
}

fn more(unit: &Unit<'_>) -> impl Iterator<Item = String> {
    directories(unit.project, "-I").into_iter().chain(switches(unit, accepts_switch))
}

/// Warnings, style, the language's year, and the encoding.
pub(super) fn accepts_switch(switch: &str) -> bool {
    const YEARS: [&str; 8] = ["83", "95", "05", "2005", "12", "2012", "2022", "X"];
    is_plain_switch(switch, &["-gnatw", "-gnaty"])
        || switch.strip_prefix("-gnat").is_some_and(|year| YEARS.contains(&year))
}

/// Lines such as `unit.ada:3:14: error: missing ";"`; GNAT before 12 has no word for an error.
fn read(unit: &Unit<'_>, written: &Written<'_>) -> Vec<Diagnostic> {
    let file_name = file_name(unit);
    let is_wide = unit.text.starts_with('\u{feff}');
    let columns = if is_wide { Columns::TabbedCharacters } else { Columns::TabbedBytes };
    let unit_name = file_name.as_deref().unwrap_or(SEVERAL);
    let noise = |message: &str| message.starts_with("file name does not match unit name");
    let mut found =
        remarks(unit, written, &Format { unit: unit_name, columns, unnamed: Some(Severity::Error), noise });
    // How the site writes its pragmas, and gnatchop its own, is no business of a unit's style.
    let is_apart = |one: &Diagnostic| match one.file.as_deref() {
        Some(file) => file == PRAGMAS,
        None => one.line.is_none(),
    };
    found.retain(|one| one.severity == Severity::Error || !is_apart(one));
    // Whether a name is used once more further down makes no other error of it.
    for one in &mut found {
        let words = one.message.trim_end_matches(" (more references follow)").len();
        one.message.truncate(words);
    }
    found
}

/// Only where there is something to prove.
fn plan_proof(unit: &Unit<'_>) -> Option<Plan> {
    let has_mode = |text: &str| text.to_ascii_lowercase().contains("spark_mode");
    if !has_mode(unit.text) && !unit.rules.pragmas.iter().any(|pragma| has_mode(pragma)) {
        return None;
    }
    let mut folders = vec!["\"units\"".to_owned()];
    for directory in directories(unit.project, "") {
        // A string of the project file's language: a quote in it is written twice.
        if !directory.contains(char::is_control) {
            folders.push(format!("\"{}\"", directory.replace('"', "\"\"")));
        }
    }
    let mut pragmas = String::new();
    let mut plan = Plan::of(unit, SEVERAL, "sh", &["-c", PROVED, "sh", SEVERAL]);
    if !unit.rules.pragmas.is_empty() {
        pragmas = format!("      for Local_Configuration_Pragmas use \"{PRAGMAS}\";\n");
        plan.files.push((PRAGMAS.to_owned(), unit.rules.pragmas.join("\n") + "\n"));
    }
    let project = format!(
        "project Unit is\n   for Source_Dirs use ({});\n   package Compiler is\n      \
         for Default_Switches (\"Ada\") use (\"-gnat2022\");\n{pragmas}   end Compiler;\nend Unit;\n",
        folders.join(", "),
    );
    plan.files.push(("unit.gpr".to_owned(), project));
    Some(plan)
}

/// A check that is proved is a note in GNATprove's words (`overflow check proved`); one that is not is a warning that
/// begins with `unproved:`, whatever likelihood it is given. One that a person justified is neither.
fn read_proof(unit: &Unit<'_>, written: &Written<'_>) -> Vec<Diagnostic> {
    // A line without a known word of severity is a check: `medium: overflow check might fail`.
    let format = Format {
        unit: SEVERAL,
        columns: Columns::TabbedBytes,
        unnamed: Some(Severity::Warning),
        noise: |_| false,
    };
    let mut found = remarks(unit, written, &format);
    for one in &mut found {
        let unproved = ["high: ", "medium: ", "low: "].iter().find_map(|mark| one.message.strip_prefix(mark));
        if let Some(words) = unproved {
            one.message = format!("unproved: {words}");
        } else if one.severity == Severity::Warning && one.message.ends_with(" not proved") {
            one.message = format!("unproved: {}", one.message);
        }
        one.message.truncate(one.message.floor_char_boundary(512));
    }
    found
}

/// The name that GNAT gives the file of a text that is one unit; `None` when there are several, or it cannot be told.
fn file_name(unit: &Unit<'_>) -> Option<String> {
    let given = unit.file_name.filter(|name| is_source_name(name));
    match Words::of(unit.language, unit.text).only_unit() {
        Only::Unit { name, is_specification } => {
            let ending = if is_specification { "ads" } else { "adb" };
            let given = given.and_then(|given| given.rsplit_once('.'));
            let stem = given.map_or(name, |(stem, _)| stem.to_owned());
            Some(format!("{stem}.{ending}"))
        }
        Only::Unfinished => given.map(str::to_owned),
        Only::Several => None,
    }
}

/// The name of the file that declares what the text is the one body of; `None` when it is no body of a package alone.
pub(crate) fn specification_name(unit: &Unit<'_>) -> Option<String> {
    let words = Words::of(unit.language, unit.text);
    let is_body = (0..words.lexemes.len())
        .find(|at| words.is(*at, "package"))
        .is_some_and(|at| words.is(at + 1, "body"));
    let name = file_name(unit).filter(|_| is_body && matches!(words.only_unit(), Only::Unit { .. }))?;
    Some(name.strip_suffix(".adb")?.to_owned() + ".ads")
}

/// A plain name with an ending of Ada's.
fn is_source_name(name: &str) -> bool {
    const NAME_BYTES_MAX: usize = 128;
    name.len() <= NAME_BYTES_MAX
        && name
            .rsplit_once('.')
            .is_some_and(|(stem, ending)| !stem.is_empty() && matches!(ending, "ads" | "adb"))
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~'))
        && name.as_bytes()[0].is_ascii_alphanumeric()
}

/// How many compilation units a text holds, by its words.
enum Only {
    Unit {
        name: String,
        is_specification: bool,
    },
    /// Its end was not found.
    Unfinished,
    Several,
}

/// A text as its words.
pub(super) struct Words<'t> {
    pub(super) text: &'t str,
    pub(super) lexemes: Vec<Lexeme>,
}

impl<'t> Words<'t> {
    pub(super) fn of(language: Language, text: &'t str) -> Words<'t> {
        Words { text, lexemes: Lexer::new(&language.pack().lexis, text).collect() }
    }

    pub(super) fn is(&self, at: usize, word: &str) -> bool {
        self.lexemes.get(at).is_some_and(|lexeme| {
            lexeme.kind == Kind::Keyword && self.text[lexeme.start..lexeme.end].eq_ignore_ascii_case(word)
        })
    }

    pub(super) fn symbol(&self, at: usize, symbol: u8) -> bool {
        self.lexemes.get(at).is_some_and(|lexeme| lexeme.kind == Kind::Symbol(symbol))
    }

    /// Behind the next semicolon that is in no parentheses.
    pub(super) fn behind_semicolon(&self, mut at: usize) -> usize {
        let mut depth = 0usize;
        while at < self.lexemes.len() {
            match self.lexemes[at].kind {
                Kind::Symbol(b'(') => depth += 1,
                Kind::Symbol(b')') => depth = depth.saturating_sub(1),
                Kind::Symbol(b';') if depth == 0 => return at + 1,
                _ => {}
            }
            at += 1;
        }
        at
    }

    /// The dotted name at a place, lower-case with dashes as GNAT's file names have it, and what is behind it.
    pub(super) fn name(&self, mut at: usize) -> Option<(String, usize)> {
        let mut name = String::new();
        while let Some(lexeme) = self.lexemes.get(at).filter(|lexeme| lexeme.kind == Kind::Word) {
            name.push_str(&self.text[lexeme.start..lexeme.end]);
            at += 1;
            if !self.symbol(at, b'.') {
                let plain =
                    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
                return plain.then(|| (name.to_ascii_lowercase(), at));
            }
            name.push('-');
            at += 1;
        }
        None
    }

    fn only_unit(&self) -> Only {
        let mut at = 0;
        let mut parent = None;
        // The context clause, a parent's name, and a generic's formal part.
        loop {
            if self.is(at, "separate") && self.symbol(at + 1, b'(') {
                parent = self.name(at + 2).map(|(name, _)| name);
                at += 2;
                while at < self.lexemes.len() && !self.symbol(at - 1, b')') {
                    at += 1;
                }
            } else if self.is(at, "generic") || self.is(at, "private") || self.is(at, "overriding") {
                at += 1;
            } else if ["package", "procedure", "function", "task", "protected"]
                .iter()
                .any(|word| self.is(at, word))
            {
                break;
            } else if at >= self.lexemes.len() {
                return Only::Unfinished;
            } else {
                at = self.behind_semicolon(at);
            }
        }
        let is_package = self.is(at, "package");
        let is_body = self.is(at + 1, "body");
        let Some((name, behind)) = self.name(at + 1 + usize::from(is_body)) else { return Only::Several };
        let file = parent.map_or(name.clone(), |parent| format!("{parent}-{name}"));
        // A declaration ends with its semicolon; all others with `end`.
        let semicolon = self.behind_semicolon(behind);
        let is = (behind..semicolon).find(|at| self.is(*at, "is"));
        let is_declaration = match is {
            None => !is_body,
            Some(is) => {
                self.is(is + 1, "new") || self.is(is + 1, "abstract") || self.symbol(is + 1, b'(') || {
                    self.is(is + 1, "null") && self.symbol(is + 2, b';')
                }
            }
        };
        let end = if is_declaration { Some(semicolon) } else { self.end_of(&name, behind) };
        let Some(mut end) = end else {
            // `end;` without a name ends anything.
            let last = self.lexemes.len().saturating_sub(2);
            return if self.is(last, "end") { Only::Several } else { Only::Unfinished };
        };
        while self.is(end, "pragma") {
            end = self.behind_semicolon(end);
        }
        if end < self.lexemes.len() {
            return Only::Several;
        }
        // An expression function, or a null procedure, is a body; GNAT wants one to have the ending of one.
        let has_expression = is.is_some_and(|is| !self.is(is + 1, "new"));
        let is_specification = if is_package { !is_body } else { is_declaration && !has_expression };
        Only::Unit { name: file, is_specification }
    }

    /// Behind the `end NAME;` that is the first of that name.
    fn end_of(&self, name: &str, from: usize) -> Option<usize> {
        (from..self.lexemes.len()).filter(|at| self.is(*at, "end")).find_map(|at| {
            let (ended, behind) = self.name(at + 1)?;
            (ended == name && self.symbol(behind, b';')).then_some(behind + 1)
        })
    }
}
