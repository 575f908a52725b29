//! A page's content, run for its text only (ISO 32000-1, 7.8 and 9): each glyph with its place on the page.

use std::{collections::HashMap, rc::Rc};

use crate::pdf::{
    fonts::Font,
    objects::{Dict, File, Lexer, Object, Stream},
    text_string,
};

/// Operators of a page, with those of what it uses.
const OPERATORS_MAX: usize = 2_000_000;
const GLYPHS_MAX: usize = 200_000;
const FORMS_DEPTH_MAX: usize = 12;
const STATES_MAX: usize = 256;
const OPERANDS_MAX: usize = 64;
const MARKS_MAX: usize = 256;
/// Fonts that are kept ready.
const FONTS_MAX: usize = 2000;
/// Of forms that are kept unpacked.
const FORMS_BYTES_MAX: usize = 32 << 20;

/// A matrix `[a b c d e f]`.
pub(crate) type Matrix = [f64; 6];
pub(crate) const IDENTITY: Matrix = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0];

pub(crate) fn multiply(one: &Matrix, other: &Matrix) -> Matrix {
    [
        one[0] * other[0] + one[1] * other[2],
        one[0] * other[1] + one[1] * other[3],
        one[2] * other[0] + one[3] * other[2],
        one[2] * other[1] + one[3] * other[3],
        one[4] * other[0] + one[5] * other[2] + other[4],
        one[4] * other[1] + one[5] * other[3] + other[5],
    ]
}

/// Characters that were shown together.
#[derive(Clone, Debug)]
pub(crate) struct Glyph {
    pub(crate) text: String,
    /// Where its baseline begins and ends.
    pub(crate) from: (f64, f64),
    pub(crate) to: (f64, f64),
    /// Of the font, on the page.
    pub(crate) size: f64,
    pub(crate) fixed_pitch: bool,
}

/// What a page shows.
#[derive(Default)]
pub(crate) struct Shown {
    pub(crate) glyphs: Vec<Glyph>,
    /// Whether it has a picture.
    pub(crate) picture: bool,
    /// What limit its content passed.
    pub(crate) limit: Option<String>,
}

/// What pages share, by the numbers of their objects.
#[derive(Default)]
pub(crate) struct Shared {
    fonts: HashMap<u32, Rc<Font>>,
    forms: HashMap<u32, Rc<Vec<u8>>>,
    forms_bytes: usize,
}

#[derive(Clone)]
struct State {
    matrix: Matrix,
    font: Option<Rc<Font>>,
    size: f64,
    letter_spacing: f64,
    word_spacing: f64,
    scale: f64,
    leading: f64,
    rise: f64,
}

struct Run<'a, 'b> {
    file: &'a File<'b>,
    shared: &'a mut Shared,
    shown: Shown,
    operators: usize,
    /// Fonts of this page that have no number.
    unnumbered: HashMap<Vec<u8>, Rc<Font>>,
    /// Text that replaces what is shown until its mark ends; taken by the first glyph.
    marks: Vec<Option<Replacement>>,
}

struct Replacement {
    text: String,
    at: Option<usize>,
}

/// Runs a page's content.
pub(crate) fn run(
    file: &File<'_>,
    shared: &mut Shared,
    content: &[u8],
    resources: &Dict,
    matrix: Matrix,
) -> Shown {
    let mut run = Run {
        file,
        shared,
        shown: Shown::default(),
        operators: 0,
        unnumbered: HashMap::new(),
        marks: Vec::new(),
    };
    let state = State {
        matrix,
        font: None,
        size: 0.0,
        letter_spacing: 0.0,
        word_spacing: 0.0,
        scale: 1.0,
        leading: 0.0,
        rise: 0.0,
    };
    run.stream(content, resources, state, &mut Vec::new());
    run.shown
}

