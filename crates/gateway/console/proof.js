// Proofs that leaves are in the log, checked here: RFC 6962 hashing and the checkpoint's Ed25519 signature, by the
// browser's own cryptography. Nothing of the server's word is taken but its public key, which is kept and compared.

import { get } from "./session.js";
import { digest, h, mark, put } from "./elements.js";

const utf8 = new TextEncoder();
const HASHES_MAX = 64;

const bytesOf = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const same = (one, other) => one.length === other.length && one.every((byte, at) => byte === other[at]);

async function sha256(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", whole));
}

function must(condition, message) {
  if (!condition) throw new Error(message);
}

/** A C2SP tlog-proof's parts. */
function parseProof(text) {
  const [head, ...rest] = text.split("\n\n");
  const lines = head.split("\n");
  must(lines.shift() === "c2sp.org/tlog-proof@v1" && rest.length > 0, "the proof has another form");
  const extra = /^extra (\S+)$/.exec(lines.shift() ?? "");
  const index = /^index (0|[1-9]\d*)$/.exec(lines.shift() ?? "");
  must(extra !== null && index !== null, "the proof has no leaf");
  must(lines.length <= HASHES_MAX, "the proof has too many hashes");
  const hashes = lines.map(bytesOf);
  must(hashes.every((hash) => hash.length === 32), "a hash of the proof has another length");
  return { leaf: bytesOf(extra[1]), index: BigInt(index[1]), hashes, note: rest.join("\n\n") };
}

/** A signed note's text and signature lines (C2SP signed-note). */
function parseNote(note) {
  const split = note.lastIndexOf("\n\n");
  must(split >= 0 && note.endsWith("\n"), "the checkpoint has no signatures");
  const text = note.slice(0, split + 1);
  const signatures = note.slice(split + 2, -1).split("\n").map((line) => {
    const found = /^\u2014 (\S+) (\S+)$/.exec(line);
    must(found !== null, "a signature line is malformed");
    const bytes = bytesOf(found[2]);
    return { name: found[1], hash: bytes.slice(0, 4), signature: bytes.slice(4) };
  });
  return { text, signatures };
}

/** Exactly three lines: origin, size, root. */
function parseCheckpoint(text) {
  const lines = text.split("\n");
  must(lines.length === 4 && lines[3] === "" && /^(0|[1-9]\d*)$/.test(lines[1]), "the checkpoint has another form");
  return { origin: lines[0], size: BigInt(lines[1]), root: bytesOf(lines[2]) };
}

/** A C2SP verifier key: `name+hash+base64(algorithm, key)`. */
async function parseKey(text) {
  const [, name, hash, encoded] = /^([^+\s]+)\+([0-9a-f]{8})\+(\S+)$/.exec(text) ?? [];
  must(name !== undefined, "the log's key is malformed");
  const bytes = bytesOf(encoded);
  must(bytes[0] === 1 && bytes.length === 33, "the log's key is no Ed25519 key");
  const expected = (await sha256(utf8.encode(`${name}\n`), bytes)).slice(0, 4);
  must(hex(expected) === hash, "the log's key is not the one that its number names");
  return { name, hash: expected, key: bytes.slice(1) };
}

/** Whether some signature of that key is good. All that claim to be of it must be. */
async function isSigned(note, key) {
  const imported = await crypto.subtle.importKey("raw", key.key, "Ed25519", false, ["verify"]);
  const claims = note.signatures.filter((line) => line.name === key.name && same(line.hash, key.hash));
  for (const { signature } of claims) {
    if (!(await crypto.subtle.verify("Ed25519", imported, signature, utf8.encode(note.text)))) return false;
  }
  return claims.length > 0;
}

/** The root that a leaf's hash leads to (RFC 9162, 2.1.3.2); an error when the proof has another length. */
async function rootFrom(leafHash, index, size, hashes) {
  must(index < size, "the checkpoint does not cover the leaf yet");
  let [at, last, root] = [index, size - 1n, leafHash];
  for (const hash of hashes) {
    must(last !== 0n, "the proof is too long");
    if (at % 2n === 1n || at === last) {
      root = await sha256(Uint8Array.of(1), hash, root);
      while (at % 2n === 0n && at !== 0n) [at, last] = [at >> 1n, last >> 1n];
    } else {
      root = await sha256(Uint8Array.of(1), root, hash);
    }
    [at, last] = [at >> 1n, last >> 1n];
  }
  must(last === 0n, "the proof is too short");
  return root;
}

/** The same JSON, whatever the order of its keys; fractions to the 32 bits that leaves hold them in. */
function canonical(value) {
  if (typeof value === "number" && !Number.isInteger(value)) return String(Math.fround(value));
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (value !== null && typeof value === "object") {
    return `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join()}}`;
  }
  return JSON.stringify(value);
}

