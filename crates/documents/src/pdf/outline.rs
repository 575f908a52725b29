//! What a PDF file says about its own parts (ISO 32000-1, 12.3 and 12.4.2): outline, destinations, labels.

use std::collections::{HashMap, HashSet};

use crate::pdf::{
    objects::{Dict, File, Object},
    text_string,
};

const ENTRIES_MAX: usize = 50_000;
const NAMES_MAX: usize = 200_000;
const DEPTH_MAX: usize = 32;

/// An entry of the outline.
pub(crate) struct Entry {
    /// From 1.
    pub(crate) level: u8,
    pub(crate) title: String,
    /// From 0.
    pub(crate) page: usize,
    /// In the page's own space.
    pub(crate) at: Option<(f64, f64)>,
}

pub(crate) fn outline(file: &File<'_>, root: &Dict, pages: &HashMap<u32, usize>) -> Vec<Entry> {
    let mut entries = Vec::new();
    let outlines = file.get(root, b"Outlines");
    let Some(first) = outlines.dict().and_then(|dict| dict.get(b"First".as_slice())) else { return entries };
    let mut names = None;
    let mut seen = HashSet::new();
    let mut next = vec![(first.clone(), 1u8)];
    while let Some((reference, level)) = next.pop() {
        let Object::Ref(number) = reference else { continue };
        if !seen.insert(number) || entries.len() >= ENTRIES_MAX || usize::from(level) > DEPTH_MAX {
            continue;
        }
        let object = file.resolve(&reference);
        let Some(dict) = object.dict() else { continue };
        if let Some(after) = dict.get(b"Next".as_slice()) {
            next.push((after.clone(), level));
        }
        if let Some(below) = dict.get(b"First".as_slice()) {
            next.push((below.clone(), level + 1));
        }
        let title = file.get(dict, b"Title").text().map(text_string).unwrap_or_default();
        let destination = match file.get(dict, b"Dest") {
            Object::Null => file.get(dict, b"A").dict().map_or(Object::Null, |action| file.get(action, b"D")),
            destination => destination,
        };
        let destination = match &destination {
            Object::Name(name) | Object::Text(name) => {
                let names = names.get_or_insert_with(|| destinations(file, root));
                names.get(name).cloned().unwrap_or(Object::Null)
            }
            other => other.clone(),
        };
        let destination = match destination.dict() {
            Some(dict) => file.get(dict, b"D"),
            None => destination,
        };
        let Some(parts) = destination.array() else { continue };
        let page = match parts.first() {
            Some(Object::Ref(number)) => pages.get(number).copied(),
            Some(Object::Int(page)) => usize::try_from(*page).ok(),
            _ => None,
        };
        let number = |at: usize| parts.get(at).and_then(|part| file.resolve(part).number());
        let at = match parts.get(1).and_then(Object::name) {
            Some(b"XYZ") => number(3).map(|y| (number(2).unwrap_or(0.0), y)),
            Some(b"FitH" | b"FitBH") => number(2).map(|y| (0.0, y)),
            Some(b"FitR") => number(5).map(|y| (number(2).unwrap_or(0.0), y)),
            _ => None,
        };
        if let Some(page) = page {
            entries.push(Entry { level, title, page, at });
        }
    }
    entries
}

/// Named destinations, of both kinds.
fn destinations(file: &File<'_>, root: &Dict) -> HashMap<Vec<u8>, Object> {
    let mut names = HashMap::new();
    if let Some(old) = file.get(root, b"Dests").dict() {
        for (name, value) in old.iter().take(NAMES_MAX) {
            names.insert(name.clone(), file.resolve(value));
        }
    }
    let tree = file.get(root, b"Names").dict().map_or(Object::Null, |dict| file.get(dict, b"Dests"));
    leaves(file, tree, b"Names", |name, value| {
        if let Some(name) = name.text()
            && names.len() < NAMES_MAX
        {
            names.insert(name.to_vec(), file.resolve(value));
        }
    });
    names
}

