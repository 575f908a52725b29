// The console in a real browser, against a real daemon: `node browser.mjs OPTIONS`, where OPTIONS is JSON with
// `url`, `token`, `chromium`, `axe` (the file axe.min.js), and `pictures`, a folder. Ends with 0 when all held.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Chromium } from "./chromium.mjs";

const { url, token, chromium, axe, pictures } = JSON.parse(process.argv[2]);
const AXE = readFileSync(axe, "utf8");
const HOSTILE = `<img src=x onerror="window.taken=1"><script>window.taken=1</script><svg onload="window.taken=1">`;

const browser = new Chromium(chromium);
const began = Date.now();
let page;

async function step(name, work) {
  const since = Date.now();
  try {
    await work();
  } catch (error) {
    error.message = `${name}: ${error.message}`;
    await save("failed").catch(() => {});
    throw error;
  }
  console.log(`${name}: ${Date.now() - since} ms`);
}

async function save(name) {
  mkdirSync(pictures, { recursive: true });
  writeFileSync(join(pictures, `console-${name}.png`), await page.picture());
}

/** Nothing that axe calls serious or critical. */
async function accessible(where) {
  await page.value(`typeof axe === "undefined" ? void (() => { ${AXE}\n })() : undefined`);
  const found = await page.value(`axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) =>
    violations.map(({ id, impact, nodes }) => ({ id, impact, nodes: nodes.map((node) => node.html.slice(0, 160) + " " + (node.any[0]?.message ?? "")) })))`);
  const serious = found.filter(({ impact }) => ["serious", "critical"].includes(impact));
  assert.deepEqual(serious, [], `${where}: axe`);
}

/** No text of another became an element, or ran. */
async function inert() {
  assert.equal(await page.value("window.taken"), undefined, "a text of another ran");
  assert.equal(await page.value("document.querySelectorAll('img, script:not([src]), iframe, [onerror], [onload]').length"), 0);
}

const answered = "document.querySelector('.turn.answered:last-child:not([aria-busy])') !== null";

async function ask(text) {
  const before = await page.value("document.querySelectorAll('.turn.answered').length");
  await page.value("document.querySelector('#chat-text').focus()");
  await page.type(text);
  await page.key("Enter");
  await page.until(`document.querySelectorAll('.turn.answered').length > ${before}`);
}

async function link(path, ready) {
  await page.value(`document.querySelector('#nav a[href="${path}"]').click()`);
  await page.until(ready);
}

const proved = "document.querySelector('.proof')?.dataset.state === 'proved'";
const refused = "document.querySelector('.proof')?.dataset.state === 'refused'";
const verdict = () => page.value("document.querySelector('.proof .verdict').textContent");
let record;