impl Run<'_, '_> {
    fn stream(&mut self, content: &[u8], resources: &Dict, state: State, forms: &mut Vec<(u32, u16)>) {
        // Content costs by its length too: it may be one long operand.
        if !self.file.spend(content.len() / 8) {
            return;
        }
        let mut state = state;
        let mut states: Vec<State> = Vec::new();
        let (mut text, mut line) = (IDENTITY, IDENTITY);
        let mut lexer = Lexer::content(content);
        let mut operands: Vec<Object> = Vec::new();
        let marks = self.marks.len();
        loop {
            lexer.space();
            let before = lexer.at;
            if let Some(object) = lexer.object(0) {
                if operands.len() < OPERANDS_MAX {
                    operands.push(object);
                }
                continue;
            }
            lexer.at = before.max(lexer.at);
            let operator = lexer.word();
            if operator.is_empty() {
                if lexer.at >= content.len() {
                    break;
                }
                lexer.at += 1;
                continue;
            }
            self.operators += 1;
            if !self.file.spend(1) {
                break;
            }
            if self.operators > OPERATORS_MAX || self.shown.glyphs.len() > GLYPHS_MAX {
                let (what, max) = match self.operators > OPERATORS_MAX {
                    true => ("operators", OPERATORS_MAX),
                    false => ("glyphs", GLYPHS_MAX),
                };
                self.shown.limit = Some(format!("more {what} than {max}"));
                break;
            }
            let number = |at: usize| operands.get(at).and_then(Object::number).unwrap_or(0.0);
            let matrix = || [number(0), number(1), number(2), number(3), number(4), number(5)];
            match operator {
                b"q" if states.len() < STATES_MAX => states.push(state.clone()),
                b"Q" => {
                    if let Some(saved) = states.pop() {
                        state = saved;
                    }
                }
                b"cm" => state.matrix = multiply(&matrix(), &state.matrix),
                b"BT" => (text, line) = (IDENTITY, IDENTITY),
                b"Tf" => {
                    if let Some(name) = operands.first().and_then(Object::name) {
                        state.font = self.font(resources, name);
                    }
                    state.size = number(1);
                }
                b"gs" => {
                    let name = operands.first().and_then(Object::name).unwrap_or_default();
                    let states = self.file.get(resources, b"ExtGState");
                    let set = states.dict().map_or(Object::Null, |dict| self.file.get(dict, name));
                    if let Some(Object::Array(font)) = set.dict().map(|dict| self.file.get(dict, b"Font"))
                        && let [reference, size] = &font[..]
                    {
                        state.font = self.font_of(reference, name);
                        state.size = size.number().unwrap_or(state.size);
                    }
                }
                b"Tc" => state.letter_spacing = number(0),
                b"Tw" => state.word_spacing = number(0),
                b"Tz" => state.scale = number(0) / 100.0,
                b"TL" => state.leading = number(0),
                b"Ts" => state.rise = number(0),
                b"Td" | b"TD" => {
                    if operator == b"TD" {
                        state.leading = -number(1);
                    }
                    line = multiply(&[1.0, 0.0, 0.0, 1.0, number(0), number(1)], &line);
                    text = line;
                }
                b"Tm" => {
                    line = matrix();
                    text = line;
                }
                b"T*" | b"'" | b"\"" => {
                    if operator == b"\"" {
                        state.word_spacing = number(0);
                        state.letter_spacing = number(1);
                    }
                    line = multiply(&[1.0, 0.0, 0.0, 1.0, 0.0, -state.leading], &line);
                    text = line;
                    if operator != b"T*"
                        && let Some(string) = operands.last().and_then(Object::text)
                    {
                        self.show(&state, &mut text, string);
                    }
                }
                b"Tj" => {
                    if let Some(string) = operands.first().and_then(Object::text) {
                        self.show(&state, &mut text, string);
                    }
                }
                b"TJ" => {
                    for item in operands.first().and_then(Object::array).unwrap_or_default() {
                        if let Some(string) = item.text() {
                            self.show(&state, &mut text, string);
                        } else if let Some(back) = item.number() {
                            let vertical = state.font.as_ref().is_some_and(|font| font.vertical);
                            let step = -back / 1000.0 * state.size;
                            let (x, y) = if vertical { (0.0, step) } else { (step * state.scale, 0.0) };
                            text = multiply(&[1.0, 0.0, 0.0, 1.0, x, y], &text);
                        }
                    }
                }
                b"Do" => {
                    let name = operands.first().and_then(Object::name).unwrap_or_default();
                    let objects = self.file.get(resources, b"XObject");
                    if let Some(Object::Stream(object)) = objects.dict().map(|dict| self.file.get(dict, name))
                    {
                        self.object(&object, resources, &state, forms);
                    }
                }
                b"BDC" | b"BMC" if self.marks.len() < MARKS_MAX => {
                    let properties = match operands.get(1) {
                        Some(Object::Name(name)) => {
                            let all = self.file.get(resources, b"Properties");
                            all.dict().map_or(Object::Null, |dict| self.file.get(dict, name))
                        }
                        Some(object) => object.clone(),
                        None => Object::Null,
                    };
                    let replaced = properties.dict().and_then(|dict| {
                        let text = self.file.get(dict, b"ActualText");
                        Some(Replacement { text: text_string(text.text()?), at: None })
                    });
                    self.marks.push(replaced);
                }
                b"EMC" if self.marks.len() > marks => {
                    self.marks.pop();
                }
                b"BI" => {
                    self.shown.picture = true;
                    skip_picture(&mut lexer, content);
                }
                _ => {}
            }
            operands.clear();
        }
        self.marks.truncate(marks);
    }

    fn object(&mut self, object: &Stream, resources: &Dict, state: &State, forms: &mut Vec<(u32, u16)>) {
        if self.file.get(&object.dict, b"Subtype").name() != Some(b"Form") {
            self.shown.picture = true;
            return;
        }
        // A form that shows itself would do so for ever.
        if forms.contains(&object.id) || forms.len() >= FORMS_DEPTH_MAX {
            return;
        }
        // Each use is work, however little the form does.
        self.operators += 50;
        let Some(content) = self.form(object) else { return };
        let mut state = state.clone();
        if let Some(matrix) = self.file.get(&object.dict, b"Matrix").array() {
            let mut own = IDENTITY;
            for (slot, value) in own.iter_mut().zip(matrix) {
                *slot = self.file.resolve(value).number().unwrap_or(*slot);
            }
            state.matrix = multiply(&own, &state.matrix);
        }
        let own = self.file.get(&object.dict, b"Resources");
        forms.push(object.id);
        self.stream(&content, own.dict().unwrap_or(resources), state, forms);
        forms.pop();
    }

