//! The objects of a PDF file (ISO 32000-1, 7.3 to 7.5): read one by one as they are asked for, each read
//! bounded by what the file holds and by a budget of work for the whole file.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
};

use crate::{DocumentError, Format, damaged, pdf::crypt::Cipher, pdf::filters};

const DEPTH_MAX: usize = 64;
const REFERENCES_MAX: usize = 32;
const OBJECTS_MAX: usize = 8_000_000;
/// Steps of work for all its pages and fonts: some seconds.
const WORK_MAX: u64 = 150_000_000;
/// Objects of its cross-reference tables.
const ENTRIES_MAX: usize = 4_000_000;
/// Bytes that may be looked at again, to find what is missing.
const SEARCHED_BYTES_MAX: u64 = 1 << 30;

/// An object.
#[derive(Clone, Debug)]
pub(crate) enum Object {
    Null,
    True,
    False,
    Int(i64),
    Real(f64),
    Text(Vec<u8>),
    Name(Vec<u8>),
    Array(Rc<Vec<Object>>),
    Dict(Rc<Dict>),
    Stream(Rc<Stream>),
    /// To an object by its number; generations are the file's own affair.
    Ref(u32),
}

/// A dictionary.
pub(crate) type Dict = BTreeMap<Vec<u8>, Object>;

/// A stream: its dictionary, and where its bytes are in the file.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) dict: Dict,
    pub(crate) start: usize,
    pub(crate) len: usize,
    /// What it is decrypted by.
    pub(crate) id: (u32, u16),
}

