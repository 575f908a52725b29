//! The texts. `{OUTSIDE}` is a folder that no run may see, `{PROJECT}` one that it may read.

use languages::{Checker, Language};

use super::{Attempt, Control};

/// A foreign subprogram is refused however it is written.
pub(super) const FOREIGN: [&str; 6] = [
    "package p is\n  procedure f;\n  attribute foreign of f : procedure is \"VHPIDIRECT libc.so.6 getpid\";\nend;\n",
    "package p is\n  procedure f;\n  ATTRIBUTE\n  -- x\n  Foreign of f : procedure is \"VHPI\" & \"DIRECT x y\";\nend;\n",
    "package p is\n  procedure f;\n  attribute /* x */ foreign of f : procedure is \"x\";\nend;\n",
    "architecture a of e is\n  attribute foreign of a : architecture is \"vhpi x y\";\nbegin\nend;\n",
    "package p is\n  constant c : string := \"vhpiDirect x\";\nend;\n",
    "package p is\n  attribute foreign : string;\nend;\n",
];

/// A text that each of the language's checkers finds right.
pub(super) fn harmless(language: Language) -> &'static str {
    match language {
        Language::Ada => {
            "function P (A : Integer) return Integer is\n   pragma Assert (True);\nbegin\n   return A;\nend P;\n"
        }
        Language::Vhdl => {
            "entity e is port (a : in bit; b : out bit); end;\narchitecture r of e is\nbegin\n  b <= not a;\nend;\n"
        }
        Language::Verilog => "module m(input a, output b);\n  assign b = ~a;\nendmodule\n",
        Language::C | Language::Cpp => "int one(void) { return 1; }\n",
        Language::Rust => "pub fn one() -> u8 {\n    1\n}\n",
        Language::Python => "def one():\n    return 1\n",
        Language::Fortran => "program p\n  implicit none\n  print *, 1\nend program p\n",
        Language::Assembly => "\t.globl one\none:\n\tret\n",
        Language::Cobol => {
            "       IDENTIFICATION DIVISION.\n       PROGRAM-ID. P.\n       PROCEDURE DIVISION.\n           STOP RUN.\n"
        }
        Language::Pascal => "program p;\nbegin\n  writeln(1);\nend.\n",
    }
}

fn reads(name: &'static str, text: impl Into<String>) -> Attempt {
    Attempt { name, file_name: None, text: text.into(), control: Control::Tells }
}

fn wants(name: &'static str, text: impl Into<String>) -> Attempt {
    Attempt { name, file_name: None, text: text.into(), control: Control::Untried }
}

fn writes(name: &'static str, text: impl Into<String>) -> Attempt {
    Attempt { name, file_name: None, text: text.into(), control: Control::Writes }
}

/// `count` lines, each made of its number.
fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(|number| line(number) + "\n").collect()
}

/// What no language likes.
pub(super) fn of_any(language: Language) -> Vec<Attempt> {
    let harmless = harmless(language);
    vec![
        wants("nothing", ""),
        wants("zero bytes", format!("\0{harmless}\0\0{harmless}")),
        wants(
            "odd characters",
            format!("\u{feff}{harmless}\u{202e}\u{fffd}\u{10ffff}\u{1b}[31m\r\u{85}\u{2028}\u{7f}\n"),
        ),
        wants("an odd name in an error", "x\u{202e}\u{1b}]0;y\u{7}z \" ' ` % $ \\ \n"),
        wants("a line of a million letters", "x".repeat(1_000_000)),
        wants("a line of a million quotes", "\"".repeat(1_000_000)),
        wants("a hundred thousand errors", "@ ) x y\n".repeat(100_000)),
        wants("parentheses, half a million deep", "(".repeat(500_000)),
        wants("a million lines", "\n".repeat(1_000_000)),
    ]
}

/// What a language has for it.
pub(super) fn of(language: Language, checker: &Checker) -> Vec<Attempt> {
    match (language, checker.name) {
        (Language::Ada, "gnat-run") => ada_calls(),
        (Language::Ada, _) => ada(),
        (Language::Vhdl, "ghdl-synth") => vhdl_synthesis(),
        (Language::Vhdl, "ghdl-drive") => vhdl_simulation(),
        (Language::Vhdl, _) => vhdl(),
        (Language::Verilog, _) => verilog(),
        (Language::C, _) => c(),
        (Language::Cpp, _) => c().into_iter().chain(cpp()).collect(),
        (Language::Rust, _) => rust(),
        (Language::Python, _) => python(),
        (Language::Fortran, _) => fortran(),
        (Language::Assembly, _) => assembly(),
        (Language::Cobol, _) => cobol(),
        (Language::Pascal, _) => pascal(),
    }
}

