// Drawing one window from what is known of its platform.

import { message_menu } from "./commands.js";
import { open_dialog } from "./dialogs.js";
import { element, keep, send, size_of, toast } from "./elements.js";
import { channel_of, in_main, in_thread, is_reply, sign_key, thread_of } from "./places.js";
import { open_form } from "./forms.js";
import { in_use, post } from "./writing.js";

const COLOURS = ["#b45309", "#0f766e", "#7c3aed", "#be185d", "#2563eb", "#4d7c0f"];
const TOGETHER = 300;  // seconds within which one author's messages stand below one name
const LOADING_SECONDS = 2;  // that one of several loading messages is shown
const MARKS = { channel: "#", thread: "↳", direct: "@" };

const waiting = new Set();

// Draws soon: once for all that happens until the next frame.
export function redraw(view) {
  if (!waiting.size) requestAnimationFrame(() => { const views = [...waiting]; waiting.clear(); views.forEach(draw); });
  waiting.add(view);
}

function draw(view) {
  if (!view.server) return;
  const channel = view.channels.get(view.channel);
  const messages = [...view.messages.values()].sort((a, b) => a.at - b.at || a.id.localeCompare(b.id));
  const threads = count_replies(view, messages);
  draw_side(view, channel);
  draw_main(view, channel, messages.filter((one) => in_main(view, one)), threads);
  view.root.classList.toggle("open", view.thread !== "");
  draw_thread(view, channel, messages.filter((one) => in_thread(view, one)));
  draw_sign(view, view.main, view.channel, "");
  draw_sign(view, view.side, view.channel, view.thread);
  keep_address();
}

// --- the address: a page that is loaded again shows what it showed --------------------------------------------

let shown = [];

export const places_of = (name) => (new URLSearchParams(location.hash.slice(1)).get(name) ?? "").split("/");

export function address(views) {
  shown = [...views];
  keep_address();
}

function keep_address() {
  const fields = new URLSearchParams({ tab: document.body.dataset.tab });
  for (const { platform, channel, thread } of shown) if (channel) fields.set(platform, thread ? `${channel}/${thread}` : channel);
  const hash = `#${decodeURIComponent(fields)}`;
  if (shown.length && shown.every(({ server }) => server) && hash !== location.hash) history.replaceState(null, "", hash);
}

function count_replies(view, messages) {
  const threads = new Map();
  for (const message of messages) {
    if (!is_reply(view, message)) continue;
    const key = thread_of(view, message), known = threads.get(key) ?? { count: 0, growing: false };
    threads.set(key, { count: known.count + 1, growing: known.growing || message.growing });
  }
  return threads;
}

export function open_thread(view, thread) {
  view.thread = thread;
  view.dismissed = "";
  redraw(view);
  if (!in_use(view.main.form)) requestAnimationFrame(() => view.side.form.text.focus({ preventScroll: true }));
}

export function close_thread(view) {
  view.dismissed = view.thread;
  view.thread = "";
  redraw(view);
  requestAnimationFrame(() => view.main.form.text.focus());
}

// --- the side ------------------------------------------------------------------------------------------------

function draw_side(view, channel) {
  const { root, server } = view;
  root.querySelector(".server").replaceChildren(server.name, element("span", {}, view.platform));
  root.querySelector(".me").textContent = server.me;
  const rows = listed([...view.channels.values()]).map((one) => {
    const on = one.kind === "thread" ? one.id === view.thread : one.id === view.channel;
    const extra = `${on} ${view.fresh.has(one.id)}`;
    return { key: one.id, value: one, extra };
  });
  keep(root.querySelector(".channels"), "li", rows, (row, one) => draw_channel(view, row, one));
  const troubles = view.troubles.filter(({ place }) => place === view.platform || place === channel.agent);
  keep(root.querySelector(".troubles .list"), "div", troubles.map((one) => ({ key: one.place + one.id, value: one })), draw_trouble(view));
}

function listed(channels) {
  const top = channels.filter((one) => one.kind !== "thread");
  return top.flatMap((one) => [one, ...channels.filter((thread) => thread.parent === one.id)]);
}

function draw_channel(view, row, channel) {
  const isThread = channel.kind === "thread";
  const on = isThread ? channel.id === view.thread : channel.id === view.channel;
  const go = () => {
    view.channel = isThread ? channel.parent : channel.id;
    view.thread = isThread ? channel.id : "";
    view.dismissed = "";
    view.fresh.delete(channel.id);
    if (channel.kind === "direct") open_tab(view, "messages");
    redraw(view);
  };
  const className = [on && "on", view.fresh.has(channel.id) && "fresh"].filter(Boolean).join(" ");
  const mark = element("span", { ariaHidden: "true" }, MARKS[channel.kind]);
  row.className = channel.kind;
  const button = row.querySelector("button") ?? row.appendChild(element("button", { type: "button" }));
  Object.assign(button, { className, onclick: go, title: channel.name, ariaCurrent: on ? "true" : "false" });
  button.replaceChildren(mark, channel.name);
  if (on) row.scrollIntoView({ block: "nearest", inline: "nearest" });
}

