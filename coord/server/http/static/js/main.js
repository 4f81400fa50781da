// Starts the page and shows the view that the address names.

import { app, toast } from "/page/js/app.js";
import { replace } from "/page/js/dom.js";
import { renewTimes } from "/page/js/format.js";
import { parseAddress } from "/page/js/paths.js";
import { Shell } from "/page/js/shell.js";
import { ClusterView } from "/page/js/views/cluster.js";
import { ServicesView } from "/page/js/views/services.js";
import { SessionsView } from "/page/js/views/sessions.js";
import { TreeView } from "/page/js/views/tree.js";

const MAKERS = { tree: TreeView, services: ServicesView, sessions: SessionsView, cluster: ClusterView };

const main = document.getElementById("main");
const shell = new Shell(document.getElementById("topbar"), document.getElementById("notices"));
const views = new Map();
let shown = null;

function viewOf(name) {
  if (!views.has(name)) views.set(name, new MAKERS[name]());
  return views.get(name);
}

function route() {
  const place = parseAddress(location.hash);
  const name = place.view in MAKERS ? place.view : "tree";
  const view = viewOf(name);
  if (view !== shown) {
    shown?.leave();
    replace(main, view.element);
    shown = view;
    shell.setView(name);
    if (name !== "tree") app.setAsOf(null);
  }
  view.show(place).catch((error) => toast(error.message));
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  (main.querySelector("[role=tree]") ?? main).focus();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "k" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  if (shown !== viewOf("tree")) location.hash = "#/tree/";
  requestAnimationFrame(() => setTimeout(() => document.getElementById("search")?.focus()));
});

setInterval(() => document.hidden || renewTimes(main), 5000);
window.addEventListener("hashchange", route);
app.refreshLogin().catch(() => {});
app.live.schedule(0);
route();
