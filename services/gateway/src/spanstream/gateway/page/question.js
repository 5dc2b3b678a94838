// What is asked: its form in the page's address, and as the API takes it.

export const KINDS = ["all", "any", "not", "like", "unlike"];
const MODES = ["hybrid", "dense", "spans", "lexical"];

/** Nothing asked. `parts`: {kind, text} or, for like and unlike, {kind, source, id, start?, end?}; `filters`: as in the API. */
export const nothing = () => ({ text: "", parts: [], mode: "hybrid", filters: [], opened: null });

/** From the address's query; what makes no sense is left out. */
export function read(search) {
  const given = new URLSearchParams(search);
  const asked = nothing();
  asked.text = given.get("q") ?? "";
  if (MODES.includes(given.get("mode"))) asked.mode = given.get("mode");
  for (const [name, value] of given) {
    if (name === "filter") asked.filters.push(...comparison(value));
    if (!KINDS.includes(name)) continue;
    const part = name === "like" || name === "unlike" ? example(value) : { text: value };
    if (part) asked.parts.push({ kind: name, ...part });
  }
  asked.opened = example(given.get("document") ?? "");
  return asked;
}

/** The address's query, with "?", or "" for nothing. */
export function write(asked) {
  const given = new URLSearchParams();
  if (asked.text) given.set("q", asked.text);
  for (const part of asked.parts) if (part.id || part.text) given.append(part.kind, part.id ? named(part) : part.text);
  if (asked.mode !== "hybrid") given.set("mode", asked.mode);
  for (const filter of asked.filters) given.append("filter", JSON.stringify(filter));
  if (asked.opened) given.set("document", named(asked.opened));
  return given.size ? `?${given}` : "";
}

/** `source/id`, or `source:start-end/id` for a part of a document. */
export function named({ source, id, start, end }) {
  return `${source}${start === undefined ? "" : `:${start}-${end}`}/${id}`;
}

/** The document that `named` names, or null. */
export function example(name) {
  const found = /^([a-z0-9._-]+)(?::(\d+)-(\d+))?\/(.+)$/su.exec(name.trim());
  if (!found) return null;
  const [, source, start, end, id] = found;
  return start === undefined ? { source, id } : { source, id, start: Number(start), end: Number(end) };
}

function comparison(text) {
  try {
    const value = JSON.parse(text);
    return typeof value?.field === "string" ? [value] : [];
  } catch {
    return [];
  }
}

/** The `query` of a search, or null where nothing says what to look for. */
export function query(asked) {
  const of = (kind) => asked.parts.filter((part) => part.kind === kind && (part.id || part.text.trim()));
  const texts = (kind) => of(kind).map((part) => part.text.trim());
  const document = ({ source, id, start, end }) => ({ source, id, start, end });
  const text = asked.text.trim();
  const either = [...(text ? [text] : []), ...texts("any")];
  const sought = [
    ...(either.length > 1 ? [{ any: either }] : either),
    ...texts("all"),
    ...of("like").map((part) => ({ like: document(part) })),
  ];
  const shunned = [...texts("not").map((each) => ({ not: each })), ...of("unlike").map((part) => ({ unlike: document(part) }))];
  if (!sought.length) return null;
  const parts = [...sought, ...shunned];
  return parts.length > 1 ? { all: parts } : parts[0];
}

/** Whether the question only says what it is not about. */
export const onlyShuns = (asked) => query(asked) === null && asked.parts.some((part) => part.id || part.text.trim());

/** The body of a search. */
export function request(asked) {
  const body = { query: query(asked), mode: asked.mode };
  if (asked.filters.length) body.filter = asked.filters.length > 1 ? { all: asked.filters } : asked.filters[0];
  return body;
}

/** The values that are chosen of a field. */
export const chosen = (filters, field) => filters.find((each) => each.field === field && each.in)?.in ?? [];

/** The filters with a value of a field chosen, or no longer. */
export function toggled(filters, field, value) {
  const before = chosen(filters, field);
  const after = before.includes(value) ? before.filter((each) => each !== value) : [...before, value];
  const others = filters.filter((each) => !(each.field === field && each.in));
  return after.length ? [...others, { field, in: after }] : others;
}
