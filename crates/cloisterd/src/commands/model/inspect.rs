use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use gguf::GgufError;
use gguf::inspect::{
    Anomaly, Change, ChatTemplate, DiffLine, Inspection, Severity, SpecialToken, inspect, plain,
    template_diff,
};
use models::object::{Kind, Object};
use protocol::Digest;
use protocol::admin::Command;
use serde_json::{Value, json};

use crate::commands::Outcome;
use crate::commands::administer::ask;
use crate::data::Data;
use crate::output::{self, Hinted};
use crate::served;

/// Columns of what is printed, as far as names in it allow.
const COLUMNS: usize = 100;

/// Shows what a model file is, without admitting or running any of it.
///
/// Sizes, quantization, special tokens, licence and origin as stated, the chat template and what it is made of, every
/// metadata key, and what is unusual about any of it: docs/inspection.md says what each anomaly means. A file needs no
/// data directory. Of an object of the vault it is also shown who signed it, how it stands, and how its chat
/// template differs from that of the version of the same name that was promoted last. Writes nothing.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// A GGUF file; or an object of the vault: a name, `name@version`, or digits of a digest.
    #[arg(value_name = "FILE|OBJECT")]
    path: PathBuf,
    /// Print JSON, in ASCII: nothing in it can drive a terminal.
    #[arg(long)]
    json: bool,
    /// Another GGUF file, such as the version that serves: shows how the chat template differs from its.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// List every tensor.
    #[arg(long)]
    tensors: bool,
    /// End with status 1 where there is an anomaly of this severity, or a worse one.
    #[arg(long, value_enum, value_name = "SEVERITY")]
    fail_on: Option<FailOn>,
}

/// What ends an inspection with a failure.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FailOn {
    Note,
    Warning,
}

