// Node's `ws` as the client of the echo example: one case is one function, named for the rule it shows.
//
//     node node.mjs --modules DIRECTORY --list
//     node node.mjs --modules DIRECTORY --echo PROGRAM --tcp HOST:PORT --unix PATH
//
// DIRECTORY is where `ws` was installed. Every case runs over TCP and over a Unix-domain socket. Each prints one line,
// tab-separated: its outcome (`ok` or `FAILED`), its name, and the seconds it took or what went wrong.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";

const { values: options } = parseArgs({
  options: {
    modules: { type: "string" },
    list: { type: "boolean" },
    echo: { type: "string" },
    tcp: { type: "string" },
    unix: { type: "string" },
  },
});
const WebSocket = createRequire(path.join(path.resolve(options.modules), "/"))("ws");

const MIB = 1 << 20;
const MILLISECONDS_PER_CASE = 60_000;
const LETTERS = "aé€𝄞"; // one, two, three and four bytes in UTF-8

/** Where an echo server listens, and how to reach it over one kind of socket. */
class Server {
  constructor(kind, tcp, unix) {
    Object.assign(this, { kind, tcp, unix });
  }

  get url() {
    return this.kind === "tcp" ? `ws://${this.tcp}/echo?from=node` : `ws+unix:${this.unix}:/echo?from=node`;
  }

  /** What `net.connect` and `http.request` take. */
  get address() {
    const [host, port] = this.tcp.split(":");
    return this.kind === "tcp" ? { host, port: Number(port) } : { path: this.unix, socketPath: this.unix };
  }

  async connect(options = {}, protocols = []) {
    const ws = new WebSocket(this.url, protocols, { perMessageDeflate: false, ...options });
    const client = new Client(ws);
    await once(ws, "open");
    return client;
  }
}

/** A connection whose messages, pongs and end can be waited for. */
class Client {
  constructor(ws) {
    this.ws = ws;
    this.arrived = [];
    this.waiting = [];
    ws.on("message", (data, isBinary) => this.#arrive({ data, isBinary }));
    ws.on("error", (error) => (this.error = error));
    this.closed = new Promise((resolve) =>
      ws.on("close", (code, reason) => {
        this.#arrive({ closed: code });
        resolve({ code, reason: reason.toString() });
      }),
    );
  }

  #arrive(item) {
    const waiting = this.waiting.shift();
    waiting ? waiting(item) : this.arrived.push(item);
  }

  async message() {
    const item = this.arrived.shift() ?? (await new Promise((resolve) => this.waiting.push(resolve)));
    assert.equal(item.closed, undefined, "the connection was closed");
    return item.isBinary ? item.data : item.data.toString();
  }

  /** Sends a message and checks that the next one is the same, and of the same type. */
  async echoed(message) {
    this.ws.send(message);
    const answer = await this.message();
    assert.equal(typeof answer, typeof message);
    const same = typeof message === "string" ? answer === message : answer.equals(message);
    assert.ok(same, `${answer.length} other bytes came for ${message.length}`);
  }

  async close(code, reason) {
    this.ws.close(code, reason);
    return this.closed;
  }
}

