// The pages as a person uses them, on a system that ./scripts/up has started.
import AxeBuilder from "@axe-core/playwright";
import { expect, test } from "@playwright/test";
import { spawn } from "node:child_process";

const { BROKERS, FLOOD, NOTIFICATION, INVENTORY, TOKEN, SCREENSHOTS } = process.env;

// Console errors of the page under test; the browser itself reports failed requests there, too.
let errors;
let expected;
test.beforeEach(({ page }) => {
  [errors, expected] = [[], []];
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(String(error)));
});
test.afterEach(() => {
  const unexpected = errors.filter((error) => !expected.some((pattern) => pattern.test(error)));
  expect(unexpected).toEqual([]);
});

async function accessible(page) {
  const { violations } = await new AxeBuilder({ page }).exclude("iframe").analyze();
  const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  expect(serious.map(({ id, nodes }) => `${id}: ${nodes[0].html}`)).toEqual([]);
}

async function picture(page, name) {
  if (SCREENSHOTS) await page.screenshot({ path: `${SCREENSHOTS}/${name}.png`, animations: "disabled" });
}

// Sends an operator's request to a service.
async function operate(request, url, method, data) {
  const answer = await request.fetch(url, { method, data, headers: { authorization: `Bearer ${TOKEN}` } });
  expect(answer.ok()).toBeTruthy();
  return answer.json();
}

// Returns the link of the open mail whose address has this part. The mail's frame runs no script, not even the test's.
async function mailLink(page, request, part) {
  await expect(page.locator("iframe")).toBeVisible();
  const html = await (await request.get(NOTIFICATION + (await page.locator("iframe").getAttribute("src")))).text();
  expect(html).toContain('<base target="_blank">');
  const links = [...html.matchAll(/href="([^"]+)"/g)].map(([, link]) => link.replaceAll("&amp;", "&"));
  return links.find((link) => link.includes(part));
}

