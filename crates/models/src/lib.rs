//! Models: opening the media that they come on ([`media`]), importing those ([`import`]), saying what came
//! ([`object`]), keeping it unchanged ([`objects`], [`vault`]), and pinning what serves ([`deployment`]).
//!
//! A model is admitted by persons, lies under its digest, and serves only through a deployment's lock
//! that pins weights, chat template, parameters and engine build. Nothing here dials.

pub mod deployment;
mod hashing;
pub mod import;
pub mod media;
pub mod object;
pub mod objects;
pub mod vault;

/// Characters of a name that are shown.
const NAME_CHARACTERS_MAX: usize = 200;

/// A model's name for itself is a stranger's text, and is printed on terminals.
pub fn shown(name: &str) -> String {
    let visible = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    name.chars().take(NAME_CHARACTERS_MAX).map(visible).collect()
}
