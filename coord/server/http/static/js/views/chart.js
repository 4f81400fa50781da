// A line chart in SVG: a few series over the last minutes, with a cursor that reads values off.

import { h, replace, s, setAttributes, setText } from "/page/js/dom.js";
import { moment } from "/page/js/format.js";

const WIDTH = 600;
const HEIGHT = 170;
const LEFT = 46;
const BOTTOM = 18;
const TOP = 6;

/**
 * `series`: [{ name, read(sample) → number | null }], `show(number)` → text.
 * The chart keeps its element; `draw(samples)` renews it.
 */
export class Chart {
  constructor(label, series, show) {
    this.label = label;
    this.series = series;
    this.show = show;
    this.samples = [];
    this.plot = s("svg.plot", {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      role: "img",
    });
    this.values = series.map(() => h("b"));
    this.time = h("span.faint");
    this.legend = h(
      "div.legend",
      {},
      series.map(({ name }, at) => h("span", {}, h(`i.series-${at + 1}`), `${name} `, this.values[at])),
      this.time,
    );
    this.element = h("figure.chart", {}, this.legend, this.plot);
    this.plot.addEventListener("pointermove", (event) => this.point(event));
    this.plot.addEventListener("pointerleave", () => this.point(null));
    new ResizeObserver(() => this.draw(this.samples)).observe(this.plot);
  }

  draw(samples) {
    this.samples = samples;
    const width = this.plot.clientWidth || WIDTH;
    setAttributes(this.plot, { viewBox: `0 0 ${width} ${HEIGHT}` });
    this.width = width;
    const all = samples
      .flatMap((sample) => this.series.map(({ read }) => read(sample)))
      .filter((value) => value !== null && value !== undefined);
    this.top = nice(Math.max(...all, 0));
    replace(
      this.plot,
      this.grid(),
      this.timeAxis(),
      ...this.series.flatMap(({ read }, at) => this.line(read, at)),
    );
    this.cursor = s("line.cursor", { y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" });
    this.plot.append(this.cursor);
    this.point(null);
  }

  x(at) {
    return LEFT + (at / Math.max(1, this.samples.length - 1)) * (this.width - LEFT - 4);
  }

  y(value) {
    return HEIGHT - BOTTOM - (value / this.top) * (HEIGHT - BOTTOM - TOP);
  }

  grid() {
    return [0, 0.25, 0.5, 0.75, 1].flatMap((part) => {
      const y = Math.round(this.y(part * this.top)) + 0.5;
      return [
        s("line.grid", { x1: LEFT, x2: this.width, y1: y, y2: y }),
        part % 0.5 === 0
          ? s(
              "text.axis",
              { x: LEFT - 6, y: y + 3, "text-anchor": "end" },
              part ? this.show(part * this.top) : "0",
            )
          : null,
      ];
    });
  }

  timeAxis() {
    if (this.samples.length < 2)
      return [
        s(
          "text.axis",
          { x: this.width / 2, y: HEIGHT / 2, "text-anchor": "middle" },
          "gathering the first samples…",
        ),
      ];
    const last = this.samples.length - 1;
    return [0, Math.round(last / 2), last].map((at, place) =>
      s(
        "text.axis",
        { x: this.x(at), y: HEIGHT - 4, "text-anchor": ["start", "middle", "end"][place] },
        moment(this.samples[at].wall_ms),
      ),
    );
  }

  /** One path for the line; a sample without a value breaks it, one between two such is a dot. */
  line(read, index) {
    const series = `series-${index + 1}`;
    const values = this.samples.map((sample) => read(sample) ?? null);
    const isThere = (at) => values[at] !== null && values[at] !== undefined;
    const lonely = [];
    let path = "";
    for (const [at, value] of values.entries()) {
      if (value === null) continue;
      const [x, y] = [this.x(at).toFixed(1), this.y(value).toFixed(1)];
      path += `${isThere(at - 1) ? "L" : "M"}${x} ${y}`;
      if (!isThere(at - 1) && !isThere(at + 1))
        lonely.push(s(`circle.area.is-solid.${series}`, { cx: x, cy: y, r: 2 }));
    }
    const line = s(`path.line.${series}`, { d: path });
    const isWhole = index === 0 && this.samples.length > 1 && path.lastIndexOf("M") === 0;
    const floor = HEIGHT - BOTTOM;
    const marks = [line, ...lonely];
    return isWhole
      ? [
          s("path.area.series-1", {
            d: `${path}L${this.x(this.samples.length - 1).toFixed(1)} ${floor}L${LEFT} ${floor}Z`,
          }),
          ...marks,
        ]
      : marks;
  }

  /** Read off the sample under the pointer, or the newest. */
  point(event) {
    const last = this.samples.length - 1;
    let at = last;
    if (event) {
      const box = this.plot.getBoundingClientRect();
      const part = (((event.clientX - box.left) / box.width) * this.width - LEFT) / (this.width - LEFT - 4);
      at = Math.max(0, Math.min(last, Math.round(part * last)));
    }
    const sample = this.samples[at];
    for (const [index, { read }] of this.series.entries()) {
      const value = sample ? read(sample) : null;
      setText(this.values[index], value === null || value === undefined ? "—" : this.show(value));
    }
    setText(this.time, event && sample ? moment(sample.wall_ms) : "");
    if (sample)
      setAttributes(this.cursor, {
        x1: this.x(at),
        x2: this.x(at),
        visibility: event ? "visible" : "hidden",
      });
    const newest = this.samples[last];
    const told = this.series.map(
      ({ name, read }) => `${name} ${newest && read(newest) !== null ? this.show(read(newest)) : "unknown"}`,
    );
    setAttributes(this.plot, { "aria-label": `${this.label}, newest sample: ${told.join(", ")}` });
  }
}

/** A round number at or above `value`: 1, 2 or 5 with zeros. */
function nice(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}
