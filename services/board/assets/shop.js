// The storefront's forms. They send orders and subscriptions to the services themselves; this page's server calls none.
"use strict";

const site = JSON.parse(document.body.dataset.site);
// Without this script the forms would send nothing.
for (const button of document.querySelectorAll("form button:disabled")) button.disabled = false;

// Returns what a problem document says, for people.
const explain = (problem) =>
  problem.errors ? problem.errors.map((error) => `${error.pointer} ${error.detail}`).join("; ") : problem.detail || problem.title;

// Sends JSON to a service; returns the answer's body, or throws an error for people.
async function post(service, path, body, headers = {}) {
  const request = { method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(site.services[service] + path, request);
  } catch {
    throw new Error(`The ${service} service does not answer. Is it killed? ./scripts/start ${service}`);
  }
  const text = await answer.text();
  const value = text ? JSON.parse(text) : {};
  if (!answer.ok) throw Object.assign(new Error(explain(value)), { isRefusal: true });
  return value;
}

async function order(form) {
  const fields = new FormData(form);
  const body = {
    email: fields.get("email"),
    items: [{ sku: form.closest("[data-sku]").dataset.sku, quantity: Number(fields.get("quantity")) }],
    payment_method: fields.get("payment_method"),
    notify_me: fields.has("notify_me"),
  };
  if (fields.get("claim")) body.claim = fields.get("claim");
  // A retry after a lost answer is the same order.
  form.dataset.key ||= crypto.randomUUID();
  const placed = await post("order", "/orders", body, { "idempotency-key": form.dataset.key });
  delete form.dataset.key;
  sessionStorage.setItem(`cancel ${placed.id}`, placed.cancel_token);
  location.assign(`/orders/${placed.id}`);
  return ["Accepted."];
}

async function subscribe(form) {
  const email = new FormData(form).get("email");
  await post("notification", "/subscriptions", { email, sku: form.closest("[data-sku]").dataset.sku });
  if (!site.inbox) return ["Almost done: a mail asks you to confirm your address."];
  const inbox = Object.assign(document.createElement("a"), { href: site.inbox, textContent: "the inbox" });
  return ["Almost done: open ", inbox, " and confirm your address."];
}

for (const form of document.querySelectorAll("[data-form]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [said, button] = [form.querySelector(".answer"), form.querySelector("button")];
    button.disabled = true;
    said.classList.remove("bad");
    try {
      said.replaceChildren(...(await (form.dataset.form === "order" ? order(form) : subscribe(form))));
    } catch (error) {
      if (error.isRefusal) delete form.dataset.key;
      said.classList.add("bad");
      said.textContent = error.message;
    }
    button.disabled = false;
  });
}

document.addEventListener("stock", (event) => {
  const offer = JSON.parse(event.detail.data);
  for (const place of document.querySelectorAll(`[data-sku="${CSS.escape(offer.sku)}"]`)) {
    const [stock, form] = [place.querySelector("[data-stock]"), place.querySelector("[data-form=notify]")];
    const out = form ? "Sold out" : "Sold out: notify me";
    stock.textContent = offer.available > 0 ? `${offer.available} in stock` : out;
    stock.classList.toggle("out", offer.available <= 0);
    if (form) form.hidden = offer.available > 0 && !form.querySelector(".answer").textContent;
  }
});

const shown = document.querySelector("[data-order]");
if (shown) {
  const [id, button, said] = [shown.dataset.order, document.querySelector("[data-cancel]"), document.querySelector(".answer")];
  const token = sessionStorage.getItem(`cancel ${id}`);
  const showButton = () => (button.hidden = !token || document.querySelector("#order .cancelled") !== null);
  showButton();
  new MutationObserver(showButton).observe(shown, { childList: true, subtree: true });
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await post("order", `/orders/${id}/cancel`, undefined, { authorization: `Bearer ${token}` });
      said.textContent = "The cancellation is accepted; what follows is above.";
    } catch (error) {
      said.textContent = error.message;
    }
  });
}
