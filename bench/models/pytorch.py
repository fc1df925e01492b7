"""Runs the models' workloads with PyTorch, transformers and PEFT.

Answers questions, one JSON object a line, with one line each: `models/work.ts` says which. Libraries'
defaults are kept: `sdpa` attention, eager execution.
"""

import json
import resource
import sys
import time

import peft
import torch
import torch.nn.functional as F
import transformers
from transformers import AutoModelForCausalLM

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def load(question):
    return AutoModelForCausalLM.from_pretrained(question["model"], dtype=torch.float32)


def sequences(batch):
    """The batch's sequences, the chosen completions first, and which tokens count."""
    rows = [p + c for side in ("chosen", "rejected") for p, c in zip(batch["prompts"], batch[side])]
    ids = torch.tensor(rows)
    mask = torch.zeros(ids.shape[0], ids.shape[1] - 1)
    mask[:, len(batch["prompts"][0]) - 1 :] = 1
    return ids, mask


def log_probs(model, ids, mask):
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
    found = F.log_softmax(logits, -1).gather(2, ids[:, 1:, None]).squeeze(2)
    return (found * mask).sum(1)


def step_run(question):
    model = load(question)
    if question["trains"] == "adapter":
        model = peft.PeftModel.from_pretrained(model, question["adapter"], is_trainable=True)
    ids, mask = sequences(question["batch"])
    pairs = ids.shape[0] // 2
    with torch.no_grad():
        reference = log_probs(model, ids, mask)
    model.train()
    if question["checkpointing"]:
        model.gradient_checkpointing_enable()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=question["learningRate"], weight_decay=0)

    def run():
        margin = log_probs(model, ids, mask) - reference
        loss = F.softplus(-0.1 * (margin[:pairs] - margin[pairs:])).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return [loss.item()]

    return run


def score_run(question):
    model = load(question)
    ids, mask = sequences(question["batch"])

    def run():
        with torch.no_grad():
            return log_probs(model, ids, mask).tolist()

    return run


def decode_run(question):
    model = load(question)
    prompt = torch.tensor([question["batch"]["prompts"][0][: question["startingTokens"]]])
    count = question["newTokens"]

    def run():
        with torch.no_grad():
            found = model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                do_sample=False,
                min_new_tokens=count,
                max_new_tokens=count,
                pad_token_id=0,
                eos_token_id=None,
            )
        return found[0, prompt.shape[1] :].tolist()

    return run


def load_run(question):
    def run():
        model = load(question)
        return [model.get_input_embeddings().weight[0, 0].item()]

    return run


RUNS = {"step": step_run, "score": score_run, "decode": decode_run, "load": load_run}


def answer(question, state):
    if question["do"] == "prepare":
        state["run"] = RUNS[question["task"]](question)
        return {"version": f"{torch.__version__}, transformers {transformers.__version__}"}
    if question["do"] == "memory":
        peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"residentBytes": peak, "deviceBytes": None}
    start = time.perf_counter()
    numbers = state["run"]()
    return {"milliseconds": 1e3 * (time.perf_counter() - start), "numbers": numbers}


def main():
    torch.set_num_threads(int(sys.argv[1]))
    state = {}
    for line in sys.stdin:
        try:
            found = answer(json.loads(line), state)
        except Exception as error:  # whatever it is, the other side has to hear of it
            found = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(found), flush=True)


main()
