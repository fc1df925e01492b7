import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import * as prefgrad from "prefgrad";
import { Tensor } from "prefgrad/core";
import { initLinear } from "prefgrad/nn";
import { adamw } from "prefgrad/optim";

const manifest = new URL(import.meta.resolve("prefgrad/package.json"));
const subpaths = Object.keys(JSON.parse(readFileSync(manifest, "utf8")).exports);
const rooms = subpaths.filter((path) => path !== "." && path !== "./package.json");

const whole = new Map(Object.entries(prefgrad));
const found = new Set();
for (const room of rooms) {
  const part = await import(room.replace(/^\./, "prefgrad"));
  assert.ok(Object.keys(part).length > 0, `${room} exports nothing`);
  for (const [name, value] of Object.entries(part)) {
    assert.equal(value, whole.get(name), `${room} has a ${name} of its own`);
    found.add(name);
  }
}
assert.deepEqual([...found].sort(), [...whole.keys()].sort());

const { weight } = initLinear(2, 3, { seed: 1 });
const { firstMoment } = adamw({ learningRate: 1 }).init({ weight });
assert.ok(weight instanceof Tensor && weight instanceof prefgrad.Tensor);
assert.ok(firstMoment.weight instanceof Tensor && firstMoment.weight instanceof prefgrad.Tensor);
console.log(`ES module: ${rooms.length} subpaths share their tensors`);
