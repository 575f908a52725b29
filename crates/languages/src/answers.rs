//! stub
use crate::{Diagnostic, Language};
use std::ops::Range;
/// A code block.
pub struct Fenced {
    /// l
    pub language: Option<Language>,
    /// t
    pub text: Range<usize>,
}
/// blocks
pub fn fenced(answer: &str) -> Vec<Fenced> {
    let mut out = Vec::new();
    let mut open: Option<(Option<Language>, usize)> = None;
    let mut at = 0;
    for line in answer.split_inclusive('\n') {
        if let Some(info) = line.trim_start().strip_prefix("```") {
            match open.take() {
                Some((language, start)) => out.push(Fenced { language, text: start..at }),
                None => open = Some((Language::from_name(info), at + line.len())),
            }
        }
        at += line.len();
    }
    out
}
/// whole
pub fn is_whole_unit(_l: Language, _t: &str) -> bool {
    true
}
/// new
pub fn new_errors(before: &[Diagnostic], after: &[Diagnostic], _inserted: Range<u32>) -> Vec<Diagnostic> {
    after
        .iter()
        .filter(|one| {
            !before.iter().any(|other| other.message == one.message && other.severity == one.severity)
        })
        .cloned()
        .collect()
}
