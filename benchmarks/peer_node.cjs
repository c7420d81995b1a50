// Node's Socket.IO server as its documentation has it: PORT, and with REDIS_URL its Redis adapter.
const { createServer } = require("node:http");
const { Server } = require("socket.io");

const http = createServer((request, response) => {
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => {
    const { room, event, payload } = JSON.parse(body);
    io.to(room).emit(event, payload);
    response.writeHead(201, { "Content-Length": 0 }).end();
  });
});
const options = {};
if (process.env.REDIS_URL) {
  const { createAdapter } = require("@socket.io/redis-adapter");
  const Redis = require("ioredis");
  options.adapter = createAdapter(new Redis(process.env.REDIS_URL), new Redis(process.env.REDIS_URL));
}
const io = new Server(http, options);
io.on("connection", (socket) => {
  socket.join(socket.handshake.auth.room);
  socket.on("ping", (beat) => socket.emit("pong", beat));
});
http.listen({ port: Number(process.env.PORT), host: "127.0.0.1", backlog: 4096 }, () => console.log("listening"));
