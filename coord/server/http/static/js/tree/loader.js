// Fills the model: pages of children in the background, as far as somebody looks.

import { readQuery } from "/page/js/app.js";
import { get } from "/page/js/api.js";
import { escaped, find, lineOf, nameOf, ROOT } from "/page/js/paths.js";

const FIRST_PAGE = 200;
const PAGE = 1000;

export class Loader {
  /** `onChange()` is called after every page, `onMissing(path)` for a directory that is gone. */
  constructor(tree, onChange, onMissing) {
    this.tree = tree;
    this.onChange = onChange;
    this.onMissing = onMissing;
    /** Path → { upTo, promise, cancel } of the directories that are being read. */
    this.running = new Map();
  }

  /** Read `path` until its row `upTo` is known; resolves when it is, or cannot be. */
  load(path, upTo = 0) {
    const directory = this.tree.directory(path);
    if (!directory) return Promise.resolve();
    if (directory.isComplete || directory.names.length > upTo) return Promise.resolve();
    const running = this.running.get(path);
    if (running) {
      running.upTo = Math.max(running.upTo, upTo);
      return running.promise;
    }
    const task = { upTo, cancel: new AbortController() };
    this.running.set(path, task);
    task.promise = this.read(path, directory, task).finally(() => {
      if (this.running.get(path) === task) this.running.delete(path);
    });
    return task.promise;
  }

  async read(path, directory, task) {
    const { signal } = task.cancel;
    directory.problem = null;
    try {
      while (!directory.isComplete && directory.names.length <= task.upTo) {
        const after = directory.names[directory.names.length - 1];
        const limit = after === undefined ? FIRST_PAGE : PAGE;
        // What is only passed on the way to a far row is read without stats.
        const isFar = task.upTo - directory.names.length > 2 * PAGE;
        const page = await this.page(path, { after, limit, stats: isFar ? false : null }, signal);
        directory.revision = Math.min(directory.revision, page.revision);
        directory.append(page.children, page.stat.children, !page.more);
        this.onChange();
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error.isMissing) this.onMissing(path);
      else directory.problem = error;
      this.onChange();
    }
  }

  /** Look again at some rows of a directory: those that are in sight. */
  async refresh(path, first, last) {
    const directory = this.tree.directory(path);
    if (!directory) return;
    const after = first > 0 ? directory.names[Math.min(first, directory.names.length) - 1] : undefined;
    try {
      const page = await this.page(path, { after, limit: Math.min(last - first + 1, PAGE) });
      if (this.tree.directory(path) !== directory) return;
      directory.looked = [first, last];
      directory.reconcile(after, page.children, page.stat.children, !page.more);
      this.onChange();
    } catch (error) {
      if (error.isMissing) this.onMissing(path);
    }
  }

  async page(path, query, signal) {
    const page = await get(`/v1/children${escaped(path)}`, readQuery(query), signal);
    if (path === ROOT) this.tree.rootStat = page.stat;
    return page;
  }

  cancel(path) {
    this.running.get(path)?.cancel.abort();
    this.running.delete(path);
  }

  cancelAll() {
    for (const path of [...this.running.keys()]) this.cancel(path);
  }

  /** Open what is above `path` and read until its row is known, as long as it `isWanted`. */
  async reveal(path, isWanted) {
    const line = lineOf(path);
    for (const [at, ancestor] of line.slice(0, -1).entries()) {
      const directory = this.tree.open(ancestor);
      const name = nameOf(line[at + 1]);
      while (find(directory.names, name) < 0) {
        const known = directory.names.length;
        if (directory.isComplete || !isWanted()) return;
        await this.load(ancestor, known);
        if (this.tree.directory(ancestor) !== directory || directory.problem) return;
      }
    }
  }
}
