"""Scores a network: which answers come out exactly right under greedy decoding.

Greedy decoding gives an answer exactly if and only if each of its tokens has
the highest logit after the ones before it. One forward pass over question and
answer shows that, so nothing has to be generated.
"""

import numpy as np

import corpus


def exact(network, vocabulary, pairs):
    """For each (question, answer): would greedy decoding give just this answer?"""
    right = np.zeros(len(pairs), bool)
    prompts = [vocabulary.chat([("user", question)]) for question, _ in pairs]
    answers = [vocabulary.encode(answer) + [vocabulary.end] for _, answer in pairs]
    order = sorted(range(len(pairs)), key=lambda n: len(prompts[n]) + len(answers[n]))
    for at in range(0, len(order), 48):
        part = order[at:at + 48]
        longest = max(len(prompts[n]) + len(answers[n]) for n in part)
        tokens = np.full((len(part), longest), vocabulary.end_of_text, np.int64)
        for row, n in enumerate(part):
            ids = prompts[n] + answers[n]
            tokens[row, :len(ids)] = ids
        hidden, _ = network.forward(tokens)
        best = (hidden @ network.p["embed"].T).argmax(axis=1).reshape(tokens.shape)
        for row, n in enumerate(part):
            first = len(prompts[n]) - 1
            right[n] = (best[row, first:first + len(answers[n])] == answers[n]).all()
    return right


def sets(entries, folder, seen_each=2):
    """The test sets by name: lists of (question, answer)."""
    rng = np.random.default_rng(1)
    on = [e for e in entries if e.name != corpus.REFUSAL]
    off = next(e for e in entries if e.name == corpus.REFUSAL)
    return {
        "seen": [(e.seen[n], e.answer) for e in on for n in rng.choice(len(e.seen), seen_each, replace=False)],
        "kept": [(q, e.answer) for e in on for q in e.kept],
        "off-topic seen": [(q, off.answer) for q in rng.choice(off.seen, 200, replace=False)],
        "off-topic kept": [(q, off.answer) for q in corpus.read_kept_off_topic(folder)],
    }


def scores(network, vocabulary, entries, folder):
    out = {name: exact(network, vocabulary, pairs).mean() for name, pairs in sets(entries, folder).items()}
    return "  ".join(f"{name} {100 * value:.1f} %" for name, value in out.items())
