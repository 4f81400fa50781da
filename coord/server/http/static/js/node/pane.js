// The right side of the tree's view: one node, under tabs.

import { get, Problem } from "/page/js/api.js";
import { app, nodeAddress, readQuery, toast } from "/page/js/app.js";
import { badge, empty, problemBox, sessionLink, tabs } from "/page/js/controls.js";
import { h, keepFocus, replace } from "/page/js/dom.js";
import { bytes as size, counted, namedText, shownName, when } from "/page/js/format.js";
import { icon } from "/page/js/icons.js";
import { address, escaped, lineOf, nameOf, parentOf, ROOT } from "/page/js/paths.js";
import { accessTab } from "/page/js/node/access.js";
import { detailsTab } from "/page/js/node/details.js";
import { askDelete } from "/page/js/node/delete.js";
import { askCreate, askEdit } from "/page/js/node/edit.js";
import { HistoryTab } from "/page/js/node/history.js";
import { ValueTab } from "/page/js/node/value.js";
import { signIn } from "/page/js/login.js";

const REST_TIMES = 4;
const TABS = [
  ["value", "Value"],
  ["details", "Details"],
  ["history", "History"],
  ["access", "Access"],
];

export class NodePane {
  constructor() {
    this.path = null;
    this.node = null;
    this.tab = "value";
    this.query = {};
    this.cancel = null;
    this.timer = 0;
    this.rest = 0;
    this.loadedAt = 0;
    this.head = h("header.node-head");
    this.bar = tabs("About this node", TABS, this.tab, (key) => this.choose(key));
    this.body = h("div.node-body", { role: "tabpanel", id: "tab-panel", tabindex: -1 });
    this.element = h("section.node.second", { "aria-label": "Node" }, this.head, this.bar, this.body);
    this.value = new ValueTab();
    this.history = new HistoryTab();
  }

  choose(tab) {
    const query = tab === "value" ? {} : { tab };
    history.replaceState(null, "", nodeAddress(this.path, query));
    this.query = query;
    this.setTab(tab);
    this.drawBody();
  }

  setTab(tab) {
    this.tab = TABS.some(([key]) => key === tab) ? tab : "value";
    this.bar.choose(this.tab);
    this.body.setAttribute("aria-labelledby", `tab-${this.tab}`);
  }

  async show(path, query) {
    const isOther = path !== this.path || app.asOf !== this.shownAsOf;
    this.path = path;
    this.query = query;
    this.shownAsOf = app.asOf;
    this.setTab(query.tab ?? this.tab);
    document.title = `${namedText(nameOf(path))} · coord`;
    if (isOther) {
      this.node = null;
      this.problem = null;
      this.value.reset();
      this.drawHead();
      this.drawBody();
    }
    await this.load();
  }

  /** Read the node and draw what is new. */
  async load() {
    const began = performance.now();
    clearTimeout(this.timer);
    this.timer = 0;
    this.cancel?.abort();
    const cancel = new AbortController();
    this.cancel = cancel;
    try {
      this.node = await get(
        `/v1/nodes${escaped(this.path)}`,
        readQuery({ encoding: "base64" }),
        cancel.signal,
      );
      this.problem = null;
    } catch (problem) {
      if (cancel.signal.aborted) return;
      this.node = null;
      this.problem = problem;
    }
    this.rest = REST_TIMES * (performance.now() - began);
    this.loadedAt = performance.now();
    this.drawHead();
    this.drawBody();
  }

  /** A node that changes all the time is read for a part of the time, however large it is. */
  loadSoon() {
    if (!this.timer)
      this.timer = setTimeout(() => this.load(), Math.max(0, this.loadedAt + this.rest - performance.now()));
  }

  /** News of this node from the stream: its new stat, null once it is gone. */
  onStat(stat) {
    if (app.asOf !== null || !this.path) return;
    if (stat === null) {
      this.cancel?.abort();
      this.node = null;
      this.problem = new Problem("", 404);
      this.drawHead();
      this.drawBody();
    } else if (
      !this.node ||
      stat.modified_revision !== this.node.stat.modified_revision ||
      stat.acl_version !== this.node.stat.acl_version ||
      stat.created_revision !== this.node.stat.created_revision
    ) {
      this.loadSoon();
    } else {
      this.node.stat = stat;
      this.drawHead();
      if (this.tab === "details") this.drawBody();
    }
  }

