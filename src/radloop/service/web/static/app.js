// What every page has: theme, keys of the worklist, help, short messages.
const find = (id) => document.getElementById(id);

export function say(text, wrong = false) {
  const box = find("said");
  box.textContent = text;
  box.className = wrong ? "shown wrong" : "shown";
  clearTimeout(say.timer);
  say.timer = setTimeout(() => (box.className = ""), wrong ? 6000 : 2500);
}

export const typing = (event) =>
  event.ctrlKey || event.metaKey || event.altKey ||
  /^(TEXTAREA|SELECT)$/.test(event.target.tagName) ||
  (event.target.tagName === "INPUT" && !/^(range|radio|checkbox)$/.test(event.target.type));

export function help() {
  find("help")?.showModal();
}

find("theme").onclick = () => {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  document.cookie = `radloop_theme=${root.dataset.theme};path=/;max-age=31536000;samesite=strict`;
};

document.body.addEventListener("htmx:responseError", (event) => {
  let text = "That did not work.";
  try { text = JSON.parse(event.detail.xhr.responseText).detail; } catch { /* no JSON */ }
  say(text, true);
});
document.body.addEventListener("htmx:sendError", () => say("The server cannot be reached.", true));

// The worklist by keys.
const list = find("list");
if (list) {
  let here = null; // the study's token: rows come and go under it
  const rows = () => [...list.querySelectorAll("tr[data-study]")];
  const show = () => rows().forEach((row) => row.classList.toggle("here", row.dataset.study === here));
  const move = (step) => {
    const all = rows();
    if (!all.length) return;
    const at = all.findIndex((row) => row.dataset.study === here);
    const row = all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + step))];
    here = row.dataset.study;
    show();
    row.scrollIntoView({ block: "nearest" });
  };
  list.addEventListener("htmx:afterSettle", show);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && typing(event)) return event.target.blur();
    if (typing(event)) return;
    if (event.key === "j" || event.key === "ArrowDown") move(1);
    else if (event.key === "k" || event.key === "ArrowUp") move(-1);
    else if (event.key === "Enter" && here && event.target === document.body) location.href = `/study/${here}`;
    else if (event.key === "n") location.href = "/next";
    else if (event.key === "/") find("text").focus();
    else if (event.key === "?") help();
    else return;
    event.preventDefault();
  });
}
