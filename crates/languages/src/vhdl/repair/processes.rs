//! What a process does on all of its paths: signals that keep their value on some, which makes latches, and signals that
//! are used as if they were variables. Both are legal, and never what was asked for.

use std::ops::Range;

use super::outputs::is_target;
use super::structure::{before, subtype_of};
use super::types::{Type, named};
use crate::repair::expressions::{declared, is_assignment, primary_end};
use crate::repair::{Draft, Edit, Report, insert, replace};

/// A longer process is left alone.
const PROCESS_TOKENS_MAX: usize = 4096;

/// A process of the hole, by its tokens.
struct Process {
    head: usize,
    begin: usize,
    end: usize,
}

impl Process {
    /// That which begins at the token, behind a label or not. `None` for one with subprograms of its own.
    fn at(draft: &Draft<'_>, token: usize) -> Option<Process> {
        let head = if draft.is(token + 1, ":") { token + 2 } else { token };
        let limit = draft.hole_tokens().end;
        if !draft.is(head, "process") || draft.is(head.wrapping_sub(1), "end") {
            return None;
        }
        let begin = (head..limit).find(|at| draft.is_any(*at, &["begin", "function", "procedure"]))?;
        let end = (begin..limit).find(|at| draft.is(*at, "end") && draft.is(at + 1, "process"))?;
        (draft.is(begin, "begin") && end - head <= PROCESS_TOKENS_MAX).then_some(Process { head, begin, end })
    }

    fn body(&self) -> Range<usize> {
        self.begin + 1..self.end
    }

    /// Whether it waits for an edge, so that what it does not assign is kept on purpose.
    fn is_clocked(&self, draft: &Draft<'_>) -> bool {
        let words = ["rising_edge", "falling_edge", "event", "wait"];
        (self.head..self.end).any(|at| draft.is_any(at, &words))
    }
}

/// `latch infered for net "q"`, at a process or a concurrent assignment.
pub(super) fn latch(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    report.quoted("latch infer", 0)?;
    let Some(process) = Process::at(draft, report.token) else {
        return last_alternative(draft, report.token);
    };
    let edits = rested(draft, &process);
    if edits.is_empty() { as_variables(draft) } else { Some(edits) }
}

/// Gives what the hole's combinational processes would keep on some path a value on all of them. GHDL tells of few latches.
pub(crate) fn without_latches(draft: &Draft<'_>) -> Option<Vec<Edit>> {
    let edits: Vec<Edit> = combinational(draft).flat_map(|process| rested(draft, &process)).collect();
    (!edits.is_empty()).then_some(edits)
}

/// Whether a combinational process keeps a signal on some path.
pub(crate) fn has_latch(draft: &Draft<'_>) -> bool {
    !speaks_of_latches(draft)
        && combinational(draft).any(|process| kept(draft, &process, false).next().is_some())
}

/// Then they may be wanted.
fn speaks_of_latches(draft: &Draft<'_>) -> bool {
    draft.text.to_ascii_lowercase().contains("latch")
}

/// Has the process assign, on every path, all that it assigns on one.
fn rested(draft: &Draft<'_>, process: &Process) -> Vec<Edit> {
    if speaks_of_latches(draft) || process.is_clocked(draft) || kept(draft, process, false).next().is_none() {
        return Vec::new();
    }
    let mut edits = exhaustive_chains(draft, process.body());
    let indentation = draft.indentation(draft.start(process.begin));
    let words: String = kept(draft, process, true)
        .filter_map(|name| {
            let value = at_rest(draft, name, process.head)?;
            Some(format!("\n{indentation}  {name} <= {value};"))
        })
        .collect();
    if !words.is_empty() {
        edits.push(insert(draft.end(process.begin), words));
    }
    edits
}

