// What a node was, who changed it and when, and the difference between any two of its values.

import { get } from "/page/js/api.js";
import { nodeAddress } from "/page/js/app.js";
import { badge, empty, problemBox, sessionLink, table } from "/page/js/controls.js";
import { h, keepFocus, replace } from "/page/js/dom.js";
import { bytes as size, count, moment, shownName, when } from "/page/js/format.js";
import { address, escaped } from "/page/js/paths.js";
import { bytesOf, look } from "/page/js/values/detect.js";
import { difference } from "/page/js/values/diff.js";
import { hexText } from "/page/js/values/hex.js";

const PAGE = 50;
const PREVIEW = 90;
const VALUES_BYTES_MAX = 256 * 1024;
const KINDS = {
  created: ["created", "good"],
  data: ["value", "accent"],
  deleted: ["deleted", "bad"],
  acl: ["access", "doubt"],
};
const FORMS = { json: "JSON", text: "text", msgpack: "MessagePack", hex: "bytes" };

export class HistoryTab {
  constructor() {
    this.path = null;
    this.key = null;
    this.serial = 0;
    this.changes = [];
  }

  draw(body, path, node, query) {
    const key = `${path} ${node?.stat.modified_revision ?? 0} ${node?.stat.acl_version ?? 0}`;
    if (path !== this.path || !this.query) this.query = query;
    if (path !== this.path) replace(body, h("p.empty", {}, "Reading…"));
    if (key === this.key && body.contains(this.element)) return;
    this.path = path;
    this.key = key;
    this.load(body);
  }

  async load(body, before) {
    const path = this.path;
    const serial = ++this.serial;
    let page;
    try {
      page = await this.read(path, before);
    } catch (problem) {
      if (serial === this.serial)
        replace(
          body,
          problemBox(problem, () => this.load(body, before)),
        );
      return;
    }
    if (serial !== this.serial) return;
    this.changes = before === undefined ? page.changes : [...this.changes, ...page.changes];
    this.next = page.more ? page.next : null;
    this.floor = page.floor;
    this.pickDefault();
    this.drawAll(body);
  }

  /** A page of changes, with their values unless these are large. */
  async read(path, before) {
    const page = await get(`/v1/history${escaped(path)}`, { limit: PAGE, before });
    const bytes = page.changes.reduce((sum, { stat }) => sum + (stat?.bytes ?? 0), 0);
    if (bytes > VALUES_BYTES_MAX) return page;
    return get(`/v1/history${escaped(path)}`, { limit: PAGE, before, values: true });
  }

  /** The two newest values, unless two others were chosen. */
  pickDefault() {
    const withValues = this.changes.filter(hasValue);
    const known = (revision) => withValues.some((change) => change.revision === revision);
    const asked = { from: Number(this.query.from), to: Number(this.query.to) };
    if (known(asked.from) && known(asked.to)) this.picked = asked;
    else
      this.picked =
        withValues.length > 1 ? { from: withValues[1].revision, to: withValues[0].revision } : null;
  }

  drawAll(body) {
    this.difference = h("div.difference", { tabindex: 0, role: "region", "aria-label": "Difference" });
    if (!this.changes.length) {
      this.element = empty(
        "No change of this node is kept.",
        `Changes after revision ${count(this.floor)} are.`,
      );
      replace(body, this.element);
      return;
    }
    const headings = [
      ["From / to", "pick"],
      ["Revision", "number"],
      ["What"],
      ["When"],
      ["Who"],
      ["Value", "preview"],
      [""],
    ];
    this.element = h(
      "div.history",
      {},
      table(
        "Changes, newest first",
        headings,
        this.changes.map((change) => ({ cells: this.cells(change) })),
      ),
      this.difference,
    );
    if (this.next !== null)
      this.element.firstChild.append(
        h(
          "p.empty",
          {},
          h("button", { type: "button", onclick: () => this.load(body, this.next) }, "Older changes"),
        ),
      );
    else
      this.element.firstChild.append(
        h("p.empty.small", {}, `This is all: changes after revision ${count(this.floor)} are kept.`),
      );
    keepFocus(body, () => replace(body, this.element));
    this.drawDifference();
  }

  cells(change) {
    const [kind, tone] = KINDS[change.kind] ?? [change.kind, ""];
    return [
      hasValue(change) && this.picked ? this.radios(change.revision) : "",
      count(change.revision),
      badge(kind, tone),
      when(change.wall_ms),
      who(change),
      preview(change),
      h(
        "a.link",
        {
          href: address("tree", this.path, { at: change.revision, tab: "value" }),
          title: "The whole tree as of this revision",
        },
        "tree as of",
      ),
    ];
  }

