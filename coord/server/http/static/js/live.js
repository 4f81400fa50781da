// The stream of what happens, one for the page: directories that are open, and the cluster's pulse.
//
// A browser keeps six connections to a node: a page holds one stream, and none while its tab is
// hidden. A message's id says up to which revision all has been
// told; a stream that is opened again goes on from there.

const SILENCE_MS = 12_000;
const PAUSES_MS = [300, 700, 1500, 3000, 5000];
const ADDRESS_MAX = 6000;

/** The numbers of a stat as the feed tells them, by the names that the API uses. */
const STAT = [
  "created_revision",
  "modified_revision",
  "created_ms",
  "modified_ms",
  "version",
  "children_version",
  "acl_version",
  "owner_session",
  "bytes",
  "children",
  "children_revision",
];

function named(numbers) {
  return numbers && Object.fromEntries(STAT.map((name, at) => [name, numbers[at]]));
}

function nameStats(directories) {
  for (const news of Object.values(directories)) {
    news.stat = named(news.stat);
    for (const entry of news.entries) entry[1] = named(entry[1]);
  }
}

/**
 * Events: "state" after `state` has changed ("opening", "live", "lost", "hidden"), and the feed's
 * own, with what was sent as `detail`: "open" ("first" before the first of them), "pulse",
 * "changes", "reset".
 */
export class Live extends EventTarget {
  constructor(url = "/page/feed") {
    super();
    this.state = "opening";
    this.token = null;
    this.lostAt = 0;
    this.isAnswering = false;
    this.url = url;
    this.source = null;
    this.wanted = [];
    this.attempts = 0;
    this.timer = 0;
    this.watchdog = 0;
    document.addEventListener("visibilitychange", () => this.onVisibility());
    window.addEventListener("online", () => this.retry());
  }

  /** Hear of these directories, those that matter most first; returns those that found room. */
  follow(directories) {
    const room = [];
    let length = 0;
    for (const path of directories) {
      length += encodeURIComponent(path).length + 5;
      if (length > ADDRESS_MAX) break;
      room.push(path);
    }
    const isSame = room.length === this.wanted.length && room.every((path) => this.wanted.includes(path));
    this.wanted = room;
    if (!isSame && this.state !== "hidden") this.schedule(30);
    return room;
  }

  /** Try now, whatever the pause was to be. */
  retry() {
    if (this.state === "lost") this.schedule(0);
  }

  /** Who listens is somebody else now: hear what that one may. */
  renew() {
    if (this.state === "live") this.schedule(0);
  }

  schedule(ms) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), ms);
  }

  open() {
    this.close();
    if (document.hidden) {
      this.become("hidden");
      return;
    }
    const asked = new URLSearchParams(this.wanted.map((path) => ["dir", path]));
    if (this.token !== null) asked.set("since", this.token);
    const source = new EventSource(asked.size ? `${this.url}?${asked}` : this.url);
    this.source = source;
    for (const kind of ["open", "pulse", "changes", "reset"]) {
      source.addEventListener(kind, (event) => this.onMessage(kind, event));
    }
    source.onerror = () => this.onLost();
    this.watch();
  }

  close() {
    clearTimeout(this.watchdog);
    this.source?.close();
    this.source = null;
  }

  watch() {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => this.onLost(), SILENCE_MS);
  }

  onMessage(kind, event) {
    // EventSource has an "open" of its own, which carries nothing.
    if (typeof event.data !== "string") return;
    this.watch();
    this.attempts = 0;
    const isFirst = this.token === null;
    if (event.lastEventId) this.token = event.lastEventId;
    const detail = JSON.parse(event.data);
    if (kind === "changes") nameStats(detail.dirs);
    this.become("live");
    // Before the first message nothing was told: what was read until then may be out of date.
    if (isFirst && kind === "open") this.dispatchEvent(new CustomEvent("first", { detail }));
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }

  onLost() {
    this.close();
    const pause = PAUSES_MS[Math.min(this.attempts, PAUSES_MS.length - 1)];
    this.attempts += 1;
    if (this.state !== "lost") this.lostAt = Date.now();
    // The first attempt of a stream that was fine is not worth a word.
    if (this.attempts > 1 || this.state === "opening") {
      this.become("lost");
      this.probe();
    }
    this.schedule(pause);
  }

  /** Whether the node answers at all: it serves so many pages and no more. */
  async probe() {
    const was = this.isAnswering;
    this.isAnswering = await fetch("/livez", { cache: "no-store" }).then(
      (answer) => answer.ok,
      () => false,
    );
    if (was !== this.isAnswering) this.dispatchEvent(new Event("state"));
  }

  onVisibility() {
    if (document.hidden) {
      clearTimeout(this.timer);
      this.close();
      this.become("hidden");
    } else {
      this.become("opening");
      this.schedule(0);
    }
  }

  become(state) {
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}
