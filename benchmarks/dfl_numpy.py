"""The protocol of knapsacks of energy prices in numpy alone, with the draws of twist dfl.

train() trains one linear predictor and returns its relative regret; what it shares with twist dfl is the order in
which numpy shuffles, and the counter-based draws of first parameters, noise and the pool's growth. Not here: imle, whose
noise is drawn by rejection, and hsd.
"""
import numpy as np

BATCH, EPOCHS, GROWTH = 128, 35, 0.05
# What draws are for.
NOISE, POOL, INITIAL = 2, 3, 4
POOLED = ("map", "listwise", "pairwise", "pairwise-diff")
METHODS = ("mse", "spo+", "dbb", "fy", "qptl", *POOLED)


def uniforms(seed, a, b, family, count):
    """`count` numbers in (0, 1) for each stream (a, b, family) of Philox4x32-10; b [streams]."""
    mask, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    last = np.arange((count + 1) // 2, dtype=np.uint64)[None, :]
    words = [np.zeros((len(b), last.shape[1]), np.uint64) + np.asarray(v, np.uint64)
             for v in (a, np.asarray(b)[:, None], family, last)]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        x, y = np.uint64(0xD2511F53) * words[0], np.uint64(0xCD9E8D57) * words[2]
        words = [(y >> shift) ^ words[1] ^ np.uint64(key[0]), y & mask,
                 (x >> shift) ^ words[3] ^ np.uint64(key[1]), x & mask]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    both = np.stack([words[1] << shift | words[0], words[3] << shift | words[2]], -1).reshape(len(b), -1)
    return ((both[:, :count] >> np.uint64(11)).astype(float) + 0.5) * 2.0**-53


def load(path):
    """Features [789, 48, 8], standardised by the first 552 days; prices [789, 48]; weights [48]."""
    file = np.load(path)
    x = np.concatenate([file["X_1gtrain"], file["X_1gtest"]])[:, 1:]
    first = x[:552 * 48]
    x = (x - first.mean(0)) / first.std(0)
    return x.reshape(-1, 48, 8), np.concatenate([file["y_train"], file["y_test"]]).reshape(-1, 48), file["weights"]


def solve(gains, weights, capacity):
    """Exact decisions [batch, items] by dynamic programme over all loads."""
    batch, items = gains.shape
    value, taken = np.zeros((batch, capacity + 1)), np.zeros((items, batch, capacity + 1), bool)
    for i, w in enumerate(weights):
        with_it = value[:, :-w] + gains[:, i, None]
        taken[i, :, w:] = with_it > value[:, w:]
        value[:, w:] = np.maximum(with_it, value[:, w:])
    decisions, left, rows = np.zeros((batch, items)), np.full(batch, capacity), np.arange(batch)
    for i in range(items - 1, -1, -1):
        decisions[:, i] = taken[i, rows, left]
        left = left - weights[i] * taken[i, rows, left]
    return decisions


def pull_back(gains, weights, capacity, mu, v):
    """(dx/dg)' v for x = argmax g x - mu |x|² over the relaxation: halving around the price of the capacity."""
    def at(price):
        return np.clip((gains - price[:, None] * weights) / (2 * mu), 0, 1)
    low, high = np.zeros(len(gains)), np.maximum(0, (gains / weights).max(1))
    bound = at(low) @ weights > capacity
    for _ in range(100):
        middle = (low + high) / 2
        over = at(middle) @ weights > capacity
        low, high = np.where(over, middle, low), np.where(over, high, middle)
    x = at(np.where(bound, high, 0))
    free = (x > 0) & (x < 1)
    squares, along = (free * weights**2).sum(1), (free * weights * v).sum(1)
    back = np.where(bound & (squares > 0), along / np.maximum(squares, 1e-300), 0)
    return free * (v - back[:, None] * weights) / (2 * mu)


def softmax(values):
    powers = np.exp(values - values.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def gradient(method, p, best, pool, yh, y, s, noise):
    """By predictions yh [batch, items]; `best` solves, `pool` [solutions, items], `noise` uniform [batch, items]."""
    batch, items = yh.shape
    if method == "mse":
        return 2 * (yh - y) / (items * batch)
    if method == "spo+":
        return best(2 * yh - y) - s
    if method == "dbb":
        return (best(yh) - best(yh + p["lambda"] * y / batch)) / p["lambda"]
    if method == "fy":
        return (best(yh - p["sigma"] * np.log(-np.log(noise))) - s) / batch
    if method == "map":
        return (pool[np.argmax((yh - y) @ pool.T, 1)] - s) / batch
    if method == "listwise":
        away = softmax(yh @ pool.T / p["tau"]) - softmax(y @ pool.T / p["tau"])
        return away @ pool / (p["tau"] * len(pool) * batch)
    top, rows = np.argmax(y @ pool.T, 1), np.arange(batch)
    worth = yh @ pool.T if method == "pairwise" else (yh - y) @ pool.T
    ahead = worth[rows, top][:, None] - worth
    if method == "pairwise":
        pull = (p["margin"] > ahead).astype(float)
        pull[rows, top] = 0
    else:
        pull = -2 * ahead
    return (pull @ pool - pull.sum(1, keepdims=True) * pool[top]) / ((len(pool) - 1) * batch)


def train(data, method, parameters, rate, capacity, seed, nudge=0.0):
    """Relative regret of the test days after training from first parameters that are larger by `nudge`."""
    x, y, weights = data
    order = np.arange(len(x))
    np.random.RandomState(seed).shuffle(order)
    train_x, train_y, test_x, test_y = x[order[:550]], y[order[:550]], x[order[650:789]], y[order[650:789]]

    def best(gains):
        return solve(gains, weights, capacity)
    optima = best(train_y)
    pool = list(dict.fromkeys(map(tuple, optima)))
    t = (2 * uniforms(seed, 0, [0], INITIAL, 9)[0] - 1) / np.sqrt(8) + nudge
    m, v, step = np.zeros(9), np.zeros(9), 0
    for _ in range(EPOCHS):
        for begin in range(0, 550, BATCH):
            xb, yb, s = (a[begin:begin + BATCH] for a in (train_x, train_y, optima))
            yh = xb @ t[:8] + t[8]
            if method in POOLED and uniforms(seed, step, [0], POOL, 1)[0, 0] < GROWTH:
                pool = list(dict.fromkeys(pool + list(map(tuple, best(yh)))))
            if method == "qptl":
                g = -pull_back(yh, weights, capacity, parameters["mu"], yb / len(yb))
            else:
                noise = uniforms(seed, step, np.arange(len(yb)), NOISE, 48) if method == "fy" else None
                g = gradient(method, parameters, best, np.array(pool), yh, yb, s, noise)
            d = np.append(np.einsum("bi,bif->f", g, xb), g.sum())
            step += 1
            m, v = 0.9 * m + 0.1 * d, 0.999 * v + 0.001 * d * d
            t = t - rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    optimum = (best(test_y) * test_y).sum(1)
    return np.mean((optimum - (best(test_x @ t[:8] + t[8]) * test_y).sum(1)) / optimum)
