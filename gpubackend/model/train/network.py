"""The Llama network in numpy, with gradients written by hand.

RMSNorm, rotary positions (half-split; the exporter reorders for GGUF), grouped
query attention, SwiGLU, embeddings tied to the output. All parameters live in
one flat array, so that the optimiser is a handful of whole-array operations.
"""

import mmap

import numpy as np

EPSILON = 1e-5


class Shape:
    def __init__(self, vocabulary=1024, width=192, layers=5, heads=6, kv_heads=2, hidden=512, context=1024, base=10000.0):
        self.vocabulary, self.width, self.layers, self.hidden = vocabulary, width, layers, hidden
        self.heads, self.kv_heads, self.head = heads, kv_heads, width // heads
        self.context, self.base = context, base

    def tensors(self):
        """Name and shape of each parameter, in order. Matrices are [in, out]."""
        kv = self.kv_heads * self.head
        yield "embed", (self.vocabulary, self.width)
        for n in range(self.layers):
            yield f"{n}.norm1", (self.width,)
            yield f"{n}.qkv", (self.width, self.width + 2 * kv)
            yield f"{n}.out", (self.width, self.width)
            yield f"{n}.norm2", (self.width,)
            yield f"{n}.gate_up", (self.width, 2 * self.hidden)
            yield f"{n}.down", (self.hidden, self.width)
        yield "norm", (self.width,)


class Parameters:
    """Named views into one flat array."""

    def __init__(self, shape, dtype=np.float32, shared=False):
        sizes = [(name, dims, int(np.prod(dims))) for name, dims in shape.tensors()]
        total = sum(size for _, _, size in sizes)
        # Shared memory is seen by processes that are forked later.
        self.flat = np.frombuffer(mmap.mmap(-1, total * np.dtype(dtype).itemsize), dtype) if shared else np.zeros(total, dtype)
        self.view, self.matrix, at = {}, np.zeros(self.flat.shape, bool), 0
        for name, dims, size in sizes:
            self.view[name] = self.flat[at:at + size].reshape(dims)
            self.matrix[at:at + size] = len(dims) == 2
            at += size

    @classmethod
    def like(cls, other, flat):
        """The same names over another flat array."""
        new, at = cls.__new__(cls), 0
        new.flat, new.view, new.matrix = flat, {}, other.matrix
        for name, array in other.view.items():
            new.view[name] = flat[at:at + array.size].reshape(array.shape)
            at += array.size
        return new

    def __getitem__(self, name):
        return self.view[name]

    def initialise(self, shape, rng):
        for name, array in self.view.items():
            if array.ndim == 1:
                array[:] = 1
                continue
            scale = 0.02 if name == "embed" else array.shape[0] ** -0.5
            if name.endswith((".out", ".down")):
                scale /= (2 * shape.layers) ** 0.5
            array[:] = rng.standard_normal(array.shape) * scale


def norm_forward(x, gain):
    inverse = 1 / np.sqrt(np.einsum("ij,ij->i", x, x) / x.shape[1] + EPSILON)
    unit = x * inverse[:, None]
    return unit * gain, (unit, inverse)


def norm_backward(dy, gain, saved, dgain):
    unit, inverse = saved
    dgain += np.einsum("ij,ij->j", dy, unit)
    dunit = dy * gain
    mean = np.einsum("ij,ij->i", dunit, unit) / unit.shape[1]
    dunit -= unit * mean[:, None]
    dunit *= inverse[:, None]
    return dunit


def rotate(x, cos, sin):
    """Turns the halves of the last axis by the angle of the position (axis -2)."""
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    out = np.empty_like(x)
    np.multiply(a, cos, out=out[..., :half])
    out[..., :half] -= b * sin
    np.multiply(b, cos, out=out[..., half:])
    out[..., half:] += a * sin
    return out


