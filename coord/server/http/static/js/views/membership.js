// What a change of membership would do to the number of failures the cluster survives. Nothing is
// changed here: the page asks for a dry run.

import { app } from "/page/js/app.js";
import { badge } from "/page/js/controls.js";
import { h, replace } from "/page/js/dom.js";
import { icon } from "/page/js/icons.js";

const ACTIONS = [
  ["remove", "remove"],
  ["add", "add"],
  ["promote", "promote to voter"],
  ["transfer", "hand leadership to"],
];

export class Membership {
  constructor() {
    this.action = h(
      "select",
      { "aria-label": "Change", onchange: () => this.fill() },
      ACTIONS.map(([key, label]) => h("option", { value: key }, label)),
    );
    this.member = h("select", { "aria-label": "Member", onchange: () => this.ask() });
    this.result = h("div", { role: "status", "aria-live": "polite" });
    this.element = h(
      "div.panel-body",
      {},
      h(
        "div.section-head",
        {},
        this.action,
        this.member,
        h("span.muted.small", {}, "asks only; nothing is changed"),
      ),
      this.result,
    );
    this.cluster = null;
    this.known = "";
  }

  /** The cluster as it is now; asks again if the members are others. */
  renew(cluster) {
    this.cluster = cluster;
    const known = JSON.stringify([
      cluster.members.map(({ id, role, reachable }) => [id, role, reachable]),
      cluster.leader,
      cluster.waiting,
    ]);
    if (known === this.known) return;
    this.known = known;
    this.fill();
  }

  fill() {
    const { members, waiting = [] } = this.cluster;
    const next = Math.max(0, ...members.map(({ id }) => id)) + 1;
    const candidates = {
      remove: members.map(({ id }) => id),
      transfer: members.map(({ id }) => id),
      promote: members.filter(({ role }) => role === "learner").map(({ id }) => id),
      add: waiting.length ? waiting.map(({ id }) => id) : [next],
    }[this.action.value];
    const chosen = this.member.value;
    replace(
      this.member,
      candidates.map((id) =>
        h("option", { value: id }, `node ${id}${id === this.cluster.leader ? " (leads)" : ""}`),
      ),
    );
    if (candidates.map(String).includes(chosen)) this.member.value = chosen;
    this.member.disabled = !candidates.length;
    if (candidates.length) this.ask();
    else
      replace(
        this.result,
        h("p.muted", {}, "There is no learner: a member that was added is one until it is promoted."),
      );
  }

  async ask() {
    const asked = { action: this.action.value, member: Number(this.member.value), dry_run: true };
    let answer;
    try {
      answer = await app.write("POST", "/v1/cluster/changes", { body: asked });
    } catch (problem) {
      if (this.isStill(asked)) replace(this.result, h("p.doubt", {}, problem.message));
      return;
    }
    if (this.isStill(asked)) replace(this.result, ...effect(answer));
  }

  isStill({ action, member }) {
    return action === this.action.value && member === Number(this.member.value);
  }
}

function effect({ before, after, remarks, fatal }) {
  const row = (label, strength) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, label),
      h("td", {}, seats(strength)),
      h("td.number", {}, strength.voters),
      h("td.number", {}, strength.majority),
      h("td.number", {}, verdict(strength)),
    );
  return [
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          ["", "", "Voters", "Majority", "Survives"].map((text, at) =>
            h(at > 1 ? "th.number" : "th", { scope: "col" }, text),
          ),
        ),
      ),
      h("tbody", {}, row("now", before), row("then", after)),
    ),
    h(
      "ul",
      {},
      fatal ? h("li.bad", {}, badge("refused", "bad"), " it would stop the cluster") : null,
      remarks.map((text) => h("li.choice", {}, h("span.faint", {}, icon("chevron")), text)),
    ),
  ];
}

function verdict({ survives }) {
  if (survives < 0) return h("span.bad", {}, "no majority");
  return h(
    survives === 0 ? "b.doubt" : "b.good",
    {},
    `${survives} more ${survives === 1 ? "failure" : "failures"}`,
  );
}

/** One square a voter: filled are those a majority needs, hollow those that may fail. */
function seats({ voters, survives }) {
  const spare = Math.max(0, survives);
  return h(
    "span.survival",
    { "aria-hidden": "true" },
    Array.from({ length: voters }, (_, at) => h(at >= voters - spare ? "i.is-spare" : "i")),
  );
}
