//! ReqIF: requirements with their attributes, in the order and under the chapters of their specifications.

use std::collections::{HashMap, HashSet};

use crate::{
    Document, DocumentError, Format, Place, damaged,
    package::Package,
    passages::Passages,
    text::decode,
    xml::{self, Event},
};

const REQUIREMENTS_MAX: usize = 200_000;
const VALUES_MAX: usize = 500;
const VALUE_BYTES_MAX: usize = 256 << 10;
const CHAPTER_NAMES: [&str; 3] = ["ReqIF.ChapterName", "Object Heading", "ChapterName"];
const TEXT_NAMES: [&str; 3] = ["ReqIF.Text", "Object Text", "Text"];

pub(crate) fn read(bytes: &[u8]) -> Result<Document, DocumentError> {
    let mut passages = Passages::new();
    if !bytes.starts_with(b"PK") {
        File::read(&decode(bytes), &mut passages)?;
        return passages.finish();
    }
    let mut package = Package::open(Format::ReqIf, bytes)?;
    let mut names: Vec<String> =
        package.names().into_iter().filter(|name| name.to_ascii_lowercase().ends_with(".reqif")).collect();
    names.sort();
    if names.is_empty() {
        return Err(damaged(Format::ReqIf, "there is no .reqif file in the archive"));
    }
    for name in names {
        if let Some(text) = package.text(&name)? {
            File::read(&text, &mut passages)?;
        }
    }
    passages.finish()
}

#[derive(Default)]
struct Requirement {
    id: String,
    long_name: String,
    /// An attribute definition's identifier, and what stands there.
    values: Vec<(String, Value)>,
}

enum Value {
    Text(String),
    /// Identifiers of values of an enumeration.
    Choices(Vec<String>),
}

/// An occurrence of a requirement in a specification.
struct Node {
    depth: usize,
    object: String,
}

/// What a file holds, by its identifiers.
#[derive(Default)]
struct File {
    title: Option<String>,
    /// Long names of attribute definitions and of values of enumerations.
    names: HashMap<String, String>,
    requirements: Vec<Requirement>,
    specifications: Vec<(String, Vec<Node>)>,
}

/// Where in the file the reader stands.
#[derive(Default)]
struct Reader {
    file: File,
    requirement: Option<Requirement>,
    value: Option<Value>,
    definition: String,
    in_the_value: bool,
    in_definition: bool,
    in_title: bool,
    in_reference: bool,
    in_object: usize,
    choice: bool,
    reference: String,
    hierarchy_depth: usize,
    nodes: usize,
}

impl File {
    fn read(text: &str, passages: &mut Passages) -> Result<(), DocumentError> {
        let mut reader = Reader::default();
        let mut seen_root = false;
        xml::walk(
            text,
            |what| damaged(Format::ReqIf, what),
            |event| {
                if let Event::Start(element) = &event
                    && !std::mem::replace(&mut seen_root, true)
                    && element.name() != "REQ-IF"
                {
                    return Err(damaged(Format::ReqIf, format!("it begins with {:?}", element.name())));
                }
                reader.take(event)
            },
        )?;
        if !seen_root {
            return Err(damaged(Format::ReqIf, "there is no element in it"));
        }
        reader.file.write(passages)
    }

    fn write(self, passages: &mut Passages) -> Result<(), DocumentError> {
        if let Some(title) = &self.title {
            passages.title(title);
        }
        let by_id: HashMap<&str, usize> = self
            .requirements
            .iter()
            .enumerate()
            .map(|(at, requirement)| (requirement.id.as_str(), at))
            .collect();
        let mut written = HashSet::new();
        for (name, nodes) in &self.specifications {
            passages.title(name);
            passages.under(&[])?;
            passages.heading(1, name, Place::Whole)?;
            for node in nodes {
                let Some(at) = by_id.get(node.object.as_str()) else { continue };
                // One that stands in two places is written in the first.
                if written.insert(*at) {
                    self.write_one(&self.requirements[*at], node.depth, passages)?;
                }
            }
        }
        if written.len() < self.requirements.len() {
            passages.under(&[])?;
            for (at, requirement) in self.requirements.iter().enumerate() {
                if !written.contains(&at) {
                    self.write_one(requirement, 1, passages)?;
                }
            }
        }
        Ok(())
    }

    fn write_one(
        &self,
        requirement: &Requirement,
        depth: usize,
        passages: &mut Passages,
    ) -> Result<(), DocumentError> {
        let place = Place::Requirement { id: requirement.id.clone() };
        let mut lines = Vec::new();
        let mut texts = Vec::new();
        let mut chapter = None;
        for (definition, value) in &requirement.values {
            let name = self.names.get(definition).map_or("", String::as_str);
            let value = match value {
                Value::Text(text) => text.trim().to_owned(),
                Value::Choices(choices) => {
                    let names =
                        choices.iter().map(|id| self.names.get(id).map_or(id.as_str(), String::as_str));
                    names.collect::<Vec<_>>().join(", ")
                }
            };
            if value.is_empty() {
                continue;
            }
            if CHAPTER_NAMES.contains(&name) {
                chapter = Some(value);
            } else if TEXT_NAMES.contains(&name) || name.is_empty() {
                texts.push(value);
            } else {
                lines.push(format!("{name}: {value}"));
            }
        }
        if let Some(chapter) = &chapter {
            let level = u8::try_from(depth.saturating_add(1)).unwrap_or(u8::MAX);
            passages.heading(level, chapter, place.clone())?;
            if texts.is_empty() {
                return Ok(());
            }
        }
        if !requirement.long_name.is_empty() && chapter.as_ref() != Some(&requirement.long_name) {
            texts.insert(0, requirement.long_name.clone());
        }
        texts.extend(lines);
        passages.flush()?;
        passages.block(&texts.join("\n"), place)
    }
}

