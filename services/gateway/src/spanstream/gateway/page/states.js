// What stands where hits would be: nothing asked, nothing found, nothing answered; and what to do about it.
import { byId, counted, element, fill } from "./dom.js";

const box = (title, ...more) => element("div", { class: "state" }, element("h2", {}, title), more);
const line = (text) => element("p", {}, text);
const button = (text, does) => element("button", { type: "button", class: "secondary", onclick: does }, text);
const put = (...nodes) => fill(byId("state"), nodes);

/** How much there is to search. */
export const size = (sources) => `${counted(sources.reduce((sum, each) => sum + each.documents, 0), "document")} in ${counted(sources.length, "source")}`;

export const none = () => put();

/** Before anything is asked. `sources` null: not known. */
export function start(sources, canAdd, addFiles) {
  if (sources && !sources.length) {
    put(box("Nothing to search yet", line(canAdd ? "Drop files anywhere on this page, or choose them. They can be found a moment later." : "Add documents with the command “spanstream ingest FOLDER” or through the API."), canAdd ? button("Choose files", addFiles) : null));
    return;
  }
  put(box(sources ? `Search ${size(sources)}` : "Search",
    line("Ask in your own words: the answer is the passage that means it, with the span that says it marked."),
    line("“+ and”, “+ or” and “+ not” add further meanings, “like” and “unlike” whole documents as examples.")));
}

/** Only things to avoid. */
export const shunning = () => put(box("Say what to look for, too", line("“Not” and “unlike” narrow an answer down. Write in the search box what the answer should be about.")));

/** No hit. */
export function empty(filtered, clear) {
  put(box("Nothing found", line(filtered ? "The filters may leave nothing over." : "Try other words, fewer parts, or ranking by meaning."), filtered ? button("Remove all filters", clear) : null));
}

/** No answer. */
export function failed(error, again, enterKey) {
  const refused = error.status !== undefined;
  if (error.status === 401) put(box("This server asks for an API key", line("Enter one to search. On one machine it is in client.json of the data folder, which “spanstream up” names when it starts; elsewhere ask whoever runs the server (spanstream keys create)."), button("Enter a key", enterKey)));
  else if (error.status === 503) put(box("Not at the moment", line(error.words), button("Try again", again)));
  else if (refused) put(box("The server does not take this question", line(error.words), button("Try again", again)));
  else put(box("No answer", line(error.words ?? "Something unexpected happened on this page. Load it again."), button("Try again", again)));
}

/** What is to be known about an answer. */
export function notes(answer) {
  const said = [
    answer.by_words && "The model does not answer at the moment: these are ranked by words alone.",
    answer.partial && "Documents are changing right now: there may be more hits than these.",
    answer.unfinished?.length && `Not everything was ready in time: without ${answer.unfinished.join(", ").replaceAll("_", " ")}.`,
  ];
  fill(byId("notes"), said.map((text) => text && element("p", { class: "note" }, text)));
}
