"""Reads the question files and turns them into training and test questions.

A question file is a list of entries, separated by blank lines:

    id: credit
    answer: One credit is one minute of compute. ...
    what: a credit | one credit          (slots for the frames of templates.txt)
    ask: What is a credit worth? | ...   (whole questions)
    kept: How many minutes ...? | ...    (never used for training)

The training loop sees each question through random rewrites (polite words,
letter case, small typing errors, words of like meaning), so that it never
learns one spelling by heart.
"""

import re
from pathlib import Path

KINDS = ("what", "plural", "how", "code", "can", "happens")
REFUSAL = "off-topic"


class Entry:
    """One answer with all its questions."""

    def __init__(self, name):
        self.name, self.answer = name, ""
        self.slots = {kind: [] for kind in KINDS}
        self.ask, self.kept, self.seen = [], [], []


def split_bar(text):
    return [part.strip() for part in text.split("|") if part.strip()]


def read_lines(path):
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        line = line.strip()
        if line and not line.startswith("#"):
            yield line


def read_templates(folder):
    """Returns the frames by slot kind."""
    frames = {}
    for line in read_lines(folder / "templates.txt"):
        kind, _, rest = line.partition(":")
        frames[kind] = split_bar(rest)
    return frames


def fill(frame, slot):
    text = frame.replace("{}", slot)
    return text[0].upper() + text[1:] if frame.startswith("{}") else text


def read_entries(folder):
    """Returns all entries, the off-topic one included, with `seen` filled in."""
    folder = Path(folder)
    frames, entries = read_templates(folder), []
    for path in sorted(folder.glob("*.txt")):
        if path.name in ("templates.txt", "offtopic_kept.txt"):
            continue
        for line in read_lines(path):
            field, _, value = line.partition(":")
            value = value.strip()
            if field == "id":
                entries.append(Entry(value))
            elif field == "answer":
                entries[-1].answer = value
            elif field in KINDS:
                entries[-1].slots[field] += split_bar(value)
            elif field in ("ask", "kept"):
                getattr(entries[-1], field).extend(split_bar(value))
            else:
                raise ValueError(f"{path.name}: unknown field {field!r}")
    for entry in entries:
        seen = list(entry.ask)
        for kind in KINDS:
            seen += [fill(f, s) for s in entry.slots[kind] for f in frames[kind]]
        entry.seen = list(dict.fromkeys(seen))
    check(entries, read_kept_off_topic(folder))
    return entries


def read_kept_off_topic(folder):
    return list(read_lines(Path(folder) / "offtopic_kept.txt"))


def plain(text):
    """The letters and digits of a question, to find those that are the same."""
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()


def check(entries, off_topic):
    """Fails if a kept question is also trained, or a question has two answers."""
    owner = {}
    for entry in entries:
        if not entry.answer:
            raise ValueError(f"{entry.name}: no answer")
        for question in entry.seen:
            key = plain(question)
            if key and owner.setdefault(key, entry.name) != entry.name:
                raise ValueError(f"{question!r} belongs to {owner[key]} and to {entry.name}")
    kept = [q for entry in entries for q in entry.kept] + off_topic
    for question in kept:
        key = plain(question)
        if key in owner:
            raise ValueError(f"kept question {question!r} is also trained, in {owner[key]}")


# ---- random rewrites ----------------------------------------------------------

STRENGTH = 1.0  # factor of the probabilities below

