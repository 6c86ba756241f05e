// The page: requests images from the server, or upscales one, and shows previews until they are finished.
// No framework, no build step, nothing from other sites; its state is lost when the tab is closed.
"use strict";

const $ = (id) => document.getElementById(id);
const MAX_THUMBNAILS = 60;
const SETTING_NAMES = {
  model: "run", class: "class", seed: "seed", sampler: "sampler", order: "order", steps: "steps", time_grid: "time grid",
  guidance: "guidance", guidance_interval: "guided at", guidance_rescale: "rescale", guide_with: "guided by",
  threshold: "threshold", noise_level: "noise level", eta: "eta", noise: "noise", weights: "weights", step: "trained steps", precision: "precision",
};
const MORE = ["sampler", "time_grid", "guided-from", "guided-to", "guidance_rescale", "threshold", "noise"];
const SHOWN_AS = { "guided-from": "guided from", "guided-to": "guided to", guidance_rescale: "rescale" };

let models = [];
let job = null; // {abort, id, settings, command, images: [], cells: [], source}
let shownIndex = -1;
let tokenDialog = null; // the promise of a token, while the dialog is open

// ---- the token: in the fragment (#) of the printed address, which browsers never send to a server

function readToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) {
    sessionStorage.setItem("token", token);
    history.replaceState(null, "", location.pathname);
  }
  return token;
}

// A browser does not reload the page when only the fragment of the address changes.
function readNewToken() {
  if (readToken()) location.reload();
}

async function send(path, options = {}) {
  const token = sessionStorage.getItem("token");
  // fetch throws on characters that a header cannot carry; send others, so that the server rejects them.
  const authorization = token ? { Authorization: `Bearer ${token.replace(/[^ -~]/g, "?")}` } : {};
  const headers = { ...options.headers, ...authorization };
  const response = await fetch(path, { ...options, headers, credentials: "omit" }).catch(onLost);
  if (response.status === 401) {
    // Another request may have been given a new token since this one was sent.
    if (sessionStorage.getItem("token") === token) await askForToken();
    return send(path, options);
  }
  if (!response.ok) {
    const error = (await response.json().catch(() => ({}))).error;
    const wait = response.headers.get("Retry-After");
    throw new Error((error ? error.message : response.statusText) + (wait ? ` (${wait} s)` : ""));
  }
  return response;
}

function onLost(problem) {
  if (problem.name === "AbortError") throw problem;
  throw new Error("The server does not respond, or the network is down.");
}

// Several requests may fail for a wrong token at once; all of them wait for one dialog.
function askForToken() {
  tokenDialog ??= new Promise((resolve) => {
    $("token").value = "";
    $("ask").showModal();
    $("ask").onclose = () => {
      sessionStorage.setItem("token", $("token").value);
      tokenDialog = null;
      resolve();
    };
  });
  return tokenDialog;
}

// ---- the models

const model = () => models.find((one) => one.id === $("model").value);

function option(value) {
  return Object.assign(document.createElement("option"), { value, textContent: value });
}

async function loadModels() {
  models = (await (await send("v1/models")).json()).data;
  $("model").replaceChildren(...models.map((one) => option(one.id)));
  showModel();
}

function showModel() {
  const chosen = model();
  const [height, width] = chosen.image_size;
  const guide = chosen.guide_with ? `, guided by ${chosen.guide_with}` : "";
  const output = chosen.upscales ? `makes images ${chosen.upscales} times as large` : `${width} × ${height}`;
  $("facts").textContent = `${output}, ${chosen.classes.length || "no"} classes${guide}`;
  $("grid").style.setProperty("--shape", `${width} / ${height}`);
  $("verb").textContent = chosen.upscales ? "Upscale" : "Generate";
  $("noise_level").max = chosen.limits.noise_level ?? 1;
  $("count").max = chosen.limits.count;
  $("steps").max = chosen.limits.steps;
  $("sampler").replaceChildren(...chosen.samplers.map(option));
  $("time_grid").replaceChildren(...chosen.time_grids.map(option));
  useDefaults();
  $("classes-box").hidden = chosen.classes.length === 0;
  showOnly(".upscales", chosen.upscales !== null);
  showOnly(".generates", chosen.upscales === null);
  showOnly(".classed", chosen.classes.length > 0 && chosen.upscales === null);
  showOnly(".guided", chosen.takes_guidance && (chosen.classes.length > 0 || chosen.guide_with !== ""));
  $("find").hidden = chosen.classes.length <= 12;
  $("find").value = "";
  const choices = chosen.classes.map((name, label) => classChoice(chosen, name, label));
  if (chosen.classes.length && !chosen.needs_class) choices.unshift(classChoice(chosen, "unknown", ""));
  if (choices.length) choices[0].querySelector("input").checked = true;
  $("classes").replaceChildren(...choices);
  if (!chosen.upscales) loadThumbnails(chosen);
}

