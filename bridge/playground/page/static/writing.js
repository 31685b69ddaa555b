// Writing: the composers, files that are chosen, dropped or pasted, and what is sent.

import { asks_for_menu, make_menu } from "./commands.js";
import { element, send, size_of, toast } from "./elements.js";

const MAX_FILES = 10;

// `place` gives {channel, thread}. Resolves to nothing; problems stand below the text.
export function make_composer(view, pane, place) {
  const { root, form } = pane;
  form.append(document.getElementById("composer").content.cloneNode(true));
  form.chosen = [];
  form.files.onchange = () => { take(form, form.files.files); form.files.value = ""; };
  form.text.onkeydown = (event) => {
    if (form.menu.takes(event)) return;
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  };
  form.text.oninput = () => { fit(form); form.menu.look(); };
  form.menu = make_menu(view, form, place, (text) => write(form, text));
  form.text.onpaste = (event) => take(form, event.clipboardData?.files ?? []);
  form.querySelector(".speak").onclick = () => speak(view, form, place());
  form.onsubmit = (event) => {
    event.preventDefault();
    if (asks_for_menu(form.text.value)) form.menu.give(form.text.value);
    else post(view, form, place(), form.text.value);
  };
  let inside = 0;  // enter and leave come for each element below
  const over = (change) => { inside = change; root.classList.toggle("over", inside > 0); };
  root.ondragenter = () => over(inside + 1);
  root.ondragleave = () => over(inside - 1);
  root.ondragover = (event) => event.preventDefault();
  root.ondrop = (event) => {
    event.preventDefault();
    over(0);
    take(form, event.dataTransfer.files);
    form.text.focus();
  };
}

// Whether somebody writes there: whatever opens or moves must leave such a field as it is.
export function in_use(form) {
  return form.contains(document.activeElement) || form.text.value !== "" || form.chosen.length > 0;
}

// Messages go out one after the other, in the order in which they were written. What is sent leaves the composer at
// once, so that whoever writes on doesn't write into it; it comes back where it couldn't be sent.
export function post(view, form, place, text) {
  const files = form.chosen, typed = form.text.value === text;
  if (!text.trim() && !files.length) return;
  if (typed) write(form, "");
  choose(form, []);
  complain(form, "");
  const go = async () => {
    const error = await deliver(view, place, text, files);
    if (!error) return;
    complain(form, error);
    if (typed) write(form, [text, form.text.value].filter((one) => one).join("\n"));
    choose(form, [...files, ...form.chosen]);
  };
  form.sending = (form.sending ?? Promise.resolve()).then(go);
}

async function speak(view, form, { channel, thread }) {
  const body = new FormData(), words = form.text.value;
  body.set("channel", channel);
  body.set("thread", thread);
  body.set("text", words);
  const { error } = await send(`speak/${view.platform}`, body);
  complain(form, error ?? "");
  if (!error && form.text.value === words) write(form, "");
}

// Gives what went wrong.
async function deliver(view, { channel, thread }, text, files) {
  const body = new FormData();
  body.set("channel", channel);
  body.set("thread", thread);
  body.set("text", text);
  for (const file of files) body.append("files", file);
  const { error } = await send(`say/${view.platform}`, body);
  if (error) return error;
  view.dismissed = "";
  const unheard = !thread && view.channels.get(channel)?.kind === "channel" && !text.toLowerCase().includes(`@${view.server.bot}`);
  if (unheard) toast(`Only people read that. Mention @${view.server.bot} to ask the agent.`);
  return "";
}

function write(form, text) {
  form.text.value = text;
  fit(form);
}

function take(form, files) {
  complain(form, form.chosen.length + files.length > MAX_FILES ? `A message takes ${MAX_FILES} files.` : "");
  choose(form, [...form.chosen, ...files]);
}

function choose(form, files) {
  form.chosen = files.slice(0, MAX_FILES);
  form.querySelector(".chosen").replaceChildren(...form.chosen.map((file) => element("span", {},
    file.name, element("small", {}, size_of(file.size)),
    element("button", { type: "button", ariaLabel: `Remove ${file.name}`, onclick: () => without(form, file) }, "×"))));
}

const without = (form, file) => choose(form, form.chosen.filter((one) => one !== file));

function complain(form, problem) {
  form.querySelector(".problem").textContent = problem;
}

function fit(form) {
  form.text.style.height = "auto";
  form.text.style.height = `${form.text.scrollHeight}px`;
}
