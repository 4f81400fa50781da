// Reads MessagePack, strictly: exactly one value, within bounds. Values come out as plain ones;
// what JSON has no form for as { $bytes }, { $map }, { $time }, { $ext }.

const DEPTH_MAX = 64;
const UTF8 = new TextDecoder("utf-8", { fatal: true });

/** The value, or throws a RangeError or TypeError if `bytes` is not one MessagePack value. */
export function decode(bytes) {
  const reader = new Reader(bytes);
  const value = reader.value(0);
  if (reader.at !== bytes.length) throw new RangeError("bytes follow the value");
  return value;
}

export function hexOf(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
  }

  take(length) {
    const from = this.at;
    if (from + length > this.bytes.length) throw new RangeError("the value is cut off");
    this.at += length;
    return from;
  }

  unsigned(width) {
    const from = this.take(width);
    if (width === 1) return this.view.getUint8(from);
    if (width === 2) return this.view.getUint16(from);
    if (width === 4) return this.view.getUint32(from);
    return narrowed(this.view.getBigUint64(from));
  }

  signed(width) {
    const from = this.take(width);
    if (width === 1) return this.view.getInt8(from);
    if (width === 2) return this.view.getInt16(from);
    if (width === 4) return this.view.getInt32(from);
    return narrowed(this.view.getBigInt64(from));
  }

  raw(length) {
    const from = this.take(length);
    return this.bytes.subarray(from, from + length);
  }

  text(length) {
    return UTF8.decode(this.raw(length));
  }

  value(depth) {
    if (depth > DEPTH_MAX) throw new RangeError("nested too deeply");
    const head = this.unsigned(1);
    if (head < 0x80) return head;
    if (head >= 0xe0) return head - 0x100;
    if (head < 0x90) return this.map(head & 0x0f, depth);
    if (head < 0xa0) return this.list(head & 0x0f, depth);
    if (head < 0xc0) return this.text(head & 0x1f);
    return this.long(head, depth);
  }

  long(head, depth) {
    switch (head) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return { $bytes: hexOf(this.raw(this.unsigned(1 << (head - 0xc4)))) };
      case 0xc7:
      case 0xc8:
      case 0xc9:
        return this.extension(this.unsigned(1 << (head - 0xc7)));
      case 0xca:
        return this.view.getFloat32(this.take(4));
      case 0xcb:
        return this.view.getFloat64(this.take(8));
      case 0xcc:
      case 0xcd:
      case 0xce:
      case 0xcf:
        return this.unsigned(1 << (head - 0xcc));
      case 0xd0:
      case 0xd1:
      case 0xd2:
      case 0xd3:
        return this.signed(1 << (head - 0xd0));
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.extension(1 << (head - 0xd4));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.text(this.unsigned(1 << (head - 0xd9)));
      case 0xdc:
      case 0xdd:
        return this.list(this.unsigned(2 << (head - 0xdc)), depth);
      case 0xde:
      case 0xdf:
        return this.map(this.unsigned(2 << (head - 0xde)), depth);
      default:
        throw new TypeError("not MessagePack");
    }
  }

  list(length, depth) {
    if (length > this.bytes.length - this.at) throw new RangeError("the list is cut off");
    return Array.from({ length }, () => this.value(depth + 1));
  }

  map(length, depth) {
    if (2 * length > this.bytes.length - this.at) throw new RangeError("the map is cut off");
    const pairs = Array.from({ length }, () => [this.value(depth + 1), this.value(depth + 1)]);
    const isPlain = pairs.every(([key]) => typeof key === "string");
    if (!isPlain) return { $map: pairs };
    const found = Object.create(null);
    for (const [key, value] of pairs) found[key] = value;
    return found;
  }

  extension(length) {
    const type = this.signed(1);
    const bytes = this.raw(length);
    const view = new DataView(bytes.buffer, bytes.byteOffset, length);
    if (type === -1 && length === 4) return { $time: new Date(view.getUint32(0) * 1000).toISOString() };
    if (type === -1 && length === 8) {
      const seconds = (view.getUint32(0) & 3) * 2 ** 32 + view.getUint32(4);
      return { $time: new Date(seconds * 1000).toISOString() };
    }
    return { $ext: type, data: hexOf(bytes) };
  }
}

/** A number where it holds the integer exactly, else its digits. */
function narrowed(big) {
  return big >= BigInt(Number.MIN_SAFE_INTEGER) && big <= BigInt(Number.MAX_SAFE_INTEGER)
    ? Number(big)
    : String(big);
}