// A hidden field must be disabled as well: the browser would not submit the form if it were invalid.
function showOnly(selector, isShown) {
  for (const one of document.querySelectorAll(selector)) {
    one.hidden = !isShown;
    for (const field of one.querySelectorAll("input, select")) field.disabled = !isShown;
  }
}

// The defaults of the model by the ids of the fields.
function defaultValues() {
  const { guidance_interval: [from, to], ...rest } = model().defaults;
  return { ...rest, "guided-from": from, "guided-to": to, noise: "same" };
}

function useDefaults() {
  const values = defaultValues();
  for (const name of ["steps", "guidance", ...MORE]) $(name).value = values[name];
  $("noise_level").value = 0;
  showOrder();
  showChanged();
}

// Only some samplers have several orders.
function showOrder() {
  const [lowest, highest, usual] = model().defaults.orders[$("sampler").value] || [];
  $("order-box").hidden = $("order").disabled = usual === undefined;
  Object.assign($("order"), { min: lowest, max: highest, value: usual });
}

// What is set differently in the folded part is named beside its title.
function showChanged() {
  const values = defaultValues();
  const changed = MORE.filter((name) => $(name).value !== String(values[name]));
  $("changed").textContent = changed.map((name) => `${SHOWN_AS[name] || name.replace("_", " ")} ${$(name).value}`).join(", ");
}

function changeSampler() {
  const { limits, defaults } = model();
  $("steps").value = Math.min(limits.steps, defaults.usual_steps[$("sampler").value]);
  showOrder();
}

function classChoice(chosen, name, label) {
  const box = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { type: "radio", name: "class", value: label });
  const hidden = chosen.upscales !== null || label >= MAX_THUMBNAILS;
  const image = Object.assign(document.createElement("img"), { alt: "", hidden });
  box.append(input, image, name);
  return box;
}

async function loadThumbnails(chosen) {
  const images = [...$("classes").querySelectorAll("img:not([hidden])")];
  for (const [label, image] of images.entries()) {
    if (model() !== chosen) return;
    try {
      const response = await send(`v1/models/${encodeURIComponent(chosen.id)}/thumbnails/${label}`);
      image.src = URL.createObjectURL(await response.blob());
      image.onload = () => URL.revokeObjectURL(image.src);
    } catch {
      // The class is shown without a thumbnail; the server is busy.
    }
  }
}

function findClass() {
  const wanted = $("find").value.toLowerCase();
  for (const box of $("classes").children) box.hidden = !box.textContent.toLowerCase().includes(wanted);
}

// ---- the image that is upscaled

// Elsewhere on the page, too: a browser would open the file instead of the page.
function onDragOver(event) {
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  showDropTarget(true);
}

function takeDropped(event) {
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  showDropTarget(false);
  if (!model()?.upscales || !event.dataTransfer.files.length) return;
  const files = new DataTransfer();
  files.items.add(event.dataTransfer.files[0]);
  $("file").files = files.files;
}

function showDropTarget(isTarget) {
  $("drop").classList.toggle("target", isTarget);
}

// The bytes of a file in base64.
function readFile(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Error("The file cannot be read."));
    reader.readAsDataURL(file);
  });
}

async function addSource(body) {
  const [file] = $("file").files;
  const image = await readFile(file);
  const most = model().limits.body;
  if (image.length + 1000 > most) throw new Error(`The file is too large: at most ${Math.floor((most * 3) / 4 / 2 ** 20)} MiB.`);
  return { ...body, image };
}

// ---- generation

function requestBody() {
  const chosen = model();
  const body = {
    model: chosen.id,
    seed: Number($("seed").value),
    sampler: $("sampler").value,
    steps: Number($("steps").value),
    time_grid: $("time_grid").value,
    guidance: Number($("guidance").value),
    guidance_interval: [Number($("guided-from").value), Number($("guided-to").value)],
    guidance_rescale: Number($("guidance_rescale").value),
    threshold: Number($("threshold").value),
    response: "stream",
  };
  if (chosen.upscales) body.noise_level = Number($("noise_level").value);
  else Object.assign(body, { count: Number($("count").value), noise: $("noise").value });
  if (!$("order").disabled) body.order = Number($("order").value);
  const label = document.querySelector("[name=class]:checked")?.value;
  if (label) body.class = Number(label); // none: it is unknown
  return body;
}

