//! How an entity behaves: GHDL simulates it with inputs that are drawn from one seed, always the same, so that two texts
//! can be compared. What is right is not known to it.

use sha2::{Digest as _, Sha256};

use super::check::{SWITCHES, accepts_switch, last_entity, library_of, words};
use super::repair::{Port, ports};
use crate::Language;
use crate::check::{Diagnostic, Plan, Severity, Unit, Written, digest, switches};
use crate::repair::Draft;

/// Draws of all inputs; fewer where the outputs are many.
const STEPS_MAX: usize = 400;
/// Characters of outputs that are written.
const WRITTEN_MAX: usize = 512 << 10;
/// Bits of one port.
const BITS_MAX: usize = 4096;
/// What a line of outputs begins with.
const LINE: &str = "outputs ";
/// So many lines are passed over before an output must have a value.
const LINES_TO_BEGIN: usize = 16;

/// The unit is analysed into a copy of its project's library, if it has one.
const DRIVE: &str = r#"
mkdir library || exit 3
[ "$1" = "" ] || { rmdir library && cp -R "$1" library && chmod -R u+w library; } || exit 3
shift
ghdl -a "$@" --workdir=library --work=work unit.vhd drive.vhd &&
exec ghdl --elab-run "$@" --workdir=library --work=work cloister_drive --ieee-asserts=disable --stop-time=1ms
"#;

/// `None`: the unit has no entity whose ports are bits and vectors of a known length.
pub(super) fn plan(unit: &Unit<'_>) -> Option<Plan> {
    let written = words(unit);
    let entity = written[last_entity(&written)?];
    let draft = Draft::new(Language::Vhdl, unit.text, 0..unit.text.len(), false);
    let bench = test_bench(entity, &ports(&draft))?;
    let library = library_of(unit).unwrap_or_default();
    let mut plan = Plan::of(unit, "unit.vhd", "sh", &["-c", DRIVE, "sh", library])
        .with(SWITCHES.map(str::to_owned))
        .with(switches(unit, accepts_switch));
    plan.files.push(("drive.vhd".to_owned(), bench));
    Some(plan)
}

/// One note: how many times the outputs were looked at, and a digest of all that they were. Beside it a warning where one
/// of them has no value, and an error where the simulation breaks off.
pub(super) fn read(_unit: &Unit<'_>, written: &Written<'_>) -> Vec<Diagnostic> {
    let words = String::from_utf8_lossy(written.stdout);
    let lines: Vec<&str> = words.lines().filter_map(|line| line.strip_prefix(LINE)).collect();
    let remark = |severity, message: &str| Diagnostic { severity, ..Diagnostic::error(message) };
    if !written.succeeded {
        // Words of a simulation are on standard output.
        let first = words.lines().find(|line| line.contains("error"));
        return first.map(|line| remark(Severity::Error, line)).into_iter().collect();
    }
    if lines.is_empty() {
        return vec![remark(Severity::Error, "the simulation ends before its outputs are looked at")];
    }
    let mut hash = Sha256::new();
    for line in &lines {
        hash.update(line.as_bytes());
        hash.update(b"\n");
    }
    let digest = digest(hash);
    let mut said = vec![remark(Severity::Note, &format!("outputs at {} times: {digest}", lines.len()))];
    if lines.iter().skip(LINES_TO_BEGIN).any(|line| line.contains(['U', 'X'])) {
        said.push(remark(Severity::Warning, "an output has no value"));
    }
    said
}

/// A port with the parts of its subtype: what it is of, and how many bits, where it is no bit itself.
struct Driven<'a> {
    name: &'a str,
    /// The bench's signal: none of its own names may be a port's.
    signal: String,
    is_input: bool,
    subtype: &'a str,
    base: &'a str,
    bits: Option<usize>,
}

