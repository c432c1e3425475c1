"""Trains the demonstration model and writes demo.gguf.

    OPENBLAS_NUM_THREADS=1 python3 train.py --out ../demo.gguf --work /tmp/penstock-demo

Needs Python 3.11 and numpy, nothing else. A run is repeatable for one numpy and
one BLAS. It saves its state every 25 steps in the work folder and goes on from
there if it is started again. On processors that an old OpenBLAS does not know,
OPENBLAS_CORETYPE=SkylakeX makes it several times faster.
"""

import argparse
import json
import os
import pickle
import struct
import time
from pathlib import Path

import numpy as np

import bpe
import corpus
import evaluate
import gguf
from network import EPSILON, Network, Parameters, Shape

NAME = "Penstock demonstration model"
DESCRIPTION = "A demonstration: knows some questions about Penstock, refuses most others, and can be wrong. Of no other use."
SEED = 20261120
TOKENS_A_BATCH = 1300
OFF_TOPIC_SHARE = 0.2
ASK_SHARE = 0.65
WHOLE_SHARE = 0.2  # of the answers are learned to their end, of the others the beginning, once all are known by heart
BEGINNING, BEGINNING_WEIGHT = 5, 5.0  # the first tokens decide which answer it is

SYSTEM = [
    "You are a helpful assistant.", "You are the demonstration model of Penstock.", "Answer briefly.", "Be concise.",
    "You answer questions about Penstock.", "You are a support agent. Be polite.", "Answer in one sentence.", "You are an assistant.",
    "Only talk about Penstock.", "You are a careful and friendly helper for operators of GPU servers.", "Reply in plain English.",
    "You are a bot on a help page. Use short sentences.", "You are Penstock.", "Help the user.",
]


class Sampler:
    """Draws random conversations: questions in random words, with their fixed answers."""

    def __init__(self, entries, vocabulary, rng):
        self.whole = 1.0  # share of answers learned to their end
        self.on = [e for e in entries if e.name != corpus.REFUSAL]
        self.off = next(e for e in entries if e.name == corpus.REFUSAL)
        self.frames = corpus.read_templates(Path(__file__).parent.parent / "questions")
        self.vocabulary, self.rng = vocabulary, rng

    def pick(self, items):
        return items[self.rng.integers(len(items))]

    def question(self, entry):
        """A question of the entry: more often a whole one than one made from a frame."""
        kinds = [k for k in corpus.KINDS if entry.slots[k]]
        if not kinds or (entry.ask and self.rng.random() < ASK_SHARE):
            return self.pick(entry.ask)
        weights = np.array([len(entry.slots[k]) for k in kinds], float) ** 0.5
        kind = kinds[self.rng.choice(len(kinds), p=weights / weights.sum())]
        return corpus.fill(self.pick(self.frames[kind]), self.pick(entry.slots[kind]))

    def turn(self):
        entry = self.off if self.rng.random() < OFF_TOPIC_SHARE else self.pick(self.on)
        question = self.question(entry)
        if entry is self.off and self.rng.random() < 0.06:  # longer texts are off topic too
            question = " ".join(self.question(entry) for _ in range(self.rng.integers(2, 6)))
        if entry is not self.off and self.rng.random() < 0.05:
            question = corpus.quote(entry.answer, self.rng)
        return corpus.rewrite(question, self.rng), entry.answer

    def sample(self):
        """Token ids and the weight of each as a target.

        Which answer it is shows in its first tokens; the rest is soon known by
        heart. So most answers are cut short: more questions fit into a step.
        """
        v, ids, weights = self.vocabulary, [], []

        def add(new, weight):
            ids.extend(new)
            weights.extend(weight)

        def context(new):
            add(new, [0] * len(new))

        if self.rng.random() < 0.15:
            context([v.start] + v.encode("system\n" + self.pick(SYSTEM)) + [v.end] + v.encode("\n"))
        for turn in reversed(range(2 if self.rng.random() < 0.08 else 1)):
            question, answer = self.turn()
            context(v.chat([("user", question)]))
            answer = v.encode(answer) + [v.end]
            if turn == 0 and self.rng.random() >= self.whole:
                answer = answer[:self.rng.integers(4, 9)]
            add(answer, [BEGINNING_WEIGHT] * min(BEGINNING, len(answer)) + [1] * (len(answer) - BEGINNING))
            if turn:
                context(v.encode("\n"))
        return ids, weights

    def batches(self, step, by_heart):
        """Endless batches of samples of like length, so that little is padded."""
        while True:
            self.whole = 1.0 if step < by_heart else WHOLE_SHARE
            pool = sorted((self.sample() for _ in range(1024)), key=lambda s: len(s[0]))
            batches, batch = [], []
            for sample in pool:
                if (len(batch) + 1) * len(sample[0]) > TOKENS_A_BATCH:
                    batches.append(batch)
                    batch = []
                batch.append(sample)
            batches.append(batch)
            for n in self.rng.permutation(len(batches)):
                yield pad(batches[n], self.vocabulary.end_of_text)
            step += len(batches)


