// A round trip with the types that openapi-typescript generates from docs/openapi.json, and openapi-fetch.
// What is not JSON is as docs/protocol.md has it.

import assert from "node:assert/strict";
import { request, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

type Vm = components["schemas"]["Vm"];
type VmCreate = components["schemas"]["VmCreate"];
type VmEvent = components["schemas"]["VmEvent"];
type Exec = components["schemas"]["Exec"];
type Control = components["schemas"]["Control"];

const socketPath = process.argv[2]!;

/** `fetch` over the daemon's socket. */
async function overSocket(asked: Request): Promise<Response> {
  const url = new URL(asked.url);
  const body = Buffer.from(await asked.arrayBuffer());
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = request(
      { socketPath, path: url.pathname + url.search, method: asked.method, headers: Object.fromEntries(asked.headers) },
      resolve,
    );
    sent.on("error", reject);
    sent.end(body);
  });
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  const status = answer.statusCode ?? 500;
  const headers = new Headers();
  for (const [name, value] of Object.entries(answer.headers)) headers.set(name, String(value));
  return new Response(status === 204 ? null : Buffer.concat(chunks), { status, headers });
}

function frame(channel: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(channel, 0);
  head.writeUInt32BE(payload.length, 1);
  return Buffer.concat([head, payload]);
}

/** Runs a command, by the upgrade to stdio_mux_v1. */
async function run(vm: string, command: Exec, stdin: Buffer): Promise<{ code: number; out: Buffer; err: Buffer }> {
  const [stream, first] = await new Promise<[Duplex, Buffer]>((resolve, reject) => {
    const headers = { Connection: "upgrade", Upgrade: "stdio_mux_v1", "Content-Type": "application/json" };
    const sent = request({ socketPath, path: `/v1/vms/${vm}/exec`, method: "POST", headers });
    sent.on("upgrade", (_, socket, head) => resolve([socket, head]));
    sent.on("response", (answer) => reject(new Error(`status ${answer.statusCode}`)));
    sent.on("error", reject);
    sent.end(JSON.stringify(command));
  });
  stream.write(frame(1, stdin));
  stream.write(frame(1, Buffer.alloc(0)));
  let rest = first;
  const out: Record<number, Buffer[]> = { 2: [], 3: [] };
  /** Takes the whole frames that are there, and gives the exit code when it is among them. */
  const take = (): number | undefined => {
    while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
      const channel = rest.readUInt8(0);
      const payload = rest.subarray(5, 5 + rest.readUInt32BE(1));
      rest = rest.subarray(5 + payload.length);
      if (channel !== 4) {
        out[channel]!.push(payload);
        continue;
      }
      const control = JSON.parse(payload.toString()) as Control;
      if (control.type === "exit" && "code" in control.status) return control.status.code;
      assert.equal(control.type, "started");
    }
    return undefined;
  };
  let code = take();
  if (code === undefined) {
    // Leaving the loop closes the stream.
    for await (const chunk of stream) {
      rest = Buffer.concat([rest, chunk as Buffer]);
      code = take();
      if (code !== undefined) break;
    }
  }
  assert.ok(code !== undefined, "the stream was cut short");
  return { code, out: Buffer.concat(out[2]!), err: Buffer.concat(out[3]!) };
}

/** The events of a stream that has ended. */
function events(text: string): VmEvent[] {
  const blocks = text.split("\n\n").map((block) => block.split("\n").filter((line) => !line.startsWith(":")));
  const field = (lines: string[], name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
  return blocks.flatMap((lines) => {
    const [event, data] = [field(lines, "event"), field(lines, "data")];
    return event && data ? [{ event, data: JSON.parse(data) } as VmEvent] : [];
  });
}

async function main(): Promise<void> {
  const client = createClient<paths>({ baseUrl: "http://bangerd", fetch: overSocket });
  const names = async () => (await client.GET("/v1/vms")).data?.map((vm) => vm.name);
  assert.deepEqual(await names(), []);

  const missing = await client.GET("/v1/vms/{vm}", { params: { path: { vm: "no/body" } } });
  assert.equal(missing.response.status, 404);
  assert.equal(missing.error?.code, "not_found");

  const body: VmCreate = { name: "ts", image: "busybox", kernel: "debian", vmm: "fake", vcpus: 1, memory: 512 << 20 };
  const created = await client.POST("/v1/vms", { body, headers: { Accept: "application/json" } });
  const vm = created.data as Vm;
  assert.deepEqual([vm.name, vm.phase], ["ts", "running"]);

  // The same as events, which is what a client gets that names nothing else.
  const followed = await client.POST("/v1/vms", { body: { ...body, name: "ts-2" }, parseAs: "text" });
  const seen = events(followed.data as string);
  const last = seen.at(-1);
  assert.ok(last?.event === "done" && last.data.name === "ts-2", followed.data as string);
  assert.ok(seen.some(({ event, data }) => event === "progress" && data.kind === "stage"));

  const input = Buffer.from("a\0b".repeat(100_000));
  const ran = await run("ts", { argv: ["sh", "-c", "cat; echo err >&2; exit 7"] }, input);
  assert.equal(ran.code, 7);
  assert.ok(ran.out.equals(input));
  assert.equal(ran.err.toString(), "err\n");

  const log = await client.GET("/v1/vms/{vm}/logs", {
    params: { path: { vm: "ts" }, query: { source: "vmm", follow: false } },
    parseAs: "arrayBuffer",
  });
  assert.equal(log.response.status, 200);

  for (const name of ["ts", "ts-2"]) {
    // The daemon keeps what runs, until it is told that this is meant.
    const refused = await client.DELETE("/v1/vms/{vm}", { params: { path: { vm: name } } });
    assert.equal(refused.response.status, 409);
    assert.equal(refused.error?.code, "wrong_phase");
    const deleted = await client.DELETE("/v1/vms/{vm}", {
      params: { path: { vm: name }, query: { force: true } },
    });
    assert.equal(deleted.response.status, 200);
    assert.deepEqual(deleted.data?.left, []);
  }
  assert.deepEqual(await names(), []);
  console.log("well");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
