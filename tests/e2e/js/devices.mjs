// Devices of the official client: each stays connected, resumes by position, and writes down what it shows.
// node devices.mjs SPECS, a file with [{name, user, key, urls, folder, options}]; until SIGTERM.
// They trust the server more than the Python client does: no hole is looked for, none is asked for. One is a loss.
import { openSync, readFileSync, writeSync } from "node:fs";
import { io } from "socket.io-client";

const REMEMBERED_IDS = 4096;
const now = () => Number(process.hrtime.bigint()) / 1e9; // CLOCK_MONOTONIC, as in the other journals

function run({ name, user, key, urls, folder, options }) {
  const journal = openSync(`${folder}/device-${name}.journal`, "a");
  const write = (entry) => writeSync(journal, `${JSON.stringify({ at: now(), ...entry })}\n`);
  let epoch, position;
  const ids = new Set();
  const auth = (send) => send(epoch === undefined ? { token: key } : { token: key, epoch, position });
  const socket = io(urls[0], { auth, forceNew: true, reconnectionDelay: 200, reconnectionDelayMax: 1000, ...options });
  let turn = 0;
  socket.io.on("reconnect_attempt", () => (socket.io.uri = urls[++turn % urls.length]));
  socket.on("disconnect", (reason) => {
    if (reason === "io server disconnect") socket.connect(); // of these the client leaves it to us
  });
  socket.on("connect_error", (error) => {
    if (!socket.active) write({ failed: error.message });
  });
  socket.on("session", (session) => {
    if (session.state === "live") write({ live: true });
    if (session.state !== "syncing") return;
    const fresh = epoch === undefined;
    const lost = Object.keys(session.recovered).filter((room) => !session.recovered[room] || session.epoch !== epoch);
    if (lost.length && !fresh) write({ unrecovered: lost });
    if (session.epoch !== epoch) [epoch, position] = [session.epoch, {}];
    for (const [room, base] of Object.entries(session.position)) {
      if (!(room in position) || lost.includes(room)) position[room] = base;
    }
  });
  socket.on("notification", (notification) => {
    const { id, room, offset, title } = notification;
    if (offset !== null && (notification.epoch !== epoch || offset <= position[room])) return;
    if (!ids.has(id)) write({ shown: title, id, room, offset });
    ids.add(id);
    if (ids.size > REMEMBERED_IDS) ids.delete(ids.values().next().value);
    if (offset !== null) position[room] = offset;
  });
  write({ user });
  return socket;
}

const sockets = JSON.parse(readFileSync(process.argv[2])).map(run);
process.on("SIGTERM", () => {
  for (const socket of sockets) socket.disconnect();
  process.exit(0);
});