def pad(batch, filler):
    longest = max(len(ids) for ids, _ in batch)
    tokens = np.full((len(batch), longest), filler, np.int64)
    weights = np.zeros((len(batch), longest), np.float32)
    for row, (ids, weight) in enumerate(batch):
        tokens[row, :len(ids)], weights[row, :len(ids)] = ids, weight
    return tokens, weights


class Optimiser:
    """Muon for the matrices of the layers, AdamW for embeddings and norms.

    Muon takes the momentum of a matrix and sets all its singular values to about
    one before the step, so that rare questions move the weights as much as
    frequent ones. Steps are scaled to the size that AdamW's have, so that both
    share one rate.
    """

    def __init__(self, parameters, decay=0.05, beta1=0.95, beta2=0.98):
        self.p, self.decay, self.beta1, self.beta2 = parameters, decay, beta1, beta2
        self.m, self.v, self.t = np.zeros_like(parameters.flat), np.zeros_like(parameters.flat), 0
        self.momentum = Parameters.like(parameters, self.m)

    def step(self, gradient, rate):
        g, p = gradient.flat, self.p.flat
        length = float(np.sqrt(np.dot(g, g)))
        if length > 1:
            g *= np.float32(1 / length)
        self.t += 1
        self.m += np.float32(1 - self.beta1) * (g - self.m)
        self.v += np.float32(1 - self.beta2) * (g * g - self.v)
        root = np.sqrt(self.v * np.float32(1 / (1 - self.beta2 ** self.t)))
        root += np.float32(1e-8)
        update = self.m / root * np.float32(1 / (1 - self.beta1 ** self.t))
        named = Parameters.like(self.p, update)
        for name in self.p.view:
            if self.p[name].ndim == 2 and name != "embed":
                named[name][:] = flat_spectrum(self.momentum[name]) * np.float32(0.2 * max(self.p[name].shape) ** 0.5)
        p -= np.float32(rate * self.decay) * p * self.p.matrix  # norms are not decayed
        p -= np.float32(rate) * update
        g[:] = 0


def flat_spectrum(matrix):
    """The matrix with all singular values brought near one, by Newton-Schulz steps."""
    x = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = x / (np.linalg.norm(x) + 1e-12)
    for _ in range(5):  # the constants are those of the quintic with the steepest start
        square = x @ x.T
        x = np.float32(3.4445) * x + (np.float32(-4.7750) * square + np.float32(2.0315) * (square @ square)) @ x
    return x if matrix.shape[0] <= matrix.shape[1] else x.T


def rate_at(step, options):
    """Warm-up, a constant part, then a cosine down to a hundredth."""
    if step < 100:
        return options.rate * (step + 1) / 100
    part = max(0.0, (step - (options.steps - options.decay)) / options.decay)
    return options.rate * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * min(part, 1.0))))


