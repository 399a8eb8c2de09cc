// Writes the service worker with the list of what it keeps; another list is another version.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";

export function serviceWorker() {
  return {
    name: "service-worker",
    apply: "build",
    enforce: "post",
    generateBundle(_, bundle) {
      const built = Object.keys(bundle).filter((name) => name.startsWith("assets/"));
      const files = ["index.html", ...built, ...readdirSync("public")].sort().map((name) => `./${name}`);
      const version = createHash("sha256").update(files.join("\n")).digest("hex").slice(0, 12);
      const source = readFileSync("service-worker.js", "utf8")
        .replace("self.__FILES__", JSON.stringify(files))
        .replace("${self.__VERSION__}", version);
      this.emitFile({ type: "asset", fileName: "service-worker.js", source });
    },
  };
}
