// Sends chosen or dropped files one by one, so that a study of thousands needs no more memory.
const find = (id) => document.getElementById(id);
const drop = find("drop");
const csrf = drop.dataset.csrf;

async function send(files) {
  const studies = new Set();
  let fresh = 0, known = 0, refused = 0, done = 0;
  find("progress").hidden = false;
  find("progress").max = files.length;
  find("refused").replaceChildren();
  const refuse = (name, why) => {
    if (++refused > 20) return;
    const line = document.createElement("li");
    line.textContent = `${name}: ${why}`;
    find("refused").append(line);
  };
  const one = async (file) => {
    try {
      const answer = await fetch("/upload/file", {
        method: "POST", body: file,
        headers: { "X-CSRF-Token": csrf, "X-File-Name": encodeURIComponent(file.name), "Content-Type": "application/octet-stream" },
      });
      const said = await answer.json();
      if (!answer.ok) refuse(file.name, said.detail);
      else {
        fresh += said.new; known += said.known;
        said.refused.forEach(([name, why]) => refuse(name, why));
        said.studies.forEach((id) => studies.add(id));
      }
    } catch { refuse(file.name, "the server cannot be reached"); }
    find("progress").value = ++done;
    find("count").textContent = `${done} of ${files.length} files`;
  };
  const left = [...files];
  await Promise.all(Array.from({ length: 3 }, async () => { while (left.length) await one(left.shift()); }));
  if (studies.size) {
    const form = new URLSearchParams({ csrf, studies: [...studies].join(" ") });
    await fetch("/upload/done", { method: "POST", body: form });
  }
  find("count").textContent = `${fresh} new files in ${studies.size} ${studies.size === 1 ? "study" : "studies"}, ${known} known, ${refused} refused. `;
  const link = document.createElement("a");
  link.href = "/";
  link.textContent = "To the worklist";
  find("count").append(link);
}

async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((yes, no) => entry.file(yes, no))];
  const reader = entry.createReader(), found = [];
  for (;;) { // a reader gives a hundred entries a call
    const some = await new Promise((yes, no) => reader.readEntries(yes, no));
    if (!some.length) return found;
    for (const one of some) found.push(...(await filesOf(one)));
  }
}

const visible = (files) => files.filter((file) => !file.name.startsWith(".") && file.size);
for (const id of ["files", "folder"]) find(id).onchange = (event) => send(visible([...event.target.files]));
drop.ondragover = (event) => { event.preventDefault(); drop.classList.add("over"); };
drop.ondragleave = () => drop.classList.remove("over");
drop.ondrop = async (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  send(visible((await Promise.all(entries.map(filesOf))).flat()));
};