class Network:
    def __init__(self, shape, parameters):
        self.shape, self.p = shape, parameters
        position = np.arange(shape.context)[:, None]
        angle = position * shape.base ** (-np.arange(0, shape.head, 2) / shape.head)
        dtype = parameters.flat.dtype
        self.cos, self.sin = np.cos(angle).astype(dtype), np.sin(angle).astype(dtype)

    def split(self, qkv, batch, length):
        s = self.shape
        group = s.heads // s.kv_heads
        kv = s.kv_heads * s.head
        def heads(x, count):
            return np.ascontiguousarray(x.reshape(batch, length, count, s.head).transpose(0, 2, 1, 3))
        q = heads(qkv[:, :s.width], s.heads)
        k = heads(qkv[:, s.width:s.width + kv], s.kv_heads)
        v = heads(qkv[:, s.width + kv:], s.kv_heads)
        q = rotate(q, self.cos[:length], self.sin[:length])
        k = rotate(k, self.cos[:length], self.sin[:length])
        return q.reshape(batch, s.kv_heads, group * length, s.head), k, v

    def attention(self, qkv, batch, length):
        """Causal attention. Samples are padded on the right, so no other mask is needed."""
        s = self.shape
        group = s.heads // s.kv_heads
        q, k, v = self.split(qkv, batch, length)
        weights = np.matmul(q, k.swapaxes(2, 3))
        weights *= np.asarray(s.head ** -0.5, weights.dtype)
        mask = np.triu(np.full((length, length), -1e9, weights.dtype), 1)
        weights += np.tile(mask, (group, 1))
        weights -= weights.max(axis=-1, keepdims=True)
        np.exp(weights, out=weights)
        weights /= weights.sum(axis=-1, keepdims=True)
        mixed = np.matmul(weights, v).reshape(batch, s.heads, length, s.head)
        flat = np.ascontiguousarray(mixed.transpose(0, 2, 1, 3)).reshape(batch * length, s.width)
        return flat, (q, k, v, weights)

    def attention_backward(self, dflat, saved, batch, length):
        s = self.shape
        group = s.heads // s.kv_heads
        q, k, v, weights = saved
        dmixed = np.ascontiguousarray(dflat.reshape(batch, length, s.heads, s.head).transpose(0, 2, 1, 3))
        dmixed = dmixed.reshape(batch, s.kv_heads, group * length, s.head)
        dv = np.matmul(weights.swapaxes(2, 3), dmixed)
        dscore = np.matmul(dmixed, v.swapaxes(2, 3))
        dscore -= np.einsum("bhij,bhij->bhi", dscore, weights)[..., None]
        dscore *= weights
        dscore *= np.asarray(s.head ** -0.5, dscore.dtype)
        dq = np.matmul(dscore, k).reshape(batch, s.heads, length, s.head)
        dk = np.matmul(dscore.swapaxes(2, 3), q)
        cos, sin = self.cos[:length], -self.sin[:length]  # the turn back
        dq, dk = rotate(dq, cos, sin), rotate(dk, cos, sin)
        parts = [x.transpose(0, 2, 1, 3).reshape(batch * length, -1) for x in (dq, dk, dv)]
        return np.concatenate(parts, axis=1)

    def forward(self, tokens, keep=False):
        """Final hidden states [batch*length, width] and, if keep, what backward needs."""
        batch, length = tokens.shape
        s, p, saved = self.shape, self.p, []
        x = p["embed"][tokens.reshape(-1)]
        for n in range(s.layers):
            normed, n1 = norm_forward(x, p[f"{n}.norm1"])
            mixed, att = self.attention(normed @ p[f"{n}.qkv"], batch, length)
            x = x + mixed @ p[f"{n}.out"]
            normed2, n2 = norm_forward(x, p[f"{n}.norm2"])
            both = normed2 @ p[f"{n}.gate_up"]
            gate, up = both[:, :s.hidden], both[:, s.hidden:]
            sigmoid = np.exp(np.minimum(-gate, 80))  # the bound keeps exp finite
            sigmoid += 1
            np.reciprocal(sigmoid, out=sigmoid)
            act = gate * sigmoid
            inner = act * up
            x = x + inner @ p[f"{n}.down"]
            if keep:
                saved.append((normed, n1, att, mixed, normed2, n2, gate, up, sigmoid, act, inner))
        hidden, last = norm_forward(x, p["norm"])
        return hidden, (saved, last)

    def loss(self, tokens, weights, gradient):
        """Mean cross entropy of the tokens, weighted; adds up gradients.

        weights[i, j] is that of predicting tokens[i, j] from the ones before it.
        """
        p, g = self.p, gradient
        hidden, saved = self.forward(tokens, keep=True)
        rows = np.flatnonzero(weights.reshape(-1)) - 1
        wanted = tokens.reshape(-1)[rows + 1]
        share = weights.reshape(-1)[rows + 1]
        share = share / share.sum()
        picked = hidden[rows]
        logits = picked @ p["embed"].T
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        place = np.arange(len(rows))
        loss = -(np.log(logits[place, wanted] + 1e-30) * share).sum()
        logits[place, wanted] -= 1
        logits *= share[:, None]
        g["embed"][:] += logits.T @ picked
        dhidden = np.zeros_like(hidden)
        dhidden[rows] = logits @ p["embed"]
        self.backward(tokens, dhidden, saved, g)
        return float(loss)

    def backward(self, tokens, dhidden, saved, g):
        batch, length = tokens.shape
        s, p = self.shape, self.p
        layers, last = saved
        dx = norm_backward(dhidden, p["norm"], last, g["norm"])
        for n in reversed(range(s.layers)):
            normed, n1, att, mixed, normed2, n2, gate, up, sigmoid, act, inner = layers[n]
            g[f"{n}.down"][:] += inner.T @ dx
            dinner = dx @ p[f"{n}.down"].T
            dboth = np.empty((len(dx), 2 * s.hidden), dx.dtype)
            np.multiply(dinner, act, out=dboth[:, s.hidden:])
            dinner *= up
            slope = 1 - sigmoid
            slope *= gate
            slope += 1
            slope *= sigmoid
            np.multiply(dinner, slope, out=dboth[:, :s.hidden])
            g[f"{n}.gate_up"][:] += normed2.T @ dboth
            dx = dx + norm_backward(dboth @ p[f"{n}.gate_up"].T, p[f"{n}.norm2"], n2, g[f"{n}.norm2"])
            g[f"{n}.out"][:] += mixed.T @ dx
            dqkv = self.attention_backward(dx @ p[f"{n}.out"].T, att, batch, length)
            g[f"{n}.qkv"][:] += normed.T @ dqkv
            dx = dx + norm_backward(dqkv @ p[f"{n}.qkv"].T, p[f"{n}.norm1"], n1, g[f"{n}.norm1"])
        flat = tokens.reshape(-1)
        pick = np.zeros((len(flat), s.vocabulary), dx.dtype)
        pick[np.arange(len(flat)), flat] = 1
        g["embed"][:] += pick.T @ dx  # a product is faster than np.add.at