fn ada() -> Vec<Attempt> {
    let generics = |depth: usize| {
        let first = "procedure U is\n   generic package G0 is X : Integer := 0; end G0;\n".to_owned();
        let more = lines(depth, |number| {
            let next = number + 1;
            let inner: String = (0..8).map(|copy| format!(" package I{copy} is new G{number};")).collect();
            format!("   generic package G{next} is{inner} end G{next};")
        });
        format!("{first}{more}   package Last is new G{depth};\nbegin\n   null;\nend U;\n")
    };
    let strings =
        lines(40, |number| format!("   S{} : constant String := S{number} & S{number};", number + 1));
    vec![
        wants(
            "a unit by the name of its file",
            "pragma Source_File_Name (Secret, Spec_File_Name => \"{OUTSIDE}/secret.ads\");\nwith Secret;\nprocedure U is\n   \
             pragma Compile_Time_Error (Secret.Word /= \"\", Secret.Word);\nbegin\n   null;\nend U;\n",
        ),
        reads(
            "a unit by the pattern of its file",
            "pragma Source_File_Name (Spec_File_Name => \"{OUTSIDE}/*.ads\");\nwith Secret;\nprocedure U is\n   \
             pragma Compile_Time_Error (Secret.Word /= \"\", Secret.Word);\nbegin\n   null;\nend U;\n",
        ),
        wants(
            "lines of another file",
            "pragma Source_Reference (1, \"{OUTSIDE}/secret.h\");\nprocedure U is\nbegin\n   X := 1;\nend U;\n",
        ),
        wants(
            "files that gnatchop writes",
            "pragma Source_Reference (1, \"{OUTSIDE}/made.adb\");\nprocedure A is begin null; end A;\n\
             pragma Source_Reference (1, \"../../made.adb\");\nprocedure B is begin null; end B;\n",
        ),
        wants(
            "switches in comments and pragmas",
            "-- -gnatR -gnatec={OUTSIDE}/secret.h\npragma Annotate (GNAT, \"-I{OUTSIDE}\");\n\
             pragma Linker_Options (\"-Wl,@{OUTSIDE}/secret.h\");\npackage P is\nend P;\n",
        ),
        wants("generics that double", generics(12)),
        wants(
            "a generic within itself",
            "procedure U is\n   generic procedure G;\n   procedure G is procedure H is new G; begin H; end G;\n   \
             procedure K is new G;\nbegin\n   K;\nend U;\n",
        ),
        wants("a number without end", "package P is\n   X : constant := 3 ** (2 ** 30);\nend P;\n"),
        wants(
            "a string that doubles",
            format!("package P is\n   S0 : constant String := \"0123456789\";\n{strings}end P;\n"),
        ),
        wants(
            "an aggregate of all",
            "package P is\n   type A is array (1 .. 2 ** 31 - 2) of Integer;\n   \
             X : constant A := (for I in A'Range => I * 2);\nend P;\n",
        ),
        wants("a hundred thousand undefined names", {
            let uses = lines(20_000, |number| format!("   X{number} := Y{number};"));
            format!("procedure U is\nbegin\n{uses}end U;\n")
        }),
    ]
}