const draw_trouble = (view) => (row, trouble) => {
  const cause = async () => {
    view.root.querySelector(".troubles").open = false;
    const { said, error } = await send(`break/${trouble.place}/${trouble.id}`, {});
    toast(said ?? error, error ? "wrong" : "broken");
  };
  row.replaceChildren(element("button", { type: "button", onclick: cause }, trouble.label));
};

// --- the panes -----------------------------------------------------------------------------------------------

function draw_main(view, channel, messages, threads) {
  const { main, server } = view;
  const tabbed = channel.kind === "direct" && view.home !== null, home = tabbed && view.tab === "home";
  const head = `${channel.id} ${home}`;
  if (main.head.extra !== head) {
    main.head.extra = head;
    const tab = (name, label) => element("button", { type: "button", className: "tab", ariaPressed: `${view.tab === name}`, onclick: () => open_tab(view, name) }, label);
    main.head.replaceChildren(element("span", {}, `${MARKS[channel.kind]} ${channel.name}`), ...(tabbed ? [tab("messages", "Messages"), tab("home", "Home")] : []));
  }
  main.root.classList.toggle("at-home", home);
  if (main.home.hidden === home) main.scroll.scrollTop = 0;
  main.home.hidden = !home;
  if (home) draw_home(view);
  draw_offered(view, channel.kind === "direct" && !home ? view.offered : { title: "", prompts: [] });
  const to = `Message ${channel.kind === "channel" ? "#" : ""}${channel.name}`;
  label(main.form, to, "Message, or / for commands");
  if (main.intro.value !== channel) {
    main.intro.value = channel;
    const mention = channel.kind === "channel" && !channel.free ? `@${server.bot} ` : "";
    const how = mention ? [" Mention ", element("b", {}, mention.trim()), ", or try:"] : [" Try:"];
    main.intro.replaceChildren(
      element("div", { className: "mark", ariaHidden: "true" }, MARKS[channel.kind]),
      element("p", {}, channel.about, ...how),
      chips(view, main, { channel: channel.id, thread: "" }, mention, channel.prompts));
  }
  if (!home) draw_list(view, main, view.channel, messages, threads);
}

// The platform tells the bridge which tab is opened; the bridge then publishes the one, or offers prompts in the other.
function open_tab(view, tab) {
  if (view.home === null) return;
  view.tab = tab;
  view.main.stuck = tab !== "home";
  send(`open/${view.platform}`, { tab });
  redraw(view);
}

function draw_home(view) {
  const { main } = view;
  if (main.home.value === view.home) return;
  main.home.value = view.home;
  const press = (button) => async ({ target }) => {
    if (button.channel) return go_to(view, button);
    target.disabled = true;
    const { error } = await send(`home/${view.platform}`, { button: button.id });
    toast(error ?? "On its way: it comes in Messages.", error ? "wrong" : "");
  };
  main.home.replaceChildren(...view.home.map(({ kind, html, buttons }) => element("div", { className: kind },
    element("div", { className: "body", innerHTML: html }),  // made and escaped by the server
    element("div", { className: "under" }, ...buttons.map((one) => element("button", { type: "button", onclick: press(one) }, one.label))))));
}

function go_to(view, { channel, thread }) {
  view.channel = channel;
  view.thread = thread;
  view.dismissed = "";
  if (!thread) open_tab(view, "messages");
  redraw(view);
  if (!thread) requestAnimationFrame(() => view.main.form.text.focus());
}

function draw_offered(view, offered) {
  const { prompts } = view.main, extra = JSON.stringify(offered);
  if (prompts.extra === extra) return;
  prompts.extra = extra;
  const use = (title) => async () => {
    const { error } = await send(`prompt/${view.platform}`, { title });
    if (error) toast(error, "wrong");
  };
  const chips_of = element("div", { className: "chips" }, ...(offered.title ? [element("small", {}, offered.title)] : []),
    ...offered.prompts.map((title) => element("button", { type: "button", onclick: use(title) }, title)));
  prompts.replaceChildren(...(offered.prompts.length ? [chips_of] : []));
}

