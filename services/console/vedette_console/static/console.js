// Live updates, the theme, sliders and the history chart. Without it, pages work, but do not refresh.
"use strict";

const THEME = "vedette-theme";
const AGAIN_MS = 1000;

// Live: the server sends the kinds of events that happened. Each part of the page that shows such a kind refreshes.

const waiting = new Set();
const asked = new Map(); // address → when it was asked last: an element may be replaced by what it asks for

function refresh(element) {
  if (waiting.has(element) || !element.isConnected) return;
  const address = element.getAttribute("hx-get");
  const due = (asked.get(address) || 0) + Number(element.dataset.every || 0);
  waiting.add(element);
  setTimeout(() => {
    waiting.delete(element);
    if (!element.isConnected || document.hidden) return; // all of the page is asked for when it is seen again
    if (inUse(element)) {
      setTimeout(refresh, AGAIN_MS, element);
      return;
    }
    asked.set(address, Date.now());
    htmx.trigger(element, "refresh");
  }, Math.max(0, due - Date.now()));
}

// Return whether the user types in the element, or selects text in it.
function inUse(element) {
  const at = document.activeElement;
  if (element.contains(at) && at.matches("input, select, textarea")) return true;
  const selected = getSelection();
  return !selected.isCollapsed && element.contains(selected.anchorNode);
}

function refreshAll(kinds) {
  for (const element of document.querySelectorAll("[data-live]")) {
    if (!kinds || element.dataset.live.split(" ").some((kind) => kinds.includes(kind))) refresh(element);
  }
}

// Show at the top of the page whether it is live.
function say(text) {
  const said = document.getElementById("live");
  said.textContent = text;
  said.className = text === "live" ? "live on" : "live";
}

// Load this page again by GET, so that its form is not sent again.
function askAgain() {
  location.replace(location.pathname + location.search);
}

let broken = false; // the stream of events

function listen() {
  const source = new EventSource("/live");
  source.onopen = () => {
    say("live");
    if (!broken) return;
    broken = false;
    if (document.querySelector("[role=alert]") && !location.pathname.startsWith("/login")) askAgain();
    else refreshAll();
  };
  source.onerror = () => {
    broken = true;
    say("offline");
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  };
  source.addEventListener("changed", (event) => refreshAll(JSON.parse(event.data)));
}

// When a part of the page refreshes, its elements stay open, scrolled or in focus.

const KEPT = "details, .scroll, pre, a, button, summary";
function nameOf(one) {
  const of = one.matches("summary") ? one.parentElement : one;
  const said = one.getAttribute("href") || one.getAttribute("aria-label") || (one.querySelector("summary") || one).textContent;
  return `${one.tagName} ${of.dataset.key || said}`;
}

// Return the elements to keep, by name and place among the elements of that name.
function named(root) {
  const found = new Map(), seen = new Map();
  for (const one of root.querySelectorAll(KEPT)) {
    const name = nameOf(one), place = seen.get(name) || 0;
    seen.set(name, place + 1);
    found.set(`${place} ${name}`, one);
  }
  return found;
}

let kept = new Map();
document.addEventListener("htmx:beforeSwap", (event) => {
  const asker = event.detail.requestConfig.elt;
  if ("live" in asker.dataset && (event.detail.xhr.status === 429 || event.detail.xhr.status >= 500)) {
    event.detail.shouldSwap = false; // what was shown stays, and is asked for again
    say("no reply");
    setTimeout(refresh, AGAIN_MS, asker);
    return;
  }
  kept = new Map();
  for (const [name, one] of named(event.detail.target)) {
    const state = { left: one.scrollLeft, top: one.scrollTop, open: one.open, focus: one === document.activeElement };
    if (one.matches("details") || state.left || state.top || state.focus) kept.set(name, state);
  }
});
document.addEventListener("htmx:afterSwap", (event) => {
  const root = event.detail.target;
  if (document.getElementById("live").textContent === "no reply") say("live");
  complete(root);
  if (!kept.size) return;
  for (const [name, one] of named(root)) {
    const state = kept.get(name);
    if (!state) continue;
    if (one.matches("details")) one.open = state.open;
    one.scrollTo(state.left, state.top);
    if (state.focus) one.focus({ preventScroll: true });
  }
});

// An address has only the chosen values of a form, no empty ones.

