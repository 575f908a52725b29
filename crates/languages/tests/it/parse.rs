use std::fmt::Write as _;

use insta::assert_snapshot;
use languages::{Language, parse};

/// Small sources, one of each language at least.
pub(crate) const SOURCES: &[(Language, &str)] = &[
    (Language::Ada, ADA_SPEC),
    (Language::Ada, ADA_BODY),
    (Language::Vhdl, VHDL),
    (Language::C, C),
    (Language::Cpp, CPP),
    (Language::Rust, RUST),
    (Language::Python, PYTHON),
    (Language::Verilog, VERILOG),
    (Language::Fortran, FORTRAN),
    (Language::Assembly, ASSEMBLY),
    (Language::Cobol, COBOL),
    (Language::Pascal, PASCAL),
];

const PASCAL: &str = "unit Plant;\ninterface\nuses Rates;\nprocedure Poll(X: Integer); // once\nimplementation\n\
                      procedure Poll(X: Integer);\nbegin\nend;\nend.\n";

fn definitions(language: Language, text: &str) -> String {
    let parsed = parse(language, text);
    let mut shown = format!("imports {:?} units {:?}", parsed.imports, parsed.units);
    if parsed.has_errors {
        shown.push_str(" ERRORS");
    }
    for definition in parsed.definitions {
        let body = if definition.is_body { " body" } else { "" };
        let signature = definition.signature.replace('\n', "\u{2424}");
        let _ = write!(
            shown,
            "\n{}-{} {}{body} {} | {signature}",
            definition.line,
            definition.end_line,
            definition.kind.name(),
            definition.qualified
        );
        if !definition.comment.is_empty() {
            let _ = write!(shown, " | {}", definition.comment.replace('\n', "\u{2424}"));
        }
    }
    shown
}

fn chunks(language: Language, text: &str) -> String {
    let parsed = parse(language, text);
    let mut shown = String::new();
    for chunk in parsed.chunks {
        let _ = writeln!(
            shown,
            "{}-{} {} {} defines {} refers to {}",
            chunk.first_line,
            chunk.last_line,
            chunk.kind.name(),
            chunk.name,
            chunk.defines.join(" "),
            chunk.references.join(" ")
        );
    }
    shown
}

const ADA_SPEC: &str = "\
with Interfaces;
private with Ada.Containers.Vectors;
use type Interfaces.Unsigned_8;

--  Reads sensors.
generic
   type Item is private;
   with procedure Log (Text : String);
package Plant.Sensors with SPARK_Mode is
   pragma Elaborate_Body;

   Limit : constant := 16;
   --  So many sensors.

   Default, Other : constant Integer := 4;

   type Kind is (Hot, Cold);
   type Reading (Valid : Boolean) is record
      Value : Interfaces.Unsigned_8;
   end record;
   type Handle is tagged private;

   function Read (This : Handle) return Reading
     with Pre => True;
   --  Reads one of them.
   --  Never blocks.

   function Read (This : Handle; Twice : Boolean) return Reading;
   function \"+\" (L, R : Reading) return Reading is (L);
   procedure Free is new Ada.Unchecked_Deallocation (Handle, Access_Handle);

   task type Poller is
      entry Start (Period : Duration);
   end Poller;
   protected Store is
      procedure Put (X : Item);
   private
      Last : Item;
   end Store;
   Broken : exception;
private
   type Handle is tagged null record;
end Plant.Sensors;
";

const ADA_BODY: &str = "\
with Ada.Text_IO; use Ada.Text_IO;
package body Plant.Sensors is
   --  Reads.
   function Read (This : Handle) return Reading is
      Count : Integer := 0;
      procedure Step is
      begin
         Count := Count + Limit'Size;
      end Step;
   begin
      Step;
      return Fixed.Trim (Count);
   end Read;

   procedure Later is separate;
   task body Poller is
   begin
      accept Start (Period : Duration) do
         null;
      end Start;
   end Poller;
   protected body Store is
      entry Wait when Ready is
      begin
         null;
      end Wait;
   end Store;
end Plant.Sensors;
";

