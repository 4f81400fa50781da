// Draws the rows of a tree that are in sight, and takes mouse and keys. The focus stays on the tree;
// the active row is named to assistive technology by aria-activedescendant.

import { h, replace, setAttributes, setText } from "/page/js/dom.js";
import { bytes, count, counted, namedText, sessionName, shownName } from "/page/js/format.js";
import { icon } from "/page/js/icons.js";
import { parentOf, ROOT } from "/page/js/paths.js";

const ROW = 24;
const MORE = 8;
const TYPED_MS = 700;

/**
 * Events, with a path as `detail`: "pick" (selected), "toggle" (open or close), "need"
 * ({ path, upTo }: rows in sight that are not known), "remove" (the Delete key), "drawn".
 */
export class TreeView extends EventTarget {
  constructor(tree) {
    super();
    this.tree = tree;
    this.rows = new Map();
    this.typed = "";
    this.typedAt = 0;
    this.goal = null;
    this.isDrawing = false;
    this.sizer = h("div.tree-sizer", { role: "presentation" });
    this.element = h(
      "div.tree",
      { role: "tree", tabindex: 0, "aria-label": "Nodes", id: "tree" },
      this.sizer,
    );
    this.element.addEventListener("scroll", () => this.draw(), { passive: true });
    this.element.addEventListener("keydown", (event) => this.onKey(event));
    this.element.addEventListener("click", (event) => this.onClick(event));
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  /** Draw once before the next frame, however often it is asked for. */
  draw() {
    if (this.isDrawing) return;
    this.isDrawing = true;
    requestAnimationFrame(() => {
      this.isDrawing = false;
      this.drawNow();
    });
  }

  drawNow() {
    const total = this.tree.rows;
    this.sizer.style.height = `${total * ROW}px`;
    const first = Math.max(0, Math.floor(this.element.scrollTop / ROW) - MORE);
    const last = Math.min(
      total,
      Math.ceil((this.element.scrollTop + this.element.clientHeight) / ROW) + MORE,
    );
    const drawn = new Map();
    const needed = new Map();
    for (let at = first; at < last; at++) {
      const row = this.tree.row(at);
      if (!row) break;
      if (row.path === null) needed.set(row.directory.path, row.index);
      const key = row.path ?? `?${row.directory.path}/${row.index}`;
      const element = this.rows.get(key) ?? this.newRow();
      this.fillRow(element, row, at);
      drawn.set(key, element);
    }
    for (const [key, element] of this.rows) if (!drawn.has(key)) element.remove();
    this.rows = drawn;
    this.place([...drawn.values()]);
    const active = drawn.get(this.tree.active);
    setAttributes(this.element, { "aria-activedescendant": active ? active.id : null });
    for (const [path, upTo] of needed) this.emit("need", { path, upTo });
    this.reachGoal();
    this.emit("drawn");
  }

  /** Rows stand in the document in the order in which they are seen. */
  place(elements) {
    for (const [at, element] of elements.entries()) {
      if (this.sizer.children[at] !== element)
        this.sizer.insertBefore(element, this.sizer.children[at] ?? null);
    }
  }

  newRow() {
    TreeView.serial = (TreeView.serial ?? 0) + 1;
    const twist = h("span.twist", { "aria-hidden": "true" });
    const label = h("span.label.name.ellipsis");
    const badge = h("span.count", { hidden: true });
    const hint = h("span.hint");
    const element = h(
      "div.tree-row",
      { role: "treeitem", id: `row-${TreeView.serial}` },
      twist,
      label,
      badge,
      hint,
    );
    element.parts = { twist, label, badge, hint };
    return element;
  }

  fillRow(element, row, at) {
    element.style.transform = `translateY(${at * ROW}px)`;
    element.style.paddingLeft = `${4 + (row.level - 1) * 16}px`;
    const problem = row.path === null ? row.directory.problem : null;
    setAttributes(element, {
      "aria-level": row.level,
      "aria-posinset": row.position,
      "aria-setsize": row.siblings,
      "aria-selected": String(row.path !== null && row.path === this.tree.selected),
      "aria-busy": row.path === null ? "true" : null,
    });
    element.row = row;
    element.classList.toggle("is-selected", row.path === this.tree.selected && row.path !== null);
    element.classList.toggle("is-active", row.path === this.tree.active && row.path !== null);
    element.classList.toggle("is-waiting", row.path === null && !problem);
    element.classList.toggle("is-failed", Boolean(problem));
    if (row.path === null) this.fillWaiting(element, problem);
    else this.fillKnown(element, row);
  }

  fillWaiting({ parts }, problem) {
    setText(parts.label, problem ? `${problem.message} Click to try again.` : "reading…");
    parts.badge.hidden = true;
  }

  fillKnown(element, row) {
    const { parts } = element;
    const stat = this.tree.statOf(row.path);
    const directory = this.tree.directory(row.path);
    const isOpen = directory !== undefined;
    const children = directory?.isComplete ? directory.names.length : (stat?.children ?? 0);
    setAttributes(element, { "aria-expanded": children || isOpen ? String(isOpen) : null });
    if (element.name !== row.name) {
      element.name = row.name;
      replace(parts.label, row.path === ROOT ? "/" : shownName(row.name));
    }
    if (Boolean(parts.twist.firstChild) !== Boolean(children || isOpen))
      replace(parts.twist, children || isOpen ? icon("chevron") : null);
    parts.badge.hidden = !children;
    setText(parts.badge, children ? count(children) : "");
    setText(parts.hint, stat && stat.bytes ? bytes(stat.bytes) : "");
    const owner = stat?.owner_session;
    element.classList.toggle("is-ephemeral", Boolean(owner));
    const facts = [
      counted(children, "child", "children"),
      stat ? bytes(stat.bytes) : "",
      owner ? `ephemeral, of session ${sessionName(owner)}` : "",
    ];
    setAttributes(element, {
      "aria-label": [namedText(row.name), ...facts.filter(Boolean)].join(", "),
      title: namedText(row.path),
    });
    this.flash(element, stat);
  }

  /** What has changed since this row was drawn last is tinted for a moment. */
  flash(element, stat) {
    const mark = stat ? `${stat.modified_revision}/${stat.children_revision}` : "";
    if (element.mark && mark && element.mark !== mark) {
      element.classList.remove("has-changed");
      void element.offsetWidth;
      element.classList.add("has-changed");
    }
    element.mark = mark;
  }

  // --- moving -----------------------------------------------------------------------------------

  activate(path) {
    this.tree.active = path;
    this.scrollTo(this.tree.indexOf(path));
    this.draw();
  }

  scrollTo(at) {
    if (at < 0) return;
    const top = at * ROW;
    const height = this.element.clientHeight;
    // The sizer may not have grown yet: without this the browser would cut the scrolling short.
    this.sizer.style.height = `${this.tree.rows * ROW}px`;
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    else if (top + ROW > this.element.scrollTop + height) this.element.scrollTop = top + ROW - height;
  }

  move(to) {
    const at = Math.max(0, Math.min(this.tree.rows - 1, to));
    const row = this.tree.row(at);
    if (!row) return;
    this.scrollTo(at);
    this.goal = at;
    this.draw();
    this.reachGoal();
  }

  /** Keys have moved to row `goal`: it becomes the active one, as soon as it is known. */
  reachGoal() {
    const row = this.goal === null ? null : this.tree.row(this.goal);
    if (!row?.path) return;
    this.goal = null;
    this.tree.active = row.path;
    this.draw();
    this.emit("pick", row.path);
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = Math.max(0, this.tree.indexOf(this.tree.active));
    const pageful = Math.max(1, Math.floor(this.element.clientHeight / ROW) - 1);
    const moves = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      Home: 0,
      End: this.tree.rows - 1,
      PageDown: at + pageful,
      PageUp: at - pageful,
    };
    if (event.key in moves) this.move(moves[event.key]);
    else if (event.key === "ArrowRight") this.openOrEnter(at);
    else if (event.key === "ArrowLeft") this.closeOrLeave();
    else if (event.key === "Enter" || event.key === " ") this.emit("pick", this.tree.active);
    else if (event.key === "Delete") this.emit("remove", this.tree.active);
    else if (event.key.length === 1) this.typeAhead(event.key, at);
    else return;
    event.preventDefault();
  }