try {
  page = await browser.page();
  await page.size(1280, 860);
  await page.scheme("light");

  await step("a token in the address is taken out of it and only offered", async () => {
    await page.go(`${url}/console#token=${token}`);
    await page.until("document.querySelector('#token')?.value !== ''");
    assert.equal(await page.value("location.hash + JSON.stringify(history.state)"), "null");
    assert.equal(await page.value("sessionStorage.length"), 0, "nobody is signed in by a link");
    await accessible("sign in");
    await page.key("Enter");
    await page.until("document.querySelector('#standing .who')?.textContent === 'ada'");
    assert.equal(await page.value("sessionStorage.getItem('cloister.token')"), token);
    assert.ok(!(await page.value("JSON.stringify(localStorage)")).includes("clst_"));
  });

  await step("a chat is streamed and has its record", async () => {
    await page.until("document.querySelector('#chat-model option')");
    await ask("Write an Ada function that doubles an Integer. Answer with the code only.");
    await page.until(answered);
    record = Number(await page.value("document.querySelector('.beside a').textContent"));
    assert.ok(record > 0);
    assert.ok(await page.value("document.querySelector('.answer').textContent.length > 3"));
    assert.ok(await page.value("document.querySelectorAll('.findings details').length === 3"));
    await accessible("chat");
    await save("chat-light");
  });

  await step("a hostile question is text", async () => {
    await ask(`${HOSTILE} Say this again.`);
    await page.until(answered);
    assert.ok(await page.value(`document.querySelector('.turn.asked:nth-last-child(2) .prose').textContent.startsWith('<img src=x')`));
    await inert();
  });

  await step("stop", async () => {
    await ask("Count from one to one thousand, in words.");
    await page.until("document.querySelector('.turn.answered:last-child .answer')?.textContent.length > 5");
    await page.tabTo("button.stop");
    await page.key("Enter");
    await page.until(answered);
    assert.ok((await page.value("document.querySelector('.conversation').textContent")).includes("stopped by you"));
    assert.ok(await page.value("document.querySelector('.turn.answered:last-child .beside a') !== null"));
  });

  await step("a record is proved in the browser", async () => {
    await page.value("document.querySelector('.beside a').click()");
    await page.until(`location.pathname === '/console/records/${record}'`);
    await page.until(proved);
    const said = await page.value("document.querySelector('.proof').textContent");
    assert.ok(said.includes("its prompt") || said.includes("its question"), said);
    assert.ok(said.includes("answer as shown"), said);
    assert.ok((await page.value("document.querySelector('#record').textContent")).includes("doubles an Integer"));
    await accessible("record");
    await save("record-light");
  });

  await step("a proof that was tampered with is refused", async () => {
    const proof = `/v1/cloister/ledger/proof/${record}`;
    const within = (change) => (text) => {
      const document = JSON.parse(text);
      change(document);
      return JSON.stringify(document);
    };
    const line = (document, at, change) => {
      const lines = document.proof.split("\n");
      const place = at(lines);
      lines[place] = change(lines[place]);
      document.proof = lines.join("\n");
    };
    const other = (text) => (text[4] === "A" ? `${text.slice(0, 4)}B${text.slice(5)}` : `${text.slice(0, 4)}A${text.slice(5)}`);
    const cases = [
      ["a hash", proof, within((document) => line(document, () => 3, other)), "does not lead to the signed root"],
      ["the leaf", proof, within((document) => line(document, () => 1, (text) => {
        const leaf = Buffer.from(text.slice(6), "base64").toString();
        return `extra ${Buffer.from(leaf.replace("ada", "eve")).toString("base64")}`;
      })), "is not the leaf that is proven"],
      ["the size", proof, within((document) => line(document, (lines) => lines.indexOf("") + 2, (text) => `${Number(text) + 1}`)), "not signed by the log's key"],
      ["the signature", proof, within((document) => line(document, (lines) => lines.findIndex((each) => each.startsWith("\u2014")), (text) => `${text.slice(0, -8)}${text.at(-8) === "A" ? "B" : "A"}${text.slice(-7)}`)), "not signed by the log's key"],
      ["the key", proof, within((document) => { document.verifier = `${document.verifier.slice(0, -4)}${document.verifier.at(-4) === "A" ? "B" : "A"}${document.verifier.slice(-3)}`; }), "not the one that its number names"],
      ["the index", proof, within((document) => line(document, () => 2, () => `index ${record + 1}`)), "of another leaf"],
      ["the question", `/v1/cloister/records/${record}`, within((document) => { document.body.prompt_text = document.body.prompt_text.replace("doubles", "halves"); }), "is not the one that the leaf commits to"],
      ["the person", `/v1/cloister/records/${record}`, within((document) => { document.leaf.event.identity = "eve"; }), "is not the leaf that is proven"],
    ];
    for (const [what, match, change, words] of cases) {
      await page.change(match, change);
      await page.go(`${url}/console/records/${record}`);
      await page.until(refused);
      assert.ok((await verdict()).includes(words), `${what}: ${await verdict()}`);
      await page.change();
    }
    await save("refused-light");
    await page.go(`${url}/console/records/${record}`);
    await page.until(proved);
    // A key that changes is told, though everything fits it.
    await page.value("Object.keys(localStorage).filter((name) => name.startsWith('cloister.log-key')).forEach((name) => localStorage.setItem(name, 'another'))");
    await page.go(`${url}/console/records/${record}`);
    await page.until(refused);
    assert.ok((await verdict()).includes("another than when this browser first saw"), await verdict());
    await page.value("localStorage.clear()");
  });

  await step("the ledger, by keyboard, with hostile names", async () => {
    const body = JSON.stringify({ messages: [{ role: "user", content: HOSTILE }], max_tokens: 4, cloister: { repository: HOSTILE.slice(0, 60), path: HOSTILE } });
    await page.value(`fetch("/v1/chat/completions", { method: "POST", headers: { authorization: "Bearer " + sessionStorage.getItem("cloister.token") }, body: ${JSON.stringify(body)} }).then((response) => response.text())`);
    await link("/console/ledger", "document.querySelector('#ledger tbody tr')");
    await inert();
    assert.ok((await page.value("document.querySelector('#ledger tbody').textContent")).includes("<img src=x"));
    await page.value("document.body.tabIndex = -1, document.body.focus()");
    await page.tabTo("#ledger-kind");
    await page.type("intent");
    await page.value("document.querySelector('#ledger-kind').value = 'intent'");
    await page.tabTo("#ledger-path");
    await page.type("<img");
    await page.key("Enter");
    await page.until("location.search.includes('path=') && [...document.querySelectorAll('#ledger tbody tr')].every((row) => row.textContent.includes('<img'))");
    await page.tabTo("#ledger tbody a");
    await page.key("Enter");
    await page.until(proved);
    await inert();
    assert.ok((await page.value("document.querySelector('#record').textContent")).includes(HOSTILE));
    await link("/console/ledger", "document.querySelectorAll('#ledger tbody tr').length > 1");
    await accessible("ledger");
    await save("ledger-light");
  });

  await step("the models", async () => {
    await link("/console/models", "document.querySelectorAll('#models .card, #models .chart, #models .verdict').length >= 6");
    const said = await page.value("document.querySelector('#models').textContent");
    for (const words of ["running", "by two persons", "training data", "probes", "First text", "Corpora"]) assert.ok(said.includes(words), words);
    await page.until("document.querySelectorAll('.chart polyline').length === 2", 15_000);
    await page.value("document.querySelector('#models details').open = true");
    await accessible("models");
    await page.value("document.querySelector('#models details').open = false");
    await page.size(1280, 1040);
    await save("models-light");
    await page.size(1280, 860);
  });

  await step("every stop of the tabulator is seen", async () => {
    await page.go(`${url}/console/ledger`);
    await page.until("document.querySelector('#ledger tbody tr')");
    for (let stop = 0; stop < 30; stop++) {
      await page.key("Tab");
      const seen = await page.value(`(() => { const at = document.activeElement; if (at === document.body) return "";
        const style = getComputedStyle(at); return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 ? "" : at.outerHTML.slice(0, 120); })()`);
      assert.equal(seen, "", "focus without an outline");
    }
  });

  const pages = [
    ["chat", "/console", "document.querySelector('#chat-model option')"],
    ["ledger", "/console/ledger", "document.querySelector('#ledger tbody tr')"],
    ["record", `/console/records/${record}`, proved],
    ["models", "/console/models", "document.querySelectorAll('#models .card, #models .chart, #models .verdict').length >= 6"],
  ];
  await step("dark", async () => {
    await page.scheme("dark");
    for (const [name, path, ready] of pages) {
      await page.go(`${url}${path}`);
      await page.until(ready);
      await accessible(`${name}, dark`);
      await save(`${name}-dark`);
    }
    // The switch goes against the system.
    const paper = "getComputedStyle(document.documentElement).backgroundColor";
    const dark = await page.value(paper);
    await page.value("document.querySelector('#theme').click()");
    assert.notEqual(await page.value(paper), dark);
    await page.value("localStorage.removeItem('cloister.theme')");
    await page.scheme("light");
  });

  await step("380 pixels", async () => {
    await page.size(380, 800);
    for (const [name, path, ready] of pages) {
      await page.go(`${url}${path}`);
      await page.until(ready);
      const width = await page.value("document.scrollingElement.scrollWidth");
      assert.ok(width <= 380, `${name} is ${width} wide`);
      await accessible(`${name}, narrow`);
      await save(`${name}-narrow`);
    }
    await page.size(1280, 860);
  });

  assert.deepEqual(page.errors, [], "the page complained");
  // Chromium draws its own controls from `data:` addresses; the page's policy admits none.
  const elsewhere = page.requests.filter((address) => !address.startsWith(`${url}/`) && !/^(blob|data):/.test(address));
  assert.deepEqual(elsewhere, [], "asked elsewhere");

  await step("sign out, and a token that is not valid", async () => {
    await page.go(`${url}/console`);
    await page.until("document.querySelector('#leave')?.hidden === false");
    await page.value("document.querySelector('#leave').click()");
    await page.until("document.querySelector('#enter')?.hidden === false");
    assert.equal(await page.value("sessionStorage.length"), 0);
    await page.value("document.querySelector('#token').focus()");
    await page.type("clst_000000000000_00");
    await page.key("Enter");
    await page.until("document.querySelector('#enter-error')?.hidden === false");
    assert.ok((await page.value("document.querySelector('#enter-error').textContent")).includes("not valid"));
    assert.equal(await page.value("sessionStorage.length"), 0);
  });

  await step("a record of another is not shown", async () => {
    await page.value("document.querySelector('#token').value = ''");
    await page.value("document.querySelector('#token').focus()");
    await page.type(token);
    await page.key("Enter");
    await page.until("document.querySelector('#standing .who')");
    await page.go(`${url}/console/records/0`);
    await page.until("document.querySelector('#record [role=alert]')");
    assert.ok((await page.value("document.querySelector('#record').textContent")).includes("is not yours"));
    const status = (path) => page.value(`fetch("/v1/cloister/${path}", { headers: { authorization: "Bearer " + sessionStorage.getItem("cloister.token") } }).then((response) => response.status)`);
    for (const leaf of [0, 1, 1_000_000_000]) assert.equal(await status(`ledger/proof/${leaf}`), 403, `the proof of leaf ${leaf}`);
    const { posture } = await page.value(`fetch("/v1/cloister/posture", { headers: { authorization: "Bearer " + sessionStorage.getItem("cloister.token") } }).then((response) => response.json())`);
    assert.equal(await status(`ledger/proof/${posture.record}`), 200, "looks at the jails are everybody's");
  });

  console.log(`all held in ${Date.now() - began} ms`);
} finally {
  await browser.close();
}