impl Inspect {
    pub(super) fn run(self, data: &Path) -> Outcome {
        let Subject { path, object, before } = subject(data, &self.path)?;
        let inspection = match look(&path)? {
            Ok(inspection) => inspection,
            Err(error) => {
                if self.json {
                    output::line(&ascii(&json!({ "anomalies": [Anomaly::from(&error)] }).to_string()))?;
                }
                return Err(refused(&path, error).into());
            }
        };
        let difference = match self.against.as_ref().or(before.as_ref()) {
            None => None,
            Some(path) => {
                let other = look(path)?.map_err(|error| refused(path, error))?;
                let text = |inspection: &Inspection| {
                    inspection.chat_template().map(|template| template.text.clone()).unwrap_or_default()
                };
                Some(template_diff(&text(&other), &text(&inspection)))
            }
        };
        if self.json {
            let mut document = serde_json::to_value(&inspection)?;
            if let (Value::Object(entries), Some(difference)) = (&mut document, &difference) {
                entries.insert("template_difference".to_owned(), serde_json::to_value(difference)?);
            }
            if let (Value::Object(entries), Some(of)) = (&mut document, &object) {
                entries.insert("object".to_owned(), json!({ "description": of.object, "digest": of.object.digest(), "standing": of.standing }));
            }
            output::line(&ascii(&document.to_string()))?;
        } else {
            for line in object.iter().flat_map(about) {
                output::line(&line)?;
            }
            for line in page(&self.path, &inspection, difference.as_deref(), self.tensors) {
                output::line(&line)?;
            }
        }
        let worst = inspection.anomalies.iter().map(|anomaly| anomaly.severity).max();
        let fails = match self.fail_on {
            None => false,
            Some(FailOn::Note) => worst >= Some(Severity::Note),
            Some(FailOn::Warning) => worst >= Some(Severity::Warning),
        };
        Ok(if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

/// What is looked at.
struct Subject {
    path: PathBuf,
    object: Option<Standing>,
    /// The weights of the version that was promoted last.
    before: Option<PathBuf>,
}

/// An object of the vault, and what the ledger says of it.
struct Standing {
    object: Object,
    standing: Value,
}

fn subject(data: &Path, named: &Path) -> Result<Subject, Box<dyn Error>> {
    if named.exists() {
        return Ok(Subject { path: named.to_owned(), object: None, before: None });
    }
    let missing = || {
        let shown = plain(&named.to_string_lossy());
        Hinted::new(format!("there is no file {shown}"), "give a GGUF file, or an object of the vault")
    };
    let data = Data::open(data).map_err(|error| missing().because(error))?;
    let name = named.to_str().ok_or_else(missing)?;
    let vault = served::vault(&data)?;
    let object = vault.find(name).map_err(|error| missing().because(error))?;
    let weights = object.weights().ok_or_else(|| {
        let hint = match object.kind {
            Kind::Corpus => "it is a corpus of known code: `cloisterd corpus list` shows how it stands",
            _ => "it is kept as evidence: `cloisterd model list` shows how it stands",
        };
        Hinted::new(format!("{} has no GGUF file to look into", object.title()), hint)
    })?;
    let path = vault.blob_path(&weights.digest);
    let states = ask(data.root(), Command::ModelStates)?;
    let standings = states["objects"].as_array().cloned().unwrap_or_default();
    let digest = object.digest();
    let is = |standing: &Value, digest: &Digest| standing["object"].as_str() == Some(&digest.to_string());
    let promoted = |other: &Object| {
        let standing = standings.iter().find(|standing| is(standing, &other.digest()))?;
        standing["promoted"].as_u64()
    };
    let others = vault.objects()?.into_iter();
    let others = others.filter(|other| other.name == object.name && other.digest() != digest);
    let before = others.filter_map(|other| Some((promoted(&other)?, other))).max_by_key(|(leaf, _)| *leaf);
    let before = before.and_then(|(_, other)| Some(vault.blob_path(&other.weights()?.digest)));
    let standing = standings.iter().find(|standing| is(standing, &digest)).cloned().unwrap_or_default();
    Ok(Subject { path, object: Some(Standing { object, standing }), before })
}

/// What an object is, where it came from, and how it stands.
fn about(of: &Standing) -> Vec<String> {
    let Standing { object, standing } = of;
    let mut page = Page::default();
    page.lines.push(object.title());
    page.field("object", &object.digest().to_string());
    page.field("stands", standing["step"].as_str().unwrap_or("unknown to the ledger"));
    page.field("signed by", &plain(&super::signer(object)));
    for certificate in object.signature.iter().flat_map(|signed| &signed.chain) {
        page.field("certificate", &certificate.to_string());
    }
    page.field("licence", &plain(object.licence.as_deref().unwrap_or("not stated")));
    page.field("training data", &plain(&object.training_data));
    for file in &object.files {
        page.field("file", &format!("{} {} ({} bytes)", plain(&file.name), file.digest, grouped(file.bytes)));
    }
    page.lines.push(String::new());
    page.lines
}

fn look(path: &Path) -> Result<Result<Inspection, GgufError>, Hinted> {
    let failed = |error: std::io::Error| {
        let shown = plain(&path.to_string_lossy());
        Hinted::new(format!("{shown} cannot be read"), "give the path of a GGUF file").because(error)
    };
    let mut file = File::open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(failed(std::io::Error::other("it is not a regular file")));
    }
    Ok(inspect(&mut file))
}

fn refused(path: &Path, error: GgufError) -> Hinted {
    let shown = plain(&path.to_string_lossy());
    let hint = "it cannot be admitted; compare its digest with the publisher's, and fetch it again";
    Hinted::new(format!("{shown} is refused"), hint).because(error)
}

/// JSON whose characters beyond ASCII are escaped: those that turn the direction of a line among them.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() && c != '\u{7f}' {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text
}

fn page(path: &Path, it: &Inspection, difference: Option<&[DiffLine]>, tensors: bool) -> Vec<String> {
    let mut page = Page::default();
    let name = it.name.as_deref().unwrap_or("a model without a name");
    page.lines.push(format!("{}: {name}", plain(&path.to_string_lossy())));
    anomalies(&mut page, &it.anomalies);
    if let Some(difference) = difference {
        changes(&mut page, difference);
    }
    sizes(&mut page, it);
    page.section("Quantization");
    page.row(&["type", "tensors", "numbers", "bytes"], &[10, 9, 16, 16]);
    for used in &it.quantization {
        let cells = [used.tensors, used.elements, used.bytes].map(grouped);
        page.row(&[used.name, &cells[0], &cells[1], &cells[2]], &[10, 9, 16, 16]);
    }
    page.section("Tokenizer");
    page.field("model", it.tokenizer.model.as_deref().unwrap_or("not stated"));
    page.field("pre-tokenizer", it.tokenizer.pre.as_deref().unwrap_or("not stated"));
    let kinds = it.tokenizer.kinds.iter().map(|(kind, count)| format!("{} {kind}", grouped(*count)));
    page.field(
        "tokens",
        &[grouped(it.tokenizer.tokens)].into_iter().chain(kinds).collect::<Vec<_>>().join(", "),
    );
    for (title, tokens) in
        [("Special tokens", &it.tokenizer.special), ("Fill in the middle", &it.tokenizer.fill)]
    {
        page.section(title);
        if tokens.is_empty() {
            page.lines.push("  none".to_owned());
        }
        tokens.iter().for_each(|token| special(&mut page, token));
    }
    stated(&mut page, it);
    it.chat_templates.iter().for_each(|template| chat_template(&mut page, template));
    page.section("Metadata");
    for row in &it.metadata {
        let unknown = if row.known { "" } else { "  (unknown to the format)" };
        page.lines.push(format!("  {:<40} {:<18} {}{unknown}", row.key, row.kind, row.value));
    }
    if tensors {
        page.section("Tensors");
        for tensor in &it.tensors {
            let dimensions: Vec<String> = tensor.dimensions.iter().map(u64::to_string).collect();
            let (shape, bytes) = (dimensions.join(" × "), grouped(tensor.bytes));
            page.lines.push(format!("  {:<42} {:<8} {shape:<24} {bytes:>16}", tensor.name, tensor.kind));
        }
    }
    page.lines
}

fn anomalies(page: &mut Page, anomalies: &[Anomaly]) {
    page.section("Anomalies");
    if anomalies.is_empty() {
        page.lines.push("  none".to_owned());
    }
    for anomaly in anomalies {
        let head = format!("  {:<8} {:<26} ", anomaly.severity.as_str(), anomaly.code.as_str());
        page.wrapped(&head, &anomaly.words);
        // A long text is what somebody has to read; short ones are in the words.
        if let Some(text) = anomaly.text.as_deref().filter(|_| anomaly.severity >= Severity::Warning) {
            page.quoted(text);
        }
    }
}

fn changes(page: &mut Page, difference: &[DiffLine]) {
    page.section("Chat template, changes");
    if difference.is_empty() {
        page.lines.push("  none".to_owned());
    }
    for line in difference {
        let sign = match line.change {
            Change::Same => ' ',
            Change::Removed => '-',
            Change::Added => '+',
        };
        let number = line.new.or(line.old).unwrap_or_default();
        page.lines.push(format!("  {number:>5} {sign} {}", line.text));
    }
}

fn sizes(page: &mut Page, it: &Inspection) {
    page.section("Sizes");
    let sizes = &it.sizes;
    page.field("file", &format!("{} bytes, GGUF version {}", grouped(it.file_bytes), it.gguf_version));
    page.field("architecture", &it.architecture);
    page.field("parameters", &format!("{} in {} tensors", grouped(sizes.parameters), grouped(sizes.tensors)));
    let numbers = [
        ("layers", sizes.layers),
        ("heads", sizes.heads),
        ("KV heads", sizes.heads_kv),
        ("embedding", sizes.embedding),
        ("feed forward", sizes.feed_forward),
        ("experts", sizes.experts),
        ("experts used", sizes.experts_used),
        ("vocabulary", Some(sizes.vocabulary)),
        ("context", sizes.context_tokens),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            page.field(name, &grouped(number));
        }
    }
    let looked = &it.scanned;
    page.field(
        "looked into",
        &format!(
            "{} tensors whole, {} at places, {} bytes",
            grouped(looked.tensors_whole),
            grouped(looked.tensors_sampled),
            grouped(looked.bytes)
        ),
    );
}

