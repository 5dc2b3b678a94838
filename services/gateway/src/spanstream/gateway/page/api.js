// The server: requests with the key of this tab, and its problems in words.

const KEY = "spanstream.key";

export const key = () => sessionStorage.getItem(KEY) ?? "";
export const keep = (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY));

/** The server answered that it will not. `wrong`: [{field, detail}] */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `The server answered ${status}.`);
    this.status = status;
    this.wrong = problem.errors ?? [];
  }

  /** A sentence or two for a person. */
  get words() {
    const parts = this.wrong.map(({ field, detail }) => `${field.replace(/^(body|query|path)\./, "")} ${detail}`);
    const text = parts.length ? `${this.message}: ${parts.join("; ")}` : this.message;
    return text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
  }
}

/** The server did not answer at all. */
export class Away extends Error {
  get words() {
    return "The server does not answer. Check that it runs and that you are connected, then try again.";
  }
}

/** The JSON of an answer. Raises Refused, Away, or AbortError. `body`: a value to send as JSON, or a Blob as it is. */
export async function call(method, path, { body, signal } = {}) {
  const headers = {};
  if (key()) headers.authorization = `Bearer ${key()}`;
  const file = body instanceof Blob;
  if (body !== undefined) headers["content-type"] = file ? "application/octet-stream" : "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: file || body === undefined ? body : JSON.stringify(body), signal, cache: "no-store" });
    if (answer.ok) return await answer.json();
  } catch (error) {
    throw error.name === "AbortError" ? error : new Away();
  }
  throw new Refused(answer.status, await answer.json().catch(() => ({})));
}

const SOURCES = "/v1/sources";
export const sources = () => call("GET", SOURCES);
const documents = (source) => `${SOURCES}/${encodeURIComponent(source)}/documents`;
export const statuses = (source, body, signal) => call("POST", `${documents(source)}:status`, { body, signal });
export const content = (source, id, from) => call("GET", `${documents(source)}/${encodeURIComponent(id)}/content?from=${from}`);
export const upload = (source, file) =>
  call("POST", `${SOURCES}/${encodeURIComponent(source)}/files?filename=${encodeURIComponent(file.name)}`, { body: file });

const FAILURES = "/v1/failures";
export const failures = () => call("GET", FAILURES);
export const failed = (fingerprint) => call("GET", `${FAILURES}/${fingerprint}?limit=20`);
export const resolve = (verb, fingerprint, body) => call("POST", `${FAILURES}/${fingerprint}:${verb}`, { body });

const offered = { explain: false, facets: 0, cursor: false, content: false, files: false, failures: false };

/** What this server offers beyond a plain search, as its own description says; asked once. */
export async function features() {
  try {
    const described = await call("GET", "/openapi.json");
    const fields = described.components.schemas.SearchRequest.properties;
    offered.explain = "explain" in fields;
    offered.cursor = "cursor" in fields;
    offered.facets = "facets" in fields ? most(fields.facets) : 0;
    offered.files = "post" in (described.paths["/v1/sources/{source}/files"] ?? {});
    offered.failures = FAILURES in described.paths;
    offered.content = Object.keys(described.paths).some((each) => each.startsWith("/v1/sources/{source}/documents/") && each.endsWith("/content"));
  } catch (error) {
    if (!(error instanceof Refused || error instanceof Away || error instanceof TypeError)) throw error; // else: a plain search
  }
  return offered;
}

/** How many items a list of the description may have. */
function most(schema) {
  const forms = [schema, ...(schema.anyOf ?? [])];
  return Math.min(8, ...forms.map((each) => each.maxItems).filter(Number.isInteger));
}

/**
 * A search with what this server offers of `extra` ({facets, explain, cursor}). An extra that the server refuses is left out
 * from then on.
 */
export async function search(body, extra, signal) {
  const sent = { ...body };
  if (offered.explain && extra.explain) sent.explain = true;
  if (offered.cursor && extra.cursor) sent.cursor = extra.cursor;
  if (offered.facets && extra.facets?.length) sent.facets = extra.facets.slice(0, offered.facets).map((field) => ({ field, limit: 12 }));
  try {
    return await call("POST", "/v1/search", { body: sent, signal });
  } catch (error) {
    const refused = error instanceof Refused && error.status === 422 && error.wrong.some(({ field }) => field.startsWith("body.facets"));
    if (!refused || !sent.facets) throw error;
    offered.facets = 0;
    return search(body, { ...extra, facets: [] }, signal);
  }
}
