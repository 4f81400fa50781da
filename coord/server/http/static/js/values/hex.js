// A value as bytes, sixteen a line. Only the lines in sight are in the document: a megabyte has
// 65,536 of them.

import { h, replace } from "/page/js/dom.js";

const PER_LINE = 16;
const LINE = 20;
const MORE = 10;

export function hexView(bytes) {
  const lines = Math.ceil(bytes.length / PER_LINE);
  const sizer = h("div.hex-sizer");
  const element = h(
    "div.value.hex",
    { tabindex: 0, role: "region", "aria-label": `Bytes in hexadecimal, ${lines} lines` },
    sizer,
  );
  sizer.style.height = `${lines * LINE + 16}px`;
  const draw = () => {
    const first = Math.max(0, Math.floor(element.scrollTop / LINE) - MORE);
    const last = Math.min(
      lines,
      Math.ceil((element.scrollTop + (element.clientHeight || 600)) / LINE) + MORE,
    );
    const rows = [];
    for (let line = first; line < last; line++) rows.push(row(bytes, line));
    replace(sizer, rows);
  };
  element.addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
  new ResizeObserver(draw).observe(element);
  draw();
  return element;
}

function row(bytes, line) {
  const part = bytes.subarray(line * PER_LINE, (line + 1) * PER_LINE);
  const { offset, hex, shown } = lineOf(part, line * PER_LINE);
  const element = h(
    "div.hex-row",
    {},
    h("span.offset", {}, offset),
    `  ${hex}  `,
    h("span.shown", {}, shown),
  );
  element.style.transform = `translateY(${line * LINE + 8}px)`;
  return element;
}

function lineOf(part, offset) {
  let hex = "";
  let shown = "";
  for (let at = 0; at < PER_LINE; at++) {
    const byte = part[at];
    if (at === PER_LINE / 2) hex += " ";
    hex += byte === undefined ? "   " : `${byte.toString(16).padStart(2, "0")} `;
    if (byte !== undefined) shown += byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "·";
  }
  return { offset: offset.toString(16).padStart(6, "0"), hex, shown };
}

/** The same as text, for differences; at most `lines` of it. */
export function hexText(bytes, lines = 2000) {
  const found = [];
  for (let line = 0; line < Math.min(lines, Math.ceil(bytes.length / PER_LINE)); line++) {
    const { offset, hex, shown } = lineOf(
      bytes.subarray(line * PER_LINE, (line + 1) * PER_LINE),
      line * PER_LINE,
    );
    found.push(`${offset}  ${hex} ${shown}`);
  }
  return found.join("\n");
}