fn special(page: &mut Page, token: &SpecialToken) {
    let found = match token.found {
        gguf::inspect::Found::Metadata => "by metadata",
        gguf::inspect::Found::Spelling => "by its spelling",
    };
    let kind = token.kind.unwrap_or("of no sort");
    let SpecialToken { role, id, spelling, .. } = token;
    page.lines.push(format!("  {:<18} {id:>8}  {spelling:<28} {kind}, {found}", plain(role)));
}

fn stated(page: &mut Page, it: &Inspection) {
    page.section("Stated by the publisher");
    let stated = &it.stated;
    page.field("licence", stated.licence.as_deref().unwrap_or("not stated"));
    let optional = [("licence name", &stated.licence_name), ("licence link", &stated.licence_link)];
    for (name, text) in optional {
        if let Some(text) = text {
            page.field(name, text);
        }
    }
    stated.publisher.iter().for_each(|(name, text)| page.field(name, text));
    stated.base_models.iter().for_each(|(name, text)| page.field(&format!("base model {name}"), text));
    page.field("training data", &stated.training_data);
}

fn chat_template(page: &mut Page, template: &ChatTemplate) {
    page.section(&format!("Chat template {}", plain(&template.name)));
    page.field("digest", &template.sha256.to_string());
    let made = &template.constructs;
    for (name, names) in [
        ("statements", &made.statements),
        ("functions", &made.functions),
        ("filters", &made.filters),
        ("tests", &made.tests),
        ("methods", &made.methods),
    ] {
        let names: Vec<String> = names.iter().map(|(name, count)| format!("{name} ×{count}")).collect();
        if !names.is_empty() {
            page.field(name, &names.join(", "));
        }
    }
    page.field("nested", &format!("{} blocks, {} loops", made.blocks_nested, made.loops_nested));
    page.field(
        "own text",
        &format!(
            "{} characters, {} in one piece",
            grouped(made.literal_characters as u64),
            grouped(made.literal_longest_characters as u64)
        ),
    );
    page.quoted(&template.text);
}

