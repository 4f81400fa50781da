// Locks, elections and services: who holds, who waits, who is a member.

import { get } from "/page/js/api.js";
import { badge, empty, panel } from "/page/js/controls.js";
import { h } from "/page/js/dom.js";
import { count, counted, pathElement, shownName, when } from "/page/js/format.js";
import { address } from "/page/js/paths.js";
import { bytesOf, look } from "/page/js/values/detect.js";
import { PollingView } from "/page/js/views/polling.js";

const PAGE = 100;
const WAITERS_SHOWN = 12;
const WORD_MAX = 60;

export class ServicesView extends PollingView {
  constructor() {
    super("Services and locks", 2000);
  }

  async ask() {
    const [elections, locks, services] = await Promise.all([
      get("/v1/elections", { limit: PAGE }), get("/v1/locks", { limit: PAGE }), get("/v1/services", { limit: PAGE })]);
    return { elections, locks, services };
  }

  draw({ elections, locks, services }) {
    return [
      h("div.page-head", {}, h("h1", {}, "Services and locks"), h("span.muted", {}, "what programs hold and wait for, through coord's recipes")),
      holds("Elections", elections.elections, elections.more, ["leads", "nobody leads", "candidate"]),
      holds("Locks", locks.locks, locks.more, ["holds", "free", "waiter"]),
      members(services.services, services.more),
    ];
  }
}

function word(one) {
  const bytes = bytesOf({ value: one.value ?? "", encoding: one.encoding });
  if (!bytes.length) return null;
  const { text } = look(bytes);
  return text === null ? h("span.faint", {}, "binary") : h("bdi", {}, shownName(text.length > WORD_MAX ? `${text.slice(0, WORD_MAX)}…` : text));
}

const session = (number) => h("a.link", { href: address("sessions", `/${number}`) }, `session ${number}`);
const place = (path) => h("a.link", { href: address("tree", path) }, pathElement(path));

function holds(title, entries, more, [verb, none, waiter]) {
  if (!entries.length) return panel(title, empty(`No ${title.toLowerCase()}.`));
  const rows = entries.map(({ path, holder, waiters, waiting }) => h("tr", {},
    h("td", {}, place(path)),
    h("td", {}, holder ? [badge(verb, "good"), " ", h("b", {}, word(holder) ?? "unnamed"), " ", h("span.muted", {}, session(holder.session))] : badge(none, "doubt")),
    h("td", {}, holder ? when(holder.since_ms) : ""),
    h("td.number", {}, holder ? count(holder.token) : ""),
    h("td", {}, waiting ? queue(waiters, waiting, waiter) : h("span.faint", {}, "nobody")),
  ));
  return tablePanel(title, [["Path", "w-25"], ["Holder", "w-25"], ["Since", "w-15"], ["Token", "number.w-10"], ["Waiting, in order", "w-25"]], rows, entries.length, more);
}

function queue(waiters, waiting, waiter) {
  const shown = waiters.slice(0, WAITERS_SHOWN);
  return h("ol.queue", { "aria-label": counted(waiting, waiter) }, shown.map((one, at) =>
    h("li", { title: one.name }, h("b", {}, at + 1), h("span.ellipsis", {}, word(one) ?? session(one.session)))),
    waiting > shown.length ? h("li", {}, h("b", {}, "+"), count(waiting - shown.length)) : null);
}

function members(entries, more) {
  if (!entries.length) return panel("Services", empty("No services."));
  const rows = entries.map(({ path, members: found, count: number }) => h("tr", {},
    h("td", {}, place(path)),
    h("td.number", {}, count(number)),
    h("td", {}, h("ul.queue", {}, found.slice(0, WAITERS_SHOWN).map((one) =>
      h("li", { title: `session ${one.session}` }, h("span.dot.is-good", { "aria-hidden": "true" }), h("span.ellipsis", {}, h("bdi", {}, shownName(one.name)), word(one) ? h("span.muted", {}, " ", word(one)) : null))),
      number > WAITERS_SHOWN ? h("li", {}, h("b", {}, "+"), count(number - Math.min(found.length, WAITERS_SHOWN))) : null)),
  ));
  return tablePanel("Services", [["Path", "w-25"], ["Members", "number.w-10"], ["Who", "w-65"]], rows, entries.length, more);
}

function tablePanel(title, headings, rows, shown, more) {
  const cells = headings.map(([text, cls]) => h(`th.${cls}`, { scope: "col" }, text));
  const body = h("div.table-wrap", { tabindex: 0, role: "region", "aria-label": title }, h("table.is-even", {}, h("thead", {}, h("tr", {}, cells)), h("tbody", {}, rows)));
  return panel(title, [body, more ? h("p.empty.small", {}, `The first ${count(shown)}.`) : null], h("span.muted.small", {}, count(shown)));
}
