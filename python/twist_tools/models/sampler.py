"""Random weights under which a wrong unit shows."""
import numpy as np


class Sampler:
    """Draws of one generator, f32; gains are far from 1, of both signs, so that no two units are alike."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def normal(self, *shape, scale=1.0):
        return self.rng.standard_normal(shape, dtype=np.float32) * np.float32(scale)

    def gain(self, size):
        return (self.rng.uniform(0.5, 1.5, size) * self.rng.choice([-1, 1], size)).astype(np.float32)

    def positive(self, *shape):
        """Variances and the like."""
        return self.rng.uniform(0.5, 1.5, shape).astype(np.float32)