fn ada_calls() -> Vec<Attempt> {
    let function = |clauses: &str, declarations: &str, body: &str| {
        format!(
            "{clauses}\nfunction U (A : Integer) return Integer is\n   pragma Assert (True);\n{declarations}begin\n{body}   return A;\nend U;\n"
        )
    };
    let file = |what: &str, body: &str| {
        let declarations = "   use Ada.Text_IO;\n   File : File_Type;\n";
        function("with Ada.Text_IO;", declarations, &format!("   {what};\n{body}   Close (File);\n"))
    };
    let foreign = |name: &str, body: &str| {
        let declarations = format!(
            "   function {name} return Integer with Import, Convention => C, External_Name => \"{name}\";\n"
        );
        function("", &declarations, body)
    };
    let secret = "Open (File, In_File, \"{OUTSIDE}/secret.h\")";
    vec![
        reads("a file, read by a call", file(secret, "   Put_Line (Get_Line (File));\n")),
        reads("a file, told by an exception", file(secret, "   raise Program_Error with Get_Line (File);\n")),
        reads(
            "a file, told by a failed assertion",
            file(secret, "   pragma Assert (A = Integer'First, Get_Line (File));\n"),
        ),
        reads(
            "a file, read while it elaborates",
            "with Ada.Text_IO; use Ada.Text_IO;\npackage Q is\n   function F (A : Integer) return Integer;\nend Q;\n\
             package body Q is\n   pragma Assert (True);\n   File : File_Type;\n   function F (A : Integer) return Integer is (A);\nbegin\n   \
             Open (File, In_File, \"{OUTSIDE}/secret.h\");\n   Put_Line (Get_Line (File));\nend Q;\n",
        ),
        writes(
            "a file, written by a call",
            file("Create (File, Out_File, \"{OUTSIDE}/made\")", "   Put_Line (File, \"made\");\n"),
        ),
        wants(
            "a file, made longer by a call",
            file("Open (File, Append_File, \"{OUTSIDE}/secret.h\")", "   Put_Line (File, \"made\");\n"),
        ),
        wants("a file that fills its folder", {
            let body = "   loop Put_Line (File, (1 .. 1_000_000 => 'x')); end loop;\n";
            file("Create (File, Out_File, \"made\")", body)
        }),
        wants("a loop without end", function("", "", "   loop null; end loop;\n")),
        wants("a wait without end", function("", "", "   delay 1.0E6;\n")),
        wants(
            "words without end",
            function(
                "with Ada.Text_IO;",
                "",
                "   loop Ada.Text_IO.Put_Line (\"outputs again\"); end loop;\n",
            ),
        ),
        wants(
            "a memory that grows",
            function(
                "",
                "   type Block is array (1 .. 10_000_000) of Integer;\n   type Pointer is access Block;\n   P : Pointer;\n",
                "   loop P := new Block'(others => 1); end loop;\n",
            ),
        ),
        wants("a function in itself", function("", "", "   if U (A) = 1 then return 2; end if;\n")),
        wants(
            "tasks without end",
            function(
                "",
                "   task type Idle;\n   task body Idle is begin loop delay 1.0; end loop; end Idle;\n   type Pointer is access Idle;\n   P : Pointer;\n",
                "   loop P := new Idle; end loop;\n",
            ),
        ),
        wants("processes without end", foreign("fork", "   loop if fork = 0 then null; end if; end loop;\n")),
        wants(
            "a signal to everyone",
            function(
                "",
                "   function Kill (Whom, What : Integer) return Integer with Import, Convention => C, External_Name => \"kill\";\n",
                "   if Kill (-1, 9) = 0 then return 1; end if;\n",
            ),
        ),
        wants(
            "a shell",
            function(
                "with Interfaces.C;",
                "   function Run (Words : Interfaces.C.char_array) return Interfaces.C.int with Import, Convention => C, External_Name => \"system\";\n",
                "   if Integer (Run (Interfaces.C.To_C (\"cat {OUTSIDE}/secret.h; echo made > {OUTSIDE}/made; setsid sleep 1000 &\"))) = 0 then return 1; end if;\n",
            ),
        ),
        wants(
            "instructions of the processor",
            function(
                "with System.Machine_Code;",
                "",
                "   System.Machine_Code.Asm (\"mov $0x3d, %%eax; syscall; hlt\", Volatile => True);\n",
            ),
        ),
        wants(
            "an output that says how it ended",
            function(
                "with Ada.Text_IO; with GNAT.OS_Lib;",
                "",
                "   Ada.Text_IO.Put_Line (\"raised X : unit.ada:4294967296 \" & ASCII.ESC & \"[31m\");\n   GNAT.OS_Lib.OS_Exit (0);\n",
            ),
        ),
        wants(
            "the name of the bench",
            "function Cloister_Drive (A : Integer) return Integer is\nbegin\n   pragma Assert (True);\n   return A;\nend Cloister_Drive;\n",
        ),
        wants(
            "a name of the bench's own",
            function("with Ada.Text_IO;", "", "").replace(" U ", " Position ").replace(" U;", " Position;"),
        ),
    ]
}

fn vhdl() -> Vec<Attempt> {
    let strings =
        lines(40, |number| format!("  constant s{} : string := s{number} & s{number};", number + 1));
    vec![
        wants(
            "files of textio",
            "use std.textio.all;\nentity e is end;\narchitecture a of e is\n  file f : text open read_mode is \"{OUTSIDE}/secret.h\";\n  \
             file g : text open write_mode is \"{OUTSIDE}/made\";\nbegin\nend;\n",
        ),
        wants("a library elsewhere", "library secret;\nuse secret.secret.all;\nentity e is end;\n"),
        wants(
            "foreign under another name",
            "package p is\n  alias other is foreign;\n  procedure f;\n  attribute other of f : procedure is \"VHPI\" & \"DIRECT libc.so.6 getpid\";\nend;\n",
        ),
        wants(
            "a constant of all",
            "package p is\n  constant c : bit_vector(0 to 2147483646) := (others => '1');\nend;\n",
        ),
        wants(
            "a string that doubles",
            format!("package p is\n  constant s0 : string := \"0123456789\";\n{strings}end;\n"),
        ),
        wants("a number without end", "package p is\n  constant c : integer := 2 ** (2 ** 30);\nend;\n"),
        wants(
            "a component in itself",
            "entity e is end;\narchitecture a of e is\nbegin\n  u : entity work.e;\n  v : entity work.e;\nend;\n",
        ),
        wants("declarations, a hundred thousand wrong", {
            let uses = lines(20_000, |number| format!("  constant c{number} : integer := d{number};"));
            format!("package p is\n{uses}end;\n")
        }),
    ]
}

