// Creating nodes and changing values. A change names the version it was made from: what somebody
// else has written meanwhile is never overwritten unseen.

import { get } from "/page/js/api.js";
import { app, go, toast } from "/page/js/app.js";
import { field, openDialog } from "/page/js/dialogs.js";
import { h } from "/page/js/dom.js";
import { bytes as size, namedText } from "/page/js/format.js";
import { escaped, join } from "/page/js/paths.js";
import { segments } from "/page/js/controls.js";
import { base64Of, bytesOf, look, textOf } from "/page/js/values/detect.js";
import { hexOf } from "/page/js/values/msgpack.js";

const EDITABLE_MAX = 256 * 1024;
const VALUE_MAX = 0xfffff;

const MODES = [
  ["persistent", "persistent: stays until it is deleted"],
  ["persistent-sequential", "sequential: the name gets a growing number"],
  ["container", "container: goes when its last child has gone"],
  ["persistent-ttl", "with a time to live: goes when unchanged for so long"],
];

/** A field for a value as text or as hexadecimal bytes. */
class ValueField {
  constructor(bytes) {
    const { likely } = look(bytes);
    this.form = textOf(bytes) !== null && likely !== "hex" && likely !== "msgpack" ? "text" : "hex";
    this.area = h("textarea", { rows: 12, spellcheck: "false", autocomplete: "off" });
    this.write(bytes);
    this.choice = segments(
      "Enter the value as",
      [
        ["text", "Text"],
        ["hex", "Hex"],
      ],
      this.form,
      (form) => this.turn(form),
    );
    this.element = h(
      "div.field",
      {},
      h("div.section-head", {}, h("label", { for: "value-area" }, "Value"), h("span.grow"), this.choice),
      this.area,
    );
    this.area.id = "value-area";
  }

  write(bytes) {
    this.area.value =
      this.form === "text"
        ? textOf(bytes)
        : (hexOf(bytes).match(/.{1,32}/g) ?? []).map((line) => line.replace(/../g, "$& ").trim()).join("\n");
  }

  turn(form) {
    const bytes = this.read();
    this.form = form;
    if (form === "text" && textOf(bytes) === null) this.area.value = "";
    else this.write(bytes);
  }

  read() {
    if (this.form === "text") return new TextEncoder().encode(this.area.value);
    const digits = this.area.value.replace(/\s+/g, "");
    if (!/^([0-9a-f]{2})*$/i.test(digits))
      throw new Error("Bytes in hexadecimal are pairs of the digits 0 to f.");
    return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  }

  get body() {
    const bytes = this.read();
    if (bytes.length > VALUE_MAX)
      throw new Error(`A value has at most ${size(VALUE_MAX)}; this one has ${size(bytes.length)}.`);
    return { value: base64Of(bytes), encoding: "base64" };
  }
}

export function askEdit(node) {
  const bytes = bytesOf(node);
  if (bytes.length > EDITABLE_MAX) {
    toast(`Values of more than ${size(EDITABLE_MAX)} are changed with the command: coord set --file.`);
    return;
  }
  const value = new ValueField(bytes);
  let version = node.stat.version;
  openDialog({
    title: `Change ${namedText(node.path)}`,
    isWide: true,
    body: [
      value.element,
      h(
        "p.muted.small",
        {},
        `Made from version ${version}. If somebody has changed the node meanwhile, nothing is written and you are told.`,
      ),
    ],
    action: "Save",
    submit: async () => {
      try {
        const answer = await app.write("PUT", `/v1/nodes${escaped(node.path)}`, {
          query: { version },
          body: value.body,
        });
        toast(`Saved as version ${answer.stat.version}.`);
      } catch (error) {
        if (error.code === "bad-version")
          await explainConflict(error, node.path, (newer) => {
            version = newer;
          });
        throw error;
      }
    },
  });
}

/** Says what the node is now, and offers to write on top of that. */
async function explainConflict(error, path, accept) {
  const now = await get(`/v1/nodes${escaped(path)}`, { level: "stale" });
  error.message = `Somebody else has changed it: it is at version ${now.stat.version} now. Nothing was written.`;
  const button = h(
    "button.small",
    {
      type: "button",
      onclick: () => {
        accept(now.stat.version);
        button.disabled = true;
        button.textContent = `Save will replace version ${now.stat.version}`;
      },
    },
    "Replace theirs",
  );
  error.remedy = [button];
}

export function askCreate(parent) {
  const name = h("input", { required: true, autocomplete: "off", spellcheck: "false", autofocus: true });
  const mode = h(
    "select",
    {},
    MODES.map(([key, label]) => h("option", { value: key }, label)),
  );
  const ttl = h("input", { type: "number", min: 1, value: 3600 });
  const ttlField = field("Time to live, in seconds", ttl);
  ttlField.hidden = true;
  mode.addEventListener("change", () => {
    ttlField.hidden = mode.value !== "persistent-ttl";
  });
  const isOwn = h("input", { type: "checkbox" });
  const value = new ValueField(new Uint8Array());
  openDialog({
    title: `Create a node in ${namedText(parent)}`,
    isWide: true,
    body: [
      field("Name", name, "Any characters but /"),
      field("Kind", mode),
      ttlField,
      value.element,
      h("label.choice", {}, isOwn, `Only ${app.login.user} may read or change it`),
    ],
    action: "Create",
    submit: async () => {
      if (!name.value || name.value.includes("/"))
        throw new Error("A name has at least one character, and no slash.");
      const body = { ...value.body, mode: mode.value };
      if (mode.value === "persistent-ttl") body.ttl_ms = Math.round(Number(ttl.value) * 1000);
      if (isOwn.checked)
        body.acl = [{ permissions: ["read", "write", "create", "delete", "admin"], scheme: "auth", id: "" }];
      const answer = await app.write("POST", `/v1/nodes${escaped(join(parent, name.value))}`, { body });
      toast(`Created ${namedText(answer.path)}.`);
      go("tree", answer.path);
    },
  });
}
