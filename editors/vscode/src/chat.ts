// The chat's side of the extension: it keeps the conversation, asks the server, and has the panel draw.

import { randomBytes, randomUUID } from "node:crypto";

import * as vscode from "vscode";

import { QUESTION_CHARACTERS_MAX, TURNS_MAX, type FromPanel, type Subject, type ToPanel, type Turn } from "./conversation";
import type { ChatMessage, ChatParams } from "./protocol";
import { message, type Server } from "./server";
import { settings } from "./settings";

export class Chat implements vscode.WebviewViewProvider, vscode.Disposable {
  private view: vscode.WebviewView | undefined;
  private turns: Turn[] = [];
  private running: { id: string; cancel: vscode.CancellationTokenSource } | undefined;
  /** The editor that was in front last: the panel itself takes the focus from it. */
  private editor = vscode.window.activeTextEditor;
  private model = "";
  private readonly disposables: vscode.Disposable[] = [];

  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly server: Server,
  ) {
    this.disposables.push(
      server.onChatText(({ id, text }) => this.heard(id, text)),
      vscode.window.onDidChangeActiveTextEditor((editor) => {
        if (editor !== undefined) this.editor = editor;
        else if (this.editor?.document.isClosed === true) this.editor = undefined;
        this.post({ type: "subject", subject: this.subject() });
      }),
      vscode.window.onDidChangeTextEditorSelection((event) => {
        if (event.textEditor === this.editor) this.post({ type: "subject", subject: this.subject() });
      }),
    );
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view;
    const dist = vscode.Uri.joinPath(this.context.extensionUri, "dist");
    view.webview.options = { enableScripts: true, enableForms: false, enableCommandUris: false, localResourceRoots: [dist] };
    view.webview.html = page(view.webview, dist);
    view.webview.onDidReceiveMessage((sent: FromPanel) => void this.received(sent), undefined, this.disposables);
    view.onDidDispose(() => (this.view = undefined), undefined, this.disposables);
  }

  setModel(model: string): void {
    this.model = model;
    this.post({ type: "model", model });
  }

  /** Comes to the front with the cursor in the question. */
  async focus(): Promise<void> {
    await vscode.commands.executeCommand("cloister.chat.focus");
    this.post({ type: "focus" });
  }

  clear(): void {
    this.stop();
    this.turns = [];
    this.postAll();
  }

  private async received(sent: FromPanel): Promise<void> {
    switch (sent.type) {
      case "ready":
        return this.postAll();
      case "ask":
        return this.ask(sent.question, sent.withFile, sent.withSelection);
      case "stop":
        return this.stop();
      case "insert":
        return this.insert(sent.text);
      case "copy":
        return vscode.env.clipboard.writeText(sent.text);
      case "record":
        await vscode.commands.executeCommand("cloister.showRecord", sent.record);
    }
  }

  private async ask(question: string, withFile: boolean, withSelection: boolean): Promise<void> {
    const asked = question.trim().slice(0, QUESTION_CHARACTERS_MAX);
    if (asked === "" || this.running !== undefined) return;
    const turn: Turn = { id: randomUUID(), question: asked, about: [], answer: "", state: "running" };
    const params: ChatParams = { id: turn.id, messages: [...this.messages(), { role: "user", content: asked }] };
    const { deployment } = settings();
    if (deployment !== "") params.deployment = deployment;
    this.add(params, turn, withFile, withSelection);
    this.turns = [...this.turns, turn].slice(-TURNS_MAX);
    this.post({ type: "turn", turn });
    const cancel = new vscode.CancellationTokenSource();
    this.running = { id: turn.id, cancel };
    try {
      const answer = await this.server.chat(params, cancel.token);
      turn.answer = answer.text;
      turn.state = "done";
      if (answer.record !== undefined) turn.record = answer.record;
      if (answer.deployment !== undefined) turn.deployment = answer.deployment;
      if (answer.stop !== undefined) turn.stop = answer.stop;
      if (answer.findings !== undefined) turn.findings = answer.findings;
    } catch (error) {
      turn.state = cancel.token.isCancellationRequested ? "stopped" : "failed";
      if (turn.state === "failed") turn.failure = message(error);
    } finally {
      cancel.dispose();
      this.running = undefined;
      this.post({ type: "turn", turn });
    }
  }

  /** What of the editor goes with a question. */
  private add(params: ChatParams, turn: Turn, withFile: boolean, withSelection: boolean): void {
    const editor = this.editor;
    const subject = this.subject();
    if (editor === undefined || subject.file === undefined) return;
    const uri = editor.document.uri.toString();
    if (withSelection && subject.selected !== undefined) {
      params.uri = uri;
      const { start, end } = editor.selection;
      params.selection = { start: place(start), end: place(end) };
      turn.about.push(`${subject.file}, ${lines(subject.selected)}`);
    }
    if (withFile) {
      params.uri = uri;
      params.files = [uri];
      turn.about.push(subject.file);
    }
  }

  /** What was said so far. What failed was not said. */
  private messages(): ChatMessage[] {
    return this.turns
      .filter((turn) => turn.answer !== "" && turn.state !== "failed")
      .flatMap((turn): ChatMessage[] => [
        { role: "user", content: turn.question },
        { role: "assistant", content: turn.answer },
      ]);
  }

  private heard(id: string, text: string): void {
    const turn = this.turns.find((one) => one.id === id);
    if (turn === undefined || turn.state !== "running") return;
    turn.answer += text;
    this.post({ type: "text", id, text });
  }

  private stop(): void {
    this.running?.cancel.cancel();
  }

  private async insert(text: string): Promise<void> {
    const known = this.editor?.document;
    const editor = vscode.window.visibleTextEditors.find((one) => one.document === known) ?? vscode.window.activeTextEditor;
    if (editor === undefined) {
      void vscode.window.showInformationMessage("No file is open to insert into.");
      return;
    }
    await editor.edit((edit) => edit.replace(editor.selection, text));
    await vscode.window.showTextDocument(editor.document, editor.viewColumn);
  }

  private subject(): Subject {
    const editor = this.editor;
    if (editor === undefined || !["file", "untitled"].includes(editor.document.uri.scheme)) return {};
    const file = vscode.workspace.asRelativePath(editor.document.uri, false);
    const { start, end, isEmpty } = editor.selection;
    if (isEmpty) return { file };
    // A selection that ends before the first character of a line has nothing of that line.
    const last = end.character === 0 && end.line > start.line ? end.line : end.line + 1;
    return { file, selected: [start.line + 1, last] };
  }

  private postAll(): void {
    this.post({ type: "all", turns: this.turns, subject: this.subject(), model: this.model });
  }

  private post(message: ToPanel): void {
    void this.view?.webview.postMessage(message);
  }

  dispose(): void {
    this.stop();
    for (const one of this.disposables) one.dispose();
  }
}

