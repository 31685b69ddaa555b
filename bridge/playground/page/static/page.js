// The playground's page: two windows of one shape, fed by one event stream.

import { address, close_thread, places_of, redraw } from "./drawing.js";
import { channel_of, place_of_sign, sign_key, thread_of } from "./places.js";
import { in_use, make_composer } from "./writing.js";

const TYPING_SECONDS = 10;  // Discord's; Slack says when its sign ends
const QUIET_SECONDS = 1.5;  // after which nothing more of a reply is expected
const MAX_MESSAGES = 1500;  // kept of a platform, the oldest forgotten first

const troubles = JSON.parse(document.body.dataset.troubles);
const windows = new Map([...document.querySelectorAll(".window")].map((root) => [root.id, new_window(root)]));
address(windows.values());

function new_window(root) {
  const view = {
    platform: root.id, root, troubles, server: null, channels: new Map(), messages: new Map(), signs: new Map(), fresh: new Set(),
    touched: new Map(), titles: new Map(), home: null, tab: "messages", offered: { title: "", prompts: [] }, channel: "", thread: "", dismissed: "", main: pane(root.querySelector(".pane.main")), side: pane(root.querySelector(".pane.thread")),
  };
  make_composer(view, view.main, () => ({ channel: view.channel, thread: "" }));
  make_composer(view, view.side, () => ({ channel: view.channel, thread: view.thread }));
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = root.querySelector(".troubles");
    if (menu.open) { menu.open = false; menu.querySelector("summary").focus(); }
    else if (view.thread && !view.side.form.text.value) close_thread(view);
  });
  return view;
}

function pane(root) {
  const part = (name) => root.querySelector(name);
  const made = {
    stuck: true, root, head: part(".head"), scroll: part(".scroll"), intro: part(".intro"), list: part(".messages"), empty: part(".empty"), home: part(".home"),
    sign: part(".sign"), prompts: part(".prompts"), form: part(".composer"),
  };
  // Whoever reads the newest message goes on seeing it, whatever grows or shrinks.
  const { scroll, list } = made;
  let top = 0;
  scroll.onscroll = () => {
    const at_end = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 40;
    made.stuck = at_end || (made.stuck && scroll.scrollTop >= top);  // only who scrolls back lets go of the end
    top = scroll.scrollTop;
  };
  const following = new ResizeObserver(() => { if (made.stuck) scroll.scrollTop = scroll.scrollHeight; });
  following.observe(scroll);
  following.observe(list);
  return made;
}

// --- the feed ------------------------------------------------------------------------------------------------

const live = document.getElementById("live");
const feed = new EventSource("feed");
feed.onopen = () => { live.textContent = "live"; live.classList.add("on"); };
feed.onerror = () => {
  live.textContent = feed.readyState === EventSource.CLOSED ? "not connected" : "connecting…";
  live.classList.remove("on");
};
feed.onmessage = ({ data }) => {
  const change = JSON.parse(data);
  if (change.tally) return take_tally(change.tally);
  const view = windows.get(change.platform);
  if (change.server) take_server(view, change.server);
  else if (change.channel) view.channels.set(change.channel.id, change.channel);
  else if (change.message) take_message(view, change.message);
  else if (change.deleted) view.messages.delete(change.deleted);
  else if (change.sign) take_sign(view, change.sign);
  else if (change.home) view.home = change.home;
  else if (change.offered) view.offered = change.offered;
  redraw(view);
};

function take_server(view, server) {
  view.server = server;
  view.channels = new Map(server.channels.map((channel) => [channel.id, channel]));
  view.messages = new Map(server.messages.map((message) => [message.id, message]));
  for (const { timer } of view.signs.values()) clearTimeout(timer);
  view.signs.clear();
  server.signs.forEach((sign) => take_sign(view, sign));
  view.home = server.home ?? null;
  view.offered = server.offered ?? { title: "", prompts: [] };
  if (view.channels.has(view.channel)) return;
  const [channel, thread] = places_of(view.platform);
  const known = view.channels.has(channel);
  view.channel = known ? channel : server.opens;
  const threads = server.messages.filter((one) => one.author.bot && channel_of(view, one) === view.channel).map((one) => thread_of(view, one));
  view.thread = known && thread && threads.includes(thread) ? thread : known || one_pane(view) ? "" : threads.at(-1) ?? "";
}

