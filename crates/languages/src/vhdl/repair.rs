//! Mechanical repair of VHDL, by GHDL's words.

mod outputs;
mod processes;
mod structure;
mod types;
mod words;

use crate::repair::Kind;

pub(crate) use outputs::{Port, drive_outputs, has_unread, ports, undriven};
pub(crate) use processes::{as_variables, has_latch, has_stepwise, without_latches};
pub(crate) use structure::trim;

/// In the order in which they are tried for a report.
pub(crate) const KINDS: &[Kind] = &[
    Kind::new("a word of another language", words::idioms),
    Kind::new("a reserved word as a name", words::reserved).alone(),
    Kind::new("a declaration among statements", structure::misplaced_declaration).alone(),
    Kind::new("a sequential statement outside a process", structure::outside_process).alone(),
    Kind::new("a missing or wrong end", structure::ends).alone(),
    Kind::new("a missing begin", structure::missing_begin).alone(),
    Kind::new("a missing body", structure::missing_body).alone().stub(),
    Kind::new("a missing word", words::missing),
    Kind::new("parentheses around a condition", words::parenthesised_when).alone(),
    Kind::new("a symbol for another", words::instead),
    Kind::new("mixed logical operators", words::mixed_operators),
    Kind::new("a variable in an architecture", structure::architecture_variable),
    Kind::new("the assignment of a signal or a variable", words::assignment),
    Kind::new("a name that is declared twice", structure::declared_twice),
    Kind::new("a missing context clause", structure::context_clause),
    Kind::new("a function of another package", words::foreign_function),
    Kind::new("an undeclared signal", structure::undeclared),
    Kind::new("operands of different types", types::operands_fix),
    Kind::new("a missing conversion", types::conversion),
    Kind::new("a missing choice", structure::others),
    Kind::new("a latch", processes::latch),
];
