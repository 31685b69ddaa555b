// The form that a button opened: one text, sent or left.

import { element, send } from "./elements.js";

export function open_form(platform, { id, title, send: label, label: question, optional }) {
  const words = element("textarea", { name: "words", rows: 4, required: !optional });
  const problem = element("p", { className: "problem", role: "alert" });
  const cancel = element("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  const form = element("form", { method: "dialog" },
    element("h2", {}, title),
    element("label", {}, question, optional ? element("small", {}, " (optional)") : "", words),
    problem,
    element("div", { className: "under" }, cancel, element("button", { className: "primary" }, label)));
  form.onsubmit = async (event) => {
    event.preventDefault();
    const { error } = await send(`fill-in/${platform}`, { form: id, words: words.value });
    if (error) problem.textContent = error; else dialog.close();
  };
  const dialog = element("dialog", { className: `form ${platform}`, onclose: () => dialog.remove() }, form);
  document.body.append(dialog);
  dialog.showModal();
  words.focus();
}
