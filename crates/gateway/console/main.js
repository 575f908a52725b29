// Which page is shown, who is signed in, how the server stands, light or dark.

import * as session from "./session.js";
import { ago, h, mark, number, put } from "./elements.js";
import * as chat from "./chat.js";
import * as ledger from "./ledger.js";
import * as record from "./record.js";
import * as models from "./models.js";

// Before anything else: no token stays in the address bar.
let offered = session.offered();

const id = (name) => document.getElementById(name);
const views = { chat, ledger, record, models };
const titles = { chat: "Chat", ledger: "Ledger", record: "Record", models: "Models" };

function place() {
  const path = location.pathname.replace(/^\/console\/?/, "").replace(/\/$/, "");
  const found = /^records\/(\d+)$/.exec(path);
  if (found) return { view: "record", number: Number(found[1]) };
  return { view: path === "ledger" || path === "models" ? path : "chat" };
}

async function show(moved) {
  const { view, number: which } = place();
  const inside = session.token() !== null;
  id("leave").hidden = !inside;
  id("nav").hidden = !inside;
  id("enter").hidden = inside;
  for (const name of Object.keys(views)) {
    const away = !inside || name !== view;
    if (away && !id(name).hidden) views[name].left?.();
    id(name).hidden = away;
  }
  for (const link of id("nav").children) {
    const leads = new URL(link.href).pathname;
    const current = leads === location.pathname || (view === "record" && leads === "/console/ledger");
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = inside ? `${titles[view]}${which === undefined ? "" : ` ${which}`} · Cloister` : "Sign in · Cloister";
  if (!inside) {
    put(id("standing"));
    if (offered !== null) {
      id("token").value = offered;
      offered = null;
      id("enter-form").querySelector("button").focus();
    } else {
      id("token").focus();
    }
    return;
  }
  stand();
  const shown = views[view].show(id(view), which);
  if (moved) {
    scrollTo(0, 0);
    id("main").focus({ preventScroll: true });
  }
  await shown;
}

export function go(address) {
  history.pushState(null, "", address);
  show(true);
}

async function stand() {
  try {
    const status = await session.get("/v1/cloister/status");
    const { posture, ledger: log } = status;
    const jails = posture === null
      ? mark("warn", "jails not looked at yet")
      : posture.outcome === "passed"
        ? mark("good", `jails held ${ago(posture.time_unix_s * 1000)}`)
        : mark("bad", `${posture.counts.failed} of the jails' probes failed`);
    const recorded = log.error === null ? mark("good", `${number(log.size)} leaves`) : mark("bad", "the ledger takes nothing");
    const up = status.deployments.filter((deployment) => deployment.cloister.up).length;
    put(id("standing"),
      h("span", { class: "who" }, status.person.name), jails, recorded,
      mark(up > 0 ? "good" : "warn", `${up} of ${status.deployments.length} models up`));
  } catch (error) {
    if (error.status !== 401) put(id("standing"), mark("bad", error.message));
  }
}

async function enter(event) {
  event.preventDefault();
  const text = id("token").value.trim();
  const said = id("enter-error");
  said.hidden = true;
  try {
    // Checked before it is kept.
    await session.ask("/v1/cloister/status", { as: text });
    session.keep(text);
    id("token").value = "";
    await show(true);
  } catch (error) {
    put(said, mark("bad", error.message));
    said.hidden = false;
    id("token").focus();
  }
}

function leave() {
  session.forget();
  // Everything that was shown goes with the page.
  location.replace("/console");
}

// Light, dark, or as the system has it.
const THEME = "cloister.theme";
const themes = ["system", "light", "dark"];

function dress() {
  const stored = localStorage.getItem(THEME);
  const theme = themes.includes(stored) ? stored : "system";
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  id("theme").textContent = `Theme: ${theme}`;
  return theme;
}

id("theme").addEventListener("click", () => {
  localStorage.setItem(THEME, themes[(themes.indexOf(dress()) + 1) % themes.length]);
  dress();
});
id("leave").addEventListener("click", leave);
id("enter-form").addEventListener("submit", enter);
addEventListener("signed-out", () => show(false));
addEventListener("popstate", () => show(true));
addEventListener("hashchange", () => {
  const token = session.offered();
  if (token !== null && session.token() === null) {
    offered = token;
    show(false);
  }
});

// A link within the console moves without loading anew, so that a conversation stays.
document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
  const plain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
  if (link === null || !plain || link.hasAttribute("download")) return;
  const address = new URL(link.href);
  if (address.origin !== location.origin || !address.pathname.startsWith("/console") || address.hash) return;
  event.preventDefault();
  go(address.pathname + address.search);
});

dress();
show(false);
setInterval(() => {
  if (session.token() !== null && !document.hidden) stand();
}, 30_000);
