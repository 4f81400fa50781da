// The tree: rows on the left, the selected node on the right, now or as of a revision.

import { app } from "/page/js/app.js";
import { splitter } from "/page/js/controls.js";
import { h } from "/page/js/dom.js";
import { address, nameOf, parentOf, ROOT } from "/page/js/paths.js";
import { NodePane } from "/page/js/node/pane.js";
import { askCreate } from "/page/js/node/edit.js";
import { signIn } from "/page/js/login.js";
import { TreePane } from "/page/js/tree/pane.js";

const MOVING_MS = 120;

export class TreeView {
  constructor() {
    this.rows = new TreePane(
      (path) => this.pick(path),
      (path) => path === this.node.path && this.node.remove(),
    );
    this.node = new NodePane();
    this.rows.create.addEventListener("click", () =>
      app.isSignedIn ? askCreate(this.rows.tree.selected) : signIn(),
    );
    this.element = h("div.split");
    this.element.append(
      this.rows.element,
      splitter(this.element, "coord.tree-width", 380),
      this.node.element,
    );
    this.isShown = false;
    this.timer = 0;
    app.live.addEventListener("changes", ({ detail }) => this.onChanges(detail));
    app.live.addEventListener("first", ({ detail }) => this.onFirstOpen(detail));
    app.live.addEventListener("reset", () => this.onReset());
    app.addEventListener("login", () => this.isShown && this.node.path && this.node.load());
    app.addEventListener("as-of", () => this.restart());
  }

  /** Arrows pass over rows faster than nodes need to be read. */
  pick(path) {
    this.rows.tree.selected = path;
    this.rows.view.draw();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const { tab } = this.node;
      location.hash = address("tree", path, { at: app.asOf, tab: tab === "value" ? null : tab });
    }, MOVING_MS);
  }

  async show({ path, query }) {
    this.isShown = true;
    const at = Number(query.at);
    app.setAsOf(query.at && Number.isSafeInteger(at) && at > 0 ? at : null);
    if (!this.rows.tree.directory(ROOT)) this.rows.start();
    this.rows.create.disabled = app.asOf !== null;
    const read = this.node.show(path, query);
    await this.rows.select(path);
    this.rows.follow();
    await read;
  }

  leave() {
    this.isShown = false;
    this.rows.doubtAll();
    clearTimeout(this.timer);
  }

  restart() {
    if (this.rows.tree.directory(ROOT)) this.rows.start();
  }

  onChanges(news) {
    this.rows.onChanges(news);
    if (!this.isShown || !this.node.path) return;
    const { path } = this.node;
    const directory = news.dirs[path === ROOT ? ROOT : parentOf(path)];
    if (!directory) return;
    if (path === ROOT) this.node.onStat(directory.stat);
    const own = directory.entries.find(([name]) => name === nameOf(path));
    if (own) this.node.onStat(own[1]);
    else if (directory.more || directory.names.includes(nameOf(path))) this.node.loadSoon();
  }

  onFirstOpen({ revision }) {
    this.rows.onFirstOpen(revision);
    if (this.isShown && this.node.node && this.node.node.revision < revision) this.node.load();
  }

  /** The stream could not tell what was missed. */
  onReset() {
    if (app.asOf !== null) return;
    this.rows.onReset();
    if (this.isShown && this.node.path) this.node.load();
  }
}
