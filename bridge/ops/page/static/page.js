// Times as the reader's clock has them, and views that follow what happens. Without it the page can be read as well.

const EVERY = 5000; // milliseconds

function localTimes(within) {
  const day = new Date().toDateString();
  for (const time of within.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    const clock = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
    time.textContent = at.toDateString() === day ? clock : `${at.toLocaleDateString()} ${clock}`;
  }
}

// A section as it is now, unless somebody is reading it with the mouse. Focus and what was opened stay.
function put(old, fresh) {
  const selected = getSelection();
  if (!selected.isCollapsed && old.contains(selected.anchorNode)) return;
  for (const open of old.querySelectorAll("details[open][id]")) {
    fresh.querySelector(`#${open.id}`)?.setAttribute("open", "");
  }
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  localTimes(fresh);
  old.replaceWith(fresh);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

async function refresh() {
  const url = new URL(location.href);
  for (const name of ["text", "said"]) url.searchParams.delete(name); // what was written isn't fetched again
  const answer = await fetch(url, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(15000) });
  if (answer.status === 401) return location.reload();
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const old of document.querySelectorAll("[data-live][id]")) {
    const now = fresh.getElementById(old.id);
    if (now) put(old, document.adoptNode(now));
  }
}

function follow() {
  const button = document.getElementById("live");
  const stale = document.getElementById("stale");
  if (!button || !document.querySelector("[data-live]")) return;
  let last = new Date();
  let busy = false;
  const on = () => button.getAttribute("aria-pressed") === "true";
  const look = async () => {
    if (busy || !on() || document.hidden) return;
    busy = true;
    try {
      await refresh();
      last = new Date();
      stale.hidden = true;
    } catch {
      stale.textContent = `Not up to date: the bridge hasn't answered since ${last.toLocaleTimeString()}.`;
      stale.hidden = false;
    }
    busy = false;
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(!on()));
    look();
  });
  document.addEventListener("visibilitychange", look);
  setInterval(look, EVERY);
}

// A link from another site comes without the session's cookie; asked for from here, it comes with it.
async function comeBack() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (answer.ok) location.replace(location.href);
}

localTimes(document);
if (!document.querySelector("[data-sign-in]")) follow();
else if (document.referrer === "" && !location.pathname.endsWith("/sign-in")) comeBack().catch(() => {});
