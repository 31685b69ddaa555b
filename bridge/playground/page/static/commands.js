// What a slash offers: the platform's commands, their options, what completes them.

import { open_dialog } from "./dialogs.js";
import { element, send, toast } from "./elements.js";

const QUIET = 200;  // milliseconds after the last letter, until completions are asked for

export const asks_for_menu = (text) => text.startsWith("/");

// The menu of one composer. `write` puts a text into it.
export function make_menu(view, form, place, write) {
  const list = element("ul", { className: "commands", role: "listbox", ariaLabel: "Commands", hidden: true });
  const options = element("form", { className: "options", hidden: true });
  form.before(list, options);
  let known = null, shown = [], at = 0;
  const hide = () => { list.hidden = true; };
  const learn = async () => {
    const answer = await fetch(`commands/${view.platform}`);
    known = answer.ok ? await answer.json() : null;
  };

  async function look() {
    const text = form.text.value;
    if (!asks_for_menu(text) || text.includes("\n")) return hide();
    await learn();
    if (!known || form.text.value !== text) return;
    const typed = text.startsWith(known.slash) ? text.slice(known.slash.length) : text.slice(1);
    const [word] = typed.split(" ");
    shown = known.commands.filter(({ name, in_threads }) => name.startsWith(word.toLowerCase()) && (in_threads || !place().thread));
    if (typed.includes(" ") && view.platform === "slack" || !shown.length) return hide();
    at = 0;
    draw();
  }

  function draw() {
    const begins = place().thread ? known.in_threads : known.slash;
    const said = begins.startsWith("@") ? [element("li", { className: "how" }, "Slack has no slash commands in threads: a mention does it.")] : [];
    list.replaceChildren(...said, ...shown.map((command, index) => element("li", {
      role: "option", ariaSelected: index === at ? "true" : "false", onmousedown: (event) => { event.preventDefault(); choose(command); },
    }, element("b", {}, begins + command.usage), element("span", {}, command.help))));
    list.hidden = false;
    list.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }

  function takes(event) {
    if (list.hidden || event.isComposing) return false;
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key in steps) { at = (at + steps[event.key] + shown.length) % shown.length; draw(); }
    else if (event.key === "Enter" || event.key === "Tab") choose(shown[at]);
    else if (event.key === "Escape") { hide(); event.stopPropagation(); }
    else return false;
    event.preventDefault();
    return true;
  }

  function choose(command) {
    hide();
    if (view.platform === "discord") return fill_in(command);
    const begins = place().thread ? known.in_threads : known.slash;
    write(`${begins}${command.name}${command.usage.includes(" ") ? " " : ""}`);
    form.text.focus();
    if (!command.usage.includes(" ")) form.requestSubmit();
  }

  // What was typed in full.
  async function give(text) {
    hide();
    await learn();
    if (!known) return toast("The commands can't be read.", "wrong");
    const slash = known.slash.trim();
    if (slash !== "/" && text.split(" ")[0] !== slash) return toast(`There is no such command. ${slash} is this app's.`, "wrong");
    if (place().thread && known.in_threads.startsWith("@")) {
      return toast(`Slack has no slash commands in threads. Write ${known.in_threads}${text.slice(slash.length).trim()}`, "wrong");
    }
    const [name, ...rest] = text.slice(slash.length).trim().split(" ");
    if (view.platform === "slack") return use({ name, text: rest.join(" ") });
    const command = known.commands.find((one) => one.name === name.toLowerCase());
    if (!command) return toast(`There is no command /${name}.`, "wrong");
    fill_in(command, rest.join(" "));
  }

  // Discord's way: a field for each option, the required ones first.
  function fill_in(command, given = "") {
    if (!command.options.length) return use({ name: command.name });
    write("");
    const first_text = command.options.find(({ file }) => !file);
    const files = command.options.filter(({ file }) => file);
    const close = () => { options.hidden = true; form.hidden = false; form.text.focus(); };
    const fields = command.options.filter((one) => !one.file || one === files[0]).map((one) => {
      if (one.file) {
        const input = element("input", { type: "file", name: "files", multiple: files.length > 1, required: one.required });
        return element("label", {}, element("b", {}, files.length > 1 ? `files (up to ${files.length})` : one.name), input);
      }
      const input = element("input", { name: `:${one.name}`, required: one.required, placeholder: one.help, autocomplete: "off", value: one === first_text ? given : "" });
      const label = element("label", {}, element("b", {}, one.name), input);
      if (one.completes) label.append(completions(command, one, input));
      return label;
    });
    const cancel = element("button", { type: "button", onclick: close }, "Cancel");
    options.replaceChildren(element("h3", {}, `/${command.name}`, element("small", {}, command.help)), ...fields,
      element("div", { className: "under" }, cancel, element("button", { className: "go" }, `Use /${command.name}`)));
    options.onkeydown = (event) => { if (event.key === "Escape") { close(); event.stopPropagation(); } };
    options.onsubmit = async (event) => {
      event.preventDefault();
      const values = new FormData(options), body = {};
      for (const [name, value] of values) if (typeof value === "string") body[name] = value;
      const chosen = values.getAll("files").filter((one) => one.size || one.name);
      if (chosen.length > files.length) return toast(`It takes ${files.length} files.`, "wrong");
      chosen.forEach((file, index) => { body[`:${files[index].name}`] = file; });
      close();
      await use({ name: command.name, ...body });
    };
    form.hidden = true;
    options.hidden = false;
    options.querySelector("input")?.focus();
  }

  function completions(command, option, input) {
    const id = `complete-${view.platform}-${Math.random().toString(36).slice(2)}`;
    const choices = element("datalist", { id });
    input.setAttribute("list", id);
    let timer = 0;
    const ask = async () => {
      const { choices: found } = await send(`complete/${view.platform}`, { ...place(), name: command.name, option: option.name, [`:${option.name}`]: input.value });
      choices.replaceChildren(...(found ?? []).map((value) => element("option", { value })));
    };
    input.oninput = () => { clearTimeout(timer); timer = setTimeout(ask, QUIET); };
    input.onfocus = ask;
    return choices;
  }

  async function use(fields) {
    write("");
    const { error, dialog } = await send(`command/${view.platform}`, { ...place(), ...fields });
    if (error) toast(error, "wrong");
    if (dialog) open_dialog(view, dialog);
  }

  return { look, takes, give };
}

// What the platform's menu of a message holds of the app.
export function message_menu(view, message) {
  const list = element("div", { className: "list" });
  const menu = element("details", { className: "more" }, element("summary", { ariaLabel: "More actions", title: "More actions" }, "⋯"), list);
  menu.ontoggle = async () => {
    if (!menu.open) return;
    const answer = await fetch(`commands/${view.platform}`);
    const { shortcuts } = answer.ok ? await answer.json() : { shortcuts: [] };
    list.replaceChildren(...shortcuts.map((name) => element("button", { type: "button", onclick: () => use(name) }, name)));
  };
  const use = async (name) => {
    menu.open = false;
    const { error, dialog } = await send(`shortcut/${view.platform}`, { message: message.id, name });
    if (error) toast(error, "wrong");
    if (dialog) open_dialog(view, dialog);
  };
  return menu;
}