async function generate() {
  stop();
  const { upscales } = model();
  let body = requestBody();
  const current = (job = { abort: new AbortController(), images: [], cells: [], source: upscales && $("file").files[0], upscales });
  prepareGrid(body);
  if (matchMedia("(max-width: 46rem)").matches) $("results").scrollIntoView();
  showStatus("Sending the request …");
  try {
    if (upscales) body = await addSource(body);
    const response = await send(upscales ? "v1/upscale" : "v1/images", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal: current.abort.signal,
    });
    for await (const [name, content] of readEvents(response)) handleEvent(current, name, content, body);
  } catch (problem) {
    if (job !== current) return; // replaced by a newer request
    if (problem.name === "AbortError") showStatus("Stopped.");
    else showStatus(problem.message, true);
  }
  if (job === current) finishJob();
}

async function* readEvents(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read().catch(onLost);
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const match = block.match(/^event: (.*)\ndata: (.*)$/);
      if (match) yield [match[1], JSON.parse(match[2])];
    }
  }
}

function handleEvent(current, name, content, body) {
  if (name === "job") Object.assign(current, content);
  if (name === "progress") showProgress(content);
  if (name === "preview") showImage(current.cells[content.index], `data:image/png;base64,${content.image}`, content.step / body.steps);
  if (name === "image") showFinished(current, content);
  if (name === "done") showStatus(`${content.pictures} ${content.pictures === 1 ? "image" : "images"}, seed ${current.settings.seed}.`);
  if (name === "error") showStatus(content.message, true);
}

function prepareGrid(body) {
  job.cells = Array.from({ length: body.count ?? 1 }, (_, index) => {
    const cell = document.createElement("button");
    cell.type = "button";
    cell.setAttribute("aria-busy", "true");
    cell.setAttribute("aria-label", `Image ${index}, in progress`);
    cell.disabled = true;
    cell.append(Object.assign(document.createElement("img"), { alt: "" }));
    cell.onclick = () => openImage(index);
    return cell;
  });
  $("grid").classList.toggle("pair", Boolean(job.source));
  $("grid").replaceChildren(...(job.source ? [sourceFigure(job.source)] : []), ...job.cells.map((cell) => withCaption(cell)));
  $("after").hidden = true;
  $("progress").hidden = false;
  $("progress").value = 0;
  $("stop").disabled = false;
}

function sourceFigure(file) {
  const image = Object.assign(document.createElement("img"), { alt: "The smaller image, which this browser cannot show" });
  image.onload = () => {
    image.alt = "The smaller image";
    URL.revokeObjectURL(image.src);
    $("grid").style.setProperty("--shape", `${image.naturalWidth} / ${image.naturalHeight}`);
    showSharp(image);
    caption.textContent = `${file.name}, ${image.naturalWidth} × ${image.naturalHeight}`;
  };
  image.src = URL.createObjectURL(file);
  const figure = document.createElement("figure");
  const caption = term("figcaption", file.name);
  figure.append(image, caption);
  return figure;
}

function withCaption(cell) {
  if (!job.source) return cell;
  const figure = document.createElement("figure");
  figure.append(cell, term("figcaption", "upscaled"));
  const [image] = cell.children;
  image.onload = () => {
    showSharp(image);
    figure.lastChild.textContent = `upscaled, ${image.naturalWidth} × ${image.naturalHeight}`;
  };
  return figure;
}

// An image that is shown larger than it is shows its pixels; one shown smaller is smoothed.
function showSharp(image) {
  image.classList.toggle("sharp", image.naturalWidth < image.clientWidth);
}

function showImage(cell, source, done) {
  cell.firstChild.src = source;
  cell.style.setProperty("--done", done);
}

function showFinished(current, content) {
  const cell = current.cells[content.index];
  const from = current.source ? current.source.name.replace(/\.[^.]*$/, "") : "";
  current.images[content.index] = { ...content, from, upscales: current.upscales };
  showImage(cell, `data:image/png;base64,${content.image}`, 1);
  cell.setAttribute("aria-busy", "false");
  cell.setAttribute("aria-label", `Image ${content.index}${content.class ? `, ${content.class}` : ""}: show its settings`);
  cell.disabled = false;
}

function showProgress(content) {
  $("progress").value = content.step / content.steps;
  if (content.state === "waiting") showStatus(`Waiting in the queue; ${content.place} ahead.`);
  else if (job.source) showStatus(`Upscaling: ${Math.round((100 * content.step) / content.steps)} %.`);
  else showStatus(`Generating: ${content.pictures} finished, ${Math.round((100 * content.step) / content.steps)} %.`);
}

