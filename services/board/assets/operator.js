// The operator's page. The browser asks the services with the token, which is kept for this tab alone.
"use strict";

const site = JSON.parse(document.body.dataset.site);
const form = document.querySelector("#token");
const said = form.querySelector(".answer");
let token = sessionStorage.getItem("operator");

// Asks a service as the operator; returns the answer's body, or throws an error for people.
async function ask(service, path, method = "GET", body = undefined) {
  const headers = { authorization: `Bearer ${token}`, ...(body && { "content-type": "application/json" }) };
  const request = { method, headers, body: body && JSON.stringify(body) };
  const answer = await fetch(site.services[service] + path, request).catch(() => null);
  if (!answer) throw new Error(`The ${service} service does not answer: ./scripts/start ${service}`);
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.errors?.[0]?.detail ?? value.detail);
  return value;
}

const make = (name, props = {}, ...children) => {
  const element = Object.assign(document.createElement(name), props);
  element.append(...children);
  return element;
};

// Shows rows as a table: `columns` are pairs of a heading and a function that returns a cell's content.
function show(place, columns, rows) {
  const head = make("tr", {}, ...columns.map(([heading]) => make("th", { scope: "col" }, heading)));
  const body = rows.map((row) => make("tr", {}, ...columns.map(([, cell]) => make("td", {}, cell(row) ?? ""))));
  const table = make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
  const scroll = make("div", { className: "scroll", tabIndex: 0 }, rows.length ? table : "Nothing yet.");
  document.querySelector(`[data-table=${place}]`).replaceChildren(scroll);
}

// Returns a form with one number that changes a product's stock.
function change(label, sku, path, method, field) {
  const number = make("input", { type: "number", min: 0, max: 1000000, required: true, ariaLabel: `${label} ${sku}` });
  const answer = make("span", { className: "answer", role: "status" });
  const form = make("form", { className: "inline" }, number, make("button", {}, label), answer);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await ask("inventory", `/products/${encodeURIComponent(sku)}/${path}`, method, { [field]: Number(number.value) });
      await products();
      document.querySelector("#done").textContent = `${label} ${sku}: done.`;
    } catch (error) {
      answer.textContent = error.message;
    }
  });
  return form;
}

async function products() {
  const { items } = await ask("inventory", "/products?limit=200");
  show("products", [
    ["Product", (row) => `${row.name} (${row.sku})`],
    ["Available", (row) => row.available],
    ["Restock", (row) => change("Restock", row.sku, "restock", "POST", "quantity")],
    ["Stock-take", (row) => change("Set on hand", row.sku, "stock", "PUT", "on_hand")],
  ], items);
}

async function report() {
  const { items } = await ask("notification", "/reports/notify-me?limit=200");
  const names = ["sku", "waiting", "notified", "clicked", "converted", "bought", "units"];
  show("report", names.map((name) => [name, (row) => row[name]]), items);
}

async function notifications() {
  const { items } = await ask("notification", "/notifications?limit=50");
  show("notifications", [
    ["Time", (row) => row.created_at.slice(11, 19)],
    ["Kind", (row) => row.kind.replaceAll("_", " ")],
    ["To", (row) => row.recipient],
    ["Status", (row) => row.status.replaceAll("_", " ")],
    ["Cause", (row) => row.cause],
    ["Attempts", (row) => row.attempts],
  ], items);
}

// Sums the values of a metric, over all its labels.
const sum = (metrics, name) =>
  metrics.split("\n").filter((line) => line.startsWith(name)).reduce((total, line) => total + Number(line.split(" ").at(-1)), 0);

async function queues() {
  const rows = await Promise.all(Object.entries(site.ops).map(async ([service, url]) => {
    const metrics = await fetch(`${url}/metrics`).then((answer) => answer.text()).catch(() => null);
    return { service, metrics };
  }));
  const value = (name) => ({ metrics }) => (metrics === null ? "does not answer" : sum(metrics, name));
  show("queues", [
    ["Service", (row) => row.service],
    ["Events in the outbox", value("outbox_depth")],
    ["Lag", value("consumer_lag")],
    ["Dead letters since its start", value("dead_letters_total")],
  ], rows);
}

async function open() {
  try {
    await Promise.all([products(), report(), notifications(), queues()]);
    document.querySelector("#office").hidden = false;
    form.hidden = true;
  } catch (error) {
    sessionStorage.removeItem("operator");
    said.textContent = error.message;
    said.classList.add("bad");
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  token = new FormData(form).get("token").trim();
  sessionStorage.setItem("operator", token);
  open();
});
if (token) open();
// The stock is left alone while somebody types into its table.
const typing = () => [...document.querySelectorAll("[data-table=products] input")].some((input) => input.value || input === document.activeElement);
const refresh = () => Promise.all([report(), notifications(), queues(), typing() || products()]);
setInterval(() => !document.querySelector("#office").hidden && refresh().catch(() => {}), 3000);
