use insta::assert_snapshot;
use languages::{Language, surroundings};

/// What surrounds the `|` of a text.
fn shown(language: Language, text: &str) -> String {
    let (prefix, suffix) = text.split_once('|').expect("a cursor");
    let found = surroundings(language, prefix, suffix);
    let near: Vec<String> = found
        .near
        .iter()
        .map(|named| {
            let side = if named.behind { "+" } else { "-" };
            let line = if named.on_line { "!" } else { "" };
            format!("{}{side}{}{line}", named.name, named.distance_lines)
        })
        .collect();
    format!(
        "imports {}\nunit {:?} prefix {:?} in {}\nnear {}\ndefined {}",
        found.imports.join(" "),
        found.unit.unwrap_or_default(),
        found.prefix,
        found.enclosing.join(" < "),
        near.join(" "),
        found.defined.join(" ")
    )
}

const ADA: &str = "\
with Ada.Text_IO, Plant.Sensors;
use Ada.Text_IO;
package body Control.Loops is
   type Mode is (On, Off);
   procedure Step (Period : Duration) is
      Value, Last : Sensors.Reading; -- not Commented_Out
      function Inner return Boolean is (Is_Ready);
   begin
      if Value'Valid_Scalars and Read_Sensor (4, \"Quoted\") then
         Plant.Sensors.Poll (Handle => |, Others => Fixed.Trim);
      end if;
      declare
         Block_Local : Integer;
      begin
         Log (Block_Local);
      end;
   end Step;
   procedure After is
   begin
      Clean_Up;
   end After;
end Control.Loops;
";

#[test]
fn ada() {
    assert_snapshot!(shown(Language::Ada, ADA), @r#"
    imports ada.text_io plant.sensors
    unit "control.loops" prefix None in step < control.loops
    near handle-0! plant.sensors.poll-0! poll-0! fixed.trim+0! trim+0! read_sensor-1 integer+3 is_ready-3 boolean-3 sensors.reading-4 reading-4 log+5 duration-5 clean_up+10
    defined loops mode on off step period last value inner block_local after
    "#);
    assert_snapshot!(shown(Language::Ada, "procedure P is\nbegin\n   X := Ada.Strings.Fixed.|\nend P;"), @r#"
    imports 
    unit "p" prefix Some("ada.strings.fixed") in p
    near ada.strings.fixed-0! fixed-0! x-0!
    defined p
    "#);
    assert_snapshot!(shown(Language::Ada, "procedure P is\nbegin\n   X := Ada.Strings.Fixed.Tr|"), @r#"
    imports 
    unit "p" prefix Some("ada.strings.fixed") in p
    near x-0!
    defined p
    "#);
    assert_snapshot!(shown(Language::Ada, "separate (Plant.Sensors)\nprocedure Later is\nbegin\n   Read (X|_Y);"), @r#"
    imports 
    unit "plant.sensors" prefix None in later
    near read-0! plant.sensors-3 sensors-3
    defined later
    "#);
}

#[test]
fn a_keystroke_in_a_word_changes_nothing() {
    for (language, text) in crate::parse::SOURCES {
        for (from, word) in text.match_indices(|letter: char| letter.is_alphabetic()).step_by(11) {
            // Where a word begins, with its first letter typed or all of it.
            let starts = !text[..from]
                .ends_with(|letter: char| letter.is_alphanumeric() || "_'-\\$@\"".contains(letter));
            let length =
                text[from..].find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(0);
            if !starts || length < 3 {
                continue;
            }
            let suffix = "\n";
            let one = surroundings(*language, &text[..from + word.len()], suffix);
            let two = surroundings(*language, &text[..from + 2], suffix);
            assert_eq!(one.near, two.near, "{language:?} {:?}", &text[..from + 2]);
            assert_eq!(one.prefix, two.prefix);
        }
    }
}

#[test]
fn vhdl() {
    let text = "\
library ieee;
use ieee.numeric_std.all, work.utils.all;
architecture rtl of timer is
  signal count : natural;
begin
  tick : process (clk)
  begin
    count <= to_unsigned(|, WIDTH);
  end process;
  u0 : entity work.fifo port map (clk => clk);
end architecture;
";
    assert_snapshot!(shown(Language::Vhdl, text), @r#"
    imports ieee ieee.numeric_std work.utils work.fifo
    unit "timer" prefix None in tick < timer
    near to_unsigned-0! width+0! clk-2 fifo+2 natural-4 timer-5
    defined rtl count tick u0
    "#);
}

#[test]
fn c_and_rust_and_python() {
    let c = "\
#include \"plant/list.h\"
#define LIMIT 4
struct queue { int count; };
static int push(struct queue *queue, item_t item)
{
    int total = queue->count * LIMIT;
    if (total > 3) { list_add(queue, |convert(item)); }
}
";
    assert_snapshot!(shown(Language::C, c), @r#"
    imports plant/list.h
    unit "" prefix None in push
    near list_add-0! item_t-3
    defined LIMIT queue count push item total
    "#);
    let rust = "\
use std::{collections::HashMap, fmt};
impl<T> Poll for Store<T> {
    fn poll(&mut self, rate: Rate) -> Option<u8> {
        let map = HashMap::new();
        self.inner.take(plant::rate(|), Mode::Fast)
    }
}
";
    assert_snapshot!(shown(Language::Rust, rust), @r#"
    imports std::collections::HashMap std::fmt
    unit "" prefix None in poll < Store
    near plant::rate-0! Mode::Fast+0! Fast+0! take-0! inner-0! HashMap::new-1 new-1 Option-2 Rate-2 T-3 Store-3 Poll-3
    defined poll rate map
    "#);
    let python = "\
from plant import poll
class Sensor:
    def other(self):
        pass
    def read(self, times):
        value = poll(times)
        return convert(value, |)

def after():
    pass
";
    assert_snapshot!(shown(Language::Python, python), @r#"
    imports plant plant.poll
    unit "" prefix None in read < Sensor
    near convert-0! poll-1
    defined Sensor other read times value after
    "#);
}

#[test]
fn languages_without_a_grammar() {
    let verilog = "\
module counter (input clk, output reg [7:0] q);
  wire [7:0] next;
  adder u0 (.a(q), .b(|), .y(next));
endmodule
";
    assert_snapshot!(shown(Language::Verilog, verilog), @r#"
    imports 
    unit "counter" prefix None in counter
    near b-0! y+0! a-0! u0-0! adder-0!
    defined counter clk q next
    "#);
    let fortran = "module plant\n  use rates\ncontains\n  subroutine poll(x)\n    real :: x\n    call log_it(|)\n  end subroutine\nend module\n";
    assert_snapshot!(shown(Language::Fortran, fortran), @r#"
    imports rates
    unit "plant" prefix None in poll < plant
    near log_it-0!
    defined plant poll x
    "#);
    let pascal = "\
unit Plant;
interface
uses Rates, Sensors.Fast in 'fast.pas';
type
  TKind = (kSlow, kQuick);
  TProbe = class(TObject)
    Level: Integer; { of the tank }
    procedure Poll(Times: Integer);
  end;
implementation
(* as the plant says *)
procedure TProbe.Poll(Times: Integer);
var Count, Sum: Integer;
begin
  case Times of 1: Sum := 0; end;
  Level := Convert(|
end;
end.
";
    assert_snapshot!(shown(Language::Pascal, pascal), @r#"
    imports rates sensors.fast
    unit "plant" prefix None in tprobe.poll
    near convert-0! integer-3 tobject-10
    defined plant tkind kslow kquick tprobe level poll times sum count
    "#);
}
