// Numbers, times and names as people read them.

import { h, setText } from "/page/js/dom.js";

const NUMBER = new Intl.NumberFormat("en");
const TENTHS = new Intl.NumberFormat("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 });
const PLACES = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export function count(number) {
  return number === null || number === undefined ? "—" : NUMBER.format(number);
}

/** "1 child", "2 children". */
export function counted(number, noun, plural = `${noun}s`) {
  return `${count(number)} ${number === 1 ? noun : plural}`;
}

export function bytes(size) {
  if (size === null || size === undefined) return "—";
  if (size < 1024) return `${size} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let at = -1;
  let left = size;
  do {
    left /= 1024;
    at += 1;
  } while (left >= 1023.5 && at < units.length - 1);
  return `${PLACES.format(left)} ${units[at]}`;
}

/** Why another node, or the same one again, came to lead. */
const CHANGES_OF_LEADER = {
  "handed over": "the leader before handed over",
  "link lost": "the link to the leader before was lost",
  "silent or handed over": "the leader before fell silent or handed over",
  superseded: "elected over the leader before",
  start: "the first that was heard of after a start",
};

export function whyLeading(reason) {
  return CHANGES_OF_LEADER[reason] ?? reason;
}

/** A session's id as the command line writes it. */
export function sessionName(session) {
  return `0x${session.toString(16)}`;
}

/** Milliseconds as one or two units: "350 ms", "4.2 s", "3 min 20 s", "2 d 4 h". */
export function duration(ms) {
  if (ms === null || ms === undefined) return "—";
  if (ms === 0) return "0 ms";
  if (ms < 10) return `${TENTHS.format(ms)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${PLACES.format(Math.floor(ms / 100) / 10)} s`;
  const units = [
    ["d", 86_400_000],
    ["h", 3_600_000],
    ["min", 60_000],
    ["s", 1000],
  ];
  const first = units.findIndex(([, size]) => ms >= size);
  const [name, size] = units[first];
  const [lesser, part] = units[first + 1] ?? ["", 0];
  const rest = part ? Math.floor((ms % size) / part) : 0;
  return `${Math.floor(ms / size)} ${name}${rest ? ` ${rest} ${lesser}` : ""}`;
}

const TIME = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const DAY = new Intl.DateTimeFormat("en-CA", { year: "numeric", month: "2-digit", day: "2-digit" });

/** Local date and time; today's date is left out. */
export function moment(ms) {
  if (!ms) return "—";
  const day = DAY.format(ms);
  return day === DAY.format(Date.now()) ? TIME.format(ms) : `${day} ${TIME.format(ms)}`;
}

function ago(ms, now = Date.now()) {
  if (!ms) return "—";
  const passed = now - ms;
  if (passed < 1500) return "just now";
  return `${duration(passed).split(" ").slice(0, 2).join(" ")} ago`;
}

/** A time with how long ago it was, which `renewTimes` keeps true, and the exact one to hover over. */
export function when(ms) {
  if (!ms) return h("span.faint", {}, "—");
  const iso = new Date(ms).toISOString();
  return h(
    "time",
    { datetime: iso, "data-ms": ms, title: `${moment(ms)} local time\n${iso}` },
    `${moment(ms)} `,
    h("span.faint", {}, ago(ms)),
  );
}

export function renewTimes(root) {
  for (const element of root.querySelectorAll("time[data-ms]"))
    setText(element.lastChild, ago(Number(element.dataset.ms)));
}

// Without shape, or turning what follows: control, format, bidirectional marks, separators, tags.
const SHAPELESS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/u;
const SHAPELESS_PARTS = /([\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}])/u;

function spelled(character) {
  return `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

/** A name as nodes: what has no shape is spelled out, the rest stays as it is. */
export function shownName(name) {
  if (!SHAPELESS.test(name)) return [name];
  return name
    .split(SHAPELESS_PARTS)
    .filter(Boolean)
    .map((part) => (SHAPELESS.test(part) ? h("span.control-character", {}, spelled(part)) : part));
}

/** The same as one text, for labels and titles. */
export function namedText(name) {
  return SHAPELESS.test(name)
    ? name
        .split(SHAPELESS_PARTS)
        .map((part) => (part && SHAPELESS.test(part) ? `⟨${spelled(part)}⟩` : part))
        .join("")
    : name;
}

export function pathElement(path, tag = "span.name.mono.wrap") {
  return h(tag, { title: namedText(path) }, shownName(path));
}
