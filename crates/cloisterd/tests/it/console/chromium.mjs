// A headless Chromium over the DevTools protocol, by a pair of pipes: no port, no package.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** For anything that a page is waited for. */
const WAIT_MS_MAX = 180_000;

export class Chromium {
  #process;
  #profile = mkdtempSync(join(tmpdir(), "console-"));
  #waiting = new Map();
  #number = 0;
  #rest = Buffer.alloc(0);
  listeners = [];

  constructor(program) {
    this.#process = spawn(program, [
      "--headless=new", "--remote-debugging-pipe", `--user-data-dir=${this.#profile}`, "--no-sandbox", "--disable-gpu",
      "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
      "--disable-extensions", "--disable-dev-shm-usage", "--hide-scrollbars", "--window-size=1280,900",
    ], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    this.#process.stdio[4].on("data", (bytes) => this.#read(bytes));
    this.#process.on("exit", () => this.#waiting.forEach(({ reject }) => reject(new Error("Chromium ended"))));
  }

  #read(bytes) {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    let end;
    while ((end = this.#rest.indexOf(0)) >= 0) {
      const message = JSON.parse(this.#rest.subarray(0, end).toString());
      this.#rest = this.#rest.subarray(end + 1);
      if (message.id === undefined) {
        this.listeners.forEach((listener) => listener(message));
        continue;
      }
      const { resolve, reject, method } = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (message.error) reject(new Error(`${method}: ${message.error.message}`));
      else resolve(message.result);
    }
  }

  send(method, params = {}, sessionId = undefined) {
    const id = ++this.#number;
    this.#process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject, method }));
  }

  /** A tab in a profile of its own. */
  async page() {
    const { browserContextId } = await this.send("Target.createBrowserContext");
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank", browserContextId });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const page = new Page(this, sessionId);
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await page.send(`${domain}.enable`);
    return page;
  }

  async close() {
    const ended = new Promise((resolve) => this.#process.on("exit", resolve));
    await this.send("Browser.close").catch(() => {});
    await ended;
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

export class Page {
  #browser;
  #session;
  /** What the page said that it should not have: exceptions, errors on its console, refusals of the policy. */
  errors = [];
  /** Addresses that it asked for. */
  requests = [];
  /** What a response is turned into, by a part of its address: `{ match, change }`. */
  #changed = [];

  constructor(browser, session) {
    this.#browser = browser;
    this.#session = session;
    browser.listeners.push((message) => message.sessionId === session && this.#heard(message));
  }

  #heard({ method, params }) {
    if (method === "Runtime.exceptionThrown") this.errors.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    if (method === "Runtime.consoleAPICalled" && ["error", "warning"].includes(params.type)) this.errors.push(params.args.map((value) => value.value).join(" "));
    if (method === "Log.entryAdded" && params.entry.level === "error") this.errors.push(`${params.entry.text} ${params.entry.url ?? ""}`);
    if (method === "Network.requestWillBeSent") this.requests.push(params.request.url);
    if (method === "Fetch.requestPaused") this.#replace(params);
  }

  async #replace({ requestId, request, responseStatusCode }) {
    const found = this.#changed.find(({ match }) => request.url.includes(match));
    if (found === undefined) return this.send("Fetch.continueRequest", { requestId });
    const { body, base64Encoded } = await this.send("Fetch.getResponseBody", { requestId });
    const text = base64Encoded ? Buffer.from(body, "base64").toString() : body;
    await this.send("Fetch.fulfillRequest", {
      requestId, responseCode: responseStatusCode, body: Buffer.from(found.change(text)).toString("base64"),
      responseHeaders: [{ name: "content-type", value: "application/json" }],
    });
  }

  send(method, params) {
    return this.#browser.send(method, params, this.#session);
  }

  /** From now on, responses of addresses with `match` come changed; nothing is any more without arguments. */
  async change(match, change) {
    this.#changed = match === undefined ? [] : [{ match, change }];
    if (match === undefined) await this.send("Fetch.disable");
    else await this.send("Fetch.enable", { patterns: [{ urlPattern: `*${match}*`, requestStage: "Response" }] });
  }

  async go(url) {
    const loaded = new Promise((resolve) => {
      const listener = ({ sessionId, method }) => {
        if (sessionId !== this.#session || method !== "Page.loadEventFired") return;
        this.#browser.listeners.splice(this.#browser.listeners.indexOf(listener), 1);
        resolve();
      };
      this.#browser.listeners.push(listener);
    });
    await this.send("Page.navigate", { url });
    await loaded;
  }

  /** The value of an expression in the page; promises are waited for. */
  async value(expression) {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(`${expression.slice(0, 80)}: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
    return result.value;
  }

  /** Waits until an expression is true. */
  async until(expression, wait_ms = WAIT_MS_MAX) {
    const deadline = Date.now() + wait_ms;
    // A page that goes while it is asked is asked again when the next one is there.
    const holds = () => this.value(`Boolean(${expression})`).catch((error) => {
      if (/navigated|context/.test(error.message)) return false;
      throw error;
    });
    while (!(await holds())) {
      if (Date.now() > deadline) throw new Error(`never: ${expression}\nThe page: ${await this.value("document.body.innerText.slice(0, 2000)")}`);
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  }

  async key(key, { shift = false } = {}) {
    const codes = { Enter: 13, Tab: 9, Escape: 27, " ": 32 };
    const event = { key, code: key === " " ? "Space" : key, windowsVirtualKeyCode: codes[key], modifiers: shift ? 8 : 0 };
    await this.send("Input.dispatchKeyEvent", { ...event, type: "keyDown", text: key === "Enter" ? "\r" : key === " " ? " " : undefined });
    await this.send("Input.dispatchKeyEvent", { ...event, type: "keyUp" });
  }

  /** Types into what has the focus. */
  type(text) {
    return this.send("Input.insertText", { text });
  }

  /** Moves on by the tabulator until the focus is on what the selector names. */
  async tabTo(selector, steps_max = 60) {
    for (let step = 0; step < steps_max; step++) {
      if (await this.value(`document.activeElement?.matches(${JSON.stringify(selector)}) ?? false`)) return step;
      await this.key("Tab");
    }
    throw new Error(`the tabulator never reaches ${selector}`);
  }

  async size(width, height) {
    await this.send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
  }

  async scheme(value) {
    await this.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value }] });
  }

  async picture() {
    const { data } = await this.send("Page.captureScreenshot", { format: "png" });
    return Buffer.from(data, "base64");
  }
}
