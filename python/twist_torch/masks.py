"""TwIST's masks, as `twist train` draws them, in pure Python: whoever knows the options knows all masks of all rounds.

Philox4x32-10 (Salmon et al., SC 2011) with key = seed and counter = (round, layer, family, draw); Fisher-Yates.
"""
FAMILIES = ("head", "ffn", "channel", "kv_group", "query", "qk", "v")
WORD = 0xFFFFFFFF


def philox(counter, key):
    """The four 32-bit words at `counter` of the sequence that `key` names."""
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & WORD, (a >> 32) ^ c[3] ^ k[1], a & WORD]
        k = [(k[0] + 0x9E3779B9) & WORD, (k[1] + 0xBB67AE85) & WORD]
    return c


class Stream:
    """The draws of one (round, layer, family)."""

    def __init__(self, seed, round_, layer, kind):
        family = FAMILIES.index(kind) if kind in FAMILIES else len(FAMILIES)
        self.key, self.counter = (seed & WORD, seed >> 32 & WORD), [round_ & WORD, layer & WORD, family, 0]

    def below(self, bound):
        words = philox(self.counter, self.key)
        self.counter[3] += 1
        return ((words[1] << 32 | words[0]) * bound) >> 64

    def shuffle(self, size, count=None):
        """The first `count` places of a shuffle of 0 … size-1."""
        order = list(range(size))
        for i in range(size if count is None else count):
            j = i + self.below(size - i)
            order[i], order[j] = order[j], order[i]
        return order[:count]


def kept(kappa, groups):
    """How many of an axis's groups a worker holds."""
    return max(int(kappa * groups + 0.5), 1)


def balanced(stream, groups, counts):
    """Shuffles end to end, consecutive runs dealt; a unit the worker has is swapped with the next that it has not."""
    line, begin, masks = [], 0, []
    for count in counts:
        end = begin + count
        while len(line) < end:
            line += stream.shuffle(groups)
        held = set()
        for at in range(begin, end):
            other = at
            while line[other] in held:
                other += 1
            line[at], line[other] = line[other], line[at]
            held.add(line[at])
        masks.append(sorted(line[begin:end]))
        begin = end
    return masks


def random(stream, groups, counts):
    """Every unit dealt once, the rest of each worker drawn."""
    masks, worker = [[] for _ in counts], 0
    for unit in stream.shuffle(groups, min(groups, sum(counts))):
        while len(masks[worker]) == counts[worker]:
            worker = (worker + 1) % len(masks)
        masks[worker].append(unit)
        worker = (worker + 1) % len(masks)
    for mask, count in zip(masks, counts):
        rest = [unit for unit in range(groups) if unit not in mask]
        mask += [rest[i] for i in stream.shuffle(len(rest), count - len(mask))]
    return [sorted(mask) for mask in masks]


def rolling(round_, groups, counts):
    """Windows side by side, moved by one unit a round."""
    first, masks = round_ % groups, []
    for count in counts:
        masks.append(sorted((first + i) % groups for i in range(count)))
        first += count
    return masks


def deal(seed, round_, layer, kind, groups, workers, kappa=0.5, assignment="balanced"):
    """The kept groups of each worker in one axis: `layer` is its place among its kind (inspect --json: index)."""
    counts = [kept(kappa, groups)] * workers
    if assignment == "rolling":
        return rolling(round_, groups, counts)
    stream = Stream(seed, round_, layer, kind)
    return {"balanced": balanced, "random": random}[assignment](stream, groups, counts)
