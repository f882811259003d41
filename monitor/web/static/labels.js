// The rater's page. An answer is sent a few seconds after it is given, or once some more are given: until then it can be
// taken back, the last one first.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const { post, say, explained, pseudonym, language } = window.lineside;
  const HOLD_MS = 5000;
  const HELD_MOST = 5;
  const REFILL_BELOW = 6;
  const part = (id) => document.getElementById(id);
  const words = JSON.parse(part("labels").dataset.words);
  const picture = part("picture");
  let waiting = [];     // images to be shown; the first one is on the page
  const held = [];      // {image, label, named, timer}: answers that are not sent yet, the last one at the end
  const later = new Set();
  const answered = new Set();
  let refilling = false;
  let shareReached = false;

  showProgress.last = { labelled: Number(part("bar").value), queued: Number(part("bar").max) - Number(part("bar").value) };
  const rater = part("rater");
  if (rater) {
    rater.value = pseudonym();
    rater.addEventListener("change", () => { if (rater.checkValidity() && rater.value) localStorage.setItem("lineside-rater", rater.value); });
  }

  // How long somebody has looked at the picture: not while the page is hidden.
  const clock = { looked: 0, since: null };
  function startClock() { clock.looked = 0; clock.since = document.hidden ? null : performance.now(); }
  function looked() { return (clock.looked + (clock.since === null ? 0 : performance.now() - clock.since)) / 1000; }
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { clock.looked = looked() * 1000; clock.since = null; } else clock.since = performance.now();
  });
  picture.addEventListener("load", startClock);

  async function refill() {
    if (refilling) return;
    refilling = true;
    try {
      const limit = Math.min(30 + answered.size % 100 + later.size, 900);
      const response = await fetch(`/v1/labels/queue?limit=${limit}&rater=${encodeURIComponent(pseudonym())}`, { credentials: "same-origin" });
      if (!response.ok) throw new Error(await explained(response));
      const queue = await response.json();
      const known = new Set([...waiting.map((image) => image.image_id), ...answered, ...later]);
      waiting.push(...queue.items.filter((image) => !known.has(image.image_id)));
      if (waiting.length === 0 && later.size > 0) { later.clear(); setTimeout(refill, 0); }
      shareReached = queue.share_reached;
      showProgress({ labelled: showProgress.last.labelled, queued: queue.waiting });
      if (picture.dataset.id !== waiting[0]?.image_id || !waiting.length) show();
    } catch (error) {
      say(document.body.dataset.failed.replace("{reason}", error.message), true);
    } finally {
      refilling = false;
    }
  }

  function showProgress(progress) {
    const pending = held.length;
    part("bar").max = Math.max(1, progress.labelled + progress.queued);
    part("bar").value = progress.labelled + pending;
    part("progress").textContent = words.progress
      .replace("{labelled}", (progress.labelled + pending).toLocaleString(language))
      .replace("{queued}", Math.max(0, progress.queued - pending).toLocaleString(language));
    showProgress.last = progress;
  }

  function show() {
    const image = waiting[0];
    const last = held.at(-1);
    part("nothing").hidden = Boolean(image);
    part("nothing").textContent = shareReached ? words.share : words.empty;
    picture.hidden = !image;
    part("undo").disabled = !last;
    part("later").disabled = part("other").disabled = !image;
    part("said").textContent = last ? words.said.replace("{label}", last.label) : "";
    if (!image) {
      for (const id of ["part", "where", "seen"]) part(id).textContent = "–";
      part("classes").replaceChildren();
      return;
    }
    if (picture.dataset.id !== image.image_id) {
      picture.dataset.id = image.image_id;
      picture.src = "/labels/images/" + encodeURIComponent(image.image_id);
      zoom(false);
      startClock();
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

  function answer(label, named = false) {
    const image = waiting.shift();
    if (!image) return;
    image.looked = (image.looked ?? 0) + looked();
    answered.add(image.image_id);
    const mine = { image, label, named, timer: 0 };
    mine.timer = setTimeout(() => { release(mine); show(); }, HOLD_MS);
    held.push(mine);
    if (held.length > HELD_MOST) release(held[0]);
    showProgress(showProgress.last);
    show();
    if (waiting.length < REFILL_BELOW) refill();
  }

  function release(mine, options = {}) {
    held.splice(held.indexOf(mine), 1);
    send(mine, options);
  }

  async function send(mine, options) {
    clearTimeout(mine.timer);
    const { image, label } = mine;
    const said = { image_id: image.image_id, label, rater: pseudonym(), seconds: image.looked, new_class: mine.named };
    try {
      const response = await post("/v1/labels", said, options);
      if (response.status === 409 || response.status === 410) { say(words.clash); return; }
      if (response.status === 429) { say(words.share, true); return; }
      if (!response.ok) throw new Error(await explained(response));
      if (mine.named && !(await response.json()).counts) say(words.second);
      showProgress({ labelled: showProgress.last.labelled + 1, queued: showProgress.last.queued - 1 });
    } catch (error) {
      answered.delete(image.image_id);
      waiting.unshift(image);
      say(document.body.dataset.failed.replace("{reason}", error.message), true);
      show();
    }
  }

  function undo() {
    const last = held.pop();
    if (!last) return;
    clearTimeout(last.timer);
    answered.delete(last.image.image_id);
    waiting.unshift(last.image);
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

  function naming(open) {
    part("naming").hidden = !open;
    part("name").value = "";
    if (open) part("name").focus();
  }

  function zoom(on) {
    const frame = part("frame");
    frame.classList.toggle("close", on);
    if (on) frame.tabIndex = 0; else frame.removeAttribute("tabindex");
  }

  const deeds = {
    u: undo, backspace: undo, " ": postpone, n: () => naming(true), z: () => zoom(!part("frame").classList.contains("close")),
    "?": () => { part("help").open = !part("help").open; },
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") naming(false);
    if (event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const label = waiting[0]?.labels[Number(event.key) - 1];
    const deed = /^[1-9]$/.test(event.key) && label ? () => answer(label) : deeds[event.key.toLowerCase()];
    if (!deed) return;
    event.preventDefault();
    deed();
  });
  part("naming").addEventListener("submit", (event) => {
    event.preventDefault();
    const label = part("name").value.trim();
    if (label) answer(label, !waiting[0]?.labels.includes(label));
    naming(false);
  });
  part("undo").addEventListener("click", undo);
  part("later").addEventListener("click", postpone);
  part("other").addEventListener("click", () => naming(true));
  picture.addEventListener("click", deeds.z);
  picture.addEventListener("error", () => say(words.image_gone, true));
  window.addEventListener("pagehide", () => { while (held.length) release(held[0], { keepalive: true }); });
  setInterval(() => { if (waiting.length < REFILL_BELOW) refill(); }, 5000);
  refill();
});
