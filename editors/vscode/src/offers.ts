// What becomes of the suggestions that are on screen. VS Code tells an extension of whole acceptances only (the item's
// command). That a word or a line was taken over is seen here, from what is inserted where the suggestion goes on.

export type SuggestionId = string | number;

/** A suggestion on screen. */
export interface Offer {
  suggestion: SuggestionId;
  uri: string;
  /** Where it begins in the document. */
  offset: number;
  insertText: string;
  /** What of `insertText` stands in the document already. */
  taken: number;
}

/** A change of a document, as VS Code describes it. */
export interface Change {
  rangeOffset: number;
  rangeLength: number;
  text: string;
}

/** Pairs that an editor closes by itself: typing the first brings both. */
const PAIRS = new Set(["()", "[]", "{}", '""', "''", "``", "<>"]);
const encoder = new TextEncoder();

export class Offers {
  private offer: Offer | undefined;

  /** @param partly hears of each piece, in bytes; the language server adds them up */
  constructor(
    private readonly partly: (suggestion: SuggestionId, bytes: number) => void,
    private readonly changed: (isOffered: boolean) => void,
  ) {}

  get current(): Offer | undefined {
    return this.offer;
  }

  /** A suggestion comes on screen, or what is left of one. */
  show(offer: Offer): void {
    this.offer = offer;
    this.changed(true);
  }

  /** A document was changed. */
  change(uri: string, changes: readonly Change[]): void {
    const offer = this.offer;
    if (offer === undefined || offer.uri !== uri) return;
    const [change] = changes;
    if (changes.length !== 1 || change === undefined) return this.gone();
    const isNext = change.rangeLength === 0 && change.rangeOffset === offer.offset + offer.taken && change.text.length > 0;
    if (!isNext || !offer.insertText.startsWith(change.text, offer.taken)) return this.gone();
    offer.taken += change.text.length;
    // All that was left: the item's command tells of it.
    if (offer.taken === offer.insertText.length) return this.gone();
    if (change.text.length > 1 && !PAIRS.has(change.text)) this.partly(offer.suggestion, encoder.encode(change.text).length);
  }

  /** Nothing is on screen any more. */
  gone(): void {
    if (this.offer === undefined) return;
    this.offer = undefined;
    this.changed(false);
  }
}
