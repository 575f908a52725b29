// The ledger: records by what they are, a page at a time.

import { get } from "./session.js";
import { failure, h, mark, moment, number, put, record, table } from "./elements.js";

const COUNT = 50;
const KINDS = ["intent", "decision", "check", "lookup", "refusal", "login", "administration", "model", "posture", "replay", "erasure", "witness", "start", "recovered", "genesis"];
const OUTCOMES = ["answered", "cancelled", "failed", "withheld", "passed", "not_run", "same", "different"];

/** Name, label, and what it takes. Words are not kept in the address: they may be somebody's own. */
const FIELDS = [
  ["kind", "Kind", KINDS],
  ["person", "Person"],
  ["action", "Action"],
  ["outcome", "Outcome", OUTCOMES],
  ["deployment", "Deployment"],
  ["model", "Model, by its digits"],
  ["repository", "Repository"],
  ["path", "Path or pattern"],
  ["label", "Label"],
  ["since", "Since (UTC)", "datetime-local"],
  ["until", "Until (UTC)", "datetime-local"],
  ["text", "Words in the texts", "search"],
];

let parts;

export async function show(view) {
  parts ??= build(view);
  const given = new URLSearchParams(location.search);
  for (const [name] of FIELDS) if (name !== "text") parts.fields[name].value = given.get(name) ?? "";
  await load(given.get("before"));
}

function build(view) {
  const fields = {};
  const controls = FIELDS.map(([name, label, takes]) => {
    const id = `ledger-${name}`;
    fields[name] = Array.isArray(takes)
      ? h("select", { id, name }, h("option", { value: "" }, "any"), takes.map((value) => h("option", { value }, value)))
      : h("input", { id, name, type: takes ?? "text", maxlength: 1024, autocomplete: "off", spellcheck: "false" });
    return h("div", { class: "field" }, h("label", { for: id }, label), fields[name]);
  });
  const form = h("form", { class: "filters", role: "search", "aria-label": "Filter the records", submit: (event) => { event.preventDefault(); apply(); } },
    controls,
    h("div", { class: "row" }, h("button", { type: "submit" }, "Show"),
      h("button", { type: "button", class: "quiet", click: () => { form.reset(); for (const name in fields) fields[name].value = ""; apply(); } }, "Clear")));
  const said = h("p", { class: "said", role: "status" });
  const rows = h("div", {});
  const pages = h("nav", { class: "row", "aria-label": "Pages of records" });
  put(view, h("h1", { id: "ledger-title" }, "Ledger"),
    h("p", { class: "lead" }, "What was asked, answered and done, newest first. You see your own records; an administrator sees all."),
    form, said, rows, pages);
  return { fields, said, rows, pages };
}

const filled = () => FIELDS.map(([name]) => [name, parts.fields[name].value.trim()]).filter(([, value]) => value !== "");

function address(before) {
  const query = new URLSearchParams(filled().filter(([name]) => name !== "text"));
  if (before !== undefined) query.set("before", before);
  const text = query.toString();
  return `/console/ledger${text ? `?${text}` : ""}`;
}

function apply() {
  history.pushState(null, "", address());
  load(null);
}

async function load(before) {
  const query = new URLSearchParams({ count: COUNT });
  for (const [name, value] of filled()) {
    if (name === "since" || name === "until") {
      const time = Date.parse(`${value}Z`);
      if (!Number.isNaN(time)) query.set(`${name}_unix_ms`, time);
    } else {
      query.set(name, value);
    }
  }
  if (before !== null) query.set("before", before);
  put(parts.said, "Searching.");
  try {
    const page = await get(`/v1/cloister/ledger/query?${query}`);
    showPage(page, before);
  } catch (error) {
    put(parts.said);
    put(parts.rows, failure(error));
    put(parts.pages);
  }
}

function showPage(page, before) {
  const count = page.rows.length;
  const searched = page.searched ? ` Texts of ${number(page.searched)} records were searched${page.unreadable ? `, ${page.unreadable} do not open` : ""}${page.truncated ? "; older ones may match" : ""}.` : "";
  put(parts.said, count === 0 ? "No record fits." : `${count} record${count === 1 ? "" : "s"}.`, searched);
  put(parts.rows, count === 0 ? null : table("Records", [
    ["Record", "num"], ["Time"], ["Kind"], ["Person", "wide"], ["Action"], ["Deployment", "wide"], ["About", "wide clip"], ["Outcome"], ["Tokens", "num wide"],
  ], page.rows.map(cells)));
  put(parts.pages,
    before === null ? null : h("a", { class: "button", href: address() }, "Newest"),
    page.before === null || page.before === undefined ? null : h("a", { class: "button", href: address(page.before) }, "Older"));
}

function outcome(row) {
  if (!row.outcome) return row.kind === "intent" ? mark("warn", "no result") : "";
  const kind = ["answered", "passed", "same", "accepted"].includes(row.outcome) ? "good" : ["failed", "different", "withheld", "refused"].includes(row.outcome) ? "bad" : "idle";
  return mark(kind, row.outcome);
}

function cells(row) {
  const about = row.path ?? row.subject ?? row.repository ?? row.detail ?? "";
  const of = row.record !== undefined && row.record !== null ? [" of ", record(row.record)] : "";
  return [
    // Of the others, whoever sees them here may not see their bodies: they are told of in the record that they name.
    row.kind === "intent" ? record(row.leaf) : number(row.leaf), moment(row.time_unix_ms), [row.kind, of], row.person ?? "", row.action ?? "", row.deployment ?? "",
    h("span", { title: [row.repository, row.path, row.subject, row.detail].filter(Boolean).join("\n") }, about),
    outcome(row),
    row.answer_tokens === undefined ? "" : `${number(row.prompt_tokens ?? 0)} → ${number(row.answer_tokens)}`,
  ];
}
