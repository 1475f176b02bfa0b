"""Trains a GPT in PyTorch by python/twist_torch on the windows that `twist train` takes; torch_handover.py runs it, also as
one of several processes.

    torch_gpt.py FOLDER RANK PROCESSES
"""
import json
import os
import sys

import numpy as np
import torch
from twist_torch import Subnetworks, files, masks

LAYERS, DIM, HEADS, CONTEXT, BATCH, STEPS, ROUNDS, WORKERS = 2, 32, 4, 32, 2, 3, 3, 4


class Block(torch.nn.Module):
    def __init__(self, up):
        super().__init__()
        attn, mlp = torch.nn.Module(), torch.nn.Module()
        self.ln_1, self.ln_2 = torch.nn.LayerNorm(DIM), torch.nn.LayerNorm(DIM)
        attn.c_attn, attn.c_proj = torch.nn.Linear(DIM, 3 * DIM), torch.nn.Linear(DIM, DIM)
        mlp.add_module(up, torch.nn.Linear(DIM, 64))
        mlp.c_proj = torch.nn.Linear(64, DIM)
        self.attn, self.mlp, self.up = attn, mlp, up

    def forward(self, x):
        b, s, _ = x.shape
        q, k, v = (t.reshape(b, s, HEADS, -1).transpose(1, 2) for t in self.attn.c_attn(self.ln_1(x)).split(DIM, -1))
        y = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn.c_proj(y.transpose(1, 2).reshape(b, s, DIM))
        up = getattr(self.mlp, self.up)
        return x + self.mlp.c_proj(torch.nn.functional.gelu(up(self.ln_2(x)), approximate="tanh"))


class GPT(torch.nn.Module):
    """Names as many have them: a prefix, matrices the other way round; one layer's are others altogether."""

    def __init__(self):
        super().__init__()
        body = torch.nn.Module()
        body.wte, body.wpe = torch.nn.Embedding(64, DIM), torch.nn.Embedding(CONTEXT, DIM)
        body.h = torch.nn.ModuleList([Block("c_fc"), Block("up")])
        body.ln_f = torch.nn.LayerNorm(DIM)
        self.transformer = body

    def forward(self, ids):
        body = self.transformer
        x = body.wte(ids) + body.wpe(torch.arange(ids.shape[1]))
        for block in body.h:
            x = block(x)
        return body.ln_f(x) @ body.wte.weight.T


def load(model, folder):
    weights = np.load(os.path.join(folder, "start.npz"))
    with torch.no_grad():
        for name, p in model.named_parameters():
            value = torch.from_numpy(weights[name.removeprefix("transformer.").replace(".up.", ".c_fc.")])
            linear = value.dim() == 2 and "wte" not in name and "wpe" not in name
            p.copy_(value.T if linear else value)


def windows(ids, worker, step):
    """Those of `twist train`: window i belongs to worker i mod n, shuffled by (seed, epoch, worker)."""
    count = ((len(ids) - 1) // CONTEXT - worker - 1) // WORKERS + 1
    for row in range(BATCH):
        position = step * BATCH + row
        stream = masks.Stream(5, position // count, worker, "head")
        stream.counter[2] = 0x20000
        first = (stream.shuffle(count)[position % count] * WORKERS + worker) * CONTEXT
        yield ids[first:first + CONTEXT + 1]


def small():
    """AdamW's state is carried, an optimiser of the workers' own is not; nothing outside a mask moves; what does not fit is told."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 4))
    place = {"axis": "ffn_0", "offset": 0, "outer": 1, "units": 32, "inner": 1}
    weights = [{"name": name, "dims": list(p.shape), "sha256": files.content(p), "transposed_sha256": "",
                "places": [{**place, "dim": dim}]}
               for (name, p), dim in zip(net.named_parameters(), (0, 0, 1)) if name != "2.bias"]
    description = {"axes": [{"name": "ffn.0", "symbol": "ffn_0", "kind": "ffn", "index": 0, "units": 32}], "weights": weights,
                   "structure_sha256": ""}
    nets = Subnetworks(net, description, workers=4, kappa=0.5, group=4)
    x = torch.randn(256, 8)
    y = x[:, :4] * x[:, 4:]

    def loss():
        return ((net(x) - y) ** 2).mean()

    for carried in (torch.optim.AdamW(net.parameters(), lr=1e-2, weight_decay=0.01), None):
        def train(worker, round_):
            optimiser = carried or torch.optim.SGD(net.parameters(), lr=1e-2)
            for _ in range(10):
                optimiser.zero_grad()
                loss().backward()
                optimiser.step()
            gone = sorted(set(range(32)) - set(nets.masks(round_)[worker]["ffn_0"]))
            assert len(gone) == 16 and net[0].weight[gone].abs().max() == 0 and net[2].weight[:, gone].abs().max() == 0

        before = loss().item()
        for _ in range(10):
            nets.round(train, carried)
        assert loss().item() < 0.95 * before, (before, loss().item())
    for options, said in (({"workers": 1}, "1 workers of 16 each hold at most 16"), ({"group": 5}, "no multiple of the group 5"),
                          ({"pins": (1, 0)}, "no axis to deal")):
        refused(lambda: Subnetworks(net, description, **options), said)
    refused(lambda: Subnetworks(torch.nn.Linear(3, 3), description), "parameter 'weight' is [3, 3], weight '0.weight' [32, 8]")
    refused(lambda: Subnetworks(torch.nn.Sequential(net, net), {"axes": []}), "twist inspect MODEL.onnx --json --weights")


def refused(make, said):
    try:
        make()
    except ValueError as error:
        assert said in str(error), error
    else:
        raise AssertionError(said)


def main(folder, rank, processes):
    torch.set_num_threads(1)
    if processes == 1:
        small()
    if processes > 1:
        torch.distributed.init_process_group("gloo", init_method="file://" + os.path.join(folder, "meet"), rank=rank,
                                             world_size=processes)
    model = GPT()
    load(model, folder)
    ids = np.fromfile(os.path.join(folder, "ids.bin"), "<u2", offset=64).astype(np.int64)
    net = Subnetworks(model, os.path.join(folder, "model.json"), workers=WORKERS, kappa=0.5, seed=5, group=16,
                      names={"h.1.mlp.c_fc.bias": "transformer.h.1.mlp.up.bias"})
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def train(worker, round_):
        for local in range(STEPS):
            batch = torch.from_numpy(np.stack(list(windows(ids, worker, round_ * STEPS + local))))
            loss = torch.nn.functional.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    for round_ in range(ROUNDS):
        net.round(train, optimiser)
    net.save(os.path.join(folder, f"torch{rank}.safetensors"))
    if rank == 0:
        net.save_tickets(os.path.join(folder, "tickets"), count=2, seed=7)
        with open(os.path.join(folder, "masks-torch.json"), "w") as file:
            json.dump([net.masks(r) for r in range(ROUNDS)], file)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
