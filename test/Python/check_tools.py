"""The rules of twist_tools: comparisons, tickets, wrong arguments of writers."""
import os
import sys

import numpy as np

from twist_tools import compare, masked_reference, tickets
from twist_tools.models import bert, gpt2, llama, random_net


def refused(function, *arguments, **keywords):
    try:
        function(*arguments, **keywords)
    except ValueError as error:
        print("refused:", error)
        return
    raise AssertionError(f"{function} accepted {arguments} {keywords}")


def check_compare():
    exact = np.array([1.0, -2.0])
    b = (exact + 1e-6).astype(np.float32)
    assert compare.agree(exact + 7e-6, b, exact).equal
    assert not compare.agree(exact + 1e-4, b, exact).equal
    assert not compare.agree(np.array([np.nan, 1]), b, exact).equal
    assert compare.agree(exact + 4e-7, exact, exact).equal, "4 ulp of the largest"
    assert not compare.agree(exact + 2e-5, exact, exact + 2e-5, exact).equal, "both exact, yet apart"
    assert compare.agree_double(exact, exact + 1e-13).equal and not compare.agree_double(exact, exact + 1e-11).equal
    refused(compare.agree, np.zeros(3), np.zeros(3), exact)


def check_tickets(folder):
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "t.json")
    axis = tickets.Axis(12, [0, 3], 3)
    assert axis.kept_units() == [0, 1, 2, 9, 10, 11] and axis.removed_units() == [3, 4, 5, 6, 7, 8]
    tickets.write(tickets.Ticket({"head.0": axis}), path)
    assert tickets.read(path).axes == {"head.0": axis}
    assert tickets.shifted(axis).keep == [0, 1]
    with open(path, "w", encoding="utf-8") as file:
        file.write('{"version": 2, "axes": {}}')
    refused(tickets.read, path)


def check_masks():
    model = gpt2.build(gpt2.Config())
    feeds = compare.random_inputs(model, batch=1, sequence=5)
    dense = compare.run_ort(model, feeds)["logits"]
    whole = tickets.Ticket({"head.0": tickets.Axis(4, [0, 1, 2, 3])})
    assert np.array_equal(dense, compare.run_ort(masked_reference.mask(model, whole), feeds)["logits"])
    seen = [compare.run_ort(masked_reference.mask(model, tickets.Ticket({"head.0": tickets.Axis(4, [h])})), feeds)
            ["logits"] for h in range(4)]
    for i, a in enumerate(seen):  # each head matters, each differently
        assert all(np.abs(a - b).max() > 0.05 * np.abs(dense).max() for b in seen[:i] + [dense])
    refused(masked_reference.mask, model, tickets.Ticket({"encoder.1": tickets.Axis(4, [0])}))
    refused(masked_reference.mask, model, tickets.Ticket({"head.7": tickets.Axis(4, [0])}))


def check_writers():
    refused(gpt2.Config, style="keras")
    refused(gpt2.Config, dim=10, heads=3)
    refused(gpt2.Config, shapes="static", cache=True)
    refused(llama.Config, heads=4, kv_heads=3)
    refused(llama.Config, rope="none")
    refused(bert.Config, dim=10, heads=3)
    a, b = random_net.build(5)[0], random_net.build(5)[0]
    assert a.SerializeToString() == b.SerializeToString(), "a seed means one net"


check_compare()
check_tickets(sys.argv[1])
check_masks()
check_writers()
print("tools: passed")
