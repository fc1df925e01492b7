const assert = require("node:assert/strict");
const prefgrad = require("prefgrad");
const { Tensor } = require("prefgrad/core");
const { initLinear } = require("prefgrad/nn");
const { adamw } = require("prefgrad/optim");

const subpaths = Object.keys(require("prefgrad/package.json").exports);
const rooms = subpaths.filter((path) => path !== "." && path !== "./package.json");

const found = new Set();
for (const room of rooms) {
  const part = require(room.replace(/^\./, "prefgrad"));
  assert.ok(Object.keys(part).length > 0, `${room} exports nothing`);
  for (const [name, value] of Object.entries(part)) {
    assert.equal(value, prefgrad[name], `${room} has a ${name} of its own`);
    found.add(name);
  }
}
assert.deepEqual([...found].sort(), Object.keys(prefgrad).sort());

const { weight } = initLinear(2, 3, { seed: 1 });
const { firstMoment } = adamw({ learningRate: 1 }).init({ weight });
assert.ok(weight instanceof Tensor && weight instanceof prefgrad.Tensor);
assert.ok(firstMoment.weight instanceof Tensor && firstMoment.weight instanceof prefgrad.Tensor);
console.log(`CommonJS: ${rooms.length} subpaths share their tensors`);
