// The item in the status bar: the model, whether the server answers, and whether the air gap held.

import * as vscode from "vscode";

import type { Status } from "./protocol";

/** The outcome that says that it held. Whatever else a server says does not. */
const HELD = "passed";

export class StatusItem implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem("cloister.status", vscode.StatusBarAlignment.Right, 100);
  private status: Status | undefined;
  private failure: string | undefined;

  constructor() {
    this.item.name = "Cloister";
    this.item.command = "cloister.showStatus";
    this.item.text = "$(loading~spin) Cloister";
    this.item.show();
  }

  /** The model that answers, in a word; nothing when none does. */
  get model(): string {
    const deployment = chosen(this.status);
    return this.status?.reachable === true ? (deployment?.alias ?? deployment?.name ?? "") : "";
  }

  show(status: Status): void {
    this.status = status;
    this.failure = undefined;
    this.draw();
  }

  fail(failure: string | undefined): void {
    this.failure = failure;
    if (failure !== undefined) this.status = undefined;
    this.draw();
  }

  private draw(): void {
    const { icon, words, background } = this.face();
    this.item.text = `$(${icon}) ${words}`;
    this.item.backgroundColor = background === undefined ? undefined : new vscode.ThemeColor(`statusBarItem.${background}Background`);
    this.item.tooltip = this.tooltip();
    this.item.accessibilityInformation = { label: `Cloister: ${this.lines().join(". ")}` };
  }

  private face(): { icon: string; words: string; background?: "error" | "warning" } {
    const status = this.status;
    if (status === undefined) return { icon: "circle-slash", words: "Cloister", background: "error" };
    if (status.reachable !== true) return { icon: "debug-disconnect", words: "Cloister", background: "error" };
    const model = this.model || "no model";
    if (chosen(status)?.up !== true) return { icon: "warning", words: model, background: "warning" };
    const posture = status.posture;
    if (posture === null || posture === undefined) return { icon: "shield", words: model };
    return isHeld(status) ? { icon: "shield", words: model } : { icon: "warning", words: model, background: "warning" };
  }

  /** What a person reads, a fact a line. */
  lines(): string[] {
    if (this.failure !== undefined) return [this.failure];
    const status = this.status;
    if (status === undefined) return ["The language server is starting"];
    const server = status.server ?? "the server";
    if (status.reachable !== true) return [`${server} does not answer${status.error ? `: ${status.error}` : ""}`];
    const deployments = (status.deployments ?? []).map((one) => {
      const model = one.model ?? one.name;
      const facts = [model, one.fill === true ? "completes" : undefined, one.up === true ? "up" : "down"];
      return `${one.alias ?? "?"}: ${facts.filter((fact) => fact !== undefined && fact !== "").join(", ")}`;
    });
    return [`${server}${status.version ? `, version ${status.version}` : ""}`, ...deployments, airGap(status)];
  }

  private tooltip(): vscode.MarkdownString {
    const text = new vscode.MarkdownString("", true);
    text.isTrusted = { enabledCommands: ["cloister.showRecord", "cloister.showLog"] };
    for (const line of this.lines()) text.appendText(line).appendMarkdown("\n\n");
    const record = this.status?.posture?.record;
    if (record !== undefined) {
      const argument = encodeURIComponent(JSON.stringify([record]));
      text.appendMarkdown(`[Record ${Number(record)}](command:cloister.showRecord?${argument} "What was tried, and what came of it") · `);
    }
    text.appendMarkdown("[Log](command:cloister.showLog)");
    return text;
  }

  /** What a click shows: the same, to choose from. */
  async choose(): Promise<void> {
    type Choice = vscode.QuickPickItem & { run?: () => unknown };
    const run = (command: string, ...given: unknown[]) => () => vscode.commands.executeCommand(command, ...given);
    const record = this.status?.posture?.record;
    const choices: Choice[] = [
      ...this.lines().map((label): Choice => ({ label })),
      { label: "", kind: vscode.QuickPickItemKind.Separator },
      ...(record === undefined ? [] : [{ label: `$(book) Record ${record} of the air gap`, run: run("cloister.showRecord", record) }]),
      { label: "$(comment-discussion) Chat", run: run("cloister.chat.focus") },
      { label: "$(sparkle) Switch automatic completion on or off", run: run("cloister.toggleAutomatic") },
      { label: "$(key) Set token", run: run("cloister.setToken") },
      { label: "$(debug-restart) Restart the language server", run: run("cloister.restart") },
      { label: "$(output) Log", run: run("cloister.showLog") },
    ];
    const choice = await vscode.window.showQuickPick(choices, { title: "Cloister", placeHolder: "What stands, and what can be done" });
    await choice?.run?.();
  }

  dispose(): void {
    this.item.dispose();
  }
}

/** The deployment that completes, else the first. */
function chosen(status: Status | undefined) {
  const deployments = status?.deployments ?? [];
  return deployments.find((one) => one.fill === true && one.up === true) ?? deployments.find((one) => one.up === true) ?? deployments[0];
}

function isHeld(status: Status): boolean {
  return status.posture?.outcome === HELD;
}

function airGap(status: Status): string {
  const posture = status.posture;
  if (posture === null || posture === undefined) return "Air gap: nothing is known here of how it stands";
  const when = posture.time_unix_s === undefined ? "" : `, looked at ${new Date(posture.time_unix_s * 1000).toLocaleString()}`;
  return `Air gap: ${isHeld(status) ? "held" : `NOT HELD (${posture.outcome ?? "unknown"})`}${when}, record ${posture.record ?? "?"}`;
}