  // --- drawing ----------------------------------------------------------------------------------

  drawHead() {
    keepFocus(this.head, () =>
      replace(
        this.head,
        h("div.node-title", {}, this.crumbs(), this.actions()),
        this.node ? this.summary(this.node.stat) : null,
      ),
    );
  }

  crumbs() {
    const line = lineOf(this.path);
    const parts = line.flatMap((path, at) => {
      const isLast = at === line.length - 1;
      const link = h(
        "a",
        { href: nodeAddress(path), "aria-current": isLast ? "page" : null },
        path === ROOT ? "/" : h("bdi", {}, shownName(nameOf(path))),
      );
      return at > 1 ? [h("span.slash", { "aria-hidden": "true" }, "/"), link] : [link];
    });
    return h(
      "nav.crumbs",
      { "aria-label": "Path" },
      parts,
      h(
        "button.quiet.square.small",
        {
          type: "button",
          title: "Copy the path",
          "aria-label": "Copy the path",
          onclick: () => this.copyPath(),
        },
        icon("copy"),
      ),
    );
  }

  async copyPath() {
    try {
      await navigator.clipboard.writeText(this.path);
      toast("The path is on the clipboard.");
    } catch {
      toast("The browser did not let the page copy.");
    }
  }

  actions() {
    if (!this.node || app.asOf !== null) return null;
    if (!app.isSignedIn) {
      return h(
        "div.node-actions",
        {},
        h(
          "button.quiet",
          { type: "button", onclick: () => signIn(), title: "Nodes are changed by users who are signed in" },
          icon("lock"),
          "Sign in to change",
        ),
      );
    }
    return h(
      "div.node-actions",
      {},
      h("button", { type: "button", onclick: () => askCreate(this.path) }, icon("plus"), "Create"),
      h("button", { type: "button", onclick: () => askEdit(this.node) }, icon("edit"), "Edit"),
      this.path === ROOT
        ? null
        : h("button", { type: "button", onclick: () => this.remove() }, icon("trash"), "Delete"),
    );
  }

  remove() {
    if (!this.node || this.path === ROOT || app.asOf !== null) return;
    if (!app.isSignedIn) signIn();
    else {
      askDelete(this.node, () => {
        location.hash = address("tree", parentOf(this.path));
      });
    }
  }

  summary(stat) {
    const owner = stat.owner_session;
    return h(
      "div.node-facts",
      {},
      owner ? badge("ephemeral", "accent") : null,
      h("span", {}, "version ", h("b", {}, stat.version)),
      h("span", {}, h("b", {}, size(stat.bytes))),
      stat.children ? h("span", {}, h("b", {}, counted(stat.children, "child", "children"))) : null,
      h("span", {}, "changed ", when(stat.modified_ms)),
      owner
        ? h("span", {}, "owner ", sessionLink(owner, "session "))
        : null,
    );
  }

  drawBody() {
    keepFocus(this.body, () => this.fillBody());
  }

  fillBody() {
    if (this.problem && this.tab !== "history") {
      replace(this.body, this.missing());
      return;
    }
    if (!this.node && this.tab !== "history") {
      replace(this.body, h("p.empty", { "aria-busy": "true" }, "Reading…"));
      return;
    }
    if (this.tab === "value") this.value.draw(this.body, this.node);
    else if (this.tab === "details") replace(this.body, detailsTab(this.node));
    else if (this.tab === "access") replace(this.body, accessTab(this.node));
    else this.history.draw(this.body, this.path, this.node, this.query);
  }

  missing() {
    if (!this.problem.isMissing) return problemBox(this.problem, () => this.load());
    const isPast = app.asOf !== null;
    return empty(
      isPast ? "There was no such node then." : "There is no such node.",
      "Its past may still be known: ",
      h("a", { href: nodeAddress(this.path, { tab: "history" }) }, "history"),
      ".",
    );
  }
}
