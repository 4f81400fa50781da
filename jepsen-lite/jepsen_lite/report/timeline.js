"use strict";
// Draws the operations of each client over time on a canvas; zoom by wheel, move by dragging.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const box = document.getElementById("timeline");
  const canvas = box.querySelector("canvas");
  const tip = document.getElementById("tip");
  const context = canvas.getContext("2d");
  const offending = new Set(data.offending);
  const marked = data.ops.filter((op) => offending.has(op[4]));
  const HEAD = 22, NAMES = 90, LANES = 3, LANE = 13;
  const ROW = Math.max(8, Math.min(20, 600 / Math.max(1, data.rows.length)));
  const height = HEAD + ROW * Math.max(1, data.rows.length) + LANES * LANE + 6;
  let from = 0, until = data.length, drag = null, chosen = null, nextMark = 0;

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const width = () => box.clientWidth;
  const x = (time) => NAMES + (time - from) / (until - from) * (width() - NAMES);
  const time = (place) => from + (place - NAMES) / (width() - NAMES) * (until - from);
  const end = (op) => op[2] === null ? data.length : op[2];

  function draw() {
    const scale = window.devicePixelRatio || 1;
    canvas.width = width() * scale;
    canvas.height = height * scale;
    canvas.style.height = height + "px";
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width(), height);
    context.font = "11px system-ui, sans-serif";
    context.save();
    context.beginPath();
    context.rect(NAMES, 0, width() - NAMES, height);
    context.clip();
    drawFaults();
    drawTimes();
    const fills = {ok: color("--ok"), fail: color("--fail"), info: color("--info")};
    for (const op of data.ops) drawOp(op, fills);
    context.restore();
    drawNames();
  }

  function drawFaults() {
    data.faults.forEach(([name, begin, finish], at) => {
      if (finish < from || begin > until) return;
      context.fillStyle = color("--fault");
      context.fillRect(x(begin), 0, Math.max(1, x(finish) - x(begin)), height);
      context.fillStyle = color("--bad");
      const lane = height - 5 - (at % LANES) * LANE;
      context.fillText(name, Math.max(NAMES + 2, x(begin) + 2), lane);
    });
  }

  function drawTimes() {
    const rough = (until - from) / 8;
    const power = Math.pow(10, Math.floor(Math.log10(rough)));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
    context.fillStyle = color("--quiet");
    context.strokeStyle = color("--line");
    for (let at = Math.ceil(from / step) * step; at <= until; at += step) {
      context.fillText(at.toFixed(Math.max(0, -Math.floor(Math.log10(step)))) + " s", x(at) + 3, 14);
      context.beginPath();
      context.moveTo(x(at), 0);
      context.lineTo(x(at), height);
      context.stroke();
    }
  }

  function drawOp(op, fills) {
    if (end(op) < from || op[1] > until) return;
    const left = x(op[1]), wide = Math.max(1.5, x(end(op)) - left), top = HEAD + op[0] * ROW;
    context.fillStyle = fills[op[3]];
    context.globalAlpha = op[2] === null ? 0.35 : 1;
    context.fillRect(left, top + 1, wide, ROW - 2);
    context.globalAlpha = 1;
    if (offending.has(op[4]) || op === chosen) {
      context.strokeStyle = op === chosen ? color("--text") : color("--bad");
      context.lineWidth = 2;
      context.strokeRect(left - 1, top, wide + 2, ROW);
      context.lineWidth = 1;
    }
  }

  function drawNames() {
    context.fillStyle = color("--quiet");
    data.rows.forEach((name, row) => {
      if (ROW >= 10 || row % 2 === 0) context.fillText(name.slice(0, 14), 4, HEAD + row * ROW + ROW * 0.75);
    });
  }

  function under(event) {
    const place = canvas.getBoundingClientRect();
    const at = event.clientX - place.left, row = Math.floor((event.clientY - place.top - HEAD) / ROW);
    let best = null, nearest = 4;
    for (const op of data.ops) {
      if (op[0] !== row) continue;
      const far = Math.max(x(op[1]) - at, at - x(end(op)), 0);
      if (far < nearest || (far === nearest && offending.has(op[4]))) { best = op; nearest = far; }
    }
    return best;
  }

  function describe(op) {
    const took = op[2] === null ? "no answer" : ((op[2] - op[1]) * 1000).toFixed(2) + " ms";
    return `#${op[4]} ${op[5]} · ${op[3]} · at ${op[1].toFixed(4)} s, ${took}`;
  }

  function tell(op, left, top) {
    tip.hidden = op === null;
    if (op === null) return;
    tip.textContent = describe(op);
    tip.style.left = Math.max(0, Math.min(left + 12, width() - 430)) + "px";
    tip.style.top = Math.max(0, top - 34) + "px";
  }

  function look(begin, finish) {
    const span = Math.min(Math.max(finish - begin, 1e-5), data.length);
    from = Math.min(Math.max(0, begin), data.length - span);
    until = from + span;
    draw();
  }

  function show(op) {
    chosen = op;
    const span = Math.max((op[2] === null ? 0 : op[2] - op[1]) * 12, 0.02);
    look(op[1] - span / 2, op[1] + span / 2);
    tell(op, x(op[1]), HEAD + op[0] * ROW);
  }

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const middle = time(event.clientX - canvas.getBoundingClientRect().left);
    const factor = Math.exp(event.deltaY * 0.002);
    look(middle - (middle - from) * factor, middle + (until - middle) * factor);
  }, {passive: false});
  canvas.addEventListener("pointerdown", (event) => {
    drag = {at: event.clientX, from, until};
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointerup", () => { drag = null; });
  canvas.addEventListener("pointermove", (event) => {
    if (drag) {
      const moved = (event.clientX - drag.at) / (width() - NAMES) * (drag.until - drag.from);
      look(drag.from - moved, drag.until - moved);
      return;
    }
    const place = canvas.getBoundingClientRect();
    tell(under(event), event.clientX - place.left, event.clientY - place.top);
  });
  canvas.addEventListener("pointerleave", () => tell(null));
  canvas.addEventListener("keydown", (event) => {
    const span = until - from, middle = (from + until) / 2;
    const moves = {
      ArrowLeft: [from - span / 5, until - span / 5], ArrowRight: [from + span / 5, until + span / 5],
      "+": [middle - span / 4, middle + span / 4], "-": [middle - span, middle + span],
    };
    if (!moves[event.key]) return;
    event.preventDefault();
    look(...moves[event.key]);
  });
  document.getElementById("whole").addEventListener("click", () => look(0, data.length));
  const next = document.getElementById("next");
  next.hidden = marked.length === 0;
  next.addEventListener("click", () => show(marked[nextMark++ % marked.length]));
  for (const link of document.querySelectorAll("a[data-op]")) {
    link.addEventListener("click", () => {
      const op = data.ops.find((one) => one[4] === Number(link.dataset.op));
      if (op) show(op);
    });
  }
  if (data.ops.length < data.total) {
    document.getElementById("timeline-note").append(
      ` Drawn: ${data.ops.length} of ${data.total} operations, all offending ones among them.`);
  }
  window.addEventListener("resize", draw);
  draw();
})();
