// What failed, by cause: looked at, sent again after a fix, or let be.
import * as api from "./api.js";
import { show } from "./dialogs.js";
import { counted, element, fill } from "./dom.js";

const when = (us) => new Date(us / 1000).toLocaleString();
const fact = (name, value) => element("div", {}, element("dt", {}, name), element("dd", {}, value));
const words = (error) => error.words ?? "Something unexpected happened.";

/** The drawer with all causes. */
export async function open() {
  const place = element("div", {}, element("p", {}, "Asking …"));
  show("wide drawer", "What failed", place);
  try {
    const { groups, left_out: more } = await api.failures();
    const none = groups.length ? null : element("p", {}, "Nothing failed that is open.");
    const older = more ? element("p", { class: "faint" }, "There are more failures, which are listed once these are resolved.") : null;
    fill(place, none, older, groups.map(cause));
  } catch (error) {
    fill(place, element("p", { role: "alert" }, words(error)));
  }
}

function cause(group) {
  const said = element("p", { role: "status", class: "faint" });
  const section = element("section", {},
    element("h3", {}, group.meaning),
    element("p", {}, group.detail),
    element("dl", { class: "facts" },
      fact("records", group.count.toLocaleString("en")), fact("documents", group.documents.toLocaleString("en")),
      fact("stage", group.stage), fact("reason", group.reason),
      fact("first", when(group.first_at_us)), fact("last", when(group.last_at_us))),
    records(group), said);
  const actions = element("p", { class: "acts" });
  const again = group.replayable ? button(`Replay ${group.replayable.toLocaleString("en")}`, () => act("replay", "replayed")) : null;
  const discard = button(`Discard ${group.count.toLocaleString("en")}`, () => {
    const sure = button(`Yes, discard ${group.count.toLocaleString("en")}`, () => act("discard", "discarded"));
    discard.replaceWith(sure);
    sure.focus();
  });
  if (!group.replayable) said.textContent = "The bytes of these records were not kept: send the documents again.";
  actions.append(...[again, discard].filter(Boolean));
  section.append(actions);

  async function act(verb, done) {
    actions.remove();
    said.textContent = `${verb} begins …`;
    let count = 0;
    try {
      for (let until = null, left = 1; left && said.isConnected;) {
        const told = await api.resolve(verb, group.fingerprint, until === null ? {} : { until });
        ({ until, left } = told);
        count += told.done;
        said.textContent = `${counted(count, "record")} ${done}${left ? `, ${left.toLocaleString("en")} left …` : "."}`;
        if (!told.done && left) throw new Error("no progress");
      }
    } catch (error) {
      said.textContent = `${counted(count, "record")} ${done}. ${words(error)}`;
    }
  }
  return section;
}

const button = (text, does) => element("button", { type: "button", class: "secondary", onclick: does }, text);

/** The newest records, asked for when they are unfolded. */
function records(group) {
  const list = element("ul", { class: "within" });
  const details = element("details", { class: "further" }, element("summary", {}, "Newest records"), list);
  details.addEventListener("toggle", async () => {
    try {
      const found = await api.failed(group.fingerprint);
      fill(list, found.records.map((each) => element("li", {}, `${each.source}/${each.document}`,
        element("span", { class: "faint" }, ` version ${each.version || "unknown"}, ${when(each.failed_at_us)}${each.replays ? `, after ${counted(each.replays, "replay")}` : ""}`))));
    } catch (error) {
      fill(list, element("li", {}, words(error)));
    }
  }, { once: true });
  return details;
}