function place({ line, character }: vscode.Position) {
  return { line, character };
}

function lines([first, last]: [number, number]): string {
  return first === last ? `line ${first}` : `lines ${first} to ${last}`;
}

/** The panel's page. It may run the one script, take the one sheet of styles, and load nothing else from anywhere. */
function page(webview: vscode.Webview, dist: vscode.Uri): string {
  const nonce = randomBytes(16).toString("base64");
  const script = webview.asWebviewUri(vscode.Uri.joinPath(dist, "panel.js")).toString();
  const style = webview.asWebviewUri(vscode.Uri.joinPath(dist, "panel.css")).toString();
  const policy = `default-src 'none'; style-src ${webview.cspSource}; script-src 'nonce-${nonce}'; base-uri 'none'; form-action 'none'`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${style}">
<title>Cloister</title>
</head>
<body>
<main id="turns" role="log" aria-label="Conversation" tabindex="0"></main>
<section id="ask" aria-label="Question">
<div id="subject"></div>
<textarea id="question" rows="3" aria-label="Your question" placeholder="Ask about this code" spellcheck="false"></textarea>
<div id="foot"><span id="model"></span><button id="send" type="button">Ask</button></div>
</section>
<script nonce="${nonce}" src="${script}"></script>
</body>
</html>`;
}
