//! What a check costs: the quick checker of each language on a small unit, in its jail and bare, in turns.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ::checks::{Runner, Site};
use jail::spawn::Exit;
use jail::tool::{End, Limits, environment};
use languages::{Language, Plan, Project, Rules, Unit};
use serde_json::json;
use testkit::server::Server;
use testkit::{Failure, http};

use crate::quantiles::Quantiles;

/// The argument that makes this program a launcher of tools.
pub(crate) const LAUNCH: &str = "--launch-a-tool";
const RUNS: usize = 100;

/// Runs both sides in turns, and prints the table.
pub(crate) fn measure(quick: bool) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    // No part of a granted path may be a link.
    let root = folder.path().canonicalize()?;
    let site = Site::new(&sysroot().into_iter().collect::<Vec<_>>());
    let scratch = root.join("runs");
    let runner = Runner { launcher: "/proc/self/exe".into(), arguments: &[LAUNCH], site, scratch };
    println!(
        "\n| a small unit | checker | jailed p50, p95, ms | bare p50, p95, ms | jailed to bare, p50 |\n|---|---|---|---|---|"
    );
    for language in Language::ALL {
        let (Some(checker), Some(text)) = (language.checkers().first(), unit(language)) else { continue };
        let missing = runner.site.missing(checker);
        if !missing.is_empty() {
            println!("| {} | {} | not here: {} | | |", language.name(), checker.name, checker.package);
            continue;
        }
        let (project, rules) = (Project::default(), Rules::default());
        let unit = Unit { language, file_name: None, text, project: &project, rules: &rules };
        let plan = checker.plan(&unit).ok_or("no plan for a small unit")?;
        let (mut with, mut without) = (Vec::new(), Vec::new());
        // The first of each fills caches.
        for round in 0..=if quick { 2 } else { RUNS } {
            let (jailed, bare) = (jailed(&runner, &plan)?, bare(&runner, &plan, &root.join("bare"))?);
            if round > 0 {
                with.push(jailed);
                without.push(bare);
            }
        }
        let (with, without) = (Quantiles::of_times(with), Quantiles::of_times(without));
        println!(
            "| {} | {} | {:.1}, {:.1} | {:.1}, {:.1} | {:.2}, {:+.1} ms |",
            language.name(),
            checker.name,
            with.median(),
            with.at(95),
            without.median(),
            without.at(95),
            with.median() / without.median(),
            with.median() - without.median(),
        );
    }
    Ok(())
}

/// What a check adds to a completion: the same hole with a file name that tells the language, and with one that tells none,
/// in turns.
pub(crate) fn measure_completions(model: &str, quick: bool) -> Result<(), Failure> {
    let server = Server::started(model)?;
    println!(
        "\n| a completion, 2 tokens | unchecked p50, p95, ms | checked p50, p95, ms | added p50, p95, ms | in time |\n|---|---|---|---|---|"
    );
    for (language, path) in
        [(Language::Ada, "sum.adb"), (Language::Vhdl, "counter.vhd"), (Language::Cpp, "sum.cpp")]
    {
        let Some(text) = unit(language) else { continue };
        let at = text.len() / 2;
        let (prefix, suffix) = text.split_at(at);
        let (mut with, mut without, mut in_time) = (Vec::new(), Vec::new(), 0);
        let runs = if quick { 2 } else { RUNS };
        // The first two fill caches, and tell the server how long the checker takes.
        for round in 0..runs + 2 {
            let mut took = [Duration::ZERO; 2];
            for (took, path) in took.iter_mut().zip([path, "notes.txt"]) {
                let request = json!({
                    "input_prefix": prefix, "input_suffix": suffix, "prompt": "", "n_predict": 2, "cloister": { "path": path },
                });
                let began = Instant::now();
                let response = http::post(&server.socket(), "/infill", &request)?;
                *took = began.elapsed();
                let answer = response.json()?;
                let outcome = answer["cloister"]["checks"][0]["outcome"].as_str();
                in_time += usize::from(round >= 2 && outcome.is_some_and(|outcome| outcome != "not_run"));
            }
            if round >= 2 {
                with.push(took[0]);
                without.push(took[1]);
            }
        }
        let added: Vec<Duration> =
            with.iter().zip(&without).map(|(with, without)| with.saturating_sub(*without)).collect();
        let [with, without, added] = [with, without, added].map(Quantiles::of_times);
        println!(
            "| {} | {:.1}, {:.1} | {:.1}, {:.1} | {:.1}, {:.1} | {in_time} of {runs} |",
            language.name(),
            without.median(),
            without.at(95),
            with.median(),
            with.at(95),
            added.median(),
            added.at(95),
        );
    }
    Ok(())
}

fn jailed(runner: &Runner, plan: &Plan) -> Result<Duration, Failure> {
    let began = Instant::now();
    let outcome = runner.run(plan, &[], Limits::default())?;
    let took = began.elapsed();
    if outcome.end != End::Exited(Exit::Code(0)) {
        let said = String::from_utf8_lossy(&outcome.stderr.bytes).into_owned();
        return Err(format!("{} failed in its jail: {said}", plan.program).into());
    }
    Ok(took)
}