fn vhdl_synthesis() -> Vec<Attempt> {
    let function = |body: &str| {
        format!(
            "use std.textio.all;\nentity e is port (o : out integer); end;\narchitecture a of e is\n  \
             impure function f return integer is\n{body}  end;\n  constant c : integer := f;\nbegin\n  o <= c;\nend;\n"
        )
    };
    let mut all = vhdl();
    all.extend([
        reads(
            "a file, read while it elaborates",
            function(
                "    file h : text open read_mode is \"{OUTSIDE}/secret.h\";\n    variable l : line;\n  begin\n    \
                 readline(h, l);\n    report l.all;\n    return 1;\n",
            ),
        ),
        writes(
            "a file, written while it elaborates",
            function(
                "    file h : text open write_mode is \"{OUTSIDE}/made\";\n    variable l : line;\n  begin\n    \
                 write(l, string'(\"made\"));\n    writeline(h, l);\n    return 1;\n",
            ),
        ),
        wants(
            "a file, made longer while it elaborates",
            function(
                "    file h : text open append_mode is \"{OUTSIDE}/secret.h\";\n    variable l : line;\n  begin\n    \
                 write(l, string'(\"made\"));\n    writeline(h, l);\n    return 1;\n",
            ),
        ),
        wants(
            "a device without end",
            function(
                "    file h : text open read_mode is \"/dev/zero\";\n    variable l : line;\n  begin\n    \
                 readline(h, l);\n    return l.all'length;\n",
            ),
        ),
        wants("a loop without end", function("  begin\n    loop null; end loop;\n    return 1;\n")),
        wants(
            "words without end",
            function("  begin\n    loop report \"again and again and again\"; end loop;\n    return 1;\n"),
        ),
        wants("a function in itself", function("  begin\n    return f + 1;\n")),
        wants(
            "a generate of all",
            "entity e is end;\narchitecture a of e is\nbegin\n  g : for i in 0 to 2147483646 generate\n    signal s : bit;\n  begin\n    s <= '1';\n  end generate;\nend;\n",
        ),
        wants(
            "a signal of all",
            "entity e is port (o : out bit_vector(0 to 2147483646)); end;\narchitecture a of e is\nbegin\n  o <= (others => '1');\nend;\n",
        ),
        wants(
            "a memory that grows",
            function(
                "    type p is access bit_vector;\n    variable v : p;\n  begin\n    loop v := new bit_vector(0 to 99999999); end loop;\n    return 1;\n",
            ),
        ),
    ]);
    all
}

fn vhdl_simulation() -> Vec<Attempt> {
    let process = |declarations: &str, body: &str| {
        format!(
            "use std.textio.all;\nentity e is port (a : in bit; o : out bit); end;\narchitecture r of e is\nbegin\n  \
             process (a)\n{declarations}  begin\n{body}    o <= a;\n  end process;\nend;\n"
        )
    };
    let file = |mode: &str, path: &str, body: &str| {
        let declarations = format!("    file h : text open {mode} is \"{path}\";\n    variable l : line;\n");
        process(&declarations, body)
    };
    vec![
        reads(
            "a file, read while it runs",
            file(
                "read_mode",
                "{OUTSIDE}/secret.h",
                "    readline(h, l);\n    report l.all severity failure;\n",
            ),
        ),
        reads(
            "a file, told as an output",
            file(
                "read_mode",
                "{OUTSIDE}/secret.h",
                "    readline(h, l);\n    write(output, \"outputs \" & l.all & LF);\n",
            ),
        ),
        writes(
            "a file, written while it runs",
            file("write_mode", "{OUTSIDE}/made", "    write(l, string'(\"made\"));\n    writeline(h, l);\n"),
        ),
        wants(
            "a file, made longer while it runs",
            file(
                "append_mode",
                "{OUTSIDE}/secret.h",
                "    write(l, string'(\"made\"));\n    writeline(h, l);\n",
            ),
        ),
        wants("a device without end", file("read_mode", "/dev/zero", "    readline(h, l);\n")),
        wants("a loop without end", process("", "    loop null; end loop;\n")),
        wants("words without end", process("", "    loop report \"again and again and again\"; end loop;\n")),
        wants("words of a test's end", process("", "    std.env.finish(0);\n")),
        wants(
            "a memory that grows",
            process(
                "    type p is access bit_vector;\n    variable v : p;\n",
                "    loop v := new bit_vector(0 to 99999999); end loop;\n",
            ),
        ),
        wants(
            "a function in itself",
            process(
                "    function f (n : integer) return integer is begin return f (n) + 1; end;\n",
                "    report integer'image (f (1));\n",
            ),
        ),
        wants(
            "a signal that never rests",
            "entity e is port (a : in bit; o : out bit); end;\narchitecture r of e is\n  signal s : bit;\nbegin\n  \
             s <= not s;\n  o <= s and a;\nend;\n",
        ),
        wants(
            "a signal of all",
            "entity e is port (a : in bit; o : out bit); end;\narchitecture r of e is\n  \
             signal s : bit_vector(0 to 2147483646);\nbegin\n  s <= (others => a);\n  o <= s(1);\nend;\n",
        ),
        wants(
            "an entity in itself",
            "entity e is port (a : in bit; o : out bit); end;\narchitecture r of e is\nbegin\n  u : entity work.e port map (a, o);\nend;\n",
        ),
        wants(
            "the name of the bench",
            "entity cloister_drive is port (a : in bit; o : out bit); end;\narchitecture r of cloister_drive is\nbegin\n  o <= a;\nend;\n",
        ),
    ]
}

