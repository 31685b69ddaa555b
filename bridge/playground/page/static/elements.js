// Small tools: making elements, keeping lists, talking to the server.

const TOAST_SECONDS = 7;

export function element(tag, values, ...children) {
  const made = Object.assign(document.createElement(tag), values);
  made.append(...children);
  return made;
}

// Makes the children of `parent` show `items`, each {key, value, extra}. A child whose value and extra are the same
// is left alone, so that focus, selection and scroll positions stay.
export function keep(parent, tag, items, render) {
  const known = new Map([...parent.children].map((child) => [child.key, child]));
  items.forEach(({ key, value, extra }, index) => {
    const child = known.get(key) ?? element(tag, { key });
    if (child.value !== value || child.extra !== extra) {
      render(child, value);
      Object.assign(child, { value, extra });
    }
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
  while (parent.children.length > items.length) parent.lastElementChild.remove();
}

// Posts a form. Gives what the server says; what went wrong as `error`.
export async function send(path, fields) {
  let body = fields;
  if (!(fields instanceof FormData)) {
    body = new FormData();
    for (const [name, value] of Object.entries(fields)) body.set(name, value);
  }
  try {
    const answer = await fetch(path, { method: "POST", body });
    const text = await answer.text();
    const isJson = answer.headers.get("content-type")?.startsWith("application/json");
    const said = isJson ? JSON.parse(text) : {};
    return answer.ok ? said : { error: said.error ?? (text || `That failed (${answer.status}).`) };
  } catch {
    return { error: "The playground can't be reached. Is it still running?" };
  }
}

export function toast(text, kind = "") {
  const shown = element("div", { className: `toast ${kind}` }, text);
  document.querySelector(".toasts").append(shown);
  setTimeout(() => shown.remove(), TOAST_SECONDS * 1000);
}

export function size_of(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1024 ** 2 ? `${(bytes / 1024).toFixed(1)} KB` : `${(bytes / 1024 ** 2).toFixed(1)} MB`;
}
