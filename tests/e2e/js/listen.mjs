// The official client with its defaults; each event becomes one line of JSON on standard output.
// node listen.mjs URL '{"token": "…"}' [OPTIONS]
import { io } from "socket.io-client";

const [url, auth, options = "{}"] = process.argv.slice(2);
const socket = io(url, { auth: JSON.parse(auth), ...JSON.parse(options) });
const say = (event, payload) => console.log(JSON.stringify({ event, payload }));
socket.on("connect", () => say("connect", { transport: socket.io.engine.transport.name }));
socket.on("connect_error", (error) => say("connect_error", { message: error.message, data: error.data }));
socket.on("disconnect", (reason) => say("disconnect", { reason }));
for (const event of ["session", "notification", "changed", "summary", "inbox"]) {
  socket.on(event, (payload) => say(event, payload));
}
