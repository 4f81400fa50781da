// Icons: strokes on a grid of 16.

import { s } from "/page/js/dom.js";

const PATHS = {
  chevron: "M6 3.5 10.5 8 6 12.5",
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10ZM10.7 10.7 14 14",
  copy: "M5.5 5.5h8v8h-8zM3 10.5h-.5v-8h8V3",
  plus: "M8 3v10M3 8h10",
  edit: "M10.5 3.5l2 2L5.5 12.5l-2.7.7.7-2.7zM9 5l2 2",
  trash: "M3 4.5h10M6.5 4V2.5h3V4M4.5 4.5l.6 9h5.8l.6-9M6.8 7v4M9.2 7v4",
  check: "M3 8.5 6.5 12 13 4.5",
  cross: "M4 4l8 8M12 4l-8 8",
  warning: "M8 2.5 14.5 13.5H1.5zM8 6.5v3.5M8 11.8v.2",
  sun: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6ZM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
  moon: "M13 9.8A5.6 5.6 0 0 1 6.2 3 5.6 5.6 0 1 0 13 9.8Z",
  auto: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2ZM8 2v12",
  clock: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2ZM8 5v3.2l2.2 1.6",
  down: "M8 2.5v8M4.5 7.5 8 11l3.5-3.5M3 13.5h10",
  lock: "M4 7.5h8v6H4zM5.5 7.5v-2a2.5 2.5 0 0 1 5 0v2",
  user: "M8 8a2.6 2.6 0 1 0 0-5.2A2.6 2.6 0 0 0 8 8ZM3 13.5c.5-2.5 2.4-4 5-4s4.500 1.500 5 4",
};

export function icon(name) {
  return s("svg.icon", { viewBox: "0 0 16 16", "aria-hidden": "true" }, s("path", { d: PATHS[name] }));
}

/** The mark of the product: three nodes that know one another. */
export function mark() {
  return s(
    "svg",
    { viewBox: "0 0 20 20", "aria-hidden": "true" },
    s("path", {
      d: "M10 6 5 14.500M10 6l5 8.500M5.500 14.500h9",
      fill: "none",
      stroke: "currentColor",
      "stroke-width": 1.6,
    }),
    s("circle", { cx: 10, cy: 5, r: 2.9, fill: "currentColor" }),
    s("circle", { cx: 4.5, cy: 14.5, r: 2.4, fill: "currentColor" }),
    s("circle", { cx: 15.5, cy: 14.5, r: 2.4, fill: "currentColor" }),
  );
}
