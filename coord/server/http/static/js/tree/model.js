// The open part of the tree, as rows that can be asked for by number. Nothing here touches the
// document or the network.
//
// A directory knows a prefix of its children's names, in order; of the rest it knows how many. Rows
// of the rest are "waiting" until the prefix reaches them. Cost of finding a row: the directories
// open above it, not the rows.

import { compareNames, find, join, lineOf, nameOf, parentOf, ROOT } from "/page/js/paths.js";

/** Where the names behind `name` begin. */
function positionAfter(names, name) {
  const at = find(names, name);
  return at >= 0 ? at + 1 : -1 - at;
}

export class Directory {
  constructor(path, total) {
    this.path = path;
    this.names = [];
    this.stats = new Map();
    this.total = total;
    this.isComplete = total === 0;
    this.problem = null;
    /** Of the first page that was read. */
    this.revision = Infinity;
    /** Open children by name. */
    this.open = new Map();
    /** News has passed this directory by: all but the rows `looked` may be out of date. */
    this.isStale = false;
    this.looked = null;
    /** Names of which it is known that they have changed, and not how. */
    this.touched = new Set();
  }

  doubt() {
    this.isStale = true;
    this.looked = null;
  }

  /** News of one child: it has changed. */
  touch(name) {
    if (find(this.names, name) >= 0) this.touched.add(name);
    else if (this.isInPrefix(name)) this.doubt();
  }

  isInPrefix(name) {
    const last = this.names[this.names.length - 1];
    return this.isComplete || (last !== undefined && compareNames(name, last) <= 0);
  }

  /** Whether any of these rows may be out of date, or was read without its stat. */
  isDoubtful(first, last) {
    if (this.isStale && !this.hasLooked(first, last)) return true;
    return this.isUnread(first, last) || this.namesOf(first, last).some((name) => this.touched.has(name));
  }

  /** Whether any of these rows has never been read, or not since the directory became doubtful. */
  isUnseen(first, last) {
    if (this.isStale && this.looked && !this.hasLooked(first, last)) return true;
    return this.isUnread(first, last);
  }

  isUnread(first, last) {
    return this.namesOf(first, last).some((name) => this.stats.get(name) === undefined);
  }

  hasLooked(first, last) {
    return this.looked !== null && this.looked[0] <= first && last <= this.looked[1];
  }

  namesOf(first, last) {
    return this.names.slice(first, last + 1);
  }

  /** A child as it is now. */
  keep(name, stat) {
    this.insert(name);
    this.stats.set(name, stat);
    this.touched.delete(name);
  }

  get knownRows() {
    return this.isComplete ? this.names.length : Math.max(this.total, this.names.length + 1);
  }

  get rows() {
    let rows = this.knownRows;
    for (const [, child] of this.openInOrder()) rows += child.rows;
    return rows;
  }

  /** [index, child] of the open children, in order. */
  openInOrder() {
    return [...this.open.values()]
      .map((child) => [find(this.names, nameOf(child.path)), child])
      .filter(([at]) => at >= 0)
      .sort(([a], [b]) => a - b);
  }

  /** The next page of children, `total` of the whole list. */
  append(children, total, isComplete) {
    for (const { name, stat } of children) this.keep(name, stat);
    this.isComplete = isComplete;
    this.total = isComplete ? this.names.length : total;
  }

  insert(name) {
    const last = this.names[this.names.length - 1];
    if (last === undefined || compareNames(last, name) < 0) {
      this.names.push(name);
      return;
    }
    const at = find(this.names, name);
    if (at < 0) this.names.splice(-1 - at, 0, name);
  }

  remove(name) {
    const at = find(this.names, name);
    if (at >= 0) this.names.splice(at, 1);
    this.stats.delete(name);
    this.touched.delete(name);
    this.open.delete(name);
  }

