// A value in one of its forms.

import { h } from "/page/js/dom.js";
import { bytes as size } from "/page/js/format.js";
import { hexView } from "/page/js/values/hex.js";

const TEXT_MAX = 200_000;
const COLOURED_MAX = 60_000;

/** An element that shows `bytes` as `form`; `looked` is what `look` found. */
export function shown(bytes, looked, form) {
  if (!bytes.length) return null;
  if (form === "hex") return hexView(bytes);
  const text = looked[form];
  if (text === null) return h("p.value.nothing", {}, missing(form));
  const cut = text.length > TEXT_MAX ? text.slice(0, TEXT_MAX) : text;
  const isColoured = form !== "text" && cut.length <= COLOURED_MAX;
  const body = isColoured ? coloured(cut) : cut;
  const rest =
    cut === text
      ? null
      : h(
          "p.nothing.muted",
          {},
          `… the first ${size(TEXT_MAX)} of ${size(text.length)}; Download has the rest.`,
        );
  return h("pre.value.text", { tabindex: 0, role: "region", "aria-label": `Value as ${form}` }, body, rest);
}

function missing(form) {
  if (form === "text") return "These bytes are not UTF-8 text.";
  return `These bytes are not ${form === "json" ? "JSON" : "one MessagePack value"}, or too many to tell.`;
}

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|\b(true|false|null)\b/g;

/** JSON with its parts coloured: nodes, never markup. */
function coloured(text) {
  const parts = [];
  let at = 0;
  for (const match of text.matchAll(TOKEN)) {
    if (match.index > at) parts.push(text.slice(at, match.index));
    const [whole, string, colon, number] = match;
    if (string !== undefined && colon !== undefined) parts.push(h("span.json-key", {}, string), colon);
    else if (string !== undefined) parts.push(h("span.json-string", {}, string));
    else parts.push(h(number !== undefined ? "span.json-number" : "span.json-word", {}, whole));
    at = match.index + whole.length;
  }
  parts.push(text.slice(at));
  return parts;
}
