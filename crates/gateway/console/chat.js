// Chat: a conversation with a model, streamed, with what was found out about each answer beside it.

import { ask, get } from "./session.js";
import { events } from "./stream.js";
import { failure, h, mark, prose, put, record } from "./elements.js";
import { findings } from "./findings.js";

let parts;
let messages = [];
let running = null;

export async function show(view) {
  parts ??= build(view);
  try {
    const { data } = await get("/v1/models");
    const chosen = parts.model.value;
    put(parts.model, data.map((model) =>
      h("option", { value: model.id }, model.cloister.up ? model.id : `${model.id} (not running)`)));
    if (data.some((model) => model.id === chosen)) parts.model.value = chosen;
  } catch (error) {
    if (error.status !== 401) put(parts.said, failure(error));
  }
  if (messages.length === 0) parts.text.focus();
}

function build(view) {
  const model = h("select", { id: "chat-model" });
  const context = h("input", { id: "chat-context", type: "checkbox", checked: true });
  const text = h("textarea", { id: "chat-text", rows: 3, required: true, "aria-describedby": "chat-keys" });
  const send = h("button", { type: "submit" }, "Send");
  const stop = h("button", { type: "button", class: "stop", hidden: true, click: () => running?.abort() }, "Stop");
  const anew = h("button", { type: "button", class: "quiet", click: restart }, "New conversation");
  const log = h("div", { class: "conversation", role: "log", "aria-label": "Conversation", "aria-live": "polite", "aria-relevant": "additions" });
  const said = h("p", { class: "said", role: "status" });
  const form = h("form", { class: "ask", submit: (event) => { event.preventDefault(); converse(); } },
    h("label", { for: "chat-text" }, "Your question"), text,
    h("div", { class: "row" }, send, stop, anew,
      h("span", { class: "together" }, h("label", { for: "chat-model" }, "Model"), model),
      h("label", { class: "check", for: "chat-context" }, context, "with the team's sources"),
      h("span", { id: "chat-keys", class: "detail" }, "Enter sends, Shift and Enter begins a line.")));
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  put(view, h("h1", { id: "chat-title" }, "Chat"),
    h("p", { class: "lead" }, "Every question and answer goes on record before you see it."), log, said, form);
  return { model, context, text, send, stop, log, said };
}

function restart() {
  running?.abort();
  messages = [];
  put(parts.log);
  put(parts.said);
  parts.text.focus();
}

async function converse() {
  const question = parts.text.value.trim();
  if (question === "" || running !== null) return;
  const asked = [...messages, { role: "user", content: question }];
  parts.text.value = "";
  parts.log.append(h("article", { class: "turn asked", "aria-label": "You asked" }, h("h2", {}, "You"), h("p", { class: "prose" }, question)));
  const body = h("div", { class: "answer" });
  const beside = h("div", { class: "beside" });
  const turn = h("article", { class: "turn answered", "aria-label": "Answer", "aria-busy": "true" }, h("h2", {}, parts.model.value || "Answer"), body, beside);
  parts.log.append(turn);
  turn.scrollIntoView({ block: "nearest" });
  running = new AbortController();
  parts.stop.hidden = false;
  parts.send.disabled = true;
  put(parts.said, "Waiting for the first words.");
  let answer = "";
  let about = null;
  let number = null;
  try {
    const response = await ask("/v1/chat/completions", {
      signal: running.signal,
      body: {
        model: parts.model.value || undefined,
        messages: asked,
        stream: true,
        stream_options: { include_usage: true },
        cloister: { context: parts.context.checked },
      },
    });
    number = response.headers.get("x-cloister-record");
    let usage = null;
    for await (const { data, comment } of events(response)) {
      if (comment !== undefined) put(parts.said, comment);
      if (data === undefined || data === "[DONE]") continue;
      const event = JSON.parse(data);
      if (event.error) throw new Error(event.error.message);
      const piece = event.choices?.[0]?.delta?.content;
      if (piece) {
        if (answer === "") put(parts.said, "Answering.");
        answer += piece;
        put(body, prose(answer));
      }
      about = event.cloister ?? about;
      usage = event.usage ?? usage;
    }
    messages = [...asked, { role: "assistant", content: answer }];
    put(parts.said, usage ? `Answered: ${usage.completion_tokens} tokens, of a prompt of ${usage.prompt_tokens}.` : "Answered.");
  } catch (error) {
    if (error.name === "AbortError") {
      put(parts.said, "Stopped. What was shown is on record.");
      if (answer !== "") messages = [...asked, { role: "assistant", content: answer }];
      body.append(h("p", { class: "detail" }, mark("warn", "stopped by you")));
    } else {
      put(parts.said);
      body.append(failure(error));
    }
  } finally {
    number = about?.record ?? number;
    if (number !== null) beside.append(h("p", { class: "detail" }, "Record ", record(number)));
    if (about !== null) beside.append(findings(about));
    turn.removeAttribute("aria-busy");
    running = null;
    parts.stop.hidden = true;
    parts.send.disabled = false;
    parts.text.focus({ preventScroll: true });
  }
}
