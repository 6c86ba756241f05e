// The page: asks the server for pictures and shows them as they clear up.
// No framework, no build step, nothing from elsewhere; what it remembers is gone with the tab.
"use strict";

const $ = (id) => document.getElementById(id);
const MOST_THUMBNAILS = 60;
const KEYS = { model: "run", class: "class", seed: "seed", sampler: "sampler", steps: "steps", guidance: "guidance", eta: "eta", weights: "weights", step: "trained steps" };

let models = [];
let job = null; // {abort, id, settings, command, images: [], cells: []}
let shown = -1;
let asking = null; // the promise of a token, while it is asked for

// ---- the token: comes behind the # of the printed address, which no server and no log ever sees

function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname);
  }
  return given;
}

// A browser that is given the address again, in the same tab, loads nothing by itself.
function takeNewToken() {
  if (takeToken()) location.reload();
}

async function ask(path, options = {}) {
  const token = sessionStorage.getItem("token");
  // fetch refuses letters that no header can carry; the server is to refuse them, and ask anew.
  const shown = token ? { Authorization: `Bearer ${token.replace(/[^ -~]/g, "?")}` } : {};
  const headers = { ...options.headers, ...shown };
  const answer = await fetch(path, { ...options, headers, credentials: "omit" }).catch(lost);
  if (answer.status === 401) {
    await askForToken();
    return ask(path, options);
  }
  if (!answer.ok) {
    const error = (await answer.json().catch(() => ({}))).error;
    const wait = answer.headers.get("Retry-After");
    throw new Error((error ? error.message : answer.statusText) + (wait ? ` (${wait} s)` : ""));
  }
  return answer;
}

function lost(problem) {
  if (problem.name === "AbortError") throw problem;
  throw new Error("The server does not answer any more, or the network to it is gone.");
}

// Several requests may find at once that the token is wrong; all wait for one answer.
function askForToken() {
  asking ??= new Promise((resolve) => {
    $("token").value = "";
    $("ask").showModal();
    $("ask").onclose = () => {
      sessionStorage.setItem("token", $("token").value);
      asking = null;
      resolve();
    };
  });
  return asking;
}

// ---- what can be drawn

const model = () => models.find((one) => one.id === $("model").value);

function option(value) {
  return Object.assign(document.createElement("option"), { value, textContent: value });
}

async function loadModels() {
  models = (await (await ask("v1/models")).json()).data;
  $("model").replaceChildren(...models.map((one) => option(one.id)));
  showModel();
}

function showModel() {
  const chosen = model();
  const [height, width] = chosen.image_size;
  $("facts").textContent = `${width} × ${height}, ${chosen.classes.length || "no"} classes`;
  $("grid").style.setProperty("--shape", `${width} / ${height}`);
  $("count").max = chosen.limits.count;
  $("steps").max = chosen.limits.steps;
  $("sampler").replaceChildren(...chosen.samplers.map(option));
  $("sampler").value = chosen.defaults.sampler;
  $("steps").value = chosen.defaults.steps;
  $("guidance").value = chosen.defaults.guidance;
  $("classes-box").hidden = chosen.classes.length === 0;
  $("guidance").parentElement.hidden = chosen.classes.length === 0;
  $("find").hidden = chosen.classes.length <= 12;
  $("find").value = "";
  $("classes").replaceChildren(...chosen.classes.map((name, label) => classChoice(chosen, name, label)));
  loadThumbnails(chosen);
}

function classChoice(chosen, name, label) {
  const box = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { type: "radio", name: "class", value: label, checked: label === 0 });
  const picture = Object.assign(document.createElement("img"), { alt: "", hidden: label >= MOST_THUMBNAILS });
  box.append(input, picture, name);
  return box;
}

async function loadThumbnails(chosen) {
  const pictures = [...$("classes").querySelectorAll("img:not([hidden])")];
  for (const [label, picture] of pictures.entries()) {
    if (model() !== chosen) return;
    try {
      const answer = await ask(`v1/models/${encodeURIComponent(chosen.id)}/thumbnails/${label}`);
      picture.src = URL.createObjectURL(await answer.blob());
      picture.onload = () => URL.revokeObjectURL(picture.src);
    } catch {
      // The name alone will do; the server has better to do just now.
    }
  }
}

function findClass() {
  const wanted = $("find").value.toLowerCase();
  for (const box of $("classes").children) box.hidden = !box.textContent.toLowerCase().includes(wanted);
}

// ---- drawing

function request() {
  const chosen = model();
  const body = {
    model: chosen.id,
    count: Number($("count").value),
    seed: Number($("seed").value),
    sampler: $("sampler").value,
    steps: Number($("steps").value),
    guidance: Number($("guidance").value),
    response: "stream",
  };
  if (chosen.classes.length) body.class = Number(document.querySelector("[name=class]:checked").value);
  return body;
}

async function draw() {
  stop();
  const body = request();
  const mine = (job = { abort: new AbortController(), images: [], cells: [] });
  prepareGrid(body);
  if (matchMedia("(max-width: 46rem)").matches) $("results").scrollIntoView();
  say("Asking …");
  try {
    const answer = await ask("v1/images", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal: mine.abort.signal,
    });
    for await (const [name, content] of events(answer)) take(mine, name, content, body);
  } catch (problem) {
    if (job !== mine) return; // the next one has the word
    if (problem.name === "AbortError") say("Stopped.");
    else say(problem.message, true);
  }
  if (job === mine) rest();
}

async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read().catch(lost);
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const found = block.match(/^event: (.*)\ndata: (.*)$/);
      if (found) yield [found[1], JSON.parse(found[2])];
    }
  }
}

