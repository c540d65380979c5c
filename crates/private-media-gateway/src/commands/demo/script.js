// Makes the upload form a drop zone with progress, and the copy buttons copy. Every page works without it.
"use strict";

const status = document.querySelector("[data-status]");

function say(text) {
  if (status) status.textContent = text;
}

// Uploads run one after the other, so that each bar shows the full bandwidth.

const form = document.querySelector("[data-upload]");
if (form) {
  const input = form.querySelector("input[type=file]");
  const list = document.querySelector("[data-uploads]");
  let queue = Promise.resolve();

  form.classList.add("live");
  input.addEventListener("change", () => {
    // Clearing the input empties its list of files.
    const files = [...input.files];
    input.value = "";
    enqueue(files);
  });
  form.addEventListener("submit", (event) => event.preventDefault());

  // A file dropped outside the zone would replace the page, so the whole page accepts files.
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    form.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) form.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    form.classList.remove("over");
    enqueue([...event.dataTransfer.files]);
  });

  function enqueue(files) {
    for (const failed of list.querySelectorAll(".failed")) failed.remove();
    const rows = files.map((file) => [file, addRow(file.name)]);
    queue = queue.then(() => uploadAll(rows)).catch(() => say("The page could not be updated; reload it."));
  }

  async function uploadAll(rows) {
    const stored = [];
    let failures = 0;
    for (const [file, row] of rows) {
      try {
        say(`Uploading ${file.name}`);
        stored.push(await put(file, row));
        row.item.remove();
      } catch (error) {
        failures += 1;
        row.item.classList.add("failed");
        row.bar.remove();
        row.state.textContent = error.message;
        say(`${file.name}: ${error.message}`);
      }
    }
    if (stored.length > 0) await refresh(stored.map((file) => file.path));
    // Failed uploads stay visible next to the zone.
    if (failures > 0) return;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    document.querySelector(".card.new")?.scrollIntoView({ block: "nearest", behavior: still ? "auto" : "smooth" });
    say(stored.length === 1 ? "Uploaded." : `${stored.length} files uploaded.`);
  }

  function addRow(name) {
    const item = document.createElement("li");
    const label = document.createElement("span");
    const state = document.createElement("span");
    const bar = document.createElement("progress");
    label.className = "name";
    label.textContent = name;
    state.className = "state";
    state.textContent = "waiting";
    bar.max = 1;
    bar.value = 0;
    bar.setAttribute("aria-label", `Upload of ${name}`);
    item.append(label, state, bar);
    list.append(item);
    return { item, state, bar };
  }
}

/** Sends one file as the body of a PUT. Unlike `fetch`, XMLHttpRequest reports the progress of an upload. */
function put(file, row) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", `/upload?name=${encodeURIComponent(file.name)}`);
    request.upload.addEventListener("progress", (event) => {
      const done = event.total > 0 ? event.loaded / event.total : 1;
      row.bar.value = done;
      row.state.textContent = done < 1 ? `${Math.floor(done * 100)} %` : "storing";
    });
    request.addEventListener("load", () => {
      const text = request.responseText;
      if (request.status !== 201) return reject(new Error(text.trim() || `The server responded with status ${request.status}.`));
      try {
        resolve(JSON.parse(text));
      } catch {
        reject(new Error("The server’s response is invalid."));
      }
    });
    request.addEventListener("error", () => reject(new Error("The connection was lost.")));
    request.send(file);
  });
}

/** Adds the cards of new files in the order of the server. Existing cards, such as a playing video, are not touched. */
async function refresh(paths) {
  for (const old of document.querySelectorAll(".card.new")) old.classList.remove("new");
  const response = await fetch("/");
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const cards of fresh.querySelectorAll("[data-owner]")) {
    const here = document.querySelector(`[data-owner="${CSS.escape(cards.dataset.owner)}"]`);
    [...cards.children].forEach((card, index) => {
      if (!here || here.children[index]?.dataset.path === card.dataset.path) return;
      here.insertBefore(card, here.children[index] ?? null);
      if (paths.includes(card.dataset.path)) card.classList.add("new");
      prepare(card);
    });
  }
}

/** The clipboard needs a secure context. Without one, the buttons stay hidden. */
function prepare(root) {
  if (!navigator.clipboard) return;
  for (const button of root.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(new URL(button.dataset.copy, location.href).href);
      } catch {
        return say("The browser does not allow copying.");
      }
      button.classList.add("done");
      say("Copied.");
      setTimeout(() => button.classList.remove("done"), 2000);
    });
  }
}

prepare(document);
