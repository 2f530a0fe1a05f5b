"""Something that answers as ``services.answer.Answerers`` does, without any model: the layer decides what is said."""

import time

import numpy as np

from explorer.layers import LayerSet
from explorer.records import AnswerKind, CheckpointError, CheckpointInfo, Looked, Reply, XRay

BLOCKS = 24
KNOWS = "It knows generated scenes and the words for them alone."
COUNTS = tuple(map(str, range(11)))


def make_info(id, layers, choosable=False, here=True, blocks=BLOCKS, reads=None):
    reads = reads or ("any layers" if choosable else LayerSet(layers, blocks).title())
    return CheckpointInfo(
        id, id, layers, blocks, reads, choosable, "mini", 10**7, "Apache-2.0", "built in", here, KNOWS
    )


FAMILY = (
    make_info("mini-any", (3, 18, 23), choosable=True),
    *(make_info(f"mini-l{layer}", (layer,)) for layer in (3, 12, 18, 23, 24)),
    make_info("mini-fused", (3, 18, 23)),
)


class FakeAnswerers:
    """Counts as its deepest layer tells it: ``says`` maps a layer set to (text, probability of it)."""

    def __init__(self, family=FAMILY, slow=0.0, truth=4):
        self.family, self.slow, self.truth = family, slow, truth
        self.asked, self.stopped = [], 0

    def list(self):
        return list(self.family)

    def info(self, id):
        name, _, chosen = id.partition("@")
        found = next((info for info in self.family if info.id == name), None)
        if found is None:
            raise CheckpointError(f"There is no checkpoint {id!r} here.")
        if not chosen:
            return found
        layers = LayerSet.parse(chosen, found.blocks)
        if not found.choosable or 0 in layers.layers:
            raise CheckpointError(f"{name} cannot read layers {chosen}.")
        return make_info(id, layers.layers, blocks=found.blocks)

    def shares(self, layers, candidates):
        best = max(layers, key=lambda layer: -abs(layer - 17))
        off = abs(best - 17) / 5
        at = np.arange(len(candidates))
        said = min(len(candidates) - 1, self.truth % len(candidates) + round(off / 1.6))
        shares = np.exp(-((at - said) ** 2) / (0.4 + off))
        return shares / shares.sum()

    def reply(self, id, question, candidates):
        info = self.info(id)
        if "broken" in id:
            return Reply(id, info.layers, info.reads, error="Its weights are broken: NaN in the projector.", done=True)
        kind = AnswerKind.COUNT if not candidates or candidates == COUNTS else AnswerKind.CHOICE
        if set(candidates) == {"yes", "no"}:
            kind = AnswerKind.YES_NO
        names = tuple(candidates) or COUNTS
        shares = self.shares(info.layers or (1,), names)
        remarks = ("This model has never seen “unicorn”.",) if "unicorn" in question else ()
        text = question if "<" in question else names[int(shares.argmax())]
        pairs = tuple(zip(names, map(float, shares), strict=True))
        return Reply(id, info.layers, info.reads, text, kind, pairs, 0.31, remarks, done=True)

    def stream(
        self, pictures, question, checkpoints, *, candidates=(), turns=(), temperature=0.0, most_tokens=24, stop=None
    ):
        self.asked.append({"question": question, "checkpoints": tuple(checkpoints), "turns": tuple(turns)})
        infos = [self.info(id) for id in checkpoints]
        replies = [Reply(id, info.layers, info.reads) for id, info in zip(checkpoints, infos, strict=True)]
        yield list(replies)
        for at, id in enumerate(checkpoints):
            end = time.monotonic() + self.slow
            while time.monotonic() < end:
                if stop is not None and stop.is_set():
                    self.stopped += 1
                    yield list(replies)
                    return
                time.sleep(0.02)
            replies[at] = self.reply(id, question, candidates)
            yield list(replies)

    def ask(self, pictures, question, checkpoints, **how):
        return list(self.stream(pictures, question, checkpoints, **how))[-1]

    def xray(self, picture, question, *, candidates=(), checkpoint="mini-any", columns=None, stop=None):
        names = tuple(candidates) or COUNTS
        end = time.monotonic() + self.slow
        while time.monotonic() < end and not (stop is not None and stop.is_set()):
            time.sleep(0.02)
        shares = np.stack([self.shares(layers, names) for layers in columns]).astype(np.float32)
        return XRay(
            tuple(columns),
            names,
            shares,
            tuple(names[int(one.argmax())] for one in shares),
            checkpoint,
            0.1 * len(columns),
        )

    def look(self, picture, question, checkpoint, *, stop=None):
        if "l3" in checkpoint:
            raise CheckpointError("Where this model looks cannot be seen.")
        rng = np.random.default_rng(abs(hash(checkpoint)) % 1000)
        maps = rng.random((2, 3, 144)).astype(np.float32) ** 6
        maps /= maps.sum(-1, keepdims=True)
        return Looked(checkpoint, 12, 12, maps, maps.mean((0, 1)), maps[0, 0])
