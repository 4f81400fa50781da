// Locks, elections and services: who holds, who waits, who is a member.

import { get } from "/page/js/api.js";
import { app } from "/page/js/app.js";
import { badge, empty, panel, sessionLink } from "/page/js/controls.js";
import { debounced, h, keepFocus, replace, setText } from "/page/js/dom.js";
import { count, counted, pathElement, sessionName, shownName, when } from "/page/js/format.js";
import { address, escaped } from "/page/js/paths.js";
import { bytesOf, look } from "/page/js/values/detect.js";

const KINDS = ["elections", "locks", "services"];
const PAGE = 100;
const SHOWN_MAX = 200;
const PAUSE_MS = 250;
const WAITERS_SHOWN = 12;
const WORD_MAX = 60;

/**
 * Finding them means to look at the whole tree: that is done when the view opens and when it is asked
 * for. From then on the feed tells which of those that were found have changed.
 */
export class ServicesView {
  constructor() {
    this.element = h("div.page", { "aria-label": "Services and locks" });
    this.summary = h("span.muted", { role: "status" });
    this.again = h("button.small", { type: "button", onclick: () => this.scan() }, "Look again");
    this.body = h("div.stack");
    replace(
      this.element,
      h("div.page-head", {}, h("h1", {}, "Services and locks"), this.summary, h("span.grow"), this.again),
      this.body,
    );
    /** Kind → path → entry. */
    this.found = new Map(KINDS.map((kind) => [kind, new Map()]));
    this.changed = new Set();
    this.renewSoon = debounced(PAUSE_MS, () => this.renew());
    app.live.addEventListener("changes", ({ detail }) => this.onChanges(Object.keys(detail.dirs)));
    app.live.addEventListener("reset", () => this.isShown && this.scan());
  }

  async show() {
    this.isShown = true;
    document.title = "Services and locks · coord";
    await this.scan();
  }

  leave() {
    this.isShown = false;
    this.cancel?.abort();
  }

  async scan() {
    this.cancel?.abort();
    const cancel = new AbortController();
    this.cancel = cancel;
    this.again.disabled = true;
    try {
      await Promise.all(KINDS.map((kind) => this.scanKind(kind, cancel.signal)));
      setText(this.summary, "what programs hold and wait for, through coord's recipes");
    } catch (problem) {
      if (cancel.signal.aborted) return;
      setText(this.summary, problem.message);
    }
    this.again.disabled = false;
    this.draw();
    this.follow();
  }

  /** One request looks at a part of the tree. */
  async scanKind(kind, signal) {
    const fresh = new Map();
    let after;
    do {
      const page = await get(`/v1/${kind}`, { limit: PAGE, after }, signal);
      for (const entry of page[kind]) fresh.set(entry.path, entry);
      after = page.more ? page.next : undefined;
      if (after !== undefined) setText(this.summary, "looking through the tree…");
      for (const [path, entry] of fresh) this.found.get(kind).set(path, entry);
      this.draw();
    } while (after !== undefined && fresh.size < SHOWN_MAX);
    this.found.set(kind, fresh);
  }

  /** Hear of what was found: contenders and members are children of their path. */
  follow() {
    if (this.isShown) app.live.follow([...this.found.values()].flatMap((entries) => [...entries.keys()]));
  }

  onChanges(paths) {
    if (!this.isShown) return;
    for (const path of paths)
      if ([...this.found.values()].some((entries) => entries.has(path))) this.changed.add(path);
    if (this.changed.size) this.renewSoon();
  }

  async renew() {
    const paths = [...this.changed];
    this.changed.clear();
    for (const [kind, entries] of this.found) {
      await Promise.all(
        paths.filter((path) => entries.has(path)).map((path) => this.renewOne(kind, entries, path)),
      );
    }
    this.draw();
  }

  async renewOne(kind, entries, path) {
    try {
      entries.set(path, await get(`/v1/${kind}${escaped(path)}`));
    } catch (problem) {
      if (problem.isMissing) entries.delete(path);
    }
  }

