// The official client, with the position that docs/sockets.md asks for: what it shows becomes one line of JSON each.
// TOKEN=… node resume.mjs URL [OPTIONS]
import { io } from "socket.io-client";

const [url, options = "{}"] = process.argv.slice(2);
const token = process.env.TOKEN;
const say = (event, payload) => console.log(JSON.stringify({ event, payload }));
let epoch = null;
let position = {};
let skips = {};
const seen = new Set();

const auth = (give) => give(epoch === null ? { token } : { token, epoch, position });
const socket = io(url, { auth, reconnectionDelay: 100, reconnectionDelayMax: 500, ...JSON.parse(options) });

function stepOver(room) {
  for (const [first, last] of skips[room] ?? []) {
    if (first <= position[room] + 1 && last > position[room]) position[room] = last;
  }
}

function stand(session) {
  for (const [room, base] of Object.entries(session.position)) {
    if (!(room in position) || session.recovered?.[room] === false) position[room] = base;
    skips[room] = session.skip?.[room] ?? [];
    stepOver(room);
  }
}

function apply(posting, show) {
  const { room, offset } = posting;
  if (offset === null) return show();
  if (posting.epoch !== epoch || !(room in position)) return;
  skips[room] = [...(skips[room] ?? []), ...(posting.skip ?? [])];
  stepOver(room);
  if (offset <= position[room]) return;
  if (offset > position[room] + 1) {
    socket.emit("sync", { epoch, position }, (answer) => answer.ok && stand(answer));
    return;
  }
  show();
  position[room] = offset;
  stepOver(room);
}

socket.on("session", (session) => {
  if (session.state === "syncing") {
    if (session.epoch !== epoch) [epoch, position, skips] = [session.epoch, {}, {}];
    stand(session);
  }
  say("session", { state: session.state, reason: session.reason, recovered: session.recovered });
});
socket.on("notification", (notification) =>
  apply(notification, () => {
    if (!seen.has(notification.id)) say("notification", notification);
    seen.add(notification.id);
  }),
);
socket.on("changed", (change) => apply(change, () => {}));
socket.on("summary", () => say("summary", { transport: socket.io.engine.transport.name }));
// A refusal would be the end for this client.
socket.on("connect_error", (error) => say("connect_error", { message: error.message, final: !socket.active }));
