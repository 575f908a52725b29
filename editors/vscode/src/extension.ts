// Where it begins. One language server, `cloister lsp`, does the work; this shows it. Nothing here opens a connection.

import * as vscode from "vscode";

import { Chat } from "./chat";
import { Records, SCHEME } from "./records";
import { Server } from "./server";
import { askForToken, forgetToken } from "./settings";
import { StatusItem } from "./status";
import { Suggestions } from "./suggestions";

/** Settings come one after another while somebody types them. */
const SETTLE_MS = 500;

let server: Server | undefined;

export function activate(context: vscode.ExtensionContext): void {
  const suggestions = new Suggestions((command, argument) => running.tell(command, argument));
  const running = new Server(context, suggestions.middleware);
  server = running;
  const status = new StatusItem();
  const chat = new Chat(context, running);
  const records = new Records(running);
  const command = (name: string, run: (...given: unknown[]) => unknown) => vscode.commands.registerCommand(name, run);
  let settling: NodeJS.Timeout | undefined;

  context.subscriptions.push(
    suggestions,
    running,
    status,
    chat,
    records,
    running.onStatus((one) => {
      status.show(one);
      chat.setModel(status.model);
    }),
    running.onFailure((failure) => {
      status.fail(failure);
      chat.setModel("");
    }),
    vscode.window.registerWebviewViewProvider("cloister.chat", chat),
    vscode.workspace.registerTextDocumentContentProvider(SCHEME, records),
    command("cloister.showRecord", (record) => records.show(record)),
    command("cloister.ask", () => chat.focus()),
    command("cloister.newChat", () => chat.clear()),
    command("cloister.showStatus", () => status.choose()),
    command("cloister.showLog", () => running.log.show()),
    command("cloister.restart", () => running.restart()),
    command("cloister.setToken", async () => {
      if (await askForToken(context.secrets)) await running.restart();
    }),
    command("cloister.forgetToken", async () => {
      await forgetToken(context.secrets);
      await running.restart();
    }),
    command("cloister.toggleAutomatic", async () => {
      const all = vscode.workspace.getConfiguration("cloister");
      const isOn = !all.get<boolean>("completion.automatic", true);
      await all.update("completion.automatic", isOn, vscode.ConfigurationTarget.Global);
      vscode.window.setStatusBarMessage(`Cloister: automatic completion is ${isOn ? "on" : "off"}`, 3000);
    }),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (!event.affectsConfiguration("cloister")) return;
      clearTimeout(settling);
      settling = setTimeout(() => void running.restart(), SETTLE_MS);
    }),
    vscode.workspace.onDidGrantWorkspaceTrust(() => void running.restart()),
    { dispose: () => clearTimeout(settling) },
  );
  void running.start();
}

export async function deactivate(): Promise<void> {
  await server?.stop();
}