function take(mine, name, content, body) {
  if (name === "job") Object.assign(mine, content);
  if (name === "progress") showProgress(content);
  if (name === "preview") show(mine.cells[content.index], `data:image/png;base64,${content.image}`, content.step / body.steps);
  if (name === "image") finish(mine, content);
  if (name === "done") say(`${content.pictures} ${content.pictures === 1 ? "picture" : "pictures"}, seed ${mine.settings.seed}.`);
  if (name === "error") say(content.message, true);
}

function prepareGrid(body) {
  job.cells = Array.from({ length: body.count }, (_, index) => {
    const cell = document.createElement("button");
    cell.type = "button";
    cell.setAttribute("aria-busy", "true");
    cell.setAttribute("aria-label", `Picture ${index}, being drawn`);
    cell.disabled = true;
    cell.append(Object.assign(document.createElement("img"), { alt: "" }));
    cell.onclick = () => open(index);
    return cell;
  });
  $("grid").replaceChildren(...job.cells);
  $("after").hidden = true;
  $("progress").hidden = false;
  $("progress").value = 0;
  $("stop").disabled = false;
}

function show(cell, source, done) {
  cell.firstChild.src = source;
  cell.style.setProperty("--done", done);
}

function finish(mine, content) {
  const cell = mine.cells[content.index];
  mine.images[content.index] = content;
  show(cell, `data:image/png;base64,${content.image}`, 1);
  cell.setAttribute("aria-busy", "false");
  cell.setAttribute("aria-label", `Picture ${content.index}${content.class ? `, ${content.class}` : ""}: how it was made`);
  cell.disabled = false;
}

function showProgress(content) {
  $("progress").value = content.step / content.steps;
  if (content.state === "waiting") say(`Waiting; ${content.place} before this one.`);
  else say(`Drawing: ${content.pictures} finished, ${Math.round((100 * content.step) / content.steps)} %.`);
}

function rest() {
  $("stop").disabled = true;
  $("progress").hidden = true;
  for (const cell of job.cells) if (cell.disabled) cell.remove();
  $("after").hidden = job.images.length === 0;
  $("command").textContent = job.command || "";
  $("copied").textContent = "";
}

function stop() {
  if (job) job.abort.abort();
}

function say(text, wrong = false) {
  $("status").textContent = text;
  $("status").classList.toggle("wrong", wrong);
}

// ---- what was drawn

function bytes(image) {
  return Uint8Array.from(atob(image.image), (letter) => letter.charCodeAt(0));
}

function fileName(image) {
  const stem = (image.class || "image").replace(/[^\p{L}\p{M}\p{N}_.-]+/gu, "-");
  return `${stem}-${image.seed}-${String(image.index).padStart(6, "0")}.png`;
}

function open(index) {
  const image = job.images[index];
  shown = index;
  $("large").src = `data:image/png;base64,${image.image}`;
  $("large").alt = `Picture ${index}${image.class ? `, ${image.class}` : ""}`;
  const notes = { index, ...job.settings, model: job.settings.run };
  const lines = ["index", ...Object.keys(KEYS)].filter((key) => notes[key] !== "" && notes[key] !== undefined);
  $("notes").replaceChildren(...lines.flatMap((key) => [term("dt", KEYS[key] || key), term("dd", notes[key])]));
  $("download").href = $("large").src;
  $("download").download = fileName(image);
  if (!$("detail").open) $("detail").showModal();
}

function term(kind, text) {
  return Object.assign(document.createElement(kind), { textContent: text });
}

function turn(by) {
  const there = job.images.filter(Boolean);
  const place = there.findIndex((image) => image.index === shown);
  open(there[(place + by + there.length) % there.length].index);
}

function downloadAll() {
  const files = job.images.filter(Boolean).map((image) => [fileName(image), bytes(image)]);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(zip(files));
  link.download = `${job.settings.run}-${job.settings.seed}.zip`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

async function copyCommand() {
  try {
    await navigator.clipboard.writeText(job.command);
    $("copied").textContent = "Copied.";
  } catch {
    getSelection().selectAllChildren($("command"));
    $("copied").textContent = "Selected; copy it with Ctrl C.";
  }
}

// ---- keys and buttons

function rollSeed() {
  $("seed").value = crypto.getRandomValues(new Uint32Array(1))[0] >>> 1;
}

function onKey(event) {
  const typing = event.target.matches("input:not([type=radio]), select");
  if ($("detail").open && event.key === "ArrowRight") turn(1);
  else if ($("detail").open && event.key === "ArrowLeft") turn(-1);
  else if ($("detail").open || $("ask").open) return; // what lies below is out of reach, for the mouse too
  else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
  else if (event.key === "Escape") stop();
  else if (event.key.toLowerCase() === "d" && !typing && !event.ctrlKey && !event.metaKey) rollSeed();
}

takeToken();
$("model").onchange = showModel;
$("sampler").onchange = () => ($("steps").value = Math.min(model().limits.steps, model().defaults.usual_steps[$("sampler").value]));
$("find").oninput = findClass;
$("dice").onclick = rollSeed;
$("form").onsubmit = (event) => (event.preventDefault(), draw());
$("stop").onclick = stop;
$("all").onclick = downloadAll;
$("copy").onclick = copyCommand;
$("previous").onclick = () => turn(-1);
$("next").onclick = () => turn(1);
$("close").onclick = () => $("detail").close();
document.addEventListener("keydown", onKey);
addEventListener("hashchange", takeNewToken);
loadModels().catch((problem) => say(problem.message, true));
