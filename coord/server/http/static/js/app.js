// What the whole page shares: who is signed in, what the cluster last said, where we are in time.

import { ask, get } from "/page/js/api.js";
import { Live } from "/page/js/live.js";
import { address } from "/page/js/paths.js";
import { h } from "/page/js/dom.js";

class App extends EventTarget {
  constructor() {
    super();
    this.live = new Live();
    /** The newest pulse: node, leader, term, revision, members …; null before the first. */
    this.pulse = null;
    /** { user, super, csrf, possible } as /v1/login says. */
    this.login = { user: null, super: false, csrf: null, possible: false };
    /** The revision at which the tree is looked at; null is now. */
    this.asOf = null;
    this.live.addEventListener("pulse", ({ detail }) => {
      this.pulse = detail;
      this.dispatchEvent(new Event("pulse"));
    });
  }

  get isSignedIn() {
    return this.login.user !== null;
  }

  async refreshLogin() {
    this.setLogin(await get("/v1/login"));
  }

  setLogin(login) {
    const changed = login.user !== this.login.user;
    this.login = login;
    if (!changed) return;
    this.live.renew();
    this.dispatchEvent(new Event("login"));
  }

  setAsOf(revision) {
    if (revision === this.asOf) return;
    this.asOf = revision;
    this.dispatchEvent(new Event("as-of"));
  }

  /** A request that changes something, as who is signed in; that may be nobody any more. */
  async write(method, path, { query, body } = {}) {
    const headers = this.login.csrf ? { "Coord-Csrf": this.login.csrf } : {};
    try {
      return await ask(method, path, { query, body, headers });
    } catch (problem) {
      if (problem.code === "auth-failed") await this.refreshLogin();
      throw problem;
    }
  }
}

export const app = new App();

/** Reads ask this node's own tree: they work without a quorum, and cost the cluster nothing. */
export function readQuery(more = {}) {
  return app.asOf === null ? { level: "stale", ...more } : { revision: app.asOf, ...more };
}

export function go(view, path, query) {
  location.hash = address(view, path, query);
}

/** Where a path of the tree is shown, at the time we are looking at. */
export function nodeAddress(path, query = {}) {
  return address("tree", path, { at: app.asOf, ...query });
}

/** A short word in the corner, also for screen readers. */
export function toast(text) {
  const element = h("div.toast", {}, text);
  const toasts = document.getElementById("toasts");
  toasts.append(element);
  while (toasts.children.length > 3) toasts.firstChild.remove();
  setTimeout(() => element.remove(), 6000);
}
