//! One answer after another, and its verdict.

use std::fs;

use jail::tool::Launcher;
use qualify::{
    judge::{Place, Verdict},
    suite::{Form, Suite},
};

use crate::{Ground, Test, tasks};

pub(crate) const TESTS: &[Test] = &[
    ("Ada is built and run", || {
        let ground = Ground::new();
        let suite = tasks::ada();
        let body = |statement: &str| format!(" is\n   begin\n      {statement}");
        check(&ground, &suite, &body("return 2 * N;"), Expected::Passed);
        // What follows the stop token is cut.
        check(&ground, &suite, &body("return 2 * N;\n   end Twice;\n   nonsense"), Expected::Passed);
        check(&ground, &suite, &body("return N;"), Expected::Failed("ASSERTION_ERROR"));
        check(
            &ground,
            &suite,
            &body("return Unknown;"),
            Expected::DoesNotCompile("\"Unknown\" is undefined"),
        );
        check(&ground, &suite, "((((", Expected::DoesNotCompile(""));
        check(&ground, &suite, &body("loop null; end loop; return 1;"), Expected::TimedOut);
        check(
            &ground,
            &suite,
            &body("GNAT.OS_Lib.OS_Exit (0); return 1;"),
            Expected::Failed("ended before its tests"),
        );
        let reads = "declare\n         File : Ada.Text_IO.File_Type;\n      begin\n         Ada.Text_IO.Open (File, Ada.Text_IO.In_File, \"/etc/passwd\");\n         \
             Ada.Text_IO.Close (File);\n      end;\n      return 2 * N;";
        assert!(fs::exists("/etc/passwd").unwrap());
        check(&ground, &suite, &body(reads), Expected::Failed("ADA.IO_EXCEPTIONS.NAME_ERROR"));
    }),
    ("VHDL is synthesized and simulated", || {
        let ground = Ground::new();
        let suite = tasks::vhdl();
        check(&ground, &suite, "begin\n  y <= not a;\nend architecture;\n", Expected::Passed);
        check(&ground, &suite, "begin\n  y <= a;\n", Expected::Failed("Mismatches: 20 in 20"));
        check(
            &ground,
            &suite,
            "begin\n  y <= not unknown;\n",
            Expected::DoesNotCompile("no declaration for \"unknown\""),
        );
        let reads = "  use std.textio.all;\n  impure function first return string is\n    file f : text open read_mode is \"/etc/passwd\";\n    \
             variable l : line;\n  begin\n    readline(f, l);\n    return l.all;\n  end function;\n  constant c : string := first;\n\
             begin\n  y <= not a when c'length > 0 else a;\n";
        let verdict = ground.place.judge(&suite.tasks[0], Form::Completion, reads);
        assert!(matches!(verdict, Verdict::Failed { .. } | Verdict::DoesNotCompile { .. }), "{verdict:?}");
        let endless = "  function f return std_logic is\n  begin\n    while true loop null; end loop;\n    return '0';\n  end function;\n  \
             constant c : std_logic := f;\nbegin\n  y <= c;\n";
        let verdict = ground.place.judge(&suite.tasks[0], Form::Completion, endless);
        assert!(matches!(verdict, Verdict::TimedOut | Verdict::Failed { .. }), "{verdict:?}");
        let answer = "```vhdl\narchitecture x of TopModule is\nbegin\n  y <= not a;\nend;\n```\n";
        assert_eq!(ground.place.judge(&suite.tasks[0], Form::Chat, answer), Verdict::Passed);
    }),
    ("Python is filled and run", || {
        let ground = Ground::new();
        let suite = tasks::infilling();
        check(&ground, &suite, "    m = 2 * n\n", Expected::Passed);
        check(&ground, &suite, "    m = n\n", Expected::Failed("AssertionError"));
        check(&ground, &suite, "    m = = n\n", Expected::DoesNotCompile("SyntaxError"));
        check(&ground, &suite, "    while True: pass\n", Expected::TimedOut);
        check(
            &ground,
            &suite,
            "    m = len(open('/etc/passwd').read()) * 0 + 2 * n\n",
            Expected::Failed("No such file"),
        );
        check(&ground, &suite, "    import os; os._exit(0)\n", Expected::Failed("ended before its tests"));
        check(&ground, &suite, "    import socket; socket.socket(); m = 2 * n\n", Expected::Failed("Error"));
        check(&ground, &suite, "    while True: print('x' * 1000)\n", Expected::Failed(""));
        // Its scratch folder is removed nonetheless.
        check(
            &ground,
            &suite,
            "    import os; os.mkdir('a'); os.mkdir('a/b'); os.chmod('a', 0); m = 2 * n\n",
            Expected::Failed("FileExists"),
        );
    }),
    ("a site's own code is built, run, or checked", || {
        let ground = Ground::new();
        let built = tasks::general(&["gnatmake", "-q", "-aIsrc", "main.adb"], Some(&["./main"]));
        check(&ground, &built, "   begin\n      return Factor * N;\n", Expected::Passed);
        check(
            &ground,
            &built,
            "   begin\n      return N;\n",
            Expected::Failed("it writes something else: 2"),
        );
        check(
            &ground,
            &built,
            "   begin\n      return Unknown;\n",
            Expected::DoesNotCompile("\"Unknown\" is undefined"),
        );
        check(&ground, &built, "   begin\n      loop null; end loop;\n      return 1;\n", Expected::TimedOut);
        let missing = tasks::general(&["no-such-tool"], None);
        check(&ground, &missing, "", Expected::NotJudged("no-such-tool is not installed"));
        let checked = tasks::general(&[], None);
        check(&ground, &checked, "   begin\n      return Factor * N;\n", Expected::Passed);
        check(
            &ground,
            &checked,
            "   begin\n      return Unknown;\n",
            Expected::DoesNotCompile("\"Unknown\" is undefined"),
        );
        check(&ground, &checked, "", Expected::DoesNotCompile(""));
    }),
    ("the compiler's opinion is of the unit without tests", || {
        let ground = Ground::new();
        let suite = tasks::ada();
        let opinion =
            |answer: &str| ground.place.opinion(&suite.tasks[0].unit(Form::Completion, answer)).unwrap();
        // It was called, too.
        let said = opinion(" is\n   begin\n      return N;");
        assert!(said.len() == 1 && said[0].severity == languages::Severity::Note, "{said:?}");
        let said = opinion(" is\n   begin\n      return Unknown;");
        assert!(said[0].message.contains("\"Unknown\" is undefined") && said[0].line == Some(13), "{said:?}");
    }),
    ("without a launcher nothing is judged", || {
        let ground = Ground::new();
        // So it runs no test, and reports nothing.
        let launcher = Launcher { arguments: &["no-test-has-this-name"], ..ground.place.launcher };
        let place = Place { launcher, ..ground.place.clone() };
        let verdict = place.judge(&tasks::infilling().tasks[0], Form::Completion, "    m = 2 * n\n");
        assert!(
            matches!(&verdict, Verdict::NotJudged { reason } if reason.contains("without a report")),
            "{verdict:?}"
        );
    }),
];

#[derive(Debug)]
enum Expected {
    Passed,
    Failed(&'static str),
    DoesNotCompile(&'static str),
    TimedOut,
    NotJudged(&'static str),
}

fn check(ground: &Ground, suite: &Suite, answer: &str, expected: Expected) {
    let verdict = ground.place.judge(&suite.tasks[0], Form::Completion, answer);
    let holds = match (&verdict, &expected) {
        (Verdict::Passed, Expected::Passed) | (Verdict::TimedOut, Expected::TimedOut) => true,
        (Verdict::Failed { reason }, Expected::Failed(says))
        | (Verdict::NotJudged { reason }, Expected::NotJudged(says)) => reason.contains(says),
        (Verdict::DoesNotCompile { diagnostic }, Expected::DoesNotCompile(says)) => {
            !diagnostic.is_empty() && diagnostic.contains(says)
        }
        _ => false,
    };
    assert!(holds, "{answer}\nis {verdict:?}, not {expected:?}");
}
