#!/usr/bin/env node
// Prints the alerts of streamapp, one line a revision: what a consumer in another language than Python looks like.
// The form of the messages is in docs/asyncapi.json, channel `alerts`.
import { parseArgs } from "node:util";
import { Kafka, logLevel } from "kafkajs";

const USAGE = `usage: node alerts.js [options]
  --broker HOST:PORT   Kafka (default 127.0.0.1:9092; repeat it for more)
  --prefix TEXT        what stands before the topic's name (setting topics.prefix)
  --group NAME         consumer group (default streamapp-alerts-node)
  --max N              end after N revisions
  --timeout SECONDS    end after so long without a new one
  --json               one JSON object a line`;

// The greatest contract version that this program understands.
const CONTRACT_VERSION = 1;

/** Delivery is at least once: of one alert, a revision that is not greater than the last one is a repetition. */
export class Revisions {
  #newest = new Map();

  isNew({ alert_id: id, revision }) {
    if (revision <= (this.#newest.get(id) ?? 0)) return false;
    this.#newest.set(id, revision);
    return true;
  }
}

export function decode(message) {
  const alert = JSON.parse(message.value.toString("utf8"));
  if (alert.type !== "alert") throw new Error(`not an alert but ${alert.type}`);
  if ((alert.contract_version ?? 1) > CONTRACT_VERSION) {
    throw new Error(`contract version ${alert.contract_version} is newer than this program`);
  }
  // About the past, after an outage or in a replay: for the record, not for a pager.
  return { ...alert, backfill: message.headers?.backfill !== undefined };
}

// Headlines are other people's text: nothing in them may steer the terminal.
const printable = (text) => text.replace(/[\p{C}]/gu, "\uFFFD");

export function asLine(alert) {
  const time = new Date(alert.window_end_ms).toISOString();
  const past = alert.backfill ? " (backfill)" : "";
  const stories = (alert.top_stories ?? []).map((story) => `\n    ${story.copies}x ${printable(story.headline)}`);
  return `${time} ${alert.state} ${alert.severity} ${alert.subject} #${alert.revision}${past}: ` +
    `${printable(alert.reason)}${stories.join("")}`;
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      broker: { type: "string", multiple: true, default: ["127.0.0.1:9092"] },
      prefix: { type: "string", default: "" },
      group: { type: "string", default: "streamapp-alerts-node" },
      max: { type: "string", default: "Infinity" },
      timeout: { type: "string", default: "Infinity" },
      json: { type: "boolean", default: false },
    },
  });
  const [max, timeout] = [Number(values.max), Number(values.timeout)];
  if (!(max > 0) || !(timeout > 0)) throw new Error("--max and --timeout take a number above 0");
  return { ...values, max, timeout };
}

async function follow(options) {
  const kafka = new Kafka({ clientId: "streamapp-alerts-node", brokers: options.broker, logLevel: logLevel.ERROR });
  const consumer = kafka.consumer({ groupId: options.group });
  const revisions = new Revisions();
  let printed = 0;
  let timer;
  let end;
  let fail;
  const ended = new Promise((resolve, reject) => ([end, fail] = [resolve, reject]));
  const startTimer = () => {
    clearTimeout(timer);
    if (Number.isFinite(options.timeout)) timer = setTimeout(end, options.timeout * 1000);
  };
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, end);
  consumer.on(consumer.events.CRASH, ({ payload }) => payload.restart || fail(payload.error));

  await consumer.connect();
  await consumer.subscribe({ topics: [`${options.prefix}alerts`], fromBeginning: true });
  startTimer();
  await consumer.run({
    eachMessage: async ({ message, partition }) => {
      if (printed >= options.max) return;
      let alert;
      try {
        alert = decode(message);
      } catch (error) {
        console.error(`alerts ${partition}:${message.offset} is not readable: ${error.message}`);
        return;
      }
      if (!revisions.isNew(alert)) return;
      console.log(options.json ? JSON.stringify(alert) : asLine(alert));
      startTimer();
      if (++printed >= options.max) end();
    },
  });
  try {
    await ended;
  } finally {
    clearTimeout(timer);
    await consumer.disconnect();
  }
}

let options;
try {
  options = readArguments();
} catch (error) {
  console.error(`${error.message}\n${USAGE}`);
  process.exit(2);
}
try {
  await follow(options);
} catch (error) {
  console.error(`Kafka at ${options.broker}: ${error.message}`);
  process.exit(3);
}
