// An echo over ws on Node, without compression; its native masking is used where it is installed.
import http from 'node:http';
import { WebSocketServer } from 'ws';

const address = process.argv.at(-1);
const server = http.createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false, maxPayload: 1 << 24 });
sockets.on('connection', (socket) => {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
});
const [host, port] = address.split(':');
server.listen(host === 'unix' ? { path: port } : { host, port: Number(port), backlog: 4096 });
