// The bar across the top, and the line below it that says what is wrong.

import { app } from "/page/js/app.js";
import { h, keepFocus, replace, setAttributes } from "/page/js/dom.js";
import { count, moment } from "/page/js/format.js";
import { icon, mark } from "/page/js/icons.js";
import { signIn, signOut } from "/page/js/login.js";
import { address, parseAddress } from "/page/js/paths.js";
import { themeButton } from "/page/js/theme.js";

const VIEWS = [
  ["tree", "Tree"],
  ["services", "Services"],
  ["sessions", "Sessions"],
  ["cluster", "Cluster"],
];

export class Shell {
  constructor(topbar, notices) {
    this.notices = notices;
    this.shownNotices = "";
    this.leaderSeen = null;
    this.newLeader = null;
    this.links = VIEWS.map(([view, label]) =>
      h("a", { href: address(view, view === "tree" ? "/" : "") }, label),
    );
    this.pulse = h("div.pulse");
    this.user = h("span");
    replace(
      topbar,
      h(
        "a.brand",
        { href: address("tree", "/"), "aria-label": "coord: the root of the tree" },
        mark(),
        "coord",
      ),
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
    for (const [at, link] of this.links.entries())
      setAttributes(link, { "aria-current": VIEWS[at][0] === view ? "page" : null });
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
    this.newLeader =
      known.leader === leader
        ? `Node ${leader} was elected again, in term ${term}.`
        : `Node ${leader} leads now, in term ${term}; before it was node ${known.leader}.`;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.newLeader = null;
      this.drawNotices();
    }, 15_000);
  }

  draw() {
    const [tone, word] = standing(app.pulse, app.live.state);
    replace(
      this.pulse,
      h(`span.dot.is-${tone}`, { "aria-hidden": "true" }),
      h("span", {}, word),
      app.pulse ? where(app.pulse) : null,
    );
    this.drawNotices();
  }

  drawUser() {
    const { user } = app.login;
    keepFocus(this.user, () =>
      replace(
        this.user,
        user
          ? h(
              "button",
              { type: "button", onclick: signOut, title: "Sign out" },
              icon("user"),
              h("bdi", {}, user),
              h("span.visually-hidden", {}, "sign out"),
            )
          : h("button", { type: "button", onclick: () => signIn() }, "Sign in"),
      ),
    );
  }

  /** Renewed only when the words differ: a screen reader reads them once. */
  drawNotices() {
    const notices = [this.lost(), this.quorum(), this.members(), this.past()].filter(Boolean);
    const words = JSON.stringify([notices.map(({ tone, text }) => [tone, text]), app.pulse?.members.length]);
    if (words === this.shownNotices) return;
    this.shownNotices = words;
    keepFocus(this.notices, () => replace(this.notices, notices.map(noticeElement)));
  }

  // Each is { tone, text, links, button } or null.

  lost() {
    const { live, pulse } = app;
    if (live.state !== "lost") return null;
    const button = h("button.small", { type: "button", onclick: () => live.retry() }, "Try now");
    if (live.isAnswering) {
      const text = "This node answers, but tells this page no news: it may serve too many already.";
      return { tone: "doubt", text: `${text} What you see is from when it was read.`, button };
    }
    const name = pulse ? `Node ${pulse.node}` : "This node";
    const text = `${name} has not answered since ${moment(live.lostAt)}. What you see is what it said last;`;
    return { tone: "bad", text: `${text} the page keeps trying.`, links: linksToOthers(pulse), button };
  }

  quorum() {
    const { pulse, live } = app;
    if (!pulse || live.state === "lost") return null;
    if (pulse.leader) return this.newLeader ? { tone: "doubt", text: this.newLeader } : null;
    const why = pulse.why || "an election is under way";
    const text = `Nobody leads: ${why}. Reads show what this node knows; nothing can be changed.`;
    return { tone: "bad", text };
  }

  members() {
    const { pulse, live } = app;
    if (!pulse?.leader || live.state === "lost") return null;
    const down = pulse.members.filter(({ reachable }) => !reachable).map(({ id }) => id);
    if (!down.length) return null;
    return { tone: "doubt", text: `Node ${down.join(", ")} cannot be reached from node ${pulse.node}.` };
  }

  past() {
    if (app.asOf === null) return null;
    const { path, query } = parseAddress(location.hash);
    const goBack = () => {
      location.hash = address("tree", path, { ...query, at: null });
    };
    const button = h("button.small", { type: "button", onclick: goBack }, "Back to now");
    return { tone: "past", text: `This is the tree as of revision ${count(app.asOf)}.`, button };
  }
}

function noticeElement({ tone, text, links = [], button }) {
  return h(
    `div.notice.is-${tone}`,
    {},
    icon(tone === "past" ? "clock" : "warning"),
    h("p.grow", {}, text, links.length ? [" The same page on ", links] : null),
    button,
  );
}

/** The same place on the nodes that are left. */
function linksToOthers(pulse) {
  const others = (pulse?.members ?? []).filter(({ id, http }) => http && id !== pulse.node);
  return others.flatMap(({ id, http }) => [
    h("a", { href: `${location.protocol}//${http}/${location.hash}` }, `node ${id}`),
    " ",
  ]);
}

/** Node, leader, term and revision, with bars between them. */
function where({ node, leader, term, revision }) {
  const bar = () => h("span.separator", {}, " │ ");
  const strong = (value) => h("b", {}, value);
  const led = leader ? [", led by ", strong(leader)] : ", no leader";
  return h("span.optional", {}, [
    [bar(), "node ", strong(node), leader === node ? " leads" : led],
    [bar(), "term ", strong(count(term))],
    [bar(), "revision ", strong(count(revision))],
  ]);
}

function standing(pulse, state) {
  if (state === "lost") return ["bad", "not answering"];
  if (state === "opening" || !pulse) return ["doubt", "connecting"];
  if (state === "hidden") return ["doubt", "paused"];
  if (!pulse.leader) return ["bad", "no leader"];
  return pulse.ready ? ["good", "live"] : ["doubt", "live, not ready"];
}
