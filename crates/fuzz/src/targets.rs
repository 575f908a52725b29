//! A file for each parser of bytes that a stranger may have written.

mod answers;
mod approvals;
mod archives;
mod credentials;
mod dialects;
mod documents;
mod frames;
mod gguf;
mod languages;
mod ledger;
mod licences;
mod media;
mod notes;
mod segment;
mod signatures;
mod slices;
mod suites;
mod template;
mod witnesses;

/// Reads bytes as a stranger's, and panics where what came of them is not right.
pub type Target = fn(&[u8]);

/// Every target, by its name, which is also that of its file and of its folder of seeds.
pub const TARGETS: [(&str, Target); 19] = [
    ("answers", answers::run),
    ("approvals", approvals::run),
    ("archives", archives::run),
    ("credentials", credentials::run),
    ("dialects", dialects::run),
    ("documents", documents::run),
    ("frames", frames::run),
    ("gguf", gguf::run),
    ("languages", languages::run),
    ("ledger", ledger::run),
    ("licences", licences::run),
    ("media", media::run),
    ("notes", notes::run),
    ("segment", segment::run),
    ("signatures", signatures::run),
    ("slices", slices::run),
    ("suites", suites::run),
    ("template", template::run),
    ("witnesses", witnesses::run),
];

/// The target of that name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}
