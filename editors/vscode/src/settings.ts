// What a person set, read once each time the language server starts.

import * as vscode from "vscode";

/** The place of the token in the editor's own store of secrets. */
const TOKEN = "cloister.token";

export interface Settings {
  path: string;
  server: string;
  deployment: string;
  automatic: boolean;
  debounceMsMax: number;
  tokensMax: number;
}

export function settings(): Settings {
  const all = vscode.workspace.getConfiguration("cloister");
  return {
    path: all.get<string>("path", "").trim(),
    server: all.get<string>("server", "").trim(),
    deployment: all.get<string>("deployment", "").trim(),
    automatic: all.get<boolean>("completion.automatic", true),
    debounceMsMax: all.get<number>("completion.debounceMsMax", 400),
    tokensMax: all.get<number>("completion.maxTokens", 64),
  };
}

/** What the server is told at its start. An absent value leaves the server's own. */
export async function initializationOptions(secrets: vscode.SecretStorage): Promise<object> {
  const { server, deployment, automatic, debounceMsMax, tokensMax } = settings();
  const token = await secrets.get(TOKEN);
  return {
    completion: { automatic, debounce_ms_max: debounceMsMax, max_tokens: tokensMax },
    ...(deployment === "" ? {} : { deployment }),
    ...(server === "" ? {} : { server }),
    ...(token === undefined ? {} : { token }),
  };
}

/** Asks for a token and keeps it. Whether there is a new one. */
export async function askForToken(secrets: vscode.SecretStorage): Promise<boolean> {
  const token = await vscode.window.showInputBox({
    title: "Cloister: Set Token",
    prompt: "What `cloisterd token issue` printed for you. It is kept in this editor's store of secrets.",
    placeHolder: "clst_…",
    password: true,
    ignoreFocusOut: true,
    validateInput: (text) => {
      const trimmed = text.trim();
      return trimmed === "" || /^clst_[\x21-\x7e]{1,500}$/.test(trimmed) ? undefined : "A token begins with clst_ and has no blanks.";
    },
  });
  if (token === undefined || token.trim() === "") return false;
  await secrets.store(TOKEN, token.trim());
  return true;
}

export async function forgetToken(secrets: vscode.SecretStorage): Promise<void> {
  await secrets.delete(TOKEN);
}
