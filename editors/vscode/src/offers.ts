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
  /** Bytes that were taken over of `offer.suggestion`, in pieces. */
  private bytes = 0;
  /** The one that was on screen last, whose pieces are not told yet: its command may still come. */
  private last: Offer | undefined;

  constructor(
    private readonly partly: (suggestion: SuggestionId, bytes: number) => void,
    private readonly changed: (isOffered: boolean) => void,
  ) {}

  get current(): Offer | undefined {
    return this.offer;
  }

  /** A suggestion comes on screen. The same one, offered again for what is left of it, goes on. */
  show(offer: Offer): void {
    if ((this.offer ?? this.last)?.suggestion !== offer.suggestion) this.finish();
    this.last = undefined;
    this.offer = offer;
    this.changed(true);
  }

  /** A document was changed. */
  change(uri: string, changes: readonly Change[]): void {
    const offer = this.offer;
    if (offer === undefined || offer.uri !== uri) return;
    const [change] = changes;
    if (changes.length !== 1 || change === undefined) return this.gone();
    const at = change.rangeOffset - offer.offset;
    const isNext = change.rangeLength === 0 && at === offer.taken && change.text.length > 0;
    if (!isNext || !offer.insertText.startsWith(change.text, offer.taken)) return this.gone();
    offer.taken += change.text.length;
    if (offer.taken === offer.insertText.length) return this.gone();
    if (change.text.length > 1 && !PAIRS.has(change.text)) this.bytes += encoder.encode(change.text).length;
  }

  /** The suggestion was accepted as a whole: its command says so, and pieces before are a part of that. */
  accepted(suggestion: SuggestionId): void {
    if (this.offer?.suggestion === suggestion || this.last?.suggestion === suggestion) {
      this.bytes = 0;
      this.last = undefined;
      this.gone();
    }
  }

  /** Nothing is on screen any more, or something else is. What was taken over in pieces is told, once. */
  finish(): void {
    const told = this.offer ?? this.last;
    if (told !== undefined && this.bytes > 0) this.partly(told.suggestion, this.bytes);
    this.bytes = 0;
    this.last = undefined;
    if (this.offer !== undefined) {
      this.offer = undefined;
      this.changed(false);
    }
  }

  /** Tells what is untold of a suggestion that went, after a while without another. */
  settle(): void {
    if (this.offer === undefined) this.finish();
  }

  private gone(): void {
    if (this.offer === undefined) return;
    this.last = this.offer;
    this.offer = undefined;
    this.changed(false);
  }
}
