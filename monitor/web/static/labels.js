// The rater's page. An answer is sent when the next one is given, or a few seconds later: until then it can be taken back.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const { post, say, explained, pseudonym, language } = window.lineside;
  const HOLD_MS = 5000;
  const REFILL_BELOW = 6;
  const part = (id) => document.getElementById(id);
  const words = JSON.parse(part("labels").dataset.words);
  let waiting = [];     // images to be shown; the first one is on the page
  let held = null;      // {image, label, timer}: the last answer, not sent yet
  const later = new Set();
  const answered = new Set();
  let refilling = false;

  showProgress.last = { labelled: Number(part("bar").value), queued: Number(part("bar").max) - Number(part("bar").value) };
  const rater = part("rater");
  rater.value = pseudonym();
  rater.addEventListener("change", () => { if (rater.checkValidity() && rater.value) localStorage.setItem("lineside-rater", rater.value); });

  async function refill() {
    if (refilling) return;
    refilling = true;
    try {
      const limit = 30 + answered.size % 100 + later.size;
      const response = await fetch("/v1/labels/queue?limit=" + Math.min(limit, 900), { credentials: "same-origin" });
      if (!response.ok) throw new Error(await explained(response));
      const queue = await response.json();
      const known = new Set([...waiting.map((image) => image.image_id), ...answered, ...later]);
      waiting.push(...queue.items.filter((image) => !known.has(image.image_id)));
      if (waiting.length === 0 && later.size > 0) { later.clear(); setTimeout(refill, 0); }
      showProgress({ labelled: showProgress.last.labelled, queued: queue.waiting });
      if (part("picture").dataset.id !== waiting[0]?.image_id) show();
    } catch (error) {
      say(document.body.dataset.failed.replace("{reason}", error.message), true);
    } finally {
      refilling = false;
    }
  }

  function showProgress(progress) {
    const pending = held ? 1 : 0;
    part("bar").max = Math.max(1, progress.labelled + progress.queued);
    part("bar").value = progress.labelled + pending;
    part("progress").textContent = words.progress
      .replace("{labelled}", (progress.labelled + pending).toLocaleString(language))
      .replace("{queued}", (progress.queued - pending).toLocaleString(language));
    showProgress.last = progress;
  }

  function show() {
    const image = waiting[0];
    const picture = part("picture");
    part("nothing").hidden = Boolean(image);
    picture.hidden = !image;
    part("undo").disabled = !held;
    part("later").disabled = !image;
    part("said").textContent = held ? words.said.replace("{label}", held.label) : "";
    if (!image) {
      for (const id of ["part", "where", "seen"]) part(id).textContent = "–";
      part("classes").replaceChildren();
      return;
    }
    if (picture.dataset.id !== image.image_id) {
      picture.dataset.id = image.image_id;
      picture.src = "/labels/images/" + encodeURIComponent(image.image_id);
    }
    part("part").textContent = image.part_id;
    part("where").textContent = image.camera + " · " + image.product;
    part("seen").textContent = new Date(image.triggered_at).toLocaleString(language, { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" });
    showClasses(image);
    if (waiting[1]) new Image().src = "/labels/images/" + encodeURIComponent(waiting[1].image_id);
  }

  function showClasses(image) {
    const buttons = image.labels.map((label, index) => {
      const button = document.createElement("button");
      const key = document.createElement("kbd");
      key.textContent = index < 9 ? String(index + 1) : "";
      button.type = "button";
      button.append(key, label);
      button.addEventListener("click", () => answer(label));
      return button;
    });
    part("classes").replaceChildren(...buttons);
    if (buttons.length === 0) part("classes").textContent = words.no_classes;
  }

  function answer(label) {
    const image = waiting.shift();
    if (!image) return;
    if (held) send(held);
    answered.add(image.image_id);
    const mine = { image, label, timer: 0 };
    mine.timer = setTimeout(() => { if (held === mine) { held = null; send(mine); show(); } }, HOLD_MS);
    held = mine;
    showProgress(showProgress.last);
    show();
    if (waiting.length < REFILL_BELOW) refill();
  }

  async function send(answerToSend, options = {}) {
    clearTimeout(answerToSend.timer);
    const { image, label } = answerToSend;
    try {
      const response = await post("/v1/labels", { image_id: image.image_id, label, rater: pseudonym() }, options);
      if (response.status === 409 || response.status === 410) { say(words.clash); return; }
      if (!response.ok) throw new Error(await explained(response));
      if (showProgress.last) showProgress({ labelled: showProgress.last.labelled + 1, queued: showProgress.last.queued - 1 });
    } catch (error) {
      answered.delete(image.image_id);
      waiting.unshift(image);
      say(document.body.dataset.failed.replace("{reason}", error.message), true);
      show();
    }
  }

  function undo() {
    if (!held) return;
    clearTimeout(held.timer);
    answered.delete(held.image.image_id);
    waiting.unshift(held.image);
    held = null;
    showProgress(showProgress.last);
    show();
  }

  function postpone() {
    const image = waiting.shift();
    if (!image) return;
    later.add(image.image_id);
    show();
    if (waiting.length < REFILL_BELOW) refill();
  }

  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const label = waiting[0]?.labels[Number(event.key) - 1];
    if (/^[1-9]$/.test(event.key) && label) answer(label);
    else if (event.key === "u" || event.key === "U" || event.key === "Backspace") undo();
    else if (event.key === " ") postpone();
    else return;
    event.preventDefault();
  });
  part("undo").addEventListener("click", undo);
  part("later").addEventListener("click", postpone);
  part("picture").addEventListener("error", () => say(words.image_gone, true));
  window.addEventListener("pagehide", () => { if (held) { const last = held; held = null; send(last, { keepalive: true }); } });
  setInterval(() => { if (waiting.length < REFILL_BELOW) refill(); }, 5000);
  refill();
});
