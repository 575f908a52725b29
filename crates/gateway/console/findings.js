// What stands beside an answer: sources, checks, known code. All of it is others' text.

import { digest, h, mark, terms } from "./elements.js";

const lines = (range) => (Array.isArray(range) && range.length === 2 ? (range[0] === range[1] ? `${range[0]}` : `${range[0]}–${range[1]}`) : "");

/** The parts of the team's sources that were in the prompt. */
export function sources(found) {
  if (!Array.isArray(found) || found.length === 0) return h("p", { class: "none" }, "No text of the team's sources went into the prompt.");
  return h("ul", { class: "items" }, found.map((source) => {
    const range = lines(source.lines) || lines([source.first_line, source.last_line].filter((line) => line !== undefined));
    const revision = source.commit ?? source.revision;
    return h("li", {},
      h("strong", {}, source.source ?? "sent with the request"), " ",
      h("code", {}, source.path ?? source.file_name ?? ""), range ? `, lines ${range}` : "",
      revision ? [" at ", digest(revision)] : null,
      source.why ? h("span", { class: "detail" }, ` — ${typeof source.why === "string" ? source.why : JSON.stringify(source.why)}`) : null);
  }));
}

/** What compilers and other checkers said. */
export function checks(made) {
  if (!Array.isArray(made) || made.length === 0) return h("p", { class: "none" }, "No checker looked at it.");
  return h("ul", { class: "items" }, made.map((check) => {
    const kind = check.outcome === "passed" ? "good" : check.outcome === "failed" ? "bad" : "idle";
    const said = { passed: "passed", failed: "failed", not_run: "was not run" }[check.outcome] ?? check.outcome;
    const remarks = (check.remarks ?? []).slice(0, 20).map((remark) =>
      h("li", {}, mark(remark.severity === "error" ? "bad" : "warn", remark.severity), " ",
        remark.line === undefined ? "" : `line ${remark.line}: `, remark.message));
    return h("li", {},
      mark(kind, check.checker, " ", said), " ",
      h("span", { class: "detail" }, [check.version, check.lines && `lines ${lines(check.lines)}`, check.ms !== undefined && `${check.ms} ms`].filter(Boolean).join(" · ")),
      check.reason ? h("p", { class: "detail" }, check.reason) : null,
      check.outcome === "passed" && check.claims ? h("p", { class: "detail" }, `Claims: ${check.claims}`) : null,
      remarks.length ? h("ul", { class: "remarks" }, remarks) : null);
  }));
}

/** Which known code it matches, by which licence. */
export function provenance(found) {
  if (!found) return h("p", { class: "none" }, "It was not compared with known code.");
  const corpora = found.corpora ?? [];
  if (corpora.length === 0) return h("p", { class: "none" }, "There is no corpus of known code to compare it with.");
  const asked = h("p", { class: "detail" }, `Compared with ${corpora.map((corpus) => corpus.name).join(", ")}.`,
    found.not_asked?.length ? ` Not asked: ${found.not_asked.join(", ")}.` : "", found.cut_short ? " The search was cut short: there may be more." : "");
  const matches = found.matches ?? [];
  if (matches.length === 0) return [h("p", {}, mark("good", "No match with known code.")), asked];
  return [asked, h("ul", { class: "items" }, matches.map((match) => {
    const origin = match.origins?.[0];
    const where = origin?.origin ?? {};
    return h("li", {},
      mark(match.action === "allow" || match.is_common ? "idle" : "warn", `lines ${lines(match.lines)}: ${match.kind} match of ${match.lexemes} lexemes`),
      terms([
        ["licence", (match.licences ?? []).join(", ") || where.licence],
        ["origin", origin && `${where.package} ${where.version ?? where.commit ?? ""} ${where.path}:${lines(origin.lines)}`],
        ["copied from", match.from],
        ["site's policy", [match.action, match.rule && `rule ${match.rule}`].filter(Boolean).join(", ")],
      ]));
  }))];
}

/** All three, folded where there is nothing to say. */
export function findings(cloister) {
  const parts = [
    ["Sources", cloister.sources, sources],
    ["Checks", cloister.checks, checks],
    ["Known code", cloister.provenance, provenance],
  ];
  return h("div", { class: "findings" }, parts.map(([title, found, shown]) => {
    const count = Array.isArray(found) ? found.length : found?.matches?.length ?? 0;
    return h("details", { open: count > 0 },
      h("summary", {}, title, " ", h("span", { class: "count" }, `${count}`)), shown(found));
  }));
}