/** Runs `use` on an echo process of its own, for what would disturb the other cases. */
async function withEchoServer(server, flags, use) {
  const directory = mkdtempSync(path.join(tmpdir(), "gnezdo-"));
  const unix = path.join(directory, "echo.sock");
  const child = spawn(options.echo, [...flags, "127.0.0.1:0", `unix:${unix}`], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  try {
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const printed = [(await lines.next()).value, (await lines.next()).value];
    const tcp = printed.find((line) => line.includes("ws://")).split("ws://")[1].trim();
    await use(new Server(server.kind, tcp, unix), child, exited);
  } finally {
    child.kill("SIGKILL");
    await exited;
    rmSync(directory, { recursive: true });
  }
}

function frame(opcode, data, fin = true) {
  const options = { fin, opcode, mask: true, readOnly: true, rsv1: false };
  return Buffer.concat(WebSocket.Sender.frame(Buffer.from(data), options));
}

const cases = {
  // Messages

  async text_comes_back_as_text(server) {
    const client = await server.connect();
    await client.echoed("Rock it with gnezdo");
    await client.close();
  },

  async binary_comes_back_as_binary(server) {
    const client = await server.connect();
    await client.echoed(Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)));
    await client.close();
  },

  async an_empty_message_comes_back_empty(server) {
    const client = await server.connect();
    await client.echoed("");
    await client.echoed(Buffer.alloc(0));
    await client.close();
  },

  async text_of_many_bytes_per_letter_survives(server) {
    const client = await server.connect();
    for (let repeat = 1; repeat < 200; repeat++) await client.echoed(LETTERS.repeat(repeat));
    await client.close();
  },

  async every_length_at_the_borders_of_the_frame_head_comes_back(server) {
    const client = await server.connect();
    for (const length of [1, 124, 125, 126, 127, 65_534, 65_535, 65_536, 65_537]) {
      await client.echoed(randomBytes(length));
      await client.echoed("x".repeat(length));
    }
    await client.close();
  },

  async sixteen_mebibytes_of_binary_come_back(server) {
    const client = await server.connect();
    await client.echoed(randomBytes(16 * MIB));
    await client.close();
  },

  async sixteen_mebibytes_of_text_come_back(server) {
    const client = await server.connect();
    await client.echoed(LETTERS.repeat((16 * MIB) / Buffer.byteLength(LETTERS)));
    await client.close();
  },

  async a_thousand_messages_in_flight_keep_their_order(server) {
    const client = await server.connect();
    for (let number = 0; number < 1000; number++) client.ws.send(`${number}:${"x".repeat(number % 700)}`);
    for (let number = 0; number < 1000; number++) {
      assert.equal((await client.message()).split(":")[0], String(number));
    }
    await client.close();
  },

  async a_fragmented_message_comes_back_whole(server) {
    const client = await server.connect();
    for (const part of ["frag", "", "men", "ts "]) client.ws.send(part, { fin: false });
    client.ws.send("€𝄞", { fin: true });
    assert.equal(await client.message(), "fragments €𝄞");
    const parts = Array.from({ length: 50 }, () => randomBytes(1000));
    parts.forEach((part, index) => client.ws.send(part, { fin: index === 49 }));
    assert.ok((await client.message()).equals(Buffer.concat(parts)));
    await client.close();
  },

  // Control frames

  async a_ping_is_answered_with_its_payload(server) {
    const client = await server.connect();
    for (const payload of [Buffer.alloc(0), Buffer.from("x"), randomBytes(125)]) {
      client.ws.ping(payload);
      const [answer] = await once(client.ws, "pong");
      assert.ok(answer.equals(payload));
    }
    await client.close();
  },

  async a_ping_inside_a_fragmented_message_is_answered_at_once(server) {
    const client = await server.connect();
    client.ws.send("before ", { fin: false });
    client.ws.ping("inside");
    const [answer] = await once(client.ws, "pong");
    assert.equal(answer.toString(), "inside");
    client.ws.send("after", { fin: true });
    assert.equal(await client.message(), "before after");
    await client.close();
  },

  async an_unasked_pong_changes_nothing(server) {
    const client = await server.connect();
    client.ws.pong("nobody asked");
    await client.echoed("still here");
    await client.close();
  },

  // The closing handshake

  async every_close_code_a_client_may_send_is_answered_with_itself(server) {
    for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]) {
      const client = await server.connect();
      assert.equal((await client.close(code, "for a reason")).code, code);
    }
  },

  async a_close_without_a_code_is_answered_without_one(server) {
    const client = await server.connect();
    assert.equal((await client.close()).code, 1005);
  },

  async what_was_sent_before_a_close_is_echoed_before_it(server) {
    const client = await server.connect();
    for (let number = 0; number < 100; number++) client.ws.send(String(number));
    const closed = client.close(1000);
    for (let number = 0; number < 100; number++) assert.equal(await client.message(), String(number));
    assert.equal((await closed).code, 1000);
  },

  async a_broken_frame_is_answered_with_1002(server) {
    for (const broken of ["\x81\x01a", "\xf1\x80\0\0\0\0", "\x83\x80\0\0\0\0", "\x80\x80\0\0\0\0", "\x09\x80\0\0\0\0"]) {
      const client = await server.connect();
      client.ws._socket.write(Buffer.from(broken, "latin1"));
      assert.equal((await client.closed).code, 1002);
    }
  },

  async text_that_is_no_utf8_is_answered_with_1007(server) {
    const client = await server.connect();
    client.ws._socket.write(frame(1, [0xc3, 0x28]));
    assert.equal((await client.closed).code, 1007);
  },

  async a_message_over_the_limit_is_answered_with_1009(server) {
    await withEchoServer(server, ["--max-message", "1000"], async (small) => {
      for (const perMessageDeflate of [false, { threshold: 0 }]) {
        const client = await small.connect({ perMessageDeflate });
        await client.echoed("x".repeat(1000));
        client.ws.send("x".repeat(1001));
        assert.equal((await client.closed).code, 1009);
      }
    });
  },

  async sigterm_closes_every_connection_with_1001(server) {
    await withEchoServer(server, [], async (mortal, child, exited) => {
      const clients = await Promise.all(Array.from({ length: 20 }, () => mortal.connect()));
      for (const client of clients) await client.echoed("before");
      child.kill("SIGTERM");
      for (const client of clients) assert.equal((await client.closed).code, 1001);
      assert.deepEqual(await exited, [0, null]);
    });
  },

  // The opening handshake

  async an_offered_subprotocol_is_not_agreed_to(server) {
    // RFC 6455 §4.1 lets a client go on without; this one insists, and says what it missed.
    await assert.rejects(server.connect({}, ["chat", "superchat"]), /Server sent no subprotocol/);
  },

  async frames_in_the_segment_of_the_request_are_served(server) {
    const socket = net.connect(server.address);
    const request = [
      "GET /echo HTTP/1.1",
      "Host: localhost",
      "Upgrade: websocket",
      "Connection: Upgrade",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      "Sec-WebSocket-Version: 13",
    ];
    const head = Buffer.from(request.join("\r\n") + "\r\n\r\n");
    socket.write(Buffer.concat([head, frame(1, "first"), frame(2, "second")]));
    const receiver = new WebSocket.Receiver();
    const messages = [];
    receiver.on("message", (data, isBinary) => messages.push([data.toString(), isBinary]));
    let before = Buffer.alloc(0);
    let isOpen = false;
    for await (const data of socket) {
      if (isOpen) {
        receiver.write(data);
      } else {
        before = Buffer.concat([before, data]);
        const end = before.indexOf("\r\n\r\n");
        if (end < 0) continue;
        assert.match(before.toString("latin1"), /^HTTP\/1\.1 101 [^]*s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/);
        isOpen = true;
        receiver.write(before.subarray(end + 4));
      }
      await sleep(10);
      if (messages.length >= 2) break;
    }
    assert.deepEqual(messages, [["first", false], ["second", true]]);
  },

  async a_request_that_asks_for_no_websocket_is_answered_426(server) {
    const { host, port, socketPath } = server.address;
    const [response] = await once(http.get({ host, port, socketPath, agent: false }), "response");
    response.resume();
    assert.equal(response.statusCode, 426);
  },

  // Compression

  async compression_as_the_library_offers_it_works(server) {
    await compressedMessagesComeBack(server, true);
  },

  async compression_of_every_message_works(server) {
    await compressedMessagesComeBack(server, { threshold: 0 });
  },

  async compression_without_context_takeover_works(server) {
    const [theirs, ours] = [{ serverNoContextTakeover: true }, { clientNoContextTakeover: true }];
    for (const wishes of [theirs, ours, { ...theirs, ...ours }]) {
      const params = await compressedMessagesComeBack(server, { threshold: 0, ...wishes });
      if (wishes.serverNoContextTakeover) assert.equal(params.server_no_context_takeover, true);
      if (wishes.clientNoContextTakeover) assert.equal(params.client_no_context_takeover, true);
    }
  },

  async compression_in_every_window_works(server) {
    for (let bits = 9; bits <= 15; bits++) {
      const offer = { threshold: 0, serverMaxWindowBits: bits, clientMaxWindowBits: bits };
      const params = await compressedMessagesComeBack(server, offer);
      assert.ok(params.server_max_window_bits <= bits, `asked for ${bits}, got ${params.server_max_window_bits}`);
    }
  },

  async sixteen_mebibytes_of_compressed_text_come_back(server) {
    const client = await server.connect({ perMessageDeflate: true });
    await client.echoed(LETTERS.repeat((16 * MIB) / Buffer.byteLength(LETTERS)));
    await client.close();
  },

  // Many connections

  async a_hundred_connections_after_another_are_served(server) {
    for (let number = 0; number < 100; number++) {
      const client = await server.connect();
      await client.echoed(String(number));
      await client.close();
    }
  },

  async a_hundred_connections_at_once_are_served(server) {
    const one = async (number) => {
      const client = await server.connect();
      for (let turn = 0; turn < 10; turn++) await client.echoed(`${number} ${turn}${"x".repeat(number * 50)}`);
      await client.close();
    };
    await Promise.all(Array.from({ length: 100 }, (_, number) => one(number)));
  },
};