/// Signals that the process assigns on some paths and not on all, but for those that it computes in steps; `exhaustive`:
/// where chains of branches for all values of some bits end with one for all else.
fn kept<'d>(
    draft: &'d Draft<'_>,
    process: &'d Process,
    exhaustive: bool,
) -> impl Iterator<Item = &'d str> + 'd {
    let mut seen: Vec<&str> = stepwise(draft, process);
    process.body().filter_map(move |at| {
        let name = draft.word(at);
        let is_new = is_target(draft, at) && !seen.iter().any(|one| one.eq_ignore_ascii_case(name));
        if !is_new {
            return None;
        }
        seen.push(name);
        (!always_assigned(draft, process.body(), name, exhaustive)).then_some(name)
    })
}

/// Whether every path through the statements assigns something of the signal. Loops are taken to be entered.
fn always_assigned(draft: &Draft<'_>, tokens: Range<usize>, name: &str, exhaustive: bool) -> bool {
    let mut at = tokens.start;
    while at < tokens.end {
        if draft.is_any(at, &["if", "case"]) && !draft.is(at.wrapping_sub(1), "end") {
            let Some(branches) = Branches::of(draft, at, tokens.end) else { return true };
            let is_complete = branches.is_complete || exhaustive && is_exhaustive(draft, &branches.begins);
            let all = |mut parts: std::slice::Windows<'_, usize>| {
                parts.all(|part| always_assigned(draft, part[0] + 1..part[1], name, exhaustive))
            };
            let ends: Vec<usize> = branches.begins.iter().copied().chain([branches.end]).collect();
            if is_complete && all(ends.windows(2)) {
                return true;
            }
            at = branches.end + 2;
        } else if draft.is(at, name) && is_target(draft, at) {
            return true;
        } else {
            at += 1;
        }
    }
    false
}

/// The branches of an `if` or a `case`.
struct Branches {
    /// `if`, `elsif` and `else`, or each `when`.
    begins: Vec<usize>,
    /// The token `end`.
    end: usize,
    /// Whether one of them is gone into in any case: a `case` has all choices.
    is_complete: bool,
}

impl Branches {
    fn of(draft: &Draft<'_>, token: usize, limit: usize) -> Option<Branches> {
        let is_case = draft.is(token, "case");
        let mut begins = if is_case { Vec::new() } else { vec![token] };
        let (mut depth, mut is_complete) = (0usize, is_case);
        for at in token..limit {
            let begins_statement = draft.is_any(at.wrapping_sub(1), &[";", "then", "is"]);
            if draft.is(at, "end") && draft.is_any(at + 1, &["if", "case"]) {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(Branches { begins, end: at, is_complete });
                }
            } else if draft.is_any(at, &["if", "case"]) && !draft.is(at.wrapping_sub(1), "end") {
                depth += 1;
            } else if depth == 1 && begins_statement {
                let is_else = !is_case && draft.is(at, "else");
                if is_else || draft.is(at, if is_case { "when" } else { "elsif" }) {
                    begins.push(at);
                }
                is_complete |= is_else;
            }
        }
        None
    }
}

/// `y <= a when s = '0' else b when s = '1';`: what comes last is what remains.
fn last_alternative(draft: &Draft<'_>, token: usize) -> Option<Vec<Edit>> {
    let end = (token..draft.hole_tokens().end).find(|at| draft.is(*at, ";"))?;
    let when = (token..end).rev().find(|at| draft.is_any(*at, &["when", "else", "select"]))?;
    let has_others = (token..when).any(|at| draft.is(at, "else"));
    (draft.is(when, "when") && has_others).then(|| vec![replace(draft.end(when - 1)..draft.start(end), "")])
}

/// `if s = '0' then … elsif s = '1' then … end if;` names all values of a bit but not all of its type: the last branch is
/// what remains.
fn exhaustive_chains(draft: &Draft<'_>, tokens: Range<usize>) -> Vec<Edit> {
    let begins = tokens.clone().filter(|at| draft.is(*at, "if") && !draft.is(at.wrapping_sub(1), "end"));
    let last = |at| {
        let branches = Branches::of(draft, at, tokens.end)?;
        let last = *branches.begins.last()?;
        let then = condition(draft, last)?.end;
        (!branches.is_complete && is_exhaustive(draft, &branches.begins))
            .then(|| replace(draft.start(last)..draft.end(then), "else"))
    };
    begins.filter_map(last).collect()
}

