// The guided tour: each action does what its button says, then waits for the predicted state and says what it saw.
"use strict";

// Waits until `look` returns a text for people; `otherwise` says what is missing after the time.
async function until(look, otherwise, seconds = 20) {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await wait(250)) {
    const seen = await look();
    if (seen) return seen;
  }
  throw new Error(otherwise());
}

const group = (service) => board.frame?.groups[service] ?? { members: 0, lag: 0, partitions: [] };
const chipsOf = (id) => board.chips.filter((chip) => chip.subject === id);
const statusOf = async (id) => (await (await fetch(`${site.services.order}/orders/${id}`)).json()).status;

// The lag of a group once it is the same for two seconds: what a killed member had read and not committed appears late.
async function steadyLag(service) {
  for (let [lag, same] = [group(service).lag, 0]; ; await wait(250)) {
    same = lag === group(service).lag ? same + 1 : 0;
    lag = group(service).lag;
    if (same === 8) return lag;
  }
}

const number = (selector) => Number(one(selector).textContent);

// How many records of orders notification has read since its start, by its metrics.
async function read() {
  const answer = await fetch(`${site.ops.notification}/metrics`).catch(() => null);
  if (!answer?.ok) throw new Error("notification does not run: start it first.");
  const lines = (await answer.text()).split("\n").filter((line) => line.startsWith("consumer_records_total") && line.includes('topic="orders"'));
  return lines.reduce((total, line) => total + Number(line.split(" ").at(-1)), 0);
}

let three = [];
let withoutKafka = null;

const ACTIONS = {
  async order() {
    const id = await placeOrder();
    return until(
      () => {
        const topics = new Set(chipsOf(id).map((chip) => chip.topic));
        return topics.size >= 4 && `Holds: events on ${[...topics].join(", ")}.`;
      },
      () => `Only on ${chipsOf(id).map((chip) => chip.topic).join(", ") || "no topic"} so far.`,
    );
  },
  "kill-payment": () => run({ command: "kill", name: "payment" }),
  async three() {
    const before = await steadyLag("payment");
    three = await Promise.all([placeOrder(), placeOrder(), placeOrder()]);
    return until(
      () => group("payment").lag - before === 3 && `Holds: three times 202, and payment's lag went from ${before} to ${group("payment").lag}.`,
      () => `Three times 202, but payment's lag went from ${before} to ${group("payment").lag}. Was payment killed?`,
    );
  },
  async "start-payment"() {
    await run({ command: "start", name: "payment" });
    if (three.length === 0) return "payment runs. Kill it and order three times first (the step above): then there is something to catch up on.";
    let states = [];
    return until(
      async () => {
        states = await Promise.all(three.map(statusOf));
        return group("payment").lag === 0 && states.every((state) => state === "confirmed") && "Holds: lag 0, and the three orders are confirmed.";
      },
      () => `payment's lag is ${group("payment").lag}, and the orders are ${states.join(", ")}.`,
      30,
    );
  },
  async share() {
    await run({ command: "start", name: "payment", instances: 3 });
    return until(
      () => {
        const { members, partitions } = group("payment");
        const all = document.querySelectorAll("[data-topic=orders] [data-lane]").length;
        const shared = partitions.reduce((sum, held) => sum + held, 0) === all;
        return members === 3 && shared && Math.max(...partitions) - Math.min(...partitions) <= 1 && `Holds: three members with ${partitions.join(", ")} partitions.`;
      },
      () => `payment has ${group("payment").members} members with ${group("payment").partitions.join(", ")} partitions.`,
      30,
    );
  },
  async key() {
    const id = await placeOrder();
    await until(() => chipsOf(id).length >= 6, () => "The order's events have not all arrived.");
    const places = {};
    for (const { topic, partition, offset } of chipsOf(id)) (places[topic] ??= []).push([partition, offset]);
    delete places.notifications;
    const kept = Object.values(places).every((events) => events.every(([partition, offset], n) => n === 0 || (partition === events[n - 1][0] && offset > events[n - 1][1])));
    const said = Object.entries(places).map(([topic, events]) => `${topic}[${events[0][0]}] ${events.map(([, offset]) => `@${offset}`).join(" ")}`);
    if (!kept) throw new Error(`Does not hold: ${said.join(", ")}`);
    return `Holds: ${said.join(", ")}.`;
  },
  async again() {
    const sent = () => number("[data-topic=notifications] [data-records]");
    const orders = number("[data-topic=orders] [data-records]");
    if (orders === 0) throw new Error("There is no order to read again: place one first.");
    const [before, first] = [sent(), await read()];
    await run({ command: "rewind" });
    const again = async () => (await read()) - first;
    await until(async () => (await again()) >= orders, () => `notification has not read all of the ${orders} events again. Does another instance share the work?`, 60);
    await until(() => group("notification").lag === 0, () => `notification's lag is ${group("notification").lag}.`, 60);
    if (sent() !== before) throw new Error(`${sent() - before} new events on notifications. Did somebody order meanwhile?`);
    return `Holds: ${await again()} events were read again, lag 0, and no message was sent.`;
  },
  async agree() {
    await run({ command: "kill", name: "kafka" });
    withoutKafka = await placeOrder();
    const status = await statusOf(withoutKafka);
    return `Half of it holds: 202 without Kafka, and the order is ${status}. Its event waits in the outbox. Now start Kafka.`;
  },
  async "start-kafka"() {
    await run({ command: "start", name: "kafka" });
    if (!withoutKafka) return "Kafka runs.";
    return until(
      async () => (await statusOf(withoutKafka)) === "confirmed" && "Holds: the order from before is confirmed.",
      () => "The order is not confirmed yet.",
      60,
    );
  },
  async raft() {
    const said = await run({ command: "quorum" });
    const [, leader] = said.match(/LeaderId:\s*(\d+)/) ?? [];
    if (!leader) throw new Error("The quorum did not answer.");
    return `Holds: the quorum's leader is node ${leader}, the broker itself; no ZooKeeper runs.`;
  },
};

document.querySelector(".tour").addEventListener("click", async (event) => {
  const button = event.target.closest("[data-do]");
  if (!button) return;
  const check = button.closest("[data-step]").querySelector(".check");
  check.className = "check waits";
  check.textContent = "Looking…";
  button.disabled = true;
  try {
    check.textContent = await ACTIONS[button.dataset.do]();
    check.className = check.textContent.startsWith("Holds") ? "check holds" : "check";
  } catch (error) {
    check.textContent = error.message;
    check.className = "check fails";
  }
  button.disabled = false;
});
