//! Lines graded by answers on record.

use std::collections::BTreeMap;
use std::io::Cursor;

use ledger::Choice;
use lineage::grade::{File, Grade, Graded, Sought, grade, spans};
use lineage::slice::{Reader, Record, Scope};
use proptest::prelude::*;
use tlog::Policy;

use crate::site::{Answer, KEY, Person, Site};

const BODY: &str = "\
procedure Sort (Table : in out Items) is
   Held : Item;
begin
   for Place in Table'First + 1 .. Table'Last loop
      Held := Table (Place);
      Shift_Up (Table, From => Place, Until_Smaller => Held);
      Table (Free_Place (Table)) := Held;
   end loop;
end Sort;
";

fn file(path: &str, text: &str) -> File {
    let lines = (1..).zip(text.lines()).map(|(number, line)| (number, line.to_owned())).collect();
    File { path: path.to_owned(), lines, author: None }
}

/// Grades a text by answers, through a slice.
fn graded(answers: &[Answer<'_>], file: File) -> (Vec<Graded>, Vec<Record>) {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::new(directory.path());
    answers.iter().for_each(|answer| {
        site.answer(answer);
    });
    let bytes = site.slice(Scope::default());
    let reader = Reader::open(Cursor::new(bytes)).unwrap();
    let files = [file];
    let mut sought = Sought::new(&files, reader.key());
    let policy = Policy::parse(site.policy().as_bytes()).unwrap();
    let slice = reader.read(&policy, &mut sought).unwrap();
    (grade(&sought, &slice.records).remove(0), slice.records)
}

/// How many lines have which grade.
fn count(graded: &[Graded]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for line in graded {
        *counts.entry(line.grade.name()).or_default() += 1;
    }
    counts
}

fn grades(answers: &[Answer<'_>], path: &str, text: &str) -> String {
    let (graded, _) = graded(answers, file(path, text));
    count(&graded).iter().map(|(grade, lines)| format!("{grade} {lines}")).collect::<Vec<_>>().join(", ")
}

#[test]
fn one_answer() {
    let taken = || [Answer::accepted(BODY, "src/sort.adb")];
    let mut wrong = Vec::new();
    let mut check = |text: &str, expected: &str| {
        let found = grades(&taken(), "src/sort.adb", text);
        if found != expected {
            wrong.push(format!("{expected} expected, {found} found:\n{text}"));
        }
    };
    check(BODY, "ai-verbatim 6, common 3");
    // In other text, and elsewhere.
    check(
        &format!("with Items;\npackage body Sorting is\n{BODY}end Sorting;\n"),
        "ai-verbatim 6, common 5, unknown 1",
    );
    // Indented anew.
    let indented: String = BODY.lines().map(|line| format!("      {line}\n")).collect();
    check(&indented, "ai-modified 6, common 3");
    // A name changed in half of the lines.
    check(&BODY.replace("Held", "Kept"), "ai-modified 4, ai-verbatim 2, common 3");
    // A line of one's own in between.
    let own = BODY.replace("begin\n", "   Count : Natural := Natural'Last / 7;\nbegin\n");
    check(&own, "ai-verbatim 6, common 3, unknown 1");
    // Broken otherwise.
    let broken = BODY.replace(
        "(Table, From => Place, Until_Smaller => Held)",
        "\n        (Table,\n         From => Place,\n         Until_Smaller => Held)",
    );
    check(&broken, "ai-modified 2, ai-verbatim 5, common 5");
    // Something else.
    check(
        "with Ada.Text_IO;\nprocedure Hello is\nbegin\n   Ada.Text_IO.Put_Line (\"hello\");\nend Hello;\n",
        "common 3, unknown 2",
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn without_acceptance() {
    let check = |choice: Option<Choice>, bytes: Option<u64>, expected: &str| {
        let answer = Answer { choice, accepted_bytes: bytes, ..Answer::accepted(BODY, "src/sort.adb") };
        assert_eq!(grades(&[answer], "src/sort.adb", BODY), expected, "{choice:?}");
    };
    check(Some(Choice::Accepted), None, "ai-verbatim 6, common 3");
    check(Some(Choice::EditedAfter), None, "ai-verbatim 6, common 3");
    check(Some(Choice::PartlyAccepted), Some(60), "ai-verbatim 2, common 3, matches-ai 4");
    check(Some(Choice::Shown), None, "common 3, matches-ai 6");
    check(None, None, "common 3, matches-ai 6");
    check(Some(Choice::Rejected), None, "common 3, unknown 6");
}

/// The answer that was taken over wins, then the longer run, then the path, then the newer.
#[test]
fn ties() {
    let part: String = BODY.lines().take(5).map(|line| format!("{line}\n")).collect();
    let winner = |answers: &[Answer<'_>]| {
        let (graded, records) = graded(answers, file("src/sort.adb", BODY));
        let line = graded.iter().find(|line| line.line == 4).unwrap();
        records[line.record.unwrap()].intent.identity.clone()
    };
    let accepted = |person: &'static str, text, path| Answer { person, ..Answer::accepted(text, path) };
    let shown = |person: &'static str, text, path| Answer { choice: None, ..accepted(person, text, path) };
    assert_eq!(winner(&[accepted("a", &part, "x.adb"), shown("b", BODY, "src/sort.adb")]), "a");
    assert_eq!(winner(&[accepted("a", BODY, "x.adb"), accepted("b", &part, "src/sort.adb")]), "a");
    assert_eq!(winner(&[accepted("a", BODY, "src/sort.adb"), accepted("b", BODY, "x.adb")]), "a");
    assert_eq!(winner(&[accepted("a", BODY, "x.adb"), accepted("b", BODY, "x.adb")]), "b");
}

/// One acceptance accounts for one place, and a few lines in another file are not what was accepted.
#[test]
fn one_acceptance_one_place() {
    let answer = || Answer::accepted(BODY, "src/sort.adb");
    assert_eq!(
        grades(&[answer()], "src/sort.adb", &format!("{BODY}{BODY}")),
        "ai-verbatim 6, common 6, matches-ai 6"
    );
    assert_eq!(
        grades(&[answer(), answer()], "src/sort.adb", &format!("{BODY}{BODY}")),
        "ai-verbatim 12, common 6"
    );
    assert_eq!(grades(&[answer()], "src/other.adb", BODY), "ai-verbatim 6, common 3");
    let piece: String = BODY.lines().skip(4).take(2).map(|line| format!("{line}\n")).collect();
    assert_eq!(grades(&[answer()], "src/sort.adb", &piece), "ai-verbatim 2");
    assert_eq!(grades(&[answer()], "src/other.adb", &piece), "matches-ai 2");
}

/// Lines that everybody writes say nothing alone.
#[test]
fn chance() {
    let one = Answer::accepted("   return Count + 1;\n", "src/other.adb");
    assert_eq!(grades(&[one], "src/sort.adb", "   return Count + 1;\n"), "common 1");
    let here = Answer::accepted("   return Count + 1;\n", "src/sort.adb");
    assert_eq!(grades(&[here], "src/sort.adb", "   return Count + 1;\n"), "ai-verbatim 1");
    assert_eq!(grades(&[Answer::accepted(BODY, "a.adb")], "b.adb", "begin\nend loop;\n\n"), "common 3");
}

#[test]
fn spans_are_whole() {
    let text = format!("with Items;\n\n{BODY}\n");
    let (graded, _) = graded(&[Answer::accepted(BODY, "src/sort.adb")], file("src/sort.adb", &text));
    let spans = spans(&graded);
    let ai = spans.iter().find(|span| span.grade == Grade::AiVerbatim).unwrap();
    assert_eq!((ai.first, ai.last, ai.kept_percent), (3, 11, 100));
    let _unused = Person::new("ada", 1);
}

fn code() -> impl Strategy<Value = String> {
    let line = "[a-z]{3,8} := [A-Za-z]{3,9} \\([a-z]{2,7}, [0-9]{1,4}\\) [+*-] [a-z]{3,8};";
    prop::collection::vec(line, 2..12).prop_map(|lines| lines.join("\n") + "\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// What was accepted and pasted as it is, is found; what was not, is not.
    #[test]
    fn pasted_is_found_and_noise_is_not(answer in code(), before in code(), behind in code()) {
        let text = format!("{before}{answer}{behind}");
        let (graded, _) = graded(&[Answer::accepted(&answer, "elsewhere.adb")], file("here.adb", &text));
        let known: Vec<&str> = answer.lines().collect();
        for (line, graded) in text.lines().zip(&graded) {
            if known.contains(&line) {
                prop_assert_eq!(graded.grade, Grade::AiVerbatim, "{}", line);
            } else {
                prop_assert!(graded.grade != Grade::AiVerbatim, "{}", line);
            }
        }
    }
}

#[test]
fn any_bytes_for_a_key_and_no_record() {
    let files = [file("a.adb", "a := b + c * d;\n")];
    let sought = Sought::new(&files, &KEY);
    assert_eq!(grade(&sought, &[])[0][0].grade, Grade::Unknown);
}
