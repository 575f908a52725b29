// Elements of the page. Text is only ever set as text: nothing of an answer is parsed as HTML.

import { blocks, type Block, type Inline } from "./markdown";

export function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  className = "",
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  if (className !== "") made.className = className;
  made.append(...children);
  return made;
}

export function button(words: string, title: string, press: () => void, className = "small"): HTMLButtonElement {
  const made = element("button", className, words);
  made.type = "button";
  made.title = title;
  made.setAttribute("aria-label", title);
  made.addEventListener("click", press);
  return made;
}

/** What is done with a block of code. */
export interface CodeActions {
  insert(text: string): void;
  copy(text: string): void;
}

export function markdown(text: string, actions: CodeActions): Node[] {
  return blocks(text).map((block) => drawn(block, actions));
}

function drawn(block: Block, actions: CodeActions): Node {
  switch (block.kind) {
    case "paragraph":
      return element("p", "", ...spans(block.inlines));
    case "heading":
      return element("h4", "", ...spans(block.inlines));
    case "quote":
      return element("blockquote", "", ...spans(block.inlines));
    case "rule":
      return element("hr");
    case "list": {
      const list = element(block.ordered ? "ol" : "ul");
      if (block.ordered && block.first !== 1) list.setAttribute("start", String(block.first));
      for (const one of block.items) list.append(element("li", "", ...spans(one)));
      return list;
    }
    case "code":
      return code(block.language, block.text, block.isClosed, actions);
  }
}

function code(language: string, text: string, isClosed: boolean, actions: CodeActions): Node {
  const bar = element("div", "bar", element("span", "language", language === "" ? "code" : language));
  if (isClosed) {
    bar.append(
      button("Insert", "Insert this code at the cursor", () => actions.insert(text)),
      button("Copy", "Copy this code", () => actions.copy(text)),
    );
  }
  const shown = element("pre", "", element("code", "", text));
  // Long lines are scrolled to, also by keyboard.
  shown.tabIndex = 0;
  return element("div", "code", bar, shown);
}

function spans(inlines: Inline[]): Node[] {
  const names = { code: "code", strong: "strong", emphasis: "em" } as const;
  return inlines.map((one) => (one.kind === "text" ? document.createTextNode(one.text) : element(names[one.kind], "", one.text)));
}
