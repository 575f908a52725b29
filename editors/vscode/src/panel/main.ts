// The page of the chat. It draws what the extension sends and sends back what a person does.

import type { FromPanel, Subject, ToPanel, Turn } from "../conversation";
import { button, element, markdown, type CodeActions } from "./dom";
import { sections, type Line, type Section } from "./findings";

declare function acquireVsCodeApi(): { postMessage(message: FromPanel): void };

const editor = acquireVsCodeApi();
const turns = document.getElementById("turns") as HTMLElement;
const subject = document.getElementById("subject") as HTMLElement;
const question = document.getElementById("question") as HTMLTextAreaElement;
const send = document.getElementById("send") as HTMLButtonElement;
const model = document.getElementById("model") as HTMLElement;

const known = new Map<string, Turn>();
const checked = { file: true, selection: true };
let running: string | undefined;
let isDrawing = false;

const actions: CodeActions = {
  insert: (text) => editor.postMessage({ type: "insert", text }),
  copy: (text) => editor.postMessage({ type: "copy", text }),
};

window.addEventListener("message", (event: MessageEvent<ToPanel>) => {
  const sent = event.data;
  switch (sent.type) {
    case "all":
      known.clear();
      turns.replaceChildren();
      running = undefined;
      for (const turn of sent.turns) show(turn);
      if (sent.turns.length === 0) welcome();
      showSubject(sent.subject);
      showModel(sent.model);
      showSend();
      break;
    case "turn":
      show(sent.turn);
      showSend();
      break;
    case "text": {
      const turn = known.get(sent.id);
      if (turn === undefined) break;
      turn.answer += sent.text;
      drawSoon(turn);
      break;
    }
    case "subject":
      showSubject(sent.subject);
      break;
    case "model":
      showModel(sent.model);
      break;
    case "focus":
      question.focus();
  }
});

question.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  ask();
});
question.addEventListener("input", fit);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && running !== undefined) editor.postMessage({ type: "stop" });
});
send.addEventListener("click", () => (running === undefined ? ask() : editor.postMessage({ type: "stop" })));

function ask(): void {
  const words = question.value.trim();
  if (words === "" || running !== undefined) return;
  editor.postMessage({ type: "ask", question: words, withFile: checked.file, withSelection: checked.selection });
  question.value = "";
  fit();
}

function fit(): void {
  const lines = question.value.split("\n").length;
  question.rows = Math.min(12, Math.max(3, lines));
}

function welcome(): void {
  turns.append(
    element(
      "div",
      "welcome",
      element("p", "", "The model runs inside your own network, and what you ask stays there."),
      element("p", "", "Each answer has a record in the ledger, the sources that the model was given, the known code that it matches, and what compilers say of it."),
    ),
  );
}

function showSubject(now: Subject): void {
  const boxes: Node[] = [];
  if (now.file !== undefined) boxes.push(box("file", now.file, "Send this file with the question"));
  if (now.selected !== undefined) {
    const [first, last] = now.selected;
    boxes.push(box("selection", first === last ? `line ${first}` : `lines ${first} to ${last}`, "Send the selected lines with the question"));
  }
  // The one who is on such a box keeps it.
  const at = document.activeElement instanceof HTMLInputElement ? document.activeElement.id : "";
  subject.replaceChildren(...boxes);
  if (at !== "") document.getElementById(at)?.focus();
}

function box(name: "file" | "selection", words: string, title: string): Node {
  const input = element("input");
  input.type = "checkbox";
  input.id = `with-${name}`;
  input.checked = checked[name];
  input.addEventListener("change", () => (checked[name] = input.checked));
  const label = element("label", "", input, element("span", "", words));
  label.title = title;
  return label;
}

function showModel(name: string): void {
  model.textContent = name === "" ? "no model answers" : name;
}

function showSend(): void {
  send.textContent = running === undefined ? "Ask" : "Stop";
  send.classList.toggle("secondary", running !== undefined);
}

function show(turn: Turn): void {
  turns.querySelector(".welcome")?.remove();
  if (turn.state === "running") running = turn.id;
  else if (running === turn.id) running = undefined;
  known.set(turn.id, turn);
  draw(turn);
}

/** Text comes in many small pieces: it is drawn once a frame. */
function drawSoon(turn: Turn): void {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    draw(turn);
  });
}

function draw(turn: Turn): void {
  const isAtEnd = turns.scrollHeight - turns.scrollTop - turns.clientHeight < 60;
  const before = document.getElementById(`turn-${turn.id}`);
  const now = element("article", `turn ${turn.state}`, asked(turn), ...answered(turn));
  now.id = `turn-${turn.id}`;
  now.setAttribute("aria-busy", String(turn.state === "running"));
  if (before === null) turns.append(now);
  else before.replaceWith(now);
  if (isAtEnd || before === null) turns.scrollTop = turns.scrollHeight;
}

function asked(turn: Turn): Node {
  const made = element("div", "question", element("div", "words", turn.question));
  if (turn.about.length > 0) made.append(element("div", "about", turn.about.join(" · ")));
  return made;
}

function answered(turn: Turn): Node[] {
  const answer = element("div", "answer", ...markdown(turn.answer, actions));
  if (turn.state === "running") {
    if (turn.answer === "") answer.append(element("p", "wait", "Reading…"));
    return [answer];
  }
  if (turn.state === "failed") answer.append(element("p", "failure", turn.failure ?? "It failed."));
  if (turn.state === "stopped") answer.append(element("p", "note", "Stopped."));
  if (turn.stop === "length") answer.append(element("p", "note", "It was cut off at the most tokens that an answer may have."));
  const nodes: Node[] = [answer];
  if (turn.findings !== undefined) {
    nodes.push(element("div", "findings", ...sections(turn.findings).map((one) => section(turn.id, one))));
  }
  if (turn.answer !== "") nodes.push(foot(turn));
  return nodes;
}

function foot(turn: Turn): Node {
  const made = element("div", "foot");
  const { record } = turn;
  if (record !== undefined) {
    made.append(button(`Record ${record}`, `Show record ${record} of the ledger`, () => editor.postMessage({ type: "record", record })));
  }
  made.append(button("Copy answer", "Copy the whole answer", () => actions.copy(turn.answer)));
  if (turn.deployment !== undefined) made.append(element("span", "deployment", turn.deployment));
  return made;
}

/** What was opened stays open while the conversation goes on. */
const opened = new Set<string>();

function section(turn: string, { title, gist, weight, lines }: Section): Node {
  const head = element("summary", "", element("span", "title", title), element("span", `gist ${weight}`, gist));
  if (lines.length === 0) return element("div", "finding empty", ...head.childNodes);
  const made = element("details", "finding", head, element("ul", "", ...lines.map(line)));
  const key = `${turn} ${title}`;
  made.open = opened.has(key) || ((weight === "bad" || weight === "warn") && !opened.has(`${key} closed`));
  made.addEventListener("toggle", () => {
    opened[made.open ? "add" : "delete"](key);
    opened[made.open ? "delete" : "add"](`${key} closed`);
  });
  return made;
}

function line({ text, weight, more }: Line): Node {
  const made = element("li", weight, element("span", "", text));
  for (const one of more) made.append(element("div", "more", one));
  return made;
}

editor.postMessage({ type: "ready" });
