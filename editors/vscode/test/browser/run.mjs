// The extension in a real VS Code, in a real page, against a real daemon and model: `npm run test:browser`. It makes and serves
// a data directory, installs the .vsix in code-server, types in an Ada file, takes a suggestion over by word and as a whole,
// asks in the chat, opens a record, and looks into the ledger for what was decided. Screenshots go to CLOISTER_TEST_SCREENSHOTS.
//
// CLOISTER_TEST_CODE_SERVER: code-server's out/node/entry.js or its command; CLOISTER_TEST_NODE: the Node that it wants;
// CLOISTER_TEST_CHROMIUM: Chromium (/usr/bin/chromium); CLOISTER_TEST_PROGRAMS: cloisterd, cloister-engine, cloister;
// CLOISTER_TEST_MODELS: the models; or CLOISTER_TEST_SERVED and CLOISTER_TEST_PORT, where `serve.sh` serves already. The .vsix is the newest in this folder, or CLOISTER_TEST_VSIX;
// CLOISTER_TEST_THEME is another theme for the screenshots.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { CodeServer, freePort } from "./codeServer.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const need = (name) => process.env[name] ?? assert.fail(`set ${name}`);
const codeServer = need("CLOISTER_TEST_CODE_SERVER");
const node = process.env["CLOISTER_TEST_NODE"] ?? process.execPath;
const chromium = process.env["CLOISTER_TEST_CHROMIUM"] ?? "/usr/bin/chromium";
const programs = need("CLOISTER_TEST_PROGRAMS");
const vsix = process.env["CLOISTER_TEST_VSIX"] ?? newest(root);
const shots = process.env["CLOISTER_TEST_SCREENSHOTS"] ?? join(root, ".cache/screenshots");

/** A small model on a busy machine takes its time. */
const ANSWER_MS_MAX = 240_000;
const POP = "procedure Pop (S : in out Stack; Item : out Integer) is";
/** A whole unit, which a compiler looks at. */
const QUESTION = "Write an Ada function Gcd (A, B : Natural) return Natural with a loop. Only the code.";
/** What any model of code goes on with by heart. */
const RECITED =
  "Write an Ada procedure Hello that prints Hello. Put the usual GPL version 3 notice at its head: This program is free software: you can redistribute it and/or modify it under the terms of ...";

mkdirSync(shots, { recursive: true });
const folder = mkdtempSync(join(tmpdir(), "cloister-vscode-"));
const given = process.env["CLOISTER_TEST_SERVED"];
const port = given === undefined ? await freePort() : Number(need("CLOISTER_TEST_PORT"));
const served = given ?? join(folder, "served");
const source = join(folder, "source");
const start = Date.now();
const say = (words) => console.log(`${((Date.now() - start) / 1000).toFixed(1).padStart(6)} s  ${words}`);
let daemon;
let editor;
let page;
try {
  if (given === undefined) daemon = await serve();
  cpSync(join(served, "source"), source, { recursive: true });
  say("the daemon answers");
  editor = await CodeServer.start({
    command: codeServer,
    node,
    folder,
    vsix,
    settings: { "workbench.colorTheme": process.env["CLOISTER_TEST_THEME"] ?? "Default Dark Modern" },
    machine: { "cloister.server": `http://127.0.0.1:${port}` },
    // The program in the .vsix, or the one of the tests.
    environment: { PATH: `${programs}:${process.env["PATH"]}`, CLOISTER_SERVER: "", XDG_STATE_HOME: join(folder, "state") },
  });
  page = await editor.open(chromium, source);
  // Whatever is waited for comes later on a busy machine.
  page.setDefaultTimeout(90_000);
  say("the editor is open");
  await setToken();
  await suggestions();
  await chat();
  await record();
  decisions();
  nothingFromElsewhere();
  say("all of it held");
} catch (error) {
  await page?.screenshot({ path: join(shots, "failed.png") });
  console.error(readText(join(served, "serve.log")).slice(-2000));
  if (editor !== undefined) console.error(execFileSync("find", [editor.logs, "-name", "*Cloister*", "-exec", "tail", "-n", "30", "{}", "+"], { encoding: "utf8" }));
  throw error;
} finally {
  await editor?.stop();
  daemon?.kill();
  rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 300 });
}

