// Elements from names, attributes and texts. Every text becomes a text node; there is no other way in.

const SVG = "http://www.w3.org/2000/svg";

/** Where a link may lead: within this server's console, or to a file made in this page. */
function isLink(address) {
  return address.startsWith("/console") || address.startsWith("#") || address.startsWith("blob:");
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") {
      node.addEventListener(name, value);
      continue;
    }
    // A name is always this program's own; an address may hold a number of a record.
    if (name.startsWith("on") || name === "style" || name === "src") throw new Error(`no attribute ${name} here`);
    if (name === "href" && !isLink(String(value))) throw new Error("a link that leads elsewhere");
    node.setAttribute(name, value === true ? "" : String(value));
  }
  append(node, children);
  return node;
}

function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** An element: `h("p", { class: "note", click: () => … }, "text", …)`. */
export const h = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);

/** The same, of a drawing. */
export const s = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

/** Puts these in place of what an element holds. */
export function put(node, ...children) {
  node.replaceChildren();
  append(node, children);
  return node;
}

/** A list of terms; pairs without a value are left out. */
export function terms(pairs) {
  const given = pairs.filter(([, value]) => value !== undefined && value !== null && value !== "");
  return h("dl", { class: "terms" }, given.map(([term, value]) => [h("dt", {}, term), h("dd", {}, value)]));
}

/** A table with a caption that is read out. `columns` are [heading, class]. */
export function table(caption, columns, rows) {
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h("table", {},
      h("caption", { class: "unseen" }, caption),
      h("thead", {}, h("tr", {}, columns.map(([heading, kind]) => h("th", { scope: "col", class: kind }, heading)))),
      h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell, place) => h("td", { class: columns[place]?.[1] }, cell)))))));
}

/** A word with a mark before it: colour is never alone. */
export function mark(kind, ...words) {
  const sign = { good: "✓", bad: "✕", warn: "!", idle: "·" }[kind];
  return h("span", { class: `mark-${kind}` }, h("span", { "aria-hidden": "true", class: "sign" }, sign), words);
}

/** The link of a record. */
export const record = (number, ...words) =>
  h("a", { href: `/console/records/${Number(number)}` }, words.length ? words : `${number}`);

/** A digest, short; all of it in the title and to a screen reader's user who asks. */
export function digest(text) {
  if (!text) return null;
  const whole = String(text);
  const short = whole.replace(/^sha256:/, "").slice(0, 12);
  return h("code", { class: "digest", title: whole }, short, h("span", { class: "unseen" }, ` (${whole})`));
}

/** A moment in UTC, to the second. */
export function moment(milliseconds) {
  const date = new Date(Number(milliseconds));
  if (Number.isNaN(date.getTime())) return "";
  const text = date.toISOString();
  return h("time", { datetime: text }, text.slice(0, 19).replace("T", " ") + "Z");
}

/** How long ago, in one unit. */
export function ago(milliseconds) {
  const seconds = Math.max(0, Math.round((Date.now() - milliseconds) / 1000));
  for (const [unit, length] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (seconds >= length) {
      const count = Math.floor(seconds / length);
      return `${count} ${unit}${count === 1 ? "" : "s"} ago`;
    }
  }
  return `${seconds} second${seconds === 1 ? "" : "s"} ago`;
}

export const number = (value) => Number(value).toLocaleString("en-GB");

/** Text with its fences of code set apart. */
export function prose(text) {
  const parts = String(text).split(/^```([^\n`]*)\n([\s\S]*?)(?:^```[ \t]*$|(?![\s\S]))/m);
  const nodes = [];
  for (let at = 0; at < parts.length; at += 3) {
    const plain = parts[at].replace(/^\n+|\n+$/g, "");
    if (plain) nodes.push(h("p", { class: "prose" }, plain.split(/`([^`\n]+)`/).map((piece, place) => (place % 2 === 0 ? piece : h("code", {}, piece)))));
    if (parts[at + 2] !== undefined) nodes.push(code(parts[at + 2], parts[at + 1].trim()));
  }
  return nodes;
}

/** A block of code that can be scrolled by keyboard. */
export function code(text, language) {
  return h("pre", { tabindex: 0, role: "region", "aria-label": language ? `Code, ${language}` : "Code" }, h("code", {}, text.replace(/\n$/, "")));
}

/** Says what went wrong. */
export function failure(error) {
  return h("p", { class: "note bad", role: "alert" }, mark("bad", error.message ?? String(error)));
}
