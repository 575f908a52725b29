// A code-server of its own, with the extension in it, and a page of it in a headless Chromium.

import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { chromium } from "playwright-core";

/** Nothing of the editor's own that asks the outside, and nothing that pops up over what is looked at. */
const SETTINGS = {
  "workbench.startupEditor": "none",
  "telemetry.telemetryLevel": "off",
  "update.mode": "none",
  "extensions.autoCheckUpdates": false,
  "extensions.ignoreRecommendations": true,
  "chat.disableAIFeatures": true,
  "chat.commandCenter.enabled": false,
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "workbench.tips.enabled": false,
  "editor.minimap.enabled": false,
  "editor.wordBasedSuggestions": "off",
  "git.openRepositoryInParentFolders": "never",
};

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

export class CodeServer {
  /** @param given {command, node, folder, vsix, settings, machine, environment} */
  static async start({ command, node, folder, vsix, settings, machine, environment }) {
    const made = new CodeServer();
    const user = join(folder, "user");
    mkdirSync(join(user, "User"), { recursive: true });
    mkdirSync(join(user, "Machine"), { recursive: true });
    // Settings of the machine are read from here only.
    writeFileSync(join(user, "Machine", "settings.json"), JSON.stringify(machine));
    made.logs = join(user, "logs");
    writeFileSync(join(user, "User", "settings.json"), JSON.stringify({ ...SETTINGS, ...settings }));
    const folders = ["--user-data-dir", user, "--extensions-dir", join(folder, "extensions"), "--config", join(folder, "code-server.yaml")];
    const env = { ...process.env, ...environment };
    execFileSync(node, [command, ...folders, "--install-extension", vsix], { env, stdio: ["ignore", "ignore", "inherit"] });
    made.port = await freePort();
    const options = ["--auth", "none", "--bind-addr", `127.0.0.1:${made.port}`, "--disable-telemetry", "--disable-update-check", "--disable-workspace-trust"];
    made.process = spawn(node, [command, ...folders, ...options], { env, stdio: "ignore" });
    for (let tries = 0; ; tries += 1) {
      if (await fetch(`http://127.0.0.1:${made.port}/healthz`).then((answer) => answer.ok, () => false)) return made;
      if (tries === 300 || made.process.exitCode !== null) throw new Error("code-server does not start");
      await sleep(200);
    }
  }

  async open(chromiumPath, folder) {
    this.browser = await chromium.launch({ executablePath: chromiumPath, args: ["--no-sandbox"] });
    const page = await this.browser.newPage({ viewport: { width: 1360, height: 850 } });
    this.requested = [];
    page.on("request", (request) => this.requested.push({ url: request.url(), frame: request.frame()?.url() ?? "" }));
    await page.goto(`http://127.0.0.1:${this.port}/?folder=${encodeURIComponent(folder)}`);
    await page.waitForSelector(".monaco-workbench .part.editor", { timeout: 60_000 });
    return page;
  }

  async stop() {
    await this.browser?.close();
    this.process?.kill();
  }
}
