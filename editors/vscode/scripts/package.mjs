// Makes the .vsix: `npm run package`. CLOISTER_PROGRAM names the program `cloister` that goes into it, and CLOISTER_TARGET the
// platform that it is for, in VS Code's words (linux-x64, by default this machine's). Without a program it fits every platform.

import { execFileSync } from "node:child_process";
import { copyFileSync, chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const { name, version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const program = process.env["CLOISTER_PROGRAM"] ?? "";
const target = program === "" ? "" : (process.env["CLOISTER_TARGET"] ?? `${process.platform}-${process.arch}`);

const carried = join(root, "program");
rmSync(carried, { recursive: true, force: true });
if (program !== "") {
  mkdirSync(carried);
  const file = join(carried, target.startsWith("win32") ? "cloister.exe" : "cloister");
  copyFileSync(program, file);
  chmodSync(file, 0o755);
}

execFileSync(process.execPath, [join(root, "scripts/build.mjs")], { stdio: "inherit" });
writeFileSync(join(root, "THIRD-PARTY.txt"), thirdParty());

const out = join(root, `${name}-${version}${target === "" ? "" : `-${target}`}.vsix`);
const vsce = join(root, "node_modules/@vscode/vsce/vsce");
const options = ["package", "--no-dependencies", "--allow-missing-repository", "--skip-license", "--out", out];
execFileSync(process.execPath, [vsce, ...options, ...(target === "" ? [] : ["--target", target])], { cwd: root, stdio: "inherit" });
console.log(`made ${basename(out)}`);

/** The licences of what is bundled: the packages that are reached from the language client. */
function thirdParty() {
  const seen = new Map();
  const visit = (package_) => {
    if (seen.has(package_)) return;
    const folder = join(root, "node_modules", package_);
    const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const names = ["LICENSE", "License.txt", "LICENSE.md", "license.txt", "LICENSE.txt"];
    const text = names.map((file) => read(join(folder, file))).find((one) => one !== undefined);
    seen.set(package_, `${manifest.name} ${manifest.version} (${manifest.license})\n\n${text?.trim() ?? ""}\n`);
    Object.keys(manifest.dependencies ?? {}).forEach(visit);
  };
  visit("vscode-languageclient");
  return [...seen.values()].join(`\n${"-".repeat(80)}\n\n`);
}

function read(file) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
