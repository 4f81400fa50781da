// The search field: words find nodes by their path, a text that begins with "/" is a path to go to.

import { get } from "/page/js/api.js";
import { debounced, h, replace, setAttributes } from "/page/js/dom.js";
import { count, namedText, shownName } from "/page/js/format.js";
import { icon } from "/page/js/icons.js";

const SHOWN_MAX = 100;
const PAUSE_MS = 160;

/** `go(path)` is called with what was chosen. */
export class Search {
  constructor(go) {
    this.go = go;
    this.options = [];
    this.at = -1;
    this.cancel = null;
    this.input = h("input", {
      type: "search",
      id: "search",
      placeholder: "Search, or /path",
      autocomplete: "off",
      spellcheck: "false",
      role: "combobox",
      "aria-expanded": "false",
      "aria-controls": "found",
      "aria-autocomplete": "list",
      "aria-label": "Search nodes, or go to a path",
    });
    this.list = h("div.found", { id: "found", role: "listbox", "aria-label": "Nodes found", hidden: true });
    this.element = h(
      "div.search",
      {},
      icon("search"),
      this.input,
      h("kbd", { "aria-hidden": "true" }, "Ctrl K"),
      this.list,
    );
    const ask = debounced(PAUSE_MS, () => this.ask());
    this.input.addEventListener("input", ask);
    this.input.addEventListener("focus", () => this.input.value && this.ask());
    this.input.addEventListener("keydown", (event) => this.onKey(event));
    this.element.addEventListener(
      "focusout",
      (event) => this.element.contains(event.relatedTarget) || this.close(),
    );
    this.list.addEventListener("pointerdown", (event) => this.onPress(event));
  }

  async ask() {
    this.cancel?.abort();
    const text = this.input.value.trim();
    if (!text) return this.close();
    if (text.startsWith("/"))
      return this.show(
        [{ path: text.length > 1 ? text.replace(/\/+$/, "") : text }],
        text,
        "Enter goes there",
      );
    this.cancel = new AbortController();
    try {
      await this.collect(text, this.cancel.signal);
    } catch (error) {
      if (error.name !== "AbortError") this.show([], text, error.message);
    }
  }

  /** A request looks at a part of the tree: ask on until there is enough to show. */
  async collect(text, signal) {
    const found = [];
    let looked = 0;
    let after;
    do {
      const page = await get("/v1/search", { q: text, limit: SHOWN_MAX - found.length, after }, signal);
      found.push(...page.found);
      looked += page.looked_at ?? 0;
      after = page.more ? page.next : undefined;
      const state = after && found.length < SHOWN_MAX ? `looking… ${count(looked)} nodes so far` : "";
      this.show(found, text, state || this.summary(found, after));
    } while (after !== undefined && found.length < SHOWN_MAX);
  }

  summary(found, after) {
    if (!found.length) return "No path contains this.";
    return after === undefined
      ? `${count(found.length)} found`
      : `The first ${count(found.length)}: more letters narrow it down`;
  }

  show(found, text, note) {
    this.options = found.map(({ path }) => path);
    this.at = this.options.length ? Math.max(0, Math.min(this.at, this.options.length - 1)) : -1;
    replace(
      this.list,
      found.map(({ path }, at) =>
        h(
          "div",
          {
            role: "option",
            id: `found-${at}`,
            "aria-selected": "false",
            "data-at": at,
            title: namedText(path),
          },
          h("span.name.mono.wrap", {}, marked(path, text)),
        ),
      ),
      h("div.note", { role: "presentation" }, note),
    );
    this.list.hidden = false;
    setAttributes(this.input, { "aria-expanded": "true" });
    this.mark();
  }

  mark() {
    for (const [at, option] of [...this.list.querySelectorAll("[role=option]")].entries()) {
      setAttributes(option, { "aria-selected": String(at === this.at) });
      if (at === this.at) option.scrollIntoView({ block: "nearest" });
    }
    setAttributes(this.input, { "aria-activedescendant": this.at >= 0 ? `found-${this.at}` : null });
  }

  onKey(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && this.options.length) {
      this.at = (this.at + step + this.options.length) % this.options.length;
      this.mark();
    } else if (event.key === "Enter" && this.at >= 0) this.choose(this.options[this.at]);
    else if (event.key === "Escape" && !this.list.hidden) this.close();
    else return;
    event.preventDefault();
  }

  onPress(event) {
    const option = event.target.closest("[role=option]");
    if (!option) return;
    event.preventDefault();
    this.choose(this.options[Number(option.dataset.at)]);
  }

  choose(path) {
    this.input.value = "";
    this.close();
    this.go(path);
  }

  close() {
    this.cancel?.abort();
    this.list.hidden = true;
    this.at = -1;
    this.options = [];
    setAttributes(this.input, { "aria-expanded": "false", "aria-activedescendant": null });
  }
}

/** The path, with what was asked for marked. */
function marked(path, text) {
  const at = path.toLowerCase().indexOf(text.toLowerCase());
  if (at < 0) return shownName(path);
  const end = at + text.length;
  return [
    shownName(path.slice(0, at)),
    h("mark", {}, shownName(path.slice(at, end))),
    shownName(path.slice(end)),
  ];
}
