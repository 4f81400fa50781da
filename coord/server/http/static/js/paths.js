// Paths of the tree and addresses of the page. An address is "#/view/…?…", so that any node's page
// can be opened at the same place.

export const ROOT = "/";

export function join(parent, name) {
  return parent === ROOT ? `/${name}` : `${parent}/${name}`;
}

export function parentOf(path) {
  const at = path.lastIndexOf("/");
  return at <= 0 ? ROOT : path.slice(0, at);
}

export function nameOf(path) {
  return path === ROOT ? ROOT : path.slice(path.lastIndexOf("/") + 1);
}

/** "/", "/a", "/a/b" for "/a/b". */
export function lineOf(path) {
  const line = [ROOT];
  for (let at = path.indexOf("/", 1); at > 0; at = path.indexOf("/", at + 1)) line.push(path.slice(0, at));
  if (path !== ROOT) line.push(path);
  return line;
}

/** The tree's order, that of UTF-8 bytes: code points, where JavaScript would compare UTF-16. */
export function compareNames(a, b) {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const x = a.charCodeAt(at);
    const y = b.charCodeAt(at);
    if (x === y) continue;
    const isSurrogate = (unit) => unit >= 0xd800 && unit < 0xe000;
    if (isSurrogate(x) !== isSurrogate(y)) return isSurrogate(x) ? 1 : -1;
    return x - y;
  }
  return a.length - b.length;
}

/** Where `name` stands in sorted `names`, or −1 − where it would stand. */
export function find(names, name) {
  let low = 0;
  let high = names.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareNames(names[middle], name) < 0) low = middle + 1;
    else high = middle;
  }
  return low < names.length && names[low] === name ? low : -1 - low;
}

/** A path as it stands in an address: every name escaped, slashes kept. */
export function escaped(path) {
  return path.split("/").map(encodeURIComponent).join("/");
}

/** address("tree", "/a b", { tab: "history" }) is "#/tree/a%20b?tab=history". */
export function address(view, path = "", query = {}) {
  const kept = Object.entries(query).filter(
    ([, value]) => value !== undefined && value !== null && value !== "",
  );
  const asked = kept.length ? `?${new URLSearchParams(kept)}` : "";
  return `#/${view}${escaped(path)}${asked}`;
}

/** The inverse: { view, path, query }. What cannot be read leads to the root of the tree. */
export function parseAddress(hash) {
  const [rest, asked = ""] = hash.replace(/^#\/?/, "").split("?");
  const [view, ...names] = rest.split("/");
  const query = Object.fromEntries(new URLSearchParams(asked));
  try {
    const path = `/${names.map(decodeURIComponent).filter(Boolean).join("/")}`;
    return { view: view || "tree", path, query };
  } catch {
    return { view: "tree", path: ROOT, query: {} };
  }
}