  draw() {
    const [elections, locks, services] = KINDS.map((kind) =>
      [...this.found.get(kind).values()].slice(0, SHOWN_MAX),
    );
    keepFocus(this.body, () =>
      replace(
        this.body,
        holds("Elections", elections, ["leads", "nobody leads", "candidate"]),
        holds("Locks", locks, ["holds", "free", "waiter"]),
        members(services),
      ),
    );
  }
}

function word(one) {
  const bytes = bytesOf({ value: one.value ?? "", encoding: one.encoding });
  if (!bytes.length) return null;
  const { text } = look(bytes);
  return text === null
    ? h("span.faint", {}, "binary")
    : h("bdi", {}, shownName(text.length > WORD_MAX ? `${text.slice(0, WORD_MAX)}…` : text));
}

const place = (path) => h("a.link", { href: address("tree", path) }, pathElement(path));

function holds(title, entries, [verb, none, waiter]) {
  if (!entries.length) return panel(title, empty(`No ${title.toLowerCase()}.`));
  const rows = entries.map(({ path, holder, waiters, waiting }) =>
    h(
      "tr",
      {},
      h("td", {}, place(path)),
      h(
        "td",
        {},
        holder
          ? [
              badge(verb, "good"),
              " ",
              h("b", {}, word(holder) ?? "unnamed"),
              " ",
              h("span.muted", {}, sessionLink(holder.session, "session ")),
            ]
          : badge(none, "doubt"),
      ),
      h("td", {}, holder ? when(holder.since_ms) : ""),
      h("td.number", {}, holder ? count(holder.token) : ""),
      h("td", {}, waiting ? queue(waiters, waiting, waiter) : h("span.faint", {}, "nobody")),
    ),
  );
  return tablePanel(
    title,
    [
      ["Path", "w-25"],
      ["Holder", "w-25"],
      ["Since", "w-15"],
      ["Token", "number.w-10"],
      ["Waiting, in order", "w-25"],
    ],
    rows,
    entries.length,
  );
}

function queue(waiters, waiting, waiter) {
  const shown = waiters.slice(0, WAITERS_SHOWN);
  return h(
    "ol.queue",
    { "aria-label": counted(waiting, waiter) },
    shown.map((one, at) =>
      h(
        "li",
        { title: one.name },
        h("b", {}, at + 1),
        h("span.ellipsis", {}, word(one) ?? sessionLink(one.session, "session ")),
      ),
    ),
    waiting > shown.length ? h("li", {}, h("b", {}, "+"), count(waiting - shown.length)) : null,
  );
}

function members(entries) {
  if (!entries.length) return panel("Services", empty("No services."));
  const rows = entries.map(({ path, members: found, count: number }) =>
    h(
      "tr",
      {},
      h("td", {}, place(path)),
      h("td.number", {}, count(number)),
      h(
        "td",
        {},
        h(
          "ul.queue",
          {},
          found
            .slice(0, WAITERS_SHOWN)
            .map((one) =>
              h(
                "li",
                { title: `session ${sessionName(one.session)}` },
                h("span.dot.is-good", { "aria-hidden": "true" }),
                h(
                  "span.ellipsis",
                  {},
                  h("bdi", {}, shownName(one.name)),
                  word(one) ? h("span.muted", {}, " ", word(one)) : null,
                ),
              ),
            ),
          number > WAITERS_SHOWN
            ? h("li", {}, h("b", {}, "+"), count(number - Math.min(found.length, WAITERS_SHOWN)))
            : null,
        ),
      ),
    ),
  );
  return tablePanel(
    "Services",
    [
      ["Path", "w-25"],
      ["Members", "number.w-10"],
      ["Who", "w-65"],
    ],
    rows,
    entries.length,
  );
}

function tablePanel(title, headings, rows, shown) {
  const cells = headings.map(([text, cls]) => h(`th.${cls}`, { scope: "col" }, text));
  const body = h(
    "div.table-wrap",
    { tabindex: 0, role: "region", "aria-label": title },
    h("table.is-even", {}, h("thead", {}, h("tr", {}, cells)), h("tbody", {}, rows)),
  );
  return panel(
    title,
    [body, shown >= SHOWN_MAX ? h("p.empty.small", {}, `The first ${count(shown)}.`) : null],
    h("span.muted.small", {}, count(shown)),
  );
}
