// Suggestions while one types. VS Code draws them, and has the keys; here is told what became of them.

import * as vscode from "vscode";
import type { Middleware } from "vscode-languageclient/node";

import { Offers, type SuggestionId } from "./offers";
import * as protocol from "./protocol";

/** Suggestions of which is remembered that they were told to be shown. */
const SHOWN_MAX = 200;

type Tell = (command: string, argument: { suggestion: SuggestionId; bytes?: number }) => void;

export class Suggestions implements vscode.Disposable {
  private readonly disposables: vscode.Disposable[] = [];
  private readonly shown = new Set<SuggestionId>();
  private isOffered = false;
  private readonly offers = new Offers(
    (suggestion, bytes) => this.tell(protocol.ACCEPTED, { suggestion, bytes }),
    (isOffered) => this.setOffered(isOffered),
  );

  constructor(private readonly tell: Tell) {
    this.disposables.push(
      vscode.workspace.onDidChangeTextDocument((event) => {
        // An event without changes is of the document's state, as after it was saved.
        if (event.contentChanges.length > 0) this.offers.change(event.document.uri.toString(), event.contentChanges);
      }),
      vscode.window.onDidChangeActiveTextEditor(() => this.offers.gone()),
      vscode.commands.registerCommand("cloister.dismiss", () => this.dismiss()),
    );
  }

  /** What stands between VS Code and the language server. */
  readonly middleware: Middleware = {
    provideInlineCompletionItems: async (document, position, context, token, next) => {
      const result = await next(document, position, context, token);
      const items = Array.isArray(result) ? result : (result?.items ?? []);
      if (!token.isCancellationRequested) this.offered(document, position, items);
      return result;
    },
  };

  private offered(document: vscode.TextDocument, position: vscode.Position, items: readonly vscode.InlineCompletionItem[]): void {
    const [item] = items;
    const suggestion = protocol.suggestionOf(item?.command);
    if (item === undefined || suggestion === undefined || typeof item.insertText !== "string") return;
    const start = item.range?.start ?? position;
    const standing = document.getText(new vscode.Range(start, position));
    if (!item.insertText.startsWith(standing)) return;
    this.offers.show({
      suggestion,
      uri: document.uri.toString(),
      offset: document.offsetAt(start),
      insertText: item.insertText,
      taken: standing.length,
    });
    if (this.shown.has(suggestion)) return;
    this.shown.add(suggestion);
    for (const oldest of this.shown) {
      if (this.shown.size <= SHOWN_MAX) break;
      this.shown.delete(oldest);
    }
    this.tell(protocol.SHOWN, { suggestion });
  }

  private async dismiss(): Promise<void> {
    const suggestion = this.offers.current?.suggestion;
    await vscode.commands.executeCommand("editor.action.inlineSuggest.hide");
    this.offers.gone();
    if (suggestion !== undefined) this.tell(protocol.REJECTED, { suggestion });
  }

  /** Keys of ours apply only where the suggestion on screen is ours. */
  private setOffered(isOffered: boolean): void {
    if (isOffered === this.isOffered) return;
    this.isOffered = isOffered;
    void vscode.commands.executeCommand("setContext", "cloister.offered", isOffered);
  }

  dispose(): void {
    this.offers.gone();
    for (const one of this.disposables) one.dispose();
  }
}
