// What the server found out about an answer, in words. Pure, so that it is tested without a page.

import type { Check, Findings, Match, Origin, Provenance, Source } from "../protocol";

/** How much a finding wants to be looked at. */
export type Weight = "good" | "bad" | "warn" | "none";

export interface Line {
  text: string;
  weight: Weight;
  /** What stands below it. */
  more: string[];
}

export interface Section {
  title: string;
  /** The gist, beside the title. */
  gist: string;
  weight: Weight;
  lines: Line[];
}

const LINES_MAX = 20;
const ORIGINS_MAX = 3;

export function sections(findings: Findings): Section[] {
  return [sources(findings.sources ?? []), knownCode(findings.provenance ?? undefined), checks(findings.checks ?? [])];
}

function sources(all: Source[]): Section {
  const lines = all.slice(0, LINES_MAX).map((one): Line => {
    const warning = one.suspicious ? [`Beware: this text ${one.suspicious}`] : [];
    const why = whys(one);
    return { text: heading(one), weight: warning.length > 0 ? "warn" : "none", more: [...(why === "" ? [] : [why]), ...warning] };
  });
  const weight = lines.some((line) => line.weight === "warn") ? "warn" : "none";
  return { title: "Sources", gist: all.length === 0 ? "none" : String(all.length), weight, lines: capped(lines, all.length) };
}

function heading(one: Source): string {
  if (one.heading) return one.heading;
  const name = one.path ?? one.file_name ?? "?";
  const place = one.source ? `${one.source}/${name}` : name;
  const lines = one.first_line ? `:${one.first_line}-${one.last_line ?? one.first_line}` : "";
  const page = one.page ? `, page ${one.page}` : "";
  const under = one.headings?.at(-1);
  const revision = one.revision ? ` at ${one.revision.slice(0, 12)}` : "";
  return `${place}${lines}${page}${under === undefined ? "" : `, under "${under}"`}${revision}${one.name ? ` · ${one.name}` : ""}`;
}

function whys(one: Source): string {
  const words: Record<string, string> = { defines: "defines", type_of: "is the type of the cursor's", declares: "declares", needed_by: "is named by", in_unit: "is in", uses: "uses", named: "names" };
  const reasons = (one.why ?? []).map((why) => {
    if (typeof why === "string") return why === "similar" ? "has words in common" : why;
    if (typeof why !== "object" || why === null) return "";
    const [[kind, what] = ["", ""]] = Object.entries(why as Record<string, unknown>);
    return `${words[kind] ?? kind} ${typeof what === "string" ? what : ""}`.trim();
  });
  return [...new Set(reasons.filter((reason) => reason !== ""))].join("; ");
}

function knownCode(provenance: Provenance | undefined): Section {
  const title = "Known code";
  if (provenance === undefined) return { title, gist: "not compared", weight: "none", lines: [] };
  const corpora = (provenance.corpora ?? []).map((one) => one.name ?? "?");
  const notAsked = (provenance.not_asked ?? []).map((name): Line => ({ text: `${name} is not open: nothing is known of it`, weight: "warn", more: [] }));
  const cut: Line[] = provenance.cut_short === true ? [{ text: "The search was broken off at its limit: there may be more", weight: "warn", more: [] }] : [];
  // What is common says nothing, and what is from the question is no finding.
  const told = (provenance.matches ?? []).filter((one) => one.is_common !== true && one.kind !== "copied");
  const copied = (provenance.matches ?? []).filter((one) => one.kind === "copied");
  const lines = [...capped(told.slice(0, LINES_MAX).map(matched), told.length), ...copied.slice(0, LINES_MAX).map(matched), ...notAsked, ...cut];
  if (corpora.length === 0 && told.length === 0) {
    return { title, gist: notAsked.length > 0 ? "not compared" : "no corpus here", weight: notAsked.length > 0 ? "warn" : "none", lines };
  }
  const asked: Line = { text: `Compared with ${corpora.join(", ")}`, weight: "none", more: [] };
  const weight = told.length > 0 || notAsked.length + cut.length > 0 ? "warn" : "good";
  const count = `${told.length} ${told.length === 1 ? "match" : "matches"}`;
  const licences = [...new Set(told.flatMap((one) => one.licences ?? []))];
  const gist = told.length === 0 ? "no match" : licences.length === 0 ? count : `${count} · ${licences.slice(0, 3).join(", ")}`;
  return { title, gist, weight, lines: [...lines, asked] };
}