fn verilog() -> Vec<Attempt> {
    let macros = format!(
        "`define A0 wire x;\n{}",
        lines(40, |number| format!("`define A{} `A{number} `A{number}", number + 1))
    );
    vec![
        reads("a file, included", "module m;\n  wire a =\n`include \"{OUTSIDE}/secret.h\"\n;\nendmodule\n"),
        wants(
            "a file of a memory",
            "module m;\n  reg [7:0] r [0:9];\n  initial $readmemh(\"{OUTSIDE}/secret.h\", r);\nendmodule\n",
        ),
        wants(
            "files and commands of a simulation",
            "module m;\n  integer f;\n  initial begin\n    f = $fopen(\"{OUTSIDE}/made\", \"w\");\n    $fdisplay(f, \"made\");\n    \
             $system(\"touch {OUTSIDE}/made\");\n    $dumpfile(\"{OUTSIDE}/made\");\n    $dumpvars;\n  end\nendmodule\n",
        ),
        wants(
            "a file, opened by a constant",
            "module m;\n  function integer f(input integer x);\n    f = $fopen(\"{OUTSIDE}/made\", \"w\");\n  endfunction\n  localparam P = f(1);\n  wire [P:0] w;\nendmodule\n",
        ),
        wants(
            "a foreign function",
            "import \"DPI-C\" function int system(input string words);\nmodule m;\n  localparam P = system(\"touch {OUTSIDE}/made\");\n  initial $display(P);\nendmodule\n",
        ),
        wants(
            "directives of one tool",
            "`verilator_config\nlint_off -file \"{OUTSIDE}/secret.v\"\nhier_block -module \"m\"\n`verilog\nmodule m; endmodule\n",
        ),
        wants("lines of another file", "`line 1 \"{OUTSIDE}/secret.h\" 0\nmodule m; wire a = b; endmodule\n"),
        wants("a file that includes itself", "`include \"unit.sv\"\n`include \"unit.sv\"\n"),
        wants("a device without end", "`include \"/dev/zero\"\n"),
        wants("macros that double", format!("{macros}module m;\n`A40\nendmodule\n")),
        wants("a macro in itself", "`define A `A `A\nmodule m;\n`A\nendmodule\n"),
        wants("a module in itself", "module m; m a(); m b(); endmodule\n"),
        wants(
            "a generate of all",
            "module m; genvar i; generate for (i = 0; i < 2147483647; i = i + 1) begin : g wire w; end endgenerate endmodule\n",
        ),
        wants(
            "a constant without end",
            "module m;\n  function integer f(input integer x);\n    begin\n      f = x;\n      while (1) f = f + 1;\n    end\n  endfunction\n  localparam P = f(1);\n  wire [P:0] w;\nendmodule\n",
        ),
        wants("a wire of all", "module m; wire [2147483646:0] w = {2147483647{1'b1}}; endmodule\n"),
        wants("a hundred thousand undefined names", {
            let uses = lines(20_000, |number| format!("  assign w = x{number};"));
            format!("module m;\n  wire w;\n{uses}endmodule\n")
        }),
    ]
}

fn c() -> Vec<Attempt> {
    let macros = format!(
        "#define A0 1+\n{}",
        lines(40, |number| format!("#define A{} A{number} A{number}", number + 1))
    );
    vec![
        reads("a file, included", "int x =\n#include \"{OUTSIDE}/secret.h\"\n;\n"),
        reads("a file, included with a way up", "int x =\n#include \"{PROJECT}/../outside/secret.h\"\n;\n"),
        reads(
            "a file, included by a macro",
            "#define FILE <{OUTSIDE}/secret.h>\nint x =\n#include FILE\n;\n",
        ),
        wants("a file, embedded", "char x[] = {\n#embed \"{OUTSIDE}/secret.h\"\n};\n"),
        wants(
            "a file, assembled",
            "__asm__(\".incbin \\\"{OUTSIDE}/secret.h\\\"\");\nint one(void) { return 1; }\n",
        ),
        wants("a file's age", "#pragma GCC dependency \"{OUTSIDE}/secret.h\"\nint x;\n"),
        wants("lines of another file", "#line 1 \"{OUTSIDE}/secret.h\"\nint x = y;\n"),
        wants(
            "a file, written",
            "#pragma GCC pch_preprocess \"{OUTSIDE}/made\"\n#pragma clang module build made\nint x;\n",
        ),
        wants("a device without end", "#include \"/dev/zero\"\n"),
        wants("standard input", "#include \"/dev/stdin\"\n#include \"/proc/self/environ\"\n"),
        wants("a file that includes itself twice", "#include \"unit.c\"\n#include \"unit.c\"\n"),
        wants("macros that double", format!("{macros}int x = A40 1;\n")),
        wants(
            "an array of all",
            "int x[1ull << 60] = {[(1ull << 59)] = 1};\nint y[2147483647] = {[0 ... 2147483646] = 1};\n",
        ),
        wants("an expression, deep", format!("int x = {}1{};\n", "(".repeat(200_000), ")".repeat(200_000))),
        wants(
            "a hundred thousand undefined names",
            lines(20_000, |number| format!("int x{number} = y{number};")),
        ),
    ]
}