#[test]
fn ada() {
    assert_snapshot!(definitions(Language::Ada, ADA_SPEC), @r#"
    imports ["interfaces", "ada.containers.vectors"] units ["plant.sensors"]
    6-43 package Plant.Sensors | generic␤   type Item is private;␤   with procedure Log (Text : String);␤package Plant.Sensors with SPARK_Mode | Reads sensors.
    12-12 constant Plant.Sensors.Limit | Limit : constant := 16; | So many sensors.
    15-15 constant Plant.Sensors.Default | Default, Other : constant Integer := 4;
    15-15 constant Plant.Sensors.Other | Default, Other : constant Integer := 4;
    17-17 type Plant.Sensors.Kind | type Kind is (Hot, Cold);
    18-20 type Plant.Sensors.Reading | type Reading (Valid : Boolean) is record␤   Value : Interfaces.Unsigned_8;␤end record;
    21-21 type Plant.Sensors.Handle | type Handle is tagged private;
    23-24 subprogram Plant.Sensors.Read | function Read (This : Handle) return Reading␤  with Pre => True; | Reads one of them.␤Never blocks.
    28-28 subprogram Plant.Sensors.Read | function Read (This : Handle; Twice : Boolean) return Reading;
    29-29 subprogram body Plant.Sensors."+" | function "+" (L, R : Reading) return Reading is (L);
    30-30 subprogram Plant.Sensors.Free | procedure Free is new Ada.Unchecked_Deallocation (Handle, Access_Handle);
    32-34 task Plant.Sensors.Poller | task type Poller is␤   entry Start (Period : Duration);␤end Poller;
    33-33 entry Plant.Sensors.Poller.Start | entry Start (Period : Duration);
    35-39 protected Plant.Sensors.Store | protected Store is␤   procedure Put (X : Item);␤private␤   Last : Item;␤end Store;
    36-36 subprogram Plant.Sensors.Store.Put | procedure Put (X : Item);
    40-40 exception Plant.Sensors.Broken | Broken : exception;
    42-42 type Plant.Sensors.Handle | type Handle is tagged null record;
    "#);
    assert_snapshot!(chunks(Language::Ada, ADA_SPEC), @r#"1-43 package Plant.Sensors defines sensors limit default other kind reading handle read "+" free poller start store put broken refers to interfaces ada containers vectors unsigned_8 item log text string plant spark_mode elaborate_body integer hot cold valid boolean value this pre true twice l r unchecked_deallocation access_handle period duration x last"#);
    assert_snapshot!(definitions(Language::Ada, ADA_BODY), @r#"
    imports ["ada.text_io"] units ["plant.sensors"]
    2-28 package body Plant.Sensors | package body Plant.Sensors
    4-13 subprogram body Plant.Sensors.Read | function Read (This : Handle) return Reading | Reads.
    6-9 subprogram body Plant.Sensors.Read.Step | procedure Step
    15-15 subprogram Plant.Sensors.Later | procedure Later is separate;
    16-21 task body Plant.Sensors.Poller | task body Poller
    22-27 protected body Plant.Sensors.Store | protected body Store
    23-26 entry body Plant.Sensors.Store.Wait | entry Wait when Ready
    "#);
    assert_snapshot!(chunks(Language::Ada, ADA_BODY), @"1-28 package Plant.Sensors defines sensors read step later poller store wait refers to ada text_io plant this handle reading count integer limit fixed trim start period duration ready");
    let subunit = "separate (Plant.Sensors)\nprocedure Later is\nbegin\n   null;\nend Later;\n";
    assert_snapshot!(definitions(Language::Ada, subunit), @r#"
    imports [] units ["plant.sensors.later"]
    1-5 subprogram body Plant.Sensors.Later | separate (Plant.Sensors)␤procedure Later
    "#);
}

const VHDL: &str = "\
library ieee;
use ieee.std_logic_1164.all, work.utils.clog2;

package types is
  constant WIDTH : natural := 8;  -- of a byte
  type state is (idle, busy);
  type request is record
    valid : std_logic;
  end record;
  signal heart_beat : std_logic;
  function parity(x : std_logic_vector) return std_logic;
  component fifo is
    generic (DEPTH : natural := 2);
    port (clk : in std_logic);
  end component;
end package types;

package body types is
  function parity(x : std_logic_vector) return std_logic is
    variable p : std_logic := '0';
  begin
    return p;
  end function;
end package body;

-- A timer.
entity timer is
  generic (LIMIT : natural := 4);
  port (clk, rst : in std_logic; done : out std_logic);
end entity;

architecture rtl of timer is
  signal count : natural;
  type local is (a, b);
begin
  tick : process (clk)
    variable v : natural;
  begin
    if rising_edge(clk) then
      count <= clog2(count) + WIDTH'length;
    end if;
  end process;
  u0 : entity work.fifo(rtl) generic map (DEPTH => 4) port map (clk => clk);
  g : for i in 0 to 3 generate
    inner : process begin wait; end process;
  end generate;
end architecture;
";

#[test]
fn vhdl() {
    assert_snapshot!(definitions(Language::Vhdl, VHDL), @r#"
    imports ["ieee", "ieee.std_logic_1164", "work.utils", "work.fifo"] units ["types", "timer"]
    4-16 package work.types | package types
    5-5 constant work.types.WIDTH | constant WIDTH : natural := 8; | of a byte
    6-6 type work.types.state | type state is (idle, busy);
    7-9 type work.types.request | type request is record␤  valid : std_logic;␤end record;
    10-10 signal work.types.heart_beat | signal heart_beat : std_logic;
    11-11 subprogram work.types.parity | function parity(x : std_logic_vector) return std_logic;
    12-15 component work.types.fifo | component fifo is␤  generic (DEPTH : natural := 2);␤  port (clk : in std_logic);␤end component;
    18-24 package body work.types | package body types
    19-23 subprogram body work.types.parity | function parity(x : std_logic_vector) return std_logic
    27-30 entity work.timer | entity timer is␤  generic (LIMIT : natural := 4);␤  port (clk, rst : in std_logic; done : out std_logic);␤end entity; | A timer.
    32-47 architecture body work.timer(rtl) | architecture rtl of timer
    34-34 type work.timer(rtl).local | type local is (a, b);
    36-42 process body work.timer(rtl).tick | tick : process (clk)
    45-45 process body work.timer(rtl).g.inner | inner : process
    "#);
    assert_snapshot!(chunks(Language::Vhdl, VHDL), @r#"
    1-16 package work.types defines types width state request heart_beat parity fifo refers to ieee std_logic_1164 work utils clog2 natural idle busy valid std_logic x std_logic_vector depth clk
    18-24 package work.types defines types parity refers to x std_logic_vector std_logic p
    26-30 entity work.timer defines timer refers to limit natural clk rst std_logic done
    32-47 architecture work.timer(rtl) defines rtl local tick inner refers to timer count natural a b clk v rising_edge clog2 width u0 work fifo depth g i
    "#);
}

const C: &str = "\
#ifndef QUEUE_H
#define QUEUE_H
#include <stdint.h>
#include \"plant/list.h\"

#define QUEUE_MAX 16
#define MIN(a, b) ((a) < (b) ? (a) : (b))

/* A queue of
 * readings. */
typedef struct queue {
    uint8_t *items;
} queue_t;

enum color { RED, GREEN };
extern const int limit;
int queue_push(queue_t *queue, uint8_t item);

static inline int queue_pop(queue_t *queue)
{
    int count = MIN(queue->count, 3);
    return list_take(&queue->list, count);
}
#endif
";

const CPP: &str = "\
#include <vector>
namespace plant {
template <typename T>
class Store : public Base {
public:
    explicit Store(int size);
    int size() const { return size_; }
    T last;
};
using Id = int;
enum class Mode { on, off };
int Store::total(const Id &id)
{
    return id;
}
}
";

#[test]
fn c_and_cpp() {
    assert_snapshot!(definitions(Language::C, C), @r#"
    imports ["stdint.h", "plant/list.h"] units []
    2-2 macro QUEUE_H | #define QUEUE_H
    6-6 macro QUEUE_MAX | #define QUEUE_MAX 16
    7-7 macro MIN | #define MIN(a, b) ((a) < (b) ? (a) : (b))
    11-13 type queue_t | typedef struct queue {␤    uint8_t *items;␤} queue_t; | A queue of␤readings.
    11-13 type queue | typedef struct queue {␤    uint8_t *items;␤} queue_t; | A queue of␤readings.
    15-15 type color | enum color { RED, GREEN }
    16-16 constant limit | extern const int limit;
    17-17 subprogram queue_push | int queue_push(queue_t *queue, uint8_t item);
    19-23 subprogram body queue_pop | static inline int queue_pop(queue_t *queue)
    "#);
    assert_snapshot!(chunks(Language::C, C), @r#"
    1-17 declaration  defines QUEUE_H QUEUE_MAX MIN queue_t queue color limit queue_push refers to stdint h a b uint8_t items RED GREEN item
    19-24 body queue_pop defines queue_pop refers to queue_t queue count MIN list_take list
    "#);
    assert_snapshot!(definitions(Language::Cpp, CPP), @r#"
    imports ["vector"] units []
    2-16 package plant | namespace plant
    3-9 type plant::Store | template <typename T>␤class Store : public Base {␤public:␤    explicit Store(int size);␤    int size() const { return size_; }␤    T last;␤}
    6-6 subprogram plant::Store::Store | explicit Store(int size);
    7-7 subprogram body plant::Store::size | int size() const
    8-8 variable plant::Store::last | T last;
    10-10 type plant::Id | using Id = int;
    11-11 type plant::Mode | enum class Mode { on, off }
    12-15 subprogram body plant::Store::total | int Store::total(const Id &id)
    "#);
}

const RUST: &str = "\
//! Readings.
use std::{collections::HashMap, fmt::{self, Write as _}};
use crate::plant;

/// A sensor.
#[derive(Debug)]
pub struct Sensor<'a> {
    name: &'a str,
}

impl<'a> Sensor<'a> {
    /// Reads it.
    pub fn read(&self) -> Option<u8> {
        let quote = '\"';
        plant::poll(self.name, quote)
    }
}

trait Poll {
    const LIMIT: u8;
    fn poll(&mut self);
}

macro_rules! twice {
    ($x:expr) => { $x + $x };
}
";

const PYTHON: &str = "\
import os.path as path
from .plant import poll, rate

LIMIT = 4

class Sensor(Base):
    \"\"\"A sensor.\"\"\"

    @property
    def read(self, times=1):
        '''Reads it.'''
        return poll(self.name, times)

async def main():
    pass
";

#[test]
fn rust_and_python() {
    assert_snapshot!(definitions(Language::Rust, RUST), @r#"
    imports ["std::collections::HashMap", "std::fmt", "std::fmt::Write", "crate::plant"] units []
    7-9 type Sensor | pub struct Sensor<'a> {␤    name: &'a str,␤} | A sensor.
    13-16 subprogram body Sensor::read | pub fn read(&self) -> Option<u8> | Reads it.
    19-22 type Poll | trait Poll
    20-20 constant Poll::LIMIT | const LIMIT: u8;
    21-21 subprogram Poll::poll | fn poll(&mut self);
    24-26 macro twice | macro_rules! twice {␤    ($x:expr) => { $x + $x };␤}
    "#);
    assert_snapshot!(chunks(Language::Rust, RUST), @r#"
    1-9 type Sensor defines Sensor refers to std collections HashMap fmt Write _ plant derive Debug name
    11-17 type Sensor defines read refers to Sensor Option quote plant poll name
    19-22 type Poll defines Poll LIMIT poll refers to 
    24-26 declaration twice defines twice refers to macro_rules x expr
    "#);
    assert_snapshot!(definitions(Language::Python, PYTHON), @r#"
    imports ["os.path", ".plant", ".plant.poll", ".plant.rate"] units []
    4-4 constant LIMIT | LIMIT = 4
    6-12 type Sensor | class Sensor(Base): | A sensor.
    9-12 subprogram body Sensor.read | @property␤def read(self, times=1): | Reads it.
    14-15 subprogram body main | async def main():
    "#);
}

const VERILOG: &str = "\
`include \"defs.vh\"
import types::*;
module counter #(parameter WIDTH = 8) (input clk, output reg [WIDTH-1:0] q);
  function automatic [7:0] next(input [7:0] x);
    next = x + 8'h01;
  endfunction
  always @(posedge clk) q <= next(q);
  fifo #(.DEPTH(4)) u0 (.clk(clk));
endmodule
";

const FORTRAN: &str = "\
module plant
  use iso_c_binding, only: c_int
  implicit none
contains
  subroutine poll(x)
    real, intent(in) :: x
    call log_it(x)
  end subroutine poll
  function twice(x) result(y)
    real :: x, y
    y = 2 * x
  end function
end module plant
";

const ASSEMBLY: &str = "\
.include \"defs.s\"
.globl start
start:
    mov x0, #1
    bl poll
loop_1:
    b loop_1
";

const COBOL: &str = "       IDENTIFICATION DIVISION.
       PROGRAM-ID. PAYROLL.
       DATA DIVISION.
       01 TOTAL-PAY PIC 9(5).
       COPY RATES.
       PROCEDURE DIVISION.
       MAIN-PARAGRAPH.
           PERFORM COMPUTE-PAY.
";

#[test]
fn languages_without_a_grammar() {
    assert_snapshot!(definitions(Language::Verilog, VERILOG), @r#"
    imports ["defs.vh", "types"] units ["counter"]
    3-3 package body counter | module counter #(parameter WIDTH = 8) (input clk, output reg [WIDTH-1:0] q);
    3-3 constant body WIDTH | module counter #(parameter WIDTH = 8) (input clk, output reg [WIDTH-1:0] q);
    "#);
    assert_snapshot!(definitions(Language::Fortran, FORTRAN), @r#"
    imports ["iso_c_binding"] units ["plant"]
    1-1 package body plant | module plant
    5-5 subprogram body poll | subroutine poll(x)
    9-9 subprogram body twice | function twice(x) result(y)
    "#);
    assert_snapshot!(definitions(Language::Assembly, ASSEMBLY), @r#"
    imports ["defs.s"] units []
    3-3 subprogram body start | start:
    6-6 subprogram body loop_1 | loop_1:
    "#);
    assert_snapshot!(definitions(Language::Cobol, COBOL), @r#"imports ["rates"] units ["payroll"]"#);
    assert_snapshot!(definitions(Language::Pascal, PASCAL), @r#"
    imports ["rates"] units ["plant"]
    1-1 package body Plant | unit Plant;
    4-4 subprogram body Poll | procedure Poll(X: Integer); // once
    6-6 subprogram body Poll | procedure Poll(X: Integer);
    "#);
    assert_snapshot!(chunks(Language::Fortran, FORTRAN), @"1-13 window  defines plant poll twice refers to iso_c_binding c_int x log_it y");
}

#[test]
fn long_packages_and_bodies_are_cut() {
    let mut spec = "package Long is\n".to_owned();
    for number in 0..90 {
        let _ = write!(spec, "   procedure P{number} (X : Integer);\n   --  Does {number}.\n\n");
    }
    spec.push_str("end Long;\n");
    assert_snapshot!(chunks(Language::Ada, &spec).replace(" refers to x integer", ""), @r#"
    1-60 package Long defines long p0 p1 p2 p3 p4 p5 p6 p7 p8 p9 p10 p11 p12 p13 p14 p15 p16 p17 p18 p19
    62-120 declaration Long defines p20 p21 p22 p23 p24 p25 p26 p27 p28 p29 p30 p31 p32 p33 p34 p35 p36 p37 p38 p39
    122-180 declaration Long defines p40 p41 p42 p43 p44 p45 p46 p47 p48 p49 p50 p51 p52 p53 p54 p55 p56 p57 p58 p59
    182-240 declaration Long defines p60 p61 p62 p63 p64 p65 p66 p67 p68 p69 p70 p71 p72 p73 p74 p75 p76 p77 p78 p79
    242-272 declaration Long defines p80 p81 p82 p83 p84 p85 p86 p87 p88 p89 long
    "#);

    let mut body =
        "with A;\npackage body Long is\n\n   procedure P (X : Integer) is\n      Y : Integer;\n".to_owned();
    body.push_str("      procedure Q is\n      begin\n         null;\n      end Q;\n   begin\n");
    for number in 0..100 {
        let _ = writeln!(body, "      Call_{number} (X);{}", if number % 10 == 9 { "\n" } else { "" });
    }
    body.push_str("   end P;\n\n   procedure R is null;\nend Long;\n");
    let shown = chunks(Language::Ada, &body);
    let shown: Vec<&str> =
        shown.lines().map(|line| line.split(" refers").next().unwrap_or_default()).collect();
    assert_snapshot!(shown.join("\n"), @r#"
    1-5 body Long.P defines long p
    6-9 body Long.P.Q defines q
    10-64 body Long.P defines 
    66-121 body Long.P defines 
    123-124 declaration Long.R defines r
    "#);
}
