import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

import { serviceWorker } from "./service-worker-plugin.js";

export default defineConfig({
  plugins: [react(), serviceWorker()],
  // Relative addresses, so that the pages also work below a path of a reverse proxy.
  base: "./",
  build: {
    outDir: "../api/screens",
    emptyOutDir: true,
    // Gate tablets and office PCs are not updated often. Syntax is lowered to this; nothing newer is called in `src`.
    target: ["chrome94", "firefox93", "safari15.4"],
    // Nothing inlined as data: addresses or inline script, so the server may send a strict content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // The licences of everything bundled travel with the bundle.
    license: { fileName: "licenses.md" },
    chunkSizeWarningLimit: 700,
  },
  server: { proxy: { "/api": "http://127.0.0.1:8080" } },
});