/** The log's key as this browser met it first; another one later is a finding. */
function known(verifier, name) {
  const place = `cloister.log-key.${name}`;
  const kept = localStorage.getItem(place);
  if (kept === null) localStorage.setItem(place, verifier);
  return kept === null || kept === verifier;
}

/** Texts that a leaf commits to: SHA-256 of salt and text. */
const COMMITTED = [["prompt", "prompt_text", "question"], ["context", "context_text", "context"], ["output", "output_text", "answer"]];

async function committed(shown) {
  const found = [];
  for (const [field, text, word] of COMMITTED) {
    const commitment = shown.leaf.event[field];
    const salt = shown.body?.salts?.[field];
    const plain = shown.body?.[text];
    if (commitment === undefined || typeof salt !== "string" || typeof plain !== "string") continue;
    const bytes = Uint8Array.from(salt.match(/../g) ?? [], (pair) => parseInt(pair, 16));
    must(`sha256:${hex(await sha256(bytes, utf8.encode(plain)))}` === commitment, `the ${word} shown is not the one that the leaf commits to`);
    found.push(word);
  }
  return found;
}

/**
 * Checks the proof of a leaf that is shown, a `{ index, leaf, body }`. Answers what held; throws at the first
 * thing that does not.
 */
export async function check(document, shown) {
  const proof = parseProof(document.proof);
  must(proof.index === BigInt(shown.index), "the proof is of another leaf");
  const stated = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(proof.leaf));
  must(canonical(stated) === canonical(shown.leaf), "the record shown is not the leaf that is proven");
  const texts = await committed(shown);
  const key = await parseKey(document.verifier);
  const note = parseNote(proof.note);
  const checkpoint = parseCheckpoint(note.text);
  must(checkpoint.origin === key.name, "the checkpoint is of another log");
  must(await isSigned(note, key), "the checkpoint is not signed by the log's key");
  const leafHash = await sha256(Uint8Array.of(0), proof.leaf);
  const root = await rootFrom(leafHash, proof.index, checkpoint.size, proof.hashes);
  must(same(root, checkpoint.root), "the leaf does not lead to the signed root");
  must(known(document.verifier, key.name), "the log's key is another than when this browser first saw the log");
  const others = new Set(note.signatures.filter((line) => line.name !== key.name).map((line) => line.name));
  return {
    origin: key.name,
    size: checkpoint.size,
    steps: proof.hashes.length,
    root: hex(checkpoint.root),
    leafHash: hex(leafHash),
    keyHash: hex(await sha256(key.key)),
    texts,
    others: [...others],
  };
}

/** Fetches and checks the proofs of some leaves, and says so in a panel. */
export async function prove(panel, shown) {
  put(panel, h("p", { class: "detail" }, "Checking the proof in this browser."));
  panel.dataset.state = "checking";
  const rows = [];
  let failed = null;
  let last = null;
  const files = [];
  for (const leaf of shown) {
    const word = leaf.leaf.event.kind;
    try {
      if (!globalThis.crypto?.subtle) throw new Error("this browser gives no cryptography to this page");
      const document = await get(`/v1/cloister/ledger/proof/${leaf.index}`);
      last = await check(document, leaf);
      files.push([leaf.index, document.proof]);
      const texts = last.texts.length ? `; its ${last.texts.join(" and ")} as shown` : "";
      rows.push(h("li", {}, mark("good", `leaf ${leaf.index}, ${word}, in ${last.steps} steps${texts}`)));
    } catch (error) {
      failed ??= error;
      rows.push(h("li", {}, mark("bad", `leaf ${leaf.index}, ${word}: ${error.message}`)));
    }
  }
  panel.dataset.state = failed === null ? "proved" : "refused";
  const saved = files.map(([index, text]) =>
    h("a", { class: "detail", download: `leaf-${index}.tlog-proof`, href: URL.createObjectURL(new Blob([text])) }, `Save the proof of leaf ${index}`));
  put(panel,
    h("p", { class: "verdict" }, failed === null ? mark("good", "Proved in this browser") : mark("bad", `Not proved: ${failed.message}`)),
    h("ul", { class: "items plain" }, rows),
    last && h("p", { class: "detail" }, `Signed checkpoint of ${last.origin}: ${last.size} leaves, root `, digest(last.root),
      ", by the key ", digest(last.keyHash), ". ",
      last.others.length ? `Cosignatures of ${last.others.join(", ")} are there and are not checked here. ` : "",
      "The key came from this server and is kept by this browser: compare it once with the site's log.policy. ",
      "Whether the log was rolled back as a whole, ", h("code", {}, "cloister ledger verify --seen"), " tells."),
    saved.length > 0 && h("p", { class: "row" }, saved));
}
