//! What GNATprove writes. The tool is not Debian's: its words here are recorded ones of SPARK 2014's test baselines and of
//! its user's guide, with the unit's name put in.

use languages::{Diagnostic, Language, Project, Rules, Severity, Unit, Written};

fn read(text: &str, stdout: &str) -> Vec<(Severity, Option<u32>, Option<u32>, String)> {
    let (project, rules) = (Project::default(), Rules::default());
    let unit = Unit { language: Language::Ada, file_name: None, text, project: &project, rules: &rules };
    let checker = Language::Ada.checkers().iter().find(|checker| checker.name == "gnatprove").unwrap();
    assert!(checker.plan(&unit).is_some());
    let written = Written { stdout: stdout.as_bytes(), stderr: b"", succeeded: true };
    let place = |one: Diagnostic| (one.severity, one.line, one.column, one.message);
    checker.read(&unit, &written).into_iter().map(place).collect()
}

const TEXT: &str = "pragma SPARK_Mode;\n\n                                        \n                                       \n\
                    \n                                    \n";

#[test]
fn what_is_proved_is_told_from_what_is_not() {
    let words = "Phase 1 of 2: generation of Global contracts ...\n\
        unit.ada:3:25: medium: postcondition might fail, cannot prove Y = X'old\n    3 |  Post => X = Y'Old and Y = X'Old\n\
        \x20     |                        ^ here\n  e.g. when X'Old = 0\n        and Y = 1\n\
        unit.ada:4:07: high: \"G3.Val\" is not initialized\n\
        unit.ada:4:29: medium: missing dependency \"Log_In => Log\"\n\
        unit.ada:4:14: info: overflow check proved (CVC5: 4 VC, 0.0s, 1 step)\n\
        unit.ada:5:06: info: data dependencies proved\n\
        unit.ada:6:26: warning: unused initial value of \"X\"\n\
        unit.ada:6:22: precondition not proved\n\
        unit.ada:6:36: low: unused global \"G1\"\n\
        other.ads:7:12: medium: array index check might fail [reason for check: value must be a valid index into the array]\n\
        Summary logged in gnatprove.out\n";
    let found = read(TEXT, words);
    let (warning, note) = (Severity::Warning, Severity::Note);
    let place = |severity, line, column, words: &str| (severity, Some(line), Some(column), words.to_owned());
    assert_eq!(
        found[..8],
        [
            place(warning, 3, 25, "unproved: postcondition might fail, cannot prove Y = X'old"),
            place(warning, 4, 7, "unproved: \"G3.Val\" is not initialized"),
            place(warning, 4, 29, "unproved: missing dependency \"Log_In => Log\""),
            place(note, 4, 14, "overflow check proved (CVC5: 4 VC, 0.0s, 1 step)"),
            place(note, 5, 1, "data dependencies proved"),
            place(warning, 6, 26, "unused initial value of \"X\""),
            place(warning, 6, 22, "unproved: precondition not proved"),
            place(warning, 6, 36, "unproved: unused global \"G1\""),
        ]
    );
    assert_eq!((found[8].1, found.len()), (None, 9));
    assert!(found[8].3.starts_with("unproved: array index check might fail [reason"), "{found:?}");
}

#[test]
fn a_plan_is_for_what_has_a_mode_and_names_no_more_than_the_project() {
    let project = Project { directories: vec!["/p/a \"b\"".into()], ..Project::default() };
    let checker = &Language::Ada.checkers()[1];
    let rules = Rules { pragmas: vec!["pragma SPARK_Mode;".to_owned()], ..Rules::default() };
    let text = "procedure P is null;";
    let unit = Unit { language: Language::Ada, file_name: None, text, project: &project, rules: &rules };
    let plan = checker.plan(&unit).unwrap();
    let file = |name: &str| &plan.files.iter().find(|(given, _)| given == name).unwrap().1;
    assert!(file("unit.gpr").contains("for Source_Dirs use (\"units\", \"/p/a \"\"b\"\"\");"), "{plan:?}");
    assert_eq!(file("gnat.adc"), "pragma SPARK_Mode;\n");
    assert!(checker.plan(&Unit { rules: &Rules::default(), ..unit }).is_none());
}