    fn form(&mut self, object: &Stream) -> Option<Rc<Vec<u8>>> {
        if let Some(form) = self.shared.forms.get(&object.id.0) {
            return Some(form.clone());
        }
        let form = Rc::new(self.file.decode(object)?);
        if self.shared.forms_bytes + form.len() <= FORMS_BYTES_MAX {
            self.shared.forms_bytes += form.len();
            self.shared.forms.insert(object.id.0, form.clone());
        }
        Some(form)
    }

    fn font(&mut self, resources: &Dict, name: &[u8]) -> Option<Rc<Font>> {
        let fonts = self.file.get(resources, b"Font");
        let reference = fonts.dict()?.get(name)?.clone();
        self.font_of(&reference, name)
    }

    fn font_of(&mut self, reference: &Object, name: &[u8]) -> Option<Rc<Font>> {
        let number = match reference {
            Object::Ref(number) => Some(*number),
            _ => None,
        };
        let known = match number {
            Some(number) => self.shared.fonts.get(&number),
            None => self.unnumbered.get(name),
        };
        if let Some(font) = known {
            return Some(font.clone());
        }
        let object = self.file.resolve(reference);
        self.operators += 200;
        let font = Rc::new(Font::read(self.file, object.dict()?));
        match number {
            Some(number) if self.shared.fonts.len() < FONTS_MAX => {
                self.shared.fonts.insert(number, font.clone());
            }
            _ => {
                self.unnumbered.insert(name.to_vec(), font.clone());
            }
        }
        Some(font)
    }

    fn show(&mut self, state: &State, text: &mut Matrix, string: &[u8]) {
        let Some(font) = &state.font else { return };
        let mut rest = string;
        while !rest.is_empty() && self.shown.glyphs.len() <= GLYPHS_MAX {
            let (shown, length) = font.next(rest);
            rest = &rest[length.clamp(1, rest.len())..];
            let spacing = state.letter_spacing + if shown.space { state.word_spacing } else { 0.0 };
            let size = [state.size * state.scale, 0.0, 0.0, state.size, 0.0, state.rise];
            let place = multiply(&multiply(&size, text), &state.matrix);
            let (x, y, ink) = match font.vertical {
                true => (0.0, -state.size + spacing, 1.0),
                false => ((shown.width * state.size + spacing) * state.scale, 0.0, shown.width),
            };
            self.put(&shown.text, &place, ink, font.fixed_pitch);
            *text = multiply(&[1.0, 0.0, 0.0, 1.0, x, y], text);
        }
    }

    fn put(&mut self, text: &str, place: &Matrix, width: f64, fixed_pitch: bool) {
        let from = (place[4], place[5]);
        let to = (place[4] + place[0] * width, place[5] + place[1] * width);
        let size = (place[2].hypot(place[3])).abs();
        if ![from.0, from.1, to.0, to.1, size].iter().all(|value| value.is_finite() && value.abs() < 1e7) {
            return;
        }
        let mut text = text.to_owned();
        if let Some(Some(replacement)) = self.marks.iter_mut().find(|mark| mark.is_some()) {
            match replacement.at {
                Some(at) => {
                    // The text stands already; what it stands for becomes wider.
                    if let Some(glyph) = self.shown.glyphs.get_mut(at)
                        && (glyph.from.1 - from.1).abs() < size
                    {
                        glyph.to = to;
                    }
                    return;
                }
                None => {
                    replacement.at = Some(self.shown.glyphs.len());
                    text = std::mem::take(&mut replacement.text);
                }
            }
        }
        self.file.spend(1);
        self.shown.glyphs.push(Glyph { text, from, to, size, fixed_pitch });
    }
}

/// Steps over a picture that stands in the content, to after its `EI`.
fn skip_picture(lexer: &mut Lexer<'_>, content: &[u8]) {
    use crate::pdf::objects::{find, is_space};
    let Some(data) = find(&content[lexer.at..], b"ID") else {
        lexer.at = content.len();
        return;
    };
    let mut at = lexer.at + data + 2;
    while let Some(found) = find(&content[at..], b"EI") {
        let end = at + found;
        at = end + 2;
        let before = end.checked_sub(1).is_some_and(|before| is_space(content[before]));
        if before && content.get(at).is_none_or(|byte| is_space(*byte)) {
            // Pictures hold any bytes; after a true end there is text.
            let next = &content[at..content.len().min(at + 16)];
            if next.iter().all(|byte| byte.is_ascii_graphic() || is_space(*byte)) {
                lexer.at = at;
                return;
            }
        }
    }
    lexer.at = content.len();
}
