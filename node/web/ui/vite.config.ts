import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// `npm run dev` shows the page with the data of this node.
const node = process.env.BUILDNET_NODE ?? "http://127.0.0.1:8080";

export default defineConfig(({ command }) => ({
  base: command === "build" ? "/ui/" : "/", // a node serves files below /ui/, `npm run dev` does not
  plugins: [react({ jsxImportSource: "@/jsx" })],
  resolve: { alias: { "@": new URL("./src", import.meta.url).pathname } },
  build: {
    outDir: "../static",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // the content security policy allows no data: but for pictures
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      // As the browser asks: a node takes changes from pages of the host that is asked alone.
      "/api": { target: node },
      "/ws": { target: node, ws: true },
    },
  },
  test: {
    environment: "happy-dom",
    setupFiles: "src/testing/setup.ts",
    include: ["src/**/*.test.{ts,tsx}"],
  },
}));
