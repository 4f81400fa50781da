// The bar across the top, and the line below it that says what is wrong.

import { app } from "/page/js/app.js";
import { h, keepFocus, replace, setAttributes } from "/page/js/dom.js";
import { count, moment } from "/page/js/format.js";
import { icon, mark } from "/page/js/icons.js";
import { signIn, signOut } from "/page/js/login.js";
import { address, parseAddress } from "/page/js/paths.js";
import { themeButton } from "/page/js/theme.js";

const VIEWS = [["tree", "Tree"], ["services", "Services"], ["sessions", "Sessions"], ["cluster", "Cluster"]];

export class Shell {
  constructor(topbar, notices) {
    this.notices = notices;
    this.shownNotices = "";
    this.leaderSeen = null;
    this.newLeader = null;
    this.links = VIEWS.map(([view, label]) => h("a", { href: address(view, view === "tree" ? "/" : "") }, label));
    this.pulse = h("div.pulse");
    this.user = h("span");
    replace(
      topbar,
      h("a.brand", { href: address("tree", "/"), "aria-label": "coord: the root of the tree" }, mark(), "coord"),
      h("nav.views", { "aria-label": "Views" }, this.links),
      h("span.grow"),
      this.pulse,
      themeButton(),
      this.user,
    );
    app.addEventListener("pulse", () => this.onPulse());
    app.addEventListener("login", () => this.drawUser());
    app.addEventListener("as-of", () => this.drawNotices());
    app.live.addEventListener("state", () => this.draw());
    this.drawUser();
    this.draw();
  }

  setView(view) {
    for (const [at, link] of this.links.entries()) setAttributes(link, { "aria-current": VIEWS[at][0] === view ? "page" : null });
  }

  onPulse() {
    const { leader, term } = app.pulse;
    const known = this.leaderSeen;
    if (leader) {
      if (known && (known.leader !== leader || known.term !== term)) this.announce(known, leader, term);
      this.leaderSeen = { leader, term };
    }
    this.draw();
  }

  /** A new leader is worth a line for a while. */
  announce(known, leader, term) {
    this.newLeader = known.leader === leader
      ? `Node ${leader} was elected again, in term ${term}.`
      : `Node ${leader} leads now, in term ${term}; before it was node ${known.leader}.`;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.newLeader = null;
      this.drawNotices();
    }, 15_000);
  }

  draw() {
    const { pulse, live } = app;
    const [tone, word] = standing(pulse, live.state);
    replace(
      this.pulse,
      h(`span.dot.is-${tone}`, { "aria-hidden": "true" }),
      h("span", {}, word),
      pulse
        ? h("span.optional", {}, h("span.separator", {}, "│ "), "node ", h("b", {}, pulse.node), pulse.leader === pulse.node ? " leads" : pulse.leader ? [", led by ", h("b", {}, pulse.leader)] : ", no leader", h("span.separator", {}, " │ "), "term ", h("b", {}, count(pulse.term)), h("span.separator", {}, " │ "), "revision ", h("b", {}, count(pulse.revision)))
        : null,
    );
    this.drawNotices();
  }

  drawUser() {
    const { user } = app.login;
    keepFocus(this.user, () => replace(this.user, user
      ? h("button", { type: "button", onclick: signOut, title: "Sign out" }, icon("user"), h("bdi", {}, user), h("span.visually-hidden", {}, "sign out"))
      : h("button", { type: "button", onclick: () => signIn() }, "Sign in")));
  }

  /** Renewed only when the words differ: a screen reader reads them once. */
  drawNotices() {
    const lines = [...this.lost(), ...this.quorum(), ...this.members(), ...this.past()];
    const words = lines.map(([tone, text]) => `${tone} ${text}`).join("\n") + (app.pulse?.members.length ?? "");
    if (words === this.shownNotices) return;
    this.shownNotices = words;
    keepFocus(this.notices, () => replace(this.notices, lines.map(([tone, text, ...more]) => h(`div.notice.is-${tone}`, {}, icon(tone === "past" ? "clock" : "warning"), h("p.grow", {}, text, " ", more.filter((one) => !(one instanceof HTMLButtonElement))), more.filter((one) => one instanceof HTMLButtonElement)))));
  }

  lost() {
    const { live, pulse } = app;
    if (live.state !== "lost") return [];
    const others = (pulse?.members ?? []).filter(({ id, http }) => http && id !== pulse.node);
    const links = others.flatMap(({ id, http }) => [h("a", { href: `${location.protocol}//${http}/${location.hash}` }, `node ${id}`), " "]);
    if (live.isAnswering) {
      return [["doubt", "This node answers, but tells this page no news: it may serve too many pages already. What you see is from when it was read.", h("button.small", { type: "button", onclick: () => live.retry() }, "Try now")]];
    }
    return [[
      "bad",
      `${pulse ? `Node ${pulse.node}` : "This node"} has not answered since ${moment(live.lostAt)}. What you see is what it said last; the page keeps trying.`,
      ...(links.length ? ["The same page on ", ...links] : []),
      h("button.small", { type: "button", onclick: () => live.retry() }, "Try now"),
    ]];
  }

  quorum() {
    const { pulse, live } = app;
    if (!pulse || live.state === "lost") return [];
    if (!pulse.leader) return [["bad", `Nobody leads: ${pulse.why || "an election is under way"}. Reads show what this node knows; nothing can be changed.`]];
    return this.newLeader ? [["doubt", this.newLeader]] : [];
  }

  members() {
    const { pulse, live } = app;
    if (!pulse || live.state === "lost") return [];
    const down = pulse.members.filter(({ reachable }) => !reachable).map(({ id }) => id);
    return down.length && pulse.leader ? [["doubt", `Node ${down.join(", ")} cannot be reached from node ${pulse.node}.`]] : [];
  }

  past() {
    if (app.asOf === null) return [];
    const { path, query } = parseAddress(location.hash);
    const back = h("button.small", { type: "button", onclick: () => { location.hash = address("tree", path, { ...query, at: null }); } }, "Back to now");
    return [["past", `This is the tree as of revision ${count(app.asOf)}.`, back]];
  }
}

function standing(pulse, state) {
  if (state === "lost") return ["bad", "not answering"];
  if (state === "opening" || !pulse) return ["doubt", "connecting"];
  if (state === "hidden") return ["doubt", "paused"];
  if (!pulse.leader) return ["bad", "no leader"];
  return pulse.ready ? ["good", "live"] : ["doubt", "live, not ready"];
}