impl<'a> Driven<'a> {
    fn of((number, port): (usize, &'a Port<'_>)) -> Option<Driven<'a>> {
        let is_input = match port.mode {
            "in" => true,
            "out" | "buffer" => false,
            _ => return None,
        };
        let words: Vec<&str> = port.subtype.split(' ').collect();
        let (base, bits) = match words.as_slice() {
            [base @ ("std_logic" | "std_ulogic" | "bit")] => (*base, None),
            [
                base @ ("std_logic_vector" | "std_ulogic_vector" | "bit_vector" | "unsigned" | "signed"),
                "(",
                left,
                "downto" | "to",
                right,
                ")",
            ] => {
                let (left, right) = (left.parse::<usize>().ok()?, right.parse::<usize>().ok()?);
                (*base, Some(left.abs_diff(right).checked_add(1).filter(|bits| *bits <= BITS_MAX)?))
            }
            _ => return None,
        };
        let signal = format!("port_{number}");
        Some(Driven { name: port.name, signal, is_input, subtype: &port.subtype, base, bits })
    }

    /// A single input whose name says so.
    fn is_clock(&self) -> bool {
        let name = self.name.to_ascii_lowercase();
        self.is_input && self.bits.is_none() && (name.contains("clk") || name.contains("clock"))
    }

    /// Which value resets, where the name says that the input does.
    fn reset(&self) -> Option<char> {
        let name = self.name.to_ascii_lowercase();
        let is_reset = self.bits.is_none() && (name.contains("rst") || name.contains("reset"));
        let is_low = name.ends_with('n') || name.starts_with('n');
        is_reset.then_some(if is_low { '0' } else { '1' })
    }

    fn drive(&self) -> String {
        let name = &self.signal;
        match (self.reset(), self.bits) {
            (Some(active), _) => {
                let idle = if active == '1' { '0' } else { '1' };
                format!(
                    "      draw(state);\n      if step < 3 or state(4 downto 0) = 0 then {name} <= '{active}'; \
                     else {name} <= '{idle}'; end if;\n"
                )
            }
            (None, None) => format!("      draw(state);\n      {name} <= {};\n", self.bit()),
            (None, Some(_)) => format!(
                "      for i in {name}'range loop\n        draw(state);\n        {name}(i) <= {};\n      end loop;\n",
                self.bit()
            ),
        }
    }

    fn bit(&self) -> &'static str {
        if self.base.starts_with("bit") { "to_bit(state(20))" } else { "state(20)" }
    }

    fn image(&self) -> String {
        let Driven { signal: name, base, .. } = self;
        match self.bits {
            None => format!("{base}'image({name})"),
            Some(_) if *base == "bit_vector" => format!("to_string({name})"),
            Some(_) => format!("to_string(std_logic_vector({name}))"),
        }
    }
}

fn test_bench(entity: &str, ports: &[Port<'_>]) -> Option<String> {
    let ports: Vec<Driven<'_>> = ports.iter().enumerate().map(Driven::of).collect::<Option<_>>()?;
    let (inputs, outputs): (Vec<&Driven<'_>>, Vec<&Driven<'_>>) =
        ports.iter().partition(|port| port.is_input);
    let clock = inputs.iter().find(|port| port.is_clock()).map(|clock| clock.signal.as_str());
    if outputs.is_empty() {
        return None;
    }
    let signals: String = ports
        .iter()
        .map(|port| {
            let initial = match (port.is_input, port.bits) {
                (false, _) => "",
                (true, None) => " := '0'",
                (true, Some(_)) => " := (others => '0')",
            };
            format!("  signal {} : {}{initial};\n", port.signal, port.subtype)
        })
        .collect();
    let drives: String =
        inputs.iter().filter(|port| Some(port.signal.as_str()) != clock).map(|port| port.drive()).collect();
    let images = outputs.iter().map(|port| port.image()).collect::<Vec<_>>().join(" & ");
    let look =
        format!("      write(words, string'(\"{LINE}\" & {images}));\n      writeline(output, words);\n");
    let body = match clock {
        Some(clock) => format!(
            "      {clock} <= '0';\n      wait for 2 ns;\n{drives}      wait for 3 ns;\n{look}      {clock} <= '1';\n      \
             wait for 1 ns;\n{look}      wait for 4 ns;\n"
        ),
        None => format!("{drives}      wait for 5 ns;\n{look}"),
    };
    let map: Vec<String> = ports.iter().map(|port| format!("{} => {}", port.name, port.signal)).collect();
    let map = map.join(", ");
    let written: usize = outputs.iter().map(|port| port.bits.unwrap_or(3)).sum();
    let steps = STEPS_MAX.min(WRITTEN_MAX / (2 * (written + LINE.len())));
    // Xorshift of 32 bits.
    Some(format!(
        "library ieee;
use ieee.std_logic_1164.all;
use ieee.numeric_std.all;
use std.textio.all;
entity cloister_drive is
end entity;
architecture bench of cloister_drive is
{signals}begin
  driven : entity work.{entity} port map ({map});
  process
    variable state : unsigned(31 downto 0) := x\"2545F491\";
    variable words : line;
    procedure draw(state : inout unsigned(31 downto 0)) is
    begin
      state := state xor shift_left(state, 13);
      state := state xor shift_right(state, 17);
      state := state xor shift_left(state, 5);
    end procedure;
  begin
    for step in 1 to {steps} loop
{body}    end loop;
    std.env.finish;
  end process;
end architecture;
"
    ))
}
