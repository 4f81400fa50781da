// Sessions: who is connected, what they own and watch, and why those that ended did.

import { get } from "/page/js/api.js";
import { badge, empty, facts, panel, table } from "/page/js/controls.js";
import { h } from "/page/js/dom.js";
import { count, counted, duration, moment, pathElement, when } from "/page/js/format.js";
import { address } from "/page/js/paths.js";
import { PollingView } from "/page/js/views/polling.js";

const PAGE = 200;
const SHOWN_PATHS = 100;
const REASONS = {
  expired: ["expired", "bad"],
  closed: ["closed", ""],
  "all ended": ["ended with all others", "doubt"],
};

export class SessionsView extends PollingView {
  constructor() {
    super("Sessions", 2000);
  }

  async ask({ path }) {
    const chosen = path.slice(1);
    const [open, ended, one] = await Promise.all([
      get("/v1/sessions", { limit: PAGE }),
      get("/v1/sessions/ended", { limit: PAGE }),
      chosen
        ? get(`/v1/sessions/${encodeURIComponent(chosen)}`).catch((problem) => ({ problem, session: chosen }))
        : null,
    ]);
    return { open, ended, one };
  }

  draw({ open, ended, one }) {
    const chosen = one ? String(one.session) : null;
    return [
      h(
        "div.page-head",
        {},
        h("h1", {}, "Sessions"),
        h(
          "span.muted",
          {},
          `${count(open.total)} open, ${counted(ended.sessions.length, "other")} ended in the last ten minutes`,
        ),
      ),
      h(
        "div.columns",
        {},
        h("div.stack", {}, openPanel(open, chosen), endedPanel(ended, chosen)),
        one
          ? detail(one)
          : panel(
              "A session",
              empty(
                "Choose a session to see its story.",
                "What it owns and watches, from where it came, and why it ended.",
              ),
            ),
      ),
    ];
  }
}

const goTo = (session) => () => {
  location.hash = address("sessions", `/${session}`);
};
const link = (session) => h("a.link", { href: address("sessions", `/${session}`) }, session);

function openPanel({ sessions, total, more }, chosen) {
  const headings = [
    ["Session"],
    ["Client"],
    ["Address"],
    ["Opened"],
    ["Timeout", "number"],
    ["Owns", "number"],
  ];
  const rows = sessions.map((one) => ({
    cells: [
      link(one.session),
      [one.client || h("span.faint", {}, "unnamed"), " ", one.here ? badge("here", "accent") : null],
      h("span.mono", {}, one.address),
      when(one.opened_ms),
      duration(one.timeout_ms),
      one.ephemerals || "",
    ],
    open: goTo(one.session),
    isSelected: String(one.session) === chosen,
  }));
  const body = rows.length ? table("Open sessions", headings, rows) : empty("No session is open.");
  return panel(
    "Open",
    [
      h("div.tall", {}, body),
      more ? h("p.empty.small", {}, `The first ${count(sessions.length)} of ${count(total)}.`) : null,
    ],
    h("span.muted.small", {}, "here: attached to this node"),
  );
}

function endedPanel({ sessions }, chosen) {
  const headings = [["Session"], ["How"], ["When"], ["Client"], ["Address"]];
  const rows = sessions.map((one) => ({
    cells: [
      link(one.session),
      badge(...(REASONS[one.reason] ?? [one.reason])),
      when(one.ended_ms),
      one.client || h("span.faint", {}, "unnamed"),
      h("span.mono", {}, one.address),
    ],
    open: goTo(one.session),
    isSelected: String(one.session) === chosen,
  }));
  return panel(
    "Ended lately",
    rows.length
      ? table("Ended sessions", headings, rows)
      : empty("No session has ended in the last ten minutes."),
  );
}

