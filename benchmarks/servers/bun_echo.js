// Bun's own server: echo; a text message that begins with * is sent to all.
//
// bun bun_echo.js PORT [CERTIFICATE KEY]
const [port, certificate, key] = process.argv.slice(2);

const server = Bun.serve({
  hostname: '127.0.0.1',
  port: Number(port),
  tls: certificate ? { cert: Bun.file(certificate), key: Bun.file(key) } : undefined,
  fetch(request, server) {
    if (!server.upgrade(request)) return new Response('WebSocket only', { status: 400 });
  },
  websocket: {
    perMessageDeflate: false,
    idleTimeout: 0,
    open(ws) {
      ws.subscribe('everybody');
    },
    message(ws, message) {
      if (typeof message === 'string' && message[0] === '*') server.publish('everybody', message);
      else ws.send(message);
    },
  },
});
