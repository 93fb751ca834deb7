// "Again, with these values": the numbers of a painting as a form. What is changed makes one more picture of the photo.

/** @typedef {{name: string, kind: "number" | "whole" | "choice" | "switch", first: boolean, help: string, least?: number, most?: number, choices?: string[]}} Knob */

/** @type {Promise<Record<string, Knob[]>> | undefined} */
let knobsAsked;

/** The numbers of every engine that can be changed, asked for once. */
function askKnobs() {
  knobsAsked ??= fetch("knobs").then((answer) => answer.json());
  knobsAsked.catch(() => { knobsAsked = undefined; });
  return knobsAsked;
}

onFacts.push((painting, detail) => {
  const room = element("div");
  const opener = element("details", { class: "again", ontoggle: () => { if (opener.open && !room.firstChild) fillAgain(room, painting, detail.record); } },
    element("summary", {}, "Again, with other values"), room);
  return [opener];
});

async function fillAgain(room, painting, record) {
  const knobs = await askKnobs().then((all) => all[record.engine.name], () => undefined);
  if (!knobs) {
    room.replaceChildren(element("p", { class: "note" }, "The server cannot say which numbers there are. Load the page again."));
    return;
  }
  const before = { ...record.recipe, seed: record.seed };
  const fields = knobs.filter(({ name }) => before[name] !== undefined && before[name] !== null).map((knob) => newField(knob, before[knob.name]));
  const told = element("p", { class: "told", role: "status" });
  const submit = element("button", { type: "submit", class: "strong" }, "Paint it");
  const form = element("form", { onsubmit: async (event) => {
    event.preventDefault();
    const values = Object.fromEntries(fields.filter(({ value, name }) => value() !== before[name]).map(({ name, value }) => [name, value()]));
    submit.disabled = true;
    const { error, job, daemon } = await post("again", { painting: painting.id, values });
    submit.disabled = false;
    told.classList.toggle("note", Boolean(error));
    told.textContent = error ?? `In the line as job ${job}. ${daemon ? "It hangs here by itself when it is painted." : "It is painted when the daemon runs again."}`;
  } },
    element("div", { class: "knobs" }, ...fields.filter(({ first }) => first).map(({ row }) => row)),
    element("details", {}, element("summary", {}, "More numbers"), element("div", { class: "knobs" }, ...fields.filter(({ first }) => !first).map(({ row }) => row))),
    element("p", { class: "again-do" }, submit), told);
  room.replaceChildren(form);
}

/** @param {Knob} knob @param {any} value as it was painted */
function newField(knob, value) {
  const { name, kind, help } = knob;
  const id = `again-${name}`;
  const common = { id, name, title: help };
  /** @type {any} */
  let input;
  if (kind === "choice") input = element("select", common, ...(knob.choices ?? []).map((choice) => element("option", { selected: choice === value }, choice)));
  else if (kind === "switch") input = element("input", { ...common, type: "checkbox", checked: value });
  else input = element("input", { ...common, type: "number", step: kind === "whole" ? 1 : "any", min: knob.least, max: knob.most, value, required: true, inputmode: kind === "whole" ? "numeric" : "decimal" });
  const extra = name === "seed" ? button("Any", () => { input.value = Math.floor(Math.random() * 1e6); }, { title: "Take any other seed" }) : null;
  return {
    name, first: knob.first,
    row: element("div", { class: "knob" }, element("label", { for: id }, name), input, extra),
    value: () => (kind === "choice" ? input.value : kind === "switch" ? input.checked : Number(input.value)),
  };
}
