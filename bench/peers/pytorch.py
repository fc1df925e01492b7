"""Solves the benchmarks' problems with PyTorch.

Reads commands, one JSON object a line, from standard input and answers each with one line. Arrays
travel in files of raw numbers. `peers/pytorch.ts` is the other side.
"""

import json
import math
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

POLYNOMIAL = (0.25, -0.5, 1.5, 0.125)


def polynomial(x):
    a, b, c, d = POLYNOMIAL
    return ((x * a + b) * x + c) * x + d


def gelu(x):
    return F.gelu(x, approximate="tanh")


FUNCTIONS = {
    "polynomial": polynomial,
    "exp": torch.exp,
    "log": torch.log,
    "tanh": torch.tanh,
    "gelu": gelu,
}


class Repeated:
    """A task whose every run computes the same arrays."""

    def __init__(self, make):
        self.make = make

    def run(self):
        self.make()

    def results(self):
        return self.make()


class Losses:
    """A task whose every run gives a loss."""

    def __init__(self, run, reported, first=None):
        self.run = run
        self.reported = reported
        self.first = first

    def results(self):
        found = dict(self.first()) if self.first else {}
        found["losses"] = torch.tensor([self.run() for _ in range(self.reported)], dtype=torch.float64)
        return found


def matmul(p, arrays):
    def stored(name, rows, columns, transposed):
        shape = (columns, rows) if transposed else (rows, columns)
        x = arrays[name].reshape(shape if p["batch"] == 1 else (p["batch"], *shape))
        return x.transpose(-1, -2) if transposed else x

    a = stored("a", p["m"], p["k"], p["transposeA"])
    b = stored("b", p["k"], p["n"], p["transposeB"])
    return Repeated(lambda: {"values": a @ b})


def elementwise(p, arrays):
    f = FUNCTIONS[p["function"]]
    return Repeated(lambda: {"values": f(arrays["x"])})


def rows(p, arrays):
    x = arrays["x"].reshape(p["rows"], p["width"])
    weight, bias = arrays["weight"], arrays["bias"]
    ids = arrays["ids"].long().reshape(-1, 1)
    per_row = p["function"] == "tokenLogProbs"
    cotangent = arrays["cotangent"].reshape((-1,) if per_row else x.shape)
    f = {
        "softmax": lambda x, w, b: torch.softmax(x, -1),
        "gelu": lambda x, w, b: gelu(x),
        "layerNorm": lambda x, w, b: F.layer_norm(x, x.shape[-1:], w, b, 1e-5),
        "tokenLogProbs": lambda x, w, b: torch.log_softmax(x, -1).gather(1, ids).squeeze(1),
    }[p["function"]]
    if not p["gradient"]:
        return Repeated(lambda: {"values": f(x, weight, bias)})
    names = ["x", "weight", "bias"] if p["function"] == "layerNorm" else ["x"]
    inputs = [t.clone().requires_grad_() for t in (x, weight, bias)]

    def gradient():
        found = torch.autograd.grad(f(*inputs), inputs[: len(names)], cotangent)
        return dict(zip(names, found))

    return Repeated(gradient)


def mlp(p, arrays):
    sizes = p["sizes"]
    layers = len(sizes) - 1
    x = arrays["inputs"].reshape(p["batch"], sizes[0])
    parameters = []
    for i in range(layers):
        parameters.append(arrays[f"weight{i}"].reshape(sizes[i], sizes[i + 1]))
        parameters.append(arrays[f"bias{i}"])
    for t in parameters:
        t.requires_grad_()
    activation = torch.relu if p["activation"] == "relu" else torch.tanh
    classes = p["targets"] == "classes"
    goal = arrays["goal"].long() if classes else arrays["goal"].reshape(p["batch"], sizes[-1])

    def loss_of():
        y = x
        for i in range(layers):
            y = torch.addmm(parameters[2 * i + 1], y, parameters[2 * i])
            if i < layers - 1:
                y = activation(y)
        return F.cross_entropy(y, goal) if classes else F.mse_loss(y, goal)

    def step():
        loss = loss_of()
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for t, g in zip(parameters, gradients):
                t.sub_(g, alpha=p["learningRate"])
        return loss.item()

    def forward():
        with torch.no_grad():
            return loss_of().item()

    return Losses(step if p["mode"] == "step" else forward, p["reported"])