function detail(one) {
  const title = `Session ${one.session}`;
  if (one.problem) {
    const text =
      one.problem.isMissing || one.problem.status === 410
        ? "Nothing is known of this session."
        : one.problem.message;
    return panel(title, empty(text, "Of an ended session everything is kept for ten minutes."));
  }
  const isOpen = one.state === "open";
  return h(
    "div.stack",
    {},
    panel(
      title,
      h("div.panel-body", {}, about(one, isOpen)),
      isOpen ? badge("open", "good") : badge(...(REASONS[one.reason.kind] ?? [one.reason.kind])),
    ),
    panel(
      isOpen ? "Its story so far" : "Why it ended",
      h("div.panel-body", {}, h("ol.line-of", {}, story(one, isOpen))),
    ),
    paths(
      isOpen ? "Owns" : "Went with it",
      one.ephemerals,
      isOpen ? "No ephemeral node." : "It owned no ephemeral node.",
    ),
    isOpen ? watches(one) : null,
  );
}

function about(one, isOpen) {
  return facts([
    ["Client", one.client || "unnamed"],
    ["Address", h("span.mono", {}, one.address)],
    ["Timeout", duration(one.timeout_ms)],
    isOpen ? ["Attached", one.here ? "to this node" : "to another node"] : null,
  ]);
}

/** What happened to it, oldest first. */
function story(one, isOpen) {
  const steps = [step("", when(one.opened_ms), "opened", ` from ${one.address}`)];
  for (const { wall_ms: at, address: from, revision } of one.attaches ?? []) {
    if (revision === one.session) continue; // The first is its opening.
    steps.push(step("", when(at), "attached again", ` from ${from}, revision ${count(revision)}`));
  }
  if (isOpen) return [...steps, step("is-now", "now", "open", one.here ? ", heard by this node" : "")];
  const { reason } = one;
  for (const { ago_ms: ago, lasted_ms: lasted } of reason.pauses ?? []) {
    steps.push(
      step(
        "",
        moment(one.ended_ms - ago),
        "a pause of the leader itself",
        `: node ${reason.leader} stood still for ${duration(lasted)}, which is not counted against a session`,
      ),
    );
  }
  if (reason.last_heard_ms !== undefined && reason.last_heard_ms !== null) {
    steps.push(
      step(
        "",
        moment(one.ended_ms - reason.last_heard_ms),
        "last heard of",
        `; then silence for ${duration(reason.last_heard_ms)}, with a timeout of ${duration(one.timeout_ms)}`,
      ),
    );
  }
  return [
    ...steps,
    step("is-end", when(one.ended_ms), ENDINGS[reason.kind] ?? reason.kind, ending(one, reason)),
  ];
}

const ENDINGS = {
  expired: "expired",
  closed: "closed by its client",
  "all ended": "ended with all others, as the cluster was restored",
};

function ending(one, reason) {
  const decided =
    reason.kind === "expired" && reason.leader ? `; decided by node ${reason.leader}, leading then` : "";
  return ` at revision ${count(one.ended_revision)}${decided}; ${counted(one.ephemerals.length, "ephemeral node")} went with it`;
}

function step(mark, time, what, more) {
  return h(
    mark ? `li.${mark}` : "li",
    {},
    h("div", {}, h("b", {}, what), more, h("div.small.muted", {}, time)),
  );
}

function paths(title, found, none) {
  const shown = found.slice(0, SHOWN_PATHS);
  const body = found.length
    ? h(
        "ul.panel-body",
        {},
        shown.map((path) => h("li", {}, h("a.link", { href: address("tree", path) }, pathElement(path)))),
        found.length > shown.length
          ? h("li.muted", {}, `and ${count(found.length - shown.length)} more`)
          : null,
      )
    : empty(none);
  return panel(title, body, h("span.muted.small", {}, counted(found.length, "node")));
}

function watches(one) {
  if (one.watches === null)
    return panel("Watches", empty("Known to the node it is attached to.", "Open that node's page."));
  return paths("Watches", one.watches, "It watches nothing.");
}