/// The tokens between `if` or `elsif` and `then`.
fn condition(draft: &Draft<'_>, branch: usize) -> Option<Range<usize>> {
    let then = (branch..draft.hole_tokens().end).find(|at| draft.is_any(*at, &["then", ";"]))?;
    draft.is(then, "then").then_some(branch + 1..then)
}

/// Whether the branches compare one thing with all values of its bits.
fn is_exhaustive(draft: &Draft<'_>, branches: &[usize]) -> bool {
    const BITS_MAX: usize = 6;
    let mut compared: Option<String> = None;
    let mut values: Vec<&str> = Vec::new();
    for branch in branches {
        let Some(mut tokens) = condition(draft, *branch) else { return false };
        if draft.is(tokens.start, "(") && draft.close(tokens.start) == Some(tokens.end - 1) {
            tokens = tokens.start + 1..tokens.end - 1;
        }
        let end = primary_end(draft, tokens.start);
        if !(draft.is(end, "=") && draft.is_literal(end + 1) && end + 2 == tokens.end) {
            return false;
        }
        let name = draft.source(tokens.start..end).to_ascii_lowercase();
        let value = draft.word(end + 1);
        if compared.get_or_insert_with(|| name.clone()) != &name || values.contains(&value) {
            return false;
        }
        values.push(value);
    }
    let is_bits = |value: &&str| value.bytes().all(|byte| matches!(byte, b'0' | b'1' | b'\'' | b'"'));
    let bits = values.first().map_or(0, |value| value.len().saturating_sub(2));
    let same_length = values.iter().all(|value| value.len() == bits + 2);
    (1..=BITS_MAX).contains(&bits) && same_length && values.iter().all(is_bits) && values.len() == 1 << bits
}

/// What a signal is when nothing else is said: the state that the next one comes of, or nothing.
fn at_rest(draft: &Draft<'_>, name: &str, until: usize) -> Option<String> {
    let subtype = subtype_of(draft, name, until)?;
    if name.to_ascii_lowercase().contains("next") {
        let mut others = signals(draft, until).filter(|other| {
            !other.eq_ignore_ascii_case(name)
                && subtype_of(draft, other, until)
                    .is_some_and(|of| without_blanks(&of) == without_blanks(&subtype))
        });
        if let Some(other) = others.next().filter(|_| others.next().is_none()) {
            return Some(other.to_owned());
        }
    }
    match named(declared(draft, name, until)?) {
        Type::Bit => Some("'0'".to_owned()),
        Type::Vector | Type::Unsigned | Type::Signed => Some("(others => '0')".to_owned()),
        Type::Integer => Some("0".to_owned()),
        Type::Boolean => Some("false".to_owned()),
        Type::Unknown => None,
    }
}

fn without_blanks(words: &str) -> String {
    words.split_whitespace().collect::<String>().to_ascii_lowercase()
}

/// The signals that are declared in the hole before the token.
fn signals<'d>(draft: &'d Draft<'_>, until: usize) -> impl Iterator<Item = &'d str> + 'd {
    let mut is_list = false;
    (draft.hole_tokens().start..until).filter_map(move |at| {
        is_list = draft.is(at, "signal") || is_list && !draft.is_any(at, &[":", ";"]);
        (is_list && draft.is_name(at)).then(|| draft.word(at))
    })
}