def gpt(p, arrays):
    size, pairs, length = p["sizes"], p["pairs"], p["length"]
    width, heads, count = size["width"], size["heads"], 2 * pairs
    w = {}
    for name, shape in p["parameters"]:
        w[name] = arrays[name].reshape(shape).requires_grad_()
    tokens = arrays["tokens"].long().reshape(count, length)
    mask = arrays["mask"].reshape(count, length)[:, 1:]
    hidden = torch.triu(torch.ones(length, length, dtype=torch.bool), 1)

    def norm(x, name):
        return F.layer_norm(x, (width,), w[f"{name}.g"], w[f"{name}.b"], 1e-5)

    def linear(x, name):
        return torch.addmm(w[f"{name}.b"], x.reshape(-1, x.shape[-1]), w[f"{name}.w"])

    def logps_of():
        x = w["wte"][tokens] + w["wpe"][:length]
        for i in range(size["layers"]):
            qkv = linear(norm(x, f"h{i}.ln1"), f"h{i}.attn.qkv")
            split = qkv.reshape(count, length, 3, heads, width // heads)
            q, k, v = split.permute(2, 0, 3, 1, 4)
            scores = q @ k.transpose(-1, -2) / math.sqrt(width // heads)
            weights = torch.softmax(scores.masked_fill(hidden, -math.inf), -1)
            mixed = (weights @ v).transpose(1, 2).reshape(count, length, width)
            x = x + linear(mixed, f"h{i}.attn.proj").reshape(x.shape)
            u = gelu(linear(norm(x, f"h{i}.ln2"), f"h{i}.mlp.fc"))
            x = x + linear(u, f"h{i}.mlp.proj").reshape(x.shape)
        logits = norm(x, "lnf") @ w["wte"].T
        logps = F.log_softmax(logits[:, :-1], -1)
        return (logps.gather(2, tokens[:, 1:, None]).squeeze(2) * mask).sum(1)

    def loss_of():
        logps = logps_of()
        chosen, rejected = logps[:pairs], logps[pairs:]
        z = chosen - arrays["referenceChosen"] - rejected + arrays["referenceRejected"]
        loss = F.softplus(-0.1 * z).mean()
        return loss if p["loss"] == "dpo" else loss - (chosen / arrays["chosenLengths"]).mean()

    parameters = list(w.values())
    adam = p["adamw"]
    optimizer = torch.optim.AdamW(
        parameters,
        lr=adam["learningRate"],
        betas=(adam["beta1"], adam["beta2"]),
        eps=adam["epsilon"],
        weight_decay=adam["weightDecay"],
    )

    def step():
        loss = loss_of()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.item()

    def forward():
        with torch.no_grad():
            return loss_of().item()

    def first():
        with torch.no_grad():
            return {"logps": logps_of()}

    return Losses(step if p["mode"] == "step" else forward, p["reported"], first)


KINDS = {"matmul": matmul, "elementwise": elementwise, "rows": rows, "mlp": mlp, "gpt": gpt}


def read_arrays(file, listed):
    raw = np.fromfile(file, dtype=np.uint8)
    arrays = {}
    for name, dtype, offset, length in listed:
        part = raw[offset : offset + 4 * length].view(dtype)
        arrays[name] = torch.from_numpy(part.copy())
    return arrays


def write_arrays(file, arrays):
    listed, offset = [], 0
    with open(file, "wb") as out:
        for name, t in arrays.items():
            values = t.detach().double().numpy().ravel()
            out.write(values.tobytes())
            listed.append((name, offset, values.size))
            offset += values.nbytes
    return listed


def peak_memory():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    return None


def main():
    torch.set_num_threads(int(sys.argv[1]))
    task = None
    for line in sys.stdin:
        command = json.loads(line)
        name = command["do"]
        answer = {}
        if name == "version":
            answer["version"] = torch.__version__
        elif name == "prepare":
            arrays = read_arrays(command["file"], command["arrays"])
            task = KINDS[command["kind"]](command["problem"], arrays)
        elif name == "results":
            answer["arrays"] = write_arrays(command["file"], task.results())
        elif name == "run":
            start = time.perf_counter()
            for _ in range(command["runs"]):
                value = task.run()
            answer["milliseconds"] = 1e3 * (time.perf_counter() - start)
            answer["value"] = value if isinstance(value, float) else None
        elif name == "memory":
            answer["bytes"] = peak_memory()
        elif name == "close":
            task = None
        print(json.dumps(answer), flush=True)


main()
