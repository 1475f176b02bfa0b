"""Rounds of subnetwork training on a PyTorch model: dispatch, local steps, aggregation."""
import json
import os

import torch
import torch.distributed as dist

from . import files, masks

FINE = ("ffn", "channel")  # kinds whose units are single features, dealt in groups


class Axis:
    def __init__(self, described, group, pins, last):
        self.name, self.symbol, self.kind = described["name"], described["symbol"], described["kind"]
        self.layer, self.units = described["index"], described["units"]
        self.group = group if self.kind in FINE else 1
        if self.units % self.group:
            raise ValueError(f"{self.kind} of layer {self.layer}: {self.units} units are no multiple of the group {self.group}")
        self.groups = self.units // self.group
        before, after = described.get("layers_before", self.layer), described.get("layers_after", last - self.layer)
        self.pinned = before < pins[0] or after < pins[1]


class Mean:
    """Over holders: summed in f64, rounded once."""

    def __init__(self, like):
        self.dtype, self.sum, self.holders = like.dtype, torch.zeros_like(like, dtype=torch.float64), 0

    def add(self, value, mask):
        self.sum += value.double() if mask is None else value.double() * mask
        self.holders = self.holders + (1 if mask is None else mask.double())

    def value(self, other):
        """`other` where there is no holder."""
        holders = torch.as_tensor(self.holders, dtype=torch.float64, device=self.sum.device)
        return torch.where(holders > 0, (self.sum / holders.clamp(min=1)).to(self.dtype), other)


