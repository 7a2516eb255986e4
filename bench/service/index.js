"use strict";
// Every answer names its release three times: as the code has it, as a file beside the code has it at
// that moment, and by the ID that the process was started with. `fault` breaks it on purpose.
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");
const ms = require("ms");
const { release, fault } = require("./release.js");

const asset = () => fs.readFileSync(path.join(__dirname, "public/release.txt"), "utf8").trim();
const server = http.createServer((request, response) => {
  response.statusCode = fault === "answers-500" ? 500 : 200;
  response.setHeader("Connection", "close");
  const up = ms(Math.round(process.uptime() * 1000));
  response.end(`release=${release} asset=${asset()} id=${process.env.RELEASE || ""} up=${up}\n`);
});

if (fault === "dies") setTimeout(() => process.exit(1), 2000);
if (fault === "silent") setInterval(() => {}, 1000);
// systemd passes its socket as file descriptor 3 (sd_listen_fds(3)).
else if (Number(process.env.LISTEN_PID) === process.pid) server.listen({ fd: 3 });
else server.listen(Number(process.env.PORT));
process.on("SIGTERM", () => server.close(() => process.exit(0)));
if (fault === "silent") process.on("SIGTERM", () => process.exit(0));
