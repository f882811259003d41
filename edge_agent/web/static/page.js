// Keeps the page up to date and sends what the operator says. No texts here: they come with the page.
"use strict";

const SHOWN = 24;
const BEAT_MS = 1500;
const query = new URLSearchParams(location.search);
const element = (id) => document.getElementById(id);
const panel = element("panel"), cards = element("cards"), live = element("live"), resume = element("resume");
const pause = element("pause");
let newest = Number(document.body.dataset.newest);
let chosen = null; // number of the image the operator looks at; null: the newest
let notOk = false;
let waiting = null; // newest panel that arrived while the operator was pointing at another one

function address(path, values) {
  const parameters = new URLSearchParams(values);
  if (query.has("lang")) parameters.set("lang", query.get("lang"));
  return `${path}?${parameters}`;
}

function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime), language = document.documentElement.lang;
    time.textContent = "day" in time.dataset ? moment.toLocaleDateString(language) : moment.toLocaleTimeString(language);
  }
}

function showState(html) {
  const state = element("state");
  const held = state.contains(document.activeElement) && document.activeElement.matches("[data-pause]");
  state.innerHTML = html;
  localTimes(state);
  if (held) state.querySelector("[data-pause]").focus();
}

function showPanel(html) {
  panel.innerHTML = html;
  localTimes(panel);
  markLayer();
}

function markLayer() {
  const button = panel.querySelector("[data-where]");
  if (button) button.ariaPressed = String(!panel.classList.contains("plain"));
}

function busy() {
  return panel.querySelector("article") && (panel.matches(":hover") || panel.contains(document.activeElement));
}

function mark() {
  const held = chosen !== null || busy();
  live.hidden = pause.hidden = held;
  resume.hidden = !held;
  for (const card of cards.children) card.classList.toggle("chosen", Number(card.dataset.number) === chosen);
}

function showCards(html, replace) {
  if (replace) cards.innerHTML = html;
  else cards.insertAdjacentHTML("afterbegin", html);
  while (cards.children.length > SHOWN) cards.lastElementChild.remove();
}

async function beat(replace = false) {
  try {
    const answer = await fetch(address("/fragments", { after: replace ? 0 : newest, not_ok: notOk }));
    if (!answer.ok) throw new Error(String(answer.status));
    const pieces = await answer.json();
    if (pieces.newest < newest) return location.reload(); // the station was started again
    showState(pieces.state);
    showCards(pieces.cards, replace);
    newest = pieces.newest;
    if (pieces.panel) waiting = pieces.panel;
    if (waiting && chosen === null && !busy()) {
      showPanel(waiting);
      waiting = null;
    }
    mark();
    element("offline").hidden = true;
  } catch (error) {
    element("offline").hidden = false;
  }
}

async function choose(number) {
  const answer = await fetch(address(`/fragments/${number}`, {}));
  if (!answer.ok) return;
  chosen = number;
  showPanel(await answer.text());
  mark();
}

async function say(form, values) {
  const part = form.closest("article");
  const failure = form.querySelector(".failure");
  const body = { part_id: part.dataset.part, camera: part.dataset.camera, ...values };
  const request = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  try {
    const answer = await fetch("/v1/outcomes", request);
    const told = await answer.json();
    failure.hidden = answer.ok;
    if (!answer.ok) throw new Error(`${told.error}. ${told.remedy}`);
    const outcome = form.querySelector(".outcome");
    outcome.querySelector("b").textContent = told.label;
    outcome.hidden = false;
    for (const card of cards.children) {
      if (card.dataset.part === part.dataset.part) card.classList.add("said");
    }
  } catch (error) {
    failure.textContent = `${form.dataset.failed}: ${error.message}`;
    failure.hidden = false;
  }
}

async function pauseInspection(paused) {
  const request = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ paused }) };
  try {
    await fetch("/v1/pause", request);
  } finally {
    beat();
  }
}

function neighbour(steps) {
  const shown = Number(panel.querySelector("article")?.dataset.number ?? newest);
  const numbers = [...cards.children].map((card) => Number(card.dataset.number)); // newest first
  const at = numbers.indexOf(shown);
  const next = numbers[at < 0 ? 0 : at + steps];
  if (next !== undefined) choose(next);
}

const KEYS = {
  ArrowLeft: () => neighbour(1),
  ArrowRight: () => neighbour(-1),
  Escape: () => resume.click(),
  r: () => panel.querySelector("[data-right]")?.click(),
  w: () => panel.querySelector("select[name=label]")?.focus(),
  p: () => document.querySelector("[data-pause]").focus(), // Enter then presses it: no single slip stops a line
};
document.addEventListener("keydown", (event) => {
  const field = event.target.matches("input, select, textarea");
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || (field && event.key !== "Escape")) return;
  const deed = KEYS[event.key] ?? KEYS[event.key.toLowerCase()];
  if (deed) {
    event.preventDefault();
    deed();
  }
});
element("state").addEventListener("click", (event) => {
  const button = event.target.closest("[data-pause]");
  if (button) pauseInspection(button.dataset.pause === "true");
});
cards.addEventListener("click", (event) => {
  const card = event.target.closest(".card");
  if (card) choose(Number(card.dataset.number));
});
pause.addEventListener("click", () => {
  const part = panel.querySelector("article");
  if (part) chosen = Number(part.dataset.number);
  mark();
});
resume.addEventListener("click", () => {
  chosen = null;
  document.activeElement.blur();
  choose(newest).then(() => { chosen = null; mark(); });
});
panel.addEventListener("mouseenter", mark);
panel.addEventListener("mouseleave", mark);
panel.addEventListener("click", (event) => {
  if (event.target.closest("[data-right]")) say(event.target.closest("form"), { right: true });
  if (event.target.closest("[data-where]")) {
    panel.classList.toggle("plain");
    markLayer();
  }
});
panel.addEventListener("change", (event) => {
  if (event.target.name !== "label") return;
  const form = event.target.form;
  const other = event.target.value === "…";
  form.elements.new.hidden = !other;
  form.querySelector(".send").hidden = event.target.value === "";
  if (other) form.elements.new.focus();
});
panel.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  const other = form.elements.label.value === "…";
  const label = (other ? form.elements.new.value : form.elements.label.value).trim();
  if (label) say(form, { label, new: other });
});
for (const button of document.querySelectorAll("[data-filter]")) {
  button.addEventListener("click", () => {
    notOk = button.dataset.filter === "not_ok";
    for (const other of document.querySelectorAll("[data-filter]")) other.ariaPressed = String(other === button);
    beat(true);
  });
}
localTimes(document);
setInterval(beat, BEAT_MS);
window.lineside = { ready: true }; // for whoever waits until the page's script has run