function draw_thread(view, channel, messages) {
  const { side } = view;
  const name = view.channels.get(view.thread)?.name ?? view.titles.get(sign_key(view, view.channel, view.thread)) ?? "";
  side.empty.hidden = view.thread !== "";
  side.form.hidden = view.thread === "";
  if (side.head.extra !== `${view.thread} ${name}`) {
    side.head.extra = `${view.thread} ${name}`;
    const close = element("button", { type: "button", title: "Close", ariaLabel: "Close the thread", onclick: () => close_thread(view) }, "×");
    side.head.replaceChildren(element("span", {}, "Thread"), element("small", { title: name }, name), ...(view.thread ? [close] : []));
  }
  label(side.form, "Reply, no mention needed");
  const shown = may_go_on(view, messages) ? view.thread : "";
  if (side.prompts.value !== shown) {
    side.prompts.value = shown;
    const place = { channel: channel.id, thread: view.thread };
    side.prompts.replaceChildren(...(shown ? [chips(view, side, place, "", channel.follow_ups)] : []));
  }
  draw_list(view, side, view.thread, messages, new Map());
}

// What to go on with is offered once, below a first answer that is complete: not in mid-reply, nor below a question
// or a failure.
function may_go_on(view, messages) {
  const last = messages.at(-1);
  if (!last?.author.bot || last.system || last.notice || last.only_you || view.touched.has(view.thread)) return false;
  if (messages.some((one) => one.growing) || view.signs.has(sign_key(view, view.channel, view.thread))) return false;
  if (last.buttons.some(({ id }) => /choose|answer|abandon|approve|stop/.test(id)) || asks(last)) return false;
  return messages.filter((one) => !one.author.bot).length < 2;
}

// A list of choices may follow the question.
const asks = (message) => /\?\s*$/.test([...message.html.matchAll(/<p>(.*?)<\/p>/gs)].at(-1)?.[1] ?? "");

function label(form, text, placeholder = text) {
  form.text.placeholder = placeholder;
  form.text.ariaLabel = text;
}

function chips(view, pane, place, mention, prompts) {
  const ask = (text) => () => post(view, pane.form, place, mention + text);
  return element("div", { className: "chips" }, ...prompts.map((text) => element("button", { type: "button", onclick: ask(text) }, text)));
}

function draw_sign(view, pane, channel, thread) {
  const sign = view.signs.get(sign_key(view, channel, thread));
  if (pane.sign.value === sign) return;
  pane.sign.value = sign;
  clearInterval(pane.sign.turning);
  if (!sign) return pane.sign.replaceChildren();
  const dots = element("span", { className: "dots", ariaHidden: "true" }, element("i"), element("i"), element("i"));
  const stop = async ({ target }) => {
    target.disabled = true;
    const { error } = await send(`stop/${view.platform}`, { channel, thread });
    if (error) toast(error, "wrong");
  };
  const words = element("span", {}, ` ${sign.loading?.[0] ?? sign.label}`);
  if (sign.loading) {
    let at = 0;
    pane.sign.turning = setInterval(() => { at += 1; words.textContent = ` ${sign.loading[at % sign.loading.length]}`; }, LOADING_SECONDS * 1000);
  }
  pane.sign.replaceChildren(dots, element("span", {}, element("b", {}, view.server.app), words));
  if (sign.stoppable) pane.sign.append(element("button", { type: "button", className: "stop", onclick: stop }, "Stop"));
}

// --- messages ------------------------------------------------------------------------------------------------

function draw_list(view, pane, place, messages, threads) {
  const { list, scroll } = pane;
  pane.stuck ||= pane.place !== place;
  pane.place = place;
  const rows = messages.map((message, index) => {
    const before = messages[index - 1], thread = threads.get(thread_of(view, message));
    const again = before && before.author.name === message.author.name && !before.system && !message.system
      && !message.only_you && message.at - before.at < TOGETHER;
    const extra = JSON.stringify([again, thread?.count, thread?.growing]);
    return { key: message.id, value: message, extra, again, thread };
  });
  const by_key = new Map(rows.map((row) => [row.key, row]));
  keep(list, "li", rows, (row, message) => draw_message(view, row, message, by_key.get(message.id)));
  if (pane.stuck) scroll.scrollTop = scroll.scrollHeight;
}