  /**
   * A fresh look at the children after `after` (undefined: from the first on), as far as it went:
   * what is not in it is gone, unless it comes after all that was looked at.
   */
  reconcile(after, children, total, isLast) {
    const first = after === undefined ? 0 : positionAfter(this.names, after);
    const end = children.length ? children[children.length - 1].name : after;
    const found = new Set(children.map(({ name }) => name));
    const isPast = (name) => !isLast && (end === undefined || compareNames(name, end) > 0);
    for (let at = first; at < this.names.length && !isPast(this.names[at]);) {
      if (found.has(this.names[at])) at += 1;
      else this.remove(this.names[at]);
    }
    for (const { name, stat } of children) this.keep(name, stat);
    this.total = this.isComplete && isLast ? this.names.length : total;
    this.isComplete ||= isLast;
  }

  /** News of one child: `stat` is null once it is gone. Whether any row differs now. */
  update(name, stat) {
    if (stat === null) {
      const was = find(this.names, name) >= 0;
      this.remove(name);
      return was;
    }
    if (find(this.names, name) < 0 && !this.isInPrefix(name)) return false;
    this.keep(name, stat);
    return true;
  }
}

export class Tree {
  constructor() {
    this.clear();
  }

  clear() {
    /** Open directories by path. */
    this.directories = new Map();
    this.rootStat = null;
    this.selected = ROOT;
    this.active = ROOT;
  }

  directory(path) {
    return this.directories.get(path);
  }

  statOf(path) {
    if (path === ROOT) return this.rootStat;
    return this.directories.get(parentOf(path))?.stats.get(nameOf(path)) ?? null;
  }

  open(path) {
    if (this.directories.has(path)) return this.directories.get(path);
    const directory = new Directory(path, this.statOf(path)?.children ?? 0);
    directory.isComplete = false;
    this.directories.set(path, directory);
    if (path !== ROOT) this.directories.get(parentOf(path))?.open.set(nameOf(path), directory);
    return directory;
  }

  close(path) {
    const directory = this.directories.get(path);
    if (!directory) return;
    for (const child of directory.open.values()) this.close(child.path);
    this.directories.delete(path);
    if (path !== ROOT) this.directories.get(parentOf(path))?.open.delete(nameOf(path));
  }

  /** Drop a node that is gone, with what was open below it. */
  drop(path) {
    this.close(path);
    this.directories.get(parentOf(path))?.remove(nameOf(path));
  }

  /** The root's own row, and all below it that is open. */
  get rows() {
    return 1 + (this.directories.get(ROOT)?.rows ?? 0);
  }

  /** Row number `at`: { path, name, level, position, siblings, directory } or one that waits. */
  row(at) {
    if (at === 0) return { path: ROOT, name: ROOT, level: 1, position: 1, siblings: 1, directory: null };
    const root = this.directories.get(ROOT);
    return root ? this.rowIn(root, at - 1, 2) : null;
  }

  rowIn(directory, at, level) {
    let passed = 0;
    for (const [index, child] of directory.openInOrder()) {
      const ownRow = index + passed;
      if (at <= ownRow) break;
      const inside = at - ownRow - 1;
      if (inside < child.rows) return this.rowIn(child, inside, level + 1);
      passed += child.rows;
    }
    const index = at - passed;
    const siblings = directory.knownRows;
    if (index >= siblings) return null;
    const common = { level, position: index + 1, siblings, directory, index };
    if (index >= directory.names.length) return { ...common, path: null, name: null };
    const name = directory.names[index];
    return { ...common, path: join(directory.path, name), name };
  }

  /** The row of a path, −1 if it is not among the rows. */
  indexOf(path) {
    if (path === ROOT) return 0;
    let at = 0;
    for (const ancestor of lineOf(path).slice(1)) {
      const directory = this.directories.get(parentOf(ancestor));
      const index = directory ? find(directory.names, nameOf(ancestor)) : -1;
      if (index < 0) return -1;
      at += index + 1;
      for (const [other, child] of directory.openInOrder()) {
        if (other >= index) break;
        at += child.rows;
      }
    }
    return at;
  }

  get paths() {
    return [...this.directories.keys()];
  }
}