impl Reader {
    fn take(&mut self, event: Event<'_>) -> Result<(), DocumentError> {
        match event {
            Event::Start(element) => {
                let name = element.name();
                let long_name = || element.attribute("LONG-NAME").unwrap_or_default();
                let id = || element.attribute("IDENTIFIER").unwrap_or_default();
                if self.in_the_value {
                    // XHTML: paragraphs and line ends are line ends, cells are apart.
                    match name {
                        "p" | "div" | "br" | "li" | "tr" | "h1" | "h2" | "h3" => self.write("\n"),
                        "td" | "th" => self.write(" | "),
                        _ => {}
                    }
                    return Ok(());
                }
                match name {
                    "TITLE" => self.in_title = true,
                    "SPEC-OBJECT" => {
                        let requirement =
                            Requirement { id: id(), long_name: long_name(), values: Vec::new() };
                        self.requirement = Some(requirement);
                    }
                    "ENUM-VALUE" => {
                        self.file.names.insert(id(), long_name());
                    }
                    "SPECIFICATION" => {
                        self.file.specifications.push((long_name(), Vec::new()));
                        self.hierarchy_depth = 0;
                    }
                    "SPEC-HIERARCHY" => {
                        self.hierarchy_depth += 1;
                    }
                    "OBJECT" => self.in_object += 1,
                    "DEFINITION" => self.in_definition = true,
                    "THE-VALUE" => self.in_the_value = true,
                    name if name.starts_with("ATTRIBUTE-VALUE-") => {
                        self.definition.clear();
                        self.choice = name == "ATTRIBUTE-VALUE-ENUMERATION";
                        self.value = Some(match element.attribute("THE-VALUE") {
                            Some(value) => Value::Text(value),
                            None if self.choice => Value::Choices(Vec::new()),
                            None => Value::Text(String::new()),
                        });
                    }
                    name if name.starts_with("ATTRIBUTE-DEFINITION-") && !name.ends_with("-REF") => {
                        self.file.names.insert(id(), long_name());
                    }
                    name if name.ends_with("-REF") => {
                        self.in_reference = true;
                        self.reference.clear();
                    }
                    _ => {}
                }
                Ok(())
            }
            Event::Text(text) => {
                if self.in_the_value {
                    self.write(text);
                } else if self.in_reference && self.reference.len() < 4096 {
                    self.reference.push_str(text);
                } else if self.in_title {
                    self.file.title.get_or_insert_default().push_str(text);
                }
                Ok(())
            }
            Event::End(name) => self.end(name),
        }
    }

    fn write(&mut self, text: &str) {
        let Some(Value::Text(value)) = &mut self.value else { return };
        if value.len() + text.len() > VALUE_BYTES_MAX {
            return;
        }
        if text == "\n" {
            let kept = value.trim_end().len();
            value.truncate(kept);
            value.push('\n');
            return;
        }
        // Line ends in the file are spaces of the text.
        for letter in text.chars() {
            match letter.is_whitespace() {
                true if value.is_empty() || value.ends_with([' ', '\n']) => {}
                true => value.push(' '),
                false => value.push(letter),
            }
        }
    }

    fn end(&mut self, name: &str) -> Result<(), DocumentError> {
        if self.in_the_value {
            self.in_the_value = name != "THE-VALUE";
            return Ok(());
        }
        match name {
            "TITLE" => self.in_title = false,
            "DEFINITION" => self.in_definition = false,
            "OBJECT" => self.in_object = self.in_object.saturating_sub(1),
            "SPEC-HIERARCHY" => self.hierarchy_depth = self.hierarchy_depth.saturating_sub(1),
            "SPEC-OBJECT" => {
                if self.file.requirements.len() >= REQUIREMENTS_MAX {
                    return Err(DocumentError::Limit { what: "requirements", max: REQUIREMENTS_MAX as u64 });
                }
                self.file.requirements.extend(self.requirement.take());
            }
            name if name.starts_with("ATTRIBUTE-VALUE-") => {
                if let (Some(value), Some(requirement)) = (self.value.take(), &mut self.requirement)
                    && requirement.values.len() < VALUES_MAX
                {
                    requirement.values.push((std::mem::take(&mut self.definition), value));
                }
            }
            name if name.ends_with("-REF") => {
                self.in_reference = false;
                let reference = self.reference.trim().to_owned();
                if self.in_definition {
                    self.definition = reference;
                } else if self.in_object > 0 && name == "SPEC-OBJECT-REF" {
                    self.nodes += 1;
                    if self.nodes > 2 * REQUIREMENTS_MAX {
                        let max = 2 * REQUIREMENTS_MAX as u64;
                        return Err(DocumentError::Limit { what: "places of requirements", max });
                    }
                    if let Some((_, nodes)) = self.file.specifications.last_mut() {
                        nodes.push(Node { depth: self.hierarchy_depth, object: reference });
                    }
                } else if name == "ENUM-VALUE-REF"
                    && let Some(Value::Choices(choices)) = &mut self.value
                    && choices.len() < VALUES_MAX
                {
                    choices.push(reference);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