# Words of like meaning. One may stand for another of its group in any question.
LIKE = [
    ["call", "request"], ["calls", "requests"], ["create", "make", "generate", "set up", "add"],
    ["refused", "rejected", "denied", "turned away", "blocked", "declined"],
    ["delete", "remove"], ["show", "display"], ["server", "machine", "host"], ["servers", "machines", "hosts"],
    ["upstream", "GPU server", "inference server", "model server"], ["caller", "client", "user", "customer"],
    ["allowed", "permitted"], ["maximum", "largest", "highest", "most"], ["begin", "start"], ["stop", "end", "halt"],
    ["quickly", "fast", "soon"], ["find", "locate", "look up"], ["see", "view", "look at", "read"],
    ["change", "alter", "modify", "edit"], ["the Caddyfile", "the configuration", "the config"], ["cost", "price"],
    ["charged", "billed"], ["pay", "get billed"], ["answer", "reply", "response"], ["answers", "replies", "responses"],
    ["happens", "occurs"], ["stored", "kept", "saved", "written"], ["need", "require"], ["error", "failure"],
    ["wait", "hold on"], ["use", "take"], ["several", "multiple", "many"], ["each", "every"], ["limit", "cap", "restriction"],
    ["key", "API key"], ["keys", "API keys"], ["admin", "administrator"], ["credits", "credit"], ["mean", "stand for"],
    ["gateway", "proxy", "Penstock"], ["fails", "breaks", "goes wrong"], ["crashes", "dies", "goes down"],
    ["supported", "possible", "available"], ["command", "shell command"], ["option", "setting", "parameter"],
    ["running", "open", "active"], ["too large", "too big", "too long"], ["prompt", "question", "text"],
]
SWAP = {}
for group in LIKE:
    for word in group:
        SWAP.setdefault(word, [w for w in group if w != word])
SWAP_PATTERN = re.compile(r"\b(" + "|".join(sorted(map(re.escape, SWAP), key=len, reverse=True)) + r")\b")

# Other ways to begin the same question.
TURN = [
    (r"^How do I (.+?)\??$", ["What are the steps to {}?", "Could you show me how to {}?", "I would like to {}.", "I am trying to {}.",
                             "How does one {}?", "How can we {}?", "How might I {}?", "In what way can I {}?", "What do I type to {}?",
                             "Is it possible to {}, and how?", "We must {}. How?", "What is needed to {}?", "My task is to {}."]),
    (r"^What is (.+?)\??$", ["Tell me what {} is.", "Could you say what {} is?", "So what is {}?", "What exactly is {}?",
                            "Please define {}.", "I wonder what {} is.", "Do you know what {} is?", "Explain what {} is."]),
    (r"^What are (.+?)\??$", ["Tell me what {} are.", "So what are {}?", "What exactly are {}?", "I wonder what {} are."]),
    (r"^What happens (?:when|if) (.+?)\??$", ["When {}, what happens?", "If {}, what then?", "{}. What happens now?", "{}: and now?",
                                             "What is the result when {}?", "What comes back if {}?", "What do I get if {}?", "How is it handled when {}?"]),
    (r"^Can I (.+?)\??$", ["Is it possible to {}?", "May I {}?", "Am I able to {}?", "Is it allowed to {}?", "Could I {}?", "Can one {}?"]),
    (r"^Does Penstock (.+?)\??$", ["Will the gateway {}?", "Is it so that Penstock can {}?", "Would it {}?"]),
    (r"^Where is (.+?)\??$", ["Where can I find {}?", "Where do I look for {}?", "In which place is {}?", "I am looking for {}."]),
    (r"^Why (.+?)\??$", ["What is the reason: why {}?", "Could you say why {}?", "Tell me why {}."]),
    (r"^Which (.+?)\??$", ["Tell me which {}.", "Could you list which {}?", "Do you know which {}?", "What {}?"]),
    (r"^How (.+?)\??$", ["Tell me how {}.", "Do you know how {}?", "Could you say how {}?"]),
]
TURN = [(re.compile(pattern), forms) for pattern, forms in TURN]

BEFORE = ["Please tell me: ", "Hi, ", "Hello. ", "Sorry, ", "Quick question: ", "I am new here. ", "One question: ", "Hey, ", "So, ", "OK, ",
          "In Penstock, ", "With Penstock, ", "Please: ", "Can you tell me: ", "I would like to know: ", "My question is: ", "Also, ", "And ",
          "Now ", "Well, ", "Excuse me, ", "A beginner asks: ", "I could not find this: ", "Help! ", "Good morning. ", "Hi there. ",
          "I have a question. ", "I run two servers. ", "We have many customers. ", "My team uses curl. ", "I read the README. ", "Question: ",
          "Just curious: ", "For my notes: ", "Answer this: ", "Briefly: ", "In short, ", "Tell me, "]