async function order(page, sku, email) {
  await page.goto(`/products/${sku}`);
  const form = page.locator("[data-form=order]");
  await form.getByLabel("E-mail").fill(email);
  await form.getByRole("button", { name: "Place the order" }).click();
  await page.waitForURL(/\/orders\//);
}

const steps = (page, id) => page.locator(`[data-step=${id}]`);
async function act(page, id, button) {
  const step = steps(page, id);
  if (!(await step.locator("details").evaluate((details) => details.open))) await step.locator("summary").click();
  await step.getByRole("button", { name: button }).click();
  return step.locator(".check");
}

test("a person buys, and watches the order's states arrive", async ({ page }) => {
  await page.goto("/");
  await expect(page.locator(".product")).not.toHaveCount(0);
  await accessible(page);
  await picture(page, "shop");
  await order(page, "mug-stoneware", "ada@example.com");
  await expect(page.locator(".station.done")).toHaveCount(7);
  await expect(page.locator(".station .place").first()).toHaveText(/^orders\[\d+\]@\d+$/);
  await accessible(page);
  await picture(page, "order");
});

test("a declined card is seen to release the stock", async ({ page }) => {
  await page.goto("/products/mug-stoneware");
  const form = page.locator("[data-form=order]");
  await form.getByLabel("E-mail").fill("ada@example.com");
  await form.getByLabel("Test card").selectOption("pm_card_chargeDeclined");
  await form.getByRole("button", { name: "Place the order" }).click();
  await expect(page.locator(".station.refused", { hasText: "Payment authorized" })).toContainText("declined");
  await expect(page.locator(".station.refused", { hasText: "Stock committed" })).toContainText("released");
  await expect(page.locator(".station", { hasText: "Payment captured" })).toContainText("not needed");
  await expect(page.getByRole("button", { name: "Cancel this order" })).toBeHidden();
});

test("sold out, notified, bought by the mail's link, converted", async ({ page, request }) => {
  // Playwright tries to run scripts in every frame.
  expected = [/Blocked script execution/];
  const email = `grace${Date.now()}@example.com`;
  const [sku, start] = ["pen-limited", `${INVENTORY}/products/pen-limited`];
  const report = async () => {
    const { items } = await operate(request, `${NOTIFICATION}/reports/notify-me`, "GET");
    return items.find((item) => item.sku === sku) ?? { waiting: 0, notified: 0, converted: 0 };
  };
  await operate(request, `${start}/stock`, "PUT", { on_hand: 0 });
  const before = await report();
  await page.goto(`/products/${sku}`);
  const form = page.locator("[data-form=notify]");
  await form.getByLabel("E-mail").fill(email);
  await form.getByRole("button", { name: "Notify me" }).click();
  await expect(form.locator(".answer")).toContainText("open the inbox");

  await form.getByRole("link", { name: "the inbox" }).click();
  await page.getByRole("link", { name: /^Please confirm/ }).first().click();
  await accessible(page);
  await page.goto(await mailLink(page, request, "/subscriptions/confirm"));
  await page.getByRole("button").first().click();
  await expect.poll(async () => (await report()).waiting).toBeGreaterThan(before.waiting);

  await operate(request, `${start}/restock`, "POST", { quantity: 3 });
  await page.goto(`${NOTIFICATION}/inbox`);
  await expect(page.getByRole("link", { name: /^Fountain pen.* is back/ }).first()).toBeVisible();
  await page.getByRole("link", { name: /^Fountain pen.* is back/ }).first().click();
  // The mail's page counts the click, and goes on to the shop.
  await page.goto(await mailLink(page, request, "/c/"));
  await page.waitForURL(/\/products\/pen-limited\?claim=/);
  await page.locator("[data-form=order]").getByLabel("E-mail").fill(email);
  await page.getByRole("button", { name: "Place the order" }).click();
  await expect(page.locator(".station.done")).toHaveCount(7);
  await expect.poll(async () => (await report()).converted).toBe(before.converted + 1);
});

test("payment is killed by a click, its lag grows, and it catches up", async ({ page }) => {
  await page.goto("/board");
  await expect(page.locator("#group-payment .member")).toContainText("payment-1");
  await accessible(page);
  for (const width of [1280, 375]) {
    await page.setViewportSize({ width, height: 900 });
    const clipped = await page.locator(".cell").evaluateAll((cells) => cells.filter((cell) => cell.scrollWidth > cell.clientWidth).length);
    expect(clipped, `cells whose number is cut off at ${width} px`).toBe(0);
  }
  await page.setViewportSize({ width: 1720, height: 1060 });
  await act(page, "down", "Kill payment");
  await expect(page.locator("#said")).toContainText("payment killed");
  const down = await act(page, "down", "Order three times");
  await expect(down).toHaveText("Holds: three times 202, and payment's lag went from 0 to 3.");
  await expect(page.locator("#group-payment .lag")).toHaveText("lag 3");
  const back = await act(page, "back", "Start payment");
  await expect(back).toHaveText("Holds: lag 0, and the three orders are confirmed.");
});

test("the other sentences of the tour hold", async ({ page }) => {
  test.setTimeout(240_000);
  await page.goto("/board");
  await expect(page.locator("#group-order .member")).toContainText("order-1");
  await expect(await act(page, "publish", "Place an order")).toHaveText(/^Holds: events on/);
  await expect(await act(page, "key", "Order and compare")).toHaveText(/^Holds: orders/);
  await expect(await act(page, "again", "Read again")).toHaveText(/^Holds/, { timeout: 70_000 });
  await expect(await act(page, "share", "Start three instances")).toHaveText("Holds: three members with 4, 4, 4 partitions.", { timeout: 40_000 });
  await expect(await act(page, "raft", "Ask the quorum")).toHaveText(/^Holds: the quorum's leader/);
  await expect(await act(page, "agree", "Stop Kafka and order")).toHaveText(/^Half of it holds: 202/);
  await expect(page.locator("[data-now=kafka]")).toHaveText("away");
  await expect(await act(page, "agree", "Start Kafka")).toHaveText(/^Holds/, { timeout: 70_000 });
});

test("an event opens with its headers, its value and its key's history", async ({ page }) => {
  await order(page, "notebook-linen", "ada@example.com");
  await expect(page.locator(".station.done")).toHaveCount(7);
  await page.goto("/board");
  await page.locator("[data-topic=payments] .chip").last().click();
  const detail = page.locator("#detail");
  await expect(detail).toBeVisible();
  await expect(detail).toContainText("ce_sequence");
  await expect(detail.getByRole("link", { name: "order.placed.v1" })).toBeVisible();
  await accessible(page);
  await detail.getByRole("link", { name: "order.placed.v1" }).click();
  await expect(detail.locator("h1")).toHaveText("order.placed.v1");
  await page.keyboard.press("Escape");
  await expect(detail).toBeHidden();
});

test("the board stays readable and small with 2,000 events per second", async ({ page }) => {
  const heap = async () => {
    const session = await page.context().newCDPSession(page);
    await session.send("HeapProfiler.collectGarbage");
    const { usedSize } = await session.send("Runtime.getHeapUsage");
    return usedSize / 1e6;
  };
  await page.goto("/board");
  await expect(page.locator("[data-now=kafka]")).toHaveText("up");
  const flood = spawn(FLOOD, [BROKERS, "notifications", "2000", "20"], { stdio: "inherit" });
  const ended = new Promise((resolve) => flood.on("exit", resolve));
  const rate = async () => Number(await page.locator("[data-now=rate]").textContent());
  await expect(page.locator("[data-topic=notifications] .chip", { hasText: "×" })).not.toHaveCount(0);
  await expect.poll(rate, { timeout: 15_000 }).toBeGreaterThan(1500);
  const before = await heap();
  await picture(page, "board");
  expect(await ended).toBe(0);
  const after = await heap();
  console.log(`the page's heap: ${before.toFixed(1)} MB in the flood, ${after.toFixed(1)} MB after 40,000 events`);
  expect(after).toBeLessThan(before + 10);
  expect(await page.locator(".chip").count()).toBeLessThan(700);
  await accessible(page);
});

test("the operator restocks, and sees queues and mails", async ({ page }) => {
  await page.goto("/operator");
  await accessible(page);
  expected = [/401/];
  await page.getByLabel("Operator's token").fill("wrong-token-0123456789");
  await page.getByRole("button", { name: "Open" }).click();
  await expect(page.locator("#token .answer")).toContainText("not an operator's token");
  await page.getByLabel("Operator's token").fill(TOKEN);
  await page.getByRole("button", { name: "Open" }).click();
  const row = page.locator("[data-table=products] tr", { hasText: "chair-oak" });
  const before = Number(await row.locator("td").nth(1).textContent());
  await row.getByLabel("Restock chair-oak").fill("2");
  await row.getByRole("button", { name: "Restock" }).click();
  await expect(row.locator("td").nth(1)).toHaveText(String(before + 2));
  await expect(page.locator("[data-table=queues]")).toContainText("payment");
  await expect(page.locator("[data-table=notifications]")).toContainText("***@example.com");
  await accessible(page);
});

test("a foreign page can neither frame the board nor send it commands", async ({ page, baseURL }) => {
  expected = [/./];
  await page.route("http://evil.example/", (route) =>
    route.fulfill({ contentType: "text/html", body: `<iframe src="${baseURL}/board"></iframe>` }));
  await page.goto("http://evil.example/");
  const outcome = await page.evaluate(async (url) => {
    try {
      const answer = await fetch(`${url}/control`, { method: "POST", headers: { "content-type": "application/json" }, body: '{"command":"kill","name":"order"}' });
      return answer.status;
    } catch (error) {
      return String(error);
    }
  }, baseURL);
  expect(outcome).toContain("Failed to fetch");
  await expect(page.frameLocator("iframe").locator("main")).toHaveCount(0);
});

test("the pages work on a phone, by keyboard, and are readable without scripts", async ({ browser, page }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  for (const path of ["/", "/products/mug-stoneware", "/board", "/operator"]) {
    await page.goto(path);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    expect(wide, `${path} scrolls sideways`).toBe(false);
  }
  await page.goto("/");
  await page.keyboard.press("Tab");
  await expect(page.locator(":focus")).toHaveText("Skip to the content");
  await page.locator(".product a").first().focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/products\//);

  const context = await browser.newContext({ javaScriptEnabled: false });
  const plain = await context.newPage();
  await plain.goto("/");
  await expect(plain.locator(".product").first()).toContainText("EUR");
  await plain.goto("/board");
  await expect(plain.locator("#group-payment")).toContainText("lag");
  await expect(plain.locator(".chip").first()).toBeVisible();
  await context.close();
});