/// The same without a jail: a folder, its files, the program, and the folder is removed.
fn bare(runner: &Runner, plan: &Plan, folder: &Path) -> Result<Duration, Failure> {
    let program = runner.site.program(plan.program).ok_or("its program is gone")?;
    let search = std::env::join_paths(&runner.site.search)?;
    let began = Instant::now();
    fs::create_dir(folder)?;
    for (name, text) in &plan.files {
        File::create_new(folder.join(name))?.write_all(text.as_bytes())?;
    }
    let mut command = Command::new(program);
    command.args(&plan.arguments).current_dir(folder).env_clear().envs(environment(folder));
    let output = command.env("PATH", search).output()?;
    fs::remove_dir_all(folder)?;
    let took = began.elapsed();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("{} failed: {said}", plan.program).into());
    }
    Ok(took)
}

/// Where the Rust toolchain lies, if not where Debian puts it.
fn sysroot() -> Option<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    (path.join("bin/rustc").is_file() && !path.starts_with("/usr")).then_some(path)
}

/// A unit of some lines that its checker finds right.
fn unit(language: Language) -> Option<&'static str> {
    match language {
        Language::Ada => Some(
            "with Ada.Text_IO;\nprocedure Sum is\n   type List is array (Positive range <>) of Integer;\n   \
             function Total (Of_List : List) return Integer is\n      Sum : Integer := 0;\n   begin\n      \
             for Item of Of_List loop\n         Sum := Sum + Item;\n      end loop;\n      return Sum;\n   end Total;\nbegin\n   \
             Ada.Text_IO.Put_Line (Integer'Image (Total ((1, 2, 3))));\nend Sum;\n",
        ),
        Language::Vhdl => Some(
            "library ieee;\nuse ieee.std_logic_1164.all;\nuse ieee.numeric_std.all;\nentity counter is\n  \
             port (clock, reset : in std_logic; count : out unsigned(7 downto 0));\nend;\narchitecture rtl of counter is\n  \
             signal value : unsigned(7 downto 0);\nbegin\n  process (clock) begin\n    if rising_edge(clock) then\n      \
             if reset = '1' then value <= (others => '0'); else value <= value + 1; end if;\n    end if;\n  end process;\n  \
             count <= value;\nend;\n",
        ),
        Language::Verilog => Some(
            "module counter(input clock, input reset, output reg [7:0] count);\n  always @(posedge clock)\n    \
             if (reset) count <= 0;\n    else count <= count + 1;\nendmodule\n",
        ),
        Language::C => Some(
            "#include <stdio.h>\nstatic int total(const int *list, int length) {\n  int sum = 0;\n  \
             for (int at = 0; at < length; at++) sum += list[at];\n  return sum;\n}\nint main(void) {\n  \
             int list[] = {1, 2, 3};\n  printf(\"%d\\n\", total(list, 3));\n}\n",
        ),
        Language::Cpp => Some(
            "#include <iostream>\n#include <numeric>\n#include <vector>\nint main() {\n  std::vector<int> list{1, 2, 3};\n  \
             std::cout << std::accumulate(list.begin(), list.end(), 0) << '\\n';\n}\n",
        ),
        Language::Rust => Some(
            "fn total(list: &[i32]) -> i32 {\n    list.iter().sum()\n}\n\nfn main() {\n    println!(\"{}\", total(&[1, 2, 3]));\n}\n",
        ),
        Language::Python => Some(
            "def total(items):\n    result = 0\n    for item in items:\n        result += item\n    return result\n\n\nprint(total([1, 2, 3]))\n",
        ),
        Language::Fortran => Some(
            "program sum_of\n  implicit none\n  print *, total([1, 2, 3])\ncontains\n  integer function total(items)\n    \
             integer, intent(in) :: items(:)\n    integer :: at\n    total = 0\n    do at = 1, size(items)\n      \
             total = total + items(at)\n    end do\n  end function\nend program\n",
        ),
        Language::Assembly => Some(
            "\t.text\n\t.globl total\ntotal:\n\txorl %eax, %eax\n1:\ttestq %rsi, %rsi\n\tje 2f\n\taddl (%rdi), %eax\n\taddq $4, %rdi\n\tdecq %rsi\n\tjmp 1b\n2:\tret\n",
        ),
        Language::Cobol => Some(
            "       IDENTIFICATION DIVISION.\n       PROGRAM-ID. TOTAL.\n       DATA DIVISION.\n       WORKING-STORAGE SECTION.\n       \
             01 SUM-OF PIC 9(4) VALUE 0.\n       01 ITEM PIC 9(4).\n       PROCEDURE DIVISION.\n           \
             PERFORM VARYING ITEM FROM 1 BY 1 UNTIL ITEM > 3\n             ADD ITEM TO SUM-OF\n           END-PERFORM.\n           \
             DISPLAY SUM-OF.\n           STOP RUN.\n",
        ),
        Language::Pascal => Some(
            "program total;\nvar\n  item, sum: integer;\nbegin\n  sum := 0;\n  for item := 1 to 3 do\n    sum := sum + item;\n  writeln(sum);\nend.\n",
        ),
        #[expect(unreachable_patterns, reason = "a language that comes has a row when it has a unit here")]
        _ => None,
    }
}
