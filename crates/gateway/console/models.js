// What serves and by whose word; what the team knows; whether the jails held; how fast it is.

import { ask, get, post } from "./session.js";
import { ago, digest, failure, h, mark, moment, number, put, record, s, table, terms } from "./elements.js";

const SAMPLE_MS = 5_000;
/** Samples of the lines drawn over time: ten minutes. */
const SAMPLES_MAX = 120;

let parts;
let clock = null;
let samples = [];

export async function show(view) {
  parts ??= build(view);
  clock ??= setInterval(() => !document.hidden && sample(), SAMPLE_MS);
  await Promise.all([part(parts.chain, deployments), part(parts.posture, posture), part(parts.sources, sources), sample()]);
}

export function left() {
  clearInterval(clock);
  clock = null;
}

function build(view) {
  const section = (title, note) => {
    const body = h("div", {});
    return [h("section", { class: "part" }, h("h2", {}, title), note && h("p", { class: "detail" }, note), body), body];
  };
  const [one, chain] = section("Deployments", "Each back to the leaves that say who signed, promoted and deployed it.");
  const [two, postureBody] = section("Jails");
  const [three, sourcesBody] = section("Sources and corpora", "What of them you may read. Looking is itself on record.");
  const [four, speed] = section("Speed", "Counted by this server since it was started; lines since this page was opened.");
  put(view, h("h1", { id: "models-title" }, "Models"), h("div", { class: "columns" }, h("div", {}, one, three), h("div", {}, two, four)));
  return { chain, posture: postureBody, sources: sourcesBody, speed };
}

async function part(body, load) {
  try {
    put(body, await load());
  } catch (error) {
    put(body, failure(error));
  }
}

/** A leaf of the ledger that is nobody's own: an administrator may look at it, others are told its number. */
function leaf(index, administers) {
  if (index === null || index === undefined) return mark("warn", "none");
  return administers ? record(index, `leaf ${index}`) : `leaf ${index}`;
}

async function deployments() {
  const [chain, status] = await Promise.all([get("/v1/cloister/chain"), get("/v1/cloister/status")]);
  if (chain.deployments.length === 0) return h("p", { class: "none" }, "Nothing is deployed.");
  const { administers } = status.person;
  return chain.deployments.map((link) => {
    const running = status.deployments.find((deployment) => deployment.id === link.alias)?.cloister;
    return h("article", { class: "card", "aria-label": link.alias },
      h("h3", {}, link.alias, " ", running?.up ? mark("good", "running") : mark("warn", "not running")),
      terms([
        ["model", link.title ?? (link.upstream && mark("warn", "an upstream engine: nothing of it is verified"))],
        ["weights", digest(link.model)],
        ["upstream", link.upstream && h("code", {}, link.upstream)],
        ["signer", link.upstream ? null : !link.signer || link.signer === "nobody" ? mark("warn", "nobody signed it outside") : link.signer],
        ["qualified", link.qualified?.length ? link.qualified.map((index, at) => [at > 0 ? ", " : "", leaf(index, administers)]) : null],
        ["promoted", link.upstream ? null : [leaf(link.promoted, administers), " by two persons"]],
        ["deployed", leaf(link.deployed, administers)],
        ["lock", digest(link.lock)],
        ["engine build", [digest(link.engine_build), link.cpu ? ` for ${link.cpu.level}` : ""]],
        ["training data", link.upstream ? null : link.training_data || "undisclosed"],
        ["labels", (link.labels ?? []).join(", ")],
        ["fills holes", running ? (running.fill ? "yes" : "no") : null],
        ["at once", running?.up ? `${running.slots} requests` : null],
      ]));
  });
}

const VERDICTS = { pass: "good", fail: "bad", untried: "warn", accepted: "warn", advice: "idle" };

async function posture() {
  const { posture: seen } = await get("/v1/cloister/posture");
  if (seen === null) return mark("warn", "The jails were not looked at yet.");
  const { counts, rows } = seen;
  const order = ["fail", "accepted", "untried", "pass", "advice"];
  const sorted = [...rows].sort((one, other) => order.indexOf(one.verdict) - order.indexOf(other.verdict));
  return [
    h("p", { class: "verdict" }, seen.outcome === "passed" ? mark("good", `All ${counts.passed} probes came out as they must`) : mark("bad", `${counts.failed} probes failed`)),
    h("p", { class: "detail" }, `${ago(seen.time_unix_s * 1000)}, `, moment(seen.time_unix_s * 1000), `, occasion: ${seen.occasion}, leaf ${seen.record}. ${counts.untried} cannot be shown on this machine, or are accepted by name.`),
    h("details", { open: seen.outcome !== "passed" }, h("summary", {}, `All ${rows.length} rows`),
      table("Rows of the newest look at the jails", [["Verdict"], ["Place"], ["Layer", "wide"], ["Probe"], ["Found", "wide"]],
        sorted.map((row) => [mark(VERDICTS[row.verdict] ?? "idle", row.verdict), row.place, row.layer, h("span", { title: row.how }, row.name),
          row.verdict === "pass" ? row.found : `${row.found} instead of ${row.expected}`]))),
  ];
}