function matched(one: Match): Line {
  const isOne = one.lines === undefined || one.lines[0] === one.lines[1];
  const [matches, is] = isOne ? ["matches", "is"] : ["match", "are"];
  const how: Record<string, string> = { exact: `${matches} known code`, renamed: `${matches} known code but for names`, near: `${is} near known code` };
  const kind = one.kind === "copied" ? `copied from ${one.from ?? "the question"}` : (how[one.kind ?? ""] ?? one.kind ?? matches);
  const similarity = typeof one.similarity === "number" ? ` (${(one.similarity / 10).toFixed(1)} %)` : "";
  const where = one.packages ? ` · in ${counted(one.documents ?? 0, "file")} of ${counted(one.packages, "package")}` : "";
  const licences = (one.licences ?? []).length > 0 ? ` · ${(one.licences ?? []).join(", ")}` : "";
  const policy: Record<string, string> = { warn: "Look at it before you use it: the site's policy", block: "Kept out by the site's policy" };
  const said = policy[one.action ?? ""];
  return {
    text: `${capital(span(one.lines))} ${kind}${similarity}: ${counted(one.lexemes ?? 0, "lexeme")}${where}${licences}`,
    weight: one.kind === "copied" ? "none" : said === undefined ? "warn" : "bad",
    more: [...(said === undefined ? [] : [said]), ...(one.origins ?? []).slice(0, ORIGINS_MAX).map(origin)],
  };
}

function origin(found: Origin): string {
  const { package: name, version, commit, path, licence } = found.origin ?? {};
  const at = version ?? commit?.slice(0, 12);
  const lines = found.lines === undefined ? "" : `:${found.lines[0]}-${found.lines[1]}`;
  const place = name ? `${name}${at ? ` ${at}` : ""}: ${path ?? ""}${lines}` : `the file ${found.blob ?? "?"}`;
  const stated = licence?.standing?.stated;
  return `${place}${stated ? ` · ${stated}` : ""}${found.corpus ? ` (corpus ${found.corpus})` : ""}`;
}

function checks(all: Check[]): Section {
  const lines = all.slice(0, LINES_MAX).map((one): Line => {
    const name = `${one.checker ?? "checker"} ${one.version ?? ""}`.trim();
    const place = span(one.lines);
    const before = one.errors_before ? ` · ${one.errors_before} were there before` : "";
    const remarks = (one.remarks ?? []).slice(0, LINES_MAX).map((remark) => {
      const at = [remark.line, remark.column].filter((part) => typeof part === "number").join(":");
      return `${at === "" ? (remark.file ?? "around it") : at}: ${remark.severity ?? "remark"}: ${remark.message ?? ""}`;
    });
    if (one.outcome === "passed") return { text: `${name} · ${place}: no objection${before}`, weight: "good", more: [...(one.claims ? [one.claims] : []), ...remarks] };
    if (one.outcome === "failed") return { text: `${name} · ${place}: ${counted(one.errors ?? 0, "error")}${before}`, weight: "bad", more: remarks };
    return { text: `${name} · ${place}: not checked: ${one.reason ?? "the server does not say why"}`, weight: "none", more: [] };
  });
  const failed = all.filter((one) => one.outcome === "failed").length;
  const passed = all.filter((one) => one.outcome === "passed").length;
  const parts = [passed > 0 ? `${passed} passed` : "", failed > 0 ? `${failed} failed` : ""].filter((part) => part !== "");
  const gist = parts.length > 0 ? parts.join(", ") : all.length > 0 ? "not run" : "none";
  return { title: "Checks", gist, weight: failed > 0 ? "bad" : passed > 0 ? "good" : "none", lines: capped(lines, all.length) };
}

function capped(lines: Line[], count: number): Line[] {
  const more = count - lines.length;
  return more > 0 ? [...lines, { text: `and ${more} more: the record has all`, weight: "none", more: [] }] : lines;
}

function span(lines: [number, number] | undefined): string {
  if (lines === undefined) return "all of it";
  return lines[0] === lines[1] ? `line ${lines[0]}` : `lines ${lines[0]} to ${lines[1]}`;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function capital(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}
