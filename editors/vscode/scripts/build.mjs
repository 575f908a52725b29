// Bundles the extension and its panel; with --tests the unit tests, too.

import { cpSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const shared = { absWorkingDir: root, bundle: true, minify: true, legalComments: "none", logLevel: "warning" };

rmSync(`${root}/dist`, { recursive: true, force: true });
mkdirSync(`${root}/dist`);
await build({
  ...shared,
  entryPoints: ["src/extension.ts"],
  outfile: "dist/extension.js",
  platform: "node",
  target: "node20",
  format: "cjs",
  external: ["vscode"],
});
await build({ ...shared, entryPoints: ["src/panel/main.ts"], outfile: "dist/panel.js", platform: "browser", target: "es2022", format: "iife" });
cpSync(`${root}/src/panel/panel.css`, `${root}/dist/panel.css`);

if (process.argv.includes("--tests")) {
  await build({
    ...shared,
    minify: false,
    entryPoints: readdirSync(`${root}/test/unit`).map((name) => `test/unit/${name}`),
    outdir: "dist/test",
    outExtension: { ".js": ".mjs" },
    platform: "node",
    target: "node20",
    format: "esm",
  });
}