/// Has what the hole's combinational processes use as a variable be one: a signal has its new value only when the process
/// has ended, so that one which is computed in steps never comes to its value.
pub(crate) fn as_variables(draft: &Draft<'_>) -> Option<Vec<Edit>> {
    let mut edits = Vec::new();
    for process in combinational(draft) {
        let stepwise = stepwise(draft, &process);
        let [mut declarations, mut beginnings, mut endings] = [const { Vec::new() }; 3];
        for name in stepwise {
            let variable = format!("{name}_value");
            let is_taken = (0..draft.len()).any(|at| draft.is(at, &variable));
            let is_part = process.body().any(|at| {
                draft.is(at, name) && (draft.is(at.wrapping_sub(1), ".") || draft.is(at + 1, "=>"))
            });
            let Some(subtype) = subtype_of(draft, name, process.head).filter(|_| !is_taken && !is_part)
            else {
                continue;
            };
            if !begins_with_value(draft, &process, name) {
                let Some(value) = at_rest(draft, name, process.head) else { continue };
                beginnings.push(format!("{variable} := {value};"));
            }
            declarations.push(format!("variable {variable} : {subtype};"));
            endings.push(format!("{name} <= {variable};"));
            for at in process.body().filter(|at| draft.is(*at, name)) {
                edits.push(replace(draft.bytes(at), variable.as_str()));
                let behind = primary_end(draft, at);
                if draft.is(behind, "<=") && is_assignment(draft, behind) {
                    edits.push(replace(draft.bytes(behind), ":="));
                }
            }
        }
        if endings.is_empty() {
            continue;
        }
        let indentation = draft.indentation(draft.start(process.begin));
        let lines = format!("\n{indentation}  ");
        if !beginnings.is_empty() {
            edits.push(insert(draft.end(process.begin), format!("{lines}{}", beginnings.join(&lines))));
        }
        let declarations = format!("  {}", declarations.join(&lines));
        edits.push(before(draft, process.begin, &declarations));
        edits.push(before(draft, process.end, &format!("  {}", endings.join(&lines))));
        // It is woken by what it reads, and no more by what it makes.
        if draft.is(process.head + 1, "(")
            && let Some(close) = draft.close(process.head + 1)
        {
            edits.push(replace(draft.start(process.head + 1)..draft.end(close), "(all)"));
        }
    }
    (!edits.is_empty()).then_some(edits)
}

/// Whether a process uses a signal as a variable.
pub(crate) fn has_stepwise(draft: &Draft<'_>) -> bool {
    combinational(draft).any(|process| !stepwise(draft, &process).is_empty())
}

fn combinational<'d>(draft: &'d Draft<'_>) -> impl Iterator<Item = Process> + 'd {
    draft
        .hole_tokens()
        .filter(|at| draft.is(*at, "process"))
        .filter_map(|at| Process::at(draft, at))
        .filter(|process| !process.is_clocked(draft))
}

/// Signals that the process, and nobody else, assigns as a whole, and reads in what it assigns to them, or between two
/// assignments.
fn stepwise<'d>(draft: &'d Draft<'_>, process: &Process) -> Vec<&'d str> {
    let is_target = |at: usize| is_target(draft, at);
    let mut found: Vec<&str> = Vec::new();
    for first in process.body().filter(|at| is_target(*at)) {
        let name = draft.word(first);
        if found.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            continue;
        }
        let uses = || process.body().filter(|at| draft.is(*at, name));
        let is_elsewhere = draft
            .hole_tokens()
            .any(|at| draft.is(at, name) && !process.body().contains(&at) && is_target(at));
        let wholes: Vec<usize> = uses().filter(|at| is_target(*at) && draft.is(at + 1, "<=")).collect();
        let Some(last) = wholes.last().copied().filter(|_| !is_elsewhere) else { continue };
        let end_of = |at: usize| (at..process.end).find(|at| draft.is(*at, ";")).unwrap_or(process.end);
        let reads_itself = wholes.iter().any(|at| (at + 2..end_of(*at)).any(|at| draft.is(at, name)));
        let reads_between = uses().any(|at| (wholes[0]..last).contains(&at) && !is_target(at));
        if reads_itself || reads_between {
            found.push(name);
        }
    }
    found
}

/// Whether the first thing done with the name, on every path, is to give it a value.
fn begins_with_value(draft: &Draft<'_>, process: &Process, name: &str) -> bool {
    let compound = ["if", "case", "loop"];
    for at in process.body() {
        if draft.is_any(at, &compound) {
            return false;
        }
        if draft.is(at, name) {
            let end = (at..process.end).find(|at| draft.is(*at, ";")).unwrap_or(process.end);
            return draft.is(at + 1, "<=")
                && is_assignment(draft, at + 1)
                && !(at + 2..end).any(|at| draft.is(at, name));
        }
    }
    false
}
