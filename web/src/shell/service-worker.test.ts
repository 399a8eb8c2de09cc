import { expect, test, vi } from "vitest";

import source from "../../service-worker.js?raw";

const SCOPE = "https://gate/";

type Kept = Readonly<Record<string, string>>;
interface Asked {
  request: { url: string; method: string; mode: string };
  respondWith: (answer: Promise<Response>) => void;
}

/** The worker of a version, as it is built, with what browsers keep: caches in the order in which they were made. */
function ask(version: string, kept: Readonly<Record<string, Kept>>, server: () => Promise<Response>) {
  const heard = new Map<string, (event: Asked) => void>();
  const match = async (asked: string | { url: string }, { cacheName }: { cacheName?: string } = {}) => {
    const { href } = new URL(typeof asked === "string" ? asked : asked.url, SCOPE);
    const found = Object.entries(kept).find(([name, files]) => (cacheName ?? name) === name && href.slice(SCOPE.length) in files);
    return found === undefined ? undefined : new Response(found[1][href.slice(SCOPE.length)]);
  };
  const self = {
    registration: { scope: SCOPE },
    addEventListener: (name: string, listener: (event: Asked) => void) => heard.set(name, listener),
  };
  const built = source.replace("self.__FILES__", "[]").replace("${self.__VERSION__}", version);
  new Function("self", "caches", "fetch", built)(self, { match }, vi.fn(server));
  return async (path: string, mode = "navigate"): Promise<string> => {
    let answer: Promise<Response> | null = null;
    heard.get("fetch")?.({
      request: { url: SCOPE + path, method: "GET", mode },
      respondWith: (given) => {
        answer = given;
      },
    });
    return answer === null ? "the browser's own" : await (await (answer as Promise<Response>)).text();
  };
}

const KEPT = {
  "screens-a": { "index.html": "page a", "assets/a.js": "script a" },
  "screens-b": { "index.html": "page b", "assets/b.js": "script b" },
};
const away = () => Promise.reject(new Error("away"));

test("with the server away the page is of the newest version, and a page of the one before finds its parts", async () => {
  const asked = ask("b", KEPT, away);
  expect([await asked(""), await asked("?login=refused#page=alarms"), await asked("assets/a.js", "cors")]).toEqual([
    "page b", "page b", "script a",
  ]);
});

test("a server that answers is the one to answer; what it says in place of the page is not shown", async () => {
  expect(await ask("b", KEPT, async () => new Response("page c"))("")).toBe("page c");
  expect(await ask("b", KEPT, async () => new Response("restarting", { status: 502 }))("")).toBe("page b");
});

test.each(["api/v1/session/openid", "health/ready", "metrics", "openapi.json"])("/%s is none of the screens", async (path) => {
  expect(await ask("b", KEPT, async () => new Response("not ready", { status: 503 }))(path)).toBe("the browser's own");
});
