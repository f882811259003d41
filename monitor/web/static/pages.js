// Every page: moments in the reader's zone, forms that speak to the HTTP API, and word when the monitor is away.
"use strict";

const language = document.documentElement.lang;
const body = document.body;

function writeMoments(root) {
  const today = new Date().toDateString();
  for (const element of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(element.dateTime);
    const clock = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
    const day = { day: "2-digit", month: "short", ...(moment.getFullYear() === new Date().getFullYear() ? {} : { year: "numeric" }) };
    element.textContent = moment.toLocaleString(language, moment.toDateString() === today ? { ...clock, second: "2-digit" } : { ...day, ...clock });
    element.title = moment.toLocaleString(language, { dateStyle: "full", timeStyle: "long", hourCycle: "h23" });
  }
}

function say(text, bad = false) {
  const toast = document.getElementById("toast");
  toast.textContent = text;
  toast.classList.toggle("bad", bad);
  toast.hidden = false;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { toast.hidden = true; }, bad ? 9000 : 3500);
}

function pseudonym() {
  let name = localStorage.getItem("lineside-rater");
  if (!name) {
    name = "person-" + Math.random().toString(36).slice(2, 8);
    localStorage.setItem("lineside-rater", name);
  }
  return name;
}

async function explained(response) {
  try {
    const { detail } = await response.json();
    return typeof detail === "string" ? detail : detail.map((item) => item.msg).join("; ");
  } catch {
    return `HTTP ${response.status}`;
  }
}

async function post(address, values, options = {}) {
  return fetch(address, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Lineside": "page" },
    body: JSON.stringify(values),
    credentials: "same-origin",
    ...options,
  });
}

async function sendForm(form, button) {
  if (button.hasAttribute("data-ask") && !confirm(body.dataset.sure)) return;
  const values = { by: pseudonym() };
  for (const field of form.elements) {
    if (!field.name) continue;
    const [outer, inner] = field.name.split(".");  // "prices.review" is a field of prices
    const place = inner ? (values[outer] ??= {}) : values;
    const plain = field.hasAttribute("data-number") ? Number(field.value) : field.value;
    place[inner ?? outer] = field.type === "checkbox" ? field.checked : plain;
  }
  button.disabled = true;
  try {
    const response = await post(button.dataset.post, values);
    if (!response.ok) throw new Error(await explained(response));
    say(body.dataset.sent);
    setTimeout(() => location.reload(), 700);
  } catch (error) {
    say(body.dataset.failed.replace("{reason}", error.message), true);
    button.disabled = false;
  }
}

let touchedAt = 0;
document.addEventListener("submit", (event) => {
  if (!event.submitter?.dataset.post) return;
  event.preventDefault();
  sendForm(event.target, event.submitter);
});
for (const kind of ["input", "toggle", "click"]) {
  document.addEventListener(kind, (event) => { if (event.target.closest?.("#live")) touchedAt = Date.now(); }, true);
}
// A page that somebody is using is not replaced under their hands.
document.addEventListener("htmx:beforeRequest", (event) => { if (Date.now() - touchedAt < 30000) event.preventDefault(); });
document.addEventListener("htmx:afterSwap", () => writeMoments(document));
for (const [kind, away] of [["htmx:afterRequest", false], ["htmx:sendError", true], ["htmx:responseError", true]]) {
  document.addEventListener(kind, (event) => {
    document.getElementById("offline").hidden = !(away || event.detail.failed);
  });
}
writeMoments(document);
window.lineside = { post, say, explained, pseudonym, writeMoments, language };
