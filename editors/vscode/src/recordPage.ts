// A record as a page to read. It reads what the document has and passes over what it has not: it comes from another
// program, maybe of another version. Every text of others stands behind a bar, so that it cannot pass for a heading.

type Json = Record<string, unknown>;

const TEXT_CHARACTERS_MAX = 400_000;

export function recordPage(record: number, document: unknown): string {
  const page = new Page();
  const event = eventOf(document);
  const kind = text(event["kind"]) || "unknown";
  page.heading(`Record ${record}: ${kind}`);
  page.fact("when", when(document));
  page.facts(event);
  page.fact("hash", text(object(document)["hash"]));
  const body = object(document)["body"];
  const related = list(object(document)["related"]);
  if (kind === "intent") {
    prompt(page, body);
    answer(page, related);
  } else if (isObject(body)) {
    page.heading("Body");
    page.block(JSON.stringify(body, undefined, 2));
  }
  for (const leaf of related) {
    const name = text(eventOf(leaf)["kind"]);
    if (name === "block" || name === "result") continue;
    page.heading(`${capital(name || "unknown")}: leaf ${index(leaf)}`);
    page.fact("when", when(leaf));
    page.facts(eventOf(leaf));
    const diagnostics = text(object(object(leaf)["body"])["diagnostics_text"]);
    if (diagnostics !== "") page.block(check(diagnostics));
  }
  return page.end();
}

function prompt(page: Page, body: unknown): void {
  if (!isObject(body)) {
    page.heading("Prompt");
    page.block("(its body was erased, or the server cannot open it)");
    return;
  }
  for (const one of list(parsed(body["context_text"])).map(object)) {
    const place = [text(one["source"]), text(one["path"]) || text(one["file_name"])].filter((part) => part !== "").join("/");
    const lines = typeof one["first_line"] === "number" ? `:${one["first_line"]}-${String(one["last_line"])}` : "";
    page.heading(`Context: ${oneLine(place)}${lines}`);
    page.block(text(one["text"]));
  }
  const asked = object(parsed(body["prompt_text"]));
  if (isObject(asked["chat"])) {
    for (const one of list(asked["chat"]["messages"]).map(object)) {
      page.heading(`Prompt: ${oneLine(text(one["role"]))}`);
      page.block(text(one["content"]));
    }
  } else if (isObject(asked["fill"])) {
    page.heading("Prompt: before the cursor");
    page.block(text(asked["fill"]["prefix"]));
    page.heading("Prompt: behind the cursor");
    page.block(text(asked["fill"]["suffix"]));
  } else {
    page.heading("Prompt");
    page.block(text(object(asked["complete"])["prompt"]) || text(body["prompt_text"]));
  }
}

function answer(page: Page, related: readonly unknown[]): void {
  const of = (kind: string) => related.filter((leaf) => eventOf(leaf)["kind"] === kind);
  const blocks = of("block");
  const [result] = of("result");
  if (result === undefined) {
    page.heading("Answer: no result; it runs, or the server ended while it ran");
    page.block(blocks.map((leaf) => text(object(object(leaf)["body"])["block_text"])).join(""));
    return;
  }
  const body = object(object(result)["body"]);
  const absent = "withheld" in body ? "(withheld by the site's policy: an administrator sees it)" : "(its body was erased)";
  page.heading("Answer");
  page.block(text(body["output_text"]) || absent);
  page.heading(`Result: leaf ${index(result)}`);
  page.fact("when", when(result));
  if (blocks.length > 0) page.fact("blocks streamed", String(blocks.length));
  page.facts(eventOf(result));
  if (isObject(body["provenance"])) {
    page.heading("Known code");
    page.block(knownCode(body["provenance"]));
  }
}

function knownCode(provenance: Json): string {
  const corpora = list(provenance["corpora"]).map((one) => text(object(one)["name"]));
  const matches = list(provenance["matches"]).map(object).map((one) => {
    const [first, last] = list(one["lines"]);
    const licences = list(one["licences"]).map(text).join(", ");
    const from = text(one["from"]);
    const head = `lines ${String(first)} to ${String(last)}: ${text(one["kind"])}${from === "" ? "" : ` from ${from}`}, ${String(one["lexemes"])} lexemes`;
    const places = list(one["origins"]).map(object).map((found) => {
      const origin = object(found["origin"]);
      return `  ${[text(origin["package"]), text(origin["version"]), text(origin["path"])].filter((part) => part !== "").join(" ")}`;
    });
    return [licences === "" ? head : `${head} · ${licences}`, ...places].join("\n");
  });
  const asked = corpora.length === 0 ? "(there was no corpus to compare with)" : `compared with ${corpora.join(", ")}`;
  return [asked, ...matches].join("\n");
}

function check(diagnostics: string): string {
  const one = object(parsed(diagnostics));
  if (!("outcome" in one)) return diagnostics;
  const remarks = list(one["remarks"]).map(object).map((remark) => {
    const place = [remark["line"], remark["column"]].filter((part) => typeof part === "number").join(":");
    return `${place === "" ? "" : `${place}: `}${text(remark["severity"])}: ${text(remark["message"])}`;
  });
  return [`${text(one["checker"])} ${text(one["version"])}: ${text(one["outcome"])} (${text(one["claims"])})`, ...remarks].join("\n");
}

class Page {
  private out = "";

  heading(words: string): void {
    this.out += `${this.out === "" ? "" : "\n"}${oneLine(words)}\n`;
  }

  fact(name: string, value: string): void {
    if (value !== "") this.out += `  ${name.padEnd(21)} ${oneLine(value)}\n`;
  }

  facts(event: Json): void {
    for (const [name, value] of Object.entries(event)) {
      if (name !== "kind" && name !== "record") this.fact(name.replaceAll("_", " "), factText(name, value));
    }
  }

  block(words: string): void {
    const cut = words.length > TEXT_CHARACTERS_MAX ? `${words.slice(0, TEXT_CHARACTERS_MAX)}\n(… and more)` : words;
    for (const line of cut.split("\n")) this.out += `  | ${line.replaceAll("\r", "")}\n`;
  }

  end(): string {
    return this.out;
  }
}

function factText(name: string, value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) {
    return value.length === 0 ? "none" : value.map((one) => (typeof one === "string" ? one : JSON.stringify(one))).join(", ");
  }
  if (!isObject(value)) return name === "choice" ? String(value).replaceAll("_", " ") : String(value);
  if (name === "sampling" && value["temperature"] === 0) return "greedy";
  return Object.entries(value).map(([key, one]) => `${key.replaceAll("_", " ")} ${factText(key, one)}`).join(", ");
}

function when(leaf: unknown): string {
  const time = object(object(leaf)["leaf"])["time_unix_ms"];
  return typeof time === "number" && Math.abs(time) < 8e15 ? new Date(time).toISOString() : "";
}

function eventOf(leaf: unknown): Json {
  return object(object(object(leaf)["leaf"])["event"]);
}

function index(leaf: unknown): string {
  const at = object(leaf)["index"];
  return typeof at === "number" ? String(at) : "?";
}

function parsed(value: unknown): unknown {
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function object(value: unknown): Json {
  return isObject(value) ? value : {};
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

function oneLine(words: string): string {
  return words.replace(/[\r\n\u2028\u2029]+/g, " ");
}