function take_message(view, message) {
  const isNew = !view.messages.has(message.id);
  view.messages.set(message.id, message);
  if (view.messages.size > MAX_MESSAGES) view.messages.delete(view.messages.keys().next().value);
  const thread = thread_of(view, message), channel = channel_of(view, message);
  touch(view, thread);
  if (!isNew || !message.author.bot) return;
  if (view.platform === "discord") end_sign(view, sign_key(view, message.channel, ""));
  if (channel !== view.channel) view.fresh.add(channel);
  if (document.body.dataset.tab !== view.platform) document.getElementById(`tab-${view.platform}`).classList.add("fresh");
  bring_up(view, channel, thread);
}

function touch(view, thread) {
  clearTimeout(view.touched.get(thread));
  const settle = () => { view.touched.delete(thread); redraw(view); };
  view.touched.set(thread, setTimeout(settle, QUIET_SECONDS * 1000));
}

// What happens in a thread of the channel that is looked at opens it, unless somebody writes where it would appear.
function bring_up(view, channel, thread) {
  if (channel !== view.channel || !thread || thread === view.thread || thread === view.dismissed) return;
  if (in_use(view.side.form) || (one_pane(view) && in_use(view.main.form))) return;
  view.thread = thread;
}

const one_pane = (view) => getComputedStyle(view.root.querySelector(".panes")).getPropertyValue("--panes").trim() === "1";

function take_sign(view, sign) {
  const key = sign_key(view, sign.channel, sign.thread);
  end_sign(view, key);
  if (sign.title) view.titles.set(key, sign.title);
  if (!sign.label) return;
  const end = () => { view.signs.delete(key); redraw(view); };
  const timer = view.platform === "discord" ? setTimeout(end, TYPING_SECONDS * 1000) : 0;
  view.signs.set(key, { ...sign, timer });
  const { channel, thread } = place_of_sign(view, sign);
  if (view.thread === "" || !view.messages.size) bring_up(view, channel, thread);
}

function end_sign(view, key) {
  clearTimeout(view.signs.get(key)?.timer);
  view.signs.delete(key);
}

function take_tally(tally) {
  for (const [name, count] of Object.entries(tally)) document.getElementById(name).textContent = count;
  document.getElementById("repeated").parentElement.hidden = !tally.repeated;
  const due = tally.written + tally.repeated;
  const broken = tally.twice > 0 || tally.asked > due || tally.replied > due;
  const { classList } = document.querySelector(".tally");
  classList.toggle("broken", broken);
  classList.toggle("kept", due > 0 && tally.replied === due && !broken);
  classList.toggle("at-work", tally.replied < due);
}

// --- narrow screens: one platform at a time --------------------------------------------------------------------

const tabs = [...document.querySelectorAll("[role=tab]")];
for (const tab of tabs) {
  tab.onclick = () => {
    document.body.dataset.tab = tab.dataset.tab;
    address(windows.values());
    tab.classList.remove("fresh");
    for (const one of tabs) one.ariaSelected = one === tab ? "true" : "false";
  };
  tab.onkeydown = ({ key }) => {
    if (key !== "ArrowRight" && key !== "ArrowLeft") return;
    const next = tabs[(tabs.indexOf(tab) + 1) % tabs.length];
    next.focus();
    next.click();
  };
}

const [first] = places_of("tab");
tabs.find((tab) => tab.dataset.tab === first)?.click();

document.addEventListener("click", ({ target }) => {
  for (const menu of document.querySelectorAll(".troubles[open], .more[open]")) if (!menu.contains(target)) menu.open = false;
});
