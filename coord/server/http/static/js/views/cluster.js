// The cluster: how it stands, who leads and who led before, how it performs, what a change would do.

import { get } from "/page/js/api.js";
import { badge, panel, table } from "/page/js/controls.js";
import { h } from "/page/js/dom.js";
import { bytes, count, duration, when, whyLeading } from "/page/js/format.js";
import { icon } from "/page/js/icons.js";
import { PollingView } from "/page/js/views/polling.js";
import { Chart } from "/page/js/views/chart.js";
import { Membership } from "/page/js/views/membership.js";

const rate = (value) =>
  value >= 10_000
    ? `${Math.round(value / 1000)} k`
    : count(value < 10 ? Math.round(value * 10) / 10 : Math.round(value));

export class ClusterView extends PollingView {
  constructor() {
    super("Cluster", 2000);
    this.throughput = new Chart(
      "Throughput a second",
      [
        { name: "reads", read: (sample) => sample.reads },
        { name: "writes", read: (sample) => sample.writes },
        { name: "entries applied", read: (sample) => sample.applied },
      ],
      rate,
    );
    this.latency = new Chart(
      "Latency of reads and writes",
      [
        { name: "median", read: (sample) => sample.latency_p50_ms },
        { name: "99 of 100 within", read: (sample) => sample.latency_p99_ms },
      ],
      (ms) => (ms === 0 ? "under 1 ms" : duration(ms)),
    );
    this.membership = new Membership();
  }

  async ask() {
    const [cluster, samples, ready] = await Promise.all([
      get("/v1/cluster"),
      get("/v1/samples"),
      readiness(),
    ]);
    return { cluster, samples, ready };
  }

  isBusy() {
    return super.isBusy() || this.membership.element.contains(document.activeElement);
  }

  draw({ cluster, samples, ready }) {
    const seconds = Math.round((samples.samples.length * samples.interval_ms) / 1000);
    requestAnimationFrame(() => {
      this.throughput.draw(samples.samples);
      this.latency.draw(samples.samples);
    });
    this.membership.renew(cluster);
    const span = h(
      "span.muted.small",
      {},
      `node ${cluster.node}, the last ${duration(Math.max(1, seconds) * 1000)}`,
    );
    return [
      headline(cluster, ready),
      panel("Members", membersTable(cluster), digests(cluster)),
      h(
        "div.columns",
        {},
        panel("Throughput", this.throughput.element, span),
        panel("Latency", this.latency.element, span.cloneNode(true)),
      ),
      h(
        "div.columns",
        {},
        panel("What a change would do", this.membership.element),
        h(
          "div.stack",
          {},
          panel(`Readiness of node ${cluster.node}`, checks(ready)),
          panel("Leaders", leaders(cluster), h("span.muted.small", {}, "newest first, as the members know them")),
        ),
      ),
    ];
  }
}

/** /readyz answers 503 with the same body when the node is not ready. */
async function readiness() {
  try {
    return await get("/readyz");
  } catch (problem) {
    if (problem.more?.checks) return problem.more;
    throw problem;
  }
}

function headline(cluster, ready) {
  const down = cluster.members.filter(({ reachable }) => !reachable);
  const isServing = Boolean(cluster.leader);
  const tone = !isServing
    ? "bad"
    : down.length || !ready.ready || cluster.digests_agree === false
      ? "doubt"
      : "good";
  const text = isServing ? `Serving, led by node ${cluster.leader} in term ${cluster.term}` : "Nobody leads";
  const lost = down.length ? `node ${down.map(({ id }) => id).join(", ")} cannot be reached from here` : "";
  return h(
    "div.page-head",
    {},
    h("h1.headline", {}, h(`span.dot.is-${tone}`), text),
    h(
      "span.muted",
      {},
      [isServing ? cluster.fault_tolerance.says : cluster.why_no_leader, lost].filter(Boolean).join(" · "),
    ),
    h("span.grow"),
    h("span.faint.small", {}, "cluster ", h("span.mono", {}, cluster.cluster)),
  );
}

