// A view that asks again every few seconds while it is in sight. An answer that cannot be had leaves
// the last one on the screen.

import { problemBox } from "/page/js/controls.js";
import { h, keepFocus, replace } from "/page/js/dom.js";

export class PollingView {
  constructor(title, everyMs) {
    this.title = title;
    this.everyMs = everyMs;
    this.timer = 0;
    this.serial = 0;
    this.answer = null;
    this.element = h("div.page", { "aria-label": title });
  }

  show(place) {
    this.place = place;
    this.isShown = true;
    document.title = `${this.title} · coord`;
    if (this.answer === null) replace(this.element, h("p.empty", { "aria-busy": "true" }, "Asking…"));
    return this.refresh();
  }

  leave() {
    this.isShown = false;
    clearTimeout(this.timer);
  }

  async refresh() {
    clearTimeout(this.timer);
    const serial = ++this.serial;
    try {
      const answer = await this.ask(this.place);
      if (serial !== this.serial || !this.isShown) return;
      this.answer = answer;
      this.problem = null;
    } catch (problem) {
      if (serial !== this.serial || !this.isShown) return;
      this.problem = problem;
    }
    // What somebody is reading with the keyboard, selecting or typing into stays as it is.
    if (!this.isBusy()) this.render();
    this.timer = setTimeout(() => (document.hidden ? this.later() : this.refresh()), this.everyMs);
  }

  later() {
    this.timer = setTimeout(() => this.refresh(), this.everyMs);
  }

  isBusy() {
    const selection = document.getSelection();
    return !selection.isCollapsed && this.element.contains(selection.anchorNode);
  }

  render() {
    const places = scrolled(this.element).map(([name, it]) => [name, it.scrollTop, it.scrollLeft]);
    const problem = this.problem ? problemBox(this.problem, () => this.refresh()) : null;
    keepFocus(this.element, () =>
      replace(this.element, problem, ...(this.answer === null ? [] : this.draw(this.answer))),
    );
    const drawn = new Map(scrolled(this.element));
    for (const [name, top, left] of places) drawn.get(name)?.scrollTo(left, top);
  }
}

/** What scrolls by itself, by a name that it keeps: [[name, element]]. */
function scrolled(root) {
  const within = [...root.querySelectorAll(".tall, .table-wrap")];
  const nameOf = (it) => `${it.closest("section")?.getAttribute("aria-label")} ${it.className}`;
  return [["", root], ...within.map((it) => [nameOf(it), it])];
}