function finishJob() {
  $("stop").disabled = true;
  $("progress").hidden = true;
  for (const cell of job.cells) if (cell.disabled) (cell.closest("figure") || cell).remove();
  $("after").hidden = job.images.length === 0;
  $("all").textContent = job.cells.length === 1 ? "Download" : "Download all";
  $("command").textContent = job.command || "";
  $("copied").textContent = "";
}

function stop() {
  if (job) job.abort.abort();
}

function showStatus(text, isError = false) {
  $("status").textContent = text;
  $("status").classList.toggle("error", isError);
}

// ---- finished images

function decodeImage(image) {
  return Uint8Array.from(atob(image.image), (letter) => letter.charCodeAt(0));
}

function fileName(image) {
  const stem = (image.from || image.class || "image").replace(/[^\p{L}\p{M}\p{N}_.-]+/gu, "-");
  if (image.from) return `${stem}-${image.upscales}x.png`;
  return `${stem}-${image.seed}-${String(image.index).padStart(6, "0")}.png`;
}

function openImage(index) {
  const image = job.images[index];
  shownIndex = index;
  $("large").src = `data:image/png;base64,${image.image}`;
  $("large").alt = `Image ${index}${image.class ? `, ${image.class}` : ""}`;
  const interval = job.settings.guidance_interval;
  const levels = interval.join() === "0,1" ? undefined : `noise levels ${interval.join(" to ")}`;
  const notes = { index, ...job.settings, model: job.settings.run, guidance_interval: levels };
  const lines = ["index", ...Object.keys(SETTING_NAMES)].filter((key) => notes[key] !== "" && notes[key] !== undefined);
  $("notes").replaceChildren(...lines.flatMap((key) => [term("dt", SETTING_NAMES[key] || key), term("dd", notes[key])]));
  $("download").href = $("large").src;
  $("download").download = fileName(image);
  $("previous").hidden = $("next").hidden = job.images.filter(Boolean).length < 2;
  if (!$("detail").open) $("detail").showModal();
}

function term(kind, text) {
  return Object.assign(document.createElement(kind), { textContent: text });
}

function showNext(by) {
  const finished = job.images.filter(Boolean);
  const position = finished.findIndex((image) => image.index === shownIndex);
  openImage(finished[(position + by + finished.length) % finished.length].index);
}

function downloadAll() {
  const files = job.images.filter(Boolean).map((image) => [fileName(image), decodeImage(image)]);
  const isAlone = job.cells.length === 1;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(isAlone ? new Blob([files[0][1]], { type: "image/png" }) : zip(files));
  link.download = isAlone ? files[0][0] : `${job.settings.run}-${job.settings.seed}.zip`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

async function copyCommand() {
  try {
    await navigator.clipboard.writeText(job.command);
    $("copied").textContent = "Copied.";
  } catch {
    getSelection().selectAllChildren($("command"));
    $("copied").textContent = "Selected; press Ctrl-C to copy it.";
  }
}

// ---- keys and buttons

function rollSeed() {
  $("seed").value = crypto.getRandomValues(new Uint32Array(1))[0] >>> 1;
}

function onKey(event) {
  const typing = event.target.matches("input:not([type=radio]), select");
  if ($("detail").open && event.key === "ArrowRight") showNext(1);
  else if ($("detail").open && event.key === "ArrowLeft") showNext(-1);
  else if ($("detail").open || $("ask").open) return; // the page below is inert, for the mouse too
  else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
  else if (event.key === "Escape") stop();
  else if (event.key.toLowerCase() === "d" && !typing && !event.ctrlKey && !event.metaKey) rollSeed();
}

readToken();
$("model").onchange = showModel;
$("sampler").onchange = changeSampler;
$("more").oninput = showChanged;
$("reset").onclick = useDefaults;
$("more").addEventListener("invalid", () => ($("more").open = true), true); // to show what is wrong
$("find").oninput = findClass;
$("dice").onclick = rollSeed;
$("form").onsubmit = (event) => (event.preventDefault(), generate());
$("stop").onclick = stop;
$("all").onclick = downloadAll;
$("copy").onclick = copyCommand;
$("previous").onclick = () => showNext(-1);
$("next").onclick = () => showNext(1);
$("close").onclick = () => $("detail").close();
document.addEventListener("keydown", onKey);
document.addEventListener("dragover", onDragOver);
document.addEventListener("dragleave", (event) => event.relatedTarget || showDropTarget(false));
document.addEventListener("drop", takeDropped);
addEventListener("hashchange", readNewToken);
loadModels().catch((problem) => showStatus(problem.message, true));
