// One record: what was asked, with what, what was answered, what was found out and done, and its proof.

import { get } from "./session.js";
import { code, digest, failure, h, mark, moment, number, prose, put, record, terms } from "./elements.js";
import { provenance, sources } from "./findings.js";
import { prove } from "./proof.js";

/** Of what was asked for last; an answer that comes late is passed over. */
let wanted = null;

export async function show(view, index) {
  wanted = index;
  const body = h("div", {});
  put(view, h("h1", { id: "record-title" }, `Record ${index}`), body);
  put(body, h("p", { class: "said", role: "status" }, "Loading."));
  let shown;
  try {
    shown = await get(`/v1/cloister/records/${index}`);
  } catch (error) {
    if (wanted === index) put(body, failure(error));
    return;
  }
  if (wanted !== index) return;
  const proof = h("section", { class: "proof", "aria-label": "Proof", "aria-live": "polite" });
  const results = shown.related.filter((leaf) => leaf.leaf.event.kind === "result");
  put(body, summary(shown, results[0]), proof, asked(shown), context(shown), results.map(answered), checked(shown.related), decided(shown.related), raw(shown));
  await prove(proof, [shown, ...results]);
}

function summary(shown, result) {
  const { event, time_unix_ms } = shown.leaf;
  const outcome = result?.leaf.event;
  return terms([
    ["kind", event.kind],
    ["time", moment(time_unix_ms)],
    ["person", event.identity ?? event.actor],
    ["credential", event.credential && h("code", {}, event.credential)],
    ["outcome", outcome && mark(outcome.outcome === "answered" ? "good" : "warn", outcome.outcome, outcome.detail ? `: ${outcome.detail}` : "")],
    ["action", [event.action ?? event.step, event.dialect].filter(Boolean).join(", by ")],
    ["deployment", event.deployment ?? event.alias],
    ["model", digest(event.model) ?? event.upstream?.model ?? digest(event.weights)],
    ["engine", digest(event.engine_build)],
    ["lock", digest(event.lock)],
    ["profile", event.profile && `${event.profile}${event.reproducible ? "" : ", not reproducible"}`],
    ["labels", (event.labels ?? []).join(", ")],
    ["policy", digest(event.policy)],
    ["repository", event.repository],
    ["path", event.path],
    ["subject", event.subject ?? event.title],
    ["detail", event.detail],
    ["tokens", event.prompt_tokens !== undefined && `${number(event.prompt_tokens)} asked${outcome ? `, ${number(outcome.answer_tokens)} answered, ${number(outcome.prompt_tokens_cached)} cached` : ""}`],
    ["times", outcome?.times && `${ms(outcome.times.queued_us)} waiting, ${ms(outcome.times.prompt_us)} on the prompt, ${ms(outcome.times.predict_us)} on the answer`],
    ["posture", event.kind === "posture" && `${event.passed} held, ${event.failed} failed, ${event.untried} untried`],
    ["leaf hash", digest(shown.hash)],
  ].map(([term, value]) => [term, value === false ? null : value]));
}

const ms = (microseconds) => `${number(Math.round((microseconds ?? 0) / 1000))} ms`;

const part = (title, ...children) => h("section", { class: "part" }, h("h2", {}, title), children);

function gone(leaf) {
  if (leaf.erased) return h("p", { class: "none" }, "The text was erased; the proof of its leaf stays.");
  if (leaf.body?.withheld === true) return h("p", { class: "none" }, "Withheld by the site's policy.");
  return null;
}

/** JSON of a text of a body, or nothing. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function asked(shown) {
  if (shown.leaf.event.kind !== "intent") return null;
  const away = gone(shown);
  if (away) return part("Question", away);
  const ask = parsed(shown.body?.prompt_text ?? "") ?? {};
  if (ask.chat) {
    return part("Question", ask.chat.messages.map((message) =>
      h("div", { class: "message" }, h("h3", {}, message.role), prose(message.content))));
  }
  if (ask.fill) {
    return part("Hole", h("h3", {}, "before"), code(ask.fill.prefix), h("h3", {}, "behind"), code(ask.fill.suffix));
  }
  return part("Prompt", code(ask.complete?.prompt ?? shown.body?.prompt_text ?? ""));
}

function context(shown) {
  if (shown.leaf.event.kind !== "intent" || shown.erased) return null;
  const found = parsed(shown.body?.context_text ?? "") ?? [];
  return part("Sources", sources(found), found.length > 0 && h("details", {}, h("summary", {}, "Their text, as it was in the prompt"),
    found.map((passage) => [h("h3", {}, passage.file_name ?? passage.path ?? ""), code(passage.text ?? "")])));
}

function answered(result) {
  const away = gone(result);
  const text = result.body?.output_text;
  return part("Answer", away ?? (text ? prose(text) : h("p", { class: "none" }, "Empty.")),
    h("h3", {}, "Known code"), away ? null : provenance(result.body?.provenance));
}

function checked(related) {
  const made = related.filter((leaf) => leaf.leaf.event.kind === "check");
  if (made.length === 0) return part("Checks", h("p", { class: "none" }, "No checker looked at it."));
  return part("Checks", h("ul", { class: "items" }, made.map((leaf) => {
    const { checker, version, outcome, errors, warnings } = leaf.leaf.event;
    const kind = { passed: "good", failed: "bad" }[outcome] ?? "idle";
    const said = leaf.body?.diagnostics_text;
    return h("li", {}, mark(kind, checker, " ", String(outcome).replace("_", " ")), " ",
      h("span", { class: "detail" }, `${version} · ${errors} errors, ${warnings} warnings · leaf `, record(leaf.index)),
      said && said !== "[]" ? code(said) : null);
  })));
}

function decided(related) {
  const made = related.filter((leaf) => ["decision", "replay"].includes(leaf.leaf.event.kind));
  if (made.length === 0) return null;
  return part("What became of it", h("ul", { class: "items" }, made.map((leaf) => {
    const { kind, identity, choice, accepted_bytes, path, client, outcome } = leaf.leaf.event;
    return h("li", {}, moment(leaf.leaf.time_unix_ms), " ", kind === "decision" ? `${identity}: ${choice}` : `run again: ${outcome}`,
      accepted_bytes !== undefined && accepted_bytes !== null ? `, ${number(accepted_bytes)} bytes` : "", path ? [", ", h("code", {}, path)] : "",
      client ? h("span", { class: "detail" }, ` (${client})`) : "", " · leaf ", record(leaf.index));
  })));
}

function raw(shown) {
  const { related, ...own } = shown;
  return h("details", { class: "part" }, h("summary", {}, "As the ledger has it"),
    code(JSON.stringify(own, null, 2)), related.map((leaf) => [h("h3", {}, `leaf ${leaf.index}, ${leaf.leaf.event.kind}`), code(JSON.stringify(leaf, null, 2))]));
}
