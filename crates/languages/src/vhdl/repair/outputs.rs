//! Outputs that nothing drives: legal, and never what was asked for.

use crate::repair::expressions::{is_assignment, primary_end};
use crate::repair::{Draft, Edit, insert};

/// Drives each output that nothing drives by the one signal of its subtype that is assigned and read nowhere.
pub(crate) fn drive(draft: &Draft<'_>) -> Option<Vec<Edit>> {
    let hole = &draft.text[draft.hole.clone()];
    let end = draft.hole.start + hole.trim_end().len();
    let words: String = undriven(draft)
        .filter_map(|(output, subtype)| {
            let mut idle = idle_signals(draft, &subtype);
            let signal = idle.next().filter(|_| idle.next().is_none())?;
            Some(format!("\n  {output} <= {signal};"))
        })
        .collect();
    (!words.is_empty()).then(|| vec![insert(end, words)])
}

/// The outputs of the hole's entity that nothing in the hole drives, with their subtypes.
pub(crate) fn undriven<'d>(draft: &'d Draft<'_>) -> impl Iterator<Item = (&'d str, String)> + 'd {
    outputs(draft).into_iter().filter(|(name, _)| !is_driven(draft, name))
}

fn outputs<'d>(draft: &'d Draft<'_>) -> Vec<(&'d str, String)> {
    let hole = draft.hole_tokens();
    let mut found = Vec::new();
    let architecture =
        (0..hole.start).rev().find(|at| draft.is(*at, "architecture") && draft.is(at + 2, "of"));
    let Some(entity) = architecture.map(|at| draft.word(at + 3)) else { return found };
    let head = (0..hole.start).find(|at| draft.is(*at, "entity") && draft.is(at + 1, entity));
    let port =
        head.and_then(|head| (head..hole.start).find(|at| draft.is(*at, "port") && draft.is(at + 1, "(")));
    let Some((port, close)) = port.and_then(|port| Some((port, draft.close(port + 1)?))) else {
        return found;
    };
    for mode in port..close {
        if !draft.is(mode, "out") || !draft.is(mode.wrapping_sub(1), ":") {
            continue;
        }
        let subtype = written(draft, mode + 1);
        let mut name = mode - 2;
        found.push((draft.word(name), subtype.clone()));
        while draft.is(name - 1, ",") && name > port + 2 {
            name -= 2;
            found.push((draft.word(name), subtype.clone()));
        }
    }
    found
}

/// The subtype at the token, without blanks and in lower case.
fn written(draft: &Draft<'_>, token: usize) -> String {
    (token..primary_end(draft, token))
        .map(|at| draft.word(at).to_ascii_lowercase())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Whether the name is assigned to in the hole, or handed to an instance.
fn is_driven(draft: &Draft<'_>, name: &str) -> bool {
    draft.hole_tokens().any(|at| {
        draft.is(at, name) && (is_target(draft, at) || draft.is_any(at.wrapping_sub(1), &["=>", "(", ","]))
    })
}

fn is_target(draft: &Draft<'_>, token: usize) -> bool {
    let behind = primary_end(draft, token);
    draft.is(behind, "<=") && is_assignment(draft, behind)
}

/// Signals of the hole with that subtype that are assigned and read nowhere.
fn idle_signals<'d>(draft: &'d Draft<'_>, subtype: &'d str) -> impl Iterator<Item = &'d str> + 'd {
    let hole = draft.hole_tokens();
    let begin = hole.clone().find(|at| draft.is(*at, "begin")).unwrap_or(hole.end);
    let declared = hole.start..begin;
    declared.filter_map(move |at| {
        let is_name = draft.is_name(at) && draft.is_any(at.wrapping_sub(1), &["signal", ","]);
        let colon = (at..begin)
            .find(|colon| draft.is_any(*colon, &[":", ";"]))
            .filter(|colon| draft.is(*colon, ":"))?;
        let name = draft.word(at);
        let mut uses = (begin..hole.end).filter(|at| draft.is(*at, name)).peekable();
        let idle = is_name && written(draft, colon + 1) == subtype && uses.peek().is_some();
        (idle && uses.all(|at| is_target(draft, at))).then_some(name)
    })
}