AFTER = [" please", " Please explain.", " Thanks.", " Thank you.", " I need to know.", " I could not find it.", " Explain it briefly.",
         " Any idea?", " Do you know?", " Be short.", " Tell me please.", " I am confused.", " Thanks a lot!", " in Penstock?", " with Penstock?", " here?"]
DROP = {"a", "an", "the", "do", "does", "i", "is", "to", "my", "of", "please", "can", "you", "me", "are", "it"}

SMALL = {"what", "how", "why", "when", "which", "where", "who", "if", "in", "on", "for", "at", "with", "there", "be", "and", "or", "will",
         "would", "should", "could", "may", "might", "must", "was", "am", "that", "this", "so", "by", "from", "any", "some", "have", "has"}
QUOTES = ["{}?", "What about {}?", "Tell me about {}.", "Is it true: {}?", "{}: explain.", "Why {}?", "More about {}, please."]


def rewrite(question, rng):
    """Returns the question as another person might have typed it."""
    def chance():
        return rng.random() / STRENGTH

    if chance() < 0.35:
        for pattern, forms in TURN:
            match = pattern.match(question)
            if match:
                question = forms[rng.integers(len(forms))].replace("{}", match.group(1))
                break
    if chance() < 0.4:
        def swap(match):
            word = match.group(1)
            return SWAP[word][rng.integers(len(SWAP[word]))] if rng.random() < 0.35 else word
        question = SWAP_PATTERN.sub(swap, question)
    if chance() < 0.3:
        question = thin(question, rng)
    if chance() < 0.25 and question[-1:] in "?.!":
        question = question[:-1]
    if chance() < 0.2:
        after = AFTER[rng.integers(len(AFTER))]
        question = (question.rstrip("?. ") if after[1].islower() else question) + after
    if chance() < 0.25:
        before = BEFORE[rng.integers(len(BEFORE))]
        keep = question[:2].isupper() or question.startswith("I ") or rng.random() < 0.3
        question = before + (question if keep else question[:1].lower() + question[1:])
    case = chance()
    if case < 0.15:
        question = question.lower()
    elif case < 0.17:
        question = question.upper()
    elif case < 0.22:
        question = question[:1].lower() + question[1:]
    if chance() < 0.08:
        question = mistype(question, rng)
    return question or "?"


def thin(question, rng):
    """Leaves out some small words, any one word, or all small words."""
    words, what = question.split(" "), rng.random()
    if len(words) < 4:
        return question
    if what < 0.4:
        words = [w for w in words if w.lower() not in DROP or rng.random() < 0.5]
    elif what < 0.8:
        del words[int(rng.integers(len(words)))]
    else:  # key words only, as one types into a search box
        words = [w for w in re.sub(r"[?.!,]", "", question).split(" ") if w.lower() not in DROP | SMALL]
    return " ".join(words) or question


def quote(answer, rng):
    """A few words of an answer as a question, so that its words lead to it."""
    words = re.sub(r"[.,;:]( |$)", r"\1", answer).split(" ")
    length = int(rng.integers(3, 9))
    at = int(rng.integers(max(1, len(words) - length)))
    text = " ".join(words[at:at + length])
    return QUOTES[rng.integers(len(QUOTES))].replace("{}", text)


def mistype(text, rng):
    """Drops, doubles or swaps one letter."""
    if len(text) < 6:
        return text
    at, what = int(rng.integers(1, len(text) - 2)), rng.integers(3)
    if what == 0:
        return text[:at] + text[at + 1:]
    if what == 1:
        return text[:at] + text[at] + text[at:]
    return text[:at] + text[at + 1] + text[at] + text[at + 2:]
