// Keeps the files of the screens, so that a tablet opens them with the server away. Never an answer of the API: a number
// from yesterday must not look like one of now. `service-worker-plugin.js` puts in the files and the version.

const FILES = self.__FILES__;
const CACHE = `screens-${self.__VERSION__}`;
/** A page that was opened with the version before may still ask for its parts. */
const VERSIONS_KEPT = 2;
const NETWORK_WITHIN_MS = 4_000;
/** All screens are one page. Whatever else the server has, such as `/health/ready`, is for it alone to answer. */
const PAGES = new Set(["", "index.html"]);

self.addEventListener("install", (event) => {
  const kept = caches.open(CACHE).then((cache) => cache.addAll(FILES.map((file) => new Request(file, { cache: "reload" }))));
  event.waitUntil(kept.then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const cleared = caches.keys().then((names) => {
    const old = names.filter((name) => name.startsWith("screens-")).slice(0, -VERSIONS_KEPT);
    return Promise.all(old.filter((name) => name !== CACHE).map((name) => caches.delete(name)));
  });
  event.waitUntil(cleared.then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(self.registration.scope)) return;
  const path = request.url.slice(self.registration.scope.length).split(/[?#]/, 1)[0];
  if (request.mode === "navigate" && PAGES.has(path)) event.respondWith(pageFirstFromServer(request));
  else if (path.startsWith("assets/")) event.respondWith(fileOf(request));
});

/** The server's page is the newest; the kept one is for when it does not answer. */
async function pageFirstFromServer(request) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), NETWORK_WITHIN_MS);
  try {
    const answer = await fetch(request, { signal: stop.signal });
    if (answer.ok) return answer;
  } catch {
    // Away, or too slow: see below.
  } finally {
    clearTimeout(timer);
  }
  // Of this version: the one before is kept as well, and stands before it.
  return (await caches.match("./index.html", { cacheName: CACHE })) ?? Response.error();
}

/** A file's name has its contents' hash in it, so what is kept is what is asked for. */
async function fileOf(request) {
  return (await caches.match(request)) ?? fetch(request);
}