document.addEventListener("htmx:configRequest", (event) => {
  const form = event.detail.formData;
  const sliders = [...event.detail.elt.querySelectorAll("[data-output]")];
  if (!location.search.includes("weights.") && sliders.every((one) => one.value === one.defaultValue)) {
    for (const one of sliders) form.delete(one.name); // weights that were not moved stay those of the use case
  }
  for (const name of new Set([...form.keys()])) {
    const chosen = form.getAll(name).filter((value) => value !== "");
    form.delete(name);
    for (const value of chosen) form.append(name, value);
  }
});

// Enter in a field changes the form and submits it. That must be one entry of the history, not two.

document.addEventListener("htmx:beforeHistoryUpdate", (event) => {
  const update = event.detail.history;
  if (update.path === location.pathname + location.search) update.type = "replace";
});

// The theme: that of the system, unless the user chose one here.

function paint(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
}

function stored() {
  try { return localStorage.getItem(THEME); } catch { return null; }
}

function change() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme || (dark ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  paint(next);
  try { localStorage.setItem(THEME, next); } catch { /* private window */ }
  drawAll();
}

// The history of a model.

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

async function draw(holder) {
  const reply = await fetch(holder.dataset.chart);
  if (!reply.ok) { holder.textContent = "History is not available."; return; }
  const series = await reply.json();
  if (series.at.length < 2) { holder.textContent = "There are fewer than two benchmarks yet."; return; }
  holder.textContent = "";
  const axis = (scale, label, side) => ({
    scale, label, side, stroke: color("--text"), grid: { stroke: color("--line"), show: scale !== "ms" },
  });
  const line = (label, scale, name) => ({ label, scale, stroke: color(name), width: 2, points: { show: true } });
  new uPlot({
    width: holder.clientWidth, height: 280,
    series: [{}, line("output tokens/s", "tps", "--speed"), line("TTFT, ms", "ms", "--ttft")],
    axes: [axis("x", "", 2), axis("tps", "tokens/s", 3), axis("ms", "ms", 1)],
  }, [series.at, series.output_tps, series.ttft_ms], holder);
}

function drawAll() {
  if (typeof uPlot === "undefined") return;
  for (const holder of document.querySelectorAll("[data-chart]")) draw(holder);
}

// Small things.

function complete(root) {
  if (innerWidth > 700) for (const details of root.querySelectorAll("[data-wide]")) details.open = true;
  for (const pre of root.querySelectorAll("[data-origin]")) {
    if (!pre.textContent.includes("://")) pre.textContent = pre.textContent.replace(/(^|")\//, `$1${location.origin}/`);
  }
  for (const time of root.querySelectorAll("time:not([data-here])")) {
    time.dataset.here = "";
    time.title += `, ${new Date(time.dateTime).toLocaleString()} here`;
  }
  if (!navigator.clipboard) return;
  for (const box of root.querySelectorAll("pre")) offer(box, "Copy", () => box.textContent);
  for (const link of root.querySelectorAll("[data-copied]")) {
    offer(link, link.dataset.copied, async () => {
      const reply = await fetch(link.href);
      if (!reply.ok) throw new Error(reply.statusText);
      return reply.text();
    });
  }
}

function offer(after, label, text) {
  if (after.nextElementSibling?.matches("button.copy")) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = label;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(await text());
      button.textContent = "Copied";
    } catch {
      button.textContent = "Copy failed";
    }
  });
  after.after(button);
}

document.addEventListener("input", (event) => {
  if (event.target.matches("[data-output]")) {
    event.target.closest("label").querySelector("output").textContent = event.target.value;
  }
});

document.addEventListener("visibilitychange", () => { if (!document.hidden) refreshAll(); });

// `vedette console` opens /login#token: browsers never send the part after the #.
function logIn() {
  const field = document.querySelector(".login input[name=token]");
  if (field && location.hash.length > 1) {
    field.value = decodeURIComponent(location.hash.slice(1));
    history.replaceState(null, "", location.pathname + location.search);
    field.form.submit();
  }
}

paint(stored());
document.getElementById("theme").addEventListener("click", change);
complete(document);
logIn();
if (document.querySelector("[data-again]")) setInterval(() => document.hidden || askAgain(), 5 * AGAIN_MS);
if (!("past" in document.body.dataset)) listen(); // the past does not change
drawAll();
