//! Mechanical repair of Ada, by GNAT's words.

mod bounds;
mod names;
mod strings;
mod structure;
mod types;
mod words;

use crate::repair::Kind;

pub(crate) use bounds::rebase;
pub(crate) use strings::unbounded;
pub(crate) use structure::trim;

/// In the order in which they are tried for a report.
pub(crate) const KINDS: &[Kind] = &[
    Kind::new("a word of another language", words::idioms),
    Kind::new("a reserved word as a name", names::reserved).alone(),
    Kind::new("else if for elsif", structure::else_if).alone(),
    Kind::new("a statement among declarations", structure::statement_among_declarations).alone(),
    Kind::new("a missing begin", structure::missing_begin).alone(),
    Kind::new("a missing body", structure::missing_body).alone().stub(),
    Kind::new("a declaration among statements", structure::declaration_among_statements).alone(),
    Kind::new("a missing or wrong end", structure::ends).alone(),
    Kind::new("an empty sequence of statements", structure::empty_sequence).stub(),
    Kind::new("a result without return", structure::result_without_return),
    Kind::new("a growing array", types::growing).alone(),
    Kind::new("a function without return", structure::missing_return).stub(),
    Kind::new("a word for another", words::should_be),
    Kind::new("a string in single quotes", words::single_quotes),
    Kind::new("mixed logical operators", words::mixed_operators),
    Kind::new("parentheses around a minus", words::unary_minus),
    Kind::new("a missing word", words::missing),
    Kind::new("a misspelt name", names::misspelt),
    Kind::new("a function of another language", names::foreign_function),
    Kind::new("a name that is declared twice", names::declared_twice),
    Kind::new("an aggregate written as a conversion", types::aggregate),
    Kind::new("a slice without a bound", types::open_slice),
    Kind::new("a missing context clause", names::context_clause),
    Kind::new("an undeclared variable", names::undeclared),
    Kind::new("an attribute written otherwise", types::attribute),
    Kind::new("an object without bounds", types::unconstrained),
    Kind::new("an iteration over what is none", types::iteration),
    Kind::new("an assignment to a constant", names::shadow).alone(),
    Kind::new("an unbounded string used as an array", types::unbounded_index),
    Kind::new("operands of different types", types::operands_fix),
    Kind::new("a missing conversion", types::conversion),
];
