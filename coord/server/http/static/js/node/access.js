// Who may do what with a node.

import { get } from "/page/js/api.js";
import { app, readQuery } from "/page/js/app.js";
import { problemBox, table } from "/page/js/controls.js";
import { h, replace } from "/page/js/dom.js";
import { escaped } from "/page/js/paths.js";

const PERMISSIONS = [
  ["read", "read the value and list the children"],
  ["write", "change the value"],
  ["create", "create children"],
  ["delete", "delete children"],
  ["admin", "change this list"],
];

const WHO = {
  world: () => "everybody",
  auth: () => "whoever is signed in",
  digest: (id) => `user ${id.split(":")[0]}`,
  ip: (id) => `clients from ${id}`,
  super: () => "the super user",
};

export function accessTab(node) {
  const body = h("section", {}, h("p.muted", {}, "Asking…"));
  get(`/v1/acl${escaped(node.path)}`, app.asOf === null ? readQuery() : {}).then(
    (found) => replace(body, listed(found)),
    (problem) => replace(body, problemBox(problem)),
  );
  return body;
}

function listed({ acl, stat }) {
  const rows = acl.map(({ permissions, scheme, id }) => ({
    cells: [
      WHO[scheme]?.(id) ?? h("bdi", {}, id),
      h("span.mono.muted.wrap", {}, `${scheme}:${id}`),
      marks(permissions),
      describe(permissions),
    ],
  }));
  return [
    h(
      "p.muted",
      {},
      `Access list version ${stat.acl_version}. It counts for this node alone, not for what is below it`,
      app.asOf === null ? "." : "; shown as it is now.",
    ),
    table("Access list", [["Who"], ["Identity"], ["May"], [""]], rows),
  ];
}

function marks(permissions) {
  return h(
    "span.permissions",
    { "aria-hidden": "true" },
    PERMISSIONS.map(([name, what]) =>
      h(permissions.includes(name) ? "i.has" : "i", { title: what }, name[0].toUpperCase()),
    ),
  );
}

function describe(permissions) {
  return permissions.length === PERMISSIONS.length ? "everything" : permissions.join(", ") || "nothing";
}
