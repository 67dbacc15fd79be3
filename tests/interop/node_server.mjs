// Node's `ws` as a server for clients of others: what it does is asked for by the path of the request.
//
//     node node_server.mjs --modules DIRECTORY --unix PATH
//
// Serves on a free port of the loopback and at PATH, prints one line for each (`tcp HOST:PORT`, `unix PATH`) and a third
// (`early HOST:PORT`) for the server that sends its first message in the segment of its answer. Ends with its standard
// input.

import { once } from "node:events";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { parseArgs } from "node:util";

const { values: options } = parseArgs({ options: { modules: { type: "string" }, unix: { type: "string" } } });
const { WebSocketServer } = createRequire(path.join(path.resolve(options.modules), "/"))("ws");

const cases = {
  echo(ws) {
    ws.on("message", (data, isBinary) => ws.send(data, { binary: isBinary }));
  },

  /** Tells which lines the request had. */
  headers(ws, _query, request) {
    const lines = [];
    for (let at = 0; at < request.rawHeaders.length; at += 2) {
      lines.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}`);
    }
    ws.send(lines.join("\n"));
  },

  close(ws, query) {
    ws.close(Number(query.get("code")), query.get("reason") ?? "");
  },

  /** Waits for the client's close frame; the library answers it. */
  closed() {},

  /** Ends the stream without a close frame. */
  leave(_ws, _query, request) {
    request.socket.end();
  },

  fragments(ws, _query, request) {
    for (const [part, fin] of [["frag", false], ["", false], ["men", false], ["ts ", false], ["€𝄞", true]]) {
      ws.send(part, { fin });
    }
    for (let byte = 0; byte < 200; byte += 1) ws.send(Buffer.from([byte]), { binary: true, fin: byte === 199 });
    const letter = Buffer.from("€");
    request.socket.write(Buffer.concat([Buffer.from([0x01, 1]), letter.subarray(0, 1)]));
    ws.ping("between");
    request.socket.write(Buffer.concat([Buffer.from([0x80, 2]), letter.subarray(1)]));
  },

  /** Pings, and tells that the pong came. */
  async ping(ws) {
    for (const payload of ["", "x", Buffer.alloc(125)]) {
      ws.ping(payload);
      const [pong] = await once(ws, "pong");
      if (!pong.equals(Buffer.from(payload))) return ws.close(1008, "another pong came");
    }
    ws.send("all pongs came");
  },
};

const sockets = new WebSocketServer({
  noServer: true,
  maxPayload: 0,
  perMessageDeflate: { threshold: 0 },
  handleProtocols: (offered) => [...offered].find((name) => name === "news" || name === "chat") ?? false,
});

function answer(request, socket, head) {
  const url = new URL(request.url, "ws://localhost");
  if (url.pathname === "/refuse") {
    socket.end("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    return;
  }
  sockets.handleUpgrade(request, socket, head, (ws) => cases[url.pathname.slice(1)](ws, url.searchParams, request));
}

/** Sends the answer and the first messages in one write. */
function answerEarly(request, socket, head) {
  socket.cork();
  sockets.handleUpgrade(request, socket, head, (ws) => {
    ws.send("first");
    ws.send("second");
    socket.uncork();
  });
}

async function listening(answer, ...where) {
  const server = http.createServer().on("upgrade", answer).listen(...where);
  await once(server, "listening");
  return server.address();
}

const tcp = await listening(answer, 0, "127.0.0.1");
await listening(answer, options.unix);
const early = await listening(answerEarly, 0, "127.0.0.1");
console.log(`tcp 127.0.0.1:${tcp.port}\nunix ${options.unix}\nearly 127.0.0.1:${early.port}`);
process.stdin.resume().on("end", () => process.exit(0));
