// Asking this node. Every failure is a Problem: what happened, in words for people.

const PATIENCE_MS = 10_000;

export class Problem extends Error {
  /** `status` is 0 where there was no answer at all; `code` names the error, as the API does. */
  constructor(message, status = 0, code = "", more = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.more = more;
  }

  get isMissing() {
    return this.status === 404;
  }
}

/** What a page asks for. `signal` cancels; a cancelled call rejects with an AbortError. */
export async function ask(method, path, { query = {}, body, headers = {}, signal } = {}) {
  const asked = new URLSearchParams(
    Object.entries(query).filter(([, value]) => value !== undefined && value !== null),
  );
  const url = asked.size ? `${path}?${asked}` : path;
  const patience = AbortSignal.timeout(PATIENCE_MS);
  const options = {
    method,
    headers: { Accept: "application/json", ...headers },
    credentials: "same-origin",
    cache: "no-store",
    signal: signal ? AbortSignal.any([signal, patience]) : patience,
  };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let answer;
  let text;
  try {
    answer = await fetch(url, options);
    text = await answer.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    const how =
      error.name === "TimeoutError" ? `did not answer within ${PATIENCE_MS / 1000} s` : "does not answer";
    throw new Problem(`This node ${how}.`);
  }
  return understood(answer, text);
}

function understood(answer, text) {
  let value = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {
    throw new Problem(`The answer is not JSON (status ${answer.status}).`, answer.status || 500);
  }
  if (answer.ok) return value;
  const said = value?.detail ?? answer.statusText;
  throw new Problem(said || `status ${answer.status}`, answer.status, value?.code ?? "", value ?? {});
}

export const get = (path, query, signal) => ask("GET", path, { query, signal });
