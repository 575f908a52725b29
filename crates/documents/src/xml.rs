//! XML as a stream of elements and text, with a limit on depth. Entities of a document type are not
//! declared, so none expands; namespaces are looked through.

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event as XmlEvent},
};

use crate::DocumentError;

const DEPTH_MAX: u64 = 256;

/// What comes next in the file.
pub(crate) enum Event<'a> {
    /// An element begins.
    Start(&'a Element<'a>),
    /// The element of this local name ends.
    End(&'a str),
    /// Characters, unescaped.
    Text(&'a str),
}

/// A start tag.
pub(crate) struct Element<'a> {
    tag: BytesStart<'a>,
}

impl Element<'_> {
    /// The name without its prefix.
    pub(crate) fn name(&self) -> &str {
        self.tag.local_name().into_inner()
    }

    /// An attribute by its local name.
    pub(crate) fn attribute(&self, name: &str) -> Option<String> {
        let mut attributes = self.tag.attributes();
        attributes.with_checks(false);
        for attribute in attributes.flatten() {
            if attribute.key.local_name().into_inner() == name {
                let value = attribute.normalized_value(XmlVersion::Implicit1_0).ok()?;
                return Some(value.into_owned());
            }
        }
        None
    }
}

/// Hands every event to `take`, in order.
pub(crate) fn walk(
    text: &str,
    broken: impl Fn(String) -> DocumentError,
    mut take: impl FnMut(Event<'_>) -> Result<(), DocumentError>,
) -> Result<(), DocumentError> {
    let mut reader = Reader::from_str(text);
    let config = reader.config_mut();
    config.expand_empty_elements = true;
    config.allow_dangling_amp = true;
    let mut depth = 0u64;
    loop {
        let event = reader.read_event().map_err(|error| {
            broken(format!("its XML is wrong at byte {}: {error}", reader.error_position()))
        })?;
        match event {
            XmlEvent::Start(tag) => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err(DocumentError::Limit {
                        what: "elements of XML inside each other",
                        max: DEPTH_MAX,
                    });
                }
                take(Event::Start(&Element { tag }))?;
            }
            XmlEvent::End(tag) => {
                depth = depth.saturating_sub(1);
                take(Event::End(tag.local_name().into_inner()))?;
            }
            XmlEvent::Text(characters) => take(Event::Text(&characters.xml10_content()))?,
            XmlEvent::CData(characters) => take(Event::Text(&characters.xml10_content()))?,
            XmlEvent::GeneralRef(reference) => {
                let name = reference.xml10_content();
                let letter = match reference.resolve_char_ref() {
                    Ok(Some(letter)) => Some(letter),
                    _ => match &*name {
                        "amp" => Some('&'),
                        "lt" => Some('<'),
                        "gt" => Some('>'),
                        "quot" => Some('"'),
                        "apos" => Some('\''),
                        "nbsp" => Some(' '),
                        _ => None,
                    },
                };
                if let Some(letter) = letter {
                    take(Event::Text(letter.encode_utf8(&mut [0; 4])))?;
                }
            }
            XmlEvent::Eof if depth > 0 => return Err(broken("its XML ends in the middle".to_owned())),
            XmlEvent::Eof => return Ok(()),
            _ => {}
        }
    }
}
