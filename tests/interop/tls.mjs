// Node's `ws` as a client over TLS.
//
//     node tls.mjs --modules DIRECTORY --address HOST:PORT --ca PEM --case NAME
//
// Ends with exit code 0 where the case of this name went as it should, else with an error.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { parseArgs } from "node:util";

const string = { type: "string" };
const { values: options } = parseArgs({ options: { modules: string, address: string, ca: string, case: string } });
const WebSocket = createRequire(path.join(options.modules, "node_modules", "/"))("ws");
const ca = readFileSync(options.ca);

async function connected(more) {
  const ws = new WebSocket(`wss://${options.address}/echo`, { ca, perMessageDeflate: false, ...more });
  ws.setMaxListeners(0);
  await once(ws, "open");
  return ws;
}

async function echoed(ws, message) {
  ws.send(message);
  const [data] = await once(ws, "message");
  assert.ok(data.equals(Buffer.from(message)), "other bytes came back");
}

const cases = {
  async messages_come_back() {
    for (const perMessageDeflate of [false, true]) {
      const ws = await connected({ perMessageDeflate });
      for (const message of ["text é€𝄞", Buffer.from([0, 255]), "", "x".repeat(70_000)]) await echoed(ws, message);
      assert.equal(ws._socket.getProtocol(), "TLSv1.3");
      ws.terminate();
    }
  },
  async a_large_message_comes_back() {
    const ws = await connected();
    for (let turn = 0; turn < 3; turn += 1) await echoed(ws, Buffer.alloc(1_000_000, turn));
    ws.terminate();
  },
  async it_closes_in_order() {
    const ws = await connected();
    ws.close(4001, "done");
    const [code] = await once(ws, "close");
    assert.equal(code, 4001);
  },
  async a_stranger_is_not_trusted() {
    await assert.rejects(connected({ ca: undefined }), { code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
  },
};

await cases[options.case]();