  radios(revision) {
    const radio = (side, label) =>
      h("input", {
        type: "radio",
        name: side,
        checked: this.picked[side] === revision,
        "aria-label": `${label} revision ${revision}`,
        title: `${label} this`,
        onchange: () => {
          this.picked[side] = revision;
          this.query = { tab: "history", ...this.picked };
          history.replaceState(null, "", nodeAddress(this.path, this.query));
          this.drawDifference();
        },
      });
    return [radio("from", "Compare from"), radio("to", "Compare to")];
  }

  async drawDifference() {
    if (!this.picked) {
      replace(this.difference, h("p.empty", {}, "With a second value there will be a difference to see."));
      return;
    }
    const { path, picked, difference: place } = this;
    let sides;
    try {
      sides = await Promise.all([picked.from, picked.to].map((revision) => this.withValue(revision)));
    } catch (problem) {
      replace(
        place,
        problemBox(problem, () => this.drawDifference()),
      );
      return;
    }
    if (path === this.path && picked === this.picked && place === this.difference)
      this.fillDifference(...sides);
  }

  /** A change with its value: a large one is read when it is compared. */
  async withValue(revision) {
    const change = this.changes.find((one) => one.revision === revision);
    if (change.value !== undefined && change.value !== null) return change;
    const node = await get(`/v1/nodes${escaped(this.path)}`, { revision, encoding: "base64" });
    return { ...change, value: node.value, encoding: node.encoding };
  }

  fillDifference(from, to) {
    const [left, right] = comparable(bytesOf(from), bytesOf(to));
    const lines = difference(left.text, right.text);
    const added = lines.filter(({ kind }) => kind === "added").length;
    const removed = lines.filter(({ kind }) => kind === "removed").length;
    replace(
      this.difference,
      h(
        "div.difference-head",
        {},
        h("h2", {}, `Revision ${count(from.revision)} → ${count(to.revision)}`),
        h("span.muted.small", {}, `${moment(from.wall_ms)} → ${moment(to.wall_ms)} · as ${FORMS[left.form]}`),
        h("span.grow"),
        added || removed
          ? [h("span.good", {}, `+${added}`), h("span.bad", {}, `−${removed}`)]
          : h("span.muted", {}, "no difference"),
      ),
      h("ol", {}, lines.map(lineElement)),
    );
  }
}

function hasValue(change) {
  return change.kind === "created" || change.kind === "data";
}

function who({ who: users, session, address: from }) {
  return h(
    "span",
    {},
    users?.length ? [h("b", {}, users.join(", ")), " "] : null,
    session
      ? sessionLink(session, "session ")
      : h("span.muted", {}, "the cluster"),
    from ? h("span.faint", {}, ` ${from}`) : null,
  );
}

function preview(change) {
  if (change.value === undefined || change.value === null)
    return h("span.faint", {}, change.kind === "deleted" ? "gone" : size(change.stat?.bytes));
  const bytes = bytesOf(change);
  if (!bytes.length) return h("span.faint", {}, "empty");
  const { text, likely } = look(bytes);
  if (text === null || likely === "hex" || likely === "msgpack")
    return h("span.faint", {}, `${size(bytes.length)}, binary`);
  return h(
    "span.mono",
    {},
    shownName(text.slice(0, PREVIEW).replace(/\s+/g, " ")),
    text.length > PREVIEW ? "…" : "",
  );
}

/** Both values in the same form: the clearest that fits both. */
function comparable(left, right) {
  const looked = [look(left), look(right)];
  for (const form of ["json", "text", "msgpack"]) {
    const fits = looked.every(
      (each, at) =>
        each[form] !== null && (form !== "text" || each.likely !== "hex" || ![left, right][at].length),
    );
    if (fits && (form === "text" || looked.some(({ likely }) => likely === form)))
      return looked.map((each) => ({ form, text: each[form] }));
  }
  return [left, right].map((bytes) => ({ form: "hex", text: hexText(bytes) }));
}

function lineElement({ kind, text, left, right, count: skipped }) {
  if (kind === "skipped")
    return h(
      "li.skipped",
      {},
      h("span.line-number"),
      h("span.line-number"),
      h("span.sign"),
      `${skipped} equal lines`,
    );
  const sign = { added: "+", removed: "−", same: " " }[kind];
  const word = { added: "added: ", removed: "removed: ", same: "" }[kind];
  return h(
    `li.${kind}`,
    {},
    h("span.line-number", {}, left ?? ""),
    h("span.line-number", {}, right ?? ""),
    h("span.sign", { "aria-hidden": "true" }, sign),
    word ? h("span.visually-hidden", {}, word) : null,
    h("span", {}, text || "\u00a0"),
  );
}
