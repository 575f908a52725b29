//! Ports that are left alone: legal, and hardly ever what was asked for.

use std::ops::Range;

use crate::repair::expressions::{is_assignment, primary_end};
use crate::repair::{Draft, Edit, insert};

/// Drives each output that nothing drives by the one signal of its subtype that is assigned and read nowhere, where the
/// hole is the inner part of an architecture.
pub(crate) fn drive_outputs(draft: &Draft<'_>) -> Option<Vec<Edit>> {
    if body(draft).start > draft.hole_tokens().start {
        return None;
    }
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

/// The outputs of the last architecture's entity that nothing in it drives, with their subtypes.
pub(crate) fn undriven<'d>(draft: &'d Draft<'_>) -> impl Iterator<Item = (&'d str, String)> + 'd {
    let body = body(draft);
    ports(draft)
        .into_iter()
        .filter(move |port| port.mode == "out" && !is_driven(draft, body.clone(), port.name))
        .map(|port| (port.name, port.subtype))
}

/// Whether the last architecture reads none of some input.
pub(crate) fn has_unread(draft: &Draft<'_>) -> bool {
    let is_named = |name| body(draft).any(|at| draft.is(at, name));
    ports(draft).iter().any(|port| port.mode == "in" && !is_named(port.name))
}

/// The last `architecture` that is followed by its name and its entity's.
fn architecture(draft: &Draft<'_>) -> Option<usize> {
    let end = draft.hole_tokens().end;
    (0..end).rev().find(|at| draft.is(*at, "architecture") && draft.is(at + 2, "of"))
}

/// The tokens of the architecture that the hole is in, or that ends it, behind its name.
fn body(draft: &Draft<'_>) -> Range<usize> {
    let hole = draft.hole_tokens();
    let begins = |at: &usize| draft.is(*at, "architecture") && draft.is(at + 2, "of");
    let end = (hole.end..draft.len()).find(begins).unwrap_or(draft.len());
    architecture(draft).map_or(0, |at| at + 4).min(end)..end
}

/// A port of an entity.
pub(crate) struct Port<'d> {
    /// As it is written.
    pub(crate) name: &'d str,
    /// `in` where it says none.
    pub(crate) mode: &'d str,
    /// In lower case, a blank between its words.
    pub(crate) subtype: String,
}

/// The ports of the last architecture's entity.
pub(crate) fn ports<'d>(draft: &'d Draft<'_>) -> Vec<Port<'d>> {
    const MODES: [&str; 5] = ["in", "out", "inout", "buffer", "linkage"];
    let mut found = Vec::new();
    let Some(architecture) = architecture(draft) else { return found };
    let entity = draft.word(architecture + 3);
    let head = (0..architecture).rev().find(|at| draft.is(*at, "entity") && draft.is(at + 1, entity));
    let port =
        head.and_then(|head| (head..architecture).find(|at| draft.is(*at, "port") && draft.is(at + 1, "(")));
    let Some((port, close)) = port.and_then(|port| Some((port, draft.close(port + 1)?))) else {
        return found;
    };
    for colon in (port + 2..close).filter(|at| draft.is(*at, ":")) {
        let mode = MODES.into_iter().find(|mode| draft.is(colon + 1, mode));
        let subtype = written(draft, colon + 1 + usize::from(mode.is_some()));
        let first = found.len();
        let mut name = colon - 1;
        loop {
            let subtype = subtype.clone();
            found.push(Port { name: draft.word(name), mode: mode.unwrap_or("in"), subtype });
            if name < port + 4 || !draft.is(name - 1, ",") {
                break;
            }
            name -= 2;
        }
        found[first..].reverse();
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

/// Whether the name is assigned to in these tokens, or handed to an instance.
fn is_driven(draft: &Draft<'_>, mut tokens: Range<usize>, name: &str) -> bool {
    tokens.any(|at| {
        draft.is(at, name) && (is_target(draft, at) || draft.is_any(at.wrapping_sub(1), &["=>", "(", ","]))
    })
}

/// Whether a name is assigned to that begins at the token.
pub(super) fn is_target(draft: &Draft<'_>, token: usize) -> bool {
    let behind = primary_end(draft, token);
    draft.is_name(token) && draft.is(behind, "<=") && is_assignment(draft, behind)
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