class Subnetworks:
    """Trains `model`, a module that holds the weights of the ONNX file that `description` is of (a path to what `twist inspect
    --json --weights` prints, or that as a dict).

    workers, kappa (a number, or one by kind), seed, assignment, group, pins, kinds: as the options of `twist train`; the masks
    of all rounds are the same. names: {weight of the ONNX file: parameter of the model} where neither name nor content tells.

    Where torch.distributed is set up its processes share the workers, worker w in process w mod size; every process ends a
    round with the same parameters.
    """

    def __init__(self, model, description, workers=4, kappa=0.5, seed=0, assignment="balanced", group=1, pins=(0, 0),
                 kinds=("head", "kv_group", "ffn", "channel"), names=None):
        if not isinstance(description, dict):
            with open(description, encoding="utf-8") as file:
                description = json.load(file)
        if "weights" not in description:
            raise ValueError("the description lists no weights: it takes `twist inspect MODEL.onnx --json --weights`")
        self.model, self.workers, self.seed, self.assignment = model, workers, seed, assignment
        self.structure, self.kappas, self.round_number = description["structure_sha256"], kappa, 0
        chosen = [a for a in description["axes"] if a["kind"] in kinds]
        last = {kind: max(a["index"] for a in chosen if a["kind"] == kind) for kind in {a["kind"] for a in chosen}}
        self.axes = [Axis(a, group, pins, last[a["kind"]]) for a in chosen]
        if all(axis.pinned for axis in self.axes):
            raise ValueError("the model has no axis to deal")
        for axis in self.axes:
            kept = masks.kept(self.kappa(axis.kind), axis.groups)
            if not axis.pinned and workers * kept < axis.groups:
                raise ValueError(f"{axis.kind} of layer {axis.layer} has {axis.groups} groups, but {workers} workers of {kept} "
                                 f"each hold at most {workers * kept}")
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.origins = {name: files.content(p) for name, p in self.parameters.items()}
        self.names = {parameter: weight for weight, parameter in (names or {}).items()}
        self._find_places(description["weights"], names or {})
        self._held, self._state = {}, {}
        for name in self.places:
            self.parameters[name].register_hook(lambda grad, name=name: grad * self._held[name] if self._held else grad)

    def kappa(self, kind):
        return self.kappas.get(kind, 1.0) if isinstance(self.kappas, dict) else self.kappas

    # -- whose slices are where
    def _find_places(self, weights, names):
        """{parameter: [(its dimension, axis, place)]} for what an axis runs through."""
        known = {axis.symbol: axis for axis in self.axes}
        self.places = {}
        for weight in weights:
            places = [p for p in weight["places"] if p["axis"] in known]
            if not places:
                continue
            name, turned = self._find(weight, names)
            found = [(1 - p["dim"] if turned else p["dim"], known[p["axis"]], p) for p in places]
            if self.places.setdefault(name, found) != found:
                raise ValueError(f"parameter '{name}' is cut in two ways: it stands for several weights of the model")

    def _find(self, weight, names):
        """The parameter that is `weight`, and whether it is its transpose."""
        dims, name = weight["dims"], names.get(weight["name"], weight["name"])
        by_name = [n for n in self.parameters if n == name] or \
            [n for n in self.parameters if n.endswith("." + name) or name.endswith("." + n)]
        same = [n for n, origin in self.origins.items() if origin in (weight["sha256"], weight["transposed_sha256"])]
        candidates = [n for n in by_name if n in same] or (by_name if len(by_name) == 1 else same)
        if len(candidates) != 1:
            raise ValueError(f"weight '{weight['name']}' {dims} is {'no' if not candidates else 'more than one'} parameter of "
                             f"the model{': ' + ', '.join(candidates) if candidates else ''}; names={{…}} tells which")
        shape = list(self.parameters[candidates[0]].shape)
        direct, turned = shape == dims, len(dims) == 2 and shape == dims[::-1]
        if direct and turned:  # square
            if candidates[0] not in same:
                raise ValueError(f"parameter '{candidates[0]}' holds other values than weight '{weight['name']}': which way round "
                                 "it is can't be told; start with the ONNX file's weights")
            direct = self.origins[candidates[0]] == weight["sha256"]
        if not direct and not turned:
            raise ValueError(f"parameter '{candidates[0]}' is {shape}, weight '{weight['name']}' {dims}")
        return candidates[0], not direct

    # -- masks
    def masks(self, round_):
        """By worker: {axis symbol: kept units}."""
        result = [{} for _ in range(self.workers)]
        for axis in self.axes:
            if axis.pinned:
                dealt = [range(axis.groups)] * self.workers
            else:
                dealt = masks.deal(self.seed, round_, axis.layer, axis.kind, axis.groups, self.workers, self.kappa(axis.kind),
                                   self.assignment)
            for worker, groups in enumerate(dealt):
                result[worker][axis.symbol] = [g * axis.group + i for g in groups for i in range(axis.group)]
        return result

    def _mask_of(self, name, kept):
        """What a worker holds of a parameter: ones and zeros, broadcast to it."""
        parameter = self.parameters[name]
        mask = torch.ones((1,) * parameter.dim(), dtype=torch.bool, device=parameter.device)
        for dim, axis, p in self.places[name]:
            unit = torch.zeros(axis.units, dtype=torch.bool)
            unit[kept[axis.symbol]] = True
            line = torch.ones(parameter.shape[dim], dtype=torch.bool)
            span = unit[torch.arange(p["outer"] * p["units"] * p["inner"]) // p["inner"] % p["units"]]
            line[p["offset"]:p["offset"] + len(span)] = span
            shape = [1] * parameter.dim()
            shape[dim] = len(line)
            mask = mask & line.reshape(shape).to(parameter.device)
        return mask

    # -- a round
    def round(self, train, optimiser=None):
        """Each worker: its slice of the parameters (the rest is zero, and so are its gradients, so that the subnetwork is
        trained and nothing else), train(worker, round). Then means over holders, in ascending order of workers, in f64.

        optimiser: carries its state from round to round, averaged like the parameters; counts of steps are the largest. None:
        `train` makes its own.
        """
        start = {name: p.detach().clone() for name, p in self.parameters.items()}
        rank, size = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        means, counts = {}, {}
        for worker, kept in enumerate(self.masks(self.round_number)):
            held = {name: self._mask_of(name, kept) for name in self.places}
            made = self._run(worker, train, optimiser, start, held) if worker % size == rank else {}
            for key, value in self._from(worker % size, made).items():
                if value.shape == self.parameters[key[1]].shape:
                    means.setdefault(key, Mean(value)).add(value, held.get(key[1]))
                else:  # a count of steps
                    counts[key] = torch.maximum(value, counts.get(key, value))
        with torch.no_grad():
            for name, p in self.parameters.items():
                p.copy_(means.pop(("parameter", name)).value(start[name]))
        self._state = {key: mean.value(torch.zeros_like(self.parameters[key[1]])) for key, mean in means.items()} | counts
        self.round_number += 1

    def _run(self, worker, train, optimiser, start, held):
        """A worker's local steps; {(kind, parameter): tensor} of parameters and the optimiser's state."""
        with torch.no_grad():
            for name, p in self.parameters.items():
                p.copy_(start[name] * held[name] if name in held else start[name])
        self._give_state(optimiser, held)
        self._held = held
        train(worker, self.round_number)
        self._held = {}
        return {("parameter", name): p.detach().clone() for name, p in self.parameters.items()} | self._state_of(optimiser)

    def _from(self, process, made):
        """What the worker's process has, in all of them."""
        if not dist.is_initialized() or dist.get_world_size() == 1:
            return made
        if dist.get_rank() == process:
            shapes = [(key, value.shape, value.dtype) for key, value in made.items()]
        box = [shapes if dist.get_rank() == process else None]
        dist.broadcast_object_list(box, src=process)
        result = {}
        for key, shape, dtype in box[0]:
            device = self.parameters[key[1]].device
            value = made[key].to(device).contiguous() if dist.get_rank() == process else torch.empty(shape, dtype=dtype, device=device)
            dist.broadcast(value, src=process)
            result[key] = value
        return result

    def _state_of(self, optimiser):
        names = {p: name for name, p in self.parameters.items()}
        return {(kind, names[p]): torch.as_tensor(value) for p, state in (optimiser.state.items() if optimiser else ())
                if p in names for kind, value in state.items() if value is not None}

    def _give_state(self, optimiser, held):
        """The state carried: an optimiser without state makes its own, which is zero, in its first step."""
        if not optimiser:
            return
        optimiser.state.clear()
        for (kind, name), value in self._state.items():
            p = self.parameters[name]
            slice_ = value * held[name] if name in held and value.shape == p.shape else value.clone()
            optimiser.state[p][kind] = slice_

    # -- results
    def save(self, path):
        """All parameters, as safetensors; those that `names` gave another name have the ONNX file's."""
        name_of = {name: self.names.get(name, name) for name in self.parameters}
        files.write_safetensors(path, {name_of[name]: p.detach() for name, p in self.parameters.items()},
                                {name_of[name]: origin for name, origin in self.origins.items()})

    def save_tickets(self, folder, count=4, kappa=None, seed=None):
        """Random tickets as `twist ticket --policy random` draws them, FOLDER/kappaK-I.json; returns their paths."""
        kappa = kappa if kappa is not None else self.kappas
        seed = self.seed + 1000 if seed is None else seed  # not those of training
        os.makedirs(folder, exist_ok=True)
        paths = []
        for i in range(count):
            axes = {}
            for axis in self.axes:
                if axis.pinned:
                    continue
                fraction = kappa.get(axis.kind, 1.0) if isinstance(kappa, dict) else kappa
                stream = masks.Stream(seed + i, 0, axis.layer, axis.kind)
                axes[axis.name] = axis.units, axis.group, sorted(stream.shuffle(axis.groups, masks.kept(fraction, axis.groups)))
            name = f"kappa{kappa:g}" if not isinstance(kappa, dict) else "ticket"
            paths.append(os.path.join(folder, f"{name}-{i}.json"))
            files.write_ticket(paths[-1], self.structure, axes, {"made_by": "twist_torch", "policy": "random", "seed": seed + i})
        return paths