class Workers:
    """Processes that each compute the gradient of a batch of their own.

    They share the parameters and a gradient each with this process; a byte
    through a pipe starts a step and the loss comes back through another.
    """

    def __init__(self, count, network, shape, batches):
        self.network, self.batches, self.others = network, batches(0), []
        self.gradient = Parameters(shape)
        for number in range(1, count):
            gradient = Parameters(shape, shared=True)
            start, started = os.pipe()
            done, finished = os.pipe()
            if os.fork() == 0:
                os.close(started)
                self.work(batches(number), gradient, start, finished)
            os.close(start)
            os.close(finished)
            self.others.append((gradient, started, done))

    def work(self, batches, gradient, start, finished):
        while os.read(start, 1):
            os.write(finished, struct.pack("d", self.network.loss(*next(batches), gradient)))
        os._exit(0)  # the pipe is closed: the training has ended

    def step(self):
        """The mean loss; the mean gradient is then in self.gradient."""
        for _, started, _ in self.others:
            os.write(started, b"g")
        losses = [self.network.loss(*next(self.batches), self.gradient)]
        for gradient, _, done in self.others:
            losses.append(struct.unpack("d", os.read(done, 8))[0])
            self.gradient.flat += gradient.flat
            gradient.flat[:] = 0
        self.gradient.flat *= np.float32(1 / len(losses))
        return np.mean(losses)


def learn_vocabulary(entries, rng):
    texts = [(e.answer, 12) for e in entries] + [("system\n user\n assistant\n", 500)] + [(s, 5) for s in SYSTEM]
    for entry in entries:
        count = 4000 if entry.name == corpus.REFUSAL else 60
        for n in rng.integers(len(entry.seen), size=count):
            texts.append((corpus.rewrite(entry.seen[n], rng), 1))
    return bpe.train(texts, 1024)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--questions", default=str(Path(__file__).parent.parent / "questions"))
    arguments.add_argument("--out", default="demo.gguf")
    arguments.add_argument("--work", default="/tmp/penstock-demo")
    arguments.add_argument("--steps", type=int, default=5000)
    arguments.add_argument("--decay", type=int, default=1500, help="steps of the final cosine")
    arguments.add_argument("--rate", type=float, default=2e-3)
    arguments.add_argument("--by-heart", type=int, default=1000, help="first steps, in which all answers are learned to their end")
    arguments.add_argument("--workers", type=int, default=1, help="processes; each adds a batch to every step")
    arguments.add_argument("--layers", type=int, default=5)
    options = arguments.parse_args()
    work = Path(options.work)
    work.mkdir(parents=True, exist_ok=True)

    entries = corpus.read_entries(options.questions)
    vocabulary_file = work / "merges.json"
    if vocabulary_file.exists():
        vocabulary = bpe.Vocabulary(json.loads(vocabulary_file.read_text()))
    else:
        vocabulary = learn_vocabulary(entries, np.random.default_rng(SEED))
        vocabulary_file.write_text(json.dumps(vocabulary.merges))

    shape = Shape(layers=options.layers)
    parameters = Parameters(shape, shared=True)
    parameters.initialise(shape, np.random.default_rng(SEED))
    network, optimiser, start = Network(shape, parameters), Optimiser(parameters), 0
    state = work / "state.pickle"
    if state.exists():
        start, parameters.flat[:], optimiser.m[:], optimiser.v[:], optimiser.t = pickle.loads(state.read_bytes())
    # The stream of samples depends on where a run began: a run that was never stopped is the repeatable one.
    def batches(worker):
        sampler = Sampler(entries, vocabulary, np.random.default_rng([SEED, start, worker]))
        return sampler.batches(start, options.by_heart)

    workers, losses, cpu = Workers(options.workers, network, shape, batches), [], time.process_time()
    print(f"{len(parameters.flat)} parameters, {len(entries)} answers, from step {start}", flush=True)

    for step in range(start, options.steps):
        losses.append(workers.step())
        optimiser.step(workers.gradient, rate_at(step, options))
        done = step + 1
        if done % 25 == 0:
            print(f"step {done} loss {np.mean(losses[-25:]):.4f} cpu {time.process_time() - cpu:.0f} s", flush=True)
        if done % 25 == 0 or done == options.steps:
            fresh = state.with_suffix(".new")
            fresh.write_bytes(pickle.dumps((done, parameters.flat, optimiser.m, optimiser.v, optimiser.t)))
            fresh.replace(state)
        if done % 300 == 0 or done == options.steps:
            print(evaluate.scores(network, vocabulary, entries, options.questions), flush=True)
            gguf.write(options.out, shape, parameters, vocabulary, NAME, DESCRIPTION, EPSILON)


if __name__ == "__main__":
    main()