async function sources() {
  const [found, chain] = await Promise.all([post("/v1/cloister/context", { sources: true }), get("/v1/cloister/chain")]);
  const stage = (text) => mark(["ready", "open"].includes(text) ? "good" : text === "failed" ? "bad" : "warn", text);
  const word = (value) => (typeof value === "string" ? value : value?.stage ?? Object.keys(value ?? {})[0] ?? "");
  return [
    h("h3", {}, "Sources"),
    found.results.length === 0 ? h("p", { class: "none" }, "None that you may read.")
      : table("Sources", [["Source"], ["Stage"], ["Revision"], ["Files", "num"], ["Labels", "wide"]],
        found.results.map((source) => [source.source, stage(word(source.stage)), digest(source.revision) ?? "", source.files === null ? "" : number(source.files), source.labels.join(", ")])),
    h("h3", {}, "Corpora of known code"),
    chain.corpora.length === 0 ? h("p", { class: "none" }, "None that you may see.")
      : table("Corpora", [["Corpus"], ["Stage"], ["Root"], ["Files", "num"], ["Labels", "wide"]],
        chain.corpora.map((corpus) => [corpus.name, stage(word(corpus.stage)), digest(corpus.root), corpus.documents === null ? "" : number(corpus.documents), corpus.labels.join(", ")])),
  ];
}

// Speed.

/** The samples of `/metrics`: name, labels, value. */
function parse(text) {
  const found = [];
  for (const line of text.split("\n")) {
    const [, name, labels, value] = /^([a-z_]+)(?:\{([^}]*)\})? (\S+)/.exec(line) ?? [];
    if (name === undefined) continue;
    const named = Object.fromEntries([...(labels ?? "").matchAll(/([a-z_]+)="([^"]*)"/g)].map(([, label, given]) => [label, given]));
    found.push({ name, labels: named, value: Number(value) });
  }
  return found;
}

const total = (metrics, name) => metrics.filter((metric) => metric.name === name).reduce((sum, metric) => sum + metric.value, 0);

/** Buckets of a histogram over all dialects: [upper edge in seconds, how many], not cumulative. */
function histogram(metrics, name) {
  const edges = new Map();
  for (const metric of metrics) {
    if (metric.name === `${name}_bucket`) edges.set(metric.labels.le, (edges.get(metric.labels.le) ?? 0) + metric.value);
  }
  const sorted = [...edges].map(([edge, count]) => [edge === "+Inf" ? Infinity : Number(edge), count]).sort(([one], [other]) => one - other);
  return sorted.map(([edge, count], at) => [edge, count - (at > 0 ? sorted[at - 1][1] : 0)]);
}

async function sample() {
  try {
    const metrics = parse(await (await ask("/metrics")).text());
    samples.push({
      at: Date.now(),
      running: total(metrics, "cloister_requests_running"),
      tokens: total(metrics, "cloister_answer_tokens_total"),
    });
    samples = samples.slice(-SAMPLES_MAX);
    const rates = samples.slice(1).map((next, at) => {
      const before = samples[at];
      return Math.max(0, next.tokens - before.tokens) / Math.max(0.001, (next.at - before.at) / 1000);
    });
    put(parts.speed,
      bars("First text, streamed answers", histogram(metrics, "cloister_first_text_seconds")),
      bars("Whole requests", histogram(metrics, "cloister_request_duration_seconds")),
      line("Tokens answered each second", rates),
      line("Requests in the pipeline", samples.map((each) => each.running)));
  } catch (error) {
    put(parts.speed, failure(error));
  }
}

const WIDTH = 320;
const HEIGHT = 96;

const seconds = (value) => (value === Infinity ? "longer" : value < 1 ? `${Math.round(value * 1000)} ms` : `${value >= 10 ? Math.round(value) : value.toFixed(1)} s`);

/** The bucket's edge below which that share lies. */
function quantile(buckets, share) {
  const all = buckets.reduce((sum, [, count]) => sum + count, 0);
  let below = 0;
  for (const [edge, count] of buckets) {
    below += count;
    if (below >= all * share) return edge;
  }
  return Infinity;
}

function figure(title, said, ...drawn) {
  return h("figure", { class: "chart" }, h("figcaption", {}, h("strong", {}, title), " ", h("span", { class: "detail" }, said)),
    s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT + 14}`, role: "img", "aria-label": `${title}: ${said}` }, drawn));
}

function bars(title, buckets) {
  const all = buckets.reduce((sum, [, count]) => sum + count, 0);
  if (all === 0) return figure(title, "none yet", axis());
  const most = Math.max(...buckets.map(([, count]) => count));
  const step = WIDTH / buckets.length;
  const drawn = buckets.map(([edge, count], at) => {
    const tall = count === 0 ? 0 : Math.max(2, (count / most) * (HEIGHT - 4));
    return s("rect", { class: "fill", x: (at * step + 1).toFixed(1), width: (step - 2).toFixed(1), y: (HEIGHT - tall).toFixed(1), height: tall.toFixed(1) }, s("title", {}, `up to ${seconds(edge)}: ${number(count)}`));
  });
  const marks = [0, 4, 8, 12].filter((at) => at < buckets.length).map((at) => s("text", { x: (at * step + 1).toFixed(1), y: HEIGHT + 11 }, seconds(buckets[at][0])));
  return figure(title, `${number(all)}; half within ${seconds(quantile(buckets, 0.5))}, 95 % within ${seconds(quantile(buckets, 0.95))}`, axis(), drawn, marks);
}

const axis = () => s("line", { class: "axis", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT });

function line(title, values) {
  if (values.length < 2) return figure(title, values.length ? `${number(values[0])} now` : "two samples are needed", axis());
  const most = Math.max(1, ...values);
  const points = values.map((value, at) => `${((at / (values.length - 1)) * WIDTH).toFixed(1)},${(HEIGHT - (value / most) * (HEIGHT - 4)).toFixed(1)}`);
  return figure(title, `${values.at(-1).toFixed(values.at(-1) < 10 ? 1 : 0)} now, at most ${most.toFixed(most < 10 ? 1 : 0)}`, axis(), s("polyline", { class: "stroke", points: points.join(" ") }));
}