function membersTable(cluster) {
  const headings = [
    ["Node"],
    ["Role"],
    ["Link"],
    ["Term", "number"],
    ["Applied", "number"],
    ["Lag", "number"],
    ["Sessions", "number"],
    ["Connections", "number"],
    ["Data", "number"],
    ["Log", "number"],
    ["Disk free", "number"],
    ["Snapshots", "number"],
    ["Digest"],
    ["Up"],
    ["Version"],
  ];
  return table(
    "Members",
    headings,
    cluster.members.map((member) => ({ cells: memberCells(member, cluster) })),
  );
}

function memberCells(member, cluster) {
  const { status } = member;
  const here = member.id === cluster.node;
  const name =
    member.http && !here
      ? h(
          "a.link",
          {
            href: `${location.protocol}//${member.http}/${location.hash}`,
            rel: "noreferrer",
            title: `This page on node ${member.id}`,
          },
          `node ${member.id}`,
        )
      : `node ${member.id}`;
  const known = (value, show = count) =>
    status && value !== undefined && value !== null ? show(value) : h("span.faint", {}, "—");
  return [
    h("span.nowrap", {}, h("b", {}, name), " ", here ? badge("this page", "accent") : null),
    member.leader ? badge("leader", "good") : badge(member.role),
    member.reachable ? h("span.good", {}, "up") : badge("unreachable", "bad"),
    known(status?.term),
    known(status?.applied),
    member.lag === null || member.lag === undefined
      ? h("span.faint", {}, "—")
      : h(member.lag > 1000 ? "span.doubt" : "span", {}, count(member.lag)),
    known(status?.sessions),
    known(status?.connections),
    known(status?.disk?.tree, bytes),
    known(status?.disk?.log, bytes),
    known(status?.disk?.free, bytes),
    snapshots(status),
    status?.digest
      ? h(
          "span.mono.faint",
          { title: `at revision ${count(status.digest.revision)}` },
          String(status.digest.value).slice(0, 8),
        )
      : h("span.faint", {}, "—"),
    h("span.nowrap", {}, known(status?.uptime_ms, duration)),
    known(status?.version, String),
  ];
}

function snapshots(status) {
  if (!status?.snapshots) return h("span.faint", {}, "—");
  const newest = status.snapshots[0];
  const title = newest ? `newest: revision ${count(newest.revision)}, ${bytes(newest.bytes)}` : "none yet";
  return h(
    "span",
    { title },
    count(status.snapshots.length),
    status.last_snapshot_error ? h("span.bad", {}, " failed") : null,
  );
}

function digests({ digests_agree: agree }) {
  if (agree === true) return badge("contents agree", "good");
  if (agree === false) return badge("contents differ", "bad");
  return badge("contents not compared yet");
}

function checks(ready) {
  return h(
    "ul.checks.panel-body",
    {},
    ready.checks.map(({ check, ok, says }) =>
      h(
        "li",
        {},
        h(
          ok ? "span.good" : "span.bad",
          {},
          icon(ok ? "check" : "cross"),
          h("span.visually-hidden", {}, ok ? "holds" : "fails"),
        ),
        h("b", {}, check),
        h("span.muted", {}, says),
      ),
    ),
  );
}

function leaders({ leaders: found, leader, term }) {
  if (!found?.length) return h("p.empty", {}, "No member knows of a leader yet.");
  return h(
    "div.panel-body.tall",
    { tabindex: 0, role: "region", "aria-label": "Leaders, newest first" },
    h(
      "ol.line-of",
      {},
      found.map((one, at) =>
        h(
          at === 0 && one.leader === leader && one.term === term ? "li.is-now" : "li",
          {},
          h(
            "div",
            {},
            h("b", {}, one.leader ? `node ${one.leader}` : "nobody"),
            h("span.muted", {}, ` · term ${count(one.term)}`),
            ` · ${whyLeading(one.reason)}`,
            h("div.small.muted", {}, when(one.since_ms)),
          ),
        ),
      ),
    ),
  );
}
