// The playground's page: two windows of one shape, fed by one event stream.

const PROMPTS = ["Hello! What can you do?", "Write a report file for me", "Show me a table", "Tell me something long, slowly"];
const COLOURS = ["#d97706", "#0d9488", "#7c3aed", "#db2777", "#2563eb", "#65a30d"];
const SIGN_SECONDS = 10;

const windows = new Map([...document.querySelectorAll(".window")].map((root) => [root.id, new_window(root)]));

function new_window(root) {
  const view = {
    platform: root.id, root, server: null, messages: new Map(), channel: "", thread: "", signs: new Map(), fresh: new Set(),
    main: pane(root.querySelector(".pane.main")), side: pane(root.querySelector(".pane.thread")),
  };
  compose(view, view.main, () => ({ channel: view.channel, thread: "" }));
  compose(view, view.side, () => ({ channel: view.channel, thread: view.thread }));
  return view;
}

function pane(root) {
  const part = (name) => root.querySelector(name);
  return { root, head: part(".head"), list: part(".messages"), sign: part(".sign"), form: part(".composer"), prompts: part(".prompts") };
}

// --- where a message is shown: the one difference between the platforms -------------------------------------

const in_main = (view, message) =>
  message.channel === view.channel && (view.platform === "discord" || message.id === message.thread);

const in_thread = (view, message) => view.thread !== "" &&
  (view.platform === "discord" ? message.channel === view.thread || message.thread === view.thread
                               : message.channel === view.channel && message.thread === view.thread);

function thread_of(view, message) {
  if (view.platform === "slack") return message.thread;
  const channel = view.server.channels.find((one) => one.id === message.channel);
  return channel?.kind === "thread" ? channel.id : message.thread;
}

function channel_of(view, message) {
  const channel = view.server.channels.find((one) => one.id === message.channel);
  return channel?.kind === "thread" ? channel.parent : message.channel;
}

const replies_to = (view, thread, root) =>
  [...view.messages.values()].filter((one) => one.id !== root && thread_of(view, one) === thread).length;

// --- the feed ----------------------------------------------------------------------------------------------

const live = document.getElementById("live");
const feed = new EventSource("feed");
feed.onopen = () => { live.textContent = "live"; live.classList.add("on"); };
feed.onerror = () => { live.textContent = "connecting…"; live.classList.remove("on"); };
feed.onmessage = ({ data }) => {
  const change = JSON.parse(data), view = windows.get(change.platform);
  if (change.server) take_server(view, change.server);
  else if (change.message) take_message(view, change.message);
  else if (change.deleted) { view.messages.delete(change.deleted); draw(view); }
  else if (change.sign) take_sign(view, change.sign);
};

function take_server(view, server) {
  view.server = server;
  view.messages = new Map(server.messages.map((message) => [message.id, message]));
  view.channel ||= server.channels.find((one) => one.kind === "channel").id;
  draw(view);
}

function take_message(view, message) {
  const isNew = !view.messages.has(message.id);
  view.messages.set(message.id, message);
  const thread = thread_of(view, message), channel = channel_of(view, message);
  if (message.author.bot && thread) {
    view.signs.delete(`${message.channel}/${view.platform === "slack" ? thread : ""}`);
    if (isNew && channel === view.channel && thread !== view.thread && !view.side.form.text.value) view.thread = thread;
  }
  if (channel !== view.channel) view.fresh.add(channel);
  draw(view);
}

function take_sign(view, { channel, thread, label }) {
  const key = `${channel}/${thread}`;
  clearTimeout(view.signs.get(key)?.timer);
  view.signs.delete(key);
  if (label) {
    const timer = setTimeout(() => { view.signs.delete(key); draw_signs(view); }, SIGN_SECONDS * 1000);
    view.signs.set(key, { label, timer });
  }
  draw_signs(view);
}

// --- drawing -----------------------------------------------------------------------------------------------

function draw(view) {
  const { server, root } = view;
  if (!server) return;
  root.querySelector(".server").replaceChildren(server.name, element("span", {}, server.platform));
  root.querySelector(".me").textContent = server.me;
  root.querySelector(".channels").replaceChildren(...listed(server.channels).map((channel) => channel_row(view, channel)));
  const channel = server.channels.find((one) => one.id === view.channel);
  view.main.head.replaceChildren((channel.kind === "channel" ? "# " : "") + channel.name, element("small", {}, channel.hint));
  view.main.form.text.placeholder = channel.kind === "channel" ? `Message #${channel.name}, mention @${server.bot}` : `Message ${channel.name}`;
  const messages = [...view.messages.values()].sort((a, b) => a.at - b.at || a.id.localeCompare(b.id));
  draw_list(view, view.main, messages.filter((one) => in_main(view, one)), true);
  draw_prompts(view, channel);
  const open = view.thread !== "";
  root.classList.toggle("open", open);
  view.side.root.hidden = !open;
  if (open) {
    const name = server.channels.find((one) => one.id === view.thread)?.name;
    const close = element("button", { title: "Close", onclick: () => { view.thread = ""; draw(view); } }, "×");
    view.side.head.replaceChildren("Thread", element("small", {}, name ?? ""), close);
    view.side.form.text.placeholder = "Reply… no mention needed";
    draw_list(view, view.side, messages.filter((one) => in_thread(view, one)), false);
  }
  draw_signs(view);
}

function listed(channels) {
  const top = channels.filter((one) => one.kind !== "thread");
  return top.flatMap((one) => [one, ...channels.filter((thread) => thread.parent === one.id)]);
}