function serve() {
  const process_ = spawn(join(root, "../test/serve.sh"), [served, String(port)], { stdio: ["ignore", "pipe", "inherit"] });
  return new Promise((resolve, reject) => {
    createInterface({ input: process_.stdout }).on("line", (line) => line === "ready" && resolve(process_));
    process_.on("exit", (code) => reject(new Error(`serve.sh ended with ${code}`)));
  });
}

/** A server on TCP wants a token: it is typed in, and kept by the editor. */
async function setToken() {
  await open("stacks.adb");
  await statusItem(/Cloister/);
  await command("Cloister: Set Token");
  const input = page.locator('.quick-input-widget input[type="password"]');
  await input.waitFor();
  await input.fill(readText(join(served, "token")).trim());
  await input.press("Enter");
  await statusItem(/coder/);
  say("the status bar names the model");
}

async function suggestions() {
  await goTo(lineOf(POP) + 2);
  await page.keyboard.type("      if Is_Empty (S) then");
  await page.keyboard.press("Enter");
  await page.waitForTimeout(100);
  const began = Date.now();
  const shown = await ghost();
  say(`a suggestion ${Date.now() - began} ms after the last key: ${JSON.stringify(shown)}`);
  await page.screenshot({ path: join(shots, "completion.png") });
  // A word at a time: the blanks before it may be one by themselves.
  for (let word = 0; word < 2; word += 1) {
    const before = await cursor();
    await page.keyboard.press("Control+ArrowRight");
    await eventually("a word was taken over", async () => (await cursor()) !== before);
    await ghost();
  }
  await page.screenshot({ path: join(shots, "completion-word.png") });
  await page.keyboard.press("Tab");
  await page.keyboard.press("Control+S");
  await eventually("the file has what was accepted", () => {
    const saved = readText(join(source, "stacks.adb"));
    return saved.split(POP)[1].includes("raise Underflow");
  });
  say("it was accepted: a word, then the rest");
  // Another one, to be dismissed.
  await page.keyboard.press("End");
  await page.keyboard.press("Enter");
  await ghost();
  await page.keyboard.press("Escape");
  await page.waitForSelector(".ghost-text-decoration, .ghost-text", { state: "detached", timeout: 10_000 });
}

async function chat() {
  await command("Cloister: Ask about the Selection");
  const panel = await chatFrame();
  await widen(230);
  // The file and what was said before would make another answer of it.
  await panel.locator("#with-file").uncheck();
  await ask(panel, QUESTION, 1);
  const first = await panel.locator(".turn").nth(0).innerText();
  assert.match(first, /Sources/);
  assert.match(first, /gnat 12|not checked|no objection|error/, first);
  await panel.locator(".turn .foot").first().scrollIntoViewIfNeeded();
  await page.screenshot({ path: join(shots, "chat-checks.png") });
  await command("Cloister: New Chat");
  await ask(panel, RECITED, 1);
  const second = panel.locator(".turn").first();
  const found = await second.locator(".findings").innerText();
  assert.match(found, /GPL-3\.0-or-later/);
  assert.match(found, /guidance\.adb/);
  await second.locator(".findings").scrollIntoViewIfNeeded();
  await page.screenshot({ path: join(shots, "chat.png") });
  say("the chat shows sources, known code and checks");
}

/** Makes the side bar wider, so that code has room. */
async function widen(pixels) {
  const box = await page.locator(".part.sidebar").boundingBox();
  const [x, y] = [box.x + box.width + 2, box.y + 200];
  await page.mouse.move(x, y);
  await page.mouse.down();
  await page.mouse.move(x + pixels, y, { steps: 8 });
  await page.mouse.up();
}

async function ask(panel, question, count) {
  await panel.locator("#question").fill(question);
  await panel.locator("#question").press("Enter");
  await panel.locator(".turn.done").nth(count - 1).waitFor({ timeout: ANSWER_MS_MAX });
}

