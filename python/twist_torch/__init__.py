"""Training subnetworks of one's own PyTorch model, as `twist train` does (docs/HowTwISTWorks.md).

    twist inspect model.onnx --json --weights > model.json

    net = Subnetworks(model, "model.json", workers=4, kappa=0.5, group=64, pins=(1, 1))
    for _ in range(rounds):
        net.round(train, optimiser)          # train(worker, round) runs the local steps
    net.save("model.safetensors")            # twist weights model.onnx --from model.safetensors -o new.onnx
    net.save_tickets("tickets", count=8)     # twist slice new.onnx --ticket tickets/kappa0.5-0.json -o small.onnx

`masks` needs no torch.
"""
from . import masks


def __getattr__(name):  # so that masks can be had where there is no torch
    if name == "Subnetworks":
        from .subnetworks import Subnetworks
        return Subnetworks
    raise AttributeError(name)


__all__ = ["Subnetworks", "masks"]
