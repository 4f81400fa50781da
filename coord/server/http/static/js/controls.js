// Small parts that several views use: tabs, switches, links, empty states, problems, tables, splitters.

import { append, h, setAttributes } from "/page/js/dom.js";
import { sessionName } from "/page/js/format.js";
import { icon } from "/page/js/icons.js";
import { address } from "/page/js/paths.js";

/** Tabs: [[key, label]], the chosen one; `choose(key)` on change. Arrow keys move between them. */
export function tabs(label, entries, chosen, choose) {
  const buttons = entries.map(([key, text]) =>
    h(
      "button",
      {
        type: "button",
        role: "tab",
        id: `tab-${key}`,
        "aria-controls": "tab-panel",
        "aria-selected": String(key === chosen),
        tabindex: key === chosen ? 0 : -1,
        onclick: () => choose(key),
      },
      text,
    ),
  );
  const element = h("div.tabs", { role: "tablist", "aria-label": label }, buttons);
  element.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = buttons.indexOf(document.activeElement);
    const next = (at + step + buttons.length) % buttons.length;
    buttons[next].focus();
    choose(entries[next][0]);
  });
  element.choose = (key) => {
    for (const [at, button] of buttons.entries())
      setAttributes(button, {
        "aria-selected": String(entries[at][0] === key),
        tabindex: entries[at][0] === key ? 0 : -1,
      });
  };
  return element;
}

/** A switch of several positions. `disabled`: keys that cannot be chosen. */
export function segments(label, entries, chosen, choose, disabled = []) {
  const buttons = entries.map(([key, text]) =>
    h(
      "button",
      {
        type: "button",
        "aria-pressed": String(key === chosen),
        disabled: disabled.includes(key),
        onclick: () => press(key),
      },
      text,
    ),
  );
  function press(key) {
    for (const [at, button] of buttons.entries())
      setAttributes(button, { "aria-pressed": String(entries[at][0] === key) });
    choose(key);
  }
  return h("div.segments", { role: "group", "aria-label": label }, buttons);
}

/** To a session's story; `word` stands before its id. */
export function sessionLink(session, word = "") {
  const name = sessionName(session);
  return h("a.link", { href: address("sessions", `/${name}`) }, word, name);
}

export function badge(text, tone = "") {
  return h(tone ? `span.badge.is-${tone}` : "span.badge", {}, text);
}

export function empty(title, ...more) {
  return h("div.empty", {}, h("b", {}, title), ...more);
}

export function problemBox(problem, again) {
  return h(
    "div.problem",
    { role: "alert" },
    icon("warning"),
    h("p.grow", {}, problem.message),
    again ? h("button.small", { type: "button", onclick: again }, "Try again") : null,
  );
}

/** A table: [[heading, class]], rows of cells. A row with `open` can be clicked and entered. */
export function table(caption, headings, rows) {
  const head = h(
    "tr",
    {},
    headings.map(([text, cls]) => h(cls ? `th.${cls}` : "th", { scope: "col" }, text)),
  );
  const body = rows.map(({ cells, open, isSelected }) => {
    const row = h(
      isSelected ? "tr.is-selected" : "tr",
      open
        ? { "data-open": true, onclick: (event) => event.target.closest("a, button, input") || open() }
        : {},
    );
    append(
      row,
      cells.map((cell, at) => h(headings[at]?.[1] ? `td.${headings[at][1]}` : "td", {}, cell)),
    );
    return row;
  });
  return h(
    "div.table-wrap",
    { tabindex: 0, role: "region", "aria-label": caption },
    h("table", {}, h("caption.visually-hidden", {}, caption), h("thead", {}, head), h("tbody", {}, body)),
  );
}

export function facts(entries) {
  return h(
    "dl.facts",
    {},
    entries.filter(Boolean).map(([name, ...value]) => [h("dt", {}, name), h("dd", {}, ...value)]),
  );
}

export function panel(title, body, ...tools) {
  return h(
    "section.panel",
    { "aria-label": title },
    h("div.panel-head", {}, h("h2", {}, title), h("span.grow"), ...tools),
    body,
  );
}

/** A divider that the pointer drags and arrow keys move; the width is remembered. */
export function splitter(element, key, fallback) {
  const remembered = Number(localStorage.getItem(key)) || fallback;
  const handle = h("div.splitter", {
    role: "separator",
    tabindex: 0,
    "aria-orientation": "vertical",
    "aria-label": "Width of the tree",
    "aria-valuemin": 200,
    "aria-valuemax": 900,
  });
  let width = remembered;
  const set = (wanted) => {
    width = Math.max(200, Math.min(900, wanted));
    element.style.setProperty("--first", `${width}px`);
    setAttributes(handle, { "aria-valuenow": Math.round(width) });
    localStorage.setItem(key, String(Math.round(width)));
  };
  handle.addEventListener("pointerdown", (event) => {
    handle.setPointerCapture(event.pointerId);
    const left = element.getBoundingClientRect().left;
    handle.onpointermove = (move) => set(move.clientX - left);
    handle.onpointerup = () => {
      handle.onpointermove = null;
    };
    event.preventDefault();
  });
  handle.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -20, ArrowRight: 20 }[event.key];
    if (step) set(width + step);
  });
  set(remembered);
  return handle;
}