fn cpp() -> Vec<Attempt> {
    vec![
        wants(
            "templates that double",
            "template<int N, long M> struct T { static const int v = T<N - 1, 2 * M>::v + T<N - 1, 2 * M + 1>::v; };\n\
             template<long M> struct T<0, M> { static const int v = 1; };\nint x = T<40, 1>::v;\n",
        ),
        wants("a template in itself", "template<int N> struct T { T<N + 1> x; };\nT<0> x;\n"),
        wants(
            "a constant without end",
            "constexpr long f(long x) { while (x != 0) ++x; return x; }\n\
             template<int N> struct T { static constexpr long v = f(N) + T<N - 1>::v; };\n\
             template<> struct T<0> { static constexpr long v = 0; };\nstatic_assert(T<500>::v == 1);\n",
        ),
        wants(
            "a constant that doubles",
            "constexpr int f(int n) { return n < 2 ? n : f(n - 1) + f(n - 2); }\nstatic_assert(f(100) == 1);\n",
        ),
        wants(
            "a memory that grows",
            "constexpr int f() { int *p = nullptr; for (int i = 0; i < 100000; ++i) { p = new int[1000000](); } return *p; }\nconstexpr int x = f();\n",
        ),
        wants(
            "words without end",
            "template<class... T> struct L {};\ntemplate<class T> struct D { using type = L<T, T, T, T, T, T>; };\n\
             using A = D<D<D<D<D<D<D<D<int>::type>::type>::type>::type>::type>::type>::type>::type;\nint x = A{};\n",
        ),
    ]
}

fn rust() -> Vec<Attempt> {
    let macros = lines(40, |number| {
        format!("macro_rules! a{} {{ () => {{ a{number}!(); a{number}!(); }} }}", number + 1)
    });
    vec![
        reads("a file, as a string", "compile_error!(include_str!(\"{OUTSIDE}/secret.h\"));\n"),
        reads("a file, as a panic", "const _: () = panic!(\"{}\", include_str!(\"{OUTSIDE}/secret.h\"));\n"),
        reads("a file, as an expression", "pub const X: u8 = include!(\"{OUTSIDE}/secret.h\");\n"),
        reads("a file, as a module", "#[path = \"{OUTSIDE}/secret.rs\"]\nmod secret;\n"),
        reads(
            "a file, as documentation",
            "#![doc = include_str!(\"{OUTSIDE}/secret.h\")]\ncompile_error!(include_str!(\"{PROJECT}/../outside/secret.h\"));\n",
        ),
        wants("bytes of a file", "pub const X: [u8; 0] = *include_bytes!(\"{OUTSIDE}/secret.h\");\n"),
        wants("the environment", "compile_error!(env!(\"HOME\"));\npub const X: &str = env!(\"PATH\");\n"),
        wants(
            "a file, linked",
            "#[link(name = \"secret\", kind = \"static\")]\nunsafe extern \"C\" {}\n#[unsafe(link_section = \".x\")]\npub static X: u8 = 1;\n",
        ),
        wants("a file, assembled", "core::arch::global_asm!(\".incbin \\\"{OUTSIDE}/secret.h\\\"\");\n"),
        wants(
            "a procedural macro",
            "extern crate proc_macro;\n#[proc_macro]\npub fn m(_: proc_macro::TokenStream) -> proc_macro::TokenStream { loop {} }\n",
        ),
        wants("a device without end", "pub const X: &[u8] = include_bytes!(\"/dev/zero\");\n"),
        wants(
            "a constant without end",
            "#![allow(long_running_const_eval)]\nconst fn f() -> u8 { loop {} }\npub const X: u8 = f();\n",
        ),
        wants(
            "macros that double",
            format!("macro_rules! a0 {{ () => {{ 1; }} }}\n{macros}pub fn f() {{ a40!(); }}\n"),
        ),
        wants(
            "a macro in itself",
            "#![recursion_limit = \"1000000000\"]\nmacro_rules! m { ($($t:tt)*) => { m!($($t)* x) } }\nm!();\n",
        ),
        wants(
            "a type in itself",
            "#![recursion_limit = \"1000000\"]\ntrait T { const X: u8; }\nstruct S<A>(A);\nimpl<A> T for S<A> where S<S<A>>: T { const X: u8 = 1; }\npub const Y: u8 = <S<u8> as T>::X;\n",
        ),
        wants(
            "an array of all",
            "pub static X: [u8; 1 << 40] = [1; 1 << 40];\npub const Y: usize = [1u8; 1 << 34].len();\n",
        ),
        wants(
            "a hundred thousand undefined names",
            lines(20_000, |number| format!("pub const X{number}: u8 = y{number};")),
        ),
    ]
}

