// What a value looks like: the forms in which it can be shown, the likeliest first.

import { decode } from "/page/js/values/msgpack.js";

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const STRUCTURE_BYTES_MAX = 256 * 1024;
// Control characters that no text has: all but tab, line feed, carriage return, form feed, escape.
const BINARY = /[\u0000-\u0008\u000b\u000e-\u001a\u001c-\u001f\u007f]/;

export const FORMS = ["text", "json", "msgpack", "hex"];

export function bytesOf({ value, encoding }) {
  if (encoding !== "base64") return new TextEncoder().encode(value);
  const raw = atob(value);
  const bytes = new Uint8Array(raw.length);
  for (let at = 0; at < raw.length; at++) bytes[at] = raw.charCodeAt(at);
  return bytes;
}

export function base64Of(bytes) {
  let raw = "";
  for (let at = 0; at < bytes.length; at += 0x8000)
    raw += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(raw);
}

/** The text, or null if `bytes` are none. */
export function textOf(bytes) {
  try {
    return UTF8.decode(bytes);
  } catch {
    return null;
  }
}

/** { likely, text, json, msgpack }: texts to show, null where the value has no such form. */
export function look(bytes) {
  const text = textOf(bytes);
  const json = text === null || bytes.length > STRUCTURE_BYTES_MAX ? null : asJson(text);
  const msgpack = bytes.length > STRUCTURE_BYTES_MAX ? null : asMessagePack(bytes);
  return { text, json, msgpack, likely: likely(bytes, text, json, msgpack) };
}

function likely(bytes, text, json, msgpack) {
  if (!bytes.length) return "text";
  if (json !== null && /^\s*[[{]/.test(text)) return "json";
  const isText = text !== null && !BINARY.test(text);
  if (isText) return "text";
  // One byte is always a number to MessagePack, and seldom meant as one.
  return msgpack !== null && bytes.length > 1 ? "msgpack" : "hex";
}

function asJson(text) {
  try {
    // Numbers that JavaScript would round are shown as they were written.
    const value = JSON.parse(text);
    return /\d{16}/.test(text) ? text : JSON.stringify(value, null, 2);
  } catch {
    return null;
  }
}

function asMessagePack(bytes) {
  try {
    return JSON.stringify(decode(bytes), null, 2);
  } catch {
    return null;
  }
}
