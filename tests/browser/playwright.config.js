// One browser, one test at a time: the tests share a running system, and some break it.
import { defineConfig } from "@playwright/test";

const isRoot = process.getuid?.() === 0;

export default defineConfig({
  testDir: ".",
  workers: 1,
  timeout: 120_000,
  expect: { timeout: 30_000 },
  reporter: [["list"]],
  use: {
    baseURL: process.env.BOARD_URL ?? "http://localhost:8084",
    viewport: { width: 1720, height: 1060 },
    // Chromium refuses its sandbox to root.
    launchOptions: { executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: isRoot ? ["--no-sandbox"] : [] },
  },
});