fn python() -> Vec<Attempt> {
    let runs = "import os, socket\nopen('{OUTSIDE}/made', 'w').write('made')\nos.system('touch {OUTSIDE}/made')\n\
                print(open('{OUTSIDE}/secret.h').read())\nsocket.create_connection(('127.0.0.1', 1))\n\
                while True:\n    os.fork()\n";
    vec![
        wants("a text that runs", runs),
        wants(
            "a decorator that runs",
            format!("def d(f):\n    raise SystemExit(7)\n@d\ndef g(x=print(1)): pass\n{runs}"),
        ),
        wants("a codec by its name", "# -*- coding: ../../outside/secret -*-\n"),
        wants("a codec of many bytes", "# -*- coding: zlib_codec -*-\nx\n"),
        wants("a codec that is imported", "# -*- coding: unit -*-\nopen('{OUTSIDE}/made', 'w')\n"),
        wants("a number without end", "x = 9 ** 9 ** 9\n"),
        wants("a string without end", "x = ('a' * 4000) * 1000000000\n"),
        wants("a number of a million digits", format!("x = {}\n", "9".repeat(900_000))),
        wants("an expression, deep", format!("x = {}1\n", "-".repeat(900_000))),
        wants("operators in a row", format!("x = 1{}\n", "+1".repeat(400_000))),
        wants("blocks, deep", lines(1_000, |depth| format!("{}if x:", " ".repeat(depth)))),
        wants("names of names", format!("x = a{}\n", ".a".repeat(400_000))),
        wants(
            "patterns that double",
            format!("match x:\n    case {}1{}: pass\n", "[".repeat(190), "]".repeat(190)),
        ),
        wants("brackets that backtrack", format!("{}\n", "{1:".repeat(150))),
    ]
}

fn fortran() -> Vec<Attempt> {
    let mut file = reads(
        "a file, included by the preprocessor",
        "program p\n#include \"{OUTSIDE}/secret.f\"\nend program p\n",
    );
    file.file_name = Some("p.F90");
    let mut own =
        wants("a file that includes itself twice", "#include \"unit.f90\"\n#include \"unit.f90\"\n");
    own.file_name = Some("p.F90");
    vec![
        reads("a file, included", "program p\ninclude '{OUTSIDE}/secret.f'\nend program p\n"),
        file,
        own,
        wants("a module elsewhere", "program p\n  use secret\nend program p\n"),
        wants(
            "files of a program",
            "program p\n  open (1, file='{OUTSIDE}/made')\n  call execute_command_line('touch {OUTSIDE}/made')\nend program p\n",
        ),
        wants("a file that includes itself", "include 'unit.f90'\ninclude 'unit.f90'\n"),
        wants("a device without end", "program p\ninclude '/dev/zero'\nend program p\n"),
        wants(
            "a string without end",
            "program p\n  character(*), parameter :: s = repeat(repeat('0123456789', 10000), 100000)\n  print *, len(s)\nend program p\n",
        ),
        wants(
            "a number without end",
            "program p\n  integer, parameter :: n = 3 ** (3 ** 19)\n  print *, n\nend program p\n",
        ),
        wants(
            "an array of all",
            "program p\n  integer :: i, j\n  integer, parameter :: a(65535) = [(i, i = 1, 65535)]\n  \
             integer, parameter :: b(65535) = [((sum(a(1:i)) + j, i = 1, 65535), j = 1, 1)]\n  print *, b\nend program p\n",
        ),
        wants(
            "an array that is spread",
            "program p\n  integer, parameter :: a(30000,30000) = reshape([1], [30000,30000], pad=[1])\n  print *, sum(a)\nend program p\n",
        ),
        wants("a hundred thousand undefined names", {
            let uses = lines(20_000, |number| format!("  x{number} = y{number}"));
            format!("program p\n  implicit none\n{uses}end program p\n")
        }),
    ]
}

fn assembly() -> Vec<Attempt> {
    vec![
        reads("a file, included", "\t.include \"{OUTSIDE}/secret.h\"\n"),
        wants("bytes of a file", "\t.incbin \"{OUTSIDE}/secret.h\"\n"),
        wants(
            "names of another file",
            "\t.file \"{OUTSIDE}/secret.h\"\n\t.file 1 \"{OUTSIDE}\" \"secret.h\"\n\t.loc 1 1\n\tnop\n\tfoo\n",
        ),
        wants("a file that includes itself twice", "\t.include \"unit.s\"\n\t.include \"unit.s\"\n"),
        wants("a device without end", "\t.include \"/dev/zero\"\n"),
        wants("bytes without end", "\t.incbin \"/dev/zero\"\n"),
        wants("repeated without end", "\t.rept 1000000000\n\t.rept 1000000000\n\tnop\n\t.endr\n\t.endr\n"),
        wants("filled without end", "\t.fill 1 << 40, 8, 1\n\t.space 1 << 50\n"),
        wants("words without end", "\t.rept 100000000\n\t.print \"again and again and again\"\n\t.endr\n"),
        wants("errors without end", "\t.rept 10000000\n\t.error \"again and again and again\"\n\t.endr\n"),
        wants("a macro in itself", "\t.macro m\n\tm\n\tm\n\t.endm\n\tm\n"),
        wants("macros that double", {
            let macros =
                lines(30, |number| format!("\t.macro m{}\n\tm{number}\n\tm{number}\n\t.endm", number + 1));
            format!("\t.macro m0\n\tnop\n\t.endm\n{macros}\tm30\n")
        }),
        wants("far away", "\t.org 0x7ffffffffffffff0\n\tnop\n"),
        wants(
            "a loop of labels",
            lines(20_000, |number| format!("l{number}: jmp l{}\n\t.p2align 4", 20_000 - number)),
        ),
    ]
}