impl Object {
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "coordinates")]
            Object::Int(value) => Some(*value as f64),
            Object::Real(value) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn int(&self) -> Option<i64> {
        match self {
            Object::Int(value) => Some(*value),
            #[expect(clippy::cast_possible_truncation, reason = "some writers write 12.0")]
            Object::Real(value) if value.abs() < 1e15 => Some(*value as i64),
            _ => None,
        }
    }

    pub(crate) fn name(&self) -> Option<&[u8]> {
        match self {
            Object::Name(name) => Some(name),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&[u8]> {
        match self {
            Object::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn array(&self) -> Option<&[Object]> {
        match self {
            Object::Array(items) => Some(items),
            _ => None,
        }
    }

    /// A dictionary, also a stream's.
    pub(crate) fn dict(&self) -> Option<&Dict> {
        match self {
            Object::Dict(dict) => Some(dict),
            Object::Stream(stream) => Some(&stream.dict),
            _ => None,
        }
    }
}

#[derive(Clone, Copy)]
enum Entry {
    At(usize),
    /// In an object stream.
    In(u32),
}

/// A file.
pub(crate) struct File<'a> {
    pub(crate) bytes: &'a [u8],
    entries: RefCell<HashMap<u32, Entry>>,
    pub(crate) trailer: Dict,
    objects: RefCell<HashMap<u32, Object>>,
    /// Being read: an object that needs itself is null.
    reading: RefCell<HashSet<u32>>,
    object_streams: RefCell<HashMap<u32, Rc<ObjectStream>>>,
    rebuilt: Cell<bool>,
    budget: Budget,
    pub(crate) cipher: Option<Cipher>,
}

struct ObjectStream {
    data: Vec<u8>,
    /// Number of the object and where it begins.
    index: Vec<(u32, usize)>,
}

/// What reading this file has cost.
#[derive(Default)]
pub(crate) struct Budget {
    objects: Cell<usize>,
    searched: Cell<u64>,
    decoded: Cell<u64>,
    work: Cell<u64>,
}

impl Budget {
    fn object(&self) -> bool {
        self.objects.set(self.objects.get() + 1);
        self.objects.get() <= OBJECTS_MAX
    }

    fn search(&self, bytes: usize) -> bool {
        self.searched.set(self.searched.get() + bytes as u64);
        self.searched.get() <= SEARCHED_BYTES_MAX
    }
}

impl<'a> File<'a> {
    pub(crate) fn open(bytes: &'a [u8]) -> Result<File<'a>, DocumentError> {
        let head = &bytes[..bytes.len().min(1024)];
        let start =
            find(head, b"%PDF-").ok_or_else(|| damaged(Format::Pdf, "it does not begin with %PDF-"))?;
        // What stands before the header is not counted in offsets.
        let bytes = &bytes[start..];
        let mut file = File {
            bytes,
            entries: RefCell::default(),
            trailer: Dict::new(),
            objects: RefCell::default(),
            reading: RefCell::default(),
            object_streams: RefCell::default(),
            rebuilt: Cell::new(false),
            budget: Budget::default(),
            cipher: None,
        };
        file.read_tables();
        // Also the catalog may be in an encrypted stream.
        file.unlock()?;
        if file.root().is_none() {
            file.rebuild();
            file.check()?;
            file.unlock()?;
            if file.root().is_none() {
                return Err(damaged(Format::Pdf, "it has no catalog"));
            }
        }
        Ok(file)
    }

    /// Makes ready to decrypt, if the file is encrypted.
    fn unlock(&mut self) -> Result<(), DocumentError> {
        let Some(encrypt) = self.trailer.get(b"Encrypt".as_slice()) else { return Ok(()) };
        if self.cipher.is_some() {
            return Ok(());
        }
        let encrypt = self.resolve(encrypt);
        let id = match self.trailer.get(b"ID".as_slice()).map(|object| self.resolve(object)) {
            Some(Object::Array(parts)) => parts.first().and_then(Object::text).unwrap_or_default().to_vec(),
            _ => Vec::new(),
        };
        let Some(dict) = encrypt.dict() else { return Ok(()) };
        self.cipher = Some(Cipher::open(self, dict, &id)?);
        // What was read so far was not decrypted.
        self.objects.borrow_mut().clear();
        self.object_streams.borrow_mut().clear();
        Ok(())
    }

    /// An error, once a limit of the whole file was passed; until then objects are null where it was.
    pub(crate) fn check(&self) -> Result<(), DocumentError> {
        let limit = |what, max| Err(DocumentError::Limit { what, max });
        if self.budget.objects.get() > OBJECTS_MAX {
            return limit("objects", OBJECTS_MAX as u64);
        }
        if self.budget.decoded.get() > crate::DECOMPRESSED_BYTES_MAX {
            return limit("bytes in its streams, unpacked", crate::DECOMPRESSED_BYTES_MAX);
        }
        if self.budget.work.get() > WORK_MAX {
            return limit("steps of work in its pages", WORK_MAX);
        }
        if self.budget.searched.get() > SEARCHED_BYTES_MAX {
            return limit("bytes to search for what is missing", SEARCHED_BYTES_MAX);
        }
        Ok(())
    }

    /// Counts work; false once there was too much.
    pub(crate) fn spend(&self, steps: usize) -> bool {
        self.budget.work.set(self.budget.work.get().saturating_add(steps as u64));
        self.budget.work.get() <= WORK_MAX
    }

    pub(crate) fn root(&self) -> Option<Object> {
        let root = self.resolve(self.trailer.get(b"Root".as_slice())?);
        let pages = self.get(root.dict()?, b"Pages");
        pages.dict().is_some().then_some(root)
    }

    /// A dictionary's entry, looked up; null where there is none.
    pub(crate) fn get(&self, dict: &Dict, key: &[u8]) -> Object {
        dict.get(key).map_or(Object::Null, |object| self.resolve(object))
    }

    /// What a reference stands for.
    pub(crate) fn resolve(&self, object: &Object) -> Object {
        let mut object = object.clone();
        for _ in 0..REFERENCES_MAX {
            match object {
                Object::Ref(number) => object = self.object(number),
                other => return other,
            }
        }
        Object::Null
    }

    fn object(&self, number: u32) -> Object {
        if let Some(object) = self.objects.borrow().get(&number) {
            return object.clone();
        }
        if !self.reading.borrow_mut().insert(number) {
            return Object::Null;
        }
        let object = if self.reading.borrow().len() > DEPTH_MAX { None } else { self.read_object(number) };
        self.reading.borrow_mut().remove(&number);
        let object = object.unwrap_or(Object::Null);
        self.objects.borrow_mut().insert(number, object.clone());
        object
    }

    fn read_object(&self, number: u32) -> Option<Object> {
        let entry = self.entries.borrow().get(&number).copied();
        match entry {
            Some(Entry::At(offset)) => self.object_at(number, offset).or_else(|| {
                // The table is wrong: look for the object itself, once for the file.
                if self.rebuilt.replace(true) {
                    return None;
                }
                self.scan();
                match self.entries.borrow().get(&number).copied() {
                    Some(Entry::At(found)) if found != offset => self.object_at(number, found),
                    _ => None,
                }
            }),
            Some(Entry::In(container)) => self.object_in(number, container),
            None => None,
        }
    }

    fn object_at(&self, number: u32, offset: usize) -> Option<Object> {
        let mut lexer = Lexer::new(self.bytes, offset, &self.budget);
        let (found, generation) = lexer.object_header()?;
        if found != number {
            return None;
        }
        let object = lexer.object(0)?;
        if let Object::Dict(dict) = &object
            && lexer.keyword(b"stream")
        {
            let start = lexer.stream_start();
            let length = self.get(dict, b"Length").int().and_then(|length| usize::try_from(length).ok());
            let len = self.stream_len(start, length)?;
            let mut dict = Rc::unwrap_or_clone(match object {
                Object::Dict(dict) => dict,
                _ => return None,
            });
            if let Some(cipher) = &self.cipher {
                cipher.strings_of_dict(&mut dict, (number, generation));
            }
            return Some(Object::Stream(Rc::new(Stream { dict, start, len, id: (number, generation) })));
        }
        let mut object = object;
        if let Some(cipher) = &self.cipher {
            cipher.strings(&mut object, (number, generation));
        }
        Some(object)
    }

    /// A stream's length: as it says if `endstream` follows there, else up to the next `endstream`.
    fn stream_len(&self, start: usize, length: Option<usize>) -> Option<usize> {
        if let Some(length) = length
            && let Some(end) = start.checked_add(length)
            && end <= self.bytes.len()
            && find(&self.bytes[end..self.bytes.len().min(end + 32)], b"endstream").is_some()
        {
            return Some(length);
        }
        let rest = self.bytes.get(start..)?;
        if self.budget.searched.get() > SEARCHED_BYTES_MAX {
            return None;
        }
        let found = find(rest, b"endstream");
        let len = found.or_else(|| find(rest, b"endobj")).unwrap_or(rest.len());
        self.budget.search(len + if found.is_none() { rest.len() } else { 0 }).then_some(())?;
        let body = &rest[..len];
        let body = body.strip_suffix(b"\n").unwrap_or(body);
        Some(body.strip_suffix(b"\r").unwrap_or(body).len())
    }

    fn object_in(&self, number: u32, container: u32) -> Option<Object> {
        let known = self.object_streams.borrow().get(&container).cloned();
        let stream = match known {
            Some(stream) => stream,
            None => {
                let stream = Rc::new(self.object_stream(container)?);
                self.object_streams.borrow_mut().insert(container, stream.clone());
                stream
            }
        };
        // The index is sorted by number; the last of equals counts.
        let at = stream.index.partition_point(|(found, _)| *found <= number).checked_sub(1)?;
        let (found, offset) = stream.index[at];
        (found == number).then_some(())?;
        Lexer::new(&stream.data, offset, &self.budget).object(0)
    }

    fn object_stream(&self, container: u32) -> Option<ObjectStream> {
        if matches!(self.entries.borrow().get(&container), Some(Entry::In(_))) {
            return None;
        }
        let Object::Stream(stream) = self.object(container) else { return None };
        let data = self.decode(&stream)?;
        let count = usize::try_from(self.get(&stream.dict, b"N").int()?).ok()?.min(data.len());
        let first = usize::try_from(self.get(&stream.dict, b"First").int()?).ok()?;
        let mut index = Vec::new();
        let mut lexer = Lexer::new(&data, 0, &self.budget);
        for _ in 0..count {
            let (Some(Object::Int(number)), Some(Object::Int(offset))) = (lexer.object(0), lexer.object(0))
            else {
                break;
            };
            if let (Ok(number), Ok(offset)) = (u32::try_from(number), usize::try_from(offset)) {
                index.push((number, first.saturating_add(offset)));
            }
        }
        index.sort_by_key(|(number, _)| *number);
        Some(ObjectStream { data, index })
    }

    /// A stream's bytes, decrypted and decoded as far as they can be; None for pictures, and when the
    /// budget is spent.
    pub(crate) fn decode(&self, stream: &Stream) -> Option<Vec<u8>> {
        let raw = self.bytes.get(stream.start..stream.start.checked_add(stream.len)?)?;
        let left = crate::DECOMPRESSED_BYTES_MAX.checked_sub(self.budget.decoded.get())?;
        let decrypted = match &self.cipher {
            Some(cipher) if stream.dict.get(b"Type".as_slice()).and_then(Object::name) != Some(b"XRef") => {
                cipher.stream(raw, stream.id)
            }
            _ => None,
        };
        let data = decrypted.as_deref().unwrap_or(raw);
        let filters = self.list(&stream.dict, b"Filter", b"F");
        let parameters = self.list(&stream.dict, b"DecodeParms", b"DP");
        let decoded = filters::decode(self, data, &filters, &parameters, left);
        match decoded {
            Some(decoded) => {
                self.budget.decoded.set(self.budget.decoded.get() + decoded.work);
                self.check().is_ok().then_some(decoded.bytes)
            }
            None => None,
        }
    }

    fn list(&self, dict: &Dict, key: &[u8], short: &[u8]) -> Vec<Object> {
        let object = match self.get(dict, key) {
            Object::Null => self.get(dict, short),
            object => object,
        };
        match object {
            Object::Null => Vec::new(),
            Object::Array(items) => items.iter().take(16).map(|item| self.resolve(item)).collect(),
            object => vec![object],
        }
    }

    fn read_tables(&mut self) {
        let tail = self.bytes.len().saturating_sub(2048);
        let Some(at) = rfind(&self.bytes[tail..], b"startxref") else { return };
        let mut lexer = Lexer::new(self.bytes, tail + at + 9, &self.budget);
        let mut next =
            lexer.object(0).and_then(|object| object.int()).and_then(|at| usize::try_from(at).ok());
        let mut seen = HashSet::new();
        let mut waiting = Vec::new();
        let mut trailer = Dict::new();
        while let Some(offset) = next.take().or_else(|| waiting.pop()) {
            if !seen.insert(offset) || seen.len() > 10_000 {
                continue;
            }
            let Some(dict) = self.read_table(offset) else { continue };
            let offset_of =
                |key: &[u8]| dict.get(key).and_then(Object::int).and_then(|at| usize::try_from(at).ok());
            next = offset_of(b"Prev");
            // A hybrid file's stream comes before older tables.
            if let Some(hybrid) = offset_of(b"XRefStm") {
                waiting.extend(next.take());
                next = Some(hybrid);
            }
            for (key, value) in dict {
                trailer.entry(key).or_insert(value);
            }
        }
        self.trailer = trailer;
    }

    /// A table or a stream of cross-references; entries that are known already are newer.
    fn read_table(&self, offset: usize) -> Option<Dict> {
        let mut lexer = Lexer::new(self.bytes, offset, &self.budget);
        if !lexer.keyword(b"xref") {
            return self.read_table_stream(offset);
        }
        loop {
            if lexer.keyword(b"trailer") {
                let trailer = lexer.object(0)?;
                return trailer.dict().cloned();
            }
            let first = u32::try_from(lexer.object(0)?.int()?).ok()?;
            let count = u32::try_from(lexer.object(0)?.int()?).ok()?;
            for index in 0..count {
                let at = lexer.object(0)?.int()?;
                lexer.object(0)?.int()?;
                let free = !lexer.keyword(b"n");
                if free {
                    lexer.keyword(b"f").then_some(())?;
                } else {
                    self.enter(first.checked_add(index)?, Entry::At(usize::try_from(at).ok()?))?;
                }
            }
        }
    }

    fn enter(&self, number: u32, entry: Entry) -> Option<()> {
        let mut entries = self.entries.borrow_mut();
        if entries.len() >= ENTRIES_MAX {
            return None;
        }
        entries.entry(number).or_insert(entry);
        Some(())
    }

    fn read_table_stream(&self, offset: usize) -> Option<Dict> {
        let mut lexer = Lexer::new(self.bytes, offset, &self.budget);
        let (number, _) = lexer.object_header()?;
        let Object::Stream(stream) = self.object_at(number, offset)? else { return None };
        let widths = self.get(&stream.dict, b"W");
        let widths: Vec<usize> = widths
            .array()?
            .iter()
            .map(|width| width.int().and_then(|width| usize::try_from(width).ok()))
            .collect::<Option<_>>()?;
        let [kind_width, second_width, third_width] = widths[..] else { return None };
        if widths.iter().any(|width| *width > 8) || widths.iter().sum::<usize>() == 0 {
            return None;
        }
        let data = self.decode(&stream)?;
        let size = self.get(&stream.dict, b"Size").int().unwrap_or(0);
        let index: Vec<i64> = match self.get(&stream.dict, b"Index") {
            Object::Array(items) => items.iter().filter_map(Object::int).collect(),
            _ => vec![0, size],
        };
        let mut rows = data.chunks_exact(kind_width + second_width + third_width);
        for section in index.chunks_exact(2) {
            let (first, count) = (u32::try_from(section[0]).ok()?, u32::try_from(section[1]).ok()?);
            for at in 0..count {
                let Some(row) = rows.next() else { break };
                let field = |from: usize, width: usize| {
                    row[from..from + width].iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte))
                };
                let kind = if kind_width == 0 { 1 } else { field(0, kind_width) };
                let second = field(kind_width, second_width);
                let entry = match kind {
                    1 => usize::try_from(second).ok().map(Entry::At),
                    2 => u32::try_from(second).ok().map(Entry::In),
                    _ => None,
                };
                if let (Some(entry), Some(number)) = (entry, first.checked_add(at)) {
                    self.enter(number, entry)?;
                }
            }
        }
        Some(stream.dict.clone())
    }

    /// Finds the objects without the tables.
    fn rebuild(&mut self) {
        self.rebuilt.set(true);
        self.entries.borrow_mut().clear();
        self.objects.borrow_mut().clear();
        let mut trailer = self.scan();
        // Object streams hold what no scan finds.
        let mut numbers: Vec<u32> = self.entries.borrow().keys().copied().collect();
        // Newer ones have higher numbers, as a rule.
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        let mut catalog = None;
        for number in numbers {
            if self.check().is_err() {
                break;
            }
            let object = self.object(number);
            let Some(dict) = object.dict() else { continue };
            match dict.get(b"Type".as_slice()).and_then(Object::name) {
                Some(b"Catalog") => catalog = catalog.or(Some(number)),
                Some(b"XRef") => {
                    for (key, value) in dict {
                        trailer.entry(key.clone()).or_insert(value.clone());
                    }
                }
                Some(b"ObjStm") => {
                    let Some(stream) = self.object_stream(number) else { continue };
                    for (inner, offset) in &stream.index {
                        if self.enter(*inner, Entry::In(number)).is_none() {
                            break;
                        }
                        if let Some(object) = Lexer::new(&stream.data, *offset, &self.budget).object(0)
                            && object
                                .dict()
                                .and_then(|dict| dict.get(b"Type".as_slice()))
                                .and_then(Object::name)
                                == Some(b"Catalog")
                        {
                            catalog = catalog.or(Some(*inner));
                        }
                    }
                }
                _ => {}
            }
        }
        if let (false, Some(number)) = (trailer.contains_key(b"Root".as_slice()), catalog) {
            trailer.insert(b"Root".to_vec(), Object::Ref(number));
        }
        self.objects.borrow_mut().clear();
        self.trailer = trailer;
    }

    /// One pass over the file for `N G obj`; the last of each number counts. The trailers together.
    fn scan(&self) -> Dict {
        let mut trailer = Dict::new();
        self.budget.search(self.bytes.len());
        let mut at = 0;
        while let Some(found) = find(&self.bytes[at..], b"obj") {
            let end = at + found;
            at = end + 3;
            if self.bytes[..end].ends_with(b"end") {
                continue;
            }
            if let Some((start, number)) = header_before(&self.bytes[..end]) {
                let mut entries = self.entries.borrow_mut();
                if entries.len() < ENTRIES_MAX {
                    entries.insert(number, Entry::At(start));
                }
            }
        }
        let mut at = 0;
        for _ in 0..16 {
            let Some(found) = find(&self.bytes[at..], b"trailer") else { break };
            at += found + 7;
            if let Some(Object::Dict(dict)) = Lexer::new(self.bytes, at, &self.budget).object(0) {
                for (key, value) in dict.iter() {
                    // Newer ones stand later.
                    trailer.insert(key.clone(), value.clone());
                }
            }
        }
        trailer
    }
}

/// Of `… 12 0 ` before `obj`: where the number begins, and the number.
fn header_before(bytes: &[u8]) -> Option<(usize, u32)> {
    let mut at = bytes.len();
    let mut back = |want: fn(u8) -> bool, max: usize| {
        let end = at;
        while at > 0 && end - at < max && want(bytes[at - 1]) {
            at -= 1;
        }
        at..end
    };
    back(is_space, 8);
    back(|byte| byte.is_ascii_digit(), 5);
    if back(is_space, 8).is_empty() {
        return None;
    }
    let number = back(|byte| byte.is_ascii_digit(), 10);
    let value = str::from_utf8(&bytes[number.clone()]).ok()?.parse().ok()?;
    Some((number.start, value))
}

pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, 0 | 9 | 10 | 12 | 13 | 32)
}

fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'{' | b'}' | b'/' | b'%')
}

pub(crate) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    let first = *what.first()?;
    let mut at = 0;
    while let Some(found) = bytes.get(at..)?.iter().position(|byte| *byte == first) {
        if bytes[at + found..].starts_with(what) {
            return Some(at + found);
        }
        at += found + 1;
    }
    None
}

fn rfind(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).rposition(|window| window == what)
}

/// Reads objects and operators from bytes.
pub(crate) struct Lexer<'a> {
    bytes: &'a [u8],
    pub(crate) at: usize,
    budget: Option<&'a Budget>,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(bytes: &'a [u8], at: usize, budget: &'a Budget) -> Lexer<'a> {
        Lexer { bytes, at: at.min(bytes.len()), budget: Some(budget) }
    }

    /// Over a page's content, whose operators are counted by whoever reads them.
    pub(crate) fn content(bytes: &'a [u8]) -> Lexer<'a> {
        Lexer { bytes, at: 0, budget: None }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(crate) fn space(&mut self) {
        while let Some(byte) = self.peek() {
            if is_space(byte) {
                self.at += 1;
            } else if byte == b'%' {
                while self.peek().is_some_and(|byte| byte != b'\n' && byte != b'\r') {
                    self.at += 1;
                }
            } else {
                break;
            }
        }
    }

    /// Steps over a keyword, if it is next.
    pub(crate) fn keyword(&mut self, word: &[u8]) -> bool {
        self.space();
        let there = self.bytes[self.at..].starts_with(word);
        if there {
            self.at += word.len();
        }
        there
    }

    fn object_header(&mut self) -> Option<(u32, u16)> {
        let number = u32::try_from(self.integer()?).ok()?;
        let generation = u16::try_from(self.integer()?).ok()?;
        self.keyword(b"obj").then_some((number, generation))
    }

    fn integer(&mut self) -> Option<i64> {
        self.space();
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        str::from_utf8(&self.bytes[start..self.at]).ok()?.parse().ok()
    }

    fn stream_start(&mut self) -> usize {
        if self.peek() == Some(b'\r') {
            self.at += 1;
        }
        if self.peek() == Some(b'\n') {
            self.at += 1;
        }
        self.at
    }

    /// The next object; None at the end, at a keyword, and where no object can be.
    pub(crate) fn object(&mut self, depth: usize) -> Option<Object> {
        if depth > DEPTH_MAX || self.budget.is_some_and(|budget| !budget.object()) {
            return None;
        }
        self.space();
        match self.peek()? {
            b'/' => {
                self.at += 1;
                Some(Object::Name(self.name()))
            }
            b'(' => Some(Object::Text(self.literal())),
            b'<' if self.bytes.get(self.at + 1) == Some(&b'<') => {
                self.at += 2;
                let mut dict = Dict::new();
                loop {
                    self.space();
                    match self.peek() {
                        Some(b'/') => {
                            self.at += 1;
                            let key = self.name();
                            match self.object(depth + 1) {
                                Some(value) => dict.insert(key, value),
                                // A value that is missing, before `>>` or a stray word.
                                None => continue,
                            };
                        }
                        Some(b'>') => {
                            self.at += 1;
                            if self.peek() == Some(b'>') {
                                self.at += 1;
                            }
                            return Some(Object::Dict(Rc::new(dict)));
                        }
                        Some(_) if depth < DEPTH_MAX => {
                            // What is no name is skipped, as long as there is something.
                            let before = self.at;
                            let skipped = self.object(depth + 1);
                            if skipped.is_none() && self.word().is_empty() {
                                return Some(Object::Dict(Rc::new(dict)));
                            }
                            if self.at == before {
                                return Some(Object::Dict(Rc::new(dict)));
                            }
                        }
                        _ => return Some(Object::Dict(Rc::new(dict))),
                    }
                }
            }
            b'<' => Some(Object::Text(self.hexadecimal())),
            b'[' => {
                self.at += 1;
                let mut items = Vec::new();
                loop {
                    self.space();
                    match self.peek() {
                        None => return Some(Object::Array(Rc::new(items))),
                        Some(b']') => {
                            self.at += 1;
                            return Some(Object::Array(Rc::new(items)));
                        }
                        Some(_) => match self.object(depth + 1) {
                            Some(item) => items.push(item),
                            None if self.word().is_empty() => return Some(Object::Array(Rc::new(items))),
                            None => {}
                        },
                    }
                }
            }
            b'+' | b'-' | b'.' | b'0'..=b'9' => self.number_or_reference(),
            _ => {
                let start = self.at;
                match self.word() {
                    b"true" => Some(Object::True),
                    b"false" => Some(Object::False),
                    b"null" => Some(Object::Null),
                    _ => {
                        self.at = start;
                        None
                    }
                }
            }
        }
    }

    /// The letters up to a space or a delimiter.
    pub(crate) fn word(&mut self) -> &'a [u8] {
        let start = self.at;
        while self.peek().is_some_and(|byte| !is_space(byte) && !is_delimiter(byte)) {
            self.at += 1;
        }
        &self.bytes[start..self.at]
    }

    fn number_or_reference(&mut self) -> Option<Object> {
        let start = self.at;
        let mut real = false;
        while let Some(byte) = self.peek() {
            match byte {
                b'.' => real = true,
                b'0'..=b'9' => {}
                // Some writers write 1.5-3; what follows a second sign is dropped below.
                b'+' | b'-' => {}
                _ => break,
            }
            self.at += 1;
        }
        let digits = &self.bytes[start..self.at];
        let sign_end = digits.iter().take_while(|byte| matches!(byte, b'+' | b'-')).count();
        let body = &digits[sign_end..];
        let body = body.split(|byte| matches!(byte, b'+' | b'-')).next().unwrap_or(body);
        let body = str::from_utf8(body).ok()?;
        let negative = digits.first() == Some(&b'-');
        if real {
            let value: f64 = body.parse().unwrap_or(0.0);
            return Some(Object::Real(if negative { -value } else { value }));
        }
        let value: i64 = match body.parse() {
            Ok(value) => value,
            Err(_) => return Some(Object::Real(body.parse().unwrap_or(0.0))),
        };
        if self.budget.is_some() && sign_end == 0 && u32::try_from(value).is_ok() {
            // `12 0 R`
            let back = self.at;
            if self.integer().is_some_and(|generation| u16::try_from(generation).is_ok()) {
                self.space();
                let end =
                    self.bytes.get(self.at + 1).is_none_or(|byte| is_space(*byte) || is_delimiter(*byte));
                if self.peek() == Some(b'R') && end {
                    self.at += 1;
                    return Some(Object::Ref(u32::try_from(value).ok()?));
                }
            }
            self.at = back;
        }
        Some(Object::Int(if negative { -value } else { value }))
    }

    fn name(&mut self) -> Vec<u8> {
        let raw = self.word();
        if !raw.contains(&b'#') {
            return raw.to_vec();
        }
        let mut name = Vec::with_capacity(raw.len());
        let mut at = 0;
        while at < raw.len() {
            let pair =
                raw.get(at + 1).and_then(|byte| hex(*byte)).zip(raw.get(at + 2).and_then(|byte| hex(*byte)));
            match (raw[at], pair) {
                (b'#', Some((high, low))) => {
                    name.push(high << 4 | low);
                    at += 3;
                }
                (byte, _) => {
                    name.push(byte);
                    at += 1;
                }
            }
        }
        name
    }

    fn literal(&mut self) -> Vec<u8> {
        self.at += 1;
        let mut text = Vec::new();
        let mut depth = 1usize;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'(' => depth += 1,
                b')' => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                }
                b'\\' => {
                    let Some(escaped) = self.peek() else { break };
                    self.at += 1;
                    match escaped {
                        b'n' => text.push(b'\n'),
                        b'r' => text.push(b'\r'),
                        b't' => text.push(b'\t'),
                        b'b' => text.push(8),
                        b'f' => text.push(12),
                        b'0'..=b'7' => {
                            let mut value = u32::from(escaped - b'0');
                            for _ in 0..2 {
                                match self.peek() {
                                    Some(digit @ b'0'..=b'7') => {
                                        value = value * 8 + u32::from(digit - b'0');
                                        self.at += 1;
                                    }
                                    _ => break,
                                }
                            }
                            text.push(u8::try_from(value & 0xff).unwrap_or(0));
                        }
                        b'\r' => {
                            if self.peek() == Some(b'\n') {
                                self.at += 1;
                            }
                        }
                        b'\n' => {}
                        other => text.push(other),
                    }
                    continue;
                }
                _ => {}
            }
            text.push(byte);
        }
        text
    }

    fn hexadecimal(&mut self) -> Vec<u8> {
        self.at += 1;
        let mut text = Vec::new();
        let mut high = None;
        while let Some(byte) = self.peek() {
            self.at += 1;
            if byte == b'>' {
                break;
            }
            let Some(digit) = hex(byte) else { continue };
            match high.take() {
                None => high = Some(digit),
                Some(high) => text.push(high << 4 | digit),
            }
        }
        text.extend(high.map(|high| high << 4));
        text
    }
}

pub(crate) fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
