// The little of Markdown that models write: fences, headings, lists, quotes, rules, tables as they stand, and within a
// line code, strong and emphasis. There are no links, no pictures and no HTML: what looks like one is shown as it is written.

export type Inline = { kind: "text" | "code" | "strong" | "emphasis"; text: string };

export type Block =
  | { kind: "paragraph"; inlines: Inline[] }
  | { kind: "heading"; level: number; inlines: Inline[] }
  | { kind: "list"; ordered: boolean; first: number; items: Inline[][] }
  | { kind: "quote"; inlines: Inline[] }
  | { kind: "rule" }
  | { kind: "code"; language: string; text: string; isClosed: boolean };

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`\s]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const BULLET = /^\s{0,6}[-*+]\s+(.*)$/;
const NUMBER = /^\s{0,6}(\d{1,6})[.)]\s+(.*)$/;
const RULE = /^ {0,3}(?:-\s*){3,}$|^ {0,3}(?:\*\s*){3,}$|^ {0,3}(?:_\s*){3,}$/;
const QUOTE = /^ {0,3}>\s?(.*)$/;

export function blocks(markdown: string): Block[] {
  const lines = markdown.replaceAll("\r\n", "\n").split("\n");
  const out: Block[] = [];
  let paragraph: string[] = [];
  const flush = () => {
    if (paragraph.length > 0) out.push({ kind: "paragraph", inlines: inlines(paragraph.join("\n")) });
    paragraph = [];
  };
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? "";
    const fence = FENCE.exec(line);
    if (fence !== null) {
      flush();
      const [, mark = "```", language = ""] = fence;
      const indent = line.length - line.trimStart().length;
      const code: string[] = [];
      let isClosed = false;
      for (at += 1; at < lines.length; at += 1) {
        const inside = lines[at] ?? "";
        if (closes(inside, mark)) {
          isClosed = true;
          break;
        }
        code.push(inside.slice(0, indent).trim() === "" ? inside.slice(indent) : inside);
      }
      out.push({ kind: "code", language, text: code.join("\n"), isClosed });
      continue;
    }
    if (line.trim() === "") {
      flush();
      continue;
    }
    const heading = HEADING.exec(line);
    const quote = QUOTE.exec(line);
    const bullet = RULE.test(line) ? null : BULLET.exec(line);
    const number = NUMBER.exec(line);
    if (RULE.test(line)) {
      flush();
      out.push({ kind: "rule" });
    } else if (heading !== null) {
      flush();
      out.push({ kind: "heading", level: heading[1]?.length ?? 1, inlines: inlines(heading[2] ?? "") });
    } else if (quote !== null) {
      flush();
      out.push({ kind: "quote", inlines: inlines(quote[1] ?? "") });
    } else if (bullet !== null) {
      flush();
      item(out, false, 1, bullet[1] ?? "");
    } else if (number !== null) {
      flush();
      item(out, true, Number(number[1]), number[2] ?? "");
    } else {
      paragraph.push(line);
    }
  }
  flush();
  return out;
}

function closes(line: string, mark: string): boolean {
  const trimmed = line.trim();
  return trimmed.length >= mark.length && trimmed === mark.charAt(0).repeat(trimmed.length);
}

function item(out: Block[], ordered: boolean, first: number, words: string): void {
  const last = out.at(-1);
  if (last?.kind === "list" && last.ordered === ordered) last.items.push(inlines(words));
  else out.push({ kind: "list", ordered, first, items: [inlines(words)] });
}

/** Code first: what stands in it is nothing else. */
export function inlines(words: string): Inline[] {
  const out: Inline[] = [];
  const pattern = /(`+)(?!`)(.+?)(?<!`)\1(?!`)|\*\*(?=\S)([^*\n]+?)(?<=\S)\*\*|\*(?=[^\s*])([^*\n]+?)(?<=\S)\*(?!\*)/gs;
  let end = 0;
  for (const match of words.matchAll(pattern)) {
    if (match.index > end) out.push({ kind: "text", text: words.slice(end, match.index) });
    const [whole, , code, strong, emphasis] = match;
    if (code !== undefined) out.push({ kind: "code", text: code });
    else if (strong !== undefined) out.push({ kind: "strong", text: strong });
    else out.push({ kind: "emphasis", text: emphasis ?? "" });
    end = match.index + whole.length;
  }
  if (end < words.length) out.push({ kind: "text", text: words.slice(end) });
  return out;
}
