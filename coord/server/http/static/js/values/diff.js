// The difference of two texts, line by line: Myers' algorithm, bounded. Pure.

const EDITS_MAX = 500;
const CONTEXT = 3;

/**
 * [{ kind: "same" | "added" | "removed" | "skipped", text, left, right }] with line numbers from 1.
 * Runs of equal lines are cut to their edges. Texts that differ in more than EDITS_MAX lines come
 * out as one block removed and one added.
 */
export function difference(left, right) {
  const a = left.split("\n");
  const b = right.split("\n");
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end])
    end++;
  const middle = edits(a.slice(start, a.length - end), b.slice(start, b.length - end));
  const kinds = [...Array(start).fill("same"), ...middle, ...Array(end).fill("same")];
  return folded(numbered(kinds, a, b));
}

function numbered(kinds, a, b) {
  let left = 0;
  let right = 0;
  return kinds.map((kind) => {
    if (kind === "removed") return { kind, text: a[left], left: ++left, right: null };
    if (kind === "added") return { kind, text: b[right], left: null, right: ++right };
    return { kind, text: a[left], left: ++left, right: ++right };
  });
}

function edits(a, b) {
  const trace = search(a, b);
  if (trace === null) return [...Array(a.length).fill("removed"), ...Array(b.length).fill("added")];
  const kinds = [];
  let x = a.length;
  let y = b.length;
  for (let d = trace.length - 1; d > 0; d--) {
    const before = trace[d - 1];
    const k = x - y;
    const isDown = k === -d || (k !== d && (before.get(k - 1) ?? -1) < (before.get(k + 1) ?? -1));
    const previous = isDown ? k + 1 : k - 1;
    const fromX = before.get(previous);
    const fromY = fromX - previous;
    while (x > fromX && y > fromY) {
      kinds.push("same");
      x--;
      y--;
    }
    if (x === fromX) {
      kinds.push("added");
      y--;
    } else {
      kinds.push("removed");
      x--;
    }
  }
  while (x > 0 && y > 0) {
    kinds.push("same");
    x--;
    y--;
  }
  return kinds.reverse();
}

/** Farthest x by diagonal, for each number of edits until the end is reached; null beyond bounds. */
function search(a, b) {
  const trace = [];
  let best = new Map([[1, 0]]);
  for (let d = 0; d <= Math.min(EDITS_MAX, a.length + b.length); d++) {
    const next = new Map();
    for (let k = -d; k <= d; k += 2) {
      const isDown = k === -d || (k !== d && (best.get(k - 1) ?? -1) < (best.get(k + 1) ?? -1));
      let x = isDown ? (best.get(k + 1) ?? 0) : best.get(k - 1) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++;
      next.set(k, x);
      if (x >= a.length && x - k >= b.length) {
        trace.push(next);
        return trace;
      }
    }
    trace.push(next);
    best = next;
  }
  return null;
}

/** Leave out the inside of long runs of equal lines. */
function folded(lines) {
  const isNear = lines.map(() => false);
  for (const [at, line] of lines.entries()) {
    if (line.kind === "same") continue;
    for (let near = Math.max(0, at - CONTEXT); near <= Math.min(lines.length - 1, at + CONTEXT); near++)
      isNear[near] = true;
  }
  const kept = [];
  for (const [at, line] of lines.entries()) {
    if (isNear[at]) kept.push(line);
    else if (kept.length && kept[kept.length - 1].kind === "skipped") kept[kept.length - 1].count += 1;
    else kept.push({ kind: "skipped", count: 1, text: "", left: null, right: null });
  }
  return kept;
}
