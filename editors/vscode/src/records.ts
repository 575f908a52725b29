// `Cloister: Show Record`: what the ledger has of an answer, as a document that nobody can edit.

import * as vscode from "vscode";

import { recordPage } from "./recordPage";
import { message, type Server } from "./server";

export const SCHEME = "cloister-record";

export class Records implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly changes = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.changes.event;

  constructor(private readonly server: Server) {}

  async provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    const record = number(uri.query);
    if (record === undefined) return "This is no record's number.\n";
    try {
      return recordPage(record, await this.server.explain(record));
    } catch (error) {
      return `Record ${record} cannot be shown: ${message(error)}\n`;
    }
  }

  /** Shows a record; asks for its number where none is given. */
  async show(given: unknown): Promise<void> {
    const record = number(String(given ?? (await this.ask()) ?? ""));
    if (record === undefined) return;
    const uri = vscode.Uri.from({ scheme: SCHEME, path: `/Record ${record}`, query: String(record) });
    // More may have come to it since it was shown.
    this.changes.fire(uri);
    const document = await vscode.workspace.openTextDocument(uri);
    await vscode.window.showTextDocument(document, { preview: true });
  }

  private ask(): Thenable<string | undefined> {
    return vscode.window.showInputBox({
      title: "Cloister: Show Record",
      prompt: "The record's number: it stands beside every answer.",
      validateInput: (words) => (number(words) === undefined ? "A number from 0." : undefined),
    });
  }

  dispose(): void {
    this.changes.dispose();
  }
}

function number(words: string): number | undefined {
  const value = /^\s*\d{1,15}\s*$/.test(words) ? Number(words) : undefined;
  return value !== undefined && Number.isSafeInteger(value) ? value : undefined;
}
