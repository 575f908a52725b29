//! Tiny suites of our own, one of each kind.

use qualify::suite::Suite;
use serde_json::json;

fn suite(line: &serde_json::Value) -> Suite {
    Suite::parse("of-ours", line.to_string().as_bytes()).unwrap()
}

pub(crate) fn ada() -> Suite {
    suite(&json!({
        "name": "twice", "language": "adb", "stop_tokens": ["\n   end "],
        "prompt": "pragma Ada_2012;\n\npackage Placeholder is\n   function Twice (N : Integer) return Integer;\nend Placeholder;\n\n\
                   pragma Ada_2012;\n\nwith Ada.Text_IO; with GNAT.OS_Lib;\npackage body Placeholder is\n   function Twice (N : Integer) return Integer",
        "tests": "\n   end Twice;\n\nend Placeholder;\n\npragma Ada_2012;\nwith Placeholder; use Placeholder;\n\nprocedure Main is\nbegin\n   \
                  pragma Assert (Twice (2) = 4);\n   pragma Assert (Twice (-3) = -6);\nend Main;\n",
    }))
}

pub(crate) fn vhdl() -> Suite {
    suite(&json!({
        "id": "inverter", "spec": "I would like you to implement a module named TopModule with input a and output y, which is not a.",
        "vhdl_entity": "library ieee;\nuse ieee.std_logic_1164.all;\n\nentity TopModule is\n  port (\n    A : in std_logic;\n    y : out std_logic\n  );\nend entity;\n",
        "verilog_wrapper": "module TopModule(\n  input a,\n  output y\n);\n  vhdl_top u(.a (a), .y (y));\nendmodule\n",
        "reference_verilog": "module RefModule(input a, output y);\n  assign y = ~a;\nendmodule\n",
        "testbench_verilog": "`timescale 1 ps/1 ps\nmodule tb();\n  reg a = 0;\n  wire y_ref, y_dut;\n  integer errors = 0, clocks = 0;\n  \
            RefModule good1 (.a(a), .y(y_ref));\n  TopModule top_module1 (.a(a), .y(y_dut));\n  initial begin\n    \
            $dumpfile(\"wave.vcd\");\n    $dumpvars(1, tb);\n    repeat (20) begin\n      #5 clocks = clocks + 1;\n      \
            if (y_ref !== y_dut) errors = errors + 1;\n      a = ~a;\n    end\n    \
            $display(\"Mismatches: %1d in %1d samples\", errors, clocks);\n    $finish;\n  end\nendmodule\n",
        "roundtrip": "ok",
    }))
}

pub(crate) fn infilling() -> Suite {
    suite(&json!({
        "task_id": "RandomSpan/twice", "entry_point": "twice", "prompt": "def twice(n):\n", "suffix": "    return m\n",
        "canonical_solution": "    m = 2 * n\n", "test": "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(-3) == -6\n",
    }))
}

/// A package body whose specification is another file of the project.
pub(crate) fn general(build: &[&str], run: Option<&[&str]>) -> Suite {
    suite(&json!({
        "id": "scale", "language": "ada", "file_name": "src/scales.adb",
        "prefix": "package body Scales is\n   function Scale (N : Integer) return Integer is\n",
        "suffix": "   end Scale;\nend Scales;\n",
        "files": [
            {"name": "src/scales.ads", "text": "package Scales is\n   Factor : constant := 3;\n   function Scale (N : Integer) return Integer;\nend Scales;\n"},
            {"name": "main.adb", "text": "with Ada.Text_IO; with Scales;\nprocedure Main is\nbegin\n   Ada.Text_IO.Put_Line (Scales.Scale (2)'Image);\nend Main;\n"},
        ],
        "build": build, "run": run, "expect_stdout": run.map(|_| " 6\n"),
    }))
}
