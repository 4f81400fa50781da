// Sessions: who is connected, what they own and watch, and why those that ended did.

import { get } from "/page/js/api.js";
import { badge, empty, facts, panel, sessionLink, table } from "/page/js/controls.js";
import { h } from "/page/js/dom.js";
import {
  count,
  counted,
  duration,
  pathElement,
  sessionName,
  when,
  whyLeading,
} from "/page/js/format.js";
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
        ? get(`/v1/sessions/${encodeURIComponent(chosen)}`).catch((problem) => ({ problem, name: chosen }))
        : null,
    ]);
    return { open, ended, one };
  }

  draw({ open, ended, one }) {
    const chosen = one?.session ?? null;
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
  location.hash = address("sessions", `/${sessionName(session)}`);
};

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
      sessionLink(one.session),
      [one.client || h("span.faint", {}, "unnamed"), " ", one.here ? badge("here", "accent") : null],
      h("span.mono", {}, one.address),
      when(one.opened_ms),
      duration(one.timeout_ms),
      one.ephemerals || "",
    ],
    open: goTo(one.session),
    isSelected: one.session === chosen,
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
      sessionLink(one.session),
      badge(...(REASONS[one.reason] ?? [one.reason])),
      when(one.ended_ms),
      one.client || h("span.faint", {}, "unnamed"),
      h("span.mono", {}, one.address),
    ],
    open: goTo(one.session),
    isSelected: one.session === chosen,
  }));
  return panel(
    "Ended lately",
    rows.length
      ? table("Ended sessions", headings, rows)
      : empty("No session has ended in the last ten minutes."),
  );
}

function detail(one) {
  const title = `Session ${one.problem ? one.name : sessionName(one.session)}`;
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
  const steps = [...changesOfLeader(one), ...attaches(one), ...(isOpen ? [] : silence(one))];
  steps.sort((a, b) => a.at - b.at);
  const end = isOpen
    ? step("is-now", "now", "open", one.here ? ", heard by this node" : "")
    : step("is-end", when(one.ended_ms), ENDINGS[one.reason.kind] ?? one.reason.kind, ending(one));
  return [
    step("", when(one.opened_ms), "opened", ` from ${one.address}`),
    ...steps.map(({ at, what, more }) => step("", when(at), what, more)),
    end,
  ];
}

function changesOfLeader({ leaders }) {
  return leaders.map(({ since_ms: at, leader, term, reason }) => ({
    at,
    what: `node ${leader} leads`,
    more: ` in term ${count(term)}: ${whyLeading(reason)}; the timeout began anew`,
  }));
}

function attaches(one) {
  return one.attaches
    .filter(({ revision }) => revision !== one.session) // The first is its opening.
    .map(({ wall_ms: at, address: from, revision }) => ({
      at,
      what: "attached again",
      more: ` from ${from}, revision ${count(revision)}`,
    }));
}

/** What the leader that ended it says of its silence. */
function silence({ ended_ms: ended, timeout_ms: timeout, reason }) {
  const steps = reason.pauses.map(({ ago_ms: ago, lasted_ms: lasted }) => ({
    at: ended - ago,
    what: "a pause of the leader itself",
    more: `: node ${reason.leader} stood still for ${duration(lasted)}, which is not counted against a session`,
  }));
  const { last_heard_ms: silent } = reason;
  if (silent !== null)
    steps.push({
      at: ended - silent,
      what: "last heard of",
      more: `; then silence for ${duration(silent)}, with a timeout of ${duration(timeout)}`,
    });
  return steps;
}

const ENDINGS = {
  expired: "expired",
  closed: "closed by its client",
  "all ended": "ended with all others, as the cluster was restored",
};

function ending({ ended_revision: revision, ephemerals, reason }) {
  const decided =
    reason.kind === "expired" && reason.leader ? `; decided by node ${reason.leader}, leading then` : "";
  return ` at revision ${count(revision)}${decided}; ${counted(ephemerals.length, "ephemeral node")} went with it`;
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
