// Deleting: a dialog that first says what will go.

import { get } from "/page/js/api.js";
import { app, toast } from "/page/js/app.js";
import { openDialog } from "/page/js/dialogs.js";
import { h, replace } from "/page/js/dom.js";
import { bytes as size, count, counted, namedText, pathElement, sessionName } from "/page/js/format.js";
import { escaped, join } from "/page/js/paths.js";

const NAMED = 50;
const RECURSIVE_MAX = 10_000;

/** `done()` is called after the node has gone. */
export function askDelete(node, done) {
  const { stat, path } = node;
  const hasChildren = stat.children > 0;
  const what = h("div", {}, h("p.muted", {}, "Looking at what would go…"));
  const typed = h("input", {
    autocomplete: "off",
    spellcheck: "false",
    "aria-label": `Type ${path} to confirm`,
  });
  const confirm = hasChildren
    ? h(
        "div.field",
        {},
        h("label", {}, "Type the path to confirm ", h("span.mono.muted.name", {}, namedText(path))),
        typed,
      )
    : null;
  const version = hasChildren ? undefined : stat.version;
  const { button } = openDialog({
    title: `Delete ${namedText(path)}`,
    body: [what, confirm],
    action: hasChildren ? "Delete all of it" : "Delete",
    tone: "danger",
    submit: async () => {
      if (hasChildren && typed.value !== path) throw new Error("What you typed is not the path.");
      const query = hasChildren ? { recursive: true } : { version };
      const { deleted } = await app.write("DELETE", `/v1/nodes${escaped(path)}`, { query });
      toast(`Deleted ${counted(deleted, "node")}.`);
      done();
    },
  });
  describe(node, what, button).catch((problem) => replace(what, h("p.bad", {}, problem.message)));
}

async function describe({ path, stat }, what, button) {
  if (!stat.children) {
    replace(what, goingAlone(path, stat));
    return;
  }
  const [{ count: below }, { children }] = await Promise.all([
    get(`/v1/count${escaped(path)}`),
    get(`/v1/children${escaped(path)}`, { level: "stale", limit: NAMED }),
  ]);
  const owned = children.filter((child) => child.stat?.owner_session).length;
  button.disabled = below + 1 > RECURSIVE_MAX;
  replace(
    what,
    h(
      "p",
      {},
      "This deletes ",
      h("b", {}, counted(below + 1, "node")),
      ": the node itself and all below it, children first. Others see it go piece by piece.",
    ),
    below + 1 > RECURSIVE_MAX
      ? h("p.bad", {}, `That is more than ${count(RECURSIVE_MAX)} at once: delete parts of it first.`)
      : null,
    h(
      "ul.going",
      {},
      children.map(({ name, stat: childStat }) =>
        h(
          "li",
          {},
          pathElement(join(path, name)),
          childStat?.children
            ? h("span.muted", {}, ` and ${counted(childStat.children, "child", "children")}`)
            : null,
        ),
      ),
      stat.children > children.length
        ? h("li.muted", {}, `and ${count(stat.children - children.length)} more beside these`)
        : null,
    ),
    owned
      ? h(
          "p.doubt",
          {},
          `${counted(owned, "of these is", "of these are")} ephemeral: owned by sessions that are at work.`,
        )
      : null,
  );
}

function goingAlone(path, stat) {
  return [
    h(
      "p",
      {},
      "This deletes the node ",
      pathElement(path),
      ` with its value of ${size(stat.bytes)}, if it is still at version ${stat.version}.`,
    ),
    stat.owner_session
      ? h(
          "p.doubt",
          {},
          `It is ephemeral: session ${sessionName(stat.owner_session)} is at work and may rely on it, as for a lock that it holds.`,
        )
      : null,
    h("p.muted", {}, "Its past stays in the history for as long as that is kept."),
  ];
}