async function record() {
  const panel = await chatFrame();
  const button = panel.locator(".foot button", { hasText: /^Record \d+$/ }).last();
  const [, number] = /(\d+)/.exec(await button.innerText());
  await button.focus();
  await page.keyboard.press("Enter");
  await page.getByRole("tab", { name: `Record ${number}` }).waitFor({ timeout: 20_000 });
  await page.locator(".view-lines", { hasText: /Record\s+\d+:\s+intent/ }).waitFor({ timeout: 20_000 });
  await page.screenshot({ path: join(shots, "record.png") });
  await page.keyboard.type("x");
  assert.ok(!(await text()).startsWith("x"), "a record can be edited");
  say(`record ${number} is shown, and cannot be edited`);
}

/** Each choice, by this editor, about the file; and each by the person whose token it is. */
function decisions() {
  const options = ["--data", join(served, "data"), "ledger", "export", "--format", "jsonl", "--kind", "decision"];
  const lines = execFileSync(join(programs, "cloisterd"), options, { encoding: "utf8" }).trim().split("\n");
  const events = lines.map((line) => JSON.parse(line).entry).filter((entry) => entry.time_unix_ms >= start).map((entry) => entry.event);
  const choices = events.map(({ choice, client, path, identity }) => `${choice} ${client.split(" ")[0]} ${path} ${identity}`);
  assert.deepEqual(choices, ["shown", "accepted", "shown", "rejected"].map((choice) => `${choice} code-server stacks.adb ada`));
  say("the ledger has what was shown, accepted and dismissed");
}

/** The panel's page asks nobody but the editor that it is in. */
function nothingFromElsewhere() {
  const own = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${editor.port}`, "data:", "blob:", "vscode-"];
  const panels = editor.requested.filter(({ frame }) => frame.includes("/webview/"));
  assert.ok(panels.length > 0, "no request of the panel was seen");
  const foreign = panels.filter(({ url }) => !own.some((prefix) => url.startsWith(prefix)) && !url.includes("vscode-resource"));
  assert.deepEqual(foreign, []);
}

async function command(title) {
  await page.keyboard.press("F1");
  const input = page.locator(".quick-input-widget input").first();
  await input.waitFor();
  await input.fill(`>${title}`);
  await page.locator(".quick-input-list .monaco-list-row", { hasText: title }).first().waitFor();
  await page.keyboard.press("Enter");
  await page.waitForTimeout(700);
}

async function open(name) {
  await page.locator(".explorer-folders-view .monaco-list-row", { hasText: name }).first().dblclick();
  await page.getByRole("tab", { name }).waitFor();
  await page.locator(".view-lines").first().click();
}

async function goTo(line) {
  await page.keyboard.press("Control+G");
  const input = page.locator(".quick-input-widget input").first();
  await input.waitFor();
  await input.fill(`:${line}`);
  await page.keyboard.press("Enter");
  await page.waitForTimeout(300);
}

function lineOf(words) {
  return readText(join(source, "stacks.adb")).split("\n").findIndex((line) => line.includes(words)) + 1;
}

function text() {
  return page.evaluate(() => document.querySelector(".view-lines")?.textContent ?? "");
}

async function ghost() {
  const found = page.locator(".ghost-text-decoration, .ghost-text").first();
  await found.waitFor();
  return found.innerText();
}

/** As the status bar says it: the text on screen has the suggestion in it, too. */
function cursor() {
  return page.locator(".statusbar-item", { hasText: /^Ln \d+, Col \d+/ }).first().innerText();
}

async function statusItem(words) {
  await page.locator(".statusbar-item", { hasText: words }).first().waitFor();
}

/** The frame in which the panel's page is. */
async function chatFrame() {
  for (let tries = 0; tries < 100; tries += 1) {
    for (const frame of page.frames()) {
      if ((await frame.locator("#question").count().catch(() => 0)) > 0) return frame;
    }
    await page.waitForTimeout(200);
  }
  throw new Error("the chat's panel is not there");
}

async function eventually(what, holds) {
  for (let tries = 0; tries < 100; tries += 1) {
    if (await holds()) return;
    await page.waitForTimeout(200);
  }
  throw new Error(`not so after 20 s: ${what}`);
}

function readText(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function newest(within) {
  const all = readdirSync(within).filter((name) => name.endsWith(".vsix")).map((name) => join(within, name));
  all.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  return all[0] ?? assert.fail("no .vsix: npm run package");
}