  openOrEnter(at) {
    const path = this.tree.active;
    if (this.tree.directory(path)) this.move(at + 1);
    else if (this.tree.statOf(path)?.children) this.emit("toggle", path);
  }

  closeOrLeave() {
    const path = this.tree.active;
    if (this.tree.directory(path)) this.emit("toggle", path);
    else if (path !== ROOT) this.move(this.tree.indexOf(parentOf(path)));
  }

  /** To the next row that starts with what is being typed. */
  typeAhead(character, at) {
    const now = performance.now();
    this.typed = (now - this.typedAt < TYPED_MS ? this.typed : "") + character.toLowerCase();
    this.typedAt = now;
    const total = Math.min(this.tree.rows, 20_000);
    const start = this.typed.length > 1 ? at : at + 1;
    for (let step = 0; step < total; step++) {
      const index = (start + step) % this.tree.rows;
      if (this.tree.row(index)?.name?.toLowerCase().startsWith(this.typed)) {
        this.move(index);
        return;
      }
    }
  }

  onClick(event) {
    const element = event.target.closest(".tree-row");
    if (!element) return;
    const { row } = element;
    if (row.path === null) {
      this.emit("need", { path: row.directory.path, upTo: row.index, again: true });
      return;
    }
    this.goal = null;
    this.tree.active = row.path;
    if (event.target.closest(".twist")) this.emit("toggle", row.path);
    else this.emit("pick", row.path);
    this.draw();
  }

  /** Directory → [first, last] of its rows that are in sight. */
  inSight() {
    const found = new Map();
    for (const { row } of this.rows.values()) {
      if (!row.directory) continue;
      const [first, last] = found.get(row.directory.path) ?? [row.index, row.index];
      found.set(row.directory.path, [Math.min(first, row.index), Math.max(last, row.index)]);
    }
    return found;
  }

  emit(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }
}
