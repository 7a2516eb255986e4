'use strict';

const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');

// Read once: a process answers for the release that it was started from.
const release = process.env.RELEASE || 'none';
const version = fs.readFileSync(path.join(__dirname, 'version.txt'), 'utf8').trim();

function answer(request, response) {
  if (request.url === '/health') {
    response.end('ok\n');
  } else if (request.url === '/asset.txt') {
    // Read at each request, so that a tree that changes under the process would be seen.
    const now = fs.readFileSync(path.join(__dirname, 'version.txt'), 'utf8').trim();
    response.end(`web release=${release} version=${now}\n`);
  } else if (request.url === '/') {
    response.end(`web release=${release} version=${version}\n`);
  } else {
    response.statusCode = 404;
    response.end('not found\n');
  }
}

const server = http.createServer(answer);

// systemd passes an open socket as file descriptor 3 and says for which process (sd_listen_fds(3)).
const passed = Number(process.env.LISTEN_FDS) > 0 && Number(process.env.LISTEN_PID) === process.pid;
server.listen(passed ? { fd: 3 } : { port: Number(process.env.PORT || 3000) });

// Finish what was accepted, then end. The passed socket stays open at systemd, new connections wait.
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
