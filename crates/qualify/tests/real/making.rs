//! A suite that is made of a small project.

use std::{fs, io::Write as _, path::Path};

use languages::Language;
use qualify::{
    judge::Verdict,
    make::{Wanted, make_suite},
    suite::{Form, Suite},
};

use crate::{Ground, Test};

pub(crate) const TESTS: &[Test] = &[("a project's own bodies become a suite", || {
    let ground = Ground::new();
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    };
    put("src/limits.ads", "package Limits is\n   Most : constant := 9;\nend Limits;\n");
    put(
        "src/gauge.ads",
        "package Gauge is\n   function Clamped (N : Integer) return Integer;\n   procedure Reset;\nend Gauge;\n",
    );
    put(
        "src/gauge.adb",
        "with Limits;\npackage body Gauge is\n   Last : Integer := 0;\n\n   function Clamped (N : Integer) return Integer is\n   begin\n      \
         Last := N;\n      return Integer'Min (N, Limits.Most);\n   end Clamped;\n\n   procedure Reset is\n   begin\n      Last := 0;\n   end Reset;\nend Gauge;\n",
    );
    put("src/broken.adb", "procedure Broken is\nbegin\n   Unknown;\n   Unknown;\nend Broken;\n");
    put(
        "src/main.adb",
        "with Gauge;\nprocedure Main is\nbegin\n   if Gauge.Clamped (10) /= 9 then\n      raise Program_Error;\n   end if;\nend Main;\n",
    );
    put(".hidden/other.adb", "procedure Other is\nbegin\n   null;\n   null;\nend Other;\n");
    let checked = Wanted {
        language: Language::Ada,
        count: 10,
        seed: 1,
        build: Vec::new(),
        run: None,
        expect_stdout: None,
    };
    let made = make(&ground, folder.path(), &checked);
    let mut ids: Vec<&str> = made.tasks.iter().map(|task| task.id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["src/gauge.adb:12", "src/gauge.adb:6", "src/main.adb:3"]);
    for task in suite(&ground, folder.path(), &checked).tasks {
        let verdict = ground.place.judge(&task, Form::Completion, "   begin\n      return Unknown;\n");
        assert!(matches!(verdict, Verdict::DoesNotCompile { .. }), "{verdict:?}");
    }
    let built = Wanted {
        build: ["gnatmake", "-q", "-aIsrc", "src/main.adb"].map(str::to_owned).to_vec(),
        run: Some(vec!["./main".to_owned()]),
        ..checked
    };
    let suite = suite(&ground, folder.path(), &built);
    let clamped = suite.tasks.iter().find(|task| task.id == "src/gauge.adb:6").unwrap();
    let judge = |answer: &str| ground.place.judge(clamped, Form::Completion, answer);
    assert_eq!(judge("   begin\n      return (if N > 9 then 9 else N);\n"), Verdict::Passed);
    assert!(matches!(judge("   begin\n      return N;\n"), Verdict::Failed { .. }));
})];

fn make(ground: &Ground, folder: &Path, wanted: &Wanted) -> qualify::make::Made {
    let made = make_suite(&ground.place, folder, wanted).unwrap();
    let again = make_suite(&ground.place, folder, wanted).unwrap();
    assert_eq!(made.to_json_lines().unwrap(), again.to_json_lines().unwrap());
    made
}

fn suite(ground: &Ground, folder: &Path, wanted: &Wanted) -> Suite {
    Suite::parse("made", make(ground, folder, wanted).to_json_lines().unwrap().as_bytes()).unwrap()
}