#[derive(Default)]
struct Page {
    lines: Vec<String>,
}

impl Page {
    fn section(&mut self, title: &str) {
        self.lines.extend([String::new(), title.to_owned()]);
    }

    fn field(&mut self, name: &str, text: &str) {
        self.wrapped(&format!("  {:<18} ", plain(name)), text);
    }

    /// The first cell to the left, numbers to the right.
    fn row(&mut self, cells: &[&str], widths: &[usize]) {
        let mut line = String::from(" ");
        for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
            let cell = if at == 0 { format!(" {cell:<width$}") } else { format!(" {cell:>width$}") };
            line.push_str(&cell);
        }
        self.lines.push(line);
    }

    /// Words behind a head, on as many lines as they take.
    fn wrapped(&mut self, head: &str, text: &str) {
        let indent = head.chars().count();
        let mut line = head.to_owned();
        let mut columns = indent;
        for word in text.split(' ') {
            let len = word.chars().count();
            if columns > indent && columns + 1 + len > COLUMNS {
                self.lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
                columns = indent;
            }
            if columns > indent {
                line.push(' ');
                columns += 1;
            }
            line.push_str(word);
            columns += len;
        }
        self.lines.push(line);
    }

    /// A text as it is, line by line, less what drives terminals.
    fn quoted(&mut self, text: &str) {
        for line in text.lines() {
            self.lines.push(format!("  | {}", plain(line)));
        }
    }
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_ascii_and_means_the_same() {
        let value = json!({ "a\u{202e}": "\u{1b}é\u{e0041}\u{7f}" });
        let text = ascii(&value.to_string());
        assert!(text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_control()), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn lines_are_wrapped() {
        let mut page = Page::default();
        page.wrapped("  x ", &"word ".repeat(40));
        assert!(page.lines.len() == 3 && page.lines.iter().all(|line| line.chars().count() <= COLUMNS));
        assert!(page.lines[1].starts_with("    word"));
        assert_eq!(grouped(1_234_567), "1 234 567");
        assert_eq!(grouped(12), "12");
    }
}