function channel_row(view, channel) {
  const isThread = channel.kind === "thread";
  const on = isThread ? channel.id === view.thread : channel.id === view.channel;
  const mark = { channel: "# ", thread: "↳ ", direct: "@ " }[channel.kind];
  const go = () => {
    view.channel = isThread ? channel.parent : channel.id;
    view.thread = isThread ? channel.id : "";
    view.fresh.delete(channel.id);
    draw(view);
  };
  const className = [on && "on", view.fresh.has(channel.id) && "fresh"].filter(Boolean).join(" ");
  return element("li", { className: channel.kind }, element("button", { onclick: go, className, title: channel.name }, mark + channel.name));
}

function draw_list(view, { list }, messages, withReplies) {
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  const rows = new Map([...list.children].map((row) => [row.dataset.id, row]));
  const wanted = messages.map((message) => {
    const key = JSON.stringify([message, withReplies && replies_to(view, thread_of(view, message), message.id)]);
    const row = rows.get(message.id);
    if (row?.key === key) return row;
    const drawn = message_row(view, message, withReplies);
    drawn.key = key;
    return drawn;
  });
  if (wanted.length !== list.children.length || wanted.some((row, index) => row !== list.children[index])) list.replaceChildren(...wanted);
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function message_row(view, message, withReplies) {
  const { author } = message;
  const colour = author.bot ? "#334155" : COLOURS[[...author.name].reduce((sum, one) => sum + one.codePointAt(0), 0) % COLOURS.length];
  const time = new Date(message.at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const body = element("div", { className: "body", innerHTML: message.html });  // the server's Markdown, tags escaped there
  const under = element("div", { className: "under" }, ...message.files.map(file_link), ...message.buttons.map((button) => press_button(view, message, button)));
  const thread = thread_of(view, message);
  const count = withReplies && thread ? replies_to(view, thread, message.id) : 0;
  if (count) under.append(element("button", { className: "replies", onclick: () => { view.thread = thread; draw(view); } }, count === 1 ? "1 reply" : `${count} replies`));
  const row = element("li", { className: `message${message.growing ? " growing" : ""}${message.only_you ? " only-you" : ""}${author.bot ? " from-bot" : ""}` },
    element("div", { className: "avatar", style: `background:${colour}` }, author.bot ? "⌒" : author.name[0]),
    element("div", { className: "by" }, author.name, author.bot ? element("i", {}, "APP") : "", element("time", {}, time)),
    body, under);
  row.dataset.id = message.id;
  return row;
}

function file_link(file) {
  const inner = file.image ? [element("img", { src: file.url, alt: file.name })] : [element("b", {}, file.name), element("small", {}, size_of(file.size))];
  return element("a", { className: "file", href: file.url, download: file.name }, ...inner);
}

function press_button(view, message, button) {
  const press = async (event) => {
    event.target.disabled = true;
    await fetch(`press/${view.platform}`, { method: "POST", body: JSON.stringify({ message: message.id, button: button.id }) });
  };
  return element("button", { onclick: press }, button.label);
}

function draw_prompts(view, channel) {
  const said = [...view.messages.values()].some((one) => channel_of(view, one) === channel.id);
  const mention = channel.kind === "channel" ? `@${view.server.bot} ` : "";
  const send = (text) => () => post(view, view.main, { channel: view.channel, thread: "" }, mention + text);
  view.main.prompts.replaceChildren(...(said ? [] : PROMPTS.map((text) => element("button", { type: "button", onclick: send(text) }, text))));
}

function draw_signs(view) {
  const of = (channel, thread) => view.signs.get(`${channel}/${thread}`)?.label ?? "";
  const said = (label) => (label ? `${view.server.bot} ${label}` : "");
  view.main.sign.textContent = said(of(view.channel, ""));
  view.side.sign.textContent = said(view.platform === "discord" ? of(view.thread, "") : of(view.channel, view.thread));
}

// --- writing -----------------------------------------------------------------------------------------------

function compose(view, { form }, place) {
  form.append(document.getElementById("composer").content.cloneNode(true));
  form.files_chosen = [];
  const take = (files) => { form.files_chosen.push(...files); draw_chosen(form); };
  form.files.onchange = () => { take(form.files.files); form.files.value = ""; };
  form.ondragover = (event) => { event.preventDefault(); form.classList.add("over"); };
  form.ondragleave = () => form.classList.remove("over");
  form.ondrop = (event) => { event.preventDefault(); form.classList.remove("over"); take(event.dataTransfer.files); };
  form.text.onkeydown = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); form.requestSubmit(); }
  };
  form.text.oninput = () => { form.text.style.height = "auto"; form.text.style.height = `${form.text.scrollHeight}px`; };
  form.onsubmit = (event) => { event.preventDefault(); post(view, { form }, place(), form.text.value); };
}

async function post(view, { form }, { channel, thread }, text) {
  if (!text.trim() && !form.files_chosen.length) return;
  const body = new FormData();
  body.set("channel", channel);
  body.set("thread", thread);
  body.set("text", text);
  for (const file of form.files_chosen) body.append("files", file);
  const answer = await fetch(`say/${view.platform}`, { method: "POST", body });
  form.querySelector(".problem").textContent = answer.ok ? "" : (await answer.json()).error;
  if (!answer.ok) return;
  form.text.value = "";
  form.text.style.height = "auto";
  form.files_chosen = [];
  draw_chosen(form);
}

function draw_chosen(form) {
  form.querySelector(".chosen").replaceChildren(...form.files_chosen.map((file) => element("span", {}, file.name)));
}

function element(tag, values, ...children) {
  const made = Object.assign(document.createElement(tag), values);
  made.append(...children);
  return made;
}

function size_of(bytes) {
  return bytes < 1024 ? `${bytes} B` : bytes < 1024 ** 2 ? `${(bytes / 1024).toFixed(1)} KB` : `${(bytes / 1024 ** 2).toFixed(1)} MB`;
}
