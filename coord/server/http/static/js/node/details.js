// A node's metadata in human terms, and who watches it.

import { get } from "/page/js/api.js";
import { badge, facts, problemBox, sessionLink, table } from "/page/js/controls.js";
import { h, replace } from "/page/js/dom.js";
import { bytes, count, counted, when } from "/page/js/format.js";
import { escaped } from "/page/js/paths.js";
import { app } from "/page/js/app.js";

export function detailsTab({ path, stat, as_of: asOf }) {
  return [h("section", {}, statFacts(stat)), asOf === undefined && app.asOf === null ? watchers(path) : null];
}

export function statFacts(stat) {
  return facts([
    ["Created", when(stat.created_ms), revision(stat.created_revision)],
    ["Value changed", when(stat.modified_ms), revision(stat.modified_revision)],
    [
      "Value",
      `${bytes(stat.bytes)}, version ${count(stat.version)}`,
      muted(stat.version ? ` changed ${times(stat.version)} since created` : " never changed"),
    ],
    [
      "Children",
      counted(stat.children, "node"),
      stat.children_revision ? muted(` list changed at revision ${count(stat.children_revision)}`) : "",
    ],
    [
      "Access list",
      `version ${count(stat.acl_version)}`,
      muted(stat.acl_version ? ` changed ${times(stat.acl_version)}` : " never changed"),
    ],
    ["Lifetime", lifetime(stat)],
  ]);
}

const muted = (text) => h("span.muted", {}, text);
const revision = (number) => muted(` · revision ${count(number)}`);
const times = (number) => (number === 1 ? "once" : `${count(number)} times`);

function lifetime({ owner_session: owner }) {
  if (!owner) return "stays until it is deleted";
  return [
    badge("ephemeral", "accent"),
    " goes with its owner, ",
    sessionLink(owner, "session "),
    h("span", {}, ownerOf(owner)),
  ];
}

/** Who the owner is, as soon as it is known. */
function ownerOf(session) {
  const element = h("span.muted");
  get(`/v1/sessions/${session}`).then(
    (found) => replace(element, ` (${found.client || "unnamed"} at ${found.address || "?"})`),
    () => {},
  );
  return element;
}

function watchers(path) {
  const body = h("div", {}, h("p.muted", {}, "Asking…"));
  get(`/v1/watchers${escaped(path)}`).then(
    (found) => replace(body, listed(found)),
    (problem) => replace(body, problemBox(problem)),
  );
  return h(
    "section",
    {},
    h(
      "div.section-head",
      {},
      h("h2", {}, "Watchers"),
      h("span.muted.small", {}, "clients of this node that hear of changes here"),
    ),
    body,
  );
}

function listed({ watchers: found, node }) {
  if (!found.length) return h("p.muted", {}, `Nobody who is connected to node ${node} watches this.`);
  return table(
    "Watchers",
    [["Session"], ["Client"], ["Address"], ["Watches"]],
    found.map((one) => ({
      cells: [
        one.session ? sessionLink(one.session) : "—",
        one.client || "unnamed",
        one.address,
        one.recursive ? "this and all below" : "this node",
      ],
    })),
  );
}
