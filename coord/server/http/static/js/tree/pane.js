// The left side of the tree's view: search, rows, and what the newest news says.

import { app, go } from "/page/js/app.js";
import { append, h, replace } from "/page/js/dom.js";
import { count, counted } from "/page/js/format.js";
import { icon } from "/page/js/icons.js";
import { parentOf, ROOT } from "/page/js/paths.js";
import { Loader } from "/page/js/tree/loader.js";
import { Tree } from "/page/js/tree/model.js";
import { Search } from "/page/js/tree/search.js";
import { TreeView } from "/page/js/tree/view.js";

const OPEN_MAX = 200;
const LOOK_EVERY_MS = 4000;
const LOOK_FIRST_MS = 60;

/** `onPick(path)` when a row is selected, `onRemove(path)` when it is to be deleted. */
export class TreePane {
  constructor(onPick, onRemove) {
    this.tree = new Tree();
    this.view = new TreeView(this.tree);
    this.loader = new Loader(
      this.tree,
      () => this.onRows(),
      (path) => this.onMissing(path),
    );
    this.search = new Search((path) => go("tree", path, { at: app.asOf }));
    this.timer = 0;
    this.foot = h("div.tree-foot");
    this.create = h(
      "button.quiet.square",
      { title: "Create a node below the selected one", "aria-label": "Create a node" },
      icon("plus"),
    );
    this.element = h(
      "div.first",
      {},
      h("div.tree-head", {}, this.search.element, this.create),
      this.view.element,
      this.foot,
    );
    this.view.addEventListener("pick", ({ detail }) => onPick(detail));
    this.view.addEventListener("remove", ({ detail }) => onRemove(detail));
    this.view.addEventListener("toggle", ({ detail }) => this.toggle(detail));
    this.view.addEventListener("need", ({ detail }) => this.need(detail));
    this.view.addEventListener("drawn", () => this.lookAgain());
    this.view.element.addEventListener("scroll", () => this.follow(), { passive: true });
  }

  /** Show the tree from its root on, now or as of another time. */
  start() {
    this.loader.cancelAll();
    this.tree.clear();
    this.tree.open(ROOT);
    this.loader.load(ROOT, 0);
  }

  async toggle(path) {
    if (this.tree.directory(path)) {
      this.loader.cancel(path);
      this.tree.close(path);
      if (this.tree.indexOf(this.tree.active) < 0) this.tree.active = path;
      this.view.draw();
      this.drawFoot();
      this.follow();
      return;
    }
    if (this.tree.directories.size >= OPEN_MAX) this.closeFarthest(path);
    this.tree.open(path);
    this.view.draw();
    this.follow();
    await this.loader.load(path, 0);
  }

  /** Too much is open: what lies on no line to `path` goes first. */
  closeFarthest(path) {
    const victim = this.tree.paths.find(
      (open) => open !== ROOT && !path.startsWith(`${open}/`) && open !== path,
    );
    if (victim) this.tree.close(victim);
  }

  need({ path, upTo, again }) {
    const directory = this.tree.directory(path);
    if (!directory || (directory.problem && !again)) return;
    this.loader.load(path, upTo);
  }

  async select(path) {
    this.tree.selected = path;
    this.view.draw();
    this.drawFoot();
    if (this.tree.indexOf(path) < 0) {
      await this.loader.reveal(path, () => this.tree.selected === path);
      this.follow();
    }
    if (this.tree.selected !== path) return;
    this.view.activate(path);
  }

  onRows() {
    this.view.draw();
    this.follow();
    this.drawFoot();
  }

  onMissing(path) {
    if (path === ROOT) return;
    this.tree.drop(path);
    this.onRows();
  }

  // --- news -------------------------------------------------------------------------------------

  /** Hear of what is open. What finds no room is looked at again whenever it comes into sight. */
  follow() {
    if (app.asOf !== null) return;
    const inSight = [...this.view.inSight().keys()];
    const others = this.tree.paths.filter((path) => !inSight.includes(path));
    const followed = new Set(
      app.live.follow([...inSight, ...others].filter((path) => this.tree.directory(path))),
    );
    for (const [path, directory] of this.tree.directories)
      if (!followed.has(path) && !directory.isStale) directory.doubt();
    this.lookAgain();
  }

  /** Read the rows in sight of what the stream could not tell, once in a while. */
  lookAgain() {
    const stale = this.stale();
    if (this.timer || !stale.length) return;
    const isNew = stale.some(([path, rows]) => this.tree.directory(path).isUnseen(...rows));
    // All pages hear at once that there is more to see; they do not all ask at once.
    const wait = isNew ? LOOK_FIRST_MS : LOOK_EVERY_MS * (0.2 + Math.random());
    this.timer = setTimeout(() => {
      this.timer = 0;
      for (const [path, rows] of this.stale()) this.loader.refresh(path, ...rows);
    }, wait);
  }

  /** [path, rows] in sight that may no longer be as they are shown. */
  stale() {
    return [...this.view.inSight()].filter(([path, rows]) => this.tree.directory(path)?.isDoubtful(...rows));
  }

  onChanges({ dirs }) {
    if (app.asOf !== null) return;
    for (const [path, news] of Object.entries(dirs)) this.onDirectory(path, news);
    this.view.draw();
    this.drawFoot();
  }

  onDirectory(path, { stat, entries, names, more }) {
    const directory = this.tree.directory(path);
    if (path === ROOT && stat) this.tree.rootStat = stat;
    if (!directory) return;
    if (stat === null) {
      this.onMissing(path);
      return;
    }
    for (const [name, childStat] of entries) {
      if (childStat === null && directory.open.has(name)) this.tree.close(directory.open.get(name).path);
      directory.update(name, childStat);
    }
    directory.total = stat.children;
    for (const name of names) directory.touch(name);
    if (more) directory.doubt();
    if (more || names.length) this.lookAgain();
  }

  /** The stream tells what comes after `revision`: what was read before may have changed since. */
  onFirstOpen(revision) {
    for (const directory of this.tree.directories.values())
      if (directory.revision < revision) directory.doubt();
    this.lookAgain();
  }

  /** Nobody knows what was missed: all that is open may have changed. */
  onReset() {
    this.doubtAll();
    this.lookAgain();
  }

  doubtAll() {
    for (const directory of this.tree.directories.values()) directory.doubt();
  }

  drawFoot() {
    const { selected } = this.tree;
    const directory =
      this.tree.directory(selected) ?? this.tree.directory(parentOf(selected)) ?? this.tree.directory(ROOT);
    if (!directory) return;
    const known = directory.isComplete ? "" : `, the first ${count(directory.names.length)} read`;
    replace(this.foot);
    append(this.foot, [
      h(
        "span.ellipsis",
        {},
        `${counted(directory.total, "node")} in `,
        h("bdi.mono", {}, directory.path),
        known,
      ),
    ]);
  }
}
