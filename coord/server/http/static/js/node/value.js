// The value of a node, in the form that suits it or the one that was chosen.

import { segments } from "/page/js/controls.js";
import { h, replace } from "/page/js/dom.js";
import { bytes as size, count, namedText } from "/page/js/format.js";
import { icon } from "/page/js/icons.js";
import { nameOf } from "/page/js/paths.js";
import { statFacts } from "/page/js/node/details.js";
import { bytesOf, FORMS, look } from "/page/js/values/detect.js";
import { shown } from "/page/js/values/show.js";

const LABELS = { text: "Text", json: "JSON", msgpack: "MessagePack", hex: "Hex" };

export class ValueTab {
  constructor() {
    this.reset();
  }

  /** Another node: forget the chosen form. */
  reset() {
    this.form = null;
    this.drawn = null;
  }

  draw(body, node) {
    const key = `${node.path} ${node.stat.created_revision} ${node.stat.modified_revision}`;
    if (this.drawn === key && body.contains(this.holder)) return;
    this.drawn = key;
    const bytes = bytesOf(node);
    const looked = look(bytes);
    const disabled = FORMS.filter((form) => form !== "hex" && looked[form] === null);
    const isPossible = this.form !== null && !disabled.includes(this.form);
    const form = isPossible ? this.form : looked.likely;
    this.holder = h("div.node-body.value-holder", {}, shown(bytes, looked, form));
    const choose = (chosen) => {
      this.form = chosen;
      replace(this.holder, shown(bytes, looked, chosen));
    };
    const entries = FORMS.map((each) => [each, LABELS[each]]);
    replace(
      body,
      h(
        "div.value-bar",
        {},
        bytes.length ? segments("Show the value as", entries, form, choose, disabled) : null,
        h("span.muted.small.grow", {}, lengthOf(bytes)),
        bytes.length
          ? h(
              "button.quiet.small",
              { type: "button", onclick: () => download(bytes, node.path) },
              icon("down"),
              "Download",
            )
          : null,
      ),
      h(
        "div.value-and-facts",
        {},
        this.holder,
        h("aside", { "aria-label": "Details" }, statFacts(node.stat)),
      ),
    );
  }
}

function lengthOf({ length }) {
  if (!length) return "The value is empty.";
  return length < 1024 ? size(length) : `${size(length)} (${count(length)} bytes)`;
}

function download(bytes, path) {
  const url = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
  h("a", { href: url, download: namedText(nameOf(path)).replaceAll("/", "root") }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