fn cobol() -> Vec<Attempt> {
    let program = |before: &str, body: &str| {
        format!(
            "       IDENTIFICATION DIVISION.\n       PROGRAM-ID. P.\n       DATA DIVISION.\n       WORKING-STORAGE SECTION.\n{before}\
             \x20      PROCEDURE DIVISION.\n{body}           STOP RUN.\n"
        )
    };
    let tables = lines(40, |level| {
        format!(
            "       {:02} T{level} OCCURS 1000000{}",
            level + 1,
            if level == 39 { " PIC X(1000000)." } else { "." }
        )
    });
    vec![
        reads("a file, copied", program("", "       COPY\n         \"{OUTSIDE}/secret.cpy\".\n")),
        wants(
            "a file, copied and replaced",
            program("", "       COPY\n         \"{OUTSIDE}/secret.h\"\n         REPLACING ==A== BY ==B==.\n"),
        ),
        wants(
            "a file, included by SQL",
            program("", "           EXEC SQL INCLUDE \"{OUTSIDE}/secret.h\" END-EXEC.\n"),
        ),
        wants(
            "the environment",
            program(
                "",
                "      >>DEFINE HOME AS PARAMETER\n      >>IF HOME IS DEFINED\n           DISPLAY HOME.\n      >>END-IF\n",
            ),
        ),
        wants(
            "directives",
            "      $SET SOURCEFORMAT\"FREE\"\n      >>SET CONSTANT X \"{OUTSIDE}/secret.h\"\n      >>SOURCE FORMAT IS FREE\nCOPY \"{OUTSIDE}/secret.cpy\".\n",
        ),
        wants(
            "a file that copies itself twice",
            program("", "       COPY \"unit.cob\".\n       COPY \"unit.cob\".\n"),
        ),
        wants("a device without end", program("", "       COPY \"/dev/zero\".\n")),
        wants("words that double", {
            let text = "           DISPLAY X X X X X X X X.\n";
            format!("       REPLACE ==X== BY ==X X X X X X X X==.\n{}", program("", &text.repeat(1_000)))
        }),
        wants("tables of all", program(&tables, "")),
        wants(
            "a picture without end",
            program("       01 X PIC X(999999999999999999).\n       01 Y PIC 9(2147483647).\n", ""),
        ),
        wants(
            "a hundred thousand undefined names",
            program("", &lines(15_000, |number| format!("           MOVE A{number} TO B{number}."))),
        ),
    ]
}

fn pascal() -> Vec<Attempt> {
    let macros = lines(14, |number| format!("{{$define a{}:=a{number} + a{number}}}", number + 1));
    vec![
        reads(
            "a file, included",
            "program p;\nvar x: integer;\nbegin\n  x := {$I {OUTSIDE}/secret.h};\nend.\n",
        ),
        reads(
            "a file, included in long words",
            "program p;\nvar x: integer;\nbegin\n  x := {$INCLUDE '{OUTSIDE}/secret.h'};\nend.\n",
        ),
        wants("the environment", "program p;\nbegin\n  writeln({$I %HOME%}, {$I %PATH%});\n  x;\nend.\n"),
        wants("a resource", "program p;\n{$R {OUTSIDE}/secret.h}\n{$R made.rc}\nbegin\nend.\n"),
        wants("a file, linked", "program p;\n{$L {OUTSIDE}/secret.o}\n{$LINKLIB secret}\nbegin\nend.\n"),
        wants(
            "folders of units and of what is made",
            "program p;\n{$UNITPATH {OUTSIDE}}\n{$INCLUDEPATH {OUTSIDE}}\n{$OBJECTPATH {OUTSIDE}}\n{$LIBRARYPATH {OUTSIDE}}\nuses secret;\nbegin\nend.\n",
        ),
        wants(
            "a unit by the name of its file",
            "program p;\nuses secret in '{OUTSIDE}/secret.pas';\nbegin\nend.\n",
        ),
        wants("a file that includes itself twice", "{$I unit.pas}\n{$I unit.pas}\n"),
        wants("a device without end", "program p;\n{$I /dev/zero}\nbegin\nend.\n"),
        wants(
            "macros that double",
            format!("{{$macro on}}\n{{$define a0:=1}}\n{macros}program p;\nbegin\n  writeln(a14);\nend.\n"),
        ),
        wants("a macro in itself", "{$macro on}\n{$define a:=a a}\nprogram p;\nbegin\n  a;\nend.\n"),
        wants(
            "words without end",
            format!("program p;\n{}begin\nend.\n", "{$MESSAGE ERROR 'again and again'}\n".repeat(20_000)),
        ),
        wants(
            "an array of all",
            "program p;\nvar x: array[0..high(int64) div 2] of int64;\nconst y: array[1..2000000000] of byte = (1);\nbegin\nend.\n",
        ),
        wants("a hundred thousand undefined names", {
            let uses = lines(20_000, |number| format!("  x{number} := y{number};"));
            format!("program p;\nbegin\n{uses}end.\n")
        }),
    ]
}
