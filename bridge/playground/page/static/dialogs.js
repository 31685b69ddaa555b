// A form that the app opened.

import { element, send } from "./elements.js";

export function open_dialog(view, { id, title, send: label, words, fields }) {
  const problem = element("p", { className: "problem", role: "alert" });
  const cancel = element("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  const form = element("form", { method: "dialog" }, element("h2", {}, title), ...(words ? [element("p", {}, words)] : []),
    ...fields.map(field), problem, element("div", { className: "under" }, cancel, element("button", { className: "go" }, label)));
  let sent = false;
  form.onsubmit = async (event) => {
    event.preventDefault();
    const body = new FormData();
    for (const [name, value] of new FormData(form)) if (typeof value === "string" || value.name) body.append(name, value);
    body.set("dialog", id);
    const { error, dialog: next } = await send(`submit/${view.platform}`, body);
    if (error) { problem.textContent = error; return; }
    sent = true;
    dialog.close();
    if (next) open_dialog(view, next);
  };
  const leave = () => { dialog.remove(); if (!sent) send(`leave/${view.platform}`, { dialog: id }); };
  const dialog = element("dialog", { className: `dialog ${view.platform}`, onclose: leave }, form);
  document.body.append(dialog);
  dialog.showModal();
  form.querySelector("input, textarea, select")?.focus();
}

function field({ name, label, kind, optional, value, most, options }) {
  const required = !optional;
  const input = kind === "text" ? element("textarea", { name, rows: 3, required, value })
    : kind === "files" ? element("input", { type: "file", name, required, multiple: most > 1 })
    : kind === "choice" ? element("select", { name, required }, ...options.map((one) => element("option", { value: one.value, selected: one.value === value }, one.label)))
    : element("input", { name, required, value });
  return element("label", {}, element("b", {}, label, optional ? element("small", {}, " optional") : ""), input);
}
