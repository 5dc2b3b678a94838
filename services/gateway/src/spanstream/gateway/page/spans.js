// Offsets of the API count characters as Python does, code points; JavaScript's strings count UTF-16 units.

/** `(start, end) => part of the text`, in code points. */
export function slicer(text) {
  if (!/[\ud800-\udfff]/.test(text)) return (start, end) => text.slice(start, end);
  const points = Array.from(text);
  return (start, end) => points.slice(start, end).join("");
}

/** How many characters a text has, as the API counts. */
export const length = (text) => (/[\ud800-\udfff]/.test(text) ? Array.from(text).length : text.length);

/**
 * The text, which begins at offset `start` of its document, cut wherever a span begins or ends:
 * [{start, end, text, spans: the spans that cover it}]. Spans may overlap and reach beyond the text.
 */
export function pieces(text, start, spans) {
  const end = start + length(text);
  const slice = slicer(text);
  const within = (offset) => Math.min(Math.max(offset, start), end);
  const cuts = new Set([start, end]);
  for (const span of spans) cuts.add(within(span.start)).add(within(span.end));
  const places = [...cuts].sort((a, b) => a - b);
  return places.slice(1).map((to, index) => {
    const from = places[index];
    const covering = spans.filter((span) => span.start <= from && to <= span.end);
    return { start: from, end: to, text: slice(from - start, to - start), spans: covering };
  });
}

/**
 * What to show of a passage before it is opened: the server's snippet, or about `size` characters around its first span,
 * cut between words. {start, end}
 */
export function excerpt(passage, size = 420) {
  if (passage.snippet) return { start: passage.snippet.start, end: passage.snippet.end };
  const whole = { start: passage.start, end: passage.start + length(passage.text) };
  if (whole.end - whole.start <= size * 1.25) return whole;
  const slice = slicer(passage.text);
  const span = passage.spans[0] ?? { start: passage.start, end: passage.start };
  const spare = Math.max(0, size - (span.end - span.start));
  let from = Math.max(whole.start, span.start - Math.floor(spare / 3));
  let to = Math.min(whole.end, Math.max(span.end, from + size));
  const space = (offset) => /\s/u.test(slice(offset - passage.start, offset - passage.start + 1));
  while (from > whole.start && !space(from - 1)) from -= 1;
  while (to < whole.end && !space(to)) to += 1;
  return { start: from, end: to };
}
