"""Tickets as files: read, write, make by hand, and spoil in ways that a test must notice."""
import json
from dataclasses import dataclass, field


@dataclass
class Axis:
    """One mask. `keep` holds kept groups of `group` neighbouring units, ascending."""

    units: int
    keep: list
    group: int = 1
    site: str = "operand"

    def kept_units(self):
        return [g * self.group + i for g in self.keep for i in range(self.group)]

    def removed_units(self):
        kept = set(self.kept_units())
        return [u for u in range(self.units) if u not in kept]


@dataclass
class Ticket:
    axes: dict = field(default_factory=dict)  # name -> Axis, in the file's order
    model: dict = field(default_factory=dict)
    provenance: dict = field(default_factory=dict)


def read(path):
    with open(path, encoding="utf-8") as file:
        data = json.load(file)
    if data.get("version") != 1:
        raise ValueError(f"{path}: version {data.get('version')!r} is not 1")
    axes = {name: Axis(a["units"], a["keep"], a.get("group", 1), a.get("site", "operand"))
            for name, a in data["axes"].items()}
    return Ticket(axes, data.get("model", {}), data.get("provenance", {}))


def write(ticket, path):
    axes = {name: {"units": a.units, "group": a.group, "keep": list(a.keep), "site": a.site}
            for name, a in ticket.axes.items()}
    data = {"version": 1, "axes": axes, "correction": {"kind": "none"}}
    if ticket.model:
        data["model"] = ticket.model
    if ticket.provenance:
        data["provenance"] = ticket.provenance
    with open(path, "w", encoding="utf-8") as file:
        json.dump(data, file, indent=1)
        file.write("\n")


def shifted(axis):
    """The same number of groups, each one further (off by one): another cut unless everything is kept."""
    groups = axis.units // axis.group
    return Axis(axis.units, sorted((k + 1) % groups for k in axis.keep), axis.group, axis.site)