function draw_message(view, row, message, { again, thread }) {
  const { author } = message;
  const marks = { growing: message.growing, "only-you": message.only_you, "from-bot": author.bot, again, system: message.system };
  row.className = ["message", ...Object.keys(marks).filter((mark) => marks[mark])].join(" ");
  row.dataset.id = message.id;
  row.ariaBusy = message.growing ? "true" : "false";
  const avatar = element("div", { className: "avatar", ariaHidden: "true" }, author.bot ? "⌒" : author.name[0]);
  avatar.style.background = author.bot ? "#334155" : COLOURS[[...author.name].reduce((sum, one) => sum + one.codePointAt(0), 0) % COLOURS.length];
  const time = new Date(message.at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const by = element("div", { className: "by" }, author.name, author.bot ? element("i", {}, "APP") : "", element("time", {}, time));
  const body = element("div", { className: "body", innerHTML: message.html });  // made and escaped by the server
  for (const wide of body.querySelectorAll("pre, table")) wide.tabIndex = 0;
  const under = element("div", { className: "under" },
    ...message.files.map(file_card), ...message.buttons.map((button) => press_button(view, message, button)));
  if (thread) under.append(replies_button(view, thread_of(view, message), thread));
  under.append(...message.reactions.map(({ emoji, count }) => element("span", { className: "reactions" }, count > 1 ? `${emoji} ${count}` : emoji)));
  const menus = message.system || message.only_you || message.growing ? [] : [reaction_picker(view, message), message_menu(view, message)];
  row.replaceChildren(avatar, by, ...(message.steps ? [steps_box(message.steps)] : []), body, under, ...menus);
}

const REACTIONS = { "🤖": "Ask about this message", "👀": "Eyes", "✅": "Done" };

function reaction_picker(view, message) {
  const react = (emoji) => async () => {
    const { error } = await send(`react/${view.platform}`, { message: message.id, emoji });
    if (error) toast(error, "wrong");
  };
  return element("div", { className: "picker" }, ...Object.entries(REACTIONS).map(([emoji, title]) =>
    element("button", { type: "button", title, ariaLabel: title, onclick: react(emoji) }, emoji)));
}

const STEP_MARKS = { pending: "○", in_progress: "", complete: "✓", error: "!" };
const STEP_WORDS = { pending: "to do", in_progress: "under way", complete: "done", error: "failed" };

function steps_box({ title, steps }) {
  return element("div", { className: "steps" }, element("b", {}, title),
    element("ol", {}, ...steps.map((step) => {
      const mark = element("i", { className: step.status, title: STEP_WORDS[step.status], role: "img", ariaLabel: STEP_WORDS[step.status] }, STEP_MARKS[step.status]);
      const said = [step.details, step.output].filter(Boolean).join(" → ");
      const sources = step.sources.map(({ text, url }) => element("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, text));
      const more = [...(said ? [element("small", {}, said)] : []), ...(sources.length ? [element("small", { className: "sources" }, ...sources)] : [])];
      return element("li", {}, mark, element("div", {}, step.title, ...more));
    })));
}

function replies_button(view, thread, { count, growing }) {
  const text = `${count === 1 ? "1 reply" : `${count} replies`}${growing ? " · writing…" : ""}`;
  return element("button", { type: "button", className: "replies", onclick: () => open_thread(view, thread) }, text);
}

function file_card(file) {
  const { preview } = file;
  const name = element("span", { className: "name" }, element("b", {}, file.name), element("small", {}, size_of(file.size)));
  const card = element("a", { className: "file", href: file.url, download: file.name, title: `Download ${file.name}` });
  if (preview?.kind === "image") {
    card.append(element("img", { src: file.url, alt: file.name }));
  } else if (preview?.kind === "table") {
    const cells = (tag, row) => element("tr", {}, ...row.map((cell) => element(tag, {}, cell)));
    const [head, ...rest] = preview.rows;
    card.append(element("table", {}, element("thead", {}, cells("th", head ?? [])), element("tbody", {}, ...rest.map((row) => cells("td", row)))));
  } else if (preview?.kind === "text") {
    card.append(element("pre", {}, preview.text));
  }
  card.append(name);
  return card;
}

function press_button(view, message, button) {
  const press = async (target, value = "") => {
    target.disabled = true;
    const { error, form, dialog } = await send(`press/${view.platform}`, { message: message.id, button: button.id, value });
    if (error) toast(error, "wrong");
    if (form) open_form(view.platform, form);
    if (dialog) open_dialog(view, dialog);
    if (error || form || dialog || button.id.includes("file:")) target.disabled = false;
  };
  if (button.options) {
    const first = element("option", { value: "", disabled: true, selected: true }, button.label);
    const options = button.options.map(({ label, value }) => element("option", { value }, label));
    return element("select", { ariaLabel: button.label, onchange: ({ target }) => press(target, target.value) }, first, ...options);
  }
  const className = button.id.includes("stop") ? "stop" : button.title ? "small" : button.style ?? "";
  const named = button.title ? { title: button.title, ariaLabel: button.title } : {};
  return element("button", { type: "button", className, ...named, onclick: ({ target }) => press(target) }, button.label);
}
