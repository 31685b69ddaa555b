// Writing: the composers, files that are chosen, dropped or pasted, and what is sent.

import { element, send, size_of, toast } from "./elements.js";

const MAX_FILES = 10;

// `place` gives {channel, thread}. Resolves to nothing; problems stand below the text.
export function make_composer(view, pane, place) {
  const { root, form } = pane;
  form.append(document.getElementById("composer").content.cloneNode(true));
  form.chosen = [];
  form.files.onchange = () => { take(form, form.files.files); form.files.value = ""; };
  form.text.onkeydown = (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  };
  form.text.oninput = () => fit(form);
  form.text.onpaste = (event) => take(form, event.clipboardData?.files ?? []);
  form.onsubmit = (event) => { event.preventDefault(); post(view, form, place(), form.text.value); };
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

export async function post(view, form, { channel, thread }, text) {
  if (form.sending || (!text.trim() && !form.chosen.length)) return;
  const body = new FormData();
  body.set("channel", channel);
  body.set("thread", thread);
  body.set("text", text);
  for (const file of form.chosen) body.append("files", file);
  form.sending = true;
  const { error } = await send(`say/${view.platform}`, body);
  form.sending = false;
  complain(form, error);
  if (error) return;
  if (form.text.value === text) form.text.value = "";
  fit(form);
  form.chosen = [];
  draw_chosen(form);
  view.dismissed = "";
  const unheard = !thread && view.channels.get(channel).kind === "channel" && !text.toLowerCase().includes(`@${view.server.bot}`);
  if (unheard) toast(`Only people read that. Mention @${view.server.bot} to ask the agent.`);
}

function take(form, files) {
  form.chosen.push(...files);
  complain(form, form.chosen.length > MAX_FILES ? `A message takes ${MAX_FILES} files.` : "");
  form.chosen.length = Math.min(form.chosen.length, MAX_FILES);
  draw_chosen(form);
}

function draw_chosen(form) {
  const without = (file) => { form.chosen = form.chosen.filter((one) => one !== file); draw_chosen(form); };
  form.querySelector(".chosen").replaceChildren(...form.chosen.map((file) => element("span", {},
    file.name, element("small", {}, size_of(file.size)),
    element("button", { type: "button", ariaLabel: `Remove ${file.name}`, onclick: () => without(file) }, "×"))));
}

function complain(form, problem) {
  form.querySelector(".problem").textContent = problem ?? "";
}

function fit(form) {
  form.text.style.height = "auto";
  form.text.style.height = `${form.text.scrollHeight}px`;
}
