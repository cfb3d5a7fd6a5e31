// The live board: chips in lanes, figures, the plot, and the buttons. The server coalesces events; this page keeps at most
// PER_LANE chips in each lane and a minute of the plot, whatever arrives.
"use strict";

const site = JSON.parse(document.body.dataset.site);
const PER_LANE = 6;
const MINUTE = 60;
const TOPICS = ["orders", "payments", "reservations", "stock", "products", "notifications"];
const COLOURS = ["#2563eb", "#7c3aed", "#059669", "#db2777", "#64748b", "#c2410c"];

const one = (selector) => document.querySelector(selector);
const set = (selector, text) => {
  const element = one(selector);
  if (element && element.textContent !== String(text)) element.textContent = text;
};
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const say = (text) => (one("#said").textContent = text);

// Without this script the buttons would do nothing.
for (const field of document.querySelectorAll("button:disabled, select:disabled")) field.disabled = false;

// The latest frame, for the tour.
const board = { frame: null, chips: [] };

// --- Lanes -----------------------------------------------------------------------------------------------------------------

const lanes = new Map();
for (const lane of document.querySelectorAll("[data-lane]")) {
  lanes.set(`${lane.closest("[data-topic]").dataset.topic}/${lane.dataset.lane}`, lane.querySelector(".chips"));
}

function addChip(chip) {
  const lane = lanes.get(`${chip.topic}/${chip.partition}`);
  if (!lane) return;
  const link = document.createElement("a");
  link.className = `chip new h${chip.hue}`;
  link.href = `/events/${chip.topic}/${chip.partition}/${chip.offset}`;
  link.tabIndex = -1;
  const several = chip.count > 1 ? `, the latest of ${chip.count} events` : "";
  link.title = `${chip.label}, offset ${chip.offset}, key ${chip.subject}${several}`;
  const [offset, key] = [document.createElement("b"), document.createElement("i")];
  [offset.textContent, key.textContent] = [chip.offset, chip.subject.slice(-4)];
  link.append(chip.count > 1 ? `${chip.label} ×${chip.count} ` : `${chip.label} `, offset, " ", key);
  lane.append(link);
  while (lane.children.length > PER_LANE) lane.firstElementChild.remove();
}

const detail = one("#detail");
document.addEventListener("click", async (event) => {
  const link = event.target.closest("a.chip, #detail a[href^='/events/']");
  if (!link || event.metaKey || event.ctrlKey) return;
  event.preventDefault();
  const answer = await fetch(link.href, { headers: { "hx-request": "true" } });
  const close = document.createElement("button");
  Object.assign(close, { type: "button", className: "close", textContent: "Close" });
  close.addEventListener("click", () => detail.close());
  if (answer.ok) detail.innerHTML = await answer.text();
  else detail.textContent = "The board does not keep this event any more: it keeps only the latest ones.";
  detail.prepend(close);
  if (!detail.open) detail.showModal();
});
detail.addEventListener("click", (event) => event.target === detail && detail.close());

// --- Figures and plot ------------------------------------------------------------------------------------------------------

const seconds = JSON.parse(one("#plot").dataset.minute);
const columns = [[], ...TOPICS.map(() => [])];
function addSecond(second, rates) {
  columns[0].push(second);
  TOPICS.forEach((topic, index) => columns[index + 1].push(rates[topic] || 0));
  for (const column of columns) if (column.length > MINUTE) column.shift();
}
seconds.forEach(([second, rates]) => addSecond(second, rates));

const clock = (second) => new Date(second * 1000).toISOString().slice(11, 19);
const size = () => ({ width: one("#plot").clientWidth, height: 150 });
const plot = new uPlot(
  {
    ...size(),
    legend: { live: false },
    cursor: { show: false },
    scales: { x: { time: true }, y: { range: (_, low, high) => [0, Math.max(10, high * 1.1)] } },
    axes: [{ stroke: "#475569", grid: { show: false }, values: (_, at) => at.map(clock) }, { stroke: "#475569", size: 60, grid: { stroke: "#e2e8f0" } }],
    series: [{}, ...TOPICS.map((label, index) => ({ label, stroke: COLOURS[index], width: 2, points: { show: false } }))],
  },
  columns,
  one("#plot"),
);
addEventListener("resize", () => plot.setSize(size()));

