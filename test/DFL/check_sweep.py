"""What must hold in any sweep's results."""
import csv
import json
import sys

folder = sys.argv[1]
with open(f"{folder}/results.jsonl", encoding="utf-8") as file:
    lines = [json.loads(line) for line in file]
models = [line for line in lines if "points" in line]
for model in models:
    assert [point["epochs"] for point in model["points"]] == [1, 4]
    assert [at["epoch"] for at in model["curve"]] == [0, 1, 2, 3, 4]
    for point in model["points"]:
        # Noise is always there, and 0: the identity.
        assert {a["attack"] for a in point["attacks"]} == {"own/fgsm/inf", "own/fgsm/inf/targeted", "spo_plus/apgd/2",
                                                               "random/fgsm/inf"}
        for attack in point["attacks"]:
            moved = attack["moved_2" if attack["attack"].endswith("/2") else "moved_inf"]
            assert moved <= attack["eps"] + 1e-12, attack
            assert moved >= 0.5 * attack["eps"] or attack["zero_gradients"] > 0, attack
            if attack["eps"] == 0:
                assert attack["fooling_regret"] == 0 and attack["relative_regret"] == point["clean"]["relative_regret"]
            assert attack["relative_regret"] >= 0 and 0 <= attack["blind_instances"] <= attack["zero_gradients"] <= 1
# A model under its own attack is the diagonal of the transfer matrix (no pool here that grew).
names = list(dict.fromkeys(model["method"] for model in models))
for transfer in (line for line in lines if "transfer" in line):
    for model in models:
        if (model["task"], model["seed"]) != (transfer["task"], transfer["seed"]) or model["method"] == "map":
            continue
        place = names.index(model["method"])
        for attack in model["points"][-1]["attacks"]:
            if attack["eps"] == 0.3 and attack["attack"] in transfer["transfer"]:
                diagonal = transfer["transfer"][attack["attack"]][place][place]
                assert abs(diagonal - attack["relative_regret"]) < 1e-12, (model["unit"], attack["attack"])
with open(f"{folder}/report/attacks.csv", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
assert len(rows) == len(models) * 2 * (1 + 4 * 3), len(rows)
# Each violating model has a line of the table of targeted attacks for each length of training.
with open(f"{folder}/report/violations.csv", encoding="utf-8") as file:
    violations = {row["model"] for row in csv.DictReader(file)}
with open(f"{folder}/report/targeted-own-fgsm-inf-targeted.csv", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
assert {row["model"] for row in rows} == violations and len(rows) == 2 * len(violations), (rows, violations)
for row in rows:
    task, method, seed = row["model"].split(" / ")
    model = next(m for m in models if (m["task"], m["method"], str(m["seed"])) == (task, method, seed))
    point = next(p for p in model["points"] if str(p["epochs"]) == row["epochs"])
    attack = next(a for a in point["attacks"] if a["attack"] == "own/fgsm/inf/targeted" and a["eps"] == 0.3)
    assert row["growth %"] == f"{100 * attack['fooling_regret']:.2f}", (row, attack)
print("results hold together")