/** Answers with the parameters agreed on. */
async function compressedMessagesComeBack(server, perMessageDeflate) {
  const client = await server.connect({ perMessageDeflate });
  assert.equal(client.ws.extensions, "permessage-deflate", "the offer was declined");
  const messages = ["", "x", LETTERS.repeat(1000), "compressible ".repeat(10_000), randomBytes(5000), Buffer.alloc(MIB)];
  for (const message of messages) {
    for (let turn = 0; turn < 3; turn++) await client.echoed(message);
  }
  for (const part of ["compressed ", "in "]) client.ws.send(part, { fin: false, compress: true });
  client.ws.send("fragments ".repeat(1000), { fin: true, compress: true });
  assert.equal(await client.message(), "compressed in " + "fragments ".repeat(1000));
  const { params } = client.ws._extensions["permessage-deflate"];
  await client.close();
  return params;
}

async function run(name, use, server) {
  const began = performance.now();
  const deadline = new AbortController();
  const late = sleep(MILLISECONDS_PER_CASE, undefined, { signal: deadline.signal }).then(() => {
    throw new Error(`not done after ${MILLISECONDS_PER_CASE} ms`);
  });
  try {
    await Promise.race([use(server), late]);
    console.log(["ok", name, `${((performance.now() - began) / 1000).toFixed(2)} s`].join("\t"));
  } catch (error) {
    console.log(["FAILED", name, String(error.message ?? error).replaceAll("\n", " ")].join("\t"));
  } finally {
    late.catch(() => {});
    deadline.abort();
  }
}

for (const kind of ["tcp", "unix"]) {
  for (const [name, use] of Object.entries(cases)) {
    if (options.list) console.log(`${kind}::${name}`);
    else await run(`${kind}::${name}`, use, new Server(kind, options.tcp, options.unix));
  }
}
process.exit(0);