/// Pairs of a name tree or a number tree, each node once.
fn leaves(file: &File<'_>, tree: Object, key: &[u8], mut take: impl FnMut(&Object, &Object)) {
    let mut seen = HashSet::new();
    let mut next = vec![tree];
    let mut count = 0;
    while let Some(node) = next.pop() {
        if let Object::Ref(number) = node
            && !seen.insert(number)
        {
            continue;
        }
        let node = file.resolve(&node);
        let Some(dict) = node.dict() else { continue };
        let pairs = file.get(dict, key);
        for pair in pairs.array().unwrap_or_default().chunks_exact(2) {
            count += 1;
            if count > NAMES_MAX {
                return;
            }
            take(&pair[0], &pair[1]);
        }
        let kids = file.get(dict, b"Kids");
        // References only: a node that holds its children could hold itself no other way.
        let references =
            kids.array().unwrap_or_default().iter().rev().filter(|kid| matches!(kid, Object::Ref(..)));
        next.extend(references.take(NAMES_MAX).cloned());
        if next.len() > 2 * NAMES_MAX {
            return;
        }
    }
}

/// What each page is called, if the file says so.
pub(crate) fn labels(file: &File<'_>, root: &Dict, pages: usize) -> Option<Vec<String>> {
    let tree = root.get(b"PageLabels".as_slice())?.clone();
    let mut ranges = Vec::new();
    leaves(file, tree, b"Nums", |first, label| {
        let label = file.resolve(label);
        if let (Some(first), Some(label)) =
            (first.int().and_then(|first| usize::try_from(first).ok()), label.dict())
        {
            let prefix = file.get(label, b"P").text().map(text_string).unwrap_or_default();
            let style = file.get(label, b"S").name().and_then(|style| style.first().copied());
            let start =
                file.get(label, b"St").int().and_then(|start| usize::try_from(start).ok()).unwrap_or(1);
            ranges.push((first, prefix.chars().take(40).collect::<String>(), style, start));
        }
    });
    ranges.sort_by_key(|(first, ..)| *first);
    if ranges.is_empty() {
        return None;
    }
    let label = |page: usize| {
        let at = ranges.partition_point(|(first, ..)| *first <= page).checked_sub(1);
        let Some((first, prefix, style, start)) = at.map(|at| &ranges[at]) else {
            return (page + 1).to_string();
        };
        let number = start.saturating_add(page - first);
        let number = match style {
            Some(b'D') => number.to_string(),
            Some(b'r') => roman(number),
            Some(b'R') => roman(number).to_ascii_uppercase(),
            Some(b'a') => letters(number),
            Some(b'A') => letters(number).to_ascii_uppercase(),
            _ => String::new(),
        };
        format!("{prefix}{number}")
    };
    Some((0..pages).map(label).collect())
}

fn roman(number: usize) -> String {
    if !(1..4000).contains(&number) {
        return number.to_string();
    }
    const SIGNS: [(usize, &str); 13] = [
        (1000, "m"),
        (900, "cm"),
        (500, "d"),
        (400, "cd"),
        (100, "c"),
        (90, "xc"),
        (50, "l"),
        (40, "xl"),
        (10, "x"),
        (9, "ix"),
        (5, "v"),
        (4, "iv"),
        (1, "i"),
    ];
    let mut text = String::new();
    let mut rest = number;
    for (value, sign) in SIGNS {
        while rest >= value {
            text.push_str(sign);
            rest -= value;
        }
    }
    text
}

/// a to z, aa to zz, and so on.
fn letters(number: usize) -> String {
    let Some(index) = number.checked_sub(1).filter(|index| *index < 26 * 40) else {
        return number.to_string();
    };
    let letter = char::from(b'a' + u8::try_from(index % 26).unwrap_or(0));
    std::iter::repeat_n(letter, index / 26 + 1).collect()
}
