// Which program is started: the one that a person named, else the one that the extension carries, else the one on the PATH.

import { accessSync, constants, statSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";

const NAME = process.platform === "win32" ? "cloister.exe" : "cloister";

export type Found = { program: string; from: "setting" | "extension" | "path" } | { missing: string };

/** @param set the setting `cloister.path`; @param folder the extension's own */
export function findProgram(set: string, folder: string, path: string = process.env["PATH"] ?? ""): Found {
  if (set !== "") {
    if (!isAbsolute(set)) return { missing: `cloister.path must be an absolute path, and is "${set}".` };
    return isProgram(set) ? { program: set, from: "setting" } : { missing: `cloister.path names no program: ${set}` };
  }
  const carried = join(folder, "program", NAME);
  if (isProgram(carried)) return { program: carried, from: "extension" };
  // Relative entries depend on where an editor was started, which may be a folder of a stranger's.
  const folders = path.split(delimiter).filter(isAbsolute);
  const found = folders.map((entry) => join(entry, NAME)).find(isProgram);
  if (found !== undefined) return { program: found, from: "path" };
  return { missing: "The program `cloister` is neither in this extension nor on the PATH. Name it in the setting cloister.path." };
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
