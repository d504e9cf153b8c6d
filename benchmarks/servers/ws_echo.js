// ws on node: echo; a text message that begins with * is sent to all.
//
// node ws_echo.js PORT [CERTIFICATE KEY]
const { readFileSync } = require('fs');
const { createServer } = require('http');
const { createServer: createTLSServer } = require('https');
const { WebSocketServer } = require('ws');

const [port, certificate, key] = process.argv.slice(2);
const STAR = '*'.charCodeAt(0);

const http = certificate
  ? createTLSServer({ cert: readFileSync(certificate), key: readFileSync(key) })
  : createServer();
const server = new WebSocketServer({ server: http, perMessageDeflate: false });

server.on('connection', (ws) => {
  ws.on('message', (data, binary) => {
    if (!binary && data[0] === STAR) {
      for (const one of server.clients) one.send(data, { binary });
    } else {
      ws.send(data, { binary });
    }
  });
});

http.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 });
