"""The peer of benchmarks/training-step: the same GPT in PyTorch, one step per line of standard input.

    python training_torch.py MODE PRECISION THREADS LAYERS DIM HEADS VOCAB CONTEXT BATCH
MODE is eager or compile. Each answer is a line of JSON: loss, seconds, processor seconds, bytes of memory at most.
"""
import json
import resource
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

MODE, PRECISION = sys.argv[1:3]
THREADS, LAYERS, DIM, HEADS, VOCAB, CONTEXT, BATCH = map(int, sys.argv[3:])


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        self.attn, self.proj = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)
        self.up, self.down = nn.Linear(DIM, 4 * DIM), nn.Linear(4 * DIM, DIM)

    def forward(self, x):
        q, k, v = (part.view(BATCH, CONTEXT, HEADS, DIM // HEADS).transpose(1, 2)
                   for part in self.attn(self.ln_1(x)).split(DIM, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(BATCH, CONTEXT, DIM))
        return x + self.down(F.gelu(self.up(self.ln_2(x)), approximate="tanh"))


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(VOCAB, DIM), nn.Embedding(CONTEXT, DIM)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.ln = nn.LayerNorm(DIM)
        for p in self.parameters():
            if p.ndim > 1:
                nn.init.normal_(p, std=0.02)

    def forward(self, ids, labels):
        x = self.wte(ids) + self.wpe.weight
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.ln(x), self.wte.weight)
        return F.cross_entropy(logits.view(-1, VOCAB).float(), labels.view(-1))


def main():
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    start_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    model = GPT()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1, fused=True)
    forward = torch.compile(model) if MODE == "compile" else model
    generator = torch.Generator().manual_seed(0)
    for _ in sys.stdin:
        ids = torch.randint(0, VOCAB, (BATCH, CONTEXT + 1), generator=generator)
        wall, cpu = time.perf_counter(), time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=PRECISION == "bf16"):
            loss = forward(ids[:, :-1], ids[:, 1:].contiguous())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        seconds, cpu = time.perf_counter() - wall, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"loss": loss.item(), "seconds": seconds, "cpu": cpu, "memory": peak - start_memory}), flush=True)


main()