const CAPTION = "A chip is an event with its offset and the end of its key; ×3 stands for three. Same colour, same order or product.";
document.addEventListener("frame", (event) => {
  const frame = JSON.parse(event.detail.data);
  board.frame = frame;
  frame.chips.forEach(addChip);
  board.chips = [...board.chips, ...frame.chips].slice(-500);
  const total = Object.values(frame.rates).reduce((sum, rate) => sum + rate, 0);
  set("[data-now=rate]", total);
  set("[data-now=lag]", Object.values(frame.groups).reduce((sum, group) => sum + group.lag, 0));
  set("[data-now=kafka]", frame.kafka ? "up" : "away");
  one("[data-now=kafka]").classList.toggle("bad", !frame.kafka);
  set("[data-now=note]", `${CAPTION} The board keeps the latest ${frame.kept} events.`);
  for (const topic of document.querySelectorAll("[data-topic]")) {
    const name = topic.dataset.topic;
    const rate = topic.querySelector("[data-rate]");
    if (rate) rate.textContent = frame.rates[name] || 0;
    const arrived = frame.chips.reduce((sum, chip) => sum + (chip.topic === name ? chip.count : 0), 0);
    if (arrived) {
      const records = topic.querySelector("[data-records]");
      records.textContent = Number(records.textContent) + arrived;
      topic.hidden = false;
    }
  }
  const second = Math.floor(frame.now / 1000) - 1;
  if (columns[0].at(-1) !== second) {
    addSecond(second, frame.rates);
    plot.setData(columns);
  }
});

// --- Orders ----------------------------------------------------------------------------------------------------------------

const CARDS = ["pm_card_visa", "pm_card_visa", "pm_card_visa", "pm_card_chargeDeclined"];
const pick = (from) => from[Math.floor(Math.random() * from.length)];

// Returns the product of which most are in stock.
async function inStock() {
  const answer = await fetch(`${site.services.inventory}/products?limit=200`).catch(() => null);
  const { items } = answer?.ok ? await answer.json() : { items: [] };
  const most = items.reduce((most, item) => (item.available > (most?.available ?? 0) ? item : most), null);
  if (answer && !most) throw new Error("Everything is sold out: restock on the operator's page.");
  // Without inventory an order is taken all the same.
  return most?.sku ?? "notebook-linen";
}

// Places an order; returns its id, or throws an error for people.
async function placeOrder(card = "pm_card_visa", sku = undefined) {
  sku ??= await inStock();
  const body = { email: "ada@example.com", items: [{ sku, quantity: 1 }], payment_method: card, notify_me: false };
  const request = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(`${site.services.order}/orders`, request).catch(() => null);
  if (!answer) throw new Error("The order service does not answer: ./scripts/start order");
  const order = await answer.json();
  if (answer.status !== 202) throw new Error(`The order was refused with ${answer.status}: ${order.detail}`);
  return order.id;
}

one("[data-order]").addEventListener("click", async () => {
  try {
    const id = await placeOrder();
    const link = document.createElement("a");
    Object.assign(link, { href: `/orders/${id}`, textContent: `order ${id}` });
    one("#said").replaceChildren("202 Accepted: ", link);
  } catch (error) {
    say(error.message);
  }
});

const RUSH = { perSecond: 20, seconds: 30 };
one("[data-rush]").addEventListener("click", async ({ currentTarget: button }) => {
  button.disabled = true;
  let [sent, accepted, sku] = [0, 0, "notebook-linen"];
  const started = Date.now();
  while (sent < RUSH.perSecond * RUSH.seconds) {
    if (sent % RUSH.perSecond === 0) {
      sku = await inStock().catch(() => sku);
      say(`Rush hour: ${sent} orders sent, ${accepted} accepted.`);
    }
    sent++;
    placeOrder(pick(CARDS), sku).then(() => accepted++, () => {});
    // By the clock, so that a slow page catches up.
    await wait(started + (sent * 1000) / RUSH.perSecond - Date.now());
  }
  await wait(1000);
  say(`Rush hour is over: ${sent} orders sent, ${accepted} accepted. Every fourth card is declined, and its stock released.`);
  button.disabled = false;
});

// --- Buttons ---------------------------------------------------------------------------------------------------------------

// Sends a command to the program behind ./scripts/up; returns its number.
async function send(command) {
  const request = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(command) };
  const answer = await fetch("/control", request);
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.detail);
  return value.number;
}

// Runs a command to its end; returns what it printed.
async function run(command) {
  const number = await send(command);
  for (;;) {
    await wait(250);
    const { commands } = await (await fetch("/control")).json();
    const found = commands.find((one) => one.number === number);
    if (!found) throw new Error("The command is forgotten.");
    say(`$ ${found.typed}\n${found.output ?? "…"}`);
    if (found.output !== null) return found.output;
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-command]");
  if (!button) return;
  button.disabled = true;
  await run({ command: button.dataset.command, name: button.dataset.name }).catch((error) => say(error.message));
  button.disabled = false;
});

const GATEWAY = { up: [0, false], slow: [2000, false], away: [0, true] };
one("[data-gateway]")?.addEventListener("change", ({ target }) => {
  const [latency_ms, outage] = GATEWAY[target.value];
  // Others control the gateway, too, so the board does not show its present state.
  target.value = "";
  run({ command: "gateway", latency_ms, outage }).catch((error) => say(error.message));
});
